// The film: behind `live.mjs`, in one module with it, this makes the right half of a panel of its card.

/** @typedef {{ job: Job, tile: number }} InView */

const PATIENCE_MS = 600;
const COPIED_MS = 1600;
const FORM_BUTTON = "[class*='gradient-form-']";
const NO_CLIPBOARD = "This page may not use the clipboard (it needs https).";

/**
 * What is in view: a job, and one of its tiles, or -1 for all of them. Selected is `job` or `job.tile`.
 * @param {Job[]} jobs newest first
 * @param {string} selected
 */
export function inView(jobs, selected) {
  const [id, index] = selected.split(".");
  const job = jobs.find((one) => one.id === id) ?? jobs[0];
  if (!job) return null;
  const tile = job.tiles.length === 1 ? 0 : job.id === id && index !== undefined ? Number(index) : -1;
  return { job, tile: tile < job.tiles.length ? tile : -1 };
}

/**
 * One thumbnail for each image, whether it has come or not.
 * @param {Job[]} jobs
 */
export function thumbnails(jobs) {
  return jobs.flatMap((job) => job.tiles.map((tile, index) => ({ job, tile, index, name: `${job.id}.${index}` })));
}

/** Asks the kernel, which may be busy, and hands over what it answers. */
class Kernel {
  /** @param {Model} model @param {AbortSignal} signal */
  constructor(model, signal) {
    this.model = model;
    /** @type {Map<string, (answer: [any, DataView[]]) => void>} */
    this.waiting = new Map();
    const heard = (/** @type {any} */ message, /** @type {DataView[]} */ buffers) => {
      this.waiting.get(message.id)?.([message, buffers]);
      this.waiting.delete(message.id);
    };
    model.on("msg:custom", heard);
    signal.addEventListener("abort", () => model.off("msg:custom", heard));
  }

  /** @param {Record<string, unknown>} question @returns {Promise<[any, DataView[]]>} */
  ask(question) {
    const id = crypto.getRandomValues(new Uint32Array(2)).join("-"); // each view hears all answers
    this.model.send({ ...question, id });
    return new Promise((resolve) => this.waiting.set(id, resolve));
  }
}

/** @param {Promise<[any, DataView[]]>} answer */
async function original(answer) {
  const [{ error, mime, name }, [bytes]] = await answer;
  if (error) throw new Error(error);
  return { blob: new Blob([/** @type {any} */ (bytes)], { type: mime }), name, mime };
}

/** The clipboard takes images as PNG only. @param {Blob} blob */
async function asPng(blob) {
  if (blob.type === "image/png") return blob;
  const bitmap = await createImageBitmap(blob);
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  canvas.getContext("2d")?.drawImage(bitmap, 0, 0);
  bitmap.close();
  return canvas.convertToBlob({ type: "image/png" });
}

/**
 * Copy what is still to come: a browser wants to be asked in the click itself.
 * @param {Record<string, Promise<Blob>>} kinds
 */
async function copy(kinds) {
  if (!navigator.clipboard?.write) throw new Error(NO_CLIPBOARD);
  const plain = Object.fromEntries(Object.entries(kinds).filter(([kind]) => !kind.startsWith("web ")));
  // Formats of one's own need a permission that others do not.
  const write = async (/** @type {typeof kinds} */ some) => navigator.clipboard.write([new ClipboardItem(some)]);
  await write(kinds).catch(() => write(plain));
}

/** @param {Promise<string>} text */
async function copyText(text) {
  if (navigator.clipboard?.write) {
    return copy({ "text/plain": text.then((words) => new Blob([words], { type: "text/plain" })) });
  }
  const area = make("textarea", "spoken", document.body); // the way of pages without https
  area.value = await text;
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  if (!copied) throw new Error(NO_CLIPBOARD);
}

/**
 * Whether a notebook could take a plain key for its own, and none of the form's controls needs to hear of it: what
 * native controls do with a key they do in any case.
 * @param {KeyboardEvent} event @param {HTMLElement} target
 */
function isShortcut(event, target) {
  if (target.matches("button, select, input[type='checkbox'], input[type='range']")) return true;
  return !target.matches(":read-write") && event.key.length === 1 && event.key !== " ";
}

/** A slider of the notebook's is not labelled, and says its step in the place of its value. @param {Element} handle */
function nameSlider(handle) {
  const row = handle.closest(".widget-inline-hbox");
  const names = { "aria-label": ".widget-label", "aria-valuetext": ".widget-readout" };
  for (const [attribute, part] of Object.entries(names)) {
    const words = row?.querySelector(part)?.textContent ?? "";
    if (handle.getAttribute(attribute) !== words) handle.setAttribute(attribute, words);
  }
}

/** @param {Event} event */
function swallow(event) {
  event.preventDefault();
  event.stopImmediatePropagation();
}

/** @param {Blob} blob @param {string} name */
function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), COPIED_MS);
}

/** All results of a panel, one of them in view, and what can be done with it. */
class Film extends View {
  build() {
    const card = super.build();
    this.kernel = new Kernel(this.model, this.signal);
    /** How many partial images the scrubber stands before the end, and of which image. */
    this.back = 0;
    this.looked = "";
    /** @type {Box[]} */
    this.notes = [];
    /** @type {Map<string, Place>} */
    this.strip = new Map();
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.patience = undefined;
    /** @type {{ input: HTMLInputElement, words: string } | undefined} */
    this.typed = undefined;
    card.className = "gradient-stage";
    card.setAttribute("aria-label", "Results");
    this.hint = make("div", "hint");
    this.hint.textContent = "Describe a picture, and press Generate.";
    this.bar.before(this.hint);
    this.buildTools();
    this.boxes = make("div", "boxes", card);
    this.boxes.setAttribute("role", "alert");
    this.thumbs = make("div", "film", card);
    this.thumbs.setAttribute("role", "group");
    this.thumbs.setAttribute("aria-label", "Results, newest first");
    return card;
  }

  buildTools() {
    this.scrubber = make("label", "scrubber");
    this.buttons.before(this.scrubber);
    this.range = make("input", "range");
    this.range.type = "range";
    this.range.setAttribute("aria-label", "Partial images that this image went through");
    this.position = make("span", "position");
    this.scrubber.append("partials", this.range, this.position);
    this.all = makeButton("Show all", this.buttons);
    this.use = makeButton("Use these settings", this.buttons);
    this.copy = makeButton("Copy", this.buttons);
    this.download = makeButton("Download", this.buttons);
    this.use.title = "Fill the form with what made this image";
    this.copy.title = "Copy the original image to the clipboard";
    this.download.title = "Download the original file, as the service sent it";
  }

  get jobs() {
    const jobs = [...this.model.get("running"), ...this.model.get("finished")];
    // A job that has just ended stands in both for a moment: the end counts.
    return [...new Map(jobs.map((job) => [job.id, job])).values()].sort((a, b) => Number(b.id) - Number(a.id));
  }

  get inView() {
    return inView(this.jobs, this.model.get("selected"));
  }

  get shownTraits() {
    return ["finished", "selected", "boxes"];
  }

  get sized() {
    return this.grid;
  }

  listen() {
    super.listen();
    const { signal } = this;
    /** @type {[HTMLElement, (event: Event) => void][]} */
    const clicks = [
      [this.all, () => this.select(this.inView?.job.id ?? "")],
      [this.use, () => this.model.send({ type: "use", job: this.inView?.job.id })],
      [this.copy, () => this.copyImage()],
      [this.download, () => this.downloadImage()],
      [this.grid, (event) => this.choose(event)],
      [this.thumbs, (event) => this.choose(event)],
    ];
    for (const [element, clicked] of clicks) element.addEventListener("click", clicked, { signal });
    this.range.addEventListener("input", () => this.scrub(), { signal });
    const heard = () => this.acknowledged();
    this.model.on("change:heard", heard);
    signal.addEventListener("abort", () => this.model.off("change:heard", heard));
    this.listenToPanel();
  }

  lost() {
    this.acknowledged();
  }

  afterCancel() {
    const seen = this.inView;
    this.strip.get(`${seen?.job.id}.${Math.max(seen?.tile ?? 0, 0)}`)?.root.focus();
  }

  scrub() {
    this.back = Number(this.range.max) - Number(this.range.value);
    this.update();
  }

  /** @param {Event} event */
  choose(event) {
    const place = /** @type {HTMLElement | null} */ (/** @type {Element} */ (event.target).closest("[data-name]"));
    if (place) this.select(place.dataset.name ?? "");
  }

  /** @param {string} name */
  select(name) {
    this.model.set("selected", name);
    this.model.save_changes();
    this.tell();
  }

  /** @param {Tile} tile */
  keyOf(tile) {
    return tile.keys.at(-1 - this.back) ?? tile.keys[0];
  }

  update() {
    const { jobs, inView: seen } = this;
    this.pictures.keepOnly(jobs);
    const looked = `${seen?.job.id}.${seen?.tile}`;
    if (looked !== this.looked) this.back = 0;
    this.looked = looked;
    this.hint.hidden = Boolean(seen);
    for (const part of [this.grid, this.foot, this.bar]) part.hidden = !seen;
    super.update();
    if (seen) this.updateTools(seen.job, seen.tile);
    this.updateBoxes([...(seen?.job.boxes ?? []), ...this.model.get("boxes"), ...this.notes]);
    this.updateFilm(jobs, seen);
  }

  /** @param {Job} job @param {number} tile */
  updateTools(job, tile) {
    const one = job.tiles[tile];
    const several = job.tiles.length > 1;
    this.places.forEach(({ root }, index) => {
      if (several && tile < 0) root.dataset.name = `${job.id}.${index}`;
      else delete root.dataset.name;
    });
    this.copy.hidden = this.download.hidden = !this.connected || one?.status !== "done";
    this.use.hidden = !this.connected || job.status === "running";
    this.all.hidden = !several || tile < 0;
    const partials = one?.status === "done" ? one.keys.length - 1 : 0;
    this.scrubber.hidden = partials < 1;
    this.range.max = String(partials);
    this.range.value = String(partials - this.back);
    const position = this.back ? `${partials - this.back + 1} of ${partials}` : "final";
    this.position.textContent = position;
    this.range.setAttribute("aria-valuetext", this.back ? `partial image ${position}` : position);
  }

  /** @param {Box[]} boxes */
  updateBoxes(boxes) {
    const wanted = JSON.stringify(boxes);
    if (this.boxes.dataset.boxes === wanted) return;
    this.boxes.dataset.boxes = wanted;
    this.boxes.replaceChildren(
      ...boxes.map(({ kind, what, advice }) => {
        const box = make("div", "box");
        box.dataset.kind = kind;
        make("b", "what", box).textContent = what;
        if (advice) make("div", "advice", box).textContent = advice;
        return box;
      }),
    );
  }

  /** @param {Job[]} jobs @param {InView | null} seen */
  updateFilm(jobs, seen) {
    const thumbs = thumbnails(jobs);
    const names = new Set(thumbs.map(({ name }) => name));
    for (const [name, { root }] of this.strip) {
      if (names.has(name)) continue;
      root.remove();
      this.strip.delete(name);
    }
    thumbs.forEach((thumb, at) => this.updateThumb(thumb, at, seen));
    const roots = /** @type {HTMLElement[]} */ ([...this.thumbs.children]);
    const reached = roots.find((root) => root.getAttribute("aria-pressed") === "true") ?? roots[0];
    for (const root of roots) root.tabIndex = root === reached ? 0 : -1; // the arrow keys go on from there
    this.thumbs.hidden = !roots.length;
  }

  /** @param {ReturnType<typeof thumbnails>[number]} thumb @param {number} at @param {InView | null} seen */
  updateThumb({ job, tile, index, name }, at, seen) {
    const place = this.strip.get(name) ?? new Place(this.thumbs, "button");
    const { root } = place;
    this.strip.set(name, place);
    if (this.thumbs.children[at] !== root) this.thumbs.insertBefore(root, this.thumbs.children[at]);
    const chosen = seen?.job.id === job.id && [index, -1].includes(seen.tile);
    place.update(tile, this.pictures.url(tile.keys.at(-1)), "", cameToNothing(tile));
    root.setAttribute("type", "button");
    root.setAttribute("aria-label", `${job.prompt.slice(0, 80)}, ${tile.status}`);
    root.setAttribute("aria-pressed", String(chosen));
    root.dataset.name = name;
    root.title = job.prompt.slice(0, 200);
    root.style.setProperty("--gradient-ratio", `${job.width} / ${job.height}`);
    root.style.setProperty("--gradient-done", `${fraction(job.steps_done, job.steps) * 100}%`);
  }

  async copyImage() {
    const { job, tile } = /** @type {InView} */ (this.inView);
    const image = original(this.kernel.ask({ type: "original", job: job.id, tile }));
    const kinds = {
      "image/png": image.then(({ blob }) => asPng(blob)),
      [`web ${job.mime}`]: image.then(({ blob }) => blob), // the original bytes: a browser writes its PNG anew
    };
    await this.confirmed(this.copy, "Copied", copy(kinds));
  }

  async downloadImage() {
    const { job, tile } = /** @type {InView} */ (this.inView);
    const image = original(this.kernel.ask({ type: "original", job: job.id, tile }));
    await this.confirmed(this.download, "Downloaded", image.then(({ blob, name }) => download(blob, name)));
  }

  /** @param {HTMLElement} button @param {"cell" | "python"} language */
  async copyCode(button, language) {
    const answer = this.kernel.ask({ type: "code", language, form: this.form() }).then(([{ text, error }]) => {
      if (error !== undefined) throw new Error(error);
      return String(text);
    });
    await this.confirmed(button, "Copied", copyText(answer));
  }

  /**
   * Say on the button itself what came of it.
   * @param {HTMLElement} button @param {string} words @param {Promise<unknown>} work
   */
  async confirmed(button, words, work) {
    button.dataset.words ??= button.textContent ?? "";
    try {
      await work;
      button.textContent = words;
      this.say(words);
      setTimeout(() => (button.textContent = button.dataset.words ?? ""), COPIED_MS);
    } catch (error) {
      const { message } = /** @type {Error} */ (error);
      if (message) this.tell({ kind: "failed", what: message, advice: "" });
    }
  }

  /** What happens in the panel around this view: its form is made of the notebook's own controls. */
  listenToPanel() {
    const { signal } = this;
    // On the window, before the notebook's own shortcuts see a key.
    window.addEventListener("keydown", (event) => this.pressed(event), { capture: true, signal });
    window.addEventListener("click", (event) => this.clicked(event), { capture: true, signal });
    window.addEventListener("input", (event) => this.noteTyped(event), { capture: true, signal });
    window.addEventListener("focusout", (event) => this.left(event), { capture: true, signal });
    /** @type {Map<string, any>} */
    this.controls = new Map();
    for (const [name, id] of Object.entries(this.model.get("controls"))) {
      const found = /** @type {any} */ (this.model).widget_manager.get_model(id);
      found.then((/** @type {any} */ control) => this.controls?.set(name, control));
    }
  }

  tick() {
    super.tick();
    for (const handle of this.el.closest(".gradient-panel")?.querySelectorAll(".noUi-handle") ?? []) nameSlider(handle);
  }

  /** @param {Event} event @returns {Element | null} the panel, if the event is of it */
  panelOf({ target }) {
    const panel = this.el.closest(".gradient-panel");
    return panel?.contains(/** @type {Node} */ (target)) ? panel : null;
  }

  /** @param {KeyboardEvent} event */
  pressed(event) {
    if (!this.panelOf(event)) return;
    const target = /** @type {HTMLElement} */ (event.target);
    const modified = event.ctrlKey || event.metaKey;
    if (event.key === "Enter" && (modified || target.closest(FORM_BUTTON)) && event.repeat) {
      swallow(event); // a key that is held is one wish
    } else if (event.key === "Enter" && modified) {
      swallow(event);
      if (!this.card.contains(target)) this.generate();
    } else if (!modified && !event.altKey && isShortcut(event, target)) {
      event.stopPropagation(); // of the notebook's shortcuts some delete cells
      if (this.thumbs.contains(target)) this.walk(event);
    }
  }

  /** Arrow keys go along the film. @param {KeyboardEvent} event */
  walk(event) {
    const roots = /** @type {HTMLElement[]} */ ([...this.thumbs.children]);
    const at = roots.indexOf(/** @type {HTMLElement} */ (event.target));
    const last = roots.length - 1;
    /** @type {Record<string, number>} */
    const to = { ArrowRight: Math.min(at + 1, last), ArrowLeft: Math.max(at - 1, 0), Home: 0, End: last };
    if (!(event.key in to)) return;
    event.preventDefault();
    this.select(roots[to[event.key]].dataset.name ?? "");
    roots[to[event.key]].focus();
  }

  /** @param {MouseEvent} event */
  clicked(event) {
    const button = /** @type {Element} */ (event.target).closest?.(FORM_BUTTON);
    if (!button || !this.panelOf(event)) return;
    swallow(event);
    if (event.detail > 1) return; // the second half of a double click is no second wish
    if (button.classList.contains("gradient-form-generate")) this.generate();
    else this.copyCode(/** @type {HTMLElement} */ (button), button.classList.contains("gradient-form-cell") ? "cell" : "python");
  }

  /**
   * What the form says here and now. The controls' own messages wait while the kernel is busy, and this one would
   * overtake them: an image of an older prompt costs as much.
   * @returns {Record<string, unknown>}
   */
  form() {
    const said = [...(this.controls ?? [])].map(([name, control]) => {
      const index = control.get("index");
      return [name, index === undefined ? control.get("value") : control.get("_options_labels")[index]];
    });
    return Object.fromEntries(said);
  }

  /** One click is one generation: a busy kernel would take each of several. */
  generate() {
    if (this.patience || !this.connected || this.isCorrected()) return;
    this.model.send({ type: "generate", form: this.form() });
    this.patience = setTimeout(() => this.wait(), PATIENCE_MS);
  }

  /**
   * Whether a number that has just been typed became another, because a control keeps to its bounds: somebody who
   * typed 20 has not asked for 10.
   */
  isCorrected() {
    const { typed } = this;
    const active = document.activeElement;
    if (active instanceof HTMLInputElement) active.dispatchEvent(new Event("change", { bubbles: true }));
    this.typed = undefined;
    if (!typed || Number(typed.words) === Number(typed.input.value)) return false;
    const what = `${typed.words} is not allowed there: it is ${typed.input.value} now.`;
    this.tell({ kind: "failed", what, advice: "Nothing was sent. Press Generate again if that will do." });
    return true;
  }

  /** @param {Event} event */
  noteTyped(event) {
    const input = event.target;
    if (!this.panelOf(event) || !(input instanceof HTMLInputElement) || input.type !== "number") return;
    this.typed = { input, words: input.value };
  }

  /** What has become of a number is seen by whoever goes on to anything but Generate. @param {FocusEvent} event */
  left({ relatedTarget }) {
    if (!(relatedTarget instanceof Element && relatedTarget.closest(FORM_BUTTON))) this.typed = undefined;
  }

  wait() {
    this.tell({ kind: "cancelled", what: "The kernel does not answer yet.", advice: "This begins as soon as it does." });
  }

  /** @param {Box[]} notes of this view's own */
  tell(...notes) {
    this.notes = notes;
    this.update();
    if (notes.length) this.say(notes.map(({ what, advice }) => `${what} ${advice}`).join(" "));
  }

  acknowledged() {
    clearTimeout(this.patience);
    this.patience = undefined;
    this.tell();
  }
}

Shown = Film;
