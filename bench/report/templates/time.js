"use strict";
// The chart of time and final loss, one point for each configuration.

const timeLook = { x: true, y: true };

function paintTime(plot, figure) {
  let drawn = 0;
  const [every, begun] = [[], []];
  const traces = shownOptimizers().map((code) => {
    const rows = Array.from(rowsWith({ optimizer: code })).filter(
      (row) =>
        distance(numbers.final_loss[row]) > 0 &&
        Number.isFinite(numbers.final_loss[row]) &&
        Number.isFinite(numbers.seconds[row]),
    );
    drawn += rows.length;
    const y = rows.map((row) => distance(numbers.final_loss[row]));
    every.push(...y);
    begun.push(...rows.map((row) => distance(curve(row).losses[0])));
    return {
      type: "scatter",
      mode: "markers",
      x: rows.map((row) => numbers.seconds[row]),
      y,
      hoverinfo: "text",
      text: rows.map(
        (row) =>
          `${literal(choice(codesOf(row)))}<br>${literal(shown("init", row))}, seed ${shown("seed", row)}<br>` +
          `${duration(numbers.seconds[row])}, loss ${text(numbers.final_loss[row])}`,
      ),
      marker: { color: toneOf(code), size: rows.length > 400 ? 4 : 7, opacity: 0.55, line: { width: 0 } },
    };
  });
  // Losses far above the starts, of runs that diverge, are out of view.
  const highest = 1000 * Math.max(...begun.filter(Number.isFinite));
  const range = lossRange(every.filter((loss) => loss <= highest), [], targetDistance());
  const view = timeLook.y ? range.map((end) => 10 ** end) : [0, 1.04 * 10 ** range[1]];
  for (const one of traces) one.y = heldNear(one.y, view);
  const times = traces.flatMap((one) => one.x);
  const timeSpan = [Math.min, Math.max].map((end) =>
    Math.log10(times.reduce((one, other) => end(one, other), times[0])),
  );
  const most = Math.max(2, Math.floor(plot.clientWidth / 70));
  draw(plot, traces, {
    xaxis: axis("time", {
      log: timeLook.x,
      tickangle: 0,
      ...(drawn ? (timeLook.x ? ticks(...timeSpan, duration, most) : secondTicks(10 ** timeSpan[1])) : {}),
    }),
    yaxis: axis(lossTitle("final "), { log: timeLook.y, range: timeLook.y ? range : view }),
    shapes: targetLine(),
  });
  optimizerLegend(figure, "dot");
  targetLegend(figure, view[0]);
  const outside = every.filter((loss) => loss < view[0] || loss > view[1]).length;
  const beyond = outside ? `, ${text(outside)} of them outside the view` : "";
  const all = count(run.count, "configuration");
  const some = `Of ${all} the chart shows ${text(drawn)}: those with a finite loss above ${run.lowest ? "the lowest" : "zero"}`;
  return `${drawn === run.count ? `The chart shows all ${all}` : some}${beyond}. ${run.time_of_a_run}`;
}
