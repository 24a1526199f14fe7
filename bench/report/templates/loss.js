"use strict";
// The chart of the loss curves: each optimizer at its best choice, against samples seen, updates or time.

const lossLook = { start: null, clock: "samples", x: true, y: true };

function paintLoss(plot, figure) {
  const clock = CLOCKS[lossLook.clock];
  const shownCurves = shownOptimizers().map((code) => lossOf(code)).filter(Boolean);
  const edge = leftEdge(shownCurves.flatMap((one) => one.times));
  const every = shownCurves.flatMap((one) => [...one.median, ...(one.heldOut ?? [])].map(distance));
  const begun = shownCurves.map((one) => distance(one.median[0]));
  const range = lossRange(every, begun, targetDistance());
  const traces = shownCurves.map(({ code, times, low, median, high }) => {
    const x = alongClock(times, edge, lossLook.x);
    const y = median.map(distance).map((value) => (Number.isFinite(value) && (value > 0 || !lossLook.y) ? value : null));
    const tone = toneOf(code);
    const hover = times.map(
      (time, i) =>
        `${literal(optimizers.shown[code])}, ${moment(clock, time)}<br>median ${text(median[i])}<br>` +
        `10–90 %: ${text(low[i])} to ${text(high[i])}`,
    );
    const line = {
      type: "scatter",
      mode: times.length > 1 ? "lines" : "markers",
      ...{ x, y, text: hover, hoverinfo: "text", line: { width: 2.2, color: tone }, marker: { color: tone } },
    };
    return [ribbon(x, low.map(distance), high.map(distance), tone, spanOf(y, lossLook.y)), line];
  });
  const dashed = shownCurves.filter((one) => one.heldOut).map(({ code, times, heldOut }) => ({
    type: "scatter",
    mode: times.length > 1 ? "lines" : "markers",
    x: alongClock(times, edge, lossLook.x),
    y: heldOut.map(distance).map((value) => (Number.isFinite(value) && (value > 0 || !lossLook.y) ? value : null)),
    text: times.map(
      (time, i) =>
        `${literal(optimizers.shown[code])}, ${moment(clock, time)}<br>median on held-out samples ${text(heldOut[i])}`,
    ),
    hoverinfo: "text",
    ...{ line: { width: 1.6, color: toneOf(code), dash: HELD_OUT_DASH }, marker: { color: toneOf(code) } },
  }));
  // The view ends soon after the last median has arrived; a band may go on.
  const longest = Math.max(...shownCurves.map((one) => one.times.at(-1)));
  const arrived = Math.max(...shownCurves.map((one) => one.arrived));
  draw(plot, [...traces.map(([band]) => band), ...dashed, ...traces.map(([, line]) => line)], {
    xaxis: clockAxis(clock, { log: lossLook.x, edge, end: Math.min(longest, 1.25 * arrived), width: plot.clientWidth }),
    yaxis: axis(lossTitle(), { log: lossLook.y, range: lossLook.y ? range : [0, 1.04 * 10 ** range[1]] }),
    shapes: targetLine(),
  });
  optimizerLegend(figure);
  heldOutLegend(figure);
  targetLegend(figure);
  if (!shownCurves.length) return "All optimizers are hidden.";
  const from =
    lossLook.start === null ? "all starts and seeds" : `the start ${settings.init.shown[lossLook.start]} and all seeds`;
  const choices = shownCurves.map(
    ({ code, row }) =>
      `${optimizers.shown[code]} at learning rate ${shown("lr", row)}, batch size ${shown("batch_size", row)}`,
  );
  const time = lossLook.clock === "seconds" ? ` ${TIME_OF_A_RUN}` : "";
  return (
    `Median and 10–90 % over ${from}, each optimizer at its best choice: ${choices.join("; ")}. ` +
    `A band ends where its curve's own losses end.${time}`
  );
}

// The losses of an optimizer at its best choice, and when its median arrives at the target.
function lossOf(code) {
  const one = best(rowsWith({ optimizer: code }));
  const rows = one?.rows.filter((row) => lossLook.start === null || settings.init.codes[row] === lossLook.start) ?? [];
  if (!rows.length) return null;
  const { samples, updates, low, median, high } = band(rows);
  const each = secondsPerUpdate(rows.find((row) => numbers.updates[row] > 0) ?? rows[0]);
  const times = { samples, updates, seconds: updates.map((made) => made * each) }[lossLook.clock];
  const there = median.findIndex((value) => run.target !== null && value <= run.target);
  const heldOut = heldOutSteps ? band(rows, "heldOut").median : null;
  return { code, row: rows[0], times, low, median, high, heldOut, arrived: times.at(there) };
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
  const clocks = ["samples", "updates", ...(run.timed ? ["seconds"] : [])];
  controls.append(
    buttons(
      "Along",
      clocks.map((name) => [name, { samples: "samples", updates: "updates", seconds: "time" }[name]]),
      lossLook.clock,
      change("clock"),
    ),
  );
  offerScales(figure, lossLook, "loss", [
    ["x", "x"],
    ["y", "y"],
  ]);
}
