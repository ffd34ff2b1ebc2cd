// Requests of one kind, of which only the newest counts: a late answer is dropped, and nothing waits in line.
const CLIENT = crypto.getRandomValues(new Uint32Array(2)).join("-");
const MOST = 2; // under way at the same time
const APART = 25; // milliseconds between two, which the app's limit on requests allows
const SLOW = 250; // milliseconds after which something is said

export class Newest {
  // show(found, milliseconds): an ImageBitmap with its `blob`, or an object. fail(words); words is "" when all is well.
  // `name` keeps apart those of one path, which would take each other's place.
  constructor(path, show, fail, waiting = () => {}, name = "") {
    Object.assign(this, { path, show, fail, waiting, name, next: null, open: 0, sent: 0, shown: 0, last: 0, timer: 0 });
  }

  ask(values) {
    this.next = values;
    this.pump();
  }

  pump() {
    if (!this.next || this.open >= MOST || this.timer) return;
    const early = APART - (performance.now() - this.last);
    if (early > 0) {
      this.timer = setTimeout(() => { this.timer = 0; this.pump(); }, early);
      return;
    }
    const values = this.next;
    this.next = null;
    this.send(values);
  }

  async send(values) {
    const number = ++this.sent;
    const begun = (this.last = performance.now());
    this.open++;
    const slow = setTimeout(() => this.waiting(true), SLOW);
    try {
      const found = await posted(this.path, { ...values, client: CLIENT + this.name });
      if (found && number > this.shown) {
        this.shown = number;
        this.fail("");
        this.show(found, performance.now() - begun);
      }
    } catch (error) {
      if (number > this.shown) this.fail(error.message);
    } finally {
      clearTimeout(slow);
      this.open--;
      if (!this.open) this.waiting(false);
      this.pump();
    }
  }
}

async function posted(path, values) {
  let answer;
  try {
    answer = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(values),
    });
  } catch {
    throw new Error("the app does not answer: is it still running?");
  }
  if (answer.status === 204) return null; // a newer request took its place
  if (answer.ok && answer.headers.get("content-type") === "image/png") {
    const blob = await answer.blob();
    return Object.assign(await createImageBitmap(blob), { blob });
  }
  const text = await answer.text();
  if (answer.ok) return JSON.parse(text);
  let found = {};
  try { found = JSON.parse(text); } catch { found = { error: text }; }
  throw new Error(found.error || answer.statusText);
}
