"use strict";
// The chart of the page that compares runs: the loss of each run at its best choice.

const hidden = new Set();
const scales = { x: false, y: true };

function paint(plot, figure) {
  const shown = run.runs.filter((one) => !hidden.has(one.name));
  const values = shown.flatMap((one) => [...one.low, ...one.median, ...one.high]).map((value) => value ?? NaN);
  const targets = [...new Set(shown.map((one) => one.target))];
  const target = targets.length === 1 ? targets[0] : null;
  const range = lossRange(
    values,
    shown.map((one) => one.median[0] ?? NaN),
    target,
  );
  const limits = [scales.y ? 10 ** (range[0] - 1) : 0, 10 ** (range[1] + 1)];
  const along = (one) => one.epochs.map((epoch) => (scales.x && epoch === 0 ? null : epoch));
  const bands = shown.map((one) =>
    ribbon(
      along(one),
      one.low.map((value) => value ?? NaN),
      one.high.map((value) => value ?? Infinity),
      visible(one.color),
      limits,
    ),
  );
  const lines = shown.map((one) => ({
    type: "scatter",
    mode: "lines",
    x: along(one),
    y: one.median.map((value) => (value > 0 || !scales.y ? value : null)),
    hoverinfo: "text",
    text: one.epochs.map((epoch, i) => `${literal(one.name)}, epoch ${epoch}<br>median ${text(one.median[i])}`),
    line: { width: 2.2, color: visible(one.color) },
  }));
  draw(plot, [...bands, ...lines], {
    xaxis: axis("epoch", { log: scales.x, rangemode: scales.x ? "normal" : "tozero" }),
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
    "Median and 10–90 % band over all starts and seeds of the best choice. " +
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
