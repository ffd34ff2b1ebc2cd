// The generator in this browser: ONNX Runtime and the model out of the scripts beside the page, and images of latents.
"use strict";

const about = JSON.parse(document.getElementById("about").textContent);
const SIZE = about.latent_shape.reduce((a, b) => a * b, 1);
const PIXELS = about.shape.reduce((a, b) => a * b, 1);
const AT_ONCE = 64; // images per call

const bytesOf = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

function unzipped(text) {
  const stream = new Blob([bytesOf(text)]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

async function started() {
  ort.env.wasm.numThreads = 1; // several need headers that only a server can send
  ort.env.wasm.wasmBinary = await unzipped(RUNTIME.wasm);
  const loader = new Blob([await unzipped(RUNTIME.loader)], { type: "text/javascript" });
  ort.env.wasm.wasmPaths = { mjs: URL.createObjectURL(loader) };
  return ort.InferenceSession.create(new Uint8Array(await unzipped(MODEL)), { executionProviders: ["wasm"] });
}

const session = started();
let turn = session; // calls wait for each other: the runtime takes one at a time

// Latents, Float32Array of n * SIZE numbers, and n labels -> pixels, Uint8Array of n * PIXELS.
function imagesOf(latents, labels) {
  const call = async () => {
    const n = latents.length / SIZE, found = new Uint8Array(n * PIXELS);
    for (let start = 0; start < n; start += AT_ONCE) {
      const end = Math.min(n, start + AT_ONCE);
      const inputs = {
        latents: new ort.Tensor("float32", latents.slice(start * SIZE, end * SIZE), [end - start, ...about.latent_shape]),
      };
      if (about.classes.length) {
        inputs.labels = new ort.Tensor("int64", BigInt64Array.from(labels.slice(start, end), BigInt), [end - start]);
      }
      const { images } = await (await session).run(inputs);
      found.set(images.data, start * PIXELS);
    }
    return found;
  };
  return (turn = turn.then(call, call));
}

// The latents of the first n images of a seed; where only those of one seed came with the page, these.
function latents(seed, n) {
  if (about.latents === "own") return new Float32Array(bytesOf(LATENTS).buffer).slice(0, n * SIZE);
  return latentsOf(seed, n, SIZE, about.latents);
}

// Labels of n images: one for all, or for -1 all classes in turn.
function labels(n, label) {
  return Array.from({ length: n }, (_, i) => (label < 0 ? i % about.classes.length : label));
}

// The first n images of a seed, as `counterfeit sample` draws them: Uint8Array of n * PIXELS.
function images(seed, n, label = -1) {
  return imagesOf(latents(seed, n), labels(n, label));
}

window.counterfeit = { about, images, imagesOf, latents };
