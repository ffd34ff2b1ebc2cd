// What is known of one image: the training images nearest to it, and its latent.
import { Newest } from "./ask.js";
import { bars, bitmap, tile } from "./images.js";

const id = (name) => document.getElementById(name);

export function detail(page) {
  let name = "";

  async function show(title, found) {
    id("of").textContent = `${title}, and the training images nearest to it. Distances are those of features of a small network that knows such images.`;
    const own = figure(tile(await bitmap(found.image), 0, page.about.shape[2], title), "this image");
    if (found.missing) {
      id("of").textContent = `${title}. Its nearest training images cannot be shown: ${found.missing}`;
      id("near").replaceChildren(own);
    } else {
      const sheet = await bitmap(found.sheet);
      const others = found.near.map(({ row, distance, label }, i) => {
        const words = `${label ? `${label}, ` : ""}no. ${row}, distance ${distance}`;
        return figure(tile(sheet, i, sheet.width / found.near.length, `training image: ${words}`), words);
      });
      id("near").replaceChildren(own, ...others);
    }
    id("latent").hidden = !found.z;
    if (!found.z) return;
    bars(id("bars"), found.z);
    id("numbers").textContent = JSON.stringify(found.z);
  }

  const images = new Newest("/explore/image", (found) => show(name, found), page.fail("detail"), (slow) => { if (slow) id("of").textContent = "Looking through the training images…"; });

  return {
    show,
    // Show the image at a place.
    of(title, where) {
      name = title;
      images.ask(where);
      id("detail").scrollIntoView({ block: "nearest" });
    },
  };
}

function figure(canvas, words) {
  const found = document.createElement("figure");
  found.append(canvas, Object.assign(document.createElement("figcaption"), { textContent: words }));
  return found;
}
