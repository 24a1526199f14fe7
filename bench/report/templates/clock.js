"use strict";
// What curves are drawn against: samples seen, updates or time, on an axis that may be logarithmic.

const CLOCKS = {
  samples: { title: "samples seen", noun: "sample", says: text, tick: short },
  updates: { title: "updates", noun: "update", says: text, tick: short },
  seconds: { title: "time", noun: "", says: duration, tick: duration },
};

// 1,600 as 1.6k, where there is little room.
function short(value) {
  if (!Number.isFinite(value) || Math.abs(value) < 1000) return text(Number(Number(value).toPrecision(3)));
  const [factor, unit] = Math.abs(value) < 999500 ? [1e3, "k"] : [1e6, "M"];
  return Math.abs(value) < 1e9 ? `${Number((value / factor).toPrecision(2))}${unit}` : text(Number(value.toPrecision(2)));
}

// The start has no place on a logarithmic axis, and is drawn at its left edge, half as far as the first mark.
const leftEdge = (times) => times.reduce((least, time) => (time > 0 ? Math.min(least, time) : least), Infinity) / 2;

function alongClock(times, edge, log) {
  return times.map((time) => (log ? Math.max(time, edge) : time));
}

// An axis from the start to `end`, on a chart of some width in pixels.
function clockAxis(clock, { log, edge, end, width }) {
  if (!(end > edge)) return axis(clock.title, { rangemode: "tozero" });
  if (!log) return axis(clock.title, { range: [0, 1.02 * end], ...(clock.noun ? {} : secondTicks(end)) });
  const view = [Math.log10(edge), Math.log10(end) + 0.03];
  const { tickvals, ticktext } = ticks(...view, clock.tick, Math.max(2, Math.floor((width || 600) / (clock.noun ? 42 : 70))));
  const inside = tickvals.map((value) => value > 1.7 * edge);
  return axis(clock.title, {
    log,
    range: view,
    tickvals: [edge, ...tickvals.filter((_, i) => inside[i])],
    ticktext: ["0", ...ticktext.filter((_, i) => inside[i])],
    tickangle: 0,
  });
}

// Ticks in a unit that suits the longest time: "20 µs" rather than "20µs" or "2e-5".
function secondTicks(end) {
  const step = [1, 2, 5, 10].map((digit) => digit * 10 ** Math.floor(Math.log10(end / 5))).find((one) => end / one <= 6);
  const tickvals = Array.from({ length: Math.floor(end / step) + 1 }, (_, i) => i * step);
  return { tickvals, ticktext: tickvals.map((value) => (value ? duration(value) : "0")) };
}
