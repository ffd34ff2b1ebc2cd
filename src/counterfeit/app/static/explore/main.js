// The page of a run: what its parts share, and which of them there are.
import { walk } from "./walk.js";
import { morph } from "./morph.js";
import { draw } from "./draw.js";
import { samples } from "./samples.js";
import { detail } from "./detail.js";

const root = document.getElementById("explore");
const about = JSON.parse(root.dataset.about);
const options = document.getElementById("options");
const faults = new Map(); // what each part has to say

const page = {
  about,
  // What every request says of itself.
  base() {
    const found = { run: about.run, options: {} };
    if (!options) return found;
    if (about.conditional) found.label = Number(options.elements.label.value);
    for (const { name, value } of about.options) {
      const now = options.elements[`option-${name}`].valueAsNumber;
      if (Number.isFinite(now) && now !== value) found.options[name] = now;
    }
    return found;
  },
  fail(part) {
    return (words) => {
      faults.set(part, words);
      const all = [...new Set(faults.values())].filter(Boolean).join(" ");
      const place = document.getElementById("fault");
      if (place.textContent !== all) place.textContent = all;
      place.hidden = !all;
    };
  },
};

page.detail = detail(page);
if (about.walks) {
  page.morph = morph(page);
  page.walk = walk(page);
}
if (about.encodes) draw(page);
page.samples = samples(page);
options?.addEventListener("submit", (event) => event.preventDefault());
options?.addEventListener("input", () => {
  page.walk?.redraw();
  page.morph?.redraw();
  page.samples.redraw();
});
document.documentElement.dataset.ready = "yes";
