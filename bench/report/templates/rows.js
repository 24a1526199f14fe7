"use strict";
// The rows of the run: settings, outcomes, loss curves, and what the run's ranking of choices says.

const settings = {};
for (const [name, packed] of [...Object.entries(run.settings), ["status", run.status]]) {
  settings[name] = { ...packed, codes: unpack(packed.codes) };
}
const numbers = Object.fromEntries(Object.entries(run.numbers).map(([name, packed]) => [name, unpack(packed)]));
const ids = unpack(run.ids);
const starts = { values: unpack(run.starts.values), codes: unpack(run.starts.codes), size: run.starts.size };
const everyRow = Uint32Array.from({ length: run.count }, (_, row) => row);
const isStatus = (row, status) => settings.status.values[settings.status.codes[row]] === status;

const shown = (name, row) => settings[name].shown[settings[name].codes[row]];
const varies = (name) => name in settings && settings[name].values.length > 1;
const idOf = (row) =>
  [...ids.subarray(8 * row, 8 * row + 8)].map((byte) => byte.toString(16).padStart(2, "0")).join("");

// The rows whose settings have these codes; null stands for any.
function rowsWith(codes) {
  const wanted = Object.entries(codes).filter(([, code]) => code !== null);
  return everyRow.filter((row) => wanted.every(([name, code]) => settings[name].codes[row] === code));
}

const CHOICE = ["optimizer", "lr", "schedule", "batch_size", "shuffle", ...("dtype" in settings ? ["dtype"] : [])];
const PLAYED = [...CHOICE, "init"];
const codesOf = (row) => Object.fromEntries(CHOICE.map((name) => [name, settings[name].codes[row]]));

const startOptions = run.families.names.map((name, code) => [code, name]);

// A choice in words, from the codes of its settings.
function choice(codes) {
  const word = (name) => settings[name].shown[codes[name]];
  const named = ["schedule", "shuffle", "dtype"].filter(varies).map(word);
  return [word("optimizer"), `learning rate ${word("lr")}`, `batch size ${word("batch_size")}`, ...named].join(", ");
}

const curveCounts = unpack(run.curves.counts);
const curveSteps = unpack(run.curves.losses);
const heldOutSteps = run.curves.held_out ? unpack(run.curves.held_out) : null;
const curveStarts = new Uint32Array(run.count + 1);
curveCounts.forEach((many, row) => (curveStarts[row + 1] = curveStarts[row] + many));

// Where a row has its losses: at the stored checkpoints of its batch size, and at its last one. A loss that is not
// finite is NaN. Where there are held-out samples, `heldOut` are the losses on them.
function curve(row) {
  const own = (steps) => steps.subarray(curveStarts[row], curveStarts[row + 1]);
  const steps = own(curveSteps);
  const checkpoints = run.curves.checkpoints[settings.batch_size.codes[row]];
  const lossOfStep = (step) => {
    if (step === 0) return NaN;
    return (step === 1 ? 0 : 10 ** (run.curves.low + (step - 2) * run.curves.unit)) + run.lowest;
  };
  return {
    samples: Array.from(steps, (_, i) => (i < steps.length - 1 ? checkpoints[i] : numbers.samples_seen[row])),
    losses: Array.from(steps, lossOfStep),
    ...(heldOutSteps ? { heldOut: Array.from(own(heldOutSteps), lossOfStep) } : {}),
  };
}
