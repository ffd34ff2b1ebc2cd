// Samples of a seed, each a button that tells more of it.
import { Newest } from "./ask.js";
import { tile } from "./images.js";

const COUNT = 24;
const id = (name) => document.getElementById(name);

export function samples(page) {
  const sheet = id("sheet"), seed = id("seed");
  const drawn = new Newest("/explore/samples", (image) => {
    const buttons = Array.from({ length: COUNT }, (_, index) => {
      const button = document.createElement("button");
      Object.assign(button, { type: "button" });
      button.setAttribute("aria-pressed", "false");
      button.append(tile(image, index, image.width / COUNT, `sample ${index}`));
      button.addEventListener("click", () => {
        for (const other of sheet.children) other.setAttribute("aria-pressed", String(other === button));
        page.detail.of(`Sample ${index} of seed ${asked()}`, where(index));
      });
      return button;
    });
    sheet.replaceChildren(...buttons);
  }, page.fail("samples"));

  const asked = () => Math.max(0, Math.round(Number(seed.value) || 0));
  const where = (index) => ({ ...page.base(), center: { is: "sample", index, seed: asked() } });
  const redraw = () => drawn.ask({ ...page.base(), seed: asked(), n: COUNT });
  seed.addEventListener("input", redraw);
  redraw();
  return { redraw };
}
