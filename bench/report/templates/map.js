"use strict";
// The map of learning rate and batch size: one cell for each, and which of them is selected.

const winner = bestOutcome({});
const state = {
  ...Object.fromEntries(CHOICE.map((name) => [name, winner[name]])),
  start: 0,
  measure: run.target !== null && Number.isFinite(winner.samples.median) ? "samples" : run.measures.at(-1).name,
  hidden: new Set(),
};

const cellCodes = (lr, size) => ({ ...Object.fromEntries(CHOICE.map((name) => [name, state[name]])), lr, batch_size: size });
const cellRows = (lr, size) =>
  rowsWith(cellCodes(lr, size)).filter((row) => !state.start || run.families.of[settings.init.codes[row]] === state.start);
const named = (name) => settings[name].shown[state[name]];

// What a cell says, and by what it is shaded: the smaller the better.
const CELLS = Object.fromEntries(
  run.measures.map(({ name, title, unit, ends }) => {
    const of = (cell) => cell[name].median;
    return [name, { title, ends, of, says: (cell) => UNITS[unit](of(cell)) }];
  }),
);
if (run.target !== null)
  CELLS.share = {
    title: "runs that reach the target",
    ends: ["all runs", "no run"],
    of: (cell) => -cell.converged,
    says: (cell) => `${cell.converged}/${cell.runs}`,
  };

// Shades from 0 to 1 by rank, because costs and losses are seldom evenly spaced.
function shades(cells, of) {
  const values = cells.map((line) => line.map((cell) => (cell ? of(cell) : Infinity)));
  const places = [...new Set(values.flat().filter(Number.isFinite))].sort((one, other) => one - other);
  const share = (value) => (Number.isFinite(value) ? places.indexOf(value) / Math.max(1, places.length - 1) : null);
  return values.map((line) => line.map(share));
}

function describeCell(cell, lr, size) {
  const where = `learning rate ${settings.lr.shown[lr]}, batch size ${settings.batch_size.shown[size]}`;
  if (!cell) return `${where}: not trained`;
  const reached = run.target === null ? "" : `${cell.converged} of ${count(cell.runs, "run")} reached the target`;
  const costs = run.measures.filter(({ unit }) => unit !== "loss");
  const parts = costs.map(({ name, unit }) =>
    unit === "time" ? duration(cell[name].median) : count(cell[name].median, name.slice(0, -1)),
  );
  const last = parts.length > 2 ? ` or ${parts.pop()}` : "";
  const when = costs.length && Number.isFinite(cell.samples.median) ? ` after a median of ${parts.join(", ")}${last}` : "";
  const heldOut = cell.validation_loss ? `, ${text(cell.validation_loss.median)} on held-out samples` : "";
  const lost = cell.diverged ? `; ${cell.diverged} diverged` : "";
  return `${where}: ${reached}${when}${reached ? "; " : ""}median final loss ${text(cell.final_loss.median)}${heldOut}${lost}`;
}

const isLost = (cell) => cell !== null && cell.diverged > cell.runs / 2;
const isMissed = (cell) =>
  cell !== null && (MEASURES[state.measure]?.unit ?? "loss") !== "loss" && !Number.isFinite(cell[state.measure].median);
const isShaded = (cell) => cell !== null && !isLost(cell) && !isMissed(cell);

// One outcome for each batch size and rate, or null.
const cellAt = (lr, size) => bestOutcome(cellCodes(lr, size), state.start);
const cellsOfMap = () => settings.batch_size.values.map((_, size) => settings.lr.values.map((_, lr) => cellAt(lr, size)));

// One layer for each kind of failure, one of shades, and on top an invisible one that the pointer meets.
function mapLayers(cells, shade) {
  const table = (of) => cells.map((line, size) => line.map((cell, lr) => of(cell, size, lr)));
  const layer = (shown, tones, more) => ({
    type: "heatmap",
    z: table((cell, size, lr) => (shown(cell) ? (shade[size][lr] ?? 1) : null)),
    colorscale: tones.map((tone, i) => [i, tone]),
    ...{ zmin: 0, zmax: 1, showscale: false, xgap: 2, ygap: 2, hoverinfo: "skip", ...more },
  });
  const one = (tone) => [tone, tone];
  return [
    layer((cell) => isMissed(cell) && !isLost(cell), one(color("missed"))),
    layer(isLost, one(color("lost"))),
    layer(isShaded, [color("good"), color("poor")]),
    layer((cell) => cell !== null, one("rgba(0,0,0,0)"), { hoverinfo: "none" }),
  ];
}

// The texts of the cells, where they fit.
function mapWords(cells, shade, width) {
  const says = (cell) => {
    if (isLost(cell)) return ["✕", color("fail")];
    if (isMissed(cell)) return [cell.converged ? `${cell.converged}/${cell.runs}` : "–", color("ink")];
    return [CELLS[state.measure].says(cell), null];
  };
  const words = cells.map((line) => line.map((cell) => (cell === null ? null : says(cell))));
  const longest = Math.max(...words.flat().map((word) => word?.[0].length ?? 0));
  if (longest * 7 + 6 > width / settings.lr.values.length || settings.batch_size.values.length > 16) return [];
  return words.flatMap((line, y) =>
    line.flatMap((word, x) => {
      if (word === null) return [];
      const tone = word[1] ?? inkOn(blended(color("good"), color("poor"), shade[y][x] ?? 1));
      return [{ x, y, text: word[0], showarrow: false, font: { size: 12, color: tone } }];
    }),
  );
}

// An axis on which all values are equally wide, labelled where there is room.
function placesOf(name, most) {
  const { shown, values } = settings[name];
  const kept = (_, i) => i % Math.ceil(values.length / most) === 0;
  const places = values.map((_, i) => i);
  const range = [-0.5, values.length - 0.5];
  return { tickvals: places.filter(kept), ticktext: shown.filter(kept).map(literal), showgrid: false, range, tickangle: 0 };
}

// The selected cell has a dark frame within a light one, which are seen on any shade.
const frameOf = (tone, width) => ({
  ...{ type: "rect", line: { color: color(tone), width } },
  ...{ x0: state.lr - 0.5, x1: state.lr + 0.5, y0: state.batch_size - 0.5, y1: state.batch_size + 0.5 },
});
const chosenCell = () => [frameOf("paper", 6), frameOf("ink", 3)];

// The largest stable rate that theory predicts, as a line through the row of each batch size.
function edgeOfStability() {
  const rates = settings.lr.values.map(Math.log10);
  const placeOf = (rate) => {
    const above = rates.findIndex((one) => one >= Math.log10(rate));
    if (above < 1) return null;
    return above - (rates[above] - Math.log10(rate)) / (rates[above] - rates[above - 1]);
  };
  const own = run.edges.filter((one) => one.optimizer === state.optimizer && one.shuffle === state.shuffle);
  return own.flatMap(({ batch_size: size, edge }) => {
    const place = placeOf(edge);
    if (place === null) return [];
    const line = { color: color("edge"), width: 3 };
    return [{ type: "line", x0: place, x1: place, y0: size - 0.5, y1: size + 0.5, line }];
  });
}

function paintMap(plot, figure) {
  const cells = cellsOfMap();
  const shade = shades(cells, CELLS[state.measure].of);
  const width = Math.max(200, plot.clientWidth - 70);
  const edges = edgeOfStability();
  plot.style.height = `${90 + Math.min(460, Math.max(26, 52 - 2 * cells.length) * cells.length)}px`;
  const layout = {
    xaxis: axis("learning rate", placesOf("lr", Math.floor(width / 52))),
    yaxis: axis("batch size", placesOf("batch_size", 16)),
    annotations: mapWords(cells, shade, width),
    shapes: [...edges, ...chosenCell()],
    margin: { l: 8, r: 8, t: 8, b: 8 },
  };
  draw(plot, mapLayers(cells, shade), layout, false);
  const all = cells.flat().filter((cell) => cell !== null);
  const lost = all.filter(isLost).length;
  const [few, many] = CELLS[state.measure].ends;
  const boxes = [
    [all.some(isShaded), few, "good", "box"],
    [all.some(isShaded), many, "poor", "box"],
    [all.some(isMissed), "most runs miss the target", "missed", "box"],
    [lost > 0, "most runs diverge", "lost", "box"],
    [edges.length > 0, "predicted edge of stability", "edge", ""],
  ];
  legend(
    figure,
    boxes.filter(([there]) => there).map(([, name, tone, kind]) => [name, color(tone), kind]),
  );
  const full = all.filter((cell) => cell.converged === cell.runs).length;
  const success = `Every run reaches the target in ${full} of ${count(all.length, "cell")}. `;
  const failure = lost ? `Most runs diverge in ${lost}. ` : "";
  return `${run.target === null ? "" : success}${failure}Select a cell to see its loss curves.`;
}

function choose(lr, size) {
  state.lr = Math.max(0, Math.min(settings.lr.values.length - 1, lr));
  state.batch_size = Math.max(0, Math.min(settings.batch_size.values.length - 1, size));
  Plotly.relayout(charts.get("map").plot, { shapes: [...edgeOfStability(), ...chosenCell()] });
  showChosen("cell");
}

// Lists of the same setting in two places show one value.
const settingLists = [];

function settingList(name) {
  const options = settings[name].shown.map((value, code) => [code, value]);
  const label = list(run.labels[name], options, state[name], (code) => {
    state[name] = code;
    showChosen("map", "cell");
  });
  settingLists.push([name, label.querySelector("select")]);
  return label;
}

function showChosen(...names) {
  for (const [name, select] of settingLists) select.value = state[name];
  redraw(...names);
  showRun();
}

function offerMap() {
  const { plot, figure } = charts.get("map");
  const change = (name) => changes(state, name, "map", "cell");
  const offered = ["optimizer", "schedule", "shuffle", "dtype"].filter(varies).map(settingList);
  if (startOptions.length > 1) offered.push(list("start", startOptions, 0, change("start")));
  const shownCells = Object.entries(CELLS).map(([name, one]) => [name, one.title]);
  if (shownCells.length > 1) offered.push(list("cells show", shownCells, state.measure, change("measure")));
  document.getElementById("controls-map").append(...offered);
  plot.setAttribute("role", "application");
  plot.addEventListener("keydown", (event) => {
    const step = { ArrowUp: [0, 1], ArrowDown: [0, -1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[event.key];
    if (!step) return;
    event.preventDefault();
    choose(state.lr + step[0], state.batch_size + step[1]);
  });
  plot.on("plotly_click", (event) => choose(Math.round(event.points[0].x), Math.round(event.points[0].y)));
  // What a cell says is read below the map: a tooltip would cover its neighbors.
  const caption = figure.querySelector("figcaption");
  let before = caption.textContent;
  plot.on("plotly_hover", (event) => {
    const [lr, size] = [Math.round(event.points[0].x), Math.round(event.points[0].y)];
    if (!figure.dataset.hovered) before = caption.textContent;
    figure.dataset.hovered = "yes";
    const told = describeCell(cellAt(lr, size), lr, size);
    caption.textContent = `${told[0].toUpperCase()}${told.slice(1)}.`;
  });
  plot.on("plotly_unhover", () => {
    delete figure.dataset.hovered;
    caption.textContent = before;
  });
  document.querySelector("#chart-cell figcaption").setAttribute("aria-live", "polite");
}
