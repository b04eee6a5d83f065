// @ts-check
// Blind pairs: two pictures, of which one is better, by key or click; then the ranking.

import { Card, make, makeButton } from "./dom.mjs";
import { Pictures, Place } from "./pictures.mjs";
import { widgetOf } from "./widget.mjs";

/** @import { Channel } from "./live.mjs" */
/**
 * What Python sends (`vote.py`).
 * @typedef {{ label: string, won: number, lost: number, strength: number }} Standing
 * @typedef {{ axis: string, labels: Standing[] }} Ranked
 * @typedef {{
 *   pair: number, done: number, count: number, given: number, over: boolean, more: boolean, error: string, shape: number,
 *   ranking: Ranked[],
 * }} VoteState
 * @typedef {{ state: VoteState }} VoteTraits
 * @typedef {Channel & { get(trait: "state"): VoteState }} VoteModel
 * @typedef {"left" | "right" | "skip"} Choice
 */

/** @type {Record<string, Choice | "end">} */
const KEYS = { ArrowLeft: "left", ArrowRight: "right", ArrowDown: "skip", Escape: "end" };

/** What a key means while a pair is in view. @param {string} key @returns {Choice | "end" | undefined} */
export function meant(key) {
  return KEYS[key];
}

/** How far it is. @param {VoteState} state */
export function progress({ over, done, count, given }) {
  const votes = `${given} vote${given === 1 ? "" : "s"} kept`;
  return over ? votes : [`${Math.min(done + 1, count)} of ${count}`, ...(given ? [votes] : [])].join(" · ");
}

class VoteView extends Card {
  connected = true;
  /** The pair that was answered: until the next has come no key counts. */
  answered = 0;
  wasOver = false;

  left = makeButton("← Left", this.buttons);
  skip = makeButton("↓ Skip", this.buttons);
  right = makeButton("Right →", this.buttons);
  end = makeButton("End", this.buttons);
  goOn = makeButton("Go on", this.buttons);
  pair = make("div", "vote-pair", this.card);
  places = [new Place(this.pair, "button"), new Place(this.pair, "button")];
  hint = make("div", "vote-hint", this.card);
  ranking = make("div", "vote-ranking", this.card);

  /** @param {VoteModel} model @param {HTMLElement} el @param {Pictures} pictures @param {AbortSignal} signal */
  constructor(model, el, pictures, signal) {
    super("Vote");
    this.model = model;
    this.pictures = pictures;
    this.card.tabIndex = -1;
    this.skip.title = "Neither is better (down arrow)";
    this.end.title = "Show the ranking (Escape)";
    this.hint.textContent = "Click here or press Tab, then: ← or → prefers, ↓ skips, Escape ends.";
    this.card.append(this.spoken);
    el.append(this.card);
    this.listen(signal);
  }

  /** @param {AbortSignal} signal */
  listen(signal) {
    const { model } = this;
    const update = () => this.update();
    const lost = () => {
      this.connected = false;
      this.update();
    };
    model.on("change:state", update);
    model.on("comm_live_update", lost);
    signal.addEventListener("abort", () => {
      model.off("change:state", update);
      model.off("comm_live_update", lost);
    });
    this.pictures.changed.addEventListener("picture", update, { signal });
    /** @type {[Element, Choice][]} */
    const choices = [[this.left, "left"], [this.right, "right"], [this.skip, "skip"]];
    this.places.forEach(({ root }, at) => choices.push([root, at ? "right" : "left"]));
    for (const [element, choice] of choices) element.addEventListener("click", () => this.vote(choice), { signal });
    this.end.addEventListener("click", () => this.stop(), { signal });
    this.goOn.addEventListener("click", () => model.send({ type: "go_on" }), { signal });
    // On the window, before the notebook's own shortcuts: to them an arrow means another cell.
    window.addEventListener("keydown", (event) => this.key(event), { capture: true, signal });
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    if (!this.card.contains(target) || event.ctrlKey || event.metaKey || event.altKey) return;
    const choice = meant(event.key);
    if (event.key === "Enter" || event.key === " ") event.stopPropagation();
    if (!choice) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.repeat) return; // a key that is held is one wish
    if (choice === "end") this.stop();
    else this.vote(choice);
  }

  /** @param {Choice} choice */
  vote(choice) {
    const { pair, over } = this.model.get("state");
    if (over || !this.connected || this.answered === pair || !this.isComplete) return;
    this.answered = pair;
    this.card.dataset.answered = choice;
    // Not on one of the two, where it would speak for it.
    if (this.card.contains(document.activeElement)) this.card.focus({ preventScroll: true });
    this.model.send({ type: "vote", pair, choice });
  }

  stop() {
    if (!this.model.get("state").over) this.model.send({ type: "end" });
  }

  /** Whether both pictures are there: nobody chooses between one and nothing. */
  get isComplete() {
    const { pair } = this.model.get("state");
    return [0, 1].every((place) => this.pictures.urls.has(`${pair}.${place}`));
  }

  update() {
    const state = this.model.get("state");
    const { over, pair, more, error } = state;
    const had = this.card.contains(document.activeElement);
    if (this.answered !== pair || error) {
      delete this.card.dataset.answered;
      this.answered = error ? 0 : this.answered;
    }
    this.pictures.keepOnly([{ id: String(pair) }, { id: String(pair + 1) }]); // pictures come before their state
    this.title.textContent = over ? "Ranking" : "Which is better?";
    const lost = this.connected ? "" : "the kernel has stopped; run this cell to go on";
    this.line.textContent = [progress(state), lost, error].filter(Boolean).join(" · ");
    for (const part of [this.left, this.right, this.skip, this.end, this.hint]) part.hidden = over || !this.connected;
    this.pair.hidden = this.bar.hidden = over;
    this.goOn.hidden = !over || !more || !this.connected;
    this.ranking.hidden = !over;
    this.fill(state.done / Math.max(1, state.count));
    if (over) this.showRanking(state);
    else this.showPair(state);
    // What had the focus may be hidden now: the keys go on to work.
    if (had && over !== this.wasOver) (over && !this.goOn.hidden ? this.goOn : this.card).focus({ preventScroll: true });
    this.wasOver = over;
    const spoken = over ? "Ranking" : this.isComplete ? `Pair ${Math.min(state.done + 1, state.count)} of ${state.count}` : this.spoken.textContent;
    if (this.spoken.textContent !== spoken) this.spoken.textContent = spoken;
  }

  /** @param {VoteState} state */
  showPair({ pair, shape }) {
    this.card.style.setProperty("--gradient-shape", String(shape));
    this.places.forEach((place, at) => {
      const key = `${pair}.${at}`;
      const name = at ? "Right image" : "Left image";
      place.update({ status: "done", label: "", keys: [key] }, this.pictures.url(key), name);
      place.name(`${name}: prefer it`);
    });
  }

  /** @param {VoteState} state */
  showRanking({ ranking, given }) {
    this.ranking.replaceChildren(...ranking.map(rankingOf));
    if (!ranking.length) this.ranking.textContent = given ? "" : "No votes yet.";
  }
}

/** @param {Ranked} ranked @returns {HTMLElement} */
function rankingOf({ axis, labels }) {
  const table = make("table", "vote-axis");
  table.createCaption().textContent = axis;
  const head = table.createTHead().insertRow();
  for (const words of ["label", "preferred to an average one", "won", "lost"]) {
    const cell = make("th", "vote-column", head);
    cell.scope = "col";
    cell.textContent = words;
  }
  const body = table.createTBody();
  for (const { label, won, lost, strength } of labels) {
    const row = body.insertRow();
    const name = make("th", "vote-label", row);
    name.scope = "row";
    name.textContent = label;
    const measure = make("td", "vote-measure", row);
    make("span", "vote-bar", measure).style.width = `${Math.round(strength * 100)}px`;
    measure.append(`${Math.round(strength * 100)} %`);
    for (const count of [won, lost]) make("td", "vote-count", row).textContent = String(count);
  }
  return table;
}

export default widgetOf(Pictures, VoteView);
