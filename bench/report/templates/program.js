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
  exp: Math.exp,
  log: Math.log,
  sin: Math.sin,
  cos: Math.cos,
  tan: Math.tan,
  tanh: Math.tanh,
  arcsin: Math.asin,
  arccos: Math.acos,
  arctan: Math.atan,
};

// The model minus y at every sample: `inputs` are columns, `theta` numbers, `y` either.
function residuals(program, theta, inputs, y) {
  const size = inputs[0].length;
  const values = [...theta, ...inputs, y, ...program.constants];
  for (const [name, one, other] of program.steps)
    values.push(elementwise(FUNCTIONS[name], values[one], values[other], size));
  const found = values[program.residual];
  return typeof found === "number" ? new Float64Array(size).fill(found) : found;
}

function elementwise(compute, one, other, size) {
  const [isColumn, isOtherColumn] = [one, other].map((value) => typeof value === "object");
  if (!isColumn && !isOtherColumn) return compute(one, other);
  const found = new Float64Array(size);
  for (let i = 0; i < size; i++) found[i] = compute(isColumn ? one[i] : one, isOtherColumn ? other[i] : other);
  return found;
}

function meanSquare(values) {
  let sum = 0;
  for (const value of values) sum += value * value;
  return sum / values.length;
}
