"use strict";
// The charts that compare optimizers: those of losses, of rates and of time, each one of those that Python has made.

const optimizers = settings.optimizer;
const toneOf = (code) => visible(optimizers.colors[code]);

// A chart whose groups are optimizers. One legend shows and hides them in all such charts, marks are beside it.
function paintOptimizers(plot, figure, shownChart, look, kind = "") {
  drawChart(plot, shownChart, { isShown: ({ group }) => !state.hidden.has(group), log: look });
  const entries = optimizers.shown.map((name, code) => [name, toneOf(code), kind]);
  toggles(figure, entries, state.hidden, ["loss", "rates", "time"]);
  const marks = (shownChart.keys ?? []).filter(({ color: tone, mark }) => mark && NAMED.has(tone));
  figure.querySelector(".legend").append(...marks.map((key) => make("span", {}, ...keyOf(key))));
  return [shownChart.caption, shownChart.notes].filter(Boolean).join(" ");
}

const lossLook = { start: 0, clock: "samples", x: true, y: true };
const paintLoss = (plot, figure) => paintOptimizers(plot, figure, run.losses[lossLook.start][lossLook.clock], lossLook);

function offerLoss() {
  const controls = document.getElementById("controls-loss");
  if (startOptions.length > 1) controls.append(list("start", startOptions, 0, changes(lossLook, "start", "loss")));
  const clocks = Object.keys(run.losses[0]).map((name) => [name, name === "seconds" ? "time" : name]);
  controls.append(buttons("Along", clocks, lossLook.clock, changes(lossLook, "clock", "loss")));
  offerScales("loss", lossLook);
}

const rateLook = { size: "", measure: run.first_measure, x: true, y: true };
const paintRates = (plot, figure) =>
  paintOptimizers(plot, figure, run.rates[rateLook.measure][rateLook.size], rateLook, "dot");

function offerRates() {
  const controls = document.getElementById("controls-rates");
  const sizes = Object.keys(run.rates[rateLook.measure]).map((size) => [size, size || "the best"]);
  if (sizes.length > 1) controls.append(list("batch size", sizes, "", changes(rateLook, "size", "rates")));
  const measured = changes(rateLook, "measure", "rates");
  if (run.measures.length > 1) controls.append(list("shown", run.measures, rateLook.measure, measured));
  offerScales("rates", rateLook);
}

const timeLook = { x: true, y: true };
const paintTime = (plot, figure) => paintOptimizers(plot, figure, run.charts.time, timeLook, "dot");
