// Images on canvases, one pixel of theirs for one of the canvas; the style makes them large.
export function paint(canvas, bitmap, x = 0, y = 0, width = bitmap.width, height = bitmap.height) {
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d").drawImage(bitmap, x, y, width, height, 0, 0, width, height);
}

// A PNG in base64, as a bitmap.
export function bitmap(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return createImageBitmap(new Blob([bytes], { type: "image/png" }));
}

export function tile(sheet, index, width, label) {
  const canvas = document.createElement("canvas");
  canvas.className = "pixels";
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", label);
  paint(canvas, sheet, index * width, 0, width, sheet.height);
  return canvas;
}

export async function base64(blob) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(text);
}

// The numbers of a latent as bars above and below a line.
export function bars(place, numbers) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  const most = Math.max(1e-9, ...numbers.map(Math.abs));
  svg.setAttribute("viewBox", `0 -1.05 ${numbers.length} 2.1`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `${numbers.length} numbers, the largest of size ${most.toFixed(2)}`);
  numbers.forEach((number, i) => {
    const bar = document.createElementNS(space, "rect");
    const height = Math.abs(number) / most;
    const sides = { x: i + 0.1, y: number > 0 ? -height : 0, width: 0.8, height };
    for (const [name, value] of Object.entries(sides)) bar.setAttribute(name, value);
    svg.append(bar);
  });
  place.replaceChildren(svg);
}
