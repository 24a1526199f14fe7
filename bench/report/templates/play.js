"use strict";
// Plays a run: its curve on the data, its losses and its path, by a button and by a slider through the checkpoints.

const player = { start: null, run: null, step: 0, timer: null };
// A whole run takes about five seconds. A reader who asked for less motion sees a few stills.
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const [SECONDS, SHORTEST, LONGEST, STILLS, STILL] = [5, 50, 300, 6, 400];

const lastStep = () => player.run.losses.length - 1;

// Some of the checkpoints, evenly spread by number: in samples they are denser at the start.
const someSteps = (most) =>
  lastStep() ? evenly([0, lastStep()], Math.min(most, lastStep() + 1)).map(Math.round) : [0];

function openRun() {
  const codes = { ...Object.fromEntries(CHOICE.map((name) => [name, state[name]])), init: player.start };
  stopPlaying();
  player.run = findRun(codes);
  if (player.run) {
    player.plane = planeOf(player.run);
    player.view = curveView();
    player.range = curveRange();
    player.valley = player.plane.pair.length === 1 ? valleyOf(player.plane) : null;
    player.step = lastStep();
  }
}

// Moves what changes along a run, and nothing else: it is done many times a second.
function moveTo(step) {
  player.step = step;
  tellStep();
  const shift = (name, traces, points) => {
    const { seen, plot } = charts.get(name);
    // Not Plotly.animate, which comes a frame later, and may then draw into the next run.
    if (seen) Plotly.restyle(plot, { x: points.map(([x]) => x), y: points.map(([, y]) => y) }, traces);
  };
  const [fall, way] = [fallOf(step), wayOf(step)];
  shift("bend", [2], [[player.view.at, drawnCurve(step)]]);
  shift("fall", [1, 2], [fall.done, fall.now]);
  shift("path", [2, 3], [way.done, way.now]);
}

// What float32 cannot hold is stored as the largest number that it can.
const LARGEST = 3.4e38;
const heldText = (value) => (Math.abs(value) < LARGEST ? text(value) : `beyond ${text(Math.sign(value) * LARGEST)}`);

function tellStep() {
  const slider = document.getElementById("play-slider");
  const [button, said] = ["play-button", "play-says"].map((id) => document.getElementById(id));
  button.disabled = slider.disabled = !player.run;
  if (!player.run) return said.replaceChildren();
  const { line, losses, params, chart } = player.run;
  const at = player.step;
  [slider.max, slider.value] = [lastStep(), at];
  const where = `${count(line.x[at], "sample")} seen, loss ${heldText(losses[at])}`;
  slider.setAttribute("aria-valuetext", where);
  const ended = (at === lastStep() && chart.notes) || "";
  said.replaceChildren(
    make("strong", { textContent: `${where}${ended && `; ${ended}`}` }),
    ...play.params.map((name, k) => make("span", { textContent: `${name} = ${heldText(params[at][k])}` })),
  );
}

function stopPlaying() {
  clearTimeout(player.timer);
  player.timer = null;
  document.getElementById("play-button").textContent = "Play";
}

function startPlaying() {
  if (!player.run) return;
  const stops = calm.matches ? someSteps(STILLS) : someSteps(Infinity);
  let next = player.step === lastStep() ? 0 : stops.findIndex((step) => step > player.step);
  const wait = calm.matches ? STILL : Math.min(LONGEST, Math.max(SHORTEST, (1000 * SECONDS) / stops.length));
  const go = () => {
    moveTo(stops[next++]);
    if (next < stops.length) player.timer = setTimeout(go, wait);
    else stopPlaying();
  };
  document.getElementById("play-button").textContent = "Pause";
  go();
}

function showRun() {
  if (!play) return;
  openRun();
  redraw("bend", "fall", "path");
  tellStep();
}

function offerPlayer() {
  if (!play) return;
  player.start = play.starts[0];
  const controls = document.getElementById("controls-play");
  controls.append(...CHOICE.filter(varies).map((name) => settingList(name)));
  const named = play.starts.map((code) => [code, settings.init.shown[code]]);
  const startFrom = (code) => {
    player.start = code;
    showRun();
  };
  if (named.length > 1) controls.append(list("start", named, player.start, startFrom));
  const button = document.getElementById("play-button");
  const slider = document.getElementById("play-slider");
  button.addEventListener("click", () => (player.timer === null ? startPlaying() : stopPlaying()));
  slider.addEventListener("input", () => {
    stopPlaying();
    moveTo(Number(slider.value));
  });
  const playCell = () => {
    document.getElementById("play").scrollIntoView();
    stopPlaying();
    startPlaying();
  };
  document.getElementById("controls-cell").prepend(press("Play this cell", playCell));
  openRun();
  chart("bend", paintBend);
  chart("fall", paintFall);
  chart("path", paintPath);
  tellStep();
}
