// @ts-check
// One cell of a sweep, large, in the place of the grid.

import { make, makeButton } from "./dom.mjs";
import { hasCome, wordOf } from "./grid_store.mjs";
import { Judgement, takeDigit } from "./stars.mjs";

/** @import { About } from "./live.mjs" */
/** @import { CellStore } from "./grid_store.mjs" */
/** @import { Kernel } from "./kernel.mjs" */
/** @import { Rater } from "./stars.mjs" */
/**
 * @typedef {{
 *   kernel: Kernel, store: CellStore, count: number, label: (at: number) => string, outcome: (at: number) => string,
 *   closed: (at: number) => void, rater: Rater, canRate: (at: number) => boolean, signal: AbortSignal,
 * }} Grid what the large view has to know of the grid
 */

export class LargeView {
  /** The cell in view; -1 while the grid is. */
  at = -1;
  /** What was asked for, so that a late answer does not take its place. */
  asked = "";
  url = "";

  root = make("div", "sweep-large");
  picture = make("div", "sweep-large-picture", this.root);
  image = make("img", "picture", this.picture);
  missing = make("div", "sweep-missing", this.picture);
  words = make("div", "sweep-large-words", this.root);
  bar = make("div", "sweep-large-buttons", this.words);
  back = makeButton("All", this.bar);
  before = makeButton("‹", this.bar);
  place = make("span", "sweep-place", this.bar);
  after = makeButton("›", this.bar);
  label = make("div", "sweep-large-label", this.words);
  prompt = make("div", "sweep-large-prompt", this.words);
  reason = make("div", "sweep-large-reason", this.words);
  facts = make("div", "sweep-large-facts", this.words);

  /** @param {HTMLElement} parent @param {Grid} grid */
  constructor(parent, grid) {
    this.grid = grid;
    this.parent = parent;
    this.judgement = new Judgement(grid.rater);
    const { stars, fields, said } = this.judgement;
    this.label.after(stars.root, said);
    this.facts.after(fields);
    this.root.hidden = true;
    this.root.tabIndex = -1;
    this.root.setAttribute("role", "group");
    this.back.title = "Back to all (Escape)";
    this.before.setAttribute("aria-label", "Previous");
    this.after.setAttribute("aria-label", "Next");
    parent.append(this.root);
    const { signal } = grid;
    this.back.addEventListener("click", () => this.close(), { signal });
    this.before.addEventListener("click", () => this.go(-1), { signal });
    this.after.addEventListener("click", () => this.go(1), { signal });
    signal.addEventListener("abort", () => URL.revokeObjectURL(this.url));
  }

  /** @param {number} at */
  open(at) {
    this.at = at;
    this.asked = "";
    this.parent.dataset.large = "true";
    this.root.hidden = false;
    this.update();
    this.root.focus({ preventScroll: true });
  }

  close() {
    const { at } = this;
    if (at < 0) return;
    this.at = -1;
    this.root.hidden = true;
    this.parent.dataset.large = "false";
    this.grid.closed(at);
  }

  /** @param {number} by */
  go(by) {
    const to = this.at + by;
    if (to < 0 || to >= this.grid.count) return;
    this.at = to;
    this.update();
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const { at, grid } = this;
    if (takeDigit(event, (stars) => grid.canRate(at) && grid.rater.give(String(at), { stars }))) return;
    /** @type {Record<string, () => void>} */
    const keys = {
      Escape: () => this.close(),
      ArrowRight: () => this.go(1),
      ArrowDown: () => this.go(1),
      ArrowLeft: () => this.go(-1),
      ArrowUp: () => this.go(-1),
    };
    const does = keys[event.key];
    if (!does || event.ctrlKey || event.altKey || event.metaKey) return;
    does();
    event.preventDefault();
    event.stopPropagation(); // JupyterLab would go to another cell
  }

  /** Show the cell as it stands by now. */
  update() {
    const { at, grid } = this;
    if (at < 0) return;
    this.judgement.update(String(at));
    for (const part of [this.judgement.stars.root, this.judgement.fields]) part.hidden = !grid.canRate(at);
    const outcome = grid.outcome(at);
    const asked = `${at} ${outcome}`;
    if (asked === this.asked) return;
    this.asked = asked;
    const label = grid.label(at);
    this.label.textContent = label;
    this.root.setAttribute("aria-label", `${label}, ${wordOf(outcome)}`);
    this.place.textContent = `${(at + 1).toLocaleString("en")} of ${grid.count.toLocaleString("en")}`;
    this.before.setAttribute("aria-disabled", String(at === 0));
    this.after.setAttribute("aria-disabled", String(at === grid.count - 1));
    const known = grid.store.detail(at, outcome);
    this.show(known?.url ?? "", known?.reason || (outcome === "d" ? "" : wordOf(outcome)));
    this.ask(asked);
  }

  /** @param {string} asked */
  async ask(asked) {
    const { at, grid } = this;
    try {
      const [{ cell, mime }, buffers] = await grid.kernel.ask({ type: "large", at });
      if (asked !== this.asked || !cell) return;
      this.tell(cell);
      if (mime) {
        URL.revokeObjectURL(this.url);
        this.url = URL.createObjectURL(new Blob(buffers.slice(0, 1), { type: mime }));
        this.show(this.url, "");
      } else if (hasCome(grid.outcome(at))) this.show("", wordOf(grid.outcome(at)));
    } catch (error) {
      if (asked === this.asked) this.reason.textContent = /** @type {Error} */ (error).message;
    }
  }

  /** @param {About} cell */
  tell({ prompt, facts, reason }) {
    this.prompt.textContent = this.image.alt = prompt;
    this.reason.textContent = reason;
    this.reason.hidden = !reason;
    this.facts.replaceChildren(
      ...facts.map((words) => {
        const line = make("div", "sweep-fact");
        line.textContent = words;
        return line;
      }),
    );
  }

  /** @param {string} url @param {string} words where there is no picture */
  show(url, words) {
    this.image.hidden = !url;
    if (url) this.image.src = url;
    this.missing.hidden = Boolean(url);
    this.missing.textContent = words;
  }
}
