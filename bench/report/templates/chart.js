"use strict";
// Draws a chart as it comes from Python: panels with axes, layers of each kind, and a legend.

const NAMED = new Set(["ink", "data", "target", "edge", "missed", "lost", "fail", "poor", "good"]);
const toneOfLayer = (name) => (NAMED.has(name) ? color(name) : visible(name));
const MARKERS = { dot: "circle", circle: "circle-open", plus: "cross-thin-open", cross: "x-thin-open", square: "square-open" };
Object.assign(MARKERS, { triangle: "triangle-up", left: "triangle-left", right: "triangle-right", up: "triangle-up", down: "triangle-down" });

const hoverOf = (words) => (words ? { hoverinfo: "text", hovertext: words.map(lines) } : { hoverinfo: "skip" });
const lines = (words) => literal(words).replaceAll("\n", "<br>");

// On a logarithmic axis lower values are drawn at its edge; far above the view is as good as anywhere there.
const held = (values, { log, range }) =>
  values.map((value) => (value === null ? null : log ? Math.min(Math.max(value, range[0]), 1e6 * range[1]) : value));
const stepped = (values, first) => values.flatMap((value, i) => (i === 0 ? [value] : first ? [value, value] : [values[i - 1], value]));

// What each kind of layer is for Plotly: traces, shapes and annotations. `x` and `y` are the axes of its panel.
const LAYERS = {
  line: ({ x, y, width = 2, dashed, step, opacity = 1, words, color: name }, axes) => {
    const tone = toneOfLayer(name ?? "ink");
    const single = y.filter((value) => value !== null).length < 2;
    const line = { color: tone, width, dash: dashed ? "4px,3px" : "solid", shape: step ? "hv" : "linear" };
    const data = { x: held(x, axes.x), y: held(y, axes.y), opacity, line, marker: { color: tone } };
    return [{ type: "scatter", mode: single ? "markers" : "lines", connectgaps: false, ...data, ...hoverOf(words) }];
  },
  band: ({ x, low, high, opacity = 0.17, step, color: name }, axes) => {
    const tone = toneOfLayer(name);
    const [at, bottom, top] = [held(x, axes.x), held(low, axes.y), held(high, axes.y)];
    const sides = step ? [stepped(at, true), stepped(bottom), stepped(top)] : [at, bottom, top];
    return [
      {
        ...{ type: "scatter", mode: "lines", fill: "toself", hoverinfo: "skip", line: { width: 0, color: tone } },
        ...{ x: [...sides[0], ...sides[0].toReversed()], y: [...sides[1], ...sides[2].toReversed()] },
        fillcolor: faded(tone, isDark() ? 1.4 * opacity : opacity),
      },
    ];
  },
  points: ({ x, y, size = 6, marker = "dot", opacity = 1, words, color: name }, axes) => {
    const tone = toneOfLayer(name ?? "ink");
    const look = { color: tone, size: 1.3 * size, symbol: MARKERS[marker], opacity, line: { width: 2, color: tone } };
    if (marker === "dot") look.line.width = 0;
    return [{ type: "scatter", mode: "markers", x: held(x, axes.x), y: held(y, axes.y), marker: look, ...hoverOf(words) }];
  },
  bars: ({ places, values, thickness = 0.7, base = 0, upright, opacity = 1, labels, words, color: name }) => {
    const tones = [name].flat().map(toneOfLayer);
    const lengths = values.map((value) => value - base);
    const text = labels ? { text: labels.map(literal), textposition: "outside", cliponaxis: false } : {};
    const along = upright ? { x: places, y: lengths } : { x: lengths, y: places };
    const look = { marker: { color: tones.length > 1 ? tones : tones[0] }, orientation: upright ? "v" : "h", opacity };
    return [{ type: "bar", base, width: thickness, ...look, ...along, ...text, ...hoverOf(words) }];
  },
};

function layerOf(layer, panel, number) {
  const traces = LAYERS[layer.kind]?.(layer, panel) ?? [];
  return traces.map((trace) => ({ ...trace, xaxis: `x${number || ""}`, yaxis: `y${number || ""}` }));
}

// Lines across a panel.
const ruleOf = ({ at, upright, color: name = "target", dashed = true }, number) => ({
  ...{ type: "line", layer: "below", line: { color: toneOfLayer(name), width: 1.5, dash: dashed ? "6px,4px" : "solid" } },
  ...(upright ? { x0: at, x1: at, y0: 0, y1: 1 } : { y0: at, y1: at, x0: 0, x1: 1 }),
  xref: `x${number || ""}${upright ? "" : " domain"}`,
  yref: `y${number || ""}${upright ? " domain" : ""}`,
});

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

// Draws the layers that `isShown`; `log` says which axes are to be logarithmic, where a reader may choose.
function drawChart(plot, chart, { isShown = () => true, log = {} } = {}) {
  if (chart.height) plot.style.height = `${84 * chart.height}px`;
  const layout = { shapes: [], annotations: [] };
  const traces = [];
  chart.panels.forEach((panel, place) => {
    const number = place && place + 1;
    const axes = { ...panel };
    for (const name of ["x", "y"]) if (log[name] === false && panel[name].linear) axes[name] = panel[name].linear;
    const [width, height] = [(plot.clientWidth || 600) - 90, (plot.clientHeight || 340) - 70];
    const longest = (labels) => 7.5 * Math.max(...labels.map((label) => label.length)) + 18;
    layout[`xaxis${number || ""}`] = axisOf(axes.x, width, longest);
    layout[`yaxis${number || ""}`] = axisOf(axes.y, height, () => (axes.y.log ? 44 : 22));
    for (const layer of panel.layers.filter(({ group }) => isShown(group))) {
      if (layer.kind === "rule") layout.shapes.push(ruleOf(layer, number));
      traces.push(...layerOf(layer, axes, number));
    }
  });
  draw(plot, traces, layout);
}

// Draws a chart with its legend, and returns its caption.
function paintChart(plot, figure, chart) {
  drawChart(plot, chart);
  figure.querySelector(".legend").replaceChildren(...(chart.keys ?? []).map((key) => make("span", {}, ...keyOf(key))));
  return chart.notes || chart.caption;
}

// An entry of a legend.
const keyOf = ({ name, color: tone, mark = "" }) => [swatch(toneOfLayer(tone), mark), name];
