"use strict";
// Code shared by the charts that compare optimizers.

const optimizers = settings.optimizer;
const toneOf = (code) => visible(optimizers.colors[code]);

// One legend for all charts of optimizers: what is hidden in one is hidden in all.
function optimizerLegend(figure, kind = "") {
  const entries = optimizers.shown.map((name, code) => [name, toneOf(code), kind]);
  toggles(figure, entries, state.hidden, ["loss", "rates", "time"]);
}

// A chart whose groups are optimizers. They are in the legend that shows and hides them, marks are beside it.
function paintOptimizers(plot, figure, shownChart, look, kind) {
  drawChart(plot, shownChart, { isShown: ({ group }) => !state.hidden.has(group), log: look });
  optimizerLegend(figure, kind);
  const marks = (shownChart.keys ?? []).filter(({ color: tone, mark }) => mark && NAMED.has(tone));
  figure.querySelector(".legend").append(...marks.map((key) => make("span", {}, ...keyOf(key))));
  return [shownChart.caption, shownChart.notes].filter(Boolean).join(" ");
}

// Where the target is among distances to the lowest loss, and its line; none where no distance is as small.
const targetDistance = () => (run.target === null ? null : distance(run.target));
const targetLine = () => (targetDistance() > 0 ? [across(targetDistance(), "target")] : []);

function addToLegend(figure, name, tone) {
  figure.querySelector(".legend").append(make("span", {}, swatch(color(tone), "dashes"), name));
}
const heldOutLegend = (figure) => heldOutSteps && addToLegend(figure, "on held-out samples", "ink");
// The loss axis of the chart begins at `bottom`.
const isTargetBelow = (bottom) => !(targetDistance() > bottom);
const targetLegend = (figure, bottom) =>
  run.target !== null && addToLegend(figure, `target ${text(run.target)}${isTargetBelow(bottom) ? ", below" : ""}`, "target");
