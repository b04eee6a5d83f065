// @ts-check
// The live picture. One self-contained file: it is imported from a blob URL, where relative imports can't work.

/**
 * @typedef {{ status: "running" | "done" | "failed" | "cancelled", label: string, picture: DataView, mime: string }} Tile
 * @typedef {{
 *   prompt: string, settings: string, note: string, elapsed_s: number, steps_done: number,
 *   steps: number, partial_images: number, width: number, height: number, preview_px: number, tiles: Tile[], rows: number[],
 * }} State
 * @typedef {import("@anywidget/types").AnyModel<State>} Model
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
 * What a screen reader says about the state of things.
 * @param {State} state
 */
export function announcement({ tiles, steps, steps_done, note }) {
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
 * @param {string} tag
 * @param {string} name of the class
 * @param {HTMLElement} [parent]
 */
function make(tag, name, parent) {
  const element = document.createElement(tag);
  element.className = `gradient-${name}`;
  parent?.append(element);
  return element;
}

/** A place for one picture. Shows the next only once it is decoded, so that nothing flickers. */
class Place {
  /** @param {HTMLElement} parent */
  constructor(parent) {
    this.root = make("div", "tile", parent);
    this.image = /** @type {HTMLImageElement} */ (make("img", "picture"));
    this.badge = make("span", "badge", this.root);
    this.url = "";
    /** @type {DataView | null} */
    this.shown = null;
  }

  /** @param {Tile} tile @param {string} alt @param {boolean} alone */
  update(tile, alt, alone) {
    this.root.dataset.status = tile.status;
    this.root.dataset.empty = String(!tile.picture?.byteLength);
    this.badge.textContent = tile.label;
    this.badge.hidden = alone || !tile.label;
    this.image.alt = alt;
    if (tile.picture?.byteLength && !same(tile.picture, this.shown)) this.show(tile);
  }

  /** @param {Tile} tile */
  async show(tile) {
    this.shown = tile.picture;
    const url = URL.createObjectURL(new Blob([/** @type {any} */ (tile.picture)], { type: tile.mime }));
    const next = new Image();
    next.src = url;
    await next.decode().catch(() => undefined);
    if (this.shown !== tile.picture) return URL.revokeObjectURL(url); // a newer one came meanwhile
    const old = this.url;
    this.url = this.image.src = url;
    if (!this.image.isConnected) this.root.prepend(this.image);
    this.image.dataset.pictures = String(Number(this.image.dataset.pictures ?? 0) + 1);
    if (old) URL.revokeObjectURL(old);
  }

  close() {
    this.shown = null;
    if (this.url) URL.revokeObjectURL(this.url);
  }
}

/** @param {DataView} one @param {DataView | null} other */
function same(one, other) {
  if (!other || one.byteLength !== other.byteLength) return false;
  if (one.buffer === other.buffer) return true;
  for (let at = 0; at < one.byteLength; at += 1) if (one.getUint8(at) !== other.getUint8(at)) return false;
  return true;
}

/** @param {Model} model @returns {State} */
function stateOf(model) {
  const names = /** @type {(keyof State)[]} */ ([
    "prompt", "settings", "note", "elapsed_s", "steps_done", "steps", "partial_images", "width", "height",
    "preview_px", "tiles", "rows",
  ]);
  return /** @type {any} */ (Object.fromEntries(names.map((name) => [name, model.get(name)])));
}

/** @param {{ model: Model, el: HTMLElement }} context */
function render({ model, el }) {
  const controller = new AbortController();
  const { signal } = controller;
  const card = make("section", "card", el);
  const grid = make("div", "grid", card);
  const bar = make("div", "bar", card);
  const filled = make("div", "filled", bar);
  const foot = make("div", "foot", card);
  const words = make("div", "words", foot);
  const prompt = make("div", "prompt", words);
  const line = make("div", "line", words);
  const dots = make("span", "dots", line);
  const settings = make("span", "settings", line);
  const clock = make("span", "clock", line);
  const button = /** @type {HTMLButtonElement} */ (make("button", "cancel", foot));
  const spoken = make("div", "spoken", card);
  card.setAttribute("aria-label", "Image generation");
  bar.setAttribute("role", "progressbar");
  bar.setAttribute("aria-label", "Progress");
  spoken.setAttribute("role", "status");
  dots.setAttribute("aria-hidden", "true");
  button.type = "button";
  button.textContent = "Cancel";

  /** @type {Place[]} */
  const places = [];
  let since = performance.now();
  let connected = true;

  function tick() {
    clock.textContent = duration(model.get("elapsed_s") + (performance.now() - since) / 1000);
  }

  function update() {
    const state = stateOf(model);
    const alone = state.tiles.length === 1;
    while (places.length < state.tiles.length) places.push(new Place(grid));
    const { columns, spans } = layout(state.rows);
    state.tiles.forEach((tile, index) => {
      places[index].update(tile, state.prompt, alone);
      places[index].root.style.gridColumn = `span ${spans[index] ?? columns}`;
    });
    card.style.setProperty("--gradient-ratio", `${state.width} / ${state.height}`);
    card.style.setProperty("--gradient-columns", String(columns));
    card.style.maxWidth = `${state.width >= state.height ? state.preview_px : Math.round((state.preview_px * state.width) / state.height)}px`;
    card.dataset.connected = String(connected);
    prompt.textContent = state.prompt;
    prompt.title = state.prompt;
    settings.textContent = alone ? state.settings : state.note;
    dots.replaceChildren(...(alone ? dotsFor(state) : []));
    const done = fraction(state.steps_done, state.steps);
    filled.style.width = `${done * 100}%`;
    bar.setAttribute("aria-valuenow", String(Math.round(done * 100)));
    const words = connected ? announcement(state) : "The kernel is gone; this image is no longer on its way.";
    if (spoken.textContent !== words) spoken.textContent = words;
    if (!connected) settings.textContent = "the kernel is gone";
    button.hidden = !connected;
  }

  function cancel() {
    button.disabled = true;
    button.textContent = "Cancelling…";
    model.send({ type: "cancel" });
  }

  const timer = setInterval(() => connected && tick(), TICK_MS);
  signal.addEventListener("abort", () => clearInterval(timer));
  signal.addEventListener("abort", () => places.forEach((place) => place.close()));
  button.addEventListener("click", cancel, { signal });

  const changed = () => update();
  const counted = () => {
    since = performance.now();
    tick();
  };
  const lost = () => {
    connected = /** @type {any} */ (model).comm_live ?? false;
    update();
  };
  model.on("change", changed);
  model.on("change:elapsed_s", counted);
  model.on(/** @type {any} */ ("comm_live_update"), lost);
  signal.addEventListener("abort", () => {
    model.off("change", changed);
    model.off("change:elapsed_s", counted);
    model.off(/** @type {any} */ ("comm_live_update"), lost);
  });

  tick();
  update();
  return () => controller.abort();
}

/** @param {State} state */
function dotsFor(state) {
  return Array.from({ length: state.partial_images }, (_, index) => {
    const dot = make("span", "dot");
    dot.dataset.done = String(index < state.steps_done);
    return dot;
  });
}

export default { render };
