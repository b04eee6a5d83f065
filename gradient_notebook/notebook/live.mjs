// @ts-check
// The live picture. One self-contained file: it is imported from a blob URL, where relative imports can't work.

/**
 * @typedef {{ status: "running" | "done" | "failed" | "cancelled", label: string, keys: string[] }} Tile
 * @typedef {{ kind: string, what: string, advice: string }} Box
 * @typedef {{ words: string, seconds: number }} Wait why nothing happens, and for how long yet
 * @typedef {{
 *   id: string, status: Tile["status"], prompt: string, settings: string, note: string, caption: string[], boxes: Box[],
 *   elapsed_s: number, steps_done: number, steps: number, partial_images: number, width: number, height: number,
 *   tiles: Tile[], rows: number[], mime: string, wait: Wait,
 * }} Job
 * @typedef {{ running: Job[], preview_px: number }} State
 * @typedef {import("@anywidget/types").AnyModel<any>} Model
 */

const TICK_MS = 100;

/**
 * @param {number} seconds
 * @returns {string} as `7.4 s` or `1 min 7 s`
 */
export function duration(seconds) {
  const tenths = Math.floor(seconds * 10) / 10;
  if (tenths < 60) return `${tenths.toFixed(1)} s`;
  return `${Math.floor(tenths / 60)} min ${Math.floor(tenths % 60)} s`;
}

/**
 * How far the work is, 0 to 1. The last picture takes as long as the others, so the bar never stands at its end.
 * @param {number} done
 * @param {number} steps
 */
export function fraction(done, steps) {
  return Math.min(1, (done + 0.25) / (steps + 0.25));
}

/**
 * Why nothing happens, counted down.
 * @param {Wait} wait
 * @param {number} passed seconds since it was told
 */
export function countdown({ words, seconds }, passed) {
  return seconds > 0 ? `${words} ${duration(Math.max(0, seconds - passed))}` : words;
}

/**
 * What a screen reader says about the state of things.
 * @param {Pick<Job, "status" | "tiles" | "steps" | "steps_done" | "note" | "wait">} job
 */
export function announcement({ status, tiles, steps, steps_done, note, wait }) {
  if (status !== "running") return `Image ${status}`;
  if (wait?.words) return countdown(wait, 0);
  if (tiles.length > 1) return note;
  return steps_done ? `Partial image ${steps_done} of ${steps - 1}` : "Waiting for the first picture";
}

/**
 * The grid's columns, and how many of them each tile spans, so that rows of different lengths are equally wide.
 * @param {number[]} rows
 */
export function layout(rows) {
  const columns = rows.reduce((product, count) => (product % count ? product * count : product), 1);
  return { columns, spans: rows.flatMap((count) => Array(count).fill(columns / count)) };
}

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {string} name of the class
 * @param {Element} [parent]
 * @returns {HTMLElementTagNameMap[Tag]}
 */
function make(tag, name, parent) {
  const element = document.createElement(tag);
  element.className = `gradient-${name}`;
  parent?.append(element);
  return element;
}

/** @param {string} words @param {Element} parent */
function makeButton(words, parent) {
  const button = make("button", "button", parent);
  button.type = "button";
  button.textContent = words;
  return button;
}

/** The pictures of one model, by key, for all its views. They come as messages; what was missed is asked for. */
class Pictures {
  /** @param {Model} model */
  constructor(model) {
    this.model = model;
    /** @type {Map<string, string>} */
    this.urls = new Map();
    /** @type {Set<string>} */
    this.asked = new Set();
    this.changed = new EventTarget();
    this.heard = this.heard.bind(this);
    model.on("msg:custom", this.heard);
  }

  /** @param {any} message @param {DataView[]} buffers */
  heard(message, buffers) {
    if (message.type !== "picture" || this.urls.has(message.key)) return;
    const picture = new Blob([/** @type {any} */ (buffers[0])], { type: message.mime });
    this.urls.set(message.key, URL.createObjectURL(picture));
    this.changed.dispatchEvent(new Event("picture"));
  }

  /** @param {string | undefined} key @returns {string} the picture's address, empty until it has come */
  url(key) {
    if (!key) return "";
    const url = this.urls.get(key);
    if (url) return url;
    if (!this.asked.has(key)) this.model.send({ type: "picture", key });
    this.asked.add(key);
    return "";
  }

  /** Let go of pictures that no job has any more. @param {Job[]} jobs */
  keepOnly(jobs) {
    const wanted = new Set(jobs.map((job) => job.id));
    for (const [key, url] of this.urls) {
      if (wanted.has(key.split(".")[0])) continue;
      URL.revokeObjectURL(url);
      this.urls.delete(key);
    }
  }

  close() {
    this.model.off("msg:custom", this.heard);
    for (const url of this.urls.values()) URL.revokeObjectURL(url);
    this.urls.clear();
  }
}

/** @param {Tile} tile */
function cameToNothing({ status }) {
  return status === "failed" || status === "cancelled";
}

/** A place for one picture. Shows the next only once it is decoded, so that nothing flickers. */
class Place {
  /** @param {Element} parent @param {"div" | "button"} [tag] */
  constructor(parent, tag = "div") {
    this.root = make(tag, "tile", parent);
    this.image = make("img", "picture");
    this.badge = make("span", "badge", this.root);
    this.wanted = "";
  }

  /** @param {Tile} tile @param {string} url @param {string} alt @param {boolean} labelled */
  update(tile, url, alt, labelled) {
    this.root.dataset.status = tile.status;
    this.root.dataset.empty = String(!tile.keys.length);
    this.badge.textContent = tile.label;
    this.badge.hidden = !tile.label || !labelled;
    this.image.alt = alt;
    if (!tile.keys.length) this.clear();
    else if (url && url !== this.wanted) this.show(url);
  }

  clear() {
    this.wanted = "";
    this.image.remove();
  }

  /** @param {string} url */
  async show(url) {
    this.wanted = url;
    const next = new Image();
    next.src = url;
    await next.decode().catch(() => undefined);
    if (this.wanted !== url) return; // a newer one came meanwhile
    this.image.src = url;
    if (!this.image.isConnected) this.root.prepend(this.image);
    this.image.dataset.pictures = String(Number(this.image.dataset.pictures ?? 0) + 1);
  }
}

/**
 * Add or take away places until there are `count`.
 * @param {Place[]} places @param {number} count @param {() => Place} add
 */
function resize(places, count, add) {
  while (places.length < count) places.push(add());
  while (places.length > count) places.pop()?.root.remove();
}

/** One view of the widget: a card with one job. */
class View {
  /** @param {Model} model @param {HTMLElement} el @param {Pictures} pictures @param {AbortSignal} signal */
  constructor(model, el, pictures, signal) {
    this.model = model;
    this.el = el;
    this.pictures = pictures;
    this.signal = signal;
    this.connected = true;
    this.since = performance.now();
    /** @type {Set<string>} */
    this.stopping = new Set();
    /** @type {Place[]} */
    this.places = [];
    this.card = this.build();
    this.listen();
  }

  build() {
    const card = make("section", "card", this.el);
    this.grid = make("div", "grid", card);
    this.bar = make("div", "bar", card);
    this.filled = make("div", "filled", this.bar);
    this.foot = make("div", "foot", card);
    const words = make("div", "words", this.foot);
    this.prompt = make("div", "prompt", words);
    this.line = make("div", "line", words);
    this.dots = make("span", "dots", this.line);
    this.settings = make("span", "settings", this.line);
    this.clock = make("span", "clock", this.line);
    this.buttons = make("div", "buttons", this.foot);
    this.cancel = makeButton("Cancel", this.buttons);
    this.cancel.classList.add("gradient-cancel");
    this.spoken = make("div", "spoken", card);
    card.setAttribute("aria-label", "Image generation");
    this.bar.setAttribute("role", "progressbar");
    this.bar.setAttribute("aria-label", "Progress");
    this.spoken.setAttribute("role", "status");
    this.dots.setAttribute("aria-hidden", "true");
    return card;
  }

  /** @returns {Job[]} newest first */
  get jobs() {
    return this.model.get("running");
  }

  /** The job in view, and one of its tiles, or -1 for all of them. */
  get inView() {
    const [job] = this.jobs;
    return job && { job, tile: job.tiles.length === 1 ? 0 : -1 };
  }

  /** Traits that a view shows beside `running`. @returns {string[]} */
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
    /** @type {[any, () => void][]} */
    const heard = [["change:running", counted], ["comm_live_update", lost]];
    for (const name of this.shownTraits) heard.push([`change:${name}`, update]);
    for (const [name, callback] of heard) model.on(name, callback);
    signal.addEventListener("abort", () => heard.forEach(([name, callback]) => model.off(name, callback)));
    this.pictures.changed.addEventListener("picture", update, { signal });
    const timer = setInterval(() => this.tick(), TICK_MS);
    signal.addEventListener("abort", () => clearInterval(timer));
    this.cancel?.addEventListener("click", () => this.stop(), { signal });
  }

  /** The kernel is gone. */
  lost() {
    this.update();
  }

  stop() {
    const id = this.inView?.job.id ?? "";
    if (this.stopping.has(id)) return;
    this.stopping.add(id);
    this.model.send({ type: "cancel", job: id });
    this.update();
  }

  tick() {
    const job = this.inView?.job;
    if (!job || !this.connected) return;
    const passed = job.status === "running" ? (performance.now() - this.since) / 1000 : 0;
    this.clock.textContent = duration(job.elapsed_s + passed);
    if (job.wait?.words) this.settings.textContent = waitingFor(job, passed);
  }

  update() {
    const seen = this.inView;
    this.card.dataset.connected = String(this.connected);
    if (seen) this.updateJob(seen.job, seen.tile);
    this.tick();
  }

  /** @param {Job} job @param {number} tile in view, -1 for all */
  updateJob(job, tile) {
    const running = job.status === "running";
    const alone = job.tiles.length === 1;
    this.updateGrid(job, tile);
    this.prompt.textContent = this.prompt.title = job.prompt;
    this.settings.textContent = job.caption.length ? job.caption.join(" · ") : alone ? job.settings : job.note;
    if (!this.connected && running) this.settings.textContent = "the kernel is gone";
    this.clock.hidden = job.caption.length > 0 || Boolean(job.wait?.words); // one clock at a time
    this.dots.replaceChildren(...(alone && running ? dotsFor(job) : []));
    const done = fraction(job.steps_done, job.steps);
    this.bar.hidden = !running;
    this.filled.style.width = `${done * 100}%`;
    this.bar.setAttribute("aria-valuenow", String(Math.round(done * 100)));
    this.updateCancel(running && this.connected, this.stopping.has(job.id));
    const lost = running && !this.connected;
    this.say(lost ? "The kernel is gone; this image is no longer on its way." : announcement(job));
  }

  /** @param {boolean} possible @param {boolean} asked */
  updateCancel(possible, asked) {
    const focused = document.activeElement === this.cancel;
    this.cancel.hidden = !possible;
    this.cancel.setAttribute("aria-disabled", String(asked)); // a disabled one would lose the focus
    this.cancel.textContent = asked ? "Cancelling…" : "Cancel";
    if (focused && !possible) this.afterCancel();
  }

  /** Keep the focus of somebody who has cancelled by keyboard. */
  afterCancel() {}

  /** @param {Job} job @param {number} tile */
  updateGrid(job, tile) {
    const shown = tile < 0 ? job.tiles : [job.tiles[tile]];
    resize(this.places, shown.length, () => new Place(this.grid));
    const { columns, spans } = layout(tile < 0 ? job.rows : [1]);
    shown.forEach((one, index) => {
      const place = this.places[index];
      place.update(one, this.pictures.url(this.keyOf(one)), job.prompt, shown.length > 1 || cameToNothing(one));
      place.root.style.gridColumn = `span ${spans[index] ?? columns}`;
    });
    this.card.style.setProperty("--gradient-ratio", `${job.width} / ${job.height}`);
    this.card.style.setProperty("--gradient-columns", String(columns));
    const px = this.model.get("preview_px");
    this.sized.style.maxWidth = `${job.width >= job.height ? px : Math.round((px * job.width) / job.height)}px`;
  }

  /** What gets no wider than its pictures are. */
  get sized() {
    return this.card;
  }

  /** The picture that a tile shows. @param {Tile} tile */
  keyOf(tile) {
    return tile.keys.at(-1);
  }

  /** @param {string} words */
  say(words) {
    if (this.spoken.textContent !== words) this.spoken.textContent = words;
  }
}

/** @param {Job} job @param {number} passed seconds since the job was told */
function waitingFor(job, passed) {
  const words = countdown(job.wait, passed);
  return job.tiles.length === 1 ? words : `${job.note} · ${words}`;
}

/** @param {Job} job */
function dotsFor(job) {
  return Array.from({ length: job.partial_images }, (_, index) => {
    const dot = make("span", "dot");
    dot.dataset.done = String(index < job.steps_done);
    return dot;
  });
}

/** What is shown: `film.mjs`, which comes behind this file in a panel, puts its own in this place. */
let Shown = View;

export default () => {
  /** @type {Pictures} */
  let pictures;
  return {
    /** @param {{ model: Model }} context */
    initialize({ model }) {
      pictures = new Pictures(model);
      return () => pictures.close();
    },
    /** @param {{ model: Model, el: HTMLElement }} context */
    render({ model, el }) {
      const controller = new AbortController();
      new Shown(model, el, pictures, controller.signal).update();
      return () => controller.abort();
    },
  };
};
