// @ts-check
// What somebody thinks of an image: stars by key and click, tags and a note, wherever images are shown.

import { make, makeButton } from "./dom.mjs";

/** @import { Channel } from "./live.mjs" */
/** @import { Kernel } from "./kernel.mjs" */
/**
 * @typedef {{ stars: number | null, tags: string[], note: string }} Rating
 * @typedef {Record<string, Rating>} Ratings of the images that have one, by the names that a widget calls them
 * @typedef {Channel & { get(trait: "ratings"): Ratings }} RatedModel
 * @typedef {(change: Partial<Rating>) => void} Give
 */

const MOST_STARS = 5;
/** @type {Rating} */
const UNRATED = { stars: null, tags: [], note: "" };
/** The keys, as a line says them. */
export const STAR_KEYS = "Keys 1 to 5 give stars, 0 takes them away";

/** @param {number | null} stars @returns {string} as a screen reader says it; nothing where there are none */
export function starWords(stars) {
  return stars === null ? "" : `${stars} star${stars === 1 ? "" : "s"}`;
}

/** Show on a picture the stars that it has. @param {Element} place what the picture is in @param {Rating} rating */
export function markStars(place, { stars }) {
  const given = place.querySelector(":scope > .gradient-given") ?? make("span", "given", place);
  const marks = stars === 0 ? "☆" : "★".repeat(stars ?? 0);
  if (given.textContent !== marks) given.textContent = marks;
}

/** @param {string} text @returns {string[]} the tags that are written in it */
export function tagsIn(text) {
  return [...new Set(text.split(",").map((tag) => tag.trim()))].filter(Boolean);
}

/** What a click on a star gives: the one that is given already takes all away. @param {number | null} given @param {number} stars */
export function clicked(given, stars) {
  return stars === given ? null : stars;
}

/** Whether what is pressed there is text. @param {EventTarget | null} target */
export function isTyping(target) {
  return /** @type {Element | null} */ (target)?.matches?.("input:not([type=range]), textarea, select") ?? false;
}

/**
 * Take a digit from the notebook, to which it means another kind of cell, and give the stars that it stands for.
 * @param {KeyboardEvent} event @param {(stars: number | null) => void} give
 * @returns {boolean} whether it was a digit
 */
export function takeDigit(event, give) {
  const { key, ctrlKey, altKey, metaKey, target } = event;
  if (!/^\d$/.test(key) || ctrlKey || altKey || metaKey || isTyping(target)) return false;
  event.preventDefault();
  event.stopPropagation();
  if (Number(key) <= MOST_STARS && !event.repeat) give(Number(key) || null);
  return true;
}

/** Keep from the notebook what is typed in a field of ours. @param {KeyboardEvent} event @param {HTMLElement} before what Escape leads back to */
export function keepTyped(event, before) {
  if (event.ctrlKey || event.metaKey) return;
  event.stopPropagation();
  if (event.key !== "Escape") return;
  event.preventDefault(); // a dialog would close
  before.focus({ preventScroll: true });
}

/** What one view knows of the ratings of its widget, and gives: shown before the kernel has kept it, and taken back where it cannot. */
export class Rater {
  /** What the kernel has not answered yet, by the image's name. @type {Map<string, Rating>} */
  pending = new Map();
  /** Why the last one was not kept. */
  refused = { name: "", words: "" };

  /** @param {RatedModel} model @param {Kernel} kernel @param {() => void} changed @param {AbortSignal} signal */
  constructor(model, kernel, changed, signal) {
    this.model = model;
    this.kernel = kernel;
    this.changed = changed;
    model.on("change:ratings", changed);
    signal.addEventListener("abort", () => model.off("change:ratings", changed));
  }

  /** @param {string} name @returns {Rating} */
  of(name) {
    return this.pending.get(name) ?? this.model.get("ratings")[name] ?? UNRATED;
  }

  /** Why what was given to this image was not kept. @param {string} name */
  refusal(name) {
    return this.refused.name === name ? this.refused.words : "";
  }

  /** @param {string} name @param {Partial<Rating>} change what is not in it stays */
  async give(name, change) {
    const rating = { ...this.of(name), ...change };
    this.pending.set(name, rating);
    this.refused = { name: "", words: "" };
    this.changed();
    try {
      await this.kernel.ask({ type: "rate", image: name, ...change });
    } catch (error) {
      this.refused = { name, words: /** @type {Error} */ (error).message };
    }
    // Not what somebody has given since then, whose answer is yet to come.
    if (this.pending.get(name) === rating) this.pending.delete(name);
    this.changed();
  }

  /** The kernel is gone, and nothing is kept any more. */
  lost() {
    this.pending.clear();
  }
}

/** Five stars to click. */
export class Stars {
  root = make("div", "stars");
  /** @type {number | null} */
  given = null;

  /** @param {Give} give @param {boolean} [isReached] whether Tab leads to them */
  constructor(give, isReached = true) {
    this.root.setAttribute("role", "group");
    this.root.setAttribute("aria-label", "Stars");
    this.buttons = Array.from({ length: MOST_STARS }, (_, at) => {
      const button = makeButton("☆", this.root);
      const stars = at + 1;
      button.className = "gradient-star";
      button.setAttribute("aria-label", starWords(stars));
      if (!isReached) button.tabIndex = -1;
      button.addEventListener("click", () => give({ stars: clicked(this.given, stars) }));
      button.addEventListener("pointerenter", ({ pointerType }) => this.paint(pointerType === "mouse" ? stars : this.given));
      return button;
    });
    this.root.addEventListener("pointerleave", () => this.paint(this.given));
  }

  /** @param {number | null} stars */
  update(stars) {
    this.given = stars;
    this.paint(stars);
    this.buttons.forEach((button, at) => {
      const isGiven = at + 1 === stars;
      button.setAttribute("aria-pressed", String(isGiven));
      button.title = isGiven ? "Take the stars away (key 0)" : `${starWords(at + 1)} (key ${at + 1})`;
    });
  }

  /** @param {number | null} stars */
  paint(stars) {
    this.buttons.forEach((button, at) => {
      const mark = at < (stars ?? 0) ? "★" : "☆";
      if (button.textContent !== mark) button.textContent = mark;
    });
  }
}

/** All that can be given to one image: stars, tags and a note, and why it was not kept. Its parts stand where a view puts them. */
export class Judgement {
  name = "";
  fields = make("div", "judged");
  said = make("div", "refusal");

  /** @param {Rater} rater */
  constructor(rater) {
    this.rater = rater;
    /** @type {Give} */
    const give = (change) => void rater.give(this.name, change);
    this.stars = new Stars(give);
    this.said.setAttribute("role", "alert");
    this.tags = this.field("input", "Tags", "Tags, with commas between them");
    this.note = this.field("textarea", "Note", "Note");
    this.note.rows = 2;
    this.tags.addEventListener("change", () => give({ tags: tagsIn(this.tags.value) }));
    this.note.addEventListener("change", () => give({ note: this.note.value }));
  }

  /**
   * @template {"input" | "textarea"} Tag
   * @param {Tag} tag @param {string} words @param {string} hint
   */
  field(tag, words, hint) {
    const label = make("label", "judged-field", this.fields);
    make("span", "judged-name", label).textContent = words;
    const field = /** @type {HTMLInputElement & HTMLTextAreaElement} */ (make(tag, "judged-text", label));
    field.placeholder = hint;
    return field;
  }

  /** Show what is thought of an image, which another view may have changed. @param {string} name */
  update(name) {
    const { rater, said } = this;
    const rating = rater.of(name);
    const words = rater.refusal(name);
    const isOther = name !== this.name;
    this.name = name;
    this.stars.update(rating.stars);
    if (said.textContent !== words) said.textContent = words;
    said.hidden = !words;
    this.fill(this.tags, rating.tags.join(", "), isOther);
    this.fill(this.note, rating.note, isOther);
  }

  /** What somebody writes there, or has written in vain, stays. @param {HTMLInputElement} field @param {string} text @param {boolean} isOther */
  fill(field, text, isOther) {
    const stays = field === document.activeElement || this.rater.refusal(this.name);
    if (isOther || !stays) field.value = text;
  }
}
