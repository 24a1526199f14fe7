"use strict";
// The data of the page: packed columns become typed arrays, and numbers become text as in the other reports.

const KINDS = { f8: Float64Array, f4: Float32Array, u1: Uint8Array, u2: Uint16Array, u4: Uint32Array };

// The first bytes of all numbers come first, then the second ones, and so on.
function unpack({ type, data }) {
  const planes = atob(data);
  const width = KINDS[type].BYTES_PER_ELEMENT;
  const count = planes.length / width;
  const bytes = new Uint8Array(planes.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = planes.charCodeAt((i % width) * count + Math.floor(i / width));
  return new KINDS[type](bytes.buffer);
}

// Lists that several charts share stand once.
function pooled(part) {
  if (part === null || typeof part !== "object") return part;
  if (Array.isArray(part)) return part.map(pooled);
  if ("list" in part) return run.lists[part.list];
  return Object.fromEntries(Object.entries(part).map(([name, value]) => [name, pooled(value)]));
}
if (run.pooled) Object.assign(run, pooled(run.pooled));

// Four significant digits, thousands separated, powers of ten from a million on and below 1e-4.
function text(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (typeof value !== "number") return String(value);
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "-∞";
  const rounded = Number(value.toPrecision(4));
  if (rounded === 0) return "0";
  const size = Math.abs(rounded);
  if (size < 1e-4 || size >= 1e6) return rounded.toExponential().replace("e+", "e");
  return size >= 1000 ? Math.round(value).toLocaleString("en-US") : String(Number(rounded.toFixed(7)));
}

function duration(seconds) {
  if (!Number.isFinite(seconds)) return text(seconds);
  const [unit, factor] = [
    ["ns", 1e9],
    ["µs", 1e6],
    ["ms", 1e3],
    ["s", 1],
  ].find(([name, scale]) => name === "s" || Math.abs(seconds) * scale < 999.5);
  return `${text(Number((seconds * factor).toPrecision(3)))} ${unit}`;
}

function count(number, noun) {
  return `${text(number)} ${noun}${number === 1 ? "" : "s"}`;
}

// Losses are drawn by their distances to the lowest that the model can reach, where that is far enough from 0.
const distance = (loss) => (run.lowest ? Math.max(loss - run.lowest, 0) : loss);
const lossTitle = () => inTwoLines(run.loss_title);

// The range of distances in decades, without those that diverge and those far below the target.
function lossRange(losses, first, target) {
  const positive = losses.filter((loss) => loss > 0 && Number.isFinite(loss));
  if (!positive.length) return [-1, 1];
  const begun = first.filter(Number.isFinite);
  const smallest = positive.reduce((one, other) => Math.min(one, other));
  const largest = positive.reduce((one, other) => Math.max(one, other));
  const bottom = Math.log10(Math.max(smallest, target ? target / 100 : 0));
  const top = Math.log10(Math.max(begun.length ? Math.min(largest, 1000 * Math.max(...begun)) : largest, target ?? 0));
  const margin = 0.04 * Math.max(top - bottom, 0.2);
  return [bottom - margin, Math.max(top, bottom) + margin];
}
