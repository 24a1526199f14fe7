"use strict";
// The chart of the page that compares runs: the loss of each run at its best choice.

const hidden = new Set();
const scales = { x: true, y: true };
const runLines = run.losses.lines.map(readLine);

function paint(plot, figure) {
  for (const line of runLines) line.tone = visible(line.color);
  const lines = runLines.filter(({ name }) => !hidden.has(name));
  drawBands(plot, lines, run.losses, "samples", scales, run.target === null ? [] : [across(run.target, "target")]);
  const entries = runLines.map(({ name, tone }) => [name, tone]);
  toggles(figure, entries, hidden, ["loss"]);
  return (
    "Median and 10–90 % over all starts and seeds of the best choice. " +
    "A band is drawn no higher and no lower than its line goes. " +
    "Losses of standardized data are in standardized units."
  );
}

offerThemes();
offerCopies();
if (runLines.length) {
  chart("loss", paint);
  offerScales(charts.get("loss").figure, scales, "loss");
}
drawWhenSeen();
root.dataset.interactive = performance.now().toFixed(1);
