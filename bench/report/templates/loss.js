"use strict";
// The chart of the loss curves: each optimizer at its best choice, against samples seen, updates or time.

const lossLook = { start: 0, clock: "samples", x: true, y: true };
for (const one of run.losses)
  one.lines = one.lines.map((packed) => ({ ...readLine(packed), name: optimizers.shown[packed.optimizer] }));

function paintLoss(plot, figure) {
  const losses = run.losses[lossLook.start];
  const lines = losses.lines.filter(({ name }) => !state.hidden.has(name));
  for (const line of lines) line.tone = toneOf(line.optimizer);
  drawBands(plot, lines, losses, lossLook.clock, lossLook, targetLine());
  optimizerLegend(figure);
  heldOutLegend(figure);
  targetLegend(figure, lossLook.y ? losses.limits[0] : 0);
  if (!lines.length) return "All optimizers are hidden.";
  const choices = lines.map(({ optimizer }) => choice(bestOutcome({ optimizer })));
  return `${run.captions.loss} The choices: ${choices.join("; ")}.${lossLook.clock === "seconds" ? ` ${TIME_OF_A_RUN}` : ""}`;
}

function offerLoss() {
  const { figure } = charts.get("loss");
  const controls = figure.querySelector(".controls");
  if (startOptions.length > 1) controls.append(list("start", startOptions, 0, changes(lossLook, "start", "loss")));
  const clocks = Object.keys(run.losses[0].clocks).map((name) => [name, name === "seconds" ? "time" : name]);
  controls.append(buttons("Along", clocks, lossLook.clock, changes(lossLook, "clock", "loss")));
  offerScales(figure, lossLook, "loss");
}
