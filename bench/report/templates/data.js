"use strict";
// The data of the page: packed columns become typed arrays, and charts get the parts that they share.

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

// The heights of the lines of charts, which are steps on a logarithmic scale; null is a gap.
function unpackLines({ low, unit, counts, moves }) {
  const all = unpack(moves);
  let place = 0;
  return Array.from(unpack(counts), (count) => {
    let step = 0;
    return Array.from(all.subarray(place, (place += count)), (move) => {
      step += move % 2 ? -(move + 1) / 2 : move / 2;
      return step ? 10 ** (low + (step - 1) * unit) : null;
    });
  });
}

// Parts that several charts share stand once, and so do the heights of lines.
function restore() {
  const [parts, lines] = [[], unpackLines(run.lines)];
  const restored = (part) => {
    if (part === null || typeof part !== "object") return part;
    if (Array.isArray(part)) return typeof part[0] === "number" ? part : part.map(restored);
    if ("part" in part) return parts[part.part];
    if ("line" in part) return lines[part.line];
    return Object.fromEntries(Object.entries(part).map(([name, value]) => [name, restored(value)]));
  };
  for (const part of run.parts) parts.push(restored(part));
  Object.assign(run, restored(run.pooled));
}
restore();

// Four significant digits, thousands separated, powers of ten from a million on and below 1e-4, as in the other reports:
// what is counted or played here.
function text(value) {
  const rounded = Number(value.toPrecision(4));
  if (rounded === 0) return "0";
  const size = Math.abs(rounded);
  if (size < 1e-4 || size >= 1e6) return rounded.toExponential().replace("e+", "e");
  return size >= 1000 ? Math.round(value).toLocaleString("en-US") : String(Number(rounded.toFixed(7)));
}

function count(number, noun) {
  return `${text(number)} ${noun}${number === 1 ? "" : "s"}`;
}
