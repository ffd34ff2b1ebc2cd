// A drawing, a picture or a real image: its code, its reconstruction, its nearest training images.
import { Newest } from "./ask.js";
import { base64, bitmap, paint } from "./images.js";

const id = (name) => document.getElementById(name);
const PEN = 22; // pixels of 280, about as wide as the strokes of MNIST
const SETTLED = 120; // milliseconds

export function draw(page) {
  const paper = id("paper"), file = id("file"), inverted = id("inverted");
  let code = null, timer = 0, picture = null;

  const codes = new Newest("/explore/encode", async (found) => {
    code = found.walks ? found.z : null;
    paint(id("seen"), await bitmap(found.image));
    paint(id("again"), await bitmap(found.again));
    if (id("onward")) id("onward").hidden = !code;
    page.detail.show(found.name, found);
  }, page.fail("draw"));

  const send = (values) => codes.ask({ ...page.base(), ...values });
  const ofPicture = () => picture && send({ picture, inverted: inverted.checked });

  async function take(blob) {
    if (blob.size > 2_000_000) blob = await smaller(blob);
    picture = await base64(blob);
    ofPicture();
  }

  if (paper) blacken(paper);
  if (paper) pen(paper, () => {
    clearTimeout(timer);
    timer = setTimeout(() => paper.toBlob(async (blob) => {
      picture = null;
      send({ picture: await base64(blob), drawn: true });
    }), SETTLED);
  });
  id("clear")?.addEventListener("click", () => {
    clearTimeout(timer);
    blacken(paper);
  });
  id("real").addEventListener("click", () => {
    picture = null;
    send({ row: Math.floor(Math.random() * 1e6) });
  });
  file.addEventListener("change", () => file.files.length && take(file.files[0]));
  inverted.addEventListener("change", ofPicture);
  const area = id("draw");
  area.addEventListener("dragover", (event) => { event.preventDefault(); paper?.classList.add("over"); });
  area.addEventListener("dragleave", () => paper?.classList.remove("over"));
  area.addEventListener("drop", (event) => {
    event.preventDefault();
    paper?.classList.remove("over");
    if (event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
  });
  if (!page.about.walks) return;
  id("from-here").addEventListener("click", () => page.walk.from(code));
  for (const end of ["a", "b"]) id(`drawn-${end}`).addEventListener("click", () => page.morph.set(end, "my image", code));
}

// Paper has to be black and not transparent, which would be read as white.
function blacken(paper) {
  const lines = paper.getContext("2d");
  lines.fillStyle = "#000";
  lines.fillRect(0, 0, paper.width, paper.height);
}

// Lines in white, where a mouse, a pen or a finger goes.
function pen(paper, changed) {
  const lines = paper.getContext("2d");
  let last = null;
  const place = (event) => {
    const box = paper.getBoundingClientRect();
    const scale = paper.width / box.width;
    return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  };
  const to = (point) => {
    Object.assign(lines, { lineWidth: PEN, lineCap: "round", strokeStyle: "#fff", fillStyle: "#fff" });
    lines.beginPath();
    if (last) {
      lines.moveTo(...last);
      lines.lineTo(...point);
      lines.stroke();
    } else {
      lines.arc(...point, PEN / 2, 0, 2 * Math.PI); // a line of no length leaves no mark
      lines.fill();
    }
    last = point;
    changed();
  };
  paper.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    paper.setPointerCapture(event.pointerId);
    last = null;
    to(place(event));
  });
  paper.addEventListener("pointermove", (event) => { if (paper.hasPointerCapture(event.pointerId)) to(place(event)); });
}

// A photo in fewer pixels than a request may hold.
async function smaller(blob) {
  const image = await createImageBitmap(blob);
  const scale = Math.min(1, 1024 / Math.max(image.width, image.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(image.width * scale);
  canvas.height = Math.round(image.height * scale);
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((done) => canvas.toBlob(done));
}
