"use strict";
// The chart of the data and the curves fitted to them.

const fit = run.fit;

function paintFit(plot, figure) {
  const [x, y, at] = [fit.x, fit.y, fit.at].map((packed) => Array.from((packed.numbers ??= unpack(packed))));
  const { runs } = fit;
  const [low, high] = [Math.min(...y), Math.max(...y)];
  const [left, right] = [Math.min(...x), Math.max(...x)];
  const [room, side] = [0.12 * (high - low || 1), 0.02 * (right - left || 1)];
  const traces = [];
  if (fit.several)
    traces.push({
      type: "scatter",
      mode: "lines",
      x: [low, high],
      y: [low, high],
      hoverinfo: "skip",
      line: { color: color("data"), width: 1 },
    });
  else
    traces.push({
      type: "scatter",
      mode: "markers",
      x,
      y,
      marker: { color: color("data"), size: 4 },
      hovertemplate: "%{x:.4g}, %{y:.4g}<extra></extra>",
    });
  const lines = [];
  let next = 0;
  for (const one of runs) {
    const curve = orNull((one.curve.numbers ??= unpack(one.curve)));
    const name = `${one.start}, ${count(one.samples, "sample")} seen, loss ${text(one.loss)}`;
    traces.push({
      type: "scatter",
      mode: fit.several ? "markers" : "lines",
      x: at,
      y: curve,
      text: literal(name),
      hoverinfo: "text",
      line: {
        color: visible(one.color),
        width: 2,
        dash: runs.length > 1 ? ["solid", "8px,4px", "2px,3px", "10px,3px,2px,3px"][next++ % 4] : "solid",
      },
      marker: { color: visible(one.color), size: 4 },
    });
    lines.push([name, visible(one.color), fit.several ? "dot" : ""]);
  }
  draw(plot, traces, {
    xaxis: axis(fit.several ? `${fit.names[1]}, observed` : fit.names[0], { range: [left - side, right + side] }),
    yaxis: axis(fit.several ? `${fit.names[1]}, predicted` : fit.names[1], { range: [low - room, high + room] }),
  });
  legend(figure, [
    [fit.several ? "exact" : count(fit.samples, "sample"), color("data"), fit.several ? "" : "dot"],
    ...lines,
  ]);
  return `The data and the curve fitted by the best run from ${runs.length > 1 ? `each of ${runs.length} starts` : "its start"}.`;
}
