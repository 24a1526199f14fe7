"use strict";
// The chart of the loss, epoch by epoch: each optimizer at its best choice.

const lossLook = { start: null, unit: "epoch", x: false, y: true };

function paintLoss(plot, figure) {
  const [bands, lines, sentences, every, begun] = [[], [], [], [], []];
  let [shortest, longest, arrived] = [Infinity, 0, 0];
  for (const code of shownOptimizers()) {
    const one = best(rowsWith({ optimizer: code }));
    const rows = one.rows.filter((row) => lossLook.start === null || settings.init.codes[row] === lossLook.start);
    if (!rows.length) continue;
    const { epochs, low, median, high } = band(rows);
    const pace = quantiles(
      rows.map((row) => numbers.seconds[row] / Math.max(1, numbers.epochs[row])),
      [0.5],
    )[0];
    const x = epochs
      .map((epoch) => (lossLook.unit === "epoch" ? epoch : epoch * pace))
      .map((value) => (lossLook.x && value === 0 ? null : value));
    const tone = toneOf(code);
    const [name, at] = [optimizers.shown[code], rows[0]];
    const hover = epochs.map(
      (epoch, i) =>
        `${literal(name)}, epoch ${epoch}<br>median ${text(median[i])}<br>10–90 %: ${text(low[i])} to ${text(high[i])}`,
    );
    const y = median.map((value) => (Number.isFinite(value) && (value > 0 || !lossLook.y) ? value : null));
    bands.push([x, low, high, tone]);
    const there = median.findIndex((value) => run.target !== null && value <= run.target);
    [shortest, longest] = [Math.min(shortest, ...x.filter((value) => value > 0)), Math.max(longest, ...x)];
    arrived = Math.max(arrived, x.at(there));
    lines.push({
      type: "scatter",
      mode: epochs.length > 1 ? "lines" : "markers",
      x,
      y,
      text: hover,
      hoverinfo: "text",
      line: { width: 2.2, color: tone },
      marker: { color: tone },
    });
    every.push(...median, ...low, ...high);
    begun.push(median[0]);
    sentences.push(`${name} at learning rate ${shown("lr", at)}, batch size ${shown("batch_size", at)}`);
  }
  const range = lossRange(every, begun, run.target);
  // The view ends soon after the last median has arrived; a band may go on.
  const end = Math.min(longest, Math.max(lossLook.unit === "epoch" ? 3 : 0, 1.25 * arrived));
  const view = end > 0 ? (lossLook.x ? [Math.log10(shortest), Math.log10(end)] : [0, end]) : null;
  const says = lossLook.unit === "epoch" ? text : duration;
  const along = { log: lossLook.x, range: view, ...(lossLook.x && view ? ticks(...view, says) : {}) };
  const limits = [lossLook.y ? 10 ** (range[0] - 1) : 0, 10 ** (range[1] + 1)];
  draw(plot, [...bands.map((one) => ribbon(...one, limits)), ...lines], {
    xaxis: axis(
      ...(lossLook.unit === "epoch" ? ["epoch", along] : ["time", { tickformat: "~s", ticksuffix: "s", ...along }]),
    ),
    yaxis: axis("loss", { log: lossLook.y, range: lossLook.y ? range : [0, 1.04 * 10 ** range[1]] }),
    shapes: run.target === null ? [] : [across(run.target, "target")],
  });
  optimizerLegend(figure);
  if (run.target !== null)
    figure
      .querySelector(".legend")
      .append(make("span", {}, swatch(color("target"), "dashes"), `target ${text(run.target)}`));
  const from =
    lossLook.start === null ? "all starts and seeds" : `the start ${settings.init.shown[lossLook.start]} and all seeds`;
  const zero = lossLook.x ? " Epoch 0 has no place on a logarithmic axis." : "";
  return sentences.length
    ? `Median and 10–90 % over ${from}, each optimizer at its best choice: ${sentences.join("; ")}.${zero}`
    : "All optimizers are hidden.";
}

function offerLoss() {
  const { figure } = charts.get("loss");
  const controls = figure.querySelector(".controls");
  const change = (name) => (value) => {
    lossLook[name] = value;
    redraw("loss");
  };
  if (varies("init"))
    controls.append(
      list(
        "start",
        [[null, "all starts"], ...settings.init.shown.map((name, code) => [code, name])],
        null,
        change("start"),
      ),
    );
  controls.append(
    buttons(
      "Along",
      [
        ["epoch", "epochs"],
        ["seconds", "seconds"],
      ],
      "epoch",
      change("unit"),
    ),
  );
  offerScales(figure, lossLook, "loss", [
    ["x", "x"],
    ["y", "y"],
  ]);
}
