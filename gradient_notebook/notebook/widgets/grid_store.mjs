// @ts-check
// What the kernel has told of the cells of a sweep, for all views of one model.

/** @import { Manager } from "./cancel.mjs" */
/** @import { Channel, Message } from "./live.mjs" */
/** @import { Ratings } from "./stars.mjs" */

/**
 * What Python sends (`plan_of` and `state_of` in `grid.py`).
 * @typedef {{
 *   title: string, part: boolean, prompts: string[], count: number, whole: number, shape: number, columns: string[], span: number,
 *   rows: string[], across: number, captions: string[], axes: string[],
 * }} Plan
 * @typedef {{
 *   status: string, parts: string[], left_s: number | null, elapsed_s: number, ended: number, again: number, notes: string[],
 *   lines_below: number, dashboard: string,
 * }} State
 * @typedef {{ plan: Plan, state: State, outcomes: string, awaited: boolean, ratings: Ratings }} GridTraits
 * @typedef {{ at: number, outcome: string, note: string, reason: string, mime: string }} Told
 * @typedef {{ outcome: string, note: string, reason: string, url: string }} Detail
 * @typedef {Channel & { get<Name extends keyof GridTraits>(trait: Name): GridTraits[Name], widget_manager: Manager }} GridModel
 */

const MOST_KEPT = 3000;
/** @type {Record<string, string>} */
const WORDS = { q: "queued", r: "running", d: "done", x: "refused", f: "failed", c: "cancelled", u: "unknown", g: "deleted" };

/** @param {string} outcome a letter of `outcomes` @returns {string} the word for it */
export function wordOf(outcome) {
  return WORDS[outcome] ?? "queued";
}

/** Whether nothing more comes. @param {string} outcome */
export function hasCome(outcome) {
  return outcome !== "q" && outcome !== "r";
}

/** What is known of cells, with their pictures; the oldest are let go of, and asked for again when they are in view. */
export class CellStore {
  /** @type {Map<number, Detail>} */
  details = new Map();
  /** @type {Map<number, number>} */
  began = new Map();
  changed = new EventTarget();
  /** Width over height of the pictures, once one has come. */
  shape = 0;

  /** @param {GridModel} model */
  constructor(model) {
    this.model = model;
    model.on("msg:custom", this.onMessage);
  }

  /** @param {Message | { type: "cells", cells: Told[] }} message @param {DataView<ArrayBuffer>[]} buffers */
  onMessage = (message, buffers) => {
    if (message.type !== "cells") return;
    let next = 0;
    for (const { at, outcome, note, reason, mime } of message.cells) {
      const data = mime ? buffers[next++] : undefined;
      const url = data ? URL.createObjectURL(new Blob([data], { type: mime })) : "";
      this.forget(at);
      this.details.set(at, { outcome, note, reason, url });
    }
    for (const at of [...this.details.keys()].slice(0, Math.max(0, this.details.size - MOST_KEPT))) this.forget(at);
    this.changed.dispatchEvent(new Event("cells"));
  };

  /** @param {number} at */
  forget(at) {
    const before = this.details.get(at);
    if (before?.url) URL.revokeObjectURL(before.url);
    this.details.delete(at);
  }

  /** What is known of a cell that came to this. @param {number} at @param {string} outcome */
  detail(at, outcome) {
    const found = this.details.get(at);
    return found?.outcome === outcome ? found : undefined;
  }

  /** Note when cells began to run. @param {string} outcomes */
  note(outcomes) {
    for (const at of this.began.keys()) if (outcomes[at] !== "r") this.began.delete(at);
    for (let at = outcomes.indexOf("r"); at >= 0; at = outcomes.indexOf("r", at + 1)) {
      if (!this.began.has(at)) this.began.set(at, performance.now());
    }
  }

  /** Seconds that a cell has been running, as far as it was seen. @param {number} at */
  seconds(at) {
    return (performance.now() - (this.began.get(at) ?? performance.now())) / 1000;
  }

  close() {
    this.model.off("msg:custom", this.onMessage);
    for (const at of [...this.details.keys()]) this.forget(at);
  }
}
