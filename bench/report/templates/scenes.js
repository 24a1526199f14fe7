"use strict";
// The three charts of a run that is played: its curve on the data, its losses, its path over the contours of the loss.

const GRID = 51;
const CURVE = 161;
const GHOSTS = 7;
const PLAYED_MARGIN = { l: 8, r: 16, t: 10, b: 8 };
const several = () => play.inputs.length > 1;
const playTone = () => toneOf(state.optimizer);

// Where curves are drawn: over the data and some way beyond, which shows from where the first ones come.
function curveView() {
  const { inputs, y: scale } = play.scales;
  const y = toTable(play.y, scale);
  const [low, high] = [Math.min(...y), Math.max(...y)];
  const room = high - low || 1;
  if (several()) return { at: y, columns: play.inputs, x: [low - 0.05 * room, high + 0.05 * room], data: y, y };
  const x = play.inputs[0];
  const [left, right] = [Math.min(...x), Math.max(...x)];
  const side = 0.1 * (right - left || 1);
  const at = Float64Array.from(evenly([left - side, right + side], CURVE));
  const table = toTable(at, inputs[0]);
  return {
    at: table,
    columns: [at],
    x: [table[0], table.at(-1)].sort((one, other) => one - other),
    data: toTable(x, inputs[0]),
    y,
  };
}

const curveAt = (step) => predicted(player.run.params[step], player.view.columns);

const drawnCurve = (step) => held(orNull(curveAt(step)), player);

function curveRange() {
  // Of several inputs the predictions of the worst checkpoint would decide.
  const [left, right] = player.view.x;
  if (several()) return [left - 0.3 * (right - left), right + 0.3 * (right - left)];
  const [low, high] = [Math.min(...player.view.y), Math.max(...player.view.y)];
  const room = high - low || 1;
  const drawn = someSteps(GHOSTS).flatMap(curveAt).filter(Number.isFinite);
  const [least, most] = [Math.min(low, ...drawn), Math.max(high, ...drawn)];
  return [Math.max(least, low - room) - 0.06 * room, Math.min(most, high + room) + 0.06 * room];
}

function nothingToPlay(plot, words = "") {
  drawChart(plot, NOTHING);
  return words;
}

const lineThrough = ([x, y], look) => ({ type: "scatter", mode: "lines", x, y, hoverinfo: "skip", ...look });

function paintBend(plot) {
  if (!player.run) return nothingToPlay(plot, "Of this run the page holds nothing to draw.");
  const { at, data, x, y } = player.view;
  const tone = playTone();
  const names = [
    several() ? `${play.names.at(-1)}, observed` : play.names[0],
    several() ? `${play.names.at(-1)}, predicted` : play.names.at(-1),
  ];
  const ghosts = several() ? [] : someSteps(GHOSTS).map(drawnCurve);
  const observed = several()
    ? lineThrough([x, x], { line: { color: color("data"), width: 1 } })
    : lineThrough([data, y], { mode: "markers", marker: { color: color("data"), size: 6 } });
  const faint = [ghosts.flatMap(() => [...at, null]), ghosts.flatMap((curve) => [...curve, null])];
  const look = { line: { color: tone, width: 3 }, marker: { color: tone, size: 5 } };
  draw(
    plot,
    [
      observed,
      lineThrough(faint, { line: { color: tone, width: 1 }, opacity: 0.3 }),
      lineThrough([at, drawnCurve(player.step)], { mode: several() ? "markers" : "lines", ...look }),
    ],
    {
      xaxis: axis(names[0], { range: x }),
      yaxis: axis(inTwoLines(names[1]), { range: player.range }),
      margin: PLAYED_MARGIN,
    },
    false,
  );
  return several()
    ? "Predicted against observed values: on the line they agree."
    : "The curve on its data. Faint: the curve at some of the checkpoints.";
}

function fallOf(step) {
  const { chart, line } = player.run;
  const [x, y] = [held(line.x, chart.panels[0].x), line.y]; // the start has no place on a logarithmic axis
  return { done: [x.slice(0, step + 1), y.slice(0, step + 1)], now: [[x[step]], [y[step]]] };
}

function paintFall(plot) {
  if (!player.run) return nothingToPlay(plot);
  const { done, now } = fallOf(player.step);
  drawChart(plot, player.run.chart, { above: linesUpTo(done, now), layout: { margin: PLAYED_MARGIN }, tools: false });
  return player.run.chart.caption;
}

// What has been, and now.
function linesUpTo(done, now) {
  const tone = playTone();
  const dot = { color: tone, size: 11, line: { color: color("paper"), width: 2 } };
  return [
    lineThrough(done, { line: { color: tone, width: 2.4 } }),
    lineThrough(now, { mode: "markers", marker: dot }),
  ];
}

// The path in the plane that is shown; of a single parameter, its loss.
function wayOf(step) {
  const { params, losses } = player.run;
  const { pair, sides } = player.plane;
  const along = (k) => held(params.map((theta) => theta[k]), sides[k]);
  const x = along(pair[0]);
  const y = pair.length > 1 ? along(pair[1]) : held(losses, player.valley);
  return { x, y, done: [x.slice(0, step + 1), y.slice(0, step + 1)], now: [[x[step]], [y[step]]] };
}

// The loss of a single parameter, where its path is shown.
function valleyOf({ sides }) {
  const x = evenly(sides[0].range, CURVE);
  const y = x.map((value) => lossAt([value]));
  const drawn = y.filter(Number.isFinite);
  const [low, high] = [Math.min(...drawn), Math.max(...drawn)];
  return { x, y: orNull(y), range: [low - 0.05 * (high - low || 1), high + 0.05 * (high - low || 1)] };
}

function paintPath(plot) {
  if (!player.run) return nothingToPlay(plot);
  const { pair, sides, home } = player.plane;
  const { x, y, done, now } = wayOf(player.step);
  const whole = lineThrough([x, y], { line: { color: playTone(), width: 1.2 }, opacity: 0.4 });
  const lines = [whole, ...linesUpTo(done, now)];
  const layout = { xaxis: axis(play.params[pair[0]], { range: sides[pair[0]].range }), margin: PLAYED_MARGIN };
  if (pair.length === 1) {
    const { x: across, y: height, range } = player.valley;
    const shape = lineThrough([across, height], { line: { color: color("data"), width: 1.5 } });
    draw(plot, [shape, ...lines], { ...layout, yaxis: axis(play.loss_label, { range }) }, false);
    return "The loss as a function of the parameter.";
  }
  const yaxis = axis(play.params[pair[1]], { range: sides[pair[1]].range });
  draw(plot, [contoursOf(player.plane), ...lines], { ...layout, yaxis }, false);
  const others = play.params
    .filter((_, k) => !pair.includes(k))
    .map((name) => `${name} = ${text(home[play.params.indexOf(name)])}`);
  const where = others.length ? `, at ${others.join(", ")}` : "";
  return (
    `The path over the contours of the loss${where}. ` +
    `${isDark() ? "Brighter" : "Darker"} is lower; ` +
    "each line is four times as far above the lowest loss as the next."
  );
}

// The loss over the plane of two parameters, in powers of four of its height above the lowest one.
function contoursOf({ home, pair, sides }) {
  const [across, up] = pair.map((k) => evenly(sides[k].range, GRID));
  const heights = up.map((second) =>
    across.map((first) => lossAt(Object.assign([...home], { [pair[0]]: first, [pair[1]]: second }))),
  );
  const sorted = heights.flat().filter(Number.isFinite).sort((one, other) => one - other);
  const [low, high] = [sorted[0], sorted.at(-1)];
  const power = (height) => Math.log((height - low) / (high - low)) / Math.log(4);
  // A line around fewer points of the grid would have corners.
  const least = Math.max(-9, Math.ceil(power(sorted[Math.min(40, sorted.length - 1)])));
  const shade = (height) => (Number.isFinite(height) ? Math.max(power(height), least - 1) : null);
  return {
    ...{ type: "contour", x: across, y: up, z: heights.map((line) => line.map(shade)) },
    contours: { start: least, end: -1, size: 1, coloring: "fill" },
    colorscale: [color("valley"), color("paper")].map((tone, i) => [i, tone]),
    line: { color: color("contour"), width: 0.7 },
    ...{ showscale: false, hoverinfo: "skip" },
  };
}
