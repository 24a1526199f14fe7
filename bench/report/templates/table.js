"use strict";
// The table of configurations: sorted, filtered, a page at a time; each row can be copied.

const SIZE = 20;
// There is no time where none was measured, and without a target there is no way to it.
const LEFT_OUT = [
  ...(run.timed ? [] : ["seconds"]),
  ...(run.target === null ? ["samples_to_target", "updates_to_target"] : []),
];
const STATUS_WORDS = { max_epochs: run.target === null ? "ran all epochs" : "target missed" };
const statusWord = (status) => STATUS_WORDS[status] ?? status;
const columns = [
  ...[...CHOICE, "init", "seed"].filter(varies).map((name) => ({
    name,
    of: (row) => settings[name].codes[row],
    says: (row) => shown(name, row),
    number: typeof settings[name].values[0] === "number" || name === "seed",
  })),
  {
    name: "status",
    of: (row) => settings.status.codes[row],
    says: (row) => statusWord(shown("status", row)),
  },
  ...Object.entries(numbers)
    .filter(([name]) => !LEFT_OUT.includes(name))
    .map(([name, values]) => ({
    name,
    of: (row) => values[row],
    says: (row) => (name === "seconds" ? duration : text)(values[row]),
    number: true,
  })),
];
// By what chooses settings.
const chooses = run.target !== null ? "samples_to_target" : heldOutSteps ? "validation_loss" : "final_loss";
const leading = columns.find((column) => column.name === chooses);
const view = { rows: [], page: 0, by: leading, down: false, words: "", codes: {} };
let haystack = null;

function arrange() {
  const straw = (row) => `${columns.map((column) => column.says(row)).join(" ")} ${idOf(row)}`.toLowerCase();
  haystack ??= Array.from(everyRow, straw);
  const words = view.words.toLowerCase().split(/\s+/).filter(Boolean);
  let rows = Array.from(rowsWith(view.codes));
  if (words.length) rows = rows.filter((row) => words.every((word) => haystack[row].includes(word)));
  const values = Float64Array.from(everyRow, view.by.of);
  const sign = view.down ? -1 : 1;
  const losses = numbers.final_loss;
  // What is missing comes last either way.
  rows.sort(
    (one, other) =>
      Number.isNaN(values[one]) - Number.isNaN(values[other]) ||
      sign * (values[one] - values[other]) ||
      losses[one] - losses[other] ||
      one - other,
  );
  [view.rows, view.page] = [rows, 0];
  showRows();
}

function number(value) {
  if (Object.is(value, -0)) return "-0.0";
  const written = String(value).replace("e+", "e");
  return /^-?\d+$/.test(written) ? `${written}.0` : written;
}

function asCode(row, language) {
  const quote = (name) => JSON.stringify(settings[name].values[settings[name].codes[row]]);
  const first = starts.size * starts.codes[row];
  const start = Array.from(starts.values.subarray(first, first + starts.size), number);
  const rule = startRule(row);
  const parameters = run.params.map((name) => name.replace("param_", ""));
  const [head, tail] = run.recipe[language];
  const rate = number(settings.lr.values[settings.lr.codes[row]]);
  const size = settings.batch_size.values[settings.batch_size.codes[row]];
  const isFull = size > 1 && settings.batch_size.shown[settings.batch_size.codes[row]] === "full";
  const given = {
    lr: rate,
    schedule: quote("schedule"),
    batch_size: isFull ? '"full"' : size,
    optimizer: quote("optimizer"),
    seed: settings.seed.values[settings.seed.codes[row]],
    ...("dtype" in settings ? { dtype: quote("dtype") } : {}),
  };
  const shuffled = settings.shuffle.values[settings.shuffle.codes[row]];
  const lines = (values, line) => Object.entries(values).map(line).join("");
  if (language === "python") {
    const init = rule ? rule.python.replace("{seed}", given.seed) : `[${start.join(", ")}]`;
    const named = { ...(init ? { init } : {}), ...given, shuffle: shuffled ? run.shuffled : "False" };
    return `${head}${lines(named, ([name, value]) => `    ${name}=${value},\n`)}${tail}`;
  }
  const pairs = parameters.map((name, i) => `${name} = ${start[i]}`);
  const numbered = run.listed ? `[${start.join(", ")}]` : `{ ${pairs.join(", ")} }`;
  const init = rule ? rule.toml : `{ start = ${numbered} }`;
  const named = { ...given, shuffle: shuffled, ...(init ? { init } : {}) };
  return `${head}[grid]\n${lines(named, ([name, value]) => `${name} = ${value}\n`)}${tail}`;
}

// Many numbers are given by the rule that draws them, where there is one.
const startRule = (row) => run.start_texts?.[settings.init.codes[row]];

function copyButtons(row) {
  return Object.entries({ python: "Python", toml: "TOML" }).map(([language, name]) => {
    const button = make("button", { type: "button", textContent: name });
    const reason = startRule(row)?.reason;
    if (reason) Object.assign(button, { disabled: true, title: reason });
    button.setAttribute("aria-label", `Copy ${choice(codesOf(row))} as ${name}${reason ? `: ${reason}` : ""}`);
    button.addEventListener("click", () => copy(asCode(row, language)));
    return button;
  });
}

function cells(row) {
  const line = make("tr");
  line.dataset.id = idOf(row);
  line.append(make("td", {}, ...copyButtons(row)));
  for (const column of columns) {
    const cell = make("td", { textContent: column.says(row), className: column.number ? "number" : "" });
    if (column.name === "status" && isStatus(row, "diverged")) cell.classList.add("bad");
    if (!column.number) cell.title = cell.textContent;
    line.append(cell);
  }
  return line;
}

function showRows() {
  const table = document.getElementById("rows");
  const begin = view.page * SIZE;
  table.tBodies[0].replaceChildren(...view.rows.slice(begin, begin + SIZE).map(cells));
  for (const header of table.tHead.querySelectorAll("th[data-name]")) {
    const sorted = view.by.name === header.dataset.name;
    header.setAttribute("aria-sort", sorted ? (view.down ? "descending" : "ascending") : "none");
  }
  const pages = document.getElementById("pages");
  const [back, on] = pages.querySelectorAll("button");
  back.disabled = view.page === 0;
  on.disabled = begin + SIZE >= view.rows.length;
  pages.querySelector("output").textContent = view.rows.length
    ? `${text(begin + 1)}–${text(Math.min(begin + SIZE, view.rows.length))} of ${count(view.rows.length, "configuration")}`
    : "No configuration matches these filters.";
}

function offerTable() {
  const table = document.getElementById("rows");
  const line = make("tr", {}, make("th", { scope: "col", textContent: "copy as" }));
  for (const column of columns) {
    const header = make("th", { scope: "col", className: column.number ? "number" : "" });
    header.dataset.name = column.name;
    const button = make("button", { type: "button", textContent: run.labels[column.name] });
    button.addEventListener("click", () => {
      [view.down, view.by] = [view.by === column && !view.down, column];
      arrange();
    });
    header.append(button);
    line.append(header);
  }
  table.tHead.append(line);

  const filters = document.getElementById("filters");
  filters.addEventListener("submit", (event) => event.preventDefault());
  const search = make("input", { type: "search", placeholder: "any words" });
  search.addEventListener("input", () => {
    view.words = search.value;
    arrange();
  });
  filters.append(make("label", { className: "stacked" }, "containing", search));
  for (const name of [...CHOICE, "init", "seed", "status"].filter(varies)) {
    const options = [
      [null, "any"],
      ...settings[name].shown.map((value, code) => [code, name === "status" ? statusWord(value) : value]),
    ];
    filters.append(
      list(run.labels[name], options, null, (code) => {
        view.codes[name] = code;
        arrange();
      }),
    );
  }
  const pages = document.getElementById("pages");
  const turn = (by, name) => {
    const button = make("button", { type: "button", textContent: name });
    button.addEventListener("click", () => {
      view.page += by;
      showRows();
    });
    return button;
  };
  pages.append(turn(-1, "Previous"), turn(1, "Next"), make("output"));

  const same = [...CHOICE, "init", "seed"]
    .filter((name) => !varies(name))
    .map((name) => `${run.labels[name]} ${settings[name].shown[0]}`);
  const some =
    run.every > 1
      ? `Of ${text(run.total)} configurations this page holds ${text(run.count)}, evenly spaced; tables/configurations.csv has all of them. `
      : "";
  document.getElementById("constant").textContent = some + (same.length ? `Constant settings: ${same.join(", ")}.` : "");
  arrange();
}
