"use strict";
// The chart of the outcome at each learning rate: one of those that Python has made.

const rateLook = { size: "", measure: state.measure, x: true, y: true };

function paintRates(plot, figure) {
  const shownChart = run.rates[rateLook.measure][rateLook.size];
  drawChart(plot, shownChart, { isShown: (group) => !state.hidden.has(group), log: rateLook });
  optimizerLegend(figure, "dot");
  // Lines of optimizers are in the legend that shows and hides them.
  const marks = (shownChart.keys ?? []).filter(({ mark }) => mark);
  figure.querySelector(".legend").append(...marks.map((key) => make("span", {}, ...keyOf(key))));
  return [shownChart.caption, shownChart.notes].filter(Boolean).join(" ");
}

function offerRates() {
  const { figure } = charts.get("rates");
  const controls = figure.querySelector(".controls");
  const names = new Map(settings.batch_size.values.map((size, code) => [String(size), settings.batch_size.shown[code]]));
  const sizes = Object.keys(run.rates[rateLook.measure]).map((size) => [size, names.get(size) ?? "the best"]);
  if (sizes.length > 1) controls.append(list("batch size", sizes, "", changes(rateLook, "size", "rates")));
  const measured = changes(rateLook, "measure", "rates");
  if (run.measures.length > 1) controls.append(list("shown", measureOptions, rateLook.measure, measured));
  offerScales(figure, rateLook, "rates");
}
