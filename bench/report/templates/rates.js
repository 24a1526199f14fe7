"use strict";
// The chart of the outcome at each learning rate.

const rateLook = { size: null, measure: state.measure, x: true, y: true };

function paintRates(plot, figure) {
  const [bands, lines, sentences, every] = [[], [], [], []];
  const byEpochs = rateLook.measure === "epochs";
  const what = byEpochs ? "epochs to the target" : "final loss";
  const [low, middle, high] = byEpochs ? ["low", "epochs", "high"] : ["best", "loss", "worst"];
  for (const code of shownOptimizers()) {
    const outcomes = settings.lr.values
      .map((_, lr) => best(rowsWith({ optimizer: code, batch_size: rateLook.size, lr })))
      .filter(Boolean);
    const x = outcomes.map((one) => settings.lr.values[settings.lr.codes[one.rows[0]]]);
    const y = outcomes.map((one) =>
      Number.isFinite(one[middle]) && (one[middle] > 0 || !rateLook.y) ? one[middle] : null,
    );
    const safe = outcomes.map((one) => run.target === null || one.converged === one.runs);
    const tone = toneOf(code);
    const reached = (one) =>
      run.target === null ? "" : `${one.converged} of ${count(one.runs, "run")} reached the target<br>`;
    const hover = outcomes.map(
      (one) =>
        `${literal(choice(one.rows[0]))}<br>${reached(one)}${what}: ${text(one[middle])} ` +
        `(10–90 %: ${text(one[low])} to ${text(one[high])})`,
    );
    bands.push([x, outcomes.map((one) => one[low]), outcomes.map((one) => one[high]), tone]);
    lines.push({
      type: "scatter",
      mode: "lines+markers",
      x,
      y,
      text: hover,
      hoverinfo: "text",
      line: { width: 2, color: tone },
      marker: {
        color: tone,
        size: 8,
        symbol: safe.map((one) => (one ? "circle" : "circle-open")),
        line: { width: 2, color: tone },
      },
    });
    every.push(...y, ...outcomes.map((one) => one[low]));
    const many = safe.filter(Boolean).length;
    sentences.push(`${optimizers.shown[code]}: ${many || "none"} of ${count(x.length, "rate")}`);
  }
  const positive = every.filter((value) => value > 0 && Number.isFinite(value));
  const [least, most] = [Math.min(...positive), Math.max(...positive)].map(Math.log10);
  const range = byEpochs && positive.length ? [least - 0.08, most + 0.15] : lossRange(every, [], run.target);
  const limits = [rateLook.y ? 10 ** (range[0] - 1) : 0, 10 ** (range[1] + 1)];
  const marks = rateTicks(plot.clientWidth || 600);
  draw(plot, [...bands.map((one) => ribbon(...one, limits)), ...lines], {
    xaxis: axis("learning rate", { log: rateLook.x, tickangle: 0, ...(rateLook.x ? marks : {}) }),
    yaxis: axis(what, {
      log: rateLook.y,
      range: rateLook.y ? range : [0, 10 ** range[1]],
      ...(byEpochs && rateLook.y ? ticks(...range) : {}),
    }),
    shapes: run.target === null || byEpochs ? [] : [across(run.target, "target")],
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
  return `Median and 10–90 % with ${size}.${full}`;
}

// Ticks at the learning rates themselves, as far as there is room for them.
function rateTicks(width) {
  const decades = settings.lr.values.map(Math.log10);
  const room = ((decades.at(-1) - decades[0]) * 64) / width;
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
  if (run.target !== null)
    controls.append(
      buttons(
        "Shown",
        [
          ["epochs", "epochs to the target"],
          ["loss", "final loss"],
        ],
        rateLook.measure,
        change("measure"),
      ),
    );
  offerScales(figure, rateLook, "rates", [
    ["x", "x"],
    ["y", "y"],
  ]);
}
