"use strict";
// The chart of the outcome at each learning rate: one of those that Python has made.

const rateLook = { size: "", measure: run.first_measure, x: true, y: true };

const paintRates = (plot, figure) =>
  paintOptimizers(plot, figure, run.rates[rateLook.measure][rateLook.size], rateLook, "dot");

function offerRates() {
  const { figure } = charts.get("rates");
  const controls = figure.querySelector(".controls");
  const names = new Map(settings.batch_size.values.map((size, code) => [String(size), settings.batch_size.shown[code]]));
  const sizes = Object.keys(run.rates[rateLook.measure]).map((size) => [size, names.get(size) ?? "the best"]);
  if (sizes.length > 1) controls.append(list("batch size", sizes, "", changes(rateLook, "size", "rates")));
  const measured = changes(rateLook, "measure", "rates");
  if (run.measures.length > 1) controls.append(list("shown", run.measures, rateLook.measure, measured));
  offerScales(figure, rateLook, "rates");
}
