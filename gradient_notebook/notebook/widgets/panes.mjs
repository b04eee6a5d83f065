// @ts-check
// Panes with pictures: over one another with a slider, side by side, or their difference; one zoom for all.

import { make } from "./dom.mjs";
import { actual, bounded, canPan, panned, placed, whole, zoomed } from "./zoom.mjs";

/** @import { Size } from "./zoom.mjs" */
/** @typedef {"slider" | "side" | "difference"} Mode */
/** @typedef {{ label: string, width: number, height: number }} Shown */

const STEP = 1.25;
const PAN_PX = 60;
const SPLIT_STEP = 0.02;
const WHEEL = 0.0015;

/** One picture in a pane; of several in one pane each has the place of the first. */
class Layer {
  root = make("div", "layer");
  image = make("img", "layer-picture", this.root);
  badge = make("span", "badge");

  /** @param {Shown} shown */
  constructor(shown) {
    this.shown = shown;
    this.image.alt = this.badge.textContent = shown.label;
    this.image.draggable = false;
  }
}

/** Where pictures are compared. */
export class Panes {
  zoom = whole();
  split = 0.5;
  amplified = 2;
  /** @type {Mode} */
  mode = "side";
  /** Which of them, in order. @type {number[]} */
  chosen = [];
  root = make("div", "panes");
  divider = make("div", "divider");
  /** @type {HTMLElement[]} */
  panes = [];

  /** @param {Shown[]} shown @param {AbortSignal} signal @param {() => void} changed */
  constructor(shown, signal, changed) {
    this.layers = shown.map((one) => new Layer(one));
    this.changed = changed;
    this.divider.tabIndex = 0;
    this.divider.setAttribute("role", "slider");
    this.divider.setAttribute("aria-valuemin", "0");
    this.divider.setAttribute("aria-valuemax", "100");
    make("span", "grip", this.divider).textContent = "⇔";
    const options = { signal };
    this.root.addEventListener("pointerdown", (event) => this.grab(event), options);
    this.root.addEventListener("wheel", (event) => this.wheel(event), { signal, passive: false });
    const observer = new ResizeObserver(() => this.draw());
    observer.observe(this.root);
    signal.addEventListener("abort", () => observer.disconnect());
  }

  /** @param {number} at @param {string} url */
  setPicture(at, url) {
    const image = this.layers[at]?.image;
    if (image && url && image.src !== url) image.src = url;
  }

  /** @param {Mode} mode @param {number[]} chosen all of them where they stand side by side, else two */
  arrange(mode, chosen) {
    this.mode = mode;
    this.chosen = chosen;
    this.root.dataset.mode = mode;
    const layers = chosen.flatMap((at) => this.layers[at] ?? []);
    const groups = mode === "side" ? layers.map((layer) => [layer]) : [layers];
    this.panes = groups.map((group) => this.pane(group));
    this.root.replaceChildren(...this.panes);
    const first = layers[0]?.shown ?? { width: 1, height: 1 };
    const columns = mode === "side" ? Math.min(layers.length, 3) : 1;
    this.root.style.setProperty("--gradient-shape", String(first.width / first.height));
    this.root.style.setProperty("--gradient-columns", String(columns));
    this.root.style.setProperty("--gradient-lines", String(Math.ceil(groups.length / columns)));
    this.zoom = bounded(this.zoom, this.size, this.reference);
    this.draw();
  }

  /** @param {Layer[]} layers */
  pane(layers) {
    const pane = make("div", "pane");
    const stack = make("div", "stack", pane);
    pane.tabIndex = 0;
    pane.setAttribute("role", "group");
    const names = layers.map(({ shown }) => shown.label);
    pane.setAttribute("aria-label", this.mode === "difference" ? `Difference of ${names.join(" and ")}` : names.join(" and "));
    layers.forEach(({ root, badge }, index) => {
      root.style.clipPath = "";
      badge.dataset.side = index ? "right" : "left";
      stack.append(root);
      if (this.mode !== "difference") pane.append(badge);
    });
    if (this.mode === "slider") {
      this.divider.setAttribute("aria-label", `Divider between ${names.join(" and ")}`);
      pane.append(this.divider);
    }
    return pane;
  }

  /** @returns {Size} */
  get size() {
    const pane = this.panes[0];
    return { width: pane?.clientWidth || 1, height: pane?.clientHeight || 1 };
  }

  /** @returns {Size} the picture that bounds the zoom */
  get reference() {
    return this.layers[this.chosen[0] ?? 0]?.shown ?? { width: 1, height: 1 };
  }

  /** How large a pixel of the first picture is shown, in percent. */
  get percent() {
    return Math.round((placed(this.zoom, this.size, this.reference).width / this.reference.width) * 100);
  }

  get isPannable() {
    return canPan(this.zoom, this.size, this.reference);
  }

  draw() {
    const { size, zoom, mode } = this;
    if (!this.root.isConnected) return;
    this.zoom = bounded(zoom, size, this.reference);
    this.root.dataset.pans = String(this.isPannable);
    for (const at of this.chosen) {
      const layer = this.layers[at];
      if (!layer) continue;
      const { left, top, width, height } = placed(this.zoom, size, mode === "side" ? layer.shown : this.reference);
      const { style } = layer.image;
      style.transform = `translate(${left}px, ${top}px)`;
      style.width = `${width}px`;
      style.height = `${height}px`;
      style.imageRendering = width > 3 * layer.shown.width ? "pixelated" : "auto";
    }
    this.root.style.setProperty("--gradient-amplified", String(this.amplified));
    this.drawSplit();
    this.changed();
  }

  drawSplit() {
    if (this.mode !== "slider") return;
    const percent = this.split * 100;
    // Each its own part: through what is transparent the other would be seen.
    const [left, right] = this.chosen.map((at) => this.layers[at]?.root.style);
    if (left) left.clipPath = `inset(0 ${100 - percent}% 0 0)`;
    if (right) right.clipPath = `inset(0 0 0 ${percent}%)`;
    this.divider.style.left = `${percent}%`;
    this.divider.setAttribute("aria-valuenow", String(Math.round(percent)));
    this.divider.setAttribute("aria-valuetext", `${Math.round(percent)} % from the left`);
  }

  /** @param {number} split */
  setSplit(split) {
    this.split = Math.min(1, Math.max(0, split));
    this.drawSplit();
  }

  /** @param {number} factor @param {{ x: number, y: number }} [at] in the pane; its middle unless given */
  zoomBy(factor, at) {
    const { size } = this;
    this.zoom = zoomed(this.zoom, factor, at ?? { x: size.width / 2, y: size.height / 2 }, size, this.reference);
    this.draw();
  }

  larger = () => this.zoomBy(STEP);
  smaller = () => this.zoomBy(1 / STEP);

  fit = () => {
    this.zoom = whole();
    this.draw();
  };

  actual = () => {
    this.zoom = actual(this.zoom, this.size, this.reference);
    this.draw();
  };

  /** @param {number} dx @param {number} dy */
  pan(dx, dy) {
    this.zoom = panned(this.zoom, dx, dy, this.size, this.reference);
    this.draw();
  }

  /** @param {EventTarget | null} target */
  paneOf(target) {
    return this.panes.find((pane) => pane.contains(/** @type {Node} */ (target)));
  }

  /** Drag the divider, or the picture, where it is larger than its pane. @param {PointerEvent} event */
  grab(event) {
    const pane = this.paneOf(event.target);
    if (!pane || event.button !== 0) return;
    const isDivider = this.divider.contains(/** @type {Node} */ (event.target));
    const slides = this.mode === "slider" && (isDivider || !this.isPannable);
    const drag = new AbortController();
    let { clientX: x, clientY: y } = event;
    const move = (/** @type {PointerEvent} */ moved) => {
      const { left, width } = pane.getBoundingClientRect();
      if (slides) this.setSplit((moved.clientX - left) / width);
      else this.pan(moved.clientX - x, moved.clientY - y);
      ({ clientX: x, clientY: y } = moved);
    };
    const end = () => drag.abort();
    pane.setPointerCapture(event.pointerId);
    pane.addEventListener("pointermove", move, { signal: drag.signal });
    for (const name of /** @type {const} */ (["pointerup", "pointercancel"])) {
      pane.addEventListener(name, end, { signal: drag.signal });
    }
    if (slides) move(event);
  }

  /** A page scrolls over it, until somebody has turned to it. @param {WheelEvent} event */
  wheel(event) {
    const pane = this.paneOf(event.target);
    const isMeant = event.ctrlKey || event.metaKey || this.root.contains(document.activeElement);
    if (!pane || !isMeant) return;
    const { left, top } = pane.getBoundingClientRect();
    event.preventDefault();
    this.zoomBy(Math.exp(-event.deltaY * WHEEL), { x: event.clientX - left, y: event.clientY - top });
  }

  /** @param {KeyboardEvent} event @returns {boolean} whether it was for this */
  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return false;
    const far = event.shiftKey ? 5 : 1;
    const slides = this.mode === "slider" && (event.target === this.divider || !this.isPannable);
    /** @type {Record<string, () => void>} */
    const moves = slides
      ? {
          ArrowLeft: () => this.setSplit(this.split - SPLIT_STEP * far),
          ArrowRight: () => this.setSplit(this.split + SPLIT_STEP * far),
          Home: () => this.setSplit(0),
          End: () => this.setSplit(1),
        }
      : {
          ArrowLeft: () => this.pan(PAN_PX * far, 0),
          ArrowRight: () => this.pan(-PAN_PX * far, 0),
          ArrowUp: () => this.pan(0, PAN_PX * far),
          ArrowDown: () => this.pan(0, -PAN_PX * far),
        };
    const keys = { ...moves, "+": this.larger, "=": this.larger, "-": this.smaller, 0: this.fit, 1: this.actual };
    const does = /** @type {Record<string, () => void>} */ (keys)[event.key];
    does?.();
    return Boolean(does) || event.key.startsWith("Arrow");
  }
}
