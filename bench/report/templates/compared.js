"use strict";
// The chart of the optimizers' costs relative to the best choice, each at its own best choice, with intervals.

function paintCompared(plot) {
  const rows = run.compared;
  const ends = rows.flatMap((one) => [one.ratio, one.ratio_low, one.ratio_high]).filter((value) => value > 0);
  const range = [Math.log10(Math.min(1, ...ends)) - 0.1, Math.log10(Math.max(1, ...ends)) + 0.1];
  const top = 10 ** (range[1] + 1);
  plot.style.height = `${100 + 46 * rows.length}px`;
  const traces = rows.map((one, place) => {
    const tone = toneOf(optimizers.shown.indexOf(one.optimizer));
    const [low, high] = [one.ratio_low ?? one.ratio, one.ratio_high ?? (one.ratio_low === null ? one.ratio : top)];
    return {
      type: "scatter",
      mode: "markers",
      ...{ x: [one.ratio], y: [place], hoverinfo: "text", marker: { color: tone, size: 11 } },
      text: literal(`${one.optimizer}: ${text(one.ratio)} times [${text(one.ratio_low)}, ${text(one.ratio_high)}]`),
      error_x: {
        ...{ type: "data", symmetric: false, color: tone, thickness: 3, width: 0 },
        ...{ array: [high - one.ratio], arrayminus: [one.ratio - low] },
      },
    };
  });
  const best = { type: "line", x0: 1, x1: 1, yref: "paper", y0: 0, y1: 1, layer: "below" };
  draw(plot, traces, {
    xaxis: axis(`${run.compared_cost}, relative to the best`, { log: true, range, ...ratioTicks(range) }),
    yaxis: axis("", {
      range: [rows.length - 0.5, -0.5],
      ...{ tickvals: rows.map((_, place) => place), ticktext: rows.map((one) => literal(one.optimizer)) },
    }),
    shapes: [{ ...best, line: { color: color("target"), width: 1.5, dash: "6px,4px" } }],
  });
  const others = rows.slice(1).map((one) => `${one.optimizer} ${verdicts[one.verdict] ?? one.verdict}`);
  return `Compared with ${rows[0].optimizer}: ${others.join("; ")}. Lines are intervals, all of which hold with a confidence of 95 %.`;
}

const verdicts = {
  worse: "is worse",
  better: "is better",
  "no interval": "has too few runs for an interval",
  "no difference found": "is statistically indistinguishable",
};

function ratioTicks(range) {
  const { tickvals, ticktext } = ticks(...range);
  return { tickvals, ticktext: ticktext.map((one) => `${one}×`) };
}
