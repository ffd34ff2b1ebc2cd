import { say } from "./buttons.js";
import { post } from "./post.js";

const hidden = new Set(); // labels of rows that were hidden by hand
const filter = document.getElementById("filter");

for (const all of document.querySelectorAll("#choose .all")) {
  all.addEventListener("click", () => {
    const boxes = [...all.closest("fieldset").querySelectorAll("input[type=checkbox]")];
    const every = boxes.every((box) => box.checked);
    for (const box of boxes) box.checked = !every;
  });
}

document.getElementById("score-all")?.addEventListener("click", async (event) => {
  const button = event.currentTarget;
  button.disabled = true;
  try {
    await post("/compare/score", { runs: button.dataset.runs.split(" ") });
    say("They are scored one after the other; this page shows the scores when it is loaded again.");
  } catch (error) {
    say(error.message);
    button.disabled = false;
  }
});

for (const table of document.querySelectorAll(".compared table")) {
  [...table.tHead.rows[0].cells].forEach((cell, column) => sortable(table, cell, column));
  for (const row of table.tBodies[0].rows) if (!row.classList.contains("floor")) hideable(row);
}

// A click sorts by a column, downwards at first where lower is better or it holds words; a second one turns it round.
function sortable(table, cell, column) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "sort";
  button.append(...cell.childNodes);
  cell.append(button);
  button.addEventListener("click", () => {
    const up = cell.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    cell.setAttribute("aria-sort", up ? "descending" : "ascending");
    const body = table.tBodies[0];
    const rows = [...body.rows].filter((row) => !row.classList.contains("floor"));
    rows.sort((a, b) => order(value(a.cells[column]), value(b.cells[column])) * (up ? -1 : 1));
    body.prepend(...rows);
  });
}

const UNITS = { s: 1, min: 60, h: 3600 };

// The number that a cell begins with, in seconds where it is a time; its words where it is none.
function value(cell) {
  const words = cell.textContent.trim();
  const found = words.match(/^(-?[\d,]*\.?\d+)\s*(s|min|h)?\b/);
  return found ? Number(found[1].replaceAll(",", "")) * (UNITS[found[2]] ?? 1) : words;
}

// Numbers before words, which are a dash where there is no value.
function order(a, b) {
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  return typeof a === "number" ? a - b : a.localeCompare(b);
}

function hideable(row) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "hide";
  button.textContent = "hide";
  button.setAttribute("aria-label", `Hide ${label(row)}`);
  row.cells[0].append(button);
  button.addEventListener("click", () => {
    hidden.add(label(row));
    apply();
    document.getElementById("show-all").focus();
  });
}

function label(one) {
  return one.dataset.label ?? one.querySelector(".label")?.textContent.trim() ?? "";
}

function apply() {
  const words = filter.value.trim().toLowerCase();
  for (const one of document.querySelectorAll(".compared tbody tr:not(.floor), [data-label]")) {
    one.hidden = hidden.has(label(one)) || (words && !label(one).toLowerCase().includes(words));
  }
}

filter?.addEventListener("input", apply);
document.getElementById("show-all")?.addEventListener("click", () => {
  hidden.clear();
  filter.value = "";
  apply();
});
