// @ts-check
// Pictures as they come from the kernel, and the places that show them.

/** @import { Channel, Message, Tile } from "./live.mjs" */

import { make } from "./dom.mjs";

const DECODING_MS = 1000;

/** The pictures of one model, by key, for all its views. They come as messages; what was missed is asked for. */
export class Pictures {
  /** @type {Map<string, string>} */
  urls = new Map();
  /** @type {Set<string>} */
  asked = new Set();
  changed = new EventTarget();

  /** @param {Channel} model */
  constructor(model) {
    this.model = model;
    model.on("msg:custom", this.onMessage);
  }

  /** @param {Message} message @param {DataView<ArrayBuffer>[]} buffers */
  onMessage = (message, buffers) => {
    if (message.type !== "picture" || this.urls.has(message.key)) return;
    const picture = new Blob(buffers.slice(0, 1), { type: message.mime });
    this.urls.set(message.key, URL.createObjectURL(picture));
    this.asked.delete(message.key); // once it has been let go, it can be asked for again
    this.changed.dispatchEvent(new Event("picture"));
  };

  /** @param {string | undefined} key @returns {string} the picture's address, empty until it has come */
  url(key) {
    if (!key) return "";
    const url = this.urls.get(key);
    if (url) return url;
    if (!this.asked.has(key)) this.model.send({ type: "picture", key });
    this.asked.add(key);
    return "";
  }

  /** Let go of pictures that no job has any more. @param {{ id: string }[]} jobs */
  keepOnly(jobs) {
    const wanted = new Set(jobs.map((job) => job.id));
    for (const [key, url] of this.urls) {
      const [job = ""] = key.split(".");
      if (wanted.has(job)) continue;
      URL.revokeObjectURL(url);
      this.urls.delete(key);
    }
  }

  close() {
    this.model.off("msg:custom", this.onMessage);
    for (const url of this.urls.values()) URL.revokeObjectURL(url);
    this.urls.clear();
  }
}

/** A place for one picture. Shows the next only once it is decoded, so that nothing flickers. */
export class Place {
  image = make("img", "picture");
  wanted = "";

  /** @param {Element} parent @param {"div" | "button"} [tag] */
  constructor(parent, tag = "div") {
    /** @type {HTMLElement} */
    this.root = make(tag, "tile", parent);
    this.badge = make("span", "badge", this.root);
    if (this.root instanceof HTMLButtonElement) this.root.type = "button";
  }

  /** Say what a click does; there is nothing to click before there is a picture. @param {string} words */
  name(words) {
    this.root.setAttribute("aria-label", words);
    this.root.title = words;
    this.root.toggleAttribute("disabled", this.root.dataset.empty === "true");
  }

  /** @param {Tile} tile @param {string} url @param {string} alt */
  update(tile, url, alt) {
    this.root.dataset.status = tile.status;
    this.root.dataset.empty = String(!tile.keys.length);
    this.badge.textContent = tile.label;
    this.badge.hidden = !tile.label;
    this.image.alt = alt;
    if (!tile.keys.length) this.clear();
    else if (!url) this.root.dataset.loading = "true"; // it is on its way: what stands there is an earlier one
    else if (url !== this.wanted) this.show(url);
    else if (this.image.src === url) this.root.dataset.loading = "false";
  }

  clear() {
    this.wanted = "";
    this.root.dataset.loading = "false";
    this.image.remove();
  }

  /** @param {string} url */
  async show(url) {
    this.wanted = url;
    this.root.dataset.loading = "true";
    const next = new Image();
    next.src = url;
    // In a window that draws nothing, decoding may never end: the picture is shown then as the browser gets to it.
    const late = new Promise((done) => setTimeout(done, DECODING_MS));
    await Promise.race([next.decode().catch(() => undefined), late]);
    if (this.wanted !== url) return; // a newer one came meanwhile
    this.root.dataset.loading = "false";
    this.image.src = url;
    if (!this.image.isConnected) this.root.prepend(this.image);
    this.image.dataset.pictures = String(Number(this.image.dataset.pictures ?? 0) + 1);
  }
}
