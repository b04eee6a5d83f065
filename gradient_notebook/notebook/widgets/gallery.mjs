// @ts-check
// The gallery: the right half of a panel, which is the card of the live picture with all results and what can be done with
// them.

import { asPng, copy, copyText, download } from "./clipboard.mjs";
import { make, makeButton } from "./dom.mjs";
import { PanelForm } from "./form.mjs";
import { View } from "./live.mjs";
import { Pictures, Place } from "./pictures.mjs";
import { Judgement, Rater, isTyping, keepTyped, markStars, starWords, takeDigit } from "./stars.mjs";
import { widgetOf } from "./widget.mjs";
import { cameToNothing, fraction, hasEnded } from "./words.mjs";

/** @import { Box, InView, Job, LiveTraits, Model, Tile } from "./live.mjs" */
/** @import { Ratings } from "./stars.mjs" */
/**
 * @typedef {LiveTraits & {
 *   finished: Job[], selected: string, boxes: Box[], clicks: number, controls: Record<string, string>,
 *   ratings: Ratings,
 * }} GalleryTraits
 */

const COPIED_MS = 1600;
/** A server takes messages of 10 MiB, unless it is told otherwise. */
const LARGEST_RECIPE_BYTES = 9_000_000;

/**
 * What is in view: a job, and one of its tiles, or -1 for all of them. Selected is `job` or `job.tile`.
 * @param {Job[]} jobs newest first
 * @param {string} selected
 * @returns {InView | null}
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

/**
 * All results of a panel, one of them in view, and what can be done with it.
 * @extends {View<GalleryTraits>}
 */
class Gallery extends View {
  /** How many partial images the scrubber stands before the end, and of which image. */
  back = 0;
  looked = "";
  /** @type {Box[]} */
  notes = [];
  /** @type {Map<string, Place>} */
  strip = new Map();

  hint = make("div", "hint");
  scrubber = make("label", "scrubber");
  range = make("input", "range");
  position = make("span", "position");
  thumbs = make("div", "gallery", this.card);
  tools = make("div", "tools", this.card);
  all = makeButton("Show all", this.tools);
  use = makeButton("Use these settings", this.tools);
  judge = makeButton("Tags and note", this.tools);
  copy = makeButton("Copy", this.tools);
  download = makeButton("Download", this.tools);
  middle = make("div", "middle");
  /** The stars to click, on the picture. */
  rating = make("div", "rating", this.grid);
  boxes = make("div", "boxes");

  /** @param {Model<GalleryTraits>} model @param {HTMLElement} el @param {Pictures} pictures @param {AbortSignal} signal */
  constructor(model, el, pictures, signal) {
    super(model, el, pictures, signal);
    this.form = new PanelForm(this);
    this.rater = new Rater(model, this.kernel, () => this.update(), signal);
    this.judgement = new Judgement(this.rater);
    this.addJudgement();
    this.card.className = "gradient-stage";
    this.card.setAttribute("aria-label", "Results");
    this.hint.textContent = "Describe an image and press Generate.";
    this.grid.before(this.hint, this.middle);
    this.middle.append(this.grid, this.boxes);
    this.tools.prepend(this.scrubber);
    this.range.type = "range";
    this.range.setAttribute("aria-label", "Partial images of this image");
    this.scrubber.append("partials", this.range, this.position);
    this.use.title = "Fill the form with the settings of this image";
    this.copy.title = "Copy the original image to the clipboard";
    this.download.title = "Download the original file, as the service sent it";
    this.boxes.setAttribute("role", "alert");
    this.thumbs.setAttribute("role", "group");
    this.thumbs.setAttribute("aria-label", "Results, newest first");
    this.listenToResults();
  }

  addJudgement() {
    const { stars, fields, said } = this.judgement;
    this.rating.append(stars.root);
    make("div", "keys", this.rating).textContent = "keys 1 to 5, 0";
    this.tools.after(said, fields);
    fields.hidden = true;
    this.judge.setAttribute("aria-expanded", "false");
    this.judge.addEventListener("click", () => {
      this.judge.ariaExpanded = String(this.judge.ariaExpanded !== "true");
      this.update();
      if (!fields.hidden) this.judgement.tags.focus();
    });
  }

  /** The name of the image in view, if it can be rated: not while one of its partial ones is looked at. */
  get rated() {
    return this.back ? "" : this.ratedOf(this.inView);
  }

  /** @param {InView | null} seen */
  ratedOf(seen) {
    const isThere = this.connected && seen?.job.tiles[seen.tile]?.status === "done" && hasEnded(seen.job.status);
    return isThere ? `${seen.job.id}.${seen.tile}` : "";
  }

  /** @param {KeyboardEvent} event */
  keepKey(event) {
    super.keepKey(event);
    const target = /** @type {HTMLElement} */ (event.target);
    if (!this.card.contains(target) && !this.large.root.contains(target)) return;
    if (isTyping(target)) keepTyped(event, this.judge);
    else takeDigit(event, (stars) => this.rate(this.large.isOpen ? this.ratedOf(this.enlarged) : this.rated, stars));
  }

  /** @param {Job} job @param {number} tile */
  judged(job, tile) {
    const words = starWords(this.rater.of(`${job.id}.${tile}`).stars);
    return words ? [words] : [];
  }

  /** @param {string} name @param {number | null} stars */
  rate(name, stars) {
    if (!name) return;
    void this.rater.give(name, { stars });
    this.say(starWords(stars) || "no stars");
  }

  get jobs() {
    const jobs = [...this.model.get("running"), ...this.model.get("finished")];
    // A job that has just ended stands in both for a moment: the end counts.
    return [...new Map(jobs.map((job) => [job.id, job])).values()].sort((a, b) => Number(b.id) - Number(a.id));
  }

  get inView() {
    return inView(this.jobs, this.model.get("selected"));
  }

  /** @returns {(keyof GalleryTraits & string)[]} */
  get shownTraits() {
    return ["finished", "selected", "boxes"];
  }

  listenToResults() {
    const { model, signal } = this;
    /** @type {[HTMLElement, (event: Event) => void][]} */
    const handlers = [
      [this.all, () => this.select(this.inView?.job.id ?? "")],
      [this.use, () => model.send({ type: "use", job: this.inView?.job.id })],
      [this.copy, () => this.copyImage()],
      [this.download, () => this.downloadImage()],
      [this.thumbs, (event) => this.choose(event)],
    ];
    for (const [element, clicked] of handlers) element.addEventListener("click", clicked, { signal });
    this.range.addEventListener("input", () => this.scrub(), { signal });
    const counted = () => this.form.acknowledged();
    model.on("change:clicks", counted);
    signal.addEventListener("abort", () => model.off("change:clicks", counted));
  }

  get anchor() {
    return this.card;
  }

  /** @param {Job} job */
  arrive(job) {
    this.select(job.id);
    this.strip.get(`${job.id}.0`)?.root.focus({ preventScroll: true });
  }

  lost() {
    this.rater.lost();
    this.form.acknowledged();
  }

  tick() {
    super.tick();
    this.form.nameParts();
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

  /** Of several it brings the one into view; one alone it shows large. @param {number} at */
  choosePicture(at) {
    const seen = this.inView;
    if (seen && seen.tile < 0) this.select(`${seen.job.id}.${at}`);
    else super.choosePicture(at);
  }

  /** @param {Job} job @param {number} tile */
  originalOf(job, tile) {
    const isThere = this.connected && !this.back && job.tiles[tile]?.status === "done";
    return isThere ? this.kernel.original(job.id, tile).then(({ blob }) => blob) : undefined;
  }

  /** @param {Job} job @param {number} tile */
  nameOf(job, tile) {
    const one = super.nameOf(job, tile);
    return this.inView?.tile === -1 ? one.replace(" large:", " alone:") : one;
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
    for (const part of [this.head, this.bar, this.grid, this.tools]) part.hidden = !seen;
    // What went wrong stands in the place of a picture where there is none to look at.
    const failed = seen !== null && hasEnded(seen.job.status) && seen.job.tiles.every(({ keys }) => !keys.length);
    this.card.dataset.failed = String(failed);
    super.update();
    if (seen) this.updateTools(seen.job, seen.tile);
    this.updateJudgement();
    this.updateBoxes([...(seen?.job.boxes ?? []), ...this.model.get("boxes"), ...this.notes]);
    this.updateGallery(jobs, seen);
  }

  /** @param {Job} job @param {number} tile */
  updateTools(job, tile) {
    const one = job.tiles[tile];
    const several = job.tiles.length > 1;
    this.copy.hidden = this.download.hidden = !this.connected || one?.status !== "done";
    this.use.hidden = !this.connected || !hasEnded(job.status);
    this.all.hidden = !several || tile < 0;
    const partials = one?.status === "done" ? one.keys.length - 1 : 0;
    this.scrubber.hidden = partials < 1;
    this.range.max = String(partials);
    this.range.value = String(partials - this.back);
    const position = this.back ? `${partials - this.back + 1} of ${partials}` : "final";
    this.position.textContent = position;
    this.range.setAttribute("aria-valuetext", this.back ? `partial image ${position}` : position);
  }

  /** @param {Job} job @param {number} tile */
  updateGrid(job, tile) {
    super.updateGrid(job, tile);
    this.places.forEach(({ root }, at) => markStars(root, this.rater.of(`${job.id}.${tile < 0 ? at : tile}`)));
  }

  updateJudgement() {
    const { judgement, judge, rated } = this;
    judgement.update(rated);
    judge.hidden = this.rating.hidden = !rated;
    judgement.fields.hidden = !rated || judge.ariaExpanded !== "true";
    const { tags, note } = this.rater.of(rated);
    judge.title = [tags.join(", "), note].filter(Boolean).join(" · ");
    judge.dataset.has = String(Boolean(judge.title));
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
  updateGallery(jobs, seen) {
    const thumbs = thumbnails(jobs);
    const names = new Set(thumbs.map(({ name }) => name));
    for (const [name, { root }] of this.strip) {
      if (names.has(name)) continue;
      root.remove();
      this.strip.delete(name);
    }
    thumbs.forEach((thumb, at) => this.updateThumb(thumb, at, seen));
    const { roots } = this;
    const reached = roots.find((root) => root.getAttribute("aria-pressed") === "true") ?? roots[0];
    for (const root of roots) root.tabIndex = root === reached ? 0 : -1; // the arrow keys go on from there
    this.thumbs.hidden = !roots.length;
  }

  /** @param {ReturnType<typeof thumbnails>[number]} thumb @param {number} at @param {InView | null} seen */
  updateThumb({ job, tile, index, name }, at, seen) {
    const place = this.strip.get(name) ?? new Place(this.thumbs, "button");
    const { root } = place;
    this.strip.set(name, place);
    const there = this.thumbs.children[at] ?? null;
    if (there !== root) this.thumbs.insertBefore(root, there);
    const chosen = seen?.job.id === job.id && [index, -1].includes(seen.tile);
    const label = cameToNothing(tile) ? tile.label : "";
    place.update({ ...tile, label }, this.pictures.url(tile.keys.at(-1)), "");
    const rating = this.rater.of(name);
    root.setAttribute("aria-label", [job.prompt.slice(0, 80), tile.status, starWords(rating.stars)].filter(Boolean).join(", "));
    markStars(root, rating);
    root.setAttribute("aria-pressed", String(chosen));
    root.dataset.name = name;
    root.dataset.follows = String(index > 0);
    root.title = job.prompt.slice(0, 200);
    root.style.setProperty("--gradient-shape", String(job.shape));
    root.style.setProperty("--gradient-done", `${fraction(job.steps_done, job.steps) * 100}%`);
  }

  async copyImage() {
    const { job, tile } = /** @type {InView} */ (this.inView);
    const image = this.kernel.original(job.id, tile);
    const kinds = {
      "image/png": image.then(({ blob }) => asPng(blob)),
      [`web ${job.mime}`]: image.then(({ blob }) => blob), // the original bytes: a browser encodes its PNG again
    };
    await this.confirmed(this.copy, "Copied", copy(kinds));
  }

  async downloadImage() {
    const { job, tile } = /** @type {InView} */ (this.inView);
    const image = this.kernel.original(job.id, tile);
    await this.confirmed(this.download, "Downloaded", image.then(({ blob, name }) => download(blob, name)));
  }

  /** @param {HTMLElement} button @param {"cell" | "python"} language */
  async copyCode(button, language) {
    await this.confirmed(button, "Copied", copyText(this.kernel.code(language, this.form.values())));
  }

  /** Fill the form with the settings that are inside of an image's file. @param {File} file */
  async readRecipe(file) {
    if (file.size > LARGEST_RECIPE_BYTES) {
      const size = `${(file.size / 1e6).toFixed(1)} MB`;
      const advice = "In a cell: panel.params = read_recipe(path).";
      this.tell({ kind: "failed", what: `${file.name} is too large to be sent to the kernel: ${size}.`, advice });
      return;
    }
    try {
      await this.kernel.ask({ type: "recipe", name: file.name }, [await file.arrayBuffer()]);
      this.say(`The form has the settings of ${file.name}.`);
    } catch (error) {
      const { message } = /** @type {Error} */ (error);
      if (message) this.tell({ kind: "failed", what: message, advice: "" });
    }
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

  /** The thumbnails, in order. */
  get roots() {
    return /** @type {HTMLElement[]} */ ([...this.thumbs.children]);
  }

  /** Arrow keys go along the gallery. @param {KeyboardEvent} event */
  walk(event) {
    const { roots } = this;
    const at = roots.indexOf(/** @type {HTMLElement} */ (event.target));
    if (at < 0) return;
    const last = roots.length - 1;
    /** @type {Record<string, number>} */
    const to = { ArrowRight: Math.min(at + 1, last), ArrowLeft: Math.max(at - 1, 0), Home: 0, End: last };
    const next = roots[to[event.key] ?? -1];
    if (!next) return;
    event.preventDefault();
    this.select(next.dataset.name ?? "");
    next.focus();
  }

  /** @param {Box[]} notes of this view's own */
  tell(...notes) {
    this.notes = notes;
    this.update();
    if (notes.length) this.say(notes.map(({ what, advice }) => `${what} ${advice}`).join(" "));
  }
}

export default widgetOf(Pictures, Gallery);
