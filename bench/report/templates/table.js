"use strict";
// The table of configurations: sorted, filtered, a page at a time; each row can be copied.

const SIZE = 20;
const columns = Object.entries({ ...settings, ...outcomes })
  .filter(([name]) => name in outcomes || varies(name))
  .map(([name, column]) => ({ name, ...column, says: (row) => column.shown[column.codes[row]] }));
// By what chooses settings.
const leading = columns.find(({ name }) => name === run.sorted_by);
const view = { rows: [], page: 0, by: leading, down: false, words: "", codes: {} };
let haystack = null;

function arrange() {
  const straw = (row) => `${columns.map((column) => column.says(row)).join(" ")} ${idOf(row)}`.toLowerCase();
  haystack ??= Array.from(everyRow, straw);
  const words = view.words.toLowerCase().split(/\s+/).filter(Boolean);
  let rows = Array.from(rowsWith(view.codes));
  if (words.length) rows = rows.filter((row) => words.every((word) => haystack[row].includes(word)));
  const { codes, missing } = view.by;
  const sign = view.down ? -1 : 1;
  const losses = outcomes.final_loss.codes;
  // What is missing comes last either way.
  rows.sort(
    (one, other) =>
      (codes[one] === missing) - (codes[other] === missing) ||
      sign * (codes[one] - codes[other]) ||
      losses[one] - losses[other] ||
      one - other,
  );
  [view.rows, view.page] = [rows, 0];
  showRows();
}

function asCode(row, language) {
  const [head, tail] = run.recipe[language];
  const given = Object.fromEntries(Object.entries(settings).map(([name, { code, codes }]) => [name, code[codes[row]]]));
  const init = startOf(row)[language].replace("{seed}", given.seed);
  const named = { ...given, init, ...(language === "python" ? { shuffle: run.shuffled[given.shuffle] } : {}) };
  const written = Object.entries(named).filter(([, value]) => value);
  if (language === "python") return `${head}${written.map(([name, value]) => `    ${name}=${value},\n`).join("")}${tail}`;
  return `${head}[grid]\n${written.map(([name, value]) => `${name} = ${value}\n`).join("")}${tail}`;
}

const startOf = (row) => run.start_texts.texts[startCodes[row]];

// The settings of a row that vary.
const describe = (row) =>
  Object.entries(settings)
    .filter(([name]) => varies(name))
    .map(([, { label, shown, codes }]) => `${label} ${shown[codes[row]]}`)
    .join(", ");

function copyButtons(row) {
  return Object.entries({ python: "Python", toml: "TOML" }).map(([language, name]) => {
    const button = press(name, () => copy(asCode(row, language)));
    const reason = startOf(row).reason;
    if (reason) Object.assign(button, { disabled: true, title: reason });
    button.setAttribute("aria-label", `Copy ${describe(row)} as ${name}${reason ? `: ${reason}` : ""}`);
    return button;
  });
}

function cells(row) {
  const line = make("tr", {}, make("td", {}, ...copyButtons(row)));
  line.dataset.id = idOf(row);
  for (const column of columns) {
    const cell = make("td", { textContent: column.says(row), className: column.number ? "number" : "" });
    if (column.name === "status" && column.says(row) === "diverged") cell.classList.add("bad");
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
    const sort = () => {
      [view.down, view.by] = [view.by === column && !view.down, column];
      arrange();
    };
    const look = { scope: "col", className: column.number ? "number" : "" };
    const header = make("th", look, press(column.label, sort));
    header.dataset.name = column.name;
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
  filters.append(make("label", {}, "containing", search));
  for (const { name, label, shown } of columns.filter(({ name }) => name in settings || name === "status")) {
    const choose = (code) => {
      view.codes[name] = code;
      arrange();
    };
    filters.append(list(label, [[null, "any"], ...shown.map((value, code) => [code, value])], null, choose));
  }
  const pages = document.getElementById("pages");
  const turn = (by) => {
    view.page += by;
    showRows();
  };
  pages.append(press("Previous", () => turn(-1)), press("Next", () => turn(1)), make("output"));

  document.getElementById("constant").textContent = run.constant;
  arrange();
}
