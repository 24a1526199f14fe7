"use strict";
// The style of charts in light and dark, and what all of them share: late drawing, zooming by keys, captions.

const touch = matchMedia("(pointer: coarse)").matches;
const color = (name) => getComputedStyle(root).getPropertyValue(`--${name}`).trim();

// Plotly reads some HTML in its texts; names are to be shown as they are.
const literal = (value) => String(value).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
// Two colors of the palette are too dark for a dark page.
const visible = (value) => (isDark() ? ({ "#000000": "#f0f0f0", "#0072b2": "#3f9fdc" }[value] ?? value) : value);

const channels = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
const faded = (hex, share) => `rgba(${channels(hex).join(", ")}, ${share})`;
const blended = (from, to, share) => channels(from).map((value, i) => value + share * (channels(to)[i] - value));

// Black or white, whichever is read better on a color; luminance as in WCAG 2.
function inkOn(rgb) {
  const [red, green, blue] = rgb.map((value) =>
    value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4,
  );
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.18 ? "#0d1117" : "#ffffff";
}

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

// An axis; `range` is where the view begins and where a double click leads back to, in decades if it is logarithmic.
function axis(title, { log = false, range = null, ...more } = {}) {
  return {
    title: { text: literal(title).replaceAll("\n", "<br>"), font: { size: 13, color: color("soft") }, standoff: 8 },
    type: log ? "log" : "linear",
    range: range ?? undefined,
    autorange: range === null,
    // Of axes without ticks of their own, those of a run that is played.
    ...{ nticks: 7, exponentformat: "e", separatethousands: true, minexponent: 5 },
    ticks: "",
    gridcolor: color("grid"),
    linecolor: color("line"),
    tickfont: { size: 12, color: color("soft") },
    zeroline: false,
    automargin: true,
    fixedrange: touch,
    ...more,
  };
}

// The title of an axis that is shorter than a long title, broken between words.
const inTwoLines = (title) => {
  const middle = title.lastIndexOf(" ", Math.ceil(title.length / 2) + 4);
  return title.length > 32 && middle > 0 ? `${title.slice(0, middle)}\n${title.slice(middle + 1)}` : title;
};

function draw(element, traces, layout, tools = true) {
  const whole = {
    // On the right is room for half of the last label of an axis.
    margin: { l: 8, r: 24, t: 30, b: 8 },
    paper_bgcolor: color("paper"),
    plot_bgcolor: color("paper"),
    font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: color("ink") },
    hoverlabel: {
      bgcolor: color("panel"),
      bordercolor: color("line"),
      font: { color: color("ink"), size: 13 },
      align: "left",
      namelength: -1,
    },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: color("soft"), activecolor: color("ink") },
    showlegend: false,
    hovermode: "closest",
    dragmode: touch ? false : "zoom",
    ...layout,
  };
  const config = {
    responsive: true,
    displaylogo: false,
    modeBarButtons: [["zoomIn2d", "zoomOut2d", "resetScale2d", "toImage"]],
    displayModeBar: tools,
    doubleClick: "reset",
  };
  return Plotly.react(element, traces, whole, config);
}

// Every chart has a place in the page and a function that draws it and returns a sentence about what is seen.
const charts = new Map();

function chart(name, paint) {
  const figure = document.getElementById(`chart-${name}`);
  if (!figure) return;
  const [plot, caption] = [figure.querySelector(".plot"), figure.querySelector("figcaption")];
  charts.set(name, { figure, plot, seen: false, paint: () => (caption.textContent = paint(plot, figure)) });
  if (name !== "map") plot.addEventListener("keydown", (event) => zoom(plot, event));
}

function redraw(...names) {
  for (const [name, one] of charts) {
    if (one.seen && (!names.length || names.includes(name))) one.paint();
  }
}

function paintFirst(one) {
  if (one.seen) return;
  one.seen = true;
  one.paint();
}

// Charts are drawn when they come near the view, the others when there is nothing else to do.
function drawWhenSeen() {
  const near = new IntersectionObserver(
    (entries) => {
      const seen = entries.filter((entry) => entry.isIntersecting).map((entry) => entry.target);
      [...charts.values()].filter((one) => seen.includes(one.figure)).forEach(paintFirst);
    },
    { rootMargin: "300px" },
  );
  for (const one of charts.values()) near.observe(one.figure);
  const waiting = [...charts.values()];
  const next = () => {
    const one = waiting.shift();
    if (!one) return (root.dataset.drawn = "all");
    paintFirst(one);
    later(next);
  };
  later(next);
  root.dataset.interactive = performance.now().toFixed(1);
}

const later = (work) =>
  "requestIdleCallback" in window ? requestIdleCallback(work, { timeout: 2000 }) : setTimeout(work, 50);

function zoom(plot, event) {
  const factor = { "+": 0.8, "=": 0.8, "-": 1.25 }[event.key];
  if (event.key === "0") {
    charts.get(plot.parentElement.id.replace("chart-", "")).paint();
  } else if (factor) {
    const ranges = {};
    for (const name of ["xaxis", "yaxis"]) {
      const [low, high] = plot._fullLayout[name].range.map(Number);
      const [middle, half] = [(low + high) / 2, (factor * (high - low)) / 2];
      ranges[`${name}.range`] = [middle - half, middle + half];
    }
    Plotly.relayout(plot, ranges);
  } else return;
  event.preventDefault();
}

// Controls: a list to choose from, a row of buttons of which one is pressed, a legend.
function list(label, options, value, chosen) {
  const choices = options.map(([key, textContent], i) =>
    make("option", { value: i, textContent, selected: key === value }),
  );
  const select = make("select", {}, ...choices);
  select.addEventListener("change", () => chosen(options[select.value][0]));
  return make("label", {}, label, select);
}

function press(textContent, pressed) {
  const button = make("button", { type: "button", textContent });
  button.addEventListener("click", pressed);
  return button;
}

function buttons(label, options, value, chosen) {
  const group = make("div", { className: "group" });
  group.setAttribute("role", "group");
  group.setAttribute("aria-label", label);
  for (const [key, name] of options) {
    const button = press(name, () => {
      for (const other of group.children) other.setAttribute("aria-pressed", other === button);
      chosen(key);
    });
    button.setAttribute("aria-pressed", key === value);
    group.append(button);
  }
  return group;
}

const swatch = (tone, kind = "") => {
  const mark = make("i", { className: kind });
  mark.style.setProperty("--swatch", tone);
  return mark;
};

// A legend whose entries show and hide what they stand for, in the charts named.
function toggles(figure, entries, hidden, names) {
  const place = figure.querySelector(".legend");
  const focused = place.contains(document.activeElement) ? [...place.children].indexOf(document.activeElement) : -1;
  place.replaceChildren(
    ...entries.map(([name, tone, kind]) => {
      const button = make("button", { type: "button", title: "Show or hide" }, swatch(tone, kind), name);
      button.setAttribute("aria-pressed", !hidden.has(name));
      button.addEventListener("click", () => {
        hidden.has(name) ? hidden.delete(name) : hidden.add(name);
        redraw(...names);
      });
      return button;
    }),
  );
  if (focused >= 0) place.children[focused].focus();
}

// What a control does with a value that is chosen: it changes the look of some charts.
const changes = (look, key, ...names) => (value) => {
  look[key] = value;
  redraw(...names);
};

// Buttons that make the axes of a chart logarithmic or linear.
function offerScales(name, look) {
  for (const key of ["x", "y"]) {
    const options = [true, false].map((log) => [log, `${key} ${log ? "log" : "linear"}`]);
    const choice = buttons(`${key} axis`, options, look[key], changes(look, key, name));
    document.getElementById(`controls-${name}`).append(choice);
  }
}

// The page's own switch between light and dark.
function offerThemes() {
  const button = document.getElementById("theme");
  const show = (theme) => {
    root.dataset.theme = theme;
    button.textContent = isDark() ? "Light" : "Dark";
    button.setAttribute("aria-label", `${button.textContent} colors`);
    redraw();
  };
  button.hidden = false;
  button.addEventListener("click", () => show(keptTheme(isDark() ? "light" : "dark") ?? (isDark() ? "light" : "dark")));
  // On paper, which is white.
  let before = null;
  addEventListener("beforeprint", () => {
    before = root.dataset.theme;
    if (isDark()) show("light");
  });
  addEventListener("afterprint", () => before === root.dataset.theme || show(before));
  darkness.addEventListener("change", () => keptTheme() ?? show(darkness.matches ? "dark" : "light"));
  show(root.dataset.theme);
}

async function copy(code) {
  const toast = document.getElementById("toast");
  try {
    await navigator.clipboard.writeText(code);
    toast.textContent = "Copied";
  } catch {
    const area = make("textarea", { value: code });
    document.body.append(area);
    area.select();
    toast.textContent = document.execCommand("copy") ? "Copied" : "Your browser does not let pages copy";
    area.remove();
  }
  setTimeout(() => (toast.textContent = ""), 2500);
}

function offerCopies() {
  for (const button of document.querySelectorAll("button[data-copies]")) {
    button.hidden = false;
    button.addEventListener("click", () => copy(document.getElementById(button.dataset.copies).textContent));
  }
}

offerThemes();
offerCopies();
