"use strict";
// The chart of the data and the curves fitted to them, mark by mark.

const fit = run.fit;
const fitLook = { role: "best", step: Infinity };
// The marks of all runs, which need not be the same: a run is shown as it was at its own last one.
const fitMarks = (runs) => [...new Set(runs.flatMap((one) => one.samples))].sort((one, other) => one - other);

function paintFit(plot, figure) {
  const [x, y, at] = [fit.x, fit.y, fit.at].map((packed) => Array.from((packed.numbers ??= unpack(packed))));
  const runs = fit[fitLook.role];
  const marks = fitMarks(runs);
  const last = marks.length - 1;
  const step = Math.min(fitLook.step, last);
  const [low, high] = [Math.min(...y), Math.max(...y)];
  const [left, right] = [Math.min(...x), Math.max(...x)];
  const [room, side] = [0.12 * (high - low || 1), 0.02 * (right - left || 1)];
  const traces = [];
  if (fit.several)
    traces.push({
      type: "scatter",
      mode: "lines",
      x: [low, high],
      y: [low, high],
      hoverinfo: "skip",
      line: { color: color("data"), width: 1 },
    });
  else
    traces.push({
      type: "scatter",
      mode: "markers",
      x,
      y,
      marker: { color: color("data"), size: 4 },
      hovertemplate: "%{x:.4g}, %{y:.4g}<extra></extra>",
    });
  const lines = [];
  let next = 0;
  for (const one of runs) {
    const place = one.samples.findLastIndex((seen) => seen <= marks[step]);
    const curves = (one.curves.numbers ??= unpack(one.curves));
    const curve = Array.from(curves.subarray(place * at.length, (place + 1) * at.length), (value) =>
      Number.isFinite(value) ? value : null,
    );
    const name = `${one.start}, ${count(one.samples[place], "sample")} seen, loss ${text(one.losses[place])}`;
    traces.push({
      type: "scatter",
      mode: fit.several ? "markers" : "lines",
      x: at,
      y: curve,
      text: literal(name),
      hoverinfo: "text",
      line: {
        color: visible(one.color),
        width: 2,
        dash: runs.length > 1 ? ["solid", "8px,4px", "2px,3px", "10px,3px,2px,3px"][next++ % 4] : "solid",
      },
      marker: { color: visible(one.color), size: 4 },
    });
    lines.push([name, visible(one.color), fit.several ? "dot" : ""]);
  }
  draw(plot, traces, {
    xaxis: axis(fit.several ? `${fit.names[1]}, observed` : fit.names[0], { range: [left - side, right + side] }),
    yaxis: axis(fit.several ? `${fit.names[1]}, predicted` : fit.names[1], { range: [low - room, high + room] }),
  });
  legend(figure, [
    [fit.several ? "exact" : count(fit.samples, "sample"), color("data"), fit.several ? "" : "dot"],
    ...lines,
  ]);
  const slider = figure.querySelector("input");
  if (slider) {
    [slider.max, slider.value, slider.parentElement.hidden] = [last, step, fitLook.role === "best"];
    figure.querySelector("output").textContent = text(marks[step]);
  }
  return fitLook.role === "best"
    ? `The data and the curve fitted by the best run from ${runs.length > 1 ? `each of ${runs.length} starts` : "its start"}.`
    : (run.target === null
        ? "The run with the lowest final loss from each start. "
        : "A typical run from each start: the one with the median number of samples to the target. ") +
        "Move the slider to see the curve earlier and later.";
}

function offerFit() {
  if (!charts.has("fit") || !fit.typical.length) return;
  const { figure } = charts.get("fit");
  const output = make("output");
  const slider = make("input", { type: "range", min: 0 });
  slider.addEventListener("input", () => {
    fitLook.step = Number(slider.value);
    redraw("fit");
  });
  figure.querySelector(".controls").append(
    buttons(
      "Runs",
      [
        ["best", "best runs"],
        ["typical", "typical runs, mark by mark"],
      ],
      "best",
      (role) => {
        [fitLook.role, fitLook.step] = [role, role === "best" ? Infinity : 0];
        redraw("fit");
      },
    ),
    make("label", { className: "group" }, "samples seen ", slider, output),
  );
}
