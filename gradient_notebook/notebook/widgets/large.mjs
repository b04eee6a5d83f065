// @ts-check
// One picture as large as the window allows, on top of all else.

import { make, makeButton } from "./dom.mjs";

/** Shows a picture large; where its original can be had, one more click shows that pixel by pixel. */
export class Large {
  // A browser's own dialog: Escape closes it, Tab stays in it, and the focus goes back to where it was.
  root = make("dialog", "large");
  head = make("div", "head", this.root);
  words = make("div", "words", this.head);
  prompt = make("div", "prompt", this.words);
  line = make("div", "line", this.words);
  buttons = make("div", "buttons", this.head);
  actual = makeButton("Actual size", this.buttons);
  close = makeButton("Close", this.buttons);
  ground = make("div", "ground", this.root);
  image = make("img", "whole", this.ground);
  wanted = "";
  original = "";
  /** How often it has been opened: an original that comes late belongs to an earlier time. */
  times = 0;

  constructor() {
    this.close.autofocus = true;
    this.prompt.dir = "auto";
    this.actual.title = "Show the original image pixel by pixel";
    this.close.addEventListener("click", () => this.root.close());
    this.actual.addEventListener("click", () => this.resize(this.actual.ariaPressed !== "true"));
    this.image.addEventListener("click", () => (this.actual.hidden ? this.root.close() : this.actual.click()));
    this.root.addEventListener("click", ({ target }) => target === this.root && this.root.close());
    this.root.addEventListener("close", () => this.closed());
  }

  get isOpen() {
    return this.root.open;
  }

  /** Open it, or show another picture in it. @param {Promise<Blob> | undefined} original what the service sent, where it can be had */
  open(original) {
    this.actual.hidden = true;
    this.resize(false);
    this.forget();
    // Not in the notebook, which takes plain keys for its own shortcuts: some of them delete cells.
    if (!this.isOpen) {
      document.body.append(this.root);
      this.root.showModal();
    }
    const time = ++this.times;
    const take = (/** @type {Blob} */ blob) => (this.isOpen && time === this.times ? this.take(blob) : undefined);
    original?.then(take).catch(() => undefined); // the preview stays
  }

  /** Show what is known by now. @param {string} url @param {string} prompt @param {string} line */
  update(url, prompt, line) {
    this.prompt.textContent = prompt;
    this.root.setAttribute("aria-label", prompt);
    this.image.alt = prompt;
    this.line.textContent = line;
    if (url && !this.original) this.show(url);
  }

  /** @param {Blob} blob */
  async take(blob) {
    this.original = URL.createObjectURL(blob);
    await this.show(this.original);
    this.actual.hidden = false;
  }

  /** @param {string} url */
  async show(url) {
    if (url === this.wanted) return;
    this.wanted = url;
    const next = new Image();
    next.src = url;
    const isThere = await next.decode().then(() => true, () => false);
    if (!isThere || this.wanted !== url) return;
    this.root.style.setProperty("--gradient-shape", String(next.naturalWidth / next.naturalHeight));
    this.image.src = url;
  }

  /** @param {boolean} actual */
  resize(actual) {
    this.actual.ariaPressed = String(actual);
    this.root.dataset.actual = String(actual);
  }

  closed() {
    this.root.remove();
    this.forget();
  }

  forget() {
    this.image.removeAttribute("src");
    if (this.original) URL.revokeObjectURL(this.original);
    this.wanted = this.original = "";
  }
}
