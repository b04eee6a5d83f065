// @ts-check
// What anywidget calls: once for a model, and once for each view of it.

/** @import { Channel } from "./live.mjs" */

/**
 * The widget whose views share one thing of their model, such as the pictures that have come.
 * @template {Channel} Model
 * @template {{ close(): void }} Shared
 * @param {new (model: NoInfer<Model>) => Shared} Kept
 * @param {new (model: Model, el: HTMLElement, shared: Shared, signal: AbortSignal) => { update(): void }} Shown
 */
export function widgetOf(Kept, Shown) {
  return () => {
    /** @type {Shared} */
    let shared;
    return {
      /** @param {{ model: Model }} context */
      initialize({ model }) {
        shared = new Kept(model);
        return () => shared.close();
      },
      /** @param {{ model: Model, el: HTMLElement }} context */
      render({ model, el }) {
        const controller = new AbortController();
        new Shown(model, el, shared, controller.signal).update();
        return () => controller.abort();
      },
    };
  };
}
