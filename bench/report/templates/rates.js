"use strict";
// The chart of the outcome at each learning rate.

const rateLook = { size: null, measure: state.measure, x: true, y: true };

function paintRates(plot, figure) {
  const { title, unit } = MEASURES[rateLook.measure];
  const { says, brief } = UNITS[unit];
  const isDistance = rateLook.measure === "final_loss";
  const place = unit === "loss" ? distance : (value) => value;
  const limits = run.rate_limits[rateLook.measure][rateLook.size === null ? 0 : rateLook.size + 1];
  const range = limits.map(Math.log10);
  const traces = shownOptimizers().map((code, number, codes) => {
    const found = settings.lr.values
      .map((_, lr) => bestOutcome({ optimizer: code, batch_size: rateLook.size, lr }))
      .filter(Boolean);
    // Side by side, so that one optimizer's range does not hide another's.
    const shift = rateLook.x ? 10 ** ((number - (codes.length - 1) / 2) * 0.012) : 1;
    const spreads = found.map((one) => one[rateLook.measure]);
    const places = (end) => atLeast(spreads.map((one) => place(one[end])), rateLook.y ? limits[0] : -Infinity);
    const y = places("median");
    // A thin line from 10 to 90 %: it leaves the view where 10 % fail.
    const reach = (end) =>
      places(end).map((value, i) => (y[i] === null ? 0 : Math.abs(Math.min(value ?? Infinity, 10 * limits[1]) - y[i])));
    const tone = toneOf(code);
    return {
      type: "scatter",
      mode: "lines+markers",
      x: found.map((one) => shift * settings.lr.values[one.lr]),
      ...{ y, hoverinfo: "text", line: { width: 2, color: tone } },
      text: found.map((one, i) => {
        const { low, median, high } = spreads[i];
        const reached = run.target === null ? "" : `${one.converged} of ${count(one.runs, "run")} reached the target<br>`;
        return `${literal(choice(one))}<br>${reached}${title}: ${says(median)} (10–90 %: ${says(low)} to ${says(high)})`;
      }),
      error_y: {
        ...{ type: "data", symmetric: false, array: reach("high"), arrayminus: reach("low") },
        ...{ color: faded(tone, 0.55), thickness: 1.5, width: 0 },
      },
      marker: {
        ...{ color: tone, size: 8, line: { width: 2, color: tone } },
        symbol: found.map((one) => (run.target === null || one.converged === one.runs ? "circle" : "circle-open")),
      },
    };
  });
  draw(plot, traces, {
    xaxis: axis("learning rate", { log: rateLook.x, tickangle: 0, ...(rateLook.x ? rateTicks(plot.clientWidth || 600) : {}) }),
    yaxis: axis(unit === "loss" ? lossTitle(isDistance ? "final " : "held_out") : title, {
      log: rateLook.y,
      range: rateLook.y ? range : [0, limits[1]],
      ...(unit !== "loss" && rateLook.y ? ticks(...range, brief) : {}),
      ...(unit === "time" && !rateLook.y ? secondTicks(limits[1]) : {}),
    }),
    shapes: isDistance ? targetLine() : [],
  });
  optimizerLegend(figure, "dot");
  if (isDistance) targetLegend(figure, rateLook.y ? limits[0] : 0);
  const missed = run.target === null || isDistance ? "diverged" : "missed the target";
  const gaps = traces.some(({ y }) => y.includes(null)) ? ` Where there is no marker, most runs ${missed}.` : "";
  const full = run.target === null ? "" : " Filled markers are learning rates at which every run reached the target.";
  return `${title[0].toUpperCase()}${title.slice(1)} ${run.captions.rates}${full}${gaps}`;
}

// Ticks at the learning rates themselves, as far as there is room for them.
function rateTicks(width) {
  const decades = settings.lr.values.map(Math.log10);
  const longest = Math.max(...settings.lr.shown.map((name) => name.length));
  const room = ((decades.at(-1) - decades[0]) * (8 * longest + 16)) / Math.max(100, width - 80);
  const kept = [];
  decades.forEach((at, i) => {
    if (!kept.length || at - decades[kept.at(-1)] >= room) kept.push(i);
  });
  return { tickvals: kept.map((i) => settings.lr.values[i]), ticktext: kept.map((i) => settings.lr.shown[i]) };
}

function offerRates() {
  const { figure } = charts.get("rates");
  const controls = figure.querySelector(".controls");
  const sizes = [[null, "the best"], ...settings.batch_size.shown.map((name, code) => [code, name])];
  if (varies("batch_size")) controls.append(list("batch size", sizes, null, changes(rateLook, "size", "rates")));
  const measured = changes(rateLook, "measure", "rates");
  if (run.measures.length > 1) controls.append(list("shown", measureOptions, rateLook.measure, measured));
  offerScales(figure, rateLook, "rates");
}
