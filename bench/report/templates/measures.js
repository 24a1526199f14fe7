"use strict";
// What charts show of an outcome: the cost of reaching the target in three currencies, or the final loss.

const COSTS = {
  samples: { title: "samples to the target", says: text, brief: short },
  updates: { title: "updates to the target", says: text, brief: short },
  ...(run.timed ? { seconds: { title: "time to the target", says: duration, brief: duration } } : {}),
};
const briefLoss = (loss) => text(Number(loss.toPrecision(3)));
const LOSSES = {
  loss: { title: `final ${run.loss}`, says: text, brief: briefLoss },
  ...(numbers.validation_loss ? { heldOut: { title: `${run.loss} on held-out samples`, says: text, brief: briefLoss } } : {}),
};
// Without a target nothing is said of reaching it.
const MEASURES = { ...(run.target === null ? {} : COSTS), ...LOSSES };
