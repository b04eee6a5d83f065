// @ts-check
// The live picture. `esm.py` joins it with the modules that it imports: anywidget imports the text from a blob URL,
// where relative imports cannot work.

import { Canceller, cancelLabel } from "./cancel.mjs";
import { make, makeButton } from "./dom.mjs";
import { Kernel } from "./kernel.mjs";
import { Large } from "./large.mjs";
import { Spot, notify, watch } from "./notice.mjs";
import { Pictures, Place } from "./pictures.mjs";
import { widgetOf } from "./widget.mjs";
import { announcement, cameToNothing, countdown, duration, fraction, hasEnded, waitingFor } from "./words.mjs";

/** @import { Manager } from "./cancel.mjs" */
/**
 * What Python sends (`LiveJob.state` and the traits in `live.py`).
 * @typedef {"queued" | "running" | "done" | "refused" | "failed" | "cancelled" | "unknown"} Status
 * @typedef {{ status: Status, label: string, keys: string[] }} Tile one image; `keys` are those of its pictures
 * @typedef {{ kind: string, what: string, advice: string }} Box
 * @typedef {{ words: string, seconds: number }} Wait why nothing happens, and for how long yet
 * @typedef {{
 *   id: string, status: Status, prompt: string, settings: string, note: string, caption: string[], boxes: Box[],
 *   elapsed_s: number, steps_done: number, steps: number, partial_images: number, shape: number, columns: number,
 *   lines: number, tiles: Tile[], mime: string, wait: Wait,
 * }} Job
 * @typedef {{ running: Job[], awaited: boolean }} LiveTraits
 *
 * Messages: a picture, or what the kernel answers to a message with an `id`.
 * @typedef {{ type: "picture", key: string, mime: string, id?: undefined }} PictureMessage
 * @typedef {{ type?: undefined, id: string, error?: string, text?: string, mime?: string, name?: string, cell?: About }} Answer
 * @typedef {{ prompt: string, facts: string[], reason: string }} About a cell of a sweep
 * @typedef {PictureMessage | Answer} Message
 */

/**
 * What anywidget hands over, as far as it is used here.
 * @typedef {{ get(trait: string): unknown }} Control another widget's model
 * @typedef {(message: Message, buffers: DataView<ArrayBuffer>[]) => void} OnMessage
 * @typedef {`change:${string}` | "comm_live_update"} ModelEvent
 * @typedef {{
 *   on(event: "msg:custom", callback: OnMessage): void,
 *   on(event: ModelEvent, callback: () => void): void,
 *   off(event: "msg:custom", callback: OnMessage): void,
 *   off(event: ModelEvent, callback: () => void): void,
 *   send(message: { type: string, [more: string]: unknown }, callbacks?: unknown, buffers?: ArrayBuffer[]): void,
 * }} Channel
 */

/**
 * @template {LiveTraits} Traits
 * @typedef {Channel & {
 *   get<Name extends keyof Traits>(trait: Name): Traits[Name],
 *   set<Name extends keyof Traits>(trait: Name, value: Traits[Name]): void,
 *   save_changes(): void,
 *   widget_manager: Manager & { get_model(id: string): Promise<Control> },
 * }} Model
 */

/** @typedef {{ job: Job, tile: number }} InView a job and one of its tiles, or -1 for all of them */

const TICK_MS = 100;
const NAME_CHARACTERS = 80;

/**
 * One view of the widget: a card with one job.
 * @template {LiveTraits} Traits
 */
export class View {
  connected = true;
  since = performance.now();
  /** When each job was asked to stop. @type {Map<string, number>} */
  stopping = new Map();
  /** @type {Place[]} */
  places = [];
  large = new Large();
  /** @type {InView | null} what is shown large */
  enlarged = null;
  isSeen = true;
  spot = new Spot();
  /** @type {Set<string>} */
  unfinished = new Set();

  card = make("section", "card");
  head = make("div", "head", this.card);
  words = make("div", "words", this.head);
  prompt = make("div", "prompt", this.words);
  line = make("div", "line", this.words);
  dots = make("span", "dots", this.line);
  state = make("span", "state", this.line);
  settings = make("span", "settings", this.line);
  clock = make("span", "clock", this.line);
  buttons = make("div", "buttons", this.head);
  cancel = makeButton("Cancel", this.buttons);
  bar = make("div", "bar", this.card);
  filled = make("div", "filled", this.bar);
  grid = make("div", "grid", this.card);
  spoken = make("div", "spoken", this.card);

  /** @param {Model<Traits>} model @param {HTMLElement} el @param {Pictures} pictures @param {AbortSignal} signal */
  constructor(model, el, pictures, signal) {
    this.model = model;
    this.el = el;
    this.pictures = pictures;
    this.signal = signal;
    this.kernel = new Kernel(model, signal);
    this.canceller = new Canceller(model.widget_manager);
    this.cancel.classList.add("gradient-cancel");
    this.card.setAttribute("aria-label", "Image generation");
    this.bar.setAttribute("role", "progressbar");
    this.bar.setAttribute("aria-label", "Progress");
    this.spoken.setAttribute("role", "status");
    this.dots.setAttribute("aria-hidden", "true");
    this.prompt.dir = "auto"; // from the right, where it is written so
    el.append(this.card);
    this.listen();
    void this.greet();
  }

  /** Learn whether the kernel hears what is said here, and let it know that it is shown. */
  async greet() {
    await this.kernel.ask({ type: "hello" });
    this.canceller.isHeard = true;
    this.update();
  }

  /** @returns {Job[]} newest first */
  get jobs() {
    return this.model.get("running");
  }

  /** @returns {InView | null} */
  get inView() {
    const job = this.jobs.at(0);
    return job ? { job, tile: job.tiles.length === 1 ? 0 : -1 } : null;
  }

  /** Traits that a view shows beside `running`. @returns {(keyof Traits & string)[]} */
  get shownTraits() {
    return [];
  }

  /** Listen to all that may change, for as long as the view lives. */
  listen() {
    const { model, signal } = this;
    const update = () => this.update();
    const counted = () => {
      this.since = performance.now();
      update();
    };
    const lost = () => {
      this.connected = false; // it is told of losses only
      this.lost();
    };
    /** @type {[ModelEvent, () => void][]} */
    const listeners = [["change:running", counted], ["comm_live_update", lost]];
    for (const name of this.shownTraits) listeners.push([`change:${name}`, update]);
    for (const [name, callback] of listeners) model.on(name, callback);
    signal.addEventListener("abort", () => listeners.forEach(([name, callback]) => model.off(name, callback)));
    this.pictures.changed.addEventListener("picture", update, { signal });
    const timer = setInterval(() => this.tick(), TICK_MS);
    signal.addEventListener("abort", () => clearInterval(timer));
    this.cancel.addEventListener("click", () => this.stop(), { signal });
    watch(this.card, signal, (isSeen) => (this.isSeen = isSeen));
    this.grid.addEventListener("click", (event) => this.pressedPicture(event), { signal });
    // On the window, before the notebook's own shortcuts: to them Enter means the cell, whatever has the focus.
    window.addEventListener("keydown", (event) => this.keepKey(event), { capture: true, signal });
  }

  /** Where the result will be, if that is known: a card is replaced at its end. @returns {Element | null} */
  get anchor() {
    return this.el.closest(".jp-OutputArea");
  }

  /** What has ended and is out of sight is told in the window's corner. */
  tellEnds() {
    for (const job of this.jobs) {
      if (!hasEnded(job.status)) this.unfinished.add(job.id);
      else if (this.unfinished.delete(job.id) && !this.isSeen && job.status !== "cancelled") this.tellEnd(job);
    }
  }

  /** @param {Job} job */
  tellEnd(job) {
    const { anchor: element, spot } = this;
    const what = job.tiles.length > 1 ? job.note : announcement(job);
    const done = job.tiles.filter(({ status }) => status === "done").length;
    const missing = job.tiles.length - done;
    if (element) notify({ what, done, missing, prompt: job.prompt, element, spot, then: () => this.arrive(job) });
  }

  /** Somebody has come back to what has ended. @param {Job} _job */
  arrive(_job) {}

  /** @param {KeyboardEvent} event */
  keepKey(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    if (["Enter", " "].includes(event.key) && target.matches("button") && this.card.contains(target)) event.stopPropagation();
  }

  /** @param {Event} event */
  pressedPicture({ target }) {
    const at = this.places.findIndex(({ root }) => root.contains(/** @type {Node} */ (target)));
    if (at >= 0) this.choosePicture(at);
  }

  /** Do what a click on a picture does. @param {number} at of those in view */
  choosePicture(at) {
    const seen = this.inView;
    if (seen) this.enlarge(seen.job, seen.tile < 0 ? at : seen.tile);
  }

  /** Show a picture as large as the window is. @param {Job} job @param {number} tile */
  enlarge(job, tile) {
    this.enlarged = { job, tile };
    this.large.open(this.originalOf(job, tile));
    this.updateLarge();
  }

  /** The file of a finished image, where it can be had. @param {Job} _job @param {number} _tile @returns {Promise<Blob> | undefined} */
  originalOf(_job, _tile) {
    return undefined;
  }

  /** Follow what is shown large: newer partial images may come. */
  updateLarge() {
    if (!this.enlarged || !this.large.isOpen) return;
    const { job: before, tile } = this.enlarged;
    const job = this.jobs.find(({ id }) => id === before.id);
    const one = job?.tiles[tile];
    if (!job || !one) return;
    const number = job.tiles.length > 1 ? one.label || String(tile + 1) : "";
    const words = job.caption.length ? job.caption : [...(number ? [] : [job.note]), job.settings];
    this.large.update(this.pictures.url(this.keyOf(one)), job.prompt, [...(number ? [number] : []), ...words, ...this.judged(job, tile)].join(" · "));
  }

  /** What somebody thinks of an image, in words. @param {Job} _job @param {number} _tile @returns {string[]} */
  judged(_job, _tile) {
    return [];
  }

  /** The kernel is gone. */
  lost() {
    this.update();
  }

  async stop() {
    const id = this.inView?.job.id ?? "";
    const way = this.way;
    if (this.stopping.has(id) || way === "button") return;
    this.stopping.set(id, performance.now());
    this.update();
    if (way === "click") this.model.send({ type: "cancel", job: id });
    else if (!(await this.canceller.interrupt())) this.stopping.delete(id);
    this.update();
  }

  get way() {
    return this.canceller.way(this.model.get("awaited"));
  }

  tick() {
    if (this.isSeen) this.spot.note(this.card);
    const job = this.inView?.job;
    if (!job || !this.connected) return;
    if (this.stopping.has(job.id) && !hasEnded(job.status)) this.updateCancel(true, this.stopping.get(job.id));
    const passed = !hasEnded(job.status) ? (performance.now() - this.since) / 1000 : 0;
    this.clock.textContent = duration(job.elapsed_s + passed);
    if (job.wait?.words) this.state.textContent = countdown(job.wait, passed);
  }

  update() {
    const seen = this.inView;
    this.card.dataset.connected = String(this.connected);
    if (seen) this.updateJob(seen.job, seen.tile);
    this.updateLarge();
    this.tellEnds();
    this.tick();
  }

  /** @param {Job} job @param {number} tile in view, -1 for all */
  updateJob(job, tile) {
    const running = !hasEnded(job.status);
    const alone = job.tiles.length === 1;
    this.updateGrid(job, tile);
    this.prompt.textContent = this.prompt.title = job.prompt;
    this.updateLine(job, running);
    this.dots.replaceChildren(...(alone && running ? dotsFor(job) : []));
    const done = fraction(job.steps_done, job.steps);
    this.bar.hidden = !running;
    this.filled.style.width = `${done * 100}%`;
    this.bar.setAttribute("aria-valuenow", String(Math.round(done * 100)));
    this.updateCancel(running && this.connected, this.stopping.get(job.id));
    const lost = running && !this.connected;
    const words = lost ? "The kernel has stopped; this image will not arrive." : announcement(job);
    this.say(running || this.isSeen ? words : ""); // out of sight the corner says it
  }

  /** @param {Job} job @param {boolean} running */
  updateLine(job, running) {
    const lost = running && !this.connected;
    const state = lost ? "the kernel has stopped" : running ? countdown(job.wait, 0) || job.note : "";
    this.state.textContent = state;
    this.state.dataset.waits = String(lost || Boolean(job.wait.words));
    const settings = job.caption.length ? job.caption : [...(job.wait.words && job.tiles.length > 1 ? [job.note] : []), job.settings];
    this.settings.textContent = [...(state ? [""] : []), ...settings].join(" · ");
    this.clock.hidden = job.caption.length > 0 || lost;
  }

  /** @param {boolean} possible @param {number} [since] when it was asked for */
  updateCancel(possible, since) {
    const focused = document.activeElement === this.cancel;
    this.cancel.hidden = !possible;
    const { way } = this;
    const asked = since !== undefined;
    const waited = asked ? performance.now() - since : 0;
    this.cancel.setAttribute("aria-disabled", String(asked || way === "button")); // a disabled one would lose the focus
    this.cancel.textContent = cancelLabel(way, asked, waited);
    this.cancel.title = way === "button" ? "While a cell runs, this kernel hears only the notebook's own interrupt button" : "";
    if (focused && !possible) this.afterCancel();
  }

  /** Keep the focus of somebody who has cancelled by keyboard. */
  afterCancel() {}

  /** @param {Job} job @param {number} tile */
  updateGrid(job, tile) {
    const shown = tile < 0 ? job.tiles : job.tiles.slice(tile, tile + 1);
    for (const { root } of this.places.splice(shown.length)) root.remove();
    shown.forEach((one, index) => {
      const place = (this.places[index] ??= new Place(this.grid, "button"));
      const alone = shown.length === 1 && !cameToNothing(one);
      const label = !alone ? one.label : one.keys.length ? "" : waitingFor(job);
      place.update({ ...one, label }, this.pictures.url(this.keyOf(one)), job.prompt);
      place.name(this.nameOf(job, tile < 0 ? index : tile));
    });
    const all = tile < 0;
    const { style } = this.card;
    style.setProperty("--gradient-shape", String(job.shape));
    style.setProperty("--gradient-columns", String(all ? job.columns : 1));
    style.setProperty("--gradient-lines", String(all ? job.lines : 1));
  }

  /** What a click on a picture does. @param {Job} job @param {number} tile */
  nameOf(job, tile) {
    return `Show ${job.tiles.length > 1 ? `image ${tile + 1}` : "the image"} large: ${job.prompt.slice(0, NAME_CHARACTERS)}`;
  }

  /** The picture that a tile shows. @param {Tile} tile @returns {string | undefined} */
  keyOf(tile) {
    return tile.keys.at(-1);
  }

  /** @param {string} words */
  say(words) {
    if (this.spoken.textContent !== words) this.spoken.textContent = words;
  }
}

/** @param {Job} job */
function dotsFor(job) {
  return Array.from({ length: job.partial_images }, (_, index) => {
    const dot = make("span", "dot");
    dot.dataset.done = String(index < job.steps_done);
    return dot;
  });
}

/** The card of one cell. @extends {View<LiveTraits>} */
class CellView extends View {}

export default widgetOf(Pictures, CellView);
