"use strict";
// What single runs are drawn against: samples seen, on an axis that may be logarithmic.

// 1,600 as 1.6k, where there is little room.
function short(value) {
  if (!Number.isFinite(value) || Math.abs(value) < 1000) return text(Number(Number(value).toPrecision(3)));
  const [factor, unit] = Math.abs(value) < 999500 ? [1e3, "k"] : [1e6, "M"];
  return Math.abs(value) < 1e9 ? `${Number((value / factor).toPrecision(2))}${unit}` : text(Number(value.toPrecision(2)));
}

// The start has no place on a logarithmic axis, and is drawn at its left edge, half as far as the first checkpoint.
const leftEdge = (times) => times.reduce((least, time) => (time > 0 ? Math.min(least, time) : least), Infinity) / 2;

function alongClock(times, edge, log) {
  return times.map((time) => (log ? Math.max(time, edge) : time));
}

// An axis from the start to `end`, on a chart of some width in pixels.
function clockAxis({ log, edge, end, width }) {
  if (!(end > edge)) return axis("samples seen", { rangemode: "tozero" });
  if (!log) return axis("samples seen", { range: [0, 1.02 * end] });
  const view = [Math.log10(edge), Math.log10(end) + 0.03];
  const { tickvals, ticktext } = ticks(...view, short, Math.max(2, Math.floor((width || 600) / 42)));
  const inside = tickvals.map((value) => value > 1.7 * edge);
  return axis("samples seen", {
    log,
    range: view,
    tickvals: [edge, ...tickvals.filter((_, i) => inside[i])],
    ticktext: ["0", ...ticktext.filter((_, i) => inside[i])],
    tickangle: 0,
  });
}

// Losses from the bottom of a logarithmic axis on: lines to lower ones, or to zero, would end before they get there.
const atLeast = (losses, bottom) => losses.map((loss) => (Number.isFinite(loss) ? Math.max(loss, bottom) : null));

// Lines of losses on held-out samples are dashed.
const HELD_OUT_DASH = "4px,3px";
