"use strict";
// The loss curves of the selected cell of the map, run by run.

const cellLook = { x: true, y: true };

function paintCell(plot, figure) {
  const rows = cellRows(state.lr, state.batch_size);
  const curves = new Map(Array.from(rows, (row) => [row, curve(row)]));
  const edge = leftEdge([...curves.values()].flatMap(({ samples }) => samples));
  const kinds = heldOutSteps ? ["losses", "heldOut"] : ["losses"];
  const codes = [...new Set(Array.from(rows, (row) => settings.init.codes[row]))];
  const groups = kinds.flatMap((kind) =>
    codes.map((code) => [kind, Array.from(rows).filter((row) => settings.init.codes[row] === code)]),
  );
  const every = [...curves.values()];
  const range = lossRange(
    every.flatMap((one) => kinds.flatMap((kind) => one[kind].map(distance))),
    every.map(({ losses }) => distance(losses[0])),
    targetDistance(),
  );
  const bottom = cellLook.y ? 10 ** range[0] : -Infinity;
  const traces = groups.map(([kind, runs]) => {
    const [x, y, words] = [[], [], []];
    const on = kind === "heldOut" ? " on held-out samples" : "";
    for (const row of runs) {
      const { samples, [kind]: losses } = curves.get(row);
      x.push(...alongClock(samples, edge, cellLook.x), null);
      y.push(...atLeast(losses.map(distance), bottom), null);
      const name = literal(`${shown("init", row)}, seed ${shown("seed", row)}`);
      samples.forEach((seen, i) => words.push(`${name}<br>${count(seen, "sample")}: loss ${text(losses[i])}${on}`));
      words.push("");
    }
    const tone = visible(settings.init.colors[settings.init.codes[runs[0]]]);
    const single = runs.every((row) => curves.get(row)[kind].filter(Number.isFinite).length < 2);
    return {
      type: "scatter",
      mode: single ? "markers" : "lines",
      ...{ x, y, text: words, hoverinfo: "text", marker: { color: tone } },
      line: { color: tone, width: 1.4, dash: kind === "heldOut" ? HELD_OUT_DASH : "solid" },
      opacity: runs.length > 8 ? 0.75 : 1,
    };
  });
  const end = Math.max(0, ...every.map(({ samples }) => samples.at(-1)));
  draw(plot, traces, {
    xaxis: clockAxis({ log: cellLook.x, edge, end, width: plot.clientWidth }),
    yaxis: axis(lossTitle(), { log: cellLook.y, range: cellLook.y ? range : [0, 1.04 * 10 ** range[1]] }),
    shapes: targetLine(),
  });
  legend(
    figure,
    codes.map((code) => [settings.init.shown[code], visible(settings.init.colors[code])]),
  );
  heldOutLegend(figure);
  targetLegend(figure, Math.max(bottom, 0));
  return wordsOfCell(state.lr, state.batch_size);
}
