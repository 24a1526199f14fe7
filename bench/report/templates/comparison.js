"use strict";
// The chart of the page that compares runs: the loss of each run at its best choice.

const hidden = new Set();
const scales = { x: true, y: true };

function paint(plot, figure) {
  drawChart(plot, run.losses, { isShown: ({ group }) => !hidden.has(group), log: scales });
  const entries = run.losses.keys.map(({ name, color: tone }) => [name, visible(tone)]);
  toggles(figure, entries, hidden, ["loss"]);
  return run.losses.caption;
}

if (run.losses) {
  chart("loss", paint);
  offerScales("loss", scales);
}
drawWhenSeen();
