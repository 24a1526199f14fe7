"use strict";
// Draws a chart as it comes from Python: panels with axes, layers of each kind, and a legend.

const NAMED = new Set(["ink", "target", "edge", "lost", "missed", "paper", "data"]);
const rgbOfShade = (tone) => blended(color("good"), color("poor"), tone);
function toneOfLayer(tone) {
  if (typeof tone === "number") return `rgb(${rgbOfShade(tone).join(", ")})`;
  return NAMED.has(tone) ? color(tone) : visible(tone);
}
const MARKERS = { dot: "circle", circle: "circle-open", cross: "x-thin-open", square: "square-open", triangle: "triangle-up" };

const lines = (words) => literal(words).replaceAll("\n", "<br>");
// Where a pointer is on a line, below the words about it, in which a percent sign begins no place to be filled.
const PLACE = "<br>%{xaxis.title.text} %{x:,.6~g}, %{yaxis.title.text} %{y:.2~g}<extra></extra>";
const hoverOf = (words, place) => {
  if (!words) return { hoverinfo: "skip" };
  if (place && !Array.isArray(words)) return { hovertemplate: lines(words).replaceAll("%", "&#37;") + PLACE };
  return { hoverinfo: "text", hovertext: Array.isArray(words) ? words.map(lines) : lines(words) };
};

// On a logarithmic axis lower values are drawn at its edge; far out of view is as good as anywhere there, and browsers
// refuse coordinates such as 1e40.
function held(values, { log, range }) {
  const [low, high] = [Math.min(...range), Math.max(...range)];
  const [least, most] = log ? [low, 1e6 * high] : [low - 1e4 * (high - low), high + 1e4 * (high - low)];
  return values.map((value) => (value === null ? null : Math.min(Math.max(value, least), most)));
}

// What each kind of layer is for Plotly: traces. `x` and `y` are the axes of its panel.
const LAYERS = {
  line: ({ x, y, width = 2, dashed, opacity = 1, words, color: name }, axes) => {
    const tone = toneOfLayer(name ?? "ink");
    const single = y.filter((value) => value !== null).length < 2;
    const line = { color: tone, width, dash: dashed ? "4px,3px" : "solid" };
    const data = { x: held(x, axes.x), y: held(y, axes.y), opacity, line, marker: { color: tone } };
    return [{ type: "scatter", mode: single ? "markers" : "lines", connectgaps: false, ...data, ...hoverOf(words, true) }];
  },
  band: ({ x, low, high, opacity = 0.17, color: name }, axes) => {
    const tone = toneOfLayer(name);
    const [at, bottom, top] = [held(x, axes.x), held(low, axes.y), held(high, axes.y)];
    return [
      {
        ...{ type: "scatter", mode: "lines", fill: "toself", hoverinfo: "skip", line: { width: 0, color: tone } },
        ...{ x: [...at, ...at.toReversed()], y: [...bottom, ...top.toReversed()] },
        fillcolor: faded(tone, isDark() ? 1.4 * opacity : opacity),
      },
    ];
  },
  points: ({ x, y, size = 6, marker = "dot", opacity = 1, words, color: name }, axes) => {
    const tone = toneOfLayer(name ?? "ink");
    const look = { color: tone, opacity, size: 1.3 * size, symbol: MARKERS[marker], line: { width: 2, color: tone } };
    if (["dot", "triangle"].includes(marker)) look.line.width = 0;
    return [{ type: "scatter", mode: "markers", x: held(x, axes.x), y: held(y, axes.y), marker: look, ...hoverOf(words) }];
  },
  cells: ({ x, y, tones }) => {
    const distinct = [...new Set(tones)];
    const steps = distinct.flatMap((tone, i) => [i, i + 1].map((end) => [end / distinct.length, toneOfLayer(tone)]));
    const look = { colorscale: steps, zmin: -0.5, zmax: distinct.length - 0.5, showscale: false, xgap: 2, ygap: 2 };
    return [{ type: "heatmap", x, y, z: tones.map((tone) => distinct.indexOf(tone)), ...look, hoverinfo: "none" }];
  },
  bars: ({ places, values, thickness = 0.7, labels, words, color: name }) => {
    const text = labels ? { text: labels.map(literal), textposition: "outside", cliponaxis: false } : {};
    const look = { marker: { color: toneOfLayer(name) }, orientation: "h", width: thickness };
    return [{ type: "bar", ...look, x: values, y: places, ...text, ...hoverOf(words) }];
  },
};

// Where there is nothing to draw.
const NOTHING = { panels: [{ x: { range: [0, 1] }, y: { range: [0, 1] }, layers: [] }] };

// Lines across a panel.
const ruleOf = ({ at, upright }, yref) => ({
  ...{ type: "line", layer: "below", line: { color: color("target"), width: 1.5, dash: "6px,4px" } },
  ...(upright ? { x0: at, x1: at, y0: 0, y1: 1 } : { y0: at, y1: at, x0: 0, x1: 1 }),
  ...{ xref: upright ? "x" : "x domain", yref: upright ? `${yref} domain` : yref },
});

// The texts of cells, if there is room for all of them in a panel of some width and height.
function textsOf({ x, y, tones, texts }, width, height) {
  const [wide, high] = [width / new Set(x).size, height / new Set(y).size];
  if (7 * Math.max(...texts.map((words) => words.length)) + 6 > wide || high < 20) return [];
  return texts.map((words, i) => {
    const tone = inkOn(typeof tones[i] === "number" ? rgbOfShade(tones[i]) : channels(toneOfLayer(tones[i])));
    return { x: x[i], y: y[i], text: words, showarrow: false, font: { size: 12, color: tone } };
  });
}

// The first choice of ticks for which there is room.
function axisOf(shown, room, widthOf) {
  const { title = "", range, log = false, ticks: choices = [], grid = true } = shown;
  const fits = ({ labels }) => labels.length * widthOf(labels) <= room;
  const chosen = choices.find(fits) ?? choices.at(-1);
  return axis(inTwoLines(title), {
    ...{ log, range: log ? range.map(Math.log10) : range, showgrid: grid, tickangle: 0 },
    ...(chosen ? { tickmode: "array", tickvals: chosen.values, ticktext: chosen.labels.map(literal) } : {}),
  });
}

// Where panels stand below each other, from which height to which.
function domainsOf(panels) {
  const gap = 0.06;
  const heights = panels.map(({ height = 1 }) => height);
  const unit = (1 - gap * (heights.length - 1)) / heights.reduce((sum, height) => sum + height, 0);
  let bottom = 1 + gap;
  return heights.map((height) => {
    const top = bottom - gap;
    bottom = top - unit * height;
    return [Math.max(bottom, 0), top];
  });
}

// Draws the layers that `isShown`, and the traces `above` them; `log` says which axes are to be logarithmic, where a
// reader may choose. Panels stand below each other, on one horizontal axis.
function drawChart(plot, chart, { isShown = () => true, log = {}, above = [], layout: more = {}, tools = true } = {}) {
  if (chart.height) plot.style.height = `${84 * chart.height}px`;
  const layout = { shapes: [], annotations: [], ...more };
  const traces = [];
  const [width, height] = [(plot.clientWidth || 600) - 90, (plot.clientHeight || 340) - 70];
  const longest = (labels) => 7.5 * Math.max(...labels.map((label) => label.length)) + 18;
  const domains = domainsOf(chart.panels);
  chart.panels.forEach((panel, place) => {
    const [number, axes] = [place ? place + 1 : "", { ...panel }];
    for (const name of ["x", "y"]) if (log[name] === false && panel[name].linear) axes[name] = panel[name].linear;
    const [low, high] = domains[place];
    layout.xaxis = { ...axisOf(axes.x, width, longest), anchor: `y${number}` };
    const room = height * (high - low);
    layout[`yaxis${number}`] = { ...axisOf(axes.y, room, () => (axes.y.log ? 44 : 22)), domain: [low, high] };
    for (const layer of panel.layers.filter(isShown)) {
      if (layer.kind === "rule") layout.shapes.push(ruleOf(layer, `y${number}`));
      if (layer.kind === "cells") layout.annotations.push(...textsOf(layer, width, room));
      const own = LAYERS[layer.kind]?.(layer, axes) ?? [];
      traces.push(...own.map((trace) => ({ ...trace, yaxis: `y${number}` })));
    }
  });
  draw(plot, [...traces, ...above], layout, tools);
}

function paintLegend(figure, keys = [], title = "") {
  const place = figure.querySelector(".legend");
  place.replaceChildren(...keys.map((key) => make("span", {}, ...keyOf(key))));
  if (keys.length && title) place.prepend(make("span", { textContent: title }));
}

// Draws a chart with its legend, and returns its caption.
function paintChart(plot, figure, chart) {
  drawChart(plot, chart);
  paintLegend(figure, chart.keys, chart.legend);
  return chart.notes || chart.caption;
}

// An entry of a legend.
const keyOf = ({ name, color: tone, mark = "" }) => [swatch(toneOfLayer(tone), mark), name];
