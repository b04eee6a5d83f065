// @ts-check
// Some of the history: small pictures with what they are of, which can be rated, and looked at large.

import { make } from "./dom.mjs";
import { Kernel } from "./kernel.mjs";
import { Large } from "./large.mjs";
import { Pictures, Place } from "./pictures.mjs";
import { Judgement, Rater, STAR_KEYS, Stars, isTyping, keepTyped, markStars, starWords, takeDigit } from "./stars.mjs";
import { widgetOf } from "./widget.mjs";

/** @import { Channel, Status } from "./live.mjs" */
/** @import { Ratings } from "./stars.mjs" */
/**
 * What Python sends (`history.py`).
 * @typedef {{ words: string, outcome: Status | "" }} Fact marked by the color of the outcome, if there is one
 * @typedef {{
 *   name: string, number: string, prompt: string, whole: string, status: Status, details: Fact[], missing: string, rated: boolean,
 * }} Entry an image; `missing` is what stands in its place, `rated` says whether it can be
 * @typedef {{ entries: Entry[], below: string[], ratings: Ratings }} HistoryTraits
 * @typedef {Channel & { get<Name extends keyof HistoryTraits>(trait: Name): HistoryTraits[Name] }} HistoryModel
 * @typedef {{ left: number, top: number }} Corner
 */

/**
 * The picture that a key leads to, or -1 where it leads nowhere.
 * @param {Corner[]} corners of all pictures @param {number} at @param {string} key
 */
export function neighbor(corners, at, key) {
  const last = corners.length - 1;
  const { left, top } = corners[at] ?? { left: 0, top: 0 };
  /** @param {(corner: Corner) => number} distance in lines; those behind have none */
  const nearest = (distance) => {
    const beyond = corners.map((corner, index) => ({ index, far: distance(corner), aside: Math.abs(corner.left - left) }));
    const ahead = beyond.filter(({ far }) => far > 1).sort((a, b) => a.far - b.far || a.aside - b.aside);
    return ahead[0]?.index ?? at;
  };
  /** @type {Record<string, () => number>} */
  const keys = {
    ArrowRight: () => Math.min(last, at + 1),
    ArrowLeft: () => Math.max(0, at - 1),
    ArrowDown: () => nearest((corner) => corner.top - top),
    ArrowUp: () => nearest((corner) => top - corner.top),
    Home: () => 0,
    End: () => last,
  };
  return keys[key]?.() ?? -1;
}

/** One picture with its words. */
class Item {
  root = make("div", "entry");
  frame = make("div", "entry-image", this.root);
  place = new Place(this.frame);

  /** @param {Entry} entry @param {(stars: number | null) => void} rate */
  constructor(entry, rate) {
    this.entry = entry;
    this.frame.setAttribute("role", "group");
    this.stars = new Stars((change) => rate(change.stars ?? null), false);
    if (entry.rated) this.frame.append(this.stars.root);
    const title = make("div", "entry-prompt", this.root);
    if (entry.number) make("b", "entry-number", title).textContent = `${entry.number} `;
    title.append(entry.prompt);
    this.root.title = entry.whole;
    this.judged = make("div", "entry-judged", this.root);
    for (const { words, outcome } of entry.details) {
      const line = make("div", "entry-detail", this.root);
      if (outcome) make("span", "entry-outcome", line).dataset.status = outcome;
      line.append(words);
    }
  }

  /** @param {string} url @param {Rater} rater */
  update(url, rater) {
    const { name, prompt, status, missing } = this.entry;
    const { stars, tags, note } = rater.of(name);
    this.place.update({ status, label: missing, keys: missing ? [] : [name] }, url, prompt);
    markStars(this.place.root, { stars, tags, note });
    this.stars.update(stars);
    this.judged.textContent = [tags.join(", "), note].filter(Boolean).join(" · ");
    this.frame.setAttribute("aria-label", [prompt, status, starWords(stars)].filter(Boolean).join(", "));
  }
}

class HistoryView {
  connected = true;
  /** The picture that Tab leads to. */
  active = 0;
  /** The picture that is or was shown large: the browser gives the focus back to the one before. */
  enlarged = 0;
  large = new Large();
  card = make("section", "card");
  list = make("div", "entries", this.card);
  keys = make("div", "keys", this.card);
  refusal = make("div", "refusal", this.card);
  below = make("div", "below", this.card);
  spoken = make("div", "spoken", this.card);

  /** @param {HistoryModel} model @param {HTMLElement} el @param {Pictures} pictures @param {AbortSignal} signal */
  constructor(model, el, pictures, signal) {
    this.pictures = pictures;
    this.signal = signal;
    this.kernel = new Kernel(model, signal);
    this.rater = new Rater(model, this.kernel, () => this.update(), signal);
    this.judgement = new Judgement(this.rater);
    this.items = model.get("entries").map((entry) => new Item(entry, (stars) => this.rate(entry, stars)));
    this.list.append(...this.items.map(({ root }) => root));
    this.card.setAttribute("aria-label", "History");
    this.refusal.setAttribute("role", "alert");
    this.spoken.setAttribute("role", "status");
    this.keys.textContent = `${STAR_KEYS} · Enter shows an image large, with its tags and note`;
    this.below.textContent = model.get("below").join("\n");
    this.addToLarge();
    el.append(this.card);
    this.listen(model);
    void this.kernel.ask({ type: "hello" });
  }

  addToLarge() {
    const { head, buttons, root } = this.large;
    const { stars, said, fields } = this.judgement;
    buttons.prepend(stars.root);
    head.after(said, fields);
    root.dataset.rated = "true";
  }

  /** @param {HistoryModel} model */
  listen(model) {
    const { signal, large } = this;
    const lost = () => {
      this.connected = false;
      this.rater.lost();
      this.update();
    };
    model.on("comm_live_update", lost);
    signal.addEventListener("abort", () => {
      model.off("comm_live_update", lost);
      large.root.close();
    });
    this.pictures.changed.addEventListener("picture", () => this.update(), { signal });
    this.list.addEventListener("focusin", ({ target }) => this.activate(this.indexOf(target)), { signal });
    this.list.addEventListener("click", ({ target }) => this.click(/** @type {Element} */ (target)), { signal });
    large.root.addEventListener("close", () => this.focus(this.enlarged), { signal });
    // On the window, before the notebook's own shortcuts: to them Enter means the cell, whatever has the focus.
    window.addEventListener("keydown", (event) => this.key(event), { capture: true, signal });
  }

  /** @param {EventTarget | null} target @returns {number} the picture that it belongs to, or -1 */
  indexOf(target) {
    return this.items.findIndex(({ frame }) => frame.contains(/** @type {Node} */ (target)));
  }

  /** @param {number} at */
  activate(at) {
    this.active = at < 0 ? this.active : at;
    this.items.forEach(({ frame }, index) => (frame.tabIndex = index === this.active ? 0 : -1));
  }

  /** @param {number} at */
  focus(at) {
    this.activate(at);
    this.items[at]?.frame.focus();
  }

  /** @param {Element} target */
  click(target) {
    const at = this.indexOf(target);
    if (at < 0) return;
    this.focus(at);
    if (!target.closest(".gradient-stars")) this.open(at);
  }

  /** Show a picture as large as the window is. @param {number} at */
  open(at) {
    const entry = this.items[at]?.entry;
    if (!entry || entry.missing || !this.connected) return;
    this.activate(at);
    this.enlarged = at;
    const original = this.kernel.ask({ type: "original", image: entry.name });
    this.large.open(original.then(([{ mime }, buffers]) => new Blob(buffers.slice(0, 1), { type: mime })));
    this.update();
  }

  /** @param {Entry} entry @param {number | null} stars */
  rate({ name, rated }, stars) {
    if (!rated || !this.connected) return;
    void this.rater.give(name, { stars });
    this.spoken.textContent = starWords(stars) || "no stars";
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    const isLarge = this.large.root.contains(target);
    if (!isLarge && !this.card.contains(target)) return;
    const entry = this.items[this.active]?.entry;
    if (isTyping(target)) keepTyped(event, this.large.close);
    else if (["Enter", " "].includes(event.key) && target.matches("button")) event.stopPropagation();
    else if (entry && (isLarge || this.indexOf(target) >= 0)) this.keyAt(event, entry, isLarge);
  }

  /** @param {KeyboardEvent} event @param {Entry} entry @param {boolean} isLarge */
  keyAt(event, entry, isLarge) {
    if (takeDigit(event, (stars) => this.rate(entry, stars)) || event.ctrlKey || event.altKey || event.metaKey) return;
    const corners = this.items.map(({ root }) => ({ left: root.offsetLeft, top: root.offsetTop }));
    const to = neighbor(corners, this.active, event.key);
    if (to >= 0 && isLarge) this.open(to);
    else if (to >= 0) this.focus(to);
    else if (!isLarge && (event.key === "Enter" || event.key === " ")) this.open(this.active);
    else return;
    event.preventDefault();
    event.stopPropagation(); // JupyterLab would go to another cell
  }

  update() {
    this.card.dataset.connected = String(this.connected);
    for (const item of this.items) item.update(item.entry.missing ? "" : this.pictures.url(item.entry.name), this.rater);
    this.activate(this.active);
    const entry = this.items[this.active]?.entry;
    const { name, words } = this.rater.refused;
    const refused = this.items.find((item) => item.entry.name === name)?.entry;
    this.refusal.textContent = refused ? `${refused.number || refused.prompt}: ${words}` : "";
    this.refusal.hidden = !refused;
    this.keys.hidden = !this.connected || Boolean(refused) || !this.items.some((item) => item.entry.rated);
    this.below.hidden = !this.below.textContent;
    if (entry && this.large.isOpen) this.updateLarge(entry);
  }

  /** @param {Entry} entry */
  updateLarge(entry) {
    const { stars, fields } = this.judgement;
    this.judgement.update(entry.name);
    stars.root.hidden = fields.hidden = !entry.rated || !this.connected;
    this.large.update(this.pictures.url(entry.name), entry.prompt, entry.details.map(({ words }) => words).join(" · "));
  }
}

export default widgetOf(Pictures, HistoryView);
