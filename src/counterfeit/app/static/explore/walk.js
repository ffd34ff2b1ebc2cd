// A plane through the latent space to drag in, and sliders that lead out of it.
import { Newest } from "./ask.js";
import { paint } from "./images.js";

const STEPS = 7; // images of the plane, each way
const SLIDERS = 8;
const SETTLED = 180; // milliseconds after the last change, until the plane is drawn again
const id = (name) => document.getElementById(name);

export function walk(page) {
  const { about } = page;
  const form = id("planes"), pad = id("pad"), here = id("here"), ranges = [id("across"), id("down")];
  const sliders = makeSliders(Math.min(SLIDERS, about.numbers));
  let at = [0, 0], code = null, timer = 0;

  const points = new Newest("/explore/point", (image, ms) => {
    paint(id("view"), image);
    id("latency").textContent = `${Math.round(ms)} ms`;
  }, page.fail("walk"), (slow) => { if (slow) id("latency").textContent = "working…"; });
  const planes = new Newest("/explore/plane", (image) => paint(id("plane"), image), page.fail("plane"));

  const value = (name) => form.elements[name]?.value;
  const ofClasses = () => value("kind") === "class";
  const ends = () => (ofClasses() ? [-0.25, 1.25] : [-3, 3]); // seven places from end to end, 0 and 1 among them

  function center() {
    if (ofClasses()) return { is: "class", label: Number(value("class-from")) };
    if (value("center") === "sample") return { is: "sample", index: Number(value("index")), seed: Number(id("seed").value) };
    if (value("center") === "code" && code) return { is: "code", z: code };
    return { is: "mean" };
  }

  function direction(first) {
    if (ofClasses()) {
      return { is: "towards", point: { is: "class", label: Number(value(first ? "class-across" : "class-down")) } };
    }
    const axis = Math.max(0, Number(value(first ? "first" : "second")) - 1);
    return { is: "axis", kind: value("kind"), axis, seed: Number(value("seed")) };
  }

  function slid() {
    return sliders
      .map((slider, axis) => ({ direction: { is: "axis", kind: about.kinds[0], axis }, amount: slider.valueAsNumber }))
      .filter((move) => move.amount);
  }

  // The place that is shown now.
  function place() {
    const across = at.map((amount, i) => ({ direction: direction(i === 0), amount })).filter((move) => move.amount);
    return { ...page.base(), center: center(), moves: [...slid(), ...across] };
  }

  function show() {
    const [low, high] = ends();
    at.forEach((amount, i) => {
      const share = (((amount - low) / (high - low)) * (STEPS - 1) + 0.5) / STEPS;
      here.style[i ? "top" : "left"] = `${100 * share}%`;
      ranges[i].value = amount;
    });
    id("where").textContent = `across ${at[0].toFixed(2)}, down ${at[1].toFixed(2)}`;
    points.ask(place());
  }

  function move(u, v) {
    const [low, high] = ends();
    at = [u, v].map((amount) => Math.min(high, Math.max(low, amount)));
    show();
  }

  function redraw() {
    const kind = value("kind");
    const shown = { axes: kind !== "class", random: kind === "random", class: kind === "class", start: kind !== "class" };
    shown.sample = value("center") === "sample";
    for (const part of form.querySelectorAll("[data-for]")) part.hidden = !shown[part.dataset.for];
    const [low, high] = ends();
    for (const range of ranges) Object.assign(range, { min: low, max: high });
    show();
    clearTimeout(timer);
    timer = setTimeout(() => {
      const through = { ...page.base(), center: center(), moves: slid() };
      planes.ask({ ...through, across: direction(true), down: direction(false), u: ends(), v: ends(), steps: STEPS });
    }, SETTLED);
  }

  function pointed(event) {
    const box = pad.getBoundingClientRect();
    const [low, high] = ends();
    const along = (share) => low + ((share * STEPS - 0.5) / (STEPS - 1)) * (high - low);
    move(along((event.clientX - box.left) / box.width), along((event.clientY - box.top) / box.height));
  }

  pad.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    pad.setPointerCapture(event.pointerId);
    pad.focus({ preventScroll: true });
    pointed(event);
  });
  pad.addEventListener("pointermove", (event) => { if (pad.hasPointerCapture(event.pointerId)) pointed(event); });
  pad.addEventListener("keydown", (event) => {
    const step = ((ends()[1] - ends()[0]) / 60) * (event.shiftKey ? 5 : 1);
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    if (event.key === "Home") move(0, 0);
    else if (moves[event.key]) move(at[0] + moves[event.key][0], at[1] + moves[event.key][1]);
    else return;
    event.preventDefault();
  });
  ranges.forEach((range) => range.addEventListener("input", () => move(...ranges.map((one) => one.valueAsNumber))));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.elements.kind.addEventListener("input", () => { at = [0, 0]; });
  form.addEventListener("input", redraw);
  id("sliders").addEventListener("input", redraw);
  id("reset").addEventListener("click", () => {
    for (const slider of sliders) setSlider(slider, 0);
    redraw();
  });
  id("look").addEventListener("click", () => page.detail.of("The image of the walk", place()));
  for (const end of ["a", "b"]) {
    const taken = new Newest("/explore/latent", ({ z }) => page.morph.set(end, "the walk", z), page.fail(end), () => {}, end);
    id(`view-${end}`).addEventListener("click", () => taken.ask(place()));
  }
  redraw();

  return {
    redraw,
    // Go on from the latent of an image.
    from(z) {
      code = z;
      form.elements.center.querySelector("[value=code]").disabled = false;
      form.elements.center.value = "code";
      if (ofClasses()) form.elements.kind.value = about.kinds[0];
      at = [0, 0];
      for (const slider of sliders) setSlider(slider, 0);
      redraw();
      pad.focus();
    },
  };
}

function setSlider(slider, amount) {
  slider.value = amount;
  slider.nextElementSibling.value = amount.toFixed(1);
}

function makeSliders(count) {
  return Array.from({ length: count }, (_, i) => {
    const label = document.createElement("label");
    const slider = Object.assign(document.createElement("input"), { type: "range", min: -3, max: 3, step: 0.1, value: 0 });
    slider.setAttribute("aria-label", `direction ${i + 1}, in standard deviations`);
    label.append(`${i + 1}`, slider, Object.assign(document.createElement("output"), { value: "0.0" }));
    slider.addEventListener("input", () => setSlider(slider, slider.valueAsNumber));
    id("sliders").insertBefore(label, id("reset"));
    return slider;
  });
}
