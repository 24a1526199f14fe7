"use strict";
// The chart of the loss curves: one of those that Python has made, for each start and clock.

const lossLook = { start: 0, clock: "samples", x: true, y: true };

const paintLoss = (plot, figure) => paintOptimizers(plot, figure, run.losses[lossLook.start][lossLook.clock], lossLook);

function offerLoss() {
  const { figure } = charts.get("loss");
  const controls = figure.querySelector(".controls");
  if (startOptions.length > 1) controls.append(list("start", startOptions, 0, changes(lossLook, "start", "loss")));
  const clocks = Object.keys(run.losses[0]).map((name) => [name, name === "seconds" ? "time" : name]);
  controls.append(buttons("Along", clocks, lossLook.clock, changes(lossLook, "clock", "loss")));
  offerScales(figure, lossLook, "loss");
}
