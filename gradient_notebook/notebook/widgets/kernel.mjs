// @ts-check
// Questions to the kernel, and its answers.

/** @import { Answer, Channel, Message } from "./live.mjs" */
/** @typedef {[Answer, DataView<ArrayBuffer>[]]} Answered */

/** Asks the kernel, which may be busy, and hands over what it answers. */
export class Kernel {
  /** @type {Map<string, (answered: Answered) => void>} */
  waiting = new Map();

  /** @param {Channel} model @param {AbortSignal} signal */
  constructor(model, signal) {
    this.model = model;
    const onMessage = (/** @type {Message} */ message, /** @type {DataView<ArrayBuffer>[]} */ buffers) => {
      if (message.id === undefined) return;
      this.waiting.get(message.id)?.([message, buffers]);
      this.waiting.delete(message.id);
    };
    model.on("msg:custom", onMessage);
    signal.addEventListener("abort", () => model.off("msg:custom", onMessage));
  }

  /**
   * Throws an error without words where the kernel has told what went wrong elsewhere.
   * @param {{ type: string, [more: string]: unknown }} question @param {ArrayBuffer[]} [buffers] that go with it
   */
  async ask(question, buffers) {
    const id = crypto.getRandomValues(new Uint32Array(2)).join("-"); // each view hears all answers
    this.model.send({ ...question, id }, undefined, buffers);
    /** @type {Answered} */
    const answered = await new Promise((resolve) => this.waiting.set(id, resolve));
    const [{ error }] = answered;
    if (error !== undefined) throw new Error(error);
    return answered;
  }

  /** The original of an image, as the service sent it. @param {string} job @param {number} tile */
  async original(job, tile) {
    const [{ mime, name = "" }, buffers] = await this.ask({ type: "original", job, tile });
    return { blob: new Blob(buffers.slice(0, 1), { type: mime }), name };
  }

  /** Code that does what a form says. @param {string} language @param {Record<string, unknown>} form */
  async code(language, form) {
    const [{ text = "" }] = await this.ask({ type: "code", language, form });
    return text;
  }
}
