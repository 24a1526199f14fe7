"use strict";
// Code shared by the charts that compare optimizers.

const optimizers = settings.optimizer;
const shownOptimizers = () => optimizers.values.map((_, code) => code).filter((code) => !state.hidden.has(code));
const TIME_OF_A_RUN = `Time is updates times the measured time of an update with the kernel ${run.kernel}.`;
const toneOf = (code) => visible(optimizers.colors[code]);

// One legend for all charts of optimizers: what is hidden in one is hidden in all.
function optimizerLegend(figure, kind = "") {
  const entries = optimizers.shown.map((name, code) => [name, toneOf(code), kind]);
  const codeOf = (name) => optimizers.shown.indexOf(name);
  toggles(
    figure,
    entries,
    (name) => state.hidden.has(codeOf(name)),
    (name) => {
      const code = codeOf(name);
      state.hidden.has(code) ? state.hidden.delete(code) : state.hidden.add(code);
      redraw("loss", "rates", "time");
    },
  );
}

// Where the target is among distances to the lowest loss, and its line; none where no distance is as small.
const targetDistance = () => (run.target === null ? null : distance(run.target));
const targetLine = () => (targetDistance() > 0 ? [across(targetDistance(), "target")] : []);
// Lines of losses on held-out samples are dashed.
const HELD_OUT_DASH = "4px,3px";
function heldOutLegend(figure) {
  if (!heldOutSteps) return;
  const entry = make("span", {}, swatch(color("ink"), "dashes"), "on held-out samples");
  figure.querySelector(".legend").append(entry);
}

function targetLegend(figure) {
  if (run.target === null) return;
  const entry = make("span", {}, swatch(color("target"), "dashes"), `target ${text(run.target)}`);
  figure.querySelector(".legend").append(entry);
}
