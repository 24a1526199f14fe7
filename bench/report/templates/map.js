"use strict";
// The map of learning rate and batch size: one of those that Python has made, which of its cells is selected, and the
// loss curves of that cell.

const state = { ...run.chosen, start: 0, measure: run.first_measure, hidden: new Set() };

// The settings that all cells of a map share are the group of its layers.
const OF_MAP = ["optimizer", ...["schedule", "shuffle", "dtype"].filter(varies)];
const mapName = () => OF_MAP.map((name) => settings[name].shown[state[name]]).join(", ");
const mapChart = () => run.maps[state.start].charts[state.measure];
const isOfMap = ({ group }) => group === mapName();

const placeOf = (lr, size) => size * settings.lr.shown.length + lr;

function wordsOfCell(lr, size) {
  const cells = mapChart().panels[0].layers.find((layer) => layer.kind === "cells" && isOfMap(layer));
  return cells ? cells.words[placeOf(lr, size)] : `${mapName()}: not trained.`;
}

// The selected cell has a dark frame within a light one, which are seen on any shade.
const frameOf = (tone, width) => ({
  ...{ type: "rect", line: { color: color(tone), width } },
  ...{ x0: state.lr - 0.5, x1: state.lr + 0.5, y0: state.batch_size - 0.5, y1: state.batch_size + 0.5 },
});
const chosenCell = () => [frameOf("paper", 6), frameOf("ink", 3)];

// Whether a layer has what an entry of the legend stands for: that of all maps of a start and measure.
function hasKey({ kind, marker = "dot", tones }, { color: tone, mark = "line" }) {
  if (kind === "cells") return typeof tone === "number" || tones.includes(tone);
  return kind === "points" ? marker === mark : mark === "line";
}

const mapCaption = () => run.maps[state.start].captions[mapName()] ?? "";

function paintMap(plot, figure) {
  const layout = { shapes: chosenCell(), margin: { l: 8, r: 8, t: 8, b: 8 } };
  drawChart(plot, mapChart(), { isShown: isOfMap, layout, tools: false });
  const { panels, keys, legend } = mapChart();
  const layers = panels[0].layers.filter(isOfMap);
  paintLegend(figure, keys.filter((key) => layers.some((layer) => hasKey(layer, key))), legend);
  return mapCaption();
}

const cellLook = { x: true, y: true };

function paintCell(plot, figure) {
  const cell = run.cells[mapName()]?.[placeOf(state.lr, state.batch_size)] ?? NOTHING;
  const isShown = ({ group }) => !group || !state.start || group === run.starts[state.start];
  drawChart(plot, cell, { isShown, log: cellLook });
  paintLegend(figure, cell.keys?.filter(isShown));
  return wordsOfCell(state.lr, state.batch_size);
}

function choose(lr, size) {
  state.lr = Math.max(0, Math.min(settings.lr.shown.length - 1, lr));
  state.batch_size = Math.max(0, Math.min(settings.batch_size.shown.length - 1, size));
  Plotly.relayout(charts.get("map").plot, { shapes: chosenCell() });
  showChosen("cell");
}

// Lists of the same setting in two places show one value.
const settingLists = [];

function settingList(name) {
  const options = settings[name].shown.map((value, code) => [code, value]);
  const label = list(settings[name].label, options, state[name], (code) => {
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
  const offered = OF_MAP.filter(varies).map(settingList);
  if (startOptions.length > 1) offered.push(list("start", startOptions, 0, change("start")));
  const measured = change("measure");
  if (run.map_measures.length > 1) offered.push(list("cells show", run.map_measures, state.measure, measured));
  document.getElementById("controls-map").append(...offered);
  plot.setAttribute("role", "application");
  plot.addEventListener("keydown", (event) => {
    const step = { ArrowUp: [0, 1], ArrowDown: [0, -1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[event.key];
    if (!step) return;
    event.preventDefault();
    choose(state.lr + step[0], state.batch_size + step[1]);
  });
  // What a cell says is read below the map: a tooltip would cover its neighbors.
  const caption = figure.querySelector("figcaption");
  const placeOfEvent = (event) => [Math.round(event.points[0].x), Math.round(event.points[0].y)];
  plot.on("plotly_click", (event) => choose(...placeOfEvent(event)));
  plot.on("plotly_hover", (event) => (caption.textContent = wordsOfCell(...placeOfEvent(event))));
  plot.on("plotly_unhover", () => (caption.textContent = mapCaption()));
  document.querySelector("#chart-cell figcaption").setAttribute("aria-live", "polite");
}
