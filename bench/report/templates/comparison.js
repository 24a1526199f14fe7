"use strict";
// The chart of the page that compares runs: the loss of each run at its best choice.

const hidden = new Set();
const scales = { x: true, y: true };

function paint(plot, figure) {
  const shown = run.runs.filter((one) => !hidden.has(one.name));
  const values = shown.flatMap((one) => one.median).map((value) => value ?? NaN);
  const targets = [...new Set(shown.map((one) => one.target))];
  const target = targets.length === 1 ? targets[0] : null;
  const begun = shown.map((one) => one.median[0] ?? NaN);
  const range = lossRange(values, begun, target);
  const edge = leftEdge(shown.flatMap((one) => one.samples));
  const traces = shown.map((one) => {
    const tone = visible(one.color);
    const x = alongClock(one.samples, edge, scales.x);
    const y = one.median.map((value) => (value > 0 || !scales.y ? value : null));
    const low = one.low.map((value) => value ?? NaN);
    const high = one.high.map((value) => value ?? Infinity);
    const words = one.samples.map(
      (seen, i) => `${literal(one.name)}, ${count(seen, "sample")}<br>median ${text(one.median[i])}`,
    );
    const line = { width: 2.2, color: tone };
    return [
      ribbon(x, low, high, tone, spanOf(y.map((value) => value ?? NaN), scales.y)),
      { type: "scatter", mode: "lines", x, y, hoverinfo: "text", text: words, line },
    ];
  });
  const end = Math.max(...shown.map((one) => one.samples.at(-1)));
  draw(plot, [...traces.map(([band]) => band), ...traces.map(([, line]) => line)], {
    xaxis: clockAxis(CLOCKS.samples, { log: scales.x, edge, end, width: plot.clientWidth }),
    yaxis: axis("loss", { log: scales.y, range: scales.y ? range : [0, 1.04 * 10 ** range[1]] }),
    shapes: target === null ? [] : [across(target, "target")],
  });
  toggles(
    figure,
    run.runs.map((one) => [one.name, visible(one.color)]),
    (name) => hidden.has(name),
    (name) => {
      hidden.has(name) ? hidden.delete(name) : hidden.add(name);
      redraw("loss");
    },
  );
  return (
    "Median and 10–90 % over all starts and seeds of the best choice. " +
    "A band ends where its curve's own losses end. " +
    "Losses of standardized data are in standardized units."
  );
}

offerThemes();
offerCopies();
chart("loss", paint);
const { figure } = charts.get("loss");
offerScales(figure, scales, "loss", [
  ["x", "x"],
  ["y", "y"],
]);
drawWhenSeen();
root.dataset.interactive = performance.now().toFixed(1);
