// @ts-check
// A comparison: panes with pictures, what to do with them, and a table of what differs.

import { make, makeButton } from "./dom.mjs";
import { Panes } from "./panes.mjs";
import { Pictures } from "./pictures.mjs";
import { widgetOf } from "./widget.mjs";

/** @import { Channel } from "./live.mjs" */
/** @import { Mode } from "./panes.mjs" */
/**
 * What Python sends (`compare.py`).
 * @typedef {{ key: string, label: string, width: number, height: number, digest: string }} Compared
 * @typedef {{ name: string, values: [string, boolean][][] }} Row
 * @typedef {{ images: Compared[], prompt: string, rows: Row[], known: boolean }} CompareTraits
 * @typedef {Channel & { get<Name extends keyof CompareTraits>(trait: Name): CompareTraits[Name] }} CompareModel
 */

/** @type {[Mode, string][]} */
const MODES = [["slider", "Slider"], ["side", "Side by side"], ["difference", "Difference"]];
const AMPLIFIED = [1, 2, 4, 8, 16];

/**
 * What is said of two pictures, or of all.
 * @param {Compared[]} images those in view @param {Mode} mode @param {number} amplified
 */
export function told(images, mode, amplified) {
  const sizes = [...new Set(images.map(({ width, height }) => `${width}×${height}`))];
  const [first, second] = images;
  const words = [sizes.length > 1 ? `Sizes differ (${sizes.join(", ")}): scaled to compare` : sizes.join("")];
  if (images.length === 2 && first?.digest === second?.digest) words.push("identical, pixel by pixel");
  else if (mode === "difference") words.push(`difference ×${amplified}, black where they are equal`);
  return words.join(" · ");
}

/** Two others of those that there are. @param {number[]} pair @param {number} place 0 or 1 @param {number} to @returns {number[]} */
export function chosenPair(pair, place, to) {
  const [left = 0, right = 1] = pair;
  const other = place ? left : right;
  const changed = other === to ? (place ? right : left) : other; // they change places
  return place ? [changed, to] : [to, changed];
}

class CompareView {
  /** @type {Mode} */
  mode = "slider";
  pair = [0, 1];

  card = make("section", "card");
  stage = make("div", "beside-stage", this.card);
  foot = make("div", "head", this.card);
  words = make("div", "words", this.foot);
  prompt = make("div", "prompt", this.words);
  line = make("div", "line", this.words);
  buttons = make("div", "buttons", this.foot);
  tools = make("div", "beside-tools", this.card);
  choice = make("span", "beside-group", this.tools);
  zoom = make("span", "beside-group", this.tools);
  table = make("div", "beside-table", this.card);

  /** @param {CompareModel} model @param {HTMLElement} el @param {Pictures} pictures @param {AbortSignal} signal */
  constructor(model, el, pictures, signal) {
    this.pictures = pictures;
    this.signal = signal;
    this.images = model.get("images");
    this.panes = new Panes(this.images, signal, () => this.updatePercent());
    this.stage.append(this.panes.root);
    this.card.setAttribute("aria-label", "Comparison");
    this.prompt.textContent = this.prompt.title = model.get("prompt") || this.title;
    this.prompt.dir = "auto";
    this.modes = MODES.map(([mode, words]) => this.button(words, this.buttons, () => this.show(mode)));
    this.addTools();
    this.fillTable(model.get("rows"), model.get("known"));
    el.append(this.card);
    this.pictures.changed.addEventListener("picture", () => this.fill(), { signal });
    // On the window, before the notebook's own shortcuts: some of them delete cells.
    window.addEventListener("keydown", (event) => this.key(event), { capture: true, signal });
  }

  update() {
    this.fill();
    this.show(this.images.length > 2 ? "side" : "slider");
  }

  get title() {
    return this.images.length > 2 ? `${this.images.length} images` : this.images.map(({ label }) => label).join(" | ");
  }

  /** @param {string} words @param {Element} parent @param {() => void} does */
  button(words, parent, does) {
    const button = makeButton(words, parent);
    button.addEventListener("click", does, { signal: this.signal });
    return button;
  }

  addTools() {
    const { panes } = this;
    const labels = this.images.map(({ label }) => label);
    this.chosen = ["Left", "Right"].map((name, place) =>
      this.select(name, labels, (at) => {
        this.pair = chosenPair(this.pair, place, at);
        this.show(this.mode);
      }),
    );
    this.amplified = this.select("Amplified", AMPLIFIED.map((times) => `×${times}`), (at) => {
      panes.amplified = AMPLIFIED[at] ?? 1;
      this.show(this.mode);
    });
    this.amplified.selectedIndex = AMPLIFIED.indexOf(panes.amplified);
    const smaller = this.button("−", this.zoom, panes.smaller);
    const fit = this.button("Fit", this.zoom, panes.fit);
    const actual = this.button("100 %", this.zoom, panes.actual);
    const larger = this.button("+", this.zoom, panes.larger);
    smaller.setAttribute("aria-label", "Zoom out");
    larger.setAttribute("aria-label", "Zoom in");
    fit.title = "All of it (0)";
    actual.title = "Pixel by pixel (1)";
    this.percent = make("span", "beside-percent", this.zoom);
    make("span", "beside-hint", this.tools).textContent = "Click a picture, then: wheel or + − zooms, drag or arrow keys move.";
  }

  /** @param {string} name @param {string[]} labels @param {(at: number) => void} chose */
  select(name, labels, chose) {
    const label = make("label", "beside-choice", this.choice);
    label.append(name);
    const select = make("select", "beside-select", label);
    labels.forEach((words, at) => select.add(new Option(words, String(at))));
    select.addEventListener("change", () => chose(select.selectedIndex), { signal: this.signal });
    return select;
  }

  fill() {
    this.images.forEach(({ key }, at) => this.panes.setPicture(at, this.pictures.url(key)));
  }

  /** @param {Mode} mode */
  show(mode) {
    this.mode = mode;
    const all = this.images.map((_, at) => at);
    const inView = mode === "side" ? all : this.pair;
    this.panes.arrange(mode, inView);
    this.modes.forEach((button, at) => button.setAttribute("aria-pressed", String(MODES[at]?.[0] === mode)));
    this.line.textContent = told(inView.flatMap((at) => this.images[at] ?? []), mode, this.panes.amplified);
    this.chosen?.forEach((select, place) => {
      select.selectedIndex = this.pair[place] ?? 0;
      this.hide(select, this.images.length < 3 || mode === "side");
    });
    if (this.amplified) this.hide(this.amplified, mode !== "difference");
  }

  /** @param {HTMLElement} control @param {boolean} hidden */
  hide(control, hidden) {
    if (control.parentElement) control.parentElement.hidden = hidden;
  }

  updatePercent() {
    if (this.percent) this.percent.textContent = `${this.panes.percent} %`;
  }

  /** @param {Row[]} rows @param {boolean} known */
  fillTable(rows, known) {
    if (!rows.length) {
      this.table.textContent = known ? "The requests do not differ." : "";
      this.table.hidden = !known;
      return;
    }
    const table = make("table", "beside-rows", this.table);
    const head = table.createTHead().insertRow();
    make("td", "beside-corner", head);
    for (const { label } of this.images) this.cell("col", label, head);
    const body = table.createTBody();
    for (const { name, values } of rows) {
      const row = body.insertRow();
      this.cell("row", name, row);
      for (const pieces of values) {
        const cell = make("td", "beside-value", row);
        cell.dir = "auto";
        for (const [text, differs] of pieces) make(differs ? "mark" : "span", differs ? "differs" : "same", cell).textContent = text;
      }
    }
  }

  /** @param {"col" | "row"} scope @param {string} words @param {Element} row */
  cell(scope, words, row) {
    const cell = make("th", "beside-name", row);
    cell.scope = scope;
    cell.textContent = words;
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    if (!this.card.contains(target)) return;
    if (target.matches("button, select")) {
      if (!event.ctrlKey && !event.metaKey) event.stopPropagation();
    } else if (this.panes.key(event)) {
      event.preventDefault();
      event.stopPropagation();
    } else if (event.key === "Enter" || event.key === " ") event.stopPropagation();
  }
}

export default widgetOf(Pictures, CompareView);
