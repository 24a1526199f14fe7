"use strict";
// The rows of the run: settings and outcomes, each a column of codes of the values that are shown.

const unpackColumns = (columns) =>
  Object.fromEntries(Object.entries(columns).map(([name, one]) => [name, { ...one, codes: unpack(one.codes) }]));
const settings = unpackColumns(run.settings);
const outcomes = unpackColumns(run.outcomes);
const ids = unpack(run.ids);
const startCodes = unpack(run.start_texts.codes);
const everyRow = Uint32Array.from({ length: run.count }, (_, row) => row);

const varies = (name) => name in settings && settings[name].shown.length > 1;
const idOf = (row) =>
  [...ids.subarray(8 * row, 8 * row + 8)].map((byte) => byte.toString(16).padStart(2, "0")).join("");

// The rows whose settings and outcomes have these codes; null stands for any.
function rowsWith(codes) {
  const wanted = Object.entries(codes).filter(([, code]) => code !== null);
  return everyRow.filter((row) => wanted.every(([name, code]) => (settings[name] ?? outcomes[name]).codes[row] === code));
}

const CHOICE = Object.keys(settings).filter((name) => name !== "init" && name !== "seed");
const PLAYED = [...CHOICE, "init"];

const startOptions = run.starts.map((name, code) => [code, name]);
