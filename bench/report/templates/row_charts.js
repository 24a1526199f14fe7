"use strict";
// Charts with a row for each name, which come as they are in the figures: ratios with intervals, or bars of shares.

function paintRows(plot, chart) {
  const { rows, title, limits, bars, caption } = chart;
  plot.style.height = `${100 + (bars ? 40 : 46) * rows.length}px`;
  const range = bars ? [0, 115 * Math.max(...rows.map(({ value }) => value))] : limits.map(Math.log10);
  const traces = rows.map(({ name, color: own, value, low, high, words }, place) => {
    const tone = visible(own);
    const shown = { x: [bars ? 100 * value : value], y: [place], hoverinfo: "text", hovertext: literal(`${name}: ${words.join("; ")}`) };
    if (bars) {
      const text = [`${Math.round(100 * value)} %`];
      return { type: "bar", orientation: "h", width: 0.6, marker: { color: tone }, ...shown, text, textposition: "outside", cliponaxis: false };
    }
    const ends = { array: [(high ?? (low === null ? value : 10 * limits[1])) - value], arrayminus: [value - (low ?? value)] };
    const error_x = { type: "data", symmetric: false, color: tone, thickness: 3, width: 0, ...ends };
    return { type: "scatter", mode: "markers", marker: { color: tone, size: 11 }, ...shown, error_x };
  });
  const best = { type: "line", x0: 1, x1: 1, yref: "paper", y0: 0, y1: 1, layer: "below" };
  const { tickvals, ticktext } = ticks(...range);
  const scale = bars ? { ticksuffix: " %" } : { log: true, tickvals, ticktext: ticktext.map((one) => `${one}×`) };
  draw(plot, traces, {
    xaxis: axis(title, { range, ...scale }),
    yaxis: axis("", {
      range: [rows.length - 0.5, -0.5],
      tickvals: rows.map((_, place) => place),
      ticktext: rows.map(({ name }) => literal(name)),
    }),
    shapes: bars ? [] : [{ ...best, line: { color: color("target"), width: 1.5, dash: "6px,4px" } }],
  });
  return caption;
}
