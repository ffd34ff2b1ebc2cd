import { post } from "./post.js";

const lesson = document.getElementById("lesson");
const said = document.getElementById("lesson-said");
const overlay = document.getElementById("overlay");
const slow = document.getElementById("slow");
const PAUSE = 1200; // milliseconds between two steps of slow motion
let playing = false;

async function step(steps) {
  lesson.querySelectorAll("button[data-steps]").forEach((one) => (one.disabled = true));
  if (!said.textContent) said.textContent = "Loading the checkpoint …";
  try {
    show(await post("/lesson/step", { run: lesson.dataset.run, steps }));
  } catch (error) {
    said.textContent = error.message;
    stop();
  }
  lesson.querySelectorAll("button[data-steps]").forEach((one) => (one.disabled = false));
}

function show(found) {
  said.textContent = `after step ${found.step.toLocaleString("en")}`;
  lesson.querySelectorAll(".lesson-head").forEach((head) => (head.hidden = false));
  fill("batch-real", found.real, found.of_real, "real");
  fill("batch-fake", found.fake, found.of_fake, "fake", found.wanted);
}

function fill(id, images, outputs, what, wanted = []) {
  const figures = images.map((source, place) => {
    const figure = document.createElement("figure");
    const box = document.createElement("div");
    box.className = "stack";
    box.append(picture(source, `${what} image ${place + 1}`));
    if (wanted[place]) box.append(picture(wanted[place], "what is asked of it", "wanted"));
    const words = document.createElement("figcaption");
    words.textContent = outputs[place].toFixed(2);
    figure.append(box, words);
    return figure;
  });
  document.getElementById(id).replaceChildren(...figures);
}

function picture(source, alt, name = "") {
  const image = new Image();
  image.src = source;
  image.alt = alt;
  image.className = `pixels ${name}`;
  return image;
}

function stop() {
  playing = false;
  slow.textContent = "Slow";
  slow.setAttribute("aria-pressed", "false");
}

for (const button of lesson.querySelectorAll("button[data-steps]")) {
  button.addEventListener("click", () => step(Number(button.dataset.steps)));
}
slow.addEventListener("click", async () => {
  if (playing) return stop();
  playing = true;
  slow.textContent = "Pause";
  slow.setAttribute("aria-pressed", "true");
  while (playing && !document.hidden) {
    await step(1);
    await new Promise((done) => setTimeout(done, PAUSE));
  }
  stop();
});
document.getElementById("lesson-again").addEventListener("click", async () => {
  stop();
  await post("/lesson/again", { run: lesson.dataset.run }).catch(() => {});
  said.textContent = "";
  await step(1);
});
overlay.addEventListener("change", () => lesson.classList.toggle("plain", !overlay.checked));
