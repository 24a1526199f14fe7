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
  const range = lossRange(every, begun, targetDistance());
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
    yaxis: axis(lossTitle("final "), { log: timeLook.y, range: timeLook.y ? range : null }),
    shapes: targetLine(),
  });
  optimizerLegend(figure, "dot");
  targetLegend(figure, timeLook.y ? 10 ** range[0] : 0);
  const outside = every.filter((loss) => Math.log10(loss) < range[0] || Math.log10(loss) > range[1]).length;
  const beyond = outside && timeLook.y ? `, ${text(outside)} of them outside the view` : "";
  const all = count(run.count, "configuration");
  const some = `Of ${all} the chart shows ${text(drawn)}: those with a finite loss above ${run.lowest ? "the lowest" : "zero"}`;
  return `${drawn === run.count ? `The chart shows all ${all}` : some}${beyond}. ${TIME_OF_A_RUN}`;
}

function offerTime() {
  offerScales(charts.get("time").figure, timeLook, "time");
}
