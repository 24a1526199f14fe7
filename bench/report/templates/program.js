"use strict";
// The model as a program of a few elementary functions, which come as data and are looked up here: no text is run.

const FUNCTIONS = {
  __proto__: null,
  add: (one, other) => one + other,
  subtract: (one, other) => one - other,
  multiply: (one, other) => one * other,
  divide: (one, other) => one / other,
  power: (one, other) => one ** other,
  negative: (one) => -one,
  absolute: Math.abs,
  sign: Math.sign,
  sqrt: Math.sqrt,
  less: (one, other) => Number(one < other),
  less_equal: (one, other) => Number(one <= other),
  where: (condition, one, other) => (condition !== 0 ? one : other),
  maximum: (one, other) => (other > one || Number.isNaN(other) ? other : one),
  minimum: (one, other) => (other < one || Number.isNaN(other) ? other : one),
  exp: Math.exp,
  expm1: Math.expm1,
  log: Math.log,
  log1p: Math.log1p,
  sin: Math.sin,
  cos: Math.cos,
  tan: Math.tan,
  sinh: Math.sinh,
  cosh: Math.cosh,
  tanh: Math.tanh,
  erf,
  arcsin: Math.asin,
  arccos: Math.acos,
  arctan: Math.atan,
};

// The model minus y at every sample: `inputs` are columns, `theta` numbers, `y` either.
function residuals(program, theta, inputs, y) {
  const size = inputs[0].length;
  const values = [...theta, ...inputs, y, ...program.constants];
  for (const [name, ...operands] of program.steps) {
    const given = operands.map((operand) => values[operand]);
    values.push(elementwise(FUNCTIONS[name], given, size));
  }
  const found = values[program.residual];
  return typeof found === "number" ? new Float64Array(size).fill(found) : found;
}

function elementwise(compute, operands, size) {
  const [one, other, third] = operands;
  const [isColumn, isOtherColumn, isThirdColumn] = [one, other, third].map((value) => typeof value === "object");
  if (!isColumn && !isOtherColumn && !isThirdColumn) return compute(one, other, third);
  const found = new Float64Array(size);
  for (let i = 0; i < size; i++)
    found[i] = compute(isColumn ? one[i] : one, isOtherColumn ? other[i] : other, isThirdColumn ? third[i] : third);
  return found;
}

// JavaScript has no error function. Its power series up to 3, and from there the continued fraction of 1 - erf.
function erf(u) {
  const size = Math.abs(u);
  if (!(size < 3)) return size < 6 ? Math.sign(u) * (1 - tailOfErf(size)) : Math.sign(u);
  let [sum, term] = [size, size];
  for (let n = 1; Math.abs(term) > 1e-17 * sum; n++) {
    term *= (2 * size * size) / (2 * n + 1);
    sum += term;
  }
  return Math.sign(u) * (2 / Math.sqrt(Math.PI)) * Math.exp(-size * size) * sum;
}

function tailOfErf(size) {
  let fraction = size;
  for (let n = 60; n > 0; n--) fraction = size + n / 2 / fraction;
  return Math.exp(-size * size) / (fraction * Math.sqrt(Math.PI));
}

// The losses of a prediction and its target, as in kernels/losses/prediction_losses.py, and the targets that some expect.
const LOSS_VALUES = {
  __proto__: null,
  logistic: (prediction, target) => {
    const side = (1 - 2 * target) * prediction;
    return Math.max(side, 0) + Math.log1p(Math.exp(-Math.abs(side)));
  },
  hinge: (prediction, target) => Math.max(1 - (2 * target - 1) * prediction, 0),
  poisson: (prediction, target) =>
    Math.max(Math.exp(prediction) - target * prediction + (target && target * Math.log(target)) - target, 0),
  objective: (prediction) => prediction,
};
// The losses of a residual, as in kernels/losses/residual_losses.py.
const RESIDUAL_VALUES = {
  __proto__: null,
  huber: (r, [delta]) => {
    const clipped = Math.min(Math.abs(r), delta);
    return clipped * (Math.abs(r) - 0.5 * clipped);
  },
  logcosh: (r) => Math.log1p(2 * Math.sinh(0.5 * Math.min(Math.abs(r), 20)) ** 2) + Math.max(Math.abs(r) - 20, 0),
  absolute: (r) => Math.abs(r),
  quantile: (r, [tau]) => Math.max((1 - tau) * r, -tau * r),
  cauchy: (r, [scale]) => 0.5 * scale * scale * Math.log1p((r / scale) ** 2),
  epsilon_insensitive: (r, [epsilon]) => Math.max(Math.abs(r) - epsilon, 0),
};
const MEANS = {
  __proto__: null,
  logistic: (prediction) => 1 / (1 + Math.exp(-prediction)),
  poisson: Math.exp,
};

function meanLoss(value, predictions, targets) {
  let sum = 0;
  for (let i = 0; i < predictions.length; i++) sum += value(predictions[i], targets[i]);
  return sum / predictions.length;
}
