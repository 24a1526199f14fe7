"use strict";
// The chart of the data and the curves fitted to them.

const { fit } = run;
const FIT_DASHES = ["solid", "8px,4px", "2px,3px", "10px,3px,2px,3px"];

function paintFit(plot, figure) {
  const [x, y, at] = [fit.x, fit.y, fit.at].map((packed) => Array.from(unpack(packed)));
  const { several, titles, limits } = fit;
  const ends = [Math.min(...x), Math.max(...x)];
  const side = 0.02 * (ends[1] - ends[0] || 1);
  const data = several
    ? { mode: "lines", x: ends, y: ends, hoverinfo: "skip", line: { color: color("data"), width: 1 } }
    : { mode: "markers", x, y, marker: { color: color("data"), size: 4 }, hovertemplate: "%{x:.4g}, %{y:.4g}<extra></extra>" };
  const curves = fit.runs.map(({ name, color: tone, curve }, i) => ({
    mode: several ? "markers" : "lines",
    ...{ x: at, y: orNull(unpack(curve)), text: literal(name), hoverinfo: "text" },
    line: { color: visible(tone), width: 2, dash: FIT_DASHES[fit.runs.length > 1 ? i % 4 : 0] },
    marker: { color: visible(tone), size: 4 },
  }));
  const traces = [data, ...curves].map((one) => ({ type: "scatter", ...one }));
  draw(plot, traces, {
    xaxis: axis(titles[0], { range: [ends[0] - side, ends[1] + side] }),
    yaxis: axis(titles[1], { range: limits }),
  });
  legend(figure, [
    [several ? "exact" : fit.data, color("data"), several ? "" : "dot"],
    ...fit.runs.map(({ name, color: tone }) => [name, visible(tone), several ? "dot" : ""]),
  ]);
  return fit.caption;
}
