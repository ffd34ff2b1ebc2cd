import { posting, say } from "./buttons.js";
import { keepFresh } from "./fresh.js";
import { post } from "./post.js";

const cards = document.getElementById("cards");
const form = document.getElementById("start");
const fields = document.getElementById("fields");
const look = keepFresh(cards, "/cards", (card) => say(`${card.dataset.name}: ${card.dataset.state}`));
posting(cards, look);

// The fields are those of the model that is chosen; what was typed into one that both have stays.
form.elements.model.addEventListener("change", async () => {
  const before = new FormData(form);
  const defaults = new Map([...fields.querySelectorAll("[name]")].map((one) => [one.name, one.defaultValue]));
  const answer = await fetch(`/fields?model=${encodeURIComponent(form.elements.model.value)}`);
  if (!answer.ok) return;
  fields.innerHTML = await answer.text();
  for (const [name, value] of before) {
    const field = fields.querySelector(`[name="${CSS.escape(name)}"]`);
    if (field && field.type === "text" && defaults.has(name) && value !== defaults.get(name)) field.value = value;
  }
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button[type=submit]");
  button.disabled = true;
  show({});
  try {
    const started = await post("/start", values());
    button.disabled = false;
    if (started.faults) return show(started.faults);
    say(`${started.name} is in the queue`);
    await look();
    document.getElementById("main").focus();
    window.scrollTo(0, 0);
  } catch (error) {
    show({ "": error.message });
  }
  button.disabled = false;
});

function values() {
  const found = Object.fromEntries(new FormData(form));
  for (const box of form.querySelectorAll("input[type=checkbox]")) found[box.name] = box.checked ? "on" : "";
  return found;
}

// What is wrong, beside its field, which is opened and focused.
function show(faults) {
  let first = null;
  for (const place of form.querySelectorAll(".fault")) {
    const name = place.id.slice(2, -6);
    place.textContent = faults[name] ?? "";
    const field = form.querySelector(`[name="${CSS.escape(name)}"]`);
    field?.toggleAttribute("aria-invalid", name in faults);
    if (name in faults) first ??= field;
  }
  first?.closest("details")?.setAttribute("open", "");
  first?.focus();
}
