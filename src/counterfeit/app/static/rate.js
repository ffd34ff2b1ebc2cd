// One image at a time: show it, wait for an answer, keep it, show the next. The server decides which one that is.
import { post } from "./post.js";

const LEAST_SCALE = 4; // each pixel of an image takes so many of the page's, where the screen has room
const CROSS_MS = 500; // before an image that is shown for a short time
const MASK_MS = 30;
const MASKS = 4; // HYPE's: four images of 30 ms each
const KEYS = { ArrowLeft: "fake", f: "fake", F: "fake", ArrowRight: "real", r: "real", R: "real" };

const { code, exposure } = document.body.dataset;
const limit = Number(exposure) || null;
const at = (id) => document.getElementById(id);
const [stage, image, mask, cross, trouble] = ["stage", "image", "mask", "cross", "trouble"].map(at);
const buttons = { fake: at("fake"), real: at("real") };
let now = null; // what is judged: { id, done, of }
let seen = null; // when the image appeared, by the browser's clock
let shown = null; // for how many milliseconds it was there; null while it stays
let open = false; // whether an answer is taken

at("begin").addEventListener("click", () => begin());
for (const answer of Object.keys(buttons)) buttons[answer].addEventListener("click", () => judge(answer));
document.addEventListener("keydown", (event) => {
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || !(event.key in KEYS) || at("task").hidden) return;
  event.preventDefault();
  judge(KEYS[event.key]);
});
if (at("intro").hidden) begin();

async function begin() {
  at("begin").disabled = true;
  const screen = { width: window.screen.width, height: window.screen.height, scale: window.devicePixelRatio };
  let next;
  try {
    next = await reached(() => post(`/rate/${code}/join`, { screen }));
  } catch {
    at("begin").disabled = false; // why is on the page
    return;
  }
  at("intro").hidden = true;
  await show(next);
}

async function show(next) {
  at("task").hidden = false;
  while (!next.finished && !(await load(next))) next = await present(); // another tab has gone on: so does this one
  if (next.finished) return end(next);
  now = next;
  at("bar").max = now.of;
  at("bar").value = now.done;
  at("count").textContent = `${now.done} of ${now.of} done`;
  shown = null;
  if (limit) await flash();
  else seen = await frame(() => (image.hidden = false));
  allow(true);
}

// The image, out of sight until it is whole; false where it is not the one to judge now. Sizes are whole multiples, so
// that every pixel is as large as the others.
async function load({ id }) {
  image.hidden = true;
  const answer = await reached(async () => {
    const found = await fetch(`/rate/${code}/image/${id}`);
    if (!found.ok && found.status !== 404) throw new Error(found.statusText);
    return found;
  });
  if (!answer.ok) return false;
  const address = URL.createObjectURL(await answer.blob());
  image.src = address;
  await image.decode();
  URL.revokeObjectURL(address);
  const room = Math.min(document.documentElement.clientWidth - 24, window.innerHeight * 0.55);
  const wanted = Math.floor(room / Math.max(image.naturalWidth, image.naturalHeight));
  const scale = Math.max(1, wanted, Math.min(LEAST_SCALE, Math.floor((room + 24) / image.naturalWidth)));
  for (const one of [image, mask]) {
    one.width = image.naturalWidth * scale;
    one.height = image.naturalHeight * scale;
  }
  stage.style.minHeight = `${image.height}px`;
  return true;
}

// Cross, image for the time, masks, nothing. Times are those of frames: a browser shows nothing between two of them.
async function flash() {
  cross.hidden = false;
  await pause(CROSS_MS);
  cross.hidden = true;
  const from = (seen = await frame(() => (image.hidden = false)));
  let time = from;
  while (time - from < limit - 4) time = await frame(); // a frame that comes 4 ms early is the right one
  image.hidden = true;
  mask.hidden = false;
  shown = time - from;
  for (let i = 0; i < MASKS; i++) {
    noise();
    await pause(MASK_MS);
  }
  mask.hidden = true;
}

function noise() {
  const [width, height] = [image.naturalWidth, image.naturalHeight];
  const small = Object.assign(document.createElement("canvas"), { width, height }).getContext("2d");
  const pixels = small.createImageData(width, height);
  for (let i = 0; i < pixels.data.length; i++) pixels.data[i] = i % 4 === 3 ? 255 : Math.random() * 256;
  small.putImageData(pixels, 0, 0);
  const drawn = mask.getContext("2d");
  drawn.imageSmoothingEnabled = false;
  drawn.drawImage(small.canvas, 0, 0, mask.width, mask.height);
}

async function judge(answer) {
  if (!open) return;
  allow(false);
  const values = { id: now.id, answer, seconds: (performance.now() - seen) / 1000, shown_ms: shown };
  image.hidden = true; // the answer is taken: nothing else happens until it is stored
  let next;
  try {
    next = await reached(() => post(`/rate/${code}/answer`, values));
  } catch {
    next = await present(); // this image was judged in another tab
  }
  await show(next);
}

function allow(whether) {
  open = whether;
  for (const button of Object.values(buttons)) button.setAttribute("aria-disabled", String(!whether));
}

const present = () =>
  reached(async () => {
    const answer = await fetch(`/rate/${code}/now`);
    if (!answer.ok) throw Object.assign(new Error("This test is not there any more."), { status: answer.status });
    return answer.json();
  });

// What a request is answered with, asked again until it is: a server that was killed takes an answer once only.
// Throws what the server refuses.
async function reached(ask) {
  for (let wait = 500; ; wait = Math.min(8000, 1.6 * wait)) {
    try {
      const answer = await ask();
      trouble.textContent = "";
      return answer;
    } catch (error) {
      trouble.textContent = error.status ? error.message : "The server does not answer. This page tries again.";
      if (error.status && error.status !== 429 && error.status < 500) throw error;
    }
    await pause(wait);
  }
}

function end({ right }) {
  at("task").hidden = true;
  at("end").hidden = false;
  const share = ([hits, all], kind) => `${hits} of ${all} ${kind} images`;
  at("own").textContent = `You were right about ${share(right.real, "real")} and ${share(right.fake, "generated")}.`;
  at("thanks").focus();
}

const frame = (draw = () => {}) => {
  draw();
  return new Promise((done) => requestAnimationFrame(done));
};
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
