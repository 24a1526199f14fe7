"use strict";
// The chart of how much of the differences between runs each setting explains by itself.

function paintEffects(plot) {
  const rows = run.effects;
  plot.style.height = `${90 + 40 * rows.length}px`;
  const bars = {
    type: "bar",
    orientation: "h",
    x: rows.map((one) => one.share),
    y: rows.map((_, place) => place),
    marker: { color: color("accent") },
    width: 0.6,
    hoverinfo: "text",
    text: rows.map((one) => `${Math.round(100 * one.share)} %`),
    textposition: "outside",
    cliponaxis: false,
    hovertext: rows.map((one) => literal(`${one.setting}: best ${one.best}, worst ${one.worst}`)),
  };
  draw(plot, [bars], {
    xaxis: axis("share of the variance", {
      ...{ range: [0, 1.15 * Math.max(...rows.map((one) => one.share))], tickformat: ".0%" },
    }),
    yaxis: axis("", {
      range: [rows.length - 0.5, -0.5],
      ...{ tickvals: rows.map((_, place) => place), ticktext: rows.map((one) => one.setting) },
    }),
  });
  const explained = rows.reduce((sum, one) => sum + one.share, 0);
  return (
    `Of the variance of the logarithm of the ${run.effects_on}, these settings explain ${Math.round(100 * explained)} % by ` +
    "themselves; the rest is in their combinations and in the seeds."
  );
}
