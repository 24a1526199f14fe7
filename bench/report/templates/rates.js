"use strict";
// The chart of the outcome at each learning rate.

const rateLook = { size: null, measure: state.measure, x: true, y: true };

function paintRates(plot, figure) {
  const measure = MEASURES[rateLook.measure];
  const isLoss = rateLook.measure in LOSSES;
  const [lines, sentences, every] = [[], [], []];
  const place = rateLook.measure === "loss" ? distance : (value) => value;
  shownOptimizers().forEach((code, number, codes) => {
    const outcomes = settings.lr.values
      .map((_, lr) => best(rowsWith({ optimizer: code, batch_size: rateLook.size, lr })))
      .filter(Boolean);
    const rates = outcomes.map((one) => settings.lr.values[settings.lr.codes[one.rows[0]]]);
    // Side by side, so that one optimizer's range does not hide another's.
    const shift = (number - (codes.length - 1) / 2) * 0.012;
    const x = rates.map((rate) => (rateLook.x ? rate * 10 ** shift : rate));
    const found = outcomes.map((one) => one[rateLook.measure]);
    const spreads = found.map(({ low, middle, high }) => ({ low: place(low), middle: place(middle), high: place(high) }));
    const drawn = (value) => Number.isFinite(value) && (value > 0 || !rateLook.y);
    const y = spreads.map(({ middle }) => (drawn(middle) ? middle : null));
    const safe = outcomes.map((one) => run.target === null || one.converged === one.runs);
    const reached = (one) =>
      run.target === null ? "" : `${one.converged} of ${count(one.runs, "run")} reached the target<br>`;
    const hover = outcomes.map(
      (one, i) =>
        `${literal(choice(one.rows[0]))}<br>${reached(one)}${measure.title}: ${measure.says(found[i].middle)} ` +
        `(10–90 %: ${measure.says(found[i].low)} to ${measure.says(found[i].high)})`,
    );
    lines.push({ code, x, y, hover, safe, spreads });
    every.push(...y, ...spreads.map(({ low }) => low));
    const many = safe.filter(Boolean).length;
    sentences.push(`${optimizers.shown[code]}: ${many || "none"} of ${count(x.length, "rate")}`);
  });
  const positive = every.filter((value) => value > 0 && Number.isFinite(value));
  const [least, most] = [Math.min(...positive), Math.max(...positive)].map(Math.log10);
  const range = !isLoss && positive.length ? [least - 0.08, most + 0.15] : lossRange(every, [], targetDistance());
  const top = 10 ** (range[1] + 1);
  const marks = rateTicks(plot.clientWidth || 600);
  draw(plot, lines.map((one) => rateTrace(one, top)), {
    xaxis: axis("learning rate", { log: rateLook.x, tickangle: 0, ...(rateLook.x ? marks : {}) }),
    yaxis: axis(rateLook.measure === "loss" ? lossTitle("final ") : measure.title, {
      log: rateLook.y,
      range: rateLook.y ? range : [0, 10 ** range[1]],
      ...(!isLoss && rateLook.y ? ticks(...range, measure.brief) : {}),
      ...(rateLook.measure === "seconds" && !rateLook.y ? secondTicks(10 ** range[1]) : {}),
    }),
    shapes: rateLook.measure === "loss" ? targetLine() : [],
  });
  optimizerLegend(figure, "dot");
  const size =
    rateLook.size === null
      ? "the best other settings for each rate"
      : `batch size ${settings.batch_size.shown[rateLook.size]}`;
  const full =
    run.target === null || !sentences.length
      ? ""
      : ` Filled markers are learning rates at which every run reached the target: ${sentences.join("; ")}.`;
  return `Medians with ${size}; thin lines extend from 10 to 90 % of the runs.${full}`;
}

// A line through the medians, with a thin one from 10 to 90 % at each of them: it leaves the view where 10 % fail.
function rateTrace({ code, x, y, hover, safe, spreads }, top) {
  const tone = toneOf(code);
  const reach = (end) => spreads.map((one, i) => (y[i] === null ? 0 : Math.abs(Math.min(one[end], top) - y[i])));
  return {
    type: "scatter",
    mode: "lines+markers",
    ...{ x, y, text: hover, hoverinfo: "text" },
    error_y: {
      ...{ type: "data", symmetric: false, array: reach("high"), arrayminus: reach("low") },
      ...{ color: faded(tone, 0.55), thickness: 1.5, width: 0 },
    },
    line: { width: 2, color: tone },
    marker: {
      ...{ color: tone, size: 8, line: { width: 2, color: tone } },
      symbol: safe.map((one) => (one ? "circle" : "circle-open")),
    },
  };
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
  const change = (name) => (value) => {
    rateLook[name] = value;
    redraw("rates");
  };
  if (varies("batch_size"))
    controls.append(
      list(
        "batch size",
        [[null, "the best"], ...settings.batch_size.shown.map((name, code) => [code, name])],
        null,
        change("size"),
      ),
    );
  const shownMeasures = Object.entries(MEASURES).map(([name, one]) => [name, one.title]);
  if (shownMeasures.length > 1) controls.append(list("shown", shownMeasures, rateLook.measure, change("measure")));
  offerScales(figure, rateLook, "rates", [
    ["x", "x"],
    ["y", "y"],
  ]);
}
