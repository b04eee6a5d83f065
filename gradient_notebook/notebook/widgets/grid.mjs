// @ts-check
// The grid of a sweep: its cells in lines, of which only those in view exist.

import { Canceller, cancelLabel } from "./cancel.mjs";
import { Card, make, makeButton } from "./dom.mjs";
import { LargeView } from "./grid_large.mjs";
import { CellStore, hasCome, wordOf } from "./grid_store.mjs";
import { lineOf, linesOf, linesWithin, moved, placed } from "./grid_lines.mjs";
import { Kernel } from "./kernel.mjs";
import { Rater, STAR_KEYS, Stars, isTyping, keepTyped, markStars, starWords, takeDigit } from "./stars.mjs";
import { widgetOf } from "./widget.mjs";

/** @import { GridModel, State } from "./grid_store.mjs" */
/** @import { Lines } from "./grid_lines.mjs" */

const TICK_MS = 1000;
const ASK_MS = 80;

/** @param {number} seconds an estimate @returns {string} as `25 s`, `4 min` or `1.5 h` */
export function roughly(seconds) {
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

/** What stands on top, and what a button offers. @param {State} state @param {number} passed seconds since it was told */
export function totals({ parts, left_s, elapsed_s, status }, passed) {
  const left = left_s === null ? [] : [`${roughly(Math.max(0, left_s - passed))} left`];
  const ended = (status === "done" || status === "cancelled") && elapsed_s > 0 ? [`${roughly(elapsed_s)}`] : [];
  return [...parts, ...left, ...ended].join(" · ");
}

/** @param {State} state */
function isUnderWay({ status }) {
  return status === "running" || status === "paused";
}

/** One line that stands in the page: what is in it, by the index of the cell. */
class Line {
  /** @type {Map<number, HTMLElement>} */
  cells = new Map();

  /** @param {HTMLElement} parent @param {number} number */
  constructor(parent, number) {
    this.root = make("div", "sweep-row", parent);
    this.root.setAttribute("role", "row");
    this.root.setAttribute("aria-rowindex", String(number + 1));
  }
}

class GridView extends Card {
  connected = true;
  since = performance.now();
  id = crypto.getRandomValues(new Uint32Array(1)).join();
  /** The cell that Tab leads to. */
  active = 0;
  /** The stars to click, of cells that somebody has pointed at. @type {WeakMap<Element, Stars>} */
  stars = new WeakMap();
  /** When Cancel was pressed. */
  cancelling = 0;
  asked = "";
  asking = 0;
  drawing = 0;
  /** @type {Lines | null} */
  lines = null;
  /** @type {Map<number, Line>} */
  drawn = new Map();

  dashboard = make("a", "sweep-dashboard", this.words);
  start = makeButton("Start", this.buttons);
  pause = makeButton("Pause", this.buttons);
  retry = makeButton("Retry", this.buttons);
  cancel = makeButton("Cancel", this.buttons);
  notes = make("div", "sweep-notes", this.card);
  linesBelow = 1;
  body = make("div", "sweep-body", this.card);
  scroller = make("div", "sweep-scroller", this.body);
  top = make("div", "sweep-columns", this.scroller);
  sheet = make("div", "sweep-sheet", this.scroller);
  keys = make("div", "keys", this.card);
  refusal = make("div", "refusal", this.card);

  /** @param {GridModel} model @param {HTMLElement} el @param {CellStore} store @param {AbortSignal} signal */
  constructor(model, el, store, signal) {
    super("Sweep");
    this.model = model;
    this.store = store;
    this.signal = signal;
    this.canceller = new Canceller(model.widget_manager);
    const kernel = new Kernel(model, signal);
    this.plan = model.get("plan");
    this.card.dataset.wraps = String(!this.plan.columns.length);
    this.title.textContent = this.title.title = this.plan.title;
    this.dashboard.textContent = "Dashboard of the cluster";
    this.dashboard.target = "_blank";
    this.dashboard.rel = "noopener noreferrer";
    this.scroller.setAttribute("role", "grid");
    this.scroller.setAttribute("aria-label", "Images");
    this.refusal.setAttribute("role", "alert");
    this.rater = new Rater(model, kernel, () => this.refresh(), signal);
    this.large = new LargeView(this.body, {
      kernel,
      rater: this.rater,
      canRate: (at) => this.canRate(at),
      store,
      count: this.plan.count,
      label: (at) => this.label(at),
      outcome: (at) => this.outcome(at),
      closed: (at) => {
        this.updateKeys();
        this.focus(at);
      },
      signal,
    });
    this.card.append(this.spoken);
    el.append(this.card);
    this.listen();
    void this.greet(kernel);
  }

  /** Learn whether the kernel hears what is said here, and let it know that it is shown. @param {Kernel} kernel */
  async greet(kernel) {
    await kernel.ask({ type: "hello" });
    this.canceller.isHeard = true;
    this.update();
  }

  get way() {
    return this.canceller.way(this.model.get("awaited"));
  }

  /** @param {number} at */
  outcome(at) {
    return this.model.get("outcomes")[at] ?? "q";
  }

  /** What a cell is, in words. @param {number} at */
  label(at) {
    const { plan } = this;
    const row = plan.rows[Math.floor(at / plan.across)] ?? "";
    const within = at % plan.across;
    const column = plan.columns[Math.floor(within / plan.span)] ?? plan.captions[within] ?? "";
    const number = plan.span > 1 ? String((within % plan.span) + 1) : "";
    return [row, column, number].filter(Boolean).join(" · ") || `cell ${at + 1}`;
  }

  listen() {
    const { model, signal } = this;
    const told = () => {
      this.since = performance.now();
      this.update();
    };
    const lost = () => {
      this.connected = false;
      this.rater.lost();
      this.update();
    };
    model.on("change:state", told);
    model.on("change:state", () => void (model.get("state").lines_below === this.linesBelow || this.layOut()));
    model.on("change:outcomes", told);
    model.on("change:awaited", told);
    model.on("comm_live_update", lost);
    signal.addEventListener("abort", () => {
      model.off("change:state", told);
      model.off("change:outcomes", told);
      model.off("change:awaited", told);
      model.off("comm_live_update", lost);
      resized.disconnect();
      clearInterval(timer);
      cancelAnimationFrame(this.drawing);
      clearTimeout(this.asking);
    });
    this.store.changed.addEventListener("cells", () => this.refresh(), { signal });
    const resized = new ResizeObserver(() => this.layOut());
    resized.observe(this.scroller);
    const timer = setInterval(() => this.tick(), TICK_MS);
    const options = { signal };
    this.scroller.addEventListener("scroll", () => this.drawSoon(), { signal, passive: true });
    this.sheet.addEventListener("click", (event) => this.click(event.target), options);
    this.sheet.addEventListener("focusin", (event) => this.activate(cellOf(event.target)), options);
    this.sheet.addEventListener("pointerover", (event) => this.offerStars(cellOf(event.target)), options);
    // On the window, before the notebook's own shortcuts: to them Enter means the cell, whatever has the focus.
    window.addEventListener("keydown", (event) => this.key(event), { capture: true, signal });
    for (const [button, what] of this.offered) {
      button.addEventListener("click", () => this.ask(button, what()), options);
    }
  }

  /** @returns {[HTMLButtonElement, () => string][]} */
  get offered() {
    const paused = () => (this.model.get("state").status === "paused" ? "resume" : "pause");
    return [[this.start, () => "start"], [this.pause, paused], [this.retry, () => "retry"], [this.cancel, () => "cancel"]];
  }

  /** @param {HTMLButtonElement} button @param {string} what */
  ask(button, what) {
    if (button.getAttribute("aria-disabled") === "true") return;
    button.setAttribute("aria-disabled", "true"); // until the kernel has told what came of it
    if (what === "cancel") this.cancelling = performance.now();
    if (what === "cancel" && this.way === "interrupt") void this.canceller.interrupt();
    else this.model.send({ type: "do", what });
    this.updateCancel();
  }

  updateCancel() {
    const { way } = this;
    const asked = this.cancel.getAttribute("aria-disabled") === "true" && way !== "button";
    this.cancel.textContent = cancelLabel(way, asked, performance.now() - this.cancelling);
    this.cancel.title = way === "button" ? "While a cell runs, this kernel hears only the notebook's own interrupt button" : "";
    this.pause.hidden = this.cancel.hidden || way !== "click"; // a pause would not be heard either
  }

  update() {
    const state = this.model.get("state");
    const { status } = state;
    const runs = isUnderWay(state);
    this.card.dataset.connected = String(this.connected);
    this.card.dataset.status = status;
    const had = this.offered.some(([button]) => button === document.activeElement);
    const offers = this.connected && !this.plan.part;
    this.start.hidden = status !== "planned" || !offers;
    this.pause.hidden = this.cancel.hidden = !runs || !offers;
    this.pause.textContent = status === "paused" ? "Resume" : "Pause";
    this.retry.hidden = runs || !state.again || status === "planned" || !offers;
    this.retry.textContent = `Retry ${state.again.toLocaleString("en")}`;
    const asked = `${status} ${state.again}`;
    if (asked !== this.card.dataset.asked) {
      for (const [button] of this.offered) button.setAttribute("aria-disabled", "false");
    }
    this.updateCancel();
    this.card.dataset.asked = asked;
    if (had && !this.offered.some(([button]) => button === document.activeElement)) this.buttonOrCell().focus();
    this.fill(this.plan.whole ? state.ended / this.plan.whole : 1);
    this.bar.dataset.idle = String(!runs);
    this.updateNotes(state);
    this.tick();
    const said = `${status === "running" ? "" : `${status}, `}${state.parts.join(", ")}`;
    if (status !== this.spoken.dataset.status || !runs) this.spoken.textContent = said;
    this.spoken.dataset.status = status;
    this.refresh();
  }

  /** @param {State} state */
  updateNotes(state) {
    this.dashboard.hidden = !state.dashboard;
    if (state.dashboard) this.dashboard.href = state.dashboard;
    const more = this.plan.whole - this.plan.count;
    const told = [
      ...(this.connected || !isUnderWay(state) ? [] : ["What is missing here will not come: the same sweep again makes it."]),
      ...(state.status === "planned" ? this.plan.prompts : []),
      ...state.notes,
      ...(more > 0 ? [`The first ${this.plan.count.toLocaleString("en")} cells are shown, ${more.toLocaleString("en")} more are not.`] : []),
    ];
    const words = told.join("\n");
    this.notes.hidden = !words;
    if (this.notes.textContent !== words) this.notes.textContent = words;
  }

  /** Where the focus goes on when its button has gone. */
  buttonOrCell() {
    return this.offered.map(([button]) => button).find((button) => !button.hidden) ?? this.element(this.active) ?? this.scroller;
  }

  tick() {
    if (!this.cancel.hidden) this.updateCancel();
    const state = this.model.get("state");
    const passed = state.status === "running" && this.connected ? (performance.now() - this.since) / 1000 : 0;
    const lost = !this.connected && isUnderWay(state);
    const words = lost ? "the kernel has stopped" : totals(state, passed);
    if (this.line.textContent !== words) this.line.textContent = words;
    for (const line of this.drawn.values()) {
      for (const [at, element] of line.cells) if (this.outcome(at) === "r") this.updateCell(at, element);
    }
  }

  // What stands where

  layOut() {
    if (!this.scroller.clientWidth) return; // hidden: the large view stands in its place
    const { paddingLeft, paddingRight } = getComputedStyle(this.scroller);
    const width = this.scroller.clientWidth - parseFloat(paddingLeft) - parseFloat(paddingRight);
    const { plan } = this;
    this.linesBelow = this.model.get("state").lines_below;
    this.lines = linesOf(plan, width, plan.shape || this.store.shape || 1, this.linesBelow);
    const { lines } = this;
    const { style } = this.scroller;
    style.setProperty("--sweep-tile", `${lines.tile}px`);
    style.setProperty("--sweep-picture", `${lines.picture}px`);
    style.setProperty("--sweep-label", `${lines.label}px`);
    style.setProperty("--sweep-notes", String(this.linesBelow));
    this.sheet.style.height = `${lines.height}px`;
    this.sheet.style.width = this.top.style.width = plan.columns.length ? `${lines.width}px` : "";
    this.drawColumns();
    const focused = this.sheet.contains(document.activeElement);
    for (const { root } of this.drawn.values()) root.remove();
    this.drawn.clear();
    if (focused) this.focus(this.active);
    else this.draw();
  }

  drawColumns() {
    const { plan, lines } = this;
    this.top.hidden = !plan.columns.length;
    this.scroller.setAttribute("aria-colcount", String(plan.columns.length ? plan.across + 1 : lines?.columns ?? 1));
    this.scroller.setAttribute("aria-rowcount", String((lines?.count ?? 0) + (plan.columns.length ? 1 : 0)));
    if (!plan.columns.length || !lines) return;
    this.top.setAttribute("role", "row");
    const corner = make("div", "sweep-corner");
    corner.textContent = plan.axes.filter(Boolean).join(" / ");
    corner.setAttribute("role", "columnheader");
    const labels = plan.columns.map((words) => {
      const label = make("div", "sweep-column");
      label.setAttribute("role", "columnheader");
      label.textContent = label.title = words;
      label.style.width = `${lines.tile * plan.span + lines.gap * (plan.span - 1)}px`;
      return label;
    });
    this.top.replaceChildren(corner, ...labels);
  }

  drawSoon() {
    if (!this.drawing) this.drawing = requestAnimationFrame(() => this.draw());
  }

  draw() {
    this.drawing = 0;
    const { lines, scroller } = this;
    if (!lines || !scroller.clientHeight) return;
    const wanted = linesWithin(lines, scroller.scrollTop - scroller.clientHeight / 2, scroller.clientHeight * 2);
    const kept = this.sheet.contains(document.activeElement) ? lineOf(lines, this.active) : -1;
    for (const [number, { root }] of this.drawn) {
      if (wanted.includes(number) || number === kept) continue;
      root.remove();
      this.drawn.delete(number);
    }
    for (const number of wanted) if (!this.drawn.has(number)) this.drawLine(lines, number);
    this.askSoon();
  }

  /** @param {Lines} lines @param {number} number */
  drawLine(lines, number) {
    const { plan } = this;
    const { heading, first, count, top } = placed(lines, number);
    const line = new Line(this.sheet, number + (plan.columns.length ? 1 : 0));
    line.root.style.transform = `translateY(${top}px)`;
    this.drawn.set(number, line);
    if (heading >= 0) {
      const label = make("div", plan.columns.length ? "sweep-label" : "sweep-heading", line.root);
      label.setAttribute("role", "rowheader");
      label.textContent = label.title = plan.rows[heading] ?? "";
    }
    for (let at = first; at < first + count; at += 1) {
      const cell = this.makeCell(line.root, at);
      line.cells.set(at, cell);
      this.updateCell(at, cell);
    }
  }

  /** @param {HTMLElement} parent @param {number} at */
  makeCell(parent, at) {
    const cell = make("div", "sweep-cell", parent);
    cell.setAttribute("role", "gridcell");
    cell.dataset.at = String(at);
    cell.tabIndex = at === this.active ? 0 : -1;
    make("div", "tile", cell);
    const caption = this.plan.columns.length ? "" : (this.plan.captions[at % this.plan.across] ?? "");
    if (caption) {
      const label = make("div", "sweep-caption", cell);
      label.textContent = label.title = caption;
    }
    make("div", "sweep-note", cell);
    return cell;
  }

  /** @param {number} at @param {HTMLElement} element */
  updateCell(at, element) {
    const outcome = this.outcome(at);
    const detail = this.store.detail(at, outcome);
    const tile = /** @type {HTMLElement} */ (element.firstElementChild);
    const note = /** @type {HTMLElement} */ (element.querySelector(".gradient-sweep-note"));
    // A finished one that is on its way here is preceded by its newest partial image.
    const url = detail?.url ?? (outcome === "d" ? this.store.detail(at, "r")?.url : "") ?? "";
    const status = hasCome(outcome) || this.connected ? wordOf(outcome) : "queued";
    const running = status === "running" ? `${detail?.note || "running"} ${roughly(this.store.seconds(at))}` : "";
    const waits = this.connected && this.model.get("state").status !== "planned" ? "queued" : "";
    const words = running || (hasCome(outcome) ? (detail?.note ?? "") : waits);
    if (note.textContent !== words) note.textContent = words;
    const said = detail?.reason || (hasCome(outcome) && outcome !== "d" ? status : "");
    const rating = this.rater.of(String(at));
    const shown = `${status} ${url} ${said} ${rating.stars}`;
    if (tile.dataset.shown === shown) return;
    tile.dataset.shown = shown;
    tile.dataset.status = status;
    tile.dataset.empty = String(!url);
    element.setAttribute("aria-label", [this.label(at), said || status, starWords(rating.stars)].filter(Boolean).join(", "));
    tile.replaceChildren();
    if (url) {
      const image = make("img", "picture", tile);
      image.decoding = "async";
      image.alt = "";
      image.src = url;
      if (!this.plan.shape && !this.store.shape) image.addEventListener("load", () => this.learnShape(image), { once: true });
    } else if (said) make("span", "badge", tile).textContent = said;
    markStars(tile, rating);
    this.stars.get(element)?.update(rating.stars);
  }

  /** With size `auto` the first picture tells it. @param {HTMLImageElement} image */
  learnShape(image) {
    if (this.store.shape || !image.naturalHeight) return;
    this.store.shape = image.naturalWidth / image.naturalHeight;
    this.layOut();
  }

  refresh() {
    this.store.note(this.model.get("outcomes"));
    for (const line of this.drawn.values()) for (const [at, element] of line.cells) this.updateCell(at, element);
    this.large.update();
    this.updateKeys();
    this.askSoon();
  }

  /** Say what can be done by key; in its place stands what has become of it, where that is nothing. */
  updateKeys() {
    const { name, words } = this.rater.refused;
    const isLarge = this.large.at >= 0;
    const refusal = words && !isLarge ? `${this.label(Number(name))}: ${words}` : "";
    this.refusal.hidden = !refusal;
    if (this.refusal.textContent !== refusal) this.refusal.textContent = refusal;
    this.keys.hidden = !this.connected || Boolean(refusal) || !this.model.get("outcomes").includes("d");
    this.keys.textContent = `${STAR_KEYS} · ${isLarge ? "arrow keys show the others, Escape all of them" : "Enter shows an image large"}`;
  }

  // What somebody thinks of the images

  /** @param {number} at */
  canRate(at) {
    return this.connected && this.outcome(at) === "d";
  }

  /** @param {number} at @param {number | null} stars */
  rate(at, stars) {
    if (!this.canRate(at)) return;
    void this.rater.give(String(at), { stars });
    this.spoken.textContent = starWords(stars) || "no stars";
  }

  /** Let stars be clicked on one picture: thousands of cells do not have them all the time. @param {number} at */
  offerStars(at) {
    const cell = this.element(at);
    if (!cell || this.stars.has(cell) || !this.canRate(at)) return;
    const stars = new Stars((change) => this.rate(at, change.stars ?? null), false);
    this.stars.set(cell, stars);
    stars.update(this.rater.of(String(at)).stars);
    cell.append(stars.root);
  }

  /** @param {EventTarget | null} target */
  click(target) {
    const at = cellOf(target);
    if (!(/** @type {Element} */ (target).closest(".gradient-stars"))) this.open(at);
    else this.element(at)?.focus({ preventScroll: true }); // keys go on from there
  }

  // What the kernel has to send

  askSoon() {
    if (!this.asking) this.asking = setTimeout(() => this.askForCells(), ASK_MS);
  }

  askForCells() {
    this.asking = 0;
    if (!this.connected || this.signal.aborted) return;
    const at = [...this.drawn.values()].flatMap((line) => [...line.cells.keys()]).sort((a, b) => a - b);
    const lacking = at.filter((one) => hasCome(this.outcome(one)) && !this.store.detail(one, this.outcome(one)));
    const asked = JSON.stringify([at[0], at.at(-1), lacking]);
    if (asked === this.asked) return;
    this.asked = asked;
    this.model.send({ type: "see", view: this.id, at, lacking });
  }

  // By hand

  /** @param {number} at */
  element(at) {
    return /** @type {HTMLElement | null} */ (this.sheet.querySelector(`[data-at="${at}"]`));
  }

  /** @param {number} at */
  activate(at) {
    if (at < 0) return;
    const before = this.element(this.active);
    if (before) before.tabIndex = -1;
    this.active = at;
    const now = this.element(at);
    if (now) now.tabIndex = 0;
    this.offerStars(at);
  }

  /** Bring a cell into view, and the focus to it. @param {number} at */
  focus(at) {
    const { lines, scroller } = this;
    if (!lines) return;
    const { top, height } = placed(lines, lineOf(lines, at));
    const above = this.top.hidden ? 0 : this.top.offsetHeight;
    if (top < scroller.scrollTop) scroller.scrollTop = top;
    else if (top + height + above > scroller.scrollTop + scroller.clientHeight) {
      scroller.scrollTop = top + height + above - scroller.clientHeight;
    }
    this.activate(at);
    this.draw();
    this.activate(at);
    this.element(at)?.focus({ preventScroll: true });
    this.element(at)?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  /** @param {number} at */
  open(at) {
    if (at < 0) return;
    this.activate(at);
    this.large.open(at);
    this.updateKeys();
    this.card.scrollIntoView({ block: "nearest" });
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    if (!this.card.contains(target)) return;
    if (isTyping(target)) keepTyped(event, this.large.root);
    else if (["Enter", " "].includes(event.key) && target.matches("button")) event.stopPropagation();
    else if (this.large.root.contains(target)) this.large.key(event);
    else this.keyInGrid(event, this.scroller.contains(target) ? cellOf(target) : -1);
  }

  /** @param {KeyboardEvent} event @param {number} at the cell that has the focus, or -1 */
  keyInGrid(event, at) {
    if (at < 0 || !this.lines || event.altKey || event.metaKey) return;
    if (takeDigit(event, (stars) => this.rate(at, stars))) return;
    if (event.key === "Enter" || event.key === " ") this.open(at);
    else {
      const to = moved(this.lines, at, event.key, event.ctrlKey, Math.max(1, Math.floor(this.scroller.clientHeight / this.lines.line)));
      if (to < 0) return;
      this.focus(to);
    }
    event.preventDefault();
    event.stopPropagation(); // JupyterLab would go to another cell
  }
}

/** @param {EventTarget | null} target @returns {number} the cell that it is in, or -1 */
function cellOf(target) {
  const cell = /** @type {HTMLElement | null} */ (/** @type {Element | null} */ (target)?.closest("[data-at]") ?? null);
  return cell ? Number(cell.dataset.at) : -1;
}

export default widgetOf(CellStore, GridView);
