"use strict";
// The map of learning rate and batch size, and the loss curves of the selected cell.

const winner = best(everyRow);
const state = {
  ...Object.fromEntries(
    ["optimizer", "schedule", "shuffle", "lr", "batch_size"].map((name) => [
      name,
      settings[name].codes[winner.rows[0]],
    ]),
  ),
  start: null,
  measure: Number.isFinite(winner.epochs) ? "epochs" : "loss",
  hidden: new Set(),
};

const cellRows = (lr, size) =>
  rowsWith({
    optimizer: state.optimizer,
    schedule: state.schedule,
    shuffle: state.shuffle,
    init: state.start,
    lr,
    batch_size: size,
  });
const named = (name) => settings[name].shown[state[name]];

const MEASURES = {
  epochs: {
    title: "epochs to the target",
    ends: ["few epochs", "many epochs"],
    of: (cell) => cell.epochs,
    says: (cell) => text(cell.epochs),
  },
  share: {
    title: "runs that reach the target",
    ends: ["all runs", "no run"],
    of: (cell) => -cell.converged,
    says: (cell) => `${cell.converged}/${cell.runs}`,
  },
  loss: {
    title: "final loss",
    ends: ["low loss", "high loss"],
    of: (cell) => cell.loss,
    says: (cell) => text(Number(cell.loss.toPrecision(2))),
  },
};

// Shades from 0 to 1 by rank, because epochs and losses are seldom evenly spaced.
function shades(cells, of) {
  const values = cells.map((line) => line.map((cell) => (cell ? of(cell) : Infinity)));
  const ranks = [...new Set(values.flat().filter(Number.isFinite))].sort((one, other) => one - other);
  const share = (value) => (Number.isFinite(value) ? ranks.indexOf(value) / Math.max(1, ranks.length - 1) : null);
  return values.map((line) => line.map(share));
}

function describeCell(cell, lr, size) {
  const where = `learning rate ${settings.lr.shown[lr]}, batch size ${settings.batch_size.shown[size]}`;
  if (!cell) return `${where}: not trained`;
  const reached = run.target === null ? "" : `${cell.converged} of ${count(cell.runs, "run")} reached the target`;
  const when = Number.isFinite(cell.epochs) ? ` after a median of ${count(cell.epochs, "epoch")}` : "";
  const lost = cell.diverged ? `; ${cell.diverged} diverged` : "";
  return `${where}: ${reached}${when}${reached ? "; " : ""}median final loss ${text(cell.loss)}${lost}`;
}

const isLost = (cell) => cell !== null && cell.diverged > cell.runs / 2;
const isMissed = (cell) => cell !== null && state.measure === "epochs" && !Number.isFinite(cell.epochs);
const isShaded = (cell) => cell !== null && !isLost(cell) && !isMissed(cell);

// One outcome for each rate and size, or null.
function cellsOfMap() {
  const at = (lr, size) => outcome(cellRows(lr, size));
  return settings.lr.values.map((_, lr) =>
    settings.batch_size.values.map((_, size) => (cellRows(lr, size).length ? at(lr, size) : null)),
  );
}

// One layer for each kind of failure, one of shades, and on top an invisible one with the texts of the tooltips.
function mapLayers(cells, shade) {
  const table = (of) => cells.map((line, lr) => line.map((cell, size) => of(cell, lr, size)));
  const layer = (shown, tones, more) => ({
    type: "heatmap",
    z: table((cell, lr, size) => (shown(cell) ? (shade[lr][size] ?? 0) : null)),
    colorscale: tones.map((tone, i) => [i, tone]),
    ...{ zmin: 0, zmax: 1, showscale: false, xgap: 2, ygap: 2, hoverinfo: "skip", ...more },
  });
  const one = (tone) => [tone, tone];
  const lines = (cell, lr, size) => describeCell(cell, lr, size).replace(": ", "; ").split("; ").map(literal).join("<br>");
  return [
    layer((cell) => isMissed(cell) && !isLost(cell), one(color("missed"))),
    layer(isLost, one(color("lost"))),
    layer(isShaded, [color("good"), color("poor")]),
    layer((cell) => cell !== null, one("rgba(0,0,0,0)"), { hoverinfo: "text", text: table(lines) }),
  ];
}

// The texts of the cells, if the cells are large enough.
function mapWords(cells, shade) {
  if (settings.lr.values.length > 25 || settings.batch_size.values.length > 10) return [];
  const word = (cell) => {
    if (isLost(cell)) return ["diverged", color("fail")];
    if (isMissed(cell)) return [cell.converged ? `${cell.converged}/${cell.runs}` : "–", color("ink")];
    return [MEASURES[state.measure].says(cell), null];
  };
  return cells.flatMap((line, y) =>
    line.flatMap((cell, x) => {
      if (cell === null) return [];
      const [words, ink] = word(cell);
      const tone = ink ?? inkOn(blended(color("good"), color("poor"), shade[y][x] ?? 1));
      return [{ x, y, text: words, showarrow: false, font: { size: 12, color: tone } }];
    }),
  );
}

// An axis on which all values are equally wide; at most 25 of them are labelled.
function placesOf(name) {
  const kept = (_, i, all) => i % Math.ceil(all.length / 25) === 0;
  const { shown, values } = settings[name];
  const places = values.map((_, i) => i);
  const range = [-0.5, values.length - 0.5];
  return { tickvals: places.filter(kept), ticktext: shown.filter(kept), showgrid: false, ticks: "", range };
}

const chosenCell = () => ({
  ...{ x0: state.batch_size - 0.5, x1: state.batch_size + 0.5 },
  ...{ y0: state.lr - 0.5, y1: state.lr + 0.5 },
});

function paintMap(plot, figure) {
  const cells = cellsOfMap();
  const measure = MEASURES[state.measure];
  const shade = shades(cells, measure.of);
  const layout = {
    xaxis: axis("batch size", placesOf("batch_size")),
    yaxis: axis("learning rate", placesOf("lr")),
    annotations: mapWords(cells, shade),
    shapes: [{ type: "rect", ...chosenCell(), line: { color: color("ink"), width: 2.5 } }],
  };
  draw(plot, mapLayers(cells, shade), layout, false);
  const all = cells.flat().filter((cell) => cell !== null);
  const lost = all.filter(isLost).length;
  const [few, many] = measure.ends;
  const boxes = [
    [all.some(isShaded), few, "good"],
    [all.some(isShaded), many, "poor"],
    [all.some(isMissed), "most runs miss the target", "missed"],
    [lost > 0, "most runs diverge", "lost"],
  ];
  legend(
    figure,
    boxes.filter(([there]) => there).map(([, name, tone]) => [name, color(tone), "box"]),
  );
  const full = all.filter((cell) => cell.converged === cell.runs).length;
  const success = `Every run reaches the target in ${full} of ${count(all.length, "cell")}. `;
  const failure = lost ? `Most runs diverge in ${lost}. ` : "";
  return `${run.target === null ? "" : success}${failure}Select a cell to see its loss curves.`;
}

function choose(lr, size) {
  state.lr = Math.max(0, Math.min(settings.lr.values.length - 1, lr));
  state.batch_size = Math.max(0, Math.min(settings.batch_size.values.length - 1, size));
  const moved = Object.entries(chosenCell()).map(([side, value]) => [`shapes[0].${side}`, value]);
  Plotly.relayout(charts.get("map").plot, Object.fromEntries(moved));
  redraw("cell");
}

function offerMap() {
  const { plot } = charts.get("map");
  const change = (name) => (value) => {
    state[name] = value;
    redraw("map", "cell");
  };
  const options = (name) => settings[name].shown.map((value, code) => [code, value]);
  const offered = ["optimizer", "schedule", "shuffle"]
    .filter(varies)
    .map((name) => list(run.labels[name], options(name), state[name], change(name)));
  if (varies("init")) offered.push(list("start", [[null, "all starts"], ...options("init")], null, change("start")));
  const measures = Object.entries(MEASURES).filter(([name]) => run.target !== null || name === "loss");
  if (measures.length > 1)
    offered.push(
      list(
        "cells show",
        measures.map(([name, one]) => [name, one.title]),
        state.measure,
        change("measure"),
      ),
    );
  document.getElementById("controls-map").append(...offered);
  plot.setAttribute("role", "application");
  plot.addEventListener("keydown", (event) => {
    const step = { ArrowUp: [1, 0], ArrowDown: [-1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    choose(state.lr + step[0], state.batch_size + step[1]);
  });
  plot.on("plotly_click", (event) => choose(Math.round(event.points[0].y), Math.round(event.points[0].x)));
  document.querySelector("#chart-cell figcaption").setAttribute("aria-live", "polite");
}

function paintCell(plot, figure) {
  const rows = cellRows(state.lr, state.batch_size);
  const cell = rows.length ? outcome(rows) : null;
  const place = `${named("optimizer")}, ${describeCell(cell, state.lr, state.batch_size)}.`;
  const curves = new Map(Array.from(rows, (row) => [row, curve(row)]));
  const traces = grouped(rows, ["init"]).map((runs) => {
    const [x, y, words] = [[], [], []];
    for (const row of runs) {
      const { epochs, losses } = curves.get(row);
      x.push(...epochs, null);
      y.push(...losses.map((loss) => (loss > 0 ? loss : null)), null);
      const who = `${shown("init", row)}, seed ${shown("seed", row)}`;
      epochs.forEach((epoch, i) => words.push(`${literal(who)}<br>epoch ${epoch}: loss ${text(losses[i])}`));
      words.push("");
    }
    const tone = visible(settings.init.colors[settings.init.codes[runs[0]]]);
    const single = runs.every((row) => curves.get(row).epochs.length === 1);
    return {
      type: "scatter",
      mode: single ? "markers" : "lines",
      x,
      y,
      text: words,
      hoverinfo: "text",
      line: { color: tone, width: 1.4 },
      marker: { color: tone },
      opacity: runs.length > 8 ? 0.75 : 1,
    };
  });
  const all = [...curves.values()].flatMap(({ losses }) => losses);
  const range = lossRange(
    all,
    [...curves.values()].map(({ losses }) => losses[0]),
    run.target,
  );
  draw(plot, traces, {
    xaxis: axis("epoch", { rangemode: "tozero" }),
    yaxis: axis("loss", { log: true, range }),
    shapes: run.target === null ? [] : [across(run.target, "target")],
  });
  const codes = [...new Set(Array.from(rows, (row) => settings.init.codes[row]))];
  legend(figure, [
    ...codes.map((code) => [settings.init.shown[code], visible(settings.init.colors[code])]),
    ...(run.target === null ? [] : [[`target ${text(run.target)}`, color("target"), "dashes"]]),
  ]);
  return place;
}
