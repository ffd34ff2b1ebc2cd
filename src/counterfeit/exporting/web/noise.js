// The latents of a seed as counterfeit draws them: SHA-256 of the seed's words, PyTorch's Mersenne Twister, its floats.
"use strict";

const BLOCK = 128; // rows that are drawn at once

// SHA-256 of text (FIPS 180-4): browsers have it only on pages that came over HTTPS.
function sha256(text) {
  const bytes = new TextEncoder().encode(text), length = bytes.length;
  const padded = new Uint8Array(((length + 8) >> 6 << 6) + 64);
  padded.set(bytes);
  padded[length] = 0x80;
  new DataView(padded.buffer).setUint32(padded.length - 4, length * 8);
  const primes = [];
  for (let n = 2; primes.length < 64; n++) if (primes.every((p) => n % p)) primes.push(n);
  const fraction = (x) => Math.floor((x - Math.floor(x)) * 2 ** 32) >>> 0;
  const k = primes.map((p) => fraction(Math.cbrt(p))), h = primes.slice(0, 8).map((p) => fraction(Math.sqrt(p)));
  const turn = (x, n) => (x >>> n) | (x << (32 - n)), view = new DataView(padded.buffer);
  for (let start = 0; start < padded.length; start += 64) {
    const w = Array.from({ length: 16 }, (_, i) => view.getUint32(start + 4 * i));
    for (let i = 16; i < 64; i++) {
      const a = w[i - 15], b = w[i - 2];
      w.push((w[i - 16] + (turn(a, 7) ^ turn(a, 18) ^ (a >>> 3)) + w[i - 7] + (turn(b, 17) ^ turn(b, 19) ^ (b >>> 10))) >>> 0);
    }
    let [a, b, c, d, e, f, g, last] = h;
    for (let i = 0; i < 64; i++) {
      const one = (last + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + k[i] + w[i]) >>> 0;
      const two = ((turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) >>> 0;
      [last, g, f, e, d, c, b, a] = [g, f, e, (d + one) >>> 0, c, b, a, (one + two) >>> 0];
    }
    [a, b, c, d, e, f, g, last].forEach((x, i) => { h[i] = (h[i] + x) >>> 0; });
  }
  return h;
}

// Matsumoto & Nishimura 1998, as PyTorch seeds it: by the lowest 32 bits.
class Twister {
  constructor(seed) {
    this.state = new Uint32Array(624);
    this.state[0] = seed;
    for (let i = 1; i < 624; i++) {
      const before = this.state[i - 1] ^ (this.state[i - 1] >>> 30);
      this.state[i] = Math.imul(1812433253, before) + i;
    }
    this.place = 624;
  }

  next() {
    const s = this.state;
    if (this.place === 624) {
      for (let i = 0; i < 624; i++) {
        const y = (s[i] & 0x80000000) | (s[(i + 1) % 624] & 0x7fffffff);
        s[i] = s[(i + 397) % 624] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
      }
      this.place = 0;
    }
    let y = s[this.place++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  // A float32 in [0, 1) of 24 bits.
  uniform() {
    return (this.next() & 0xffffff) / 2 ** 24;
  }
}

// The generator's seed: the first 8 bytes as a little-endian number, halved, of which the lowest 32 bits count.
function seeded(seed) {
  const [first, second] = sha256(`samples ${BigInt(seed)}`);
  const swapped = (x) => ((x << 24) | ((x & 0xff00) << 8) | ((x >>> 8) & 0xff00) | (x >>> 24)) >>> 0;
  const low = swapped(first), high = swapped(second);
  return ((low >>> 1) | (high << 31)) >>> 0;
}

// The latents of the first n images of a seed, Float32Array of n * size numbers, `kind` normal or uniform.
function latentsOf(seed, n, size, kind) {
  const source = new Twister(seeded(seed)), rows = Math.ceil(n / BLOCK) * BLOCK;
  const found = new Float32Array(rows * size);
  for (let i = 0; i < found.length; i++) found[i] = source.uniform();
  if (kind === "uniform") return found.map((u) => 2 * u - 1).subarray(0, n * size);
  for (let i = 0; i < found.length; i += 16) { // Box & Muller 1958, by pairs that lie 8 apart
    for (let j = i; j < i + 8; j++) {
      const radius = Math.sqrt(-2 * Math.log(1 - found[j])), angle = 2 * Math.PI * found[j + 8];
      [found[j], found[j + 8]] = [radius * Math.cos(angle), radius * Math.sin(angle)];
    }
  }
  return found.subarray(0, n * size);
}
