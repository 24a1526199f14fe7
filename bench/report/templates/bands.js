"use strict";
// Medians of losses with their bands, against a clock. The series and the limits of the axes come with the page.

// A line whose columns are numbers.
const readLine = (packed) =>
  Object.fromEntries(
    Object.entries(packed).map(([name, value]) => [name, value?.data ? Array.from(unpack(value)) : value]),
  );

// Lines have a `name` and a `tone`; `look` says which axes are logarithmic.
function drawBands(plot, lines, { limits, clocks }, clock, look, shapes) {
  const { noun, says } = CLOCKS[clock];
  const [edge, end] = clocks[clock];
  const traces = lines.map((line) => {
    const x = alongClock(line[clock], edge, look.x);
    const when = line[clock].map((time) => (noun ? count(time, noun) : says(time)));
    const drawn = (name) => atLeast(line[name].map(distance), look.y ? limits[0] : -Infinity);
    const trace = (name, tell, style) => ({
      type: "scatter",
      mode: line[name].filter(Number.isFinite).length > 1 ? "lines" : "markers",
      ...{ x, y: drawn(name), hoverinfo: "text", line: { color: line.tone, ...style }, marker: { color: line.tone } },
      text: when.map((seen, i) => `${literal(line.name)}, ${seen}<br>${tell(i)}`),
    });
    const spread = (i) => `median ${text(line.median[i])}<br>10–90 %: ${text(line.low[i])} to ${text(line.high[i])}`;
    const held = (i) => `median on held-out samples ${text(line.held_out[i])}`;
    return [
      ribbon(x, line.low.map(distance), line.high.map(distance), line.tone, spanOf(drawn("median"), look.y)),
      line.held_out ? trace("held_out", held, { width: 1.6, dash: HELD_OUT_DASH }) : null,
      trace("median", spread, { width: 2.2 }),
    ];
  });
  const highest = Math.max(0, ...lines.flatMap((line) => line.median.map(distance).filter((loss) => loss <= limits[1])));
  const layers = [0, 1, 2].flatMap((layer) => traces.map((own) => own[layer])).filter(Boolean);
  draw(plot, layers, {
    xaxis: clockAxis(CLOCKS[clock], { log: look.x, edge, end, width: plot.clientWidth }),
    yaxis: axis(lossTitle(), { log: look.y, range: look.y ? limits.map(Math.log10) : [0, 1.04 * (highest || limits[1])] }),
    shapes,
  });
}

// Losses from the bottom of a logarithmic axis on: lines to lower ones, or to zero, would end before they get there.
const atLeast = (losses, bottom) => losses.map((loss) => (Number.isFinite(loss) ? Math.max(loss, bottom) : null));

// The lowest and the highest value of a curve: its band is drawn no further, so that it covers no other curve's place.
function spanOf(values, log) {
  const drawn = values.filter((value) => Number.isFinite(value) && (value > 0 || !log));
  return drawn.length ? [Math.min(...drawn), Math.max(...drawn)] : null;
}

// A band between two lines, in as many pieces as it takes. Both of its edges are held within one span, for an edge that
// is cut off elsewhere than the other would cross it.
function ribbon(x, low, high, tone, span) {
  const [xs, ys] = [[], []];
  let piece = [];
  const held = (value) => Math.min(Math.max(value, span[0]), span[1]);
  const close = () => {
    if (span && piece.length > 1) {
      xs.push(...piece.map((i) => x[i]), ...piece.toReversed().map((i) => x[i]), null);
      ys.push(...piece.map((i) => held(low[i])), ...piece.toReversed().map((i) => held(high[i])), null);
    }
    piece = [];
  };
  x.forEach((at, i) => (at !== null && Number.isFinite(low[i]) ? piece.push(i) : close()));
  close();
  return {
    type: "scatter",
    mode: "lines",
    x: xs,
    y: ys,
    fill: "toself",
    fillcolor: faded(tone, isDark() ? 0.2 : 0.14),
    line: { width: 0, color: tone },
    hoverinfo: "skip",
  };
}

// Lines of losses on held-out samples are dashed.
const HELD_OUT_DASH = "4px,3px";
