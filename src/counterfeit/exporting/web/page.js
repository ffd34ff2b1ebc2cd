// The page's controls. Nothing is sent anywhere.
"use strict";

const id = (name) => document.getElementById(name);
const [CHANNELS, HEIGHT, WIDTH] = about.shape;
const SHOWN = 64, MOST = about.latents === "own" ? about.shipped : 1024;
const SLIDERS = about.latent_shape.length === 1 ? Math.min(SIZE, 16) : 0;
const state = { seed: 0n, label: -1, chosen: 0, z: null };

function paint(canvas, pixels) {
  Object.assign(canvas, { width: WIDTH, height: HEIGHT });
  const picture = new ImageData(WIDTH, HEIGHT), plane = WIDTH * HEIGHT;
  for (let i = 0; i < plane; i++) {
    for (let c = 0; c < 3; c++) picture.data[4 * i + c] = pixels[CHANNELS === 1 ? i : c * plane + i];
    picture.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

// Of requests that wait, only the newest is computed.
function newest(work) {
  let busy = false, again = false;
  return async function ask() {
    if (busy) { again = true; return; }
    busy = true;
    try {
      await work();
    } catch (error) {
      id("fault").textContent = `This browser cannot run the model: ${error.message || error}`;
      id("fault").hidden = false;
    }
    busy = false;
    if (again) { again = false; ask(); }
  };
}

const labelOf = (index) => (state.label < 0 ? index % about.classes.length : state.label);
const row = (all, index) => all.slice(index * SIZE, (index + 1) * SIZE);

const drawSheet = newest(async () => {
  await session;
  const n = Math.min(SHOWN, MOST), begun = performance.now();
  const pixels = await images(state.seed, n, state.label), took = performance.now() - begun;
  [...id("sheet").children].forEach((button, i) => {
    paint(button.firstChild, pixels.subarray(i * PIXELS, (i + 1) * PIXELS));
    button.setAttribute("aria-label", `sample ${i}${about.classes.length ? `, class ${about.classes[labelOf(i)]}` : ""}`);
    button.setAttribute("aria-pressed", String(i === state.chosen));
  });
  id("took").textContent = `${n} images in ${took < 100 ? took.toFixed(0) : Math.round(took / 10) * 10} ms.`;
  document.documentElement.dataset.ready = state.seed;
});

const drawChosen = newest(async () => {
  paint(id("view"), await imagesOf(state.z, [Number(id("class-view").value || 0)]));
});

const drawMorph = newest(async () => {
  const [a, b] = ["a", "b"].map((end) => id(`number-${end}`).valueAsNumber);
  if (![a, b].every((i) => i >= 0 && i < MOST)) return;
  const all = latents(state.seed, Math.max(a, b) + 1), t = id("share").valueAsNumber;
  const z = between(row(all, a), row(all, b), t);
  paint(id("between"), await imagesOf(z, [labelOf(t < 0.5 ? a : b)]));
});

// A place on the way from a to b: on an arc around 0 for a Gaussian's draws, where all have about the same length.
function between(a, b, t) {
  const dot = (u, v) => u.reduce((sum, x, i) => sum + x * v[i], 0);
  const angle = Math.acos(Math.max(-1, Math.min(1, dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b)))));
  const sine = Math.sin(angle), arc = about.latents === "normal" && sine > 1e-6;
  const [of_a, of_b] = arc ? [Math.sin((1 - t) * angle) / sine, Math.sin(t * angle) / sine] : [1 - t, t];
  return a.map((x, i) => of_a * x + of_b * b[i]);
}

function choose(index) {
  state.chosen = index;
  state.z = row(latents(state.seed, index + 1), index);
  [...id("sheet").children].forEach((button, i) => button.setAttribute("aria-pressed", String(i === index)));
  id("chosen").textContent = `sample ${index}`;
  if (about.classes.length) id("class-view").value = labelOf(index);
  for (let i = 0; i < SLIDERS; i++) id(`slider-${i}`).value = state.z[i];
  drawChosen();
}

function draw() {
  drawSheet();
  choose(state.chosen);
  drawMorph();
}

function option(select, value, text) {
  select.append(Object.assign(document.createElement("option"), { value, textContent: text }));
}

function build() {
  for (let i = 0; i < Math.min(SHOWN, MOST); i++) {
    const button = Object.assign(document.createElement("button"), { type: "button", onclick: () => choose(i) });
    button.append(document.createElement("canvas"));
    id("sheet").append(button);
  }
  const most = about.latents === "uniform" ? 1 : 3;
  for (let i = 0; i < SLIDERS; i++) {
    const label = Object.assign(document.createElement("label"), { textContent: `number ${i + 1} ` });
    const slider = Object.assign(document.createElement("input"), { type: "range", id: `slider-${i}`, min: -most, max: most, step: "any" });
    slider.addEventListener("input", () => { state.z[i] = slider.valueAsNumber; drawChosen(); });
    label.append(slider);
    id("sliders").append(label);
  }
  if (about.classes.length) {
    option(id("class"), -1, "all, in turn");
    about.classes.forEach((name, i) => { option(id("class"), i, name); option(id("class-view"), i, name); });
  }
  id("seed").addEventListener("input", () => {
    const fits = /^[0-9]{1,19}$/.test(id("seed").value) && BigInt(id("seed").value) < 2n ** 63n;
    id("seed").setAttribute("aria-invalid", String(!fits));
    if (fits) { state.seed = BigInt(id("seed").value); draw(); }
  });
  id("another").addEventListener("click", () => { id("seed").value = state.seed + 1n; id("seed").dispatchEvent(new Event("input")); });
  id("class").addEventListener("input", () => { state.label = Number(id("class").value); draw(); });
  id("class-view").addEventListener("input", drawChosen);
  id("reset").addEventListener("click", () => choose(state.chosen));
  for (const name of ["number-a", "number-b", "share"]) id(name).addEventListener("input", drawMorph);
  id("play").addEventListener("click", play);
}

let timer = 0;
function play() {
  const stopped = Boolean(timer);
  clearInterval(timer);
  timer = 0;
  if (!stopped) {
    let step = 0.04;
    timer = setInterval(() => {
      const at = id("share").valueAsNumber + step;
      if (at > 1 || at < 0) step = -step; else id("share").value = at;
      drawMorph();
    }, 60);
  }
  id("play").textContent = timer ? "Stop" : "Play";
}

build();
draw();
