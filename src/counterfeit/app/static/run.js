import { posting, say } from "./buttons.js";

const id = document.getElementById("run").dataset.run;
const there = document.getElementById("film-there");
const grid = document.getElementById("grid");
const slider = document.getElementById("epoch");
const shown = document.getElementById("epoch-shown");
const play = document.getElementById("play");
const FRAME = 120; // milliseconds
let epochs = JSON.parse(there.dataset.epochs);
let timer = null;
let source = null;

posting(document.querySelector("main"));

// Events come while the page is seen: a browser has few connections for all its tabs together.
function listen() {
  source?.close();
  source = null;
  if (document.hidden) return;
  source = new EventSource(`/runs/${id}/events`);
  for (const part of ["state", "charts", "scores"]) source.addEventListener(part, (event) => put(part, event.data));
  source.addEventListener("epochs", (event) => film(JSON.parse(event.data)));
  source.addEventListener("gone", (event) => {
    source.close();
    say(event.data);
  });
  source.addEventListener("open", () => document.body.classList.remove("lost"));
  source.addEventListener("error", () => {
    document.body.classList.add("lost");
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, 5000);
  });
}

function put(part, text) {
  const place = document.getElementById(part);
  const focused = document.activeElement?.id;
  const state = place.querySelector(".state")?.dataset.state;
  place.innerHTML = text;
  const now = place.querySelector(".state")?.dataset.state;
  if (state !== now) say(`now: ${now}`);
  if (focused && document.activeElement?.id !== focused) document.getElementById(focused)?.focus();
}

// The slider stays at the newest epoch if it was there, otherwise where it is.
function film(found) {
  const last = Number(slider.value) >= epochs.length - 1;
  epochs = found;
  there.hidden = !epochs.length;
  document.getElementById("film-none").hidden = epochs.length > 0;
  slider.max = Math.max(0, epochs.length - 1);
  if (last && timer === null) slider.value = slider.max;
  show();
}

function show() {
  const epoch = epochs[Number(slider.value)];
  if (epoch === undefined) return;
  const path = picture(epoch);
  if (!grid.src.endsWith(path)) grid.src = path;
  grid.alt = `Sample grid of epoch ${epoch}`;
  shown.textContent = `epoch ${epoch}`;
  slider.setAttribute("aria-valuetext", `epoch ${epoch}`);
}

const picture = (epoch) => `/runs/${id}/samples/${epoch}.png`;

function stopFilm() {
  clearTimeout(timer);
  timer = null;
  play.textContent = "Play";
  play.setAttribute("aria-pressed", "false");
}

// Each picture is loaded before it is shown, so that none is skipped.
async function step() {
  const next = Number(slider.value) + 1;
  if (next >= epochs.length) return stopFilm();
  const image = new Image();
  image.src = picture(epochs[next]);
  await image.decode().catch(() => {});
  if (timer === null) return;
  slider.value = next;
  show();
  timer = setTimeout(step, FRAME);
}

play.addEventListener("click", () => {
  if (timer !== null) return stopFilm();
  if (Number(slider.value) >= epochs.length - 1) slider.value = 0;
  show();
  play.textContent = "Pause";
  play.setAttribute("aria-pressed", "true");
  timer = setTimeout(step, FRAME);
});
slider.addEventListener("input", () => {
  stopFilm();
  show();
});
document.addEventListener("visibilitychange", listen);
listen();
