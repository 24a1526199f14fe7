"use strict";
// The rows of the run: settings, outcomes, loss curves, and the ranking of choices.

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
const varies = (name) => settings[name].values.length > 1;
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

// The outcome of rows that repeat one choice.
function outcome(rows) {
  const of = (name) => Array.from(rows, (row) => numbers[name][row]);
  const converged = rows.filter((row) => isStatus(row, "converged"));
  const [low, epochs, high] = quantiles(of("epochs_to_target"), [0.1, 0.5, 0.9]);
  const [best, loss, worst] = quantiles(of("final_loss"), [0.1, 0.5, 0.9]);
  return {
    rows,
    low,
    epochs,
    high,
    best,
    loss,
    worst,
    runs: rows.length,
    converged: converged.length,
    diverged: rows.filter((row) => isStatus(row, "diverged")).length,
    slowest: Math.max(...converged.map((row) => numbers.epochs_to_target[row])),
  };
}

// Ranks as the tables do: by the share of runs that reached the target, then by epochs, then by loss.
function better(one, other) {
  const [share, others] = [one.converged / one.runs, other.converged / other.runs];
  if (share !== others) return share > others;
  if (one.epochs !== other.epochs) return one.epochs < other.epochs;
  return one.loss < other.loss;
}

const CHOICE = ["optimizer", "lr", "schedule", "batch_size", "shuffle"];

function best(rows) {
  return grouped(rows, CHOICE)
    .map(outcome)
    .reduce((one, other) => (one && !better(other, one) ? one : other), null);
}

function choice(row) {
  const named = ["schedule", "shuffle"].filter(varies).map((name) => shown(name, row));
  return [
    shown("optimizer", row),
    `learning rate ${shown("lr", row)}`,
    `batch size ${shown("batch_size", row)}`,
    ...named,
  ].join(", ");
}

const curveCounts = unpack(run.curves.counts);
const curveSteps = unpack(run.curves.losses);
const curveStarts = new Uint32Array(run.count + 1);
curveCounts.forEach((many, row) => (curveStarts[row + 1] = curveStarts[row] + many));

// Epochs and losses of a row: those of the grid, and the last one. A loss that is not finite is NaN.
function curve(row) {
  const steps = curveSteps.subarray(curveStarts[row], curveStarts[row + 1]);
  const epochs = Array.from(steps, (_, i) => (i < steps.length - 1 ? run.curves.grid[i] : numbers.epochs[row]));
  const losses = Array.from(steps, (step) => {
    if (step === 0) return NaN;
    return step === 1 ? 0 : 10 ** (run.curves.low + (step - 2) * run.curves.unit);
  });
  return { epochs, losses };
}

// 10 %, median and 90 % of several runs, epoch by epoch. A run that stopped keeps its last loss; one that diverged counts as infinite.
function band(rows) {
  const curves = rows.map(curve);
  const last = Math.max(...rows.map((row) => numbers.epochs[row]));
  const epochs = [...new Set([...run.curves.grid.filter((epoch) => epoch < last), last])];
  const places = curves.map(() => 0);
  const losses = epochs.map((epoch) =>
    curves.map((one, k) => {
      while (places[k] < one.epochs.length - 1 && one.epochs[places[k] + 1] <= epoch) places[k]++;
      const over = epoch > numbers.epochs[rows[k]];
      return over && isStatus(rows[k], "diverged") ? NaN : one.losses[places[k]];
    }),
  );
  const [low, median, high] = [0.1, 0.5, 0.9].map((share) => losses.map((values) => quantiles(values, [share])[0]));
  return { epochs, low, median, high };
}
