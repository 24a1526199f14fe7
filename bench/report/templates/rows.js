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
function rowsWith(codes, rows = everyRow) {
  const wanted = Object.entries(codes).filter(([, code]) => code !== null);
  return rows.filter((row) => wanted.every(([name, code]) => settings[name].codes[row] === code));
}

// From the codes of some settings to the rows that share them.
function grouped(rows, names) {
  const groups = new Map();
  for (const row of rows) {
    const key = names.map((name) => settings[name].codes[row]).join();
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(row);
  }
  return [...groups.values()];
}

// Seconds are updates times the measured time of an update; NaN where it was not measured.
const secondsPerUpdate = (row) => numbers.seconds[row] / numbers.updates[row];

// 10 %, median and 90 %.
function spread(values) {
  const [low, middle, high] = quantiles(values, [0.1, 0.5, 0.9]);
  return { low, middle, high };
}

// The outcome of rows that repeat one choice: what they cost to the target, and the losses that they end with.
function outcome(rows) {
  const of = (name) => Array.from(rows, (row) => numbers[name][row]);
  const seconds = Array.from(rows, (row) => numbers.updates_to_target[row] * secondsPerUpdate(row));
  return {
    rows,
    runs: rows.length,
    converged: rows.filter((row) => isStatus(row, "converged")).length,
    diverged: rows.filter((row) => isStatus(row, "diverged")).length,
    samples: spread(of("samples_to_target")),
    updates: spread(of("updates_to_target")),
    seconds: spread(seconds),
    loss: spread(of("final_loss")),
    ...(numbers.validation_loss ? { heldOut: spread(of("validation_loss")) } : {}),
  };
}

const CHOICE = ["optimizer", "lr", "schedule", "batch_size", "shuffle", ...("dtype" in settings ? ["dtype"] : [])];
const PLAYED = [...CHOICE, "init"];

// The outcome of the choice that comes first in the run's ranking, of those that the rows repeat.
const ranks = unpack(run.ranks);

function best(rows) {
  const first = rows.reduce((least, row) => Math.min(least, ranks[row]), Infinity);
  return rows.length ? outcome(Array.from(rows).filter((row) => ranks[row] === first)) : null;
}

function choice(row) {
  const named = ["schedule", "shuffle", "dtype"].filter(varies).map((name) => shown(name, row));
  return [
    shown("optimizer", row),
    `learning rate ${shown("lr", row)}`,
    `batch size ${shown("batch_size", row)}`,
    ...named,
  ].join(", ");
}

const curveCounts = unpack(run.curves.counts);
const curveSteps = unpack(run.curves.losses);
const heldOutSteps = run.curves.held_out ? unpack(run.curves.held_out) : null;
const curveStarts = new Uint32Array(run.count + 1);
curveCounts.forEach((many, row) => (curveStarts[row + 1] = curveStarts[row] + many));

// Where a row has its losses: at the stored marks of its batch size, and at its last one. A loss that is not finite is NaN.
// Where there are held-out samples, `heldOut` are the losses on them.
function curve(row) {
  const own = (steps) => steps.subarray(curveStarts[row], curveStarts[row + 1]);
  const steps = own(curveSteps);
  const marks = run.curves.marks[settings.batch_size.codes[row]];
  const until = (kept, last) => Array.from(steps, (_, i) => (i < steps.length - 1 ? kept[i] : last));
  const lossOfStep = (step) => {
    if (step === 0) return NaN;
    return (step === 1 ? 0 : 10 ** (run.curves.low + (step - 2) * run.curves.unit)) + run.lowest;
  };
  return {
    samples: until(marks.samples, numbers.samples_seen[row]),
    updates: until(marks.updates, numbers.updates[row]),
    losses: Array.from(steps, lossOfStep),
    ...(heldOutSteps ? { heldOut: Array.from(own(heldOutSteps), lossOfStep) } : {}),
  };
}

// 10 %, median and 90 % of the runs of a choice, mark by mark. A run that stopped keeps its last loss; one that
// diverged counts as infinite.
function band(rows, name = "losses") {
  const curves = rows.map(curve);
  const longest = rows.reduce((one, row) => (numbers.samples_seen[row] > numbers.samples_seen[one] ? row : one));
  const last = numbers.samples_seen[longest];
  const marks = run.curves.marks[settings.batch_size.codes[longest]];
  const kept = marks.samples.filter((seen) => seen < last).length;
  const samples = [...marks.samples.slice(0, kept), last];
  const updates = [...marks.updates.slice(0, kept), numbers.updates[longest]];
  const places = curves.map(() => 0);
  const losses = samples.map((seen) =>
    curves.map((one, k) => {
      while (places[k] < one.samples.length - 1 && one.samples[places[k] + 1] <= seen) places[k]++;
      const over = seen > numbers.samples_seen[rows[k]];
      return over && isStatus(rows[k], "diverged") ? NaN : one[name][places[k]];
    }),
  );
  const [low, median, high] = [0.1, 0.5, 0.9].map((share) => losses.map((values) => quantiles(values, [share])[0]));
  return { samples, updates, low, median, high };
}
