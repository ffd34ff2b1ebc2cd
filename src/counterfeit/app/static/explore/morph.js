// The way from image A to image B: a strip to save, and one image of it at a time.
import { Newest } from "./ask.js";
import { paint } from "./images.js";

const id = (name) => document.getElementById(name);
const GAP = 2; // pixels between the images of a strip
const PER_IMAGE = 140; // milliseconds, when played

export function morph(page) {
  const form = id("paths"), frames = id("frames"), play = id("play");
  const points = { a: { is: "sample", index: 0 }, b: { is: "sample", index: 1 } };
  let strip = null, timer = 0, url = "";

  const strips = new Newest("/explore/morph", (image) => {
    strip = image;
    paint(id("strip"), image);
    URL.revokeObjectURL(url);
    Object.assign(id("save"), { href: (url = URL.createObjectURL(image.blob)), hidden: false });
    frames.max = count() - 1;
    cut(id("end-a"), 0);
    cut(id("end-b"), count() - 1);
    show();
  }, page.fail("morph"));

  const side = () => strip.height - 2 * GAP;
  const wide = () => Math.round((side() * page.about.shape[2]) / page.about.shape[1]);
  const count = () => Math.round((strip.width - GAP) / (wide() + GAP));

  function cut(canvas, place) {
    paint(canvas, strip, GAP + place * (wide() + GAP), GAP, wide(), side());
  }

  function show() {
    if (!strip) return;
    const place = Math.min(frames.valueAsNumber, count() - 1);
    cut(id("frame"), place);
    id("share").textContent = `${Math.round((100 * place) / (count() - 1))} %`;
  }

  const label = (end) => Number(id(`class-${end}`).value);

  // A conditional model: both ends are of the page's class, until one is given its own.
  function classOf(end) {
    if (page.about.conditional) id(`class-${end}`).value = page.base().label;
  }

  function redraw() {
    const steps = Math.min(24, Math.max(2, form.elements.steps.valueAsNumber || 10));
    const classes = page.about.conditional ? { label: label("a"), label_b: label("b") } : {};
    strips.ask({ ...page.base(), ...classes, a: points.a, b: points.b, path: form.elements.path.value, steps });
  }

  function stop() {
    clearInterval(timer);
    timer = 0;
    play.setAttribute("aria-pressed", "false");
    play.textContent = "Play";
  }

  play.addEventListener("click", () => {
    if (timer) return stop();
    let step = 1;
    timer = setInterval(() => {
      const place = frames.valueAsNumber;
      if (place + step < 0 || place + step >= count()) step = -step;
      frames.value = place + step;
      show();
    }, PER_IMAGE);
    play.setAttribute("aria-pressed", "true");
    play.textContent = "Stop";
  });
  frames.addEventListener("input", () => { stop(); show(); });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", redraw);
  for (const end of ["a", "b"]) {
    id(`number-${end}`).addEventListener("input", (event) => {
      const index = event.target.valueAsNumber;
      if (!(index >= 0 && index <= 1023)) return;
      points[end] = { is: "sample", index, seed: Number(id("seed").value) };
      id(`name-${end}`).textContent = `sample ${index}`;
      redraw();
    });
  }
  if (page.about.conditional) {
    for (const end of ["a", "b"]) id(`class-${end}`).addEventListener("input", redraw);
    document.getElementById("options").elements.label.addEventListener("input", () => { classOf("a"); classOf("b"); });
  }
  redraw();

  return {
    redraw,
    // Take a latent as an end, under a name.
    set(end, name, z) {
      points[end] = { is: "code", z };
      classOf(end);
      id(`name-${end}`).textContent = name;
      redraw();
    },
  };
}
