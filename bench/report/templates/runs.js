"use strict";
// The runs that the page plays: where each stood at its checkpoints, and the curve and the loss of any parameters.

const play = run.play && readPlay(run.play);

function readPlay(packed) {
  const { codes, params } = packed;
  const own = Object.fromEntries(Object.entries(codes).map(([name, column]) => [name, unpack(column)]));
  const counts = unpack(packed.counts);
  const places = new Map();
  const offsets = [0];
  counts.forEach((count, i) => {
    places.set(PLAYED.map((name) => own[name][i]).join(), i);
    offsets.push(offsets[i] + count);
  });
  return {
    ...packed,
    ...{ places, offsets, starts: [...new Set(own.init)].sort((one, other) => one - other) },
    numbers: unpack(packed.numbers),
    width: params.length + 1,
    inputs: packed.inputs.map(unpack),
    y: unpack(packed.y),
  };
}

// The run with these settings up to where something overflowed, checkpoint by checkpoint; or null.
function findRun(codes) {
  const place = play.places.get(PLAYED.map((name) => codes[name]).join());
  if (place === undefined) return null;
  const [first, end] = [play.offsets[place], play.offsets[place + 1]];
  const rows = Array.from({ length: end - first }, (_, i) =>
    play.numbers.subarray((first + i) * play.width, (first + i + 1) * play.width),
  );
  const whole = rows.findIndex((row) => !row.every(Number.isFinite));
  const kept = whole < 0 ? rows.length : whole;
  if (!kept) return null;
  const chart = run.played[place];
  return {
    ...{ codes, chart, line: chart.panels[0].layers.at(-1) },
    losses: rows.slice(0, kept).map((row) => row[0]),
    params: rows.slice(0, kept).map((row) => Array.from(row.subarray(1))),
  };
}

const toTable = (column, [mean, scale]) => Array.from(column, (value) => mean + scale * value);
const orNull = (values) => Array.from(values, (value) => (Number.isFinite(value) ? value : null));

// The curve of some parameters at columns of inputs, in the table's units.
const predicted = (theta, inputs) => {
  const given = residuals(play.program, theta, inputs, 0);
  return toTable(play.loss in MEANS ? given.map(MEANS[play.loss]) : given, play.scales.y);
};
const lossAt = (theta) => {
  if (play.loss in LOSS_VALUES)
    return meanLoss(LOSS_VALUES[play.loss], residuals(play.program, theta, play.inputs, 0), play.y);
  const given = residuals(play.program, theta, play.inputs, play.y);
  const value = RESIDUAL_VALUES[play.loss] ?? ((residual) => residual * residual);
  return meanLoss((residual) => value(residual, play.options), given, play.y);
};

// The two parameters that move most on a path, and how far the picture of it goes: over the path, cut off far beyond its
// start and most of it. A run that diverges is shown as long as its loss is not a thousand times that of its start.
function planeOf(one) {
  const seen = one.losses.findIndex((loss) => loss > 1000 * one.losses[0]);
  const path = one.params.slice(0, seen < 0 ? undefined : Math.max(2, seen));
  const losses = one.losses.slice(0, path.length);
  const home = path[losses.indexOf(Math.min(...losses))];
  const sides = home.map((_, k) => {
    const values = path.map((theta) => theta[k]);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const distances = values.map((value) => Math.abs(value - home[k]));
    const sorted = [...distances].sort((one, other) => one - other);
    const usual = Math.max(distances[0], sorted[Math.floor(0.8 * (sorted.length - 1))]);
    const reach = 3 * (usual || sorted.at(-1) || Math.abs(home[k]) || 1);
    const [from, to] = [Math.max(low, home[k] - reach), Math.min(high, home[k] + reach)];
    const margin = 0.15 * (to - from) || reach / 3;
    return { moved: high - low, range: [from - margin, to + margin] };
  });
  const order = home.map((_, k) => k).sort((one, other) => sides[other].moved - sides[one].moved || one - other);
  return { home, pair: order.slice(0, 2).sort((one, other) => one - other), sides };
}

const evenly = ([low, high], size) => Array.from({ length: size }, (_, i) => low + ((high - low) * i) / (size - 1));
