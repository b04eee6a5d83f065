// @ts-check
// What happens in a panel beside the view of its pictures: the form is made of the notebook's own controls.

/** @import { Box, Control, Model } from "./live.mjs" */
/** @import { GalleryTraits } from "./gallery.mjs" */
/**
 * The view that a form belongs to, as far as the form knows it.
 * @typedef {{
 *   model: Model<GalleryTraits>, el: HTMLElement, card: HTMLElement, signal: AbortSignal, connected: boolean,
 *   tell(...notes: Box[]): void,
 *   walk(event: KeyboardEvent): void,
 *   copyCode(button: HTMLElement, language: "cell" | "python"): void,
 *   readRecipe(file: File): void,
 * }} PanelView
 */

const PATIENCE_MS = 600;
/** How far a pointer may slip between going down and coming up, in CSS pixels, and still mean what it went down on. */
const SLIP_PX = 8;
const FOLD = ".jupyter-widget-Collapse-header";
const FORM_BUTTON = "[class*='gradient-form-']";

/**
 * Whether a notebook could take a plain key for its own, and none of the form's controls needs to hear of it: what
 * native controls do with a key they do in any case.
 * @param {KeyboardEvent} event @param {HTMLElement} target
 */
function isShortcut(event, target) {
  if (target.matches("button, select, input[type='checkbox'], input[type='range']")) return true;
  return !target.matches(":read-write") && event.key.length === 1 && event.key !== " ";
}

/** Set attributes, and leave those alone that are so: a screen reader would say them again. @param {Element} element @param {Record<string, string>} wanted */
function setAttributes(element, wanted) {
  for (const [attribute, value] of Object.entries(wanted)) {
    if (element.getAttribute(attribute) !== value) element.setAttribute(attribute, value);
  }
}

/** A slider of the notebook's is not labelled, nor is the number beside it, and it says its step in the place of its value. @param {Element} handle */
function nameSlider(handle) {
  const row = handle.closest(".widget-inline-hbox");
  const name = row?.querySelector(".widget-label")?.textContent ?? "";
  const number = row?.querySelector(".widget-readout");
  setAttributes(handle, { "aria-label": name, "aria-valuetext": number?.textContent ?? "" });
  if (number) setAttributes(number, { role: "textbox", "aria-label": `${name}, number` });
}

/** The notebook's folded box opens by a click only: nobody without a mouse would reach what is in it. @param {Element} header */
function nameFold(header) {
  const open = String(header.parentElement?.classList.contains("jupyter-widget-Collapse-open") ?? false);
  setAttributes(header, { role: "button", tabindex: "0", "aria-expanded": open });
}

/** @param {Event} event */
function swallow(event) {
  event.preventDefault();
  event.stopImmediatePropagation();
}

/**
 * What a control shows. A list's own message to the kernel has the index, but code and people have the words.
 * @param {Control} control
 */
export function shownBy(control) {
  const index = control.get("index");
  if (index === undefined) return control.get("value");
  const labels = control.get("_options_labels");
  return Array.isArray(labels) && typeof index === "number" ? labels[index] : undefined;
}

/** The form of a panel, as the browser has it. */
export class PanelForm {
  /** @type {Map<string, Control>} */
  controls = new Map();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  patience = undefined;
  /** @type {{ input: HTMLInputElement, words: string } | undefined} */
  typed = undefined;
  /** @type {{ button: HTMLElement, x: number, y: number } | undefined} */
  held = undefined;
  picker = document.createElement("input");

  /** @param {PanelView} view */
  constructor(view) {
    this.view = view;
    const { model, signal } = view;
    // On the window, before the notebook's own shortcuts see a key.
    window.addEventListener("keydown", (event) => this.pressed(event), { capture: true, signal });
    window.addEventListener("click", (event) => this.clicked(event), { capture: true, signal });
    window.addEventListener("input", (event) => this.noteTyped(event), { capture: true, signal });
    window.addEventListener("focusout", (event) => this.left(event), { capture: true, signal });
    window.addEventListener("pointerdown", (event) => this.openList(event), { capture: true, signal });
    window.addEventListener("pointerdown", (event) => this.hold(event), { capture: true, signal });
    // The notebook would take a file that is dropped for its own.
    for (const name of /** @type {const} */ (["dragenter", "dragover", "dragleave", "drop"])) {
      window.addEventListener(name, (event) => this.dragged(event), { capture: true, signal });
    }
    this.picker.type = "file";
    this.picker.accept = "image/png,image/jpeg,image/webp";
    this.picker.addEventListener("change", () => this.picked(), { signal });
    for (const [name, id] of Object.entries(model.get("controls"))) {
      model.widget_manager.get_model(id).then((control) => this.controls.set(name, control));
    }
  }

  nameParts() {
    for (const handle of this.panel?.querySelectorAll(".noUi-handle") ?? []) nameSlider(handle);
    for (const header of this.panel?.querySelectorAll(FOLD) ?? []) nameFold(header);
    for (const text of this.panel?.querySelectorAll("textarea") ?? []) text.dir = "auto"; // as it is written
  }

  get panel() {
    return this.view.el.closest(".gradient-panel");
  }

  get generateButton() {
    return this.panel?.querySelector(".gradient-form-generate");
  }

  /** Whether an event is of this panel. @param {Event} event */
  isOfPanel({ target }) {
    return this.panel?.contains(/** @type {Node} */ (target)) ?? false;
  }

  /** @param {KeyboardEvent} event */
  pressed(event) {
    if (!this.isOfPanel(event)) return;
    const target = /** @type {HTMLElement} */ (event.target);
    const modified = event.ctrlKey || event.metaKey;
    if ([" ", "Enter"].includes(event.key) && !modified && target.matches(FOLD)) {
      swallow(event);
      target.click();
    } else if (event.key === "Enter" && (modified || target.closest(FORM_BUTTON)) && event.repeat) {
      swallow(event); // a key that is held is one wish
    } else if (event.key === "Enter" && modified) {
      swallow(event);
      if (!this.view.card.contains(target)) this.generate();
    } else if (!modified && !event.altKey && isShortcut(event, target)) {
      event.stopPropagation(); // of the notebook's shortcuts some delete cells
      this.view.walk(event);
    }
  }

  /** @param {MouseEvent} event @returns {HTMLElement | null} */
  buttonAt(event) {
    const button = /** @type {HTMLElement | null} */ (/** @type {Element} */ (event.target).closest?.(FORM_BUTTON));
    return button && this.isOfPanel(event) ? button : null;
  }

  /** Note what a pointer goes down on. @param {PointerEvent} event */
  hold(event) {
    const button = this.buttonAt(event);
    this.held = button ? { button, x: event.clientX, y: event.clientY } : undefined;
  }

  /**
   * The button that a click is meant for. The form may move under a pointer that is down, as when the kernel says something
   * in it: the click is then none of the button's, but of what is around it and what the pointer comes up on.
   * @param {MouseEvent} event
   */
  meantBy(event) {
    const { held } = this;
    const slip = held && event.detail ? Math.hypot(event.clientX - held.x, event.clientY - held.y) : Infinity;
    return this.buttonAt(event) ?? (held && slip <= SLIP_PX && this.panel?.contains(held.button) ? held.button : null);
  }

  /** @param {MouseEvent} event */
  clicked(event) {
    const button = this.meantBy(event);
    if (!button) return;
    swallow(event);
    if (event.detail > 1) return; // the second half of a double click is no second wish
    if (button.classList.contains("gradient-form-generate")) this.generate();
    else if (button.classList.contains("gradient-form-recipe")) this.picker.click();
    else this.view.copyCode(button, button.classList.contains("gradient-form-cell") ? "cell" : "python");
  }

  picked() {
    const file = this.picker.files?.[0];
    if (file) this.view.readRecipe(file);
    this.picker.value = ""; // so that the same file can be chosen again
  }

  /** A file over the panel is one to read a recipe from. @param {DragEvent} event */
  dragged(event) {
    const { panel } = this;
    if (!panel || !event.dataTransfer?.types.includes("Files")) return;
    const isOver = this.isOfPanel(event) && event.type !== "drop";
    const leaves = event.type === "dragleave" && !panel.contains(/** @type {Node | null} */ (event.relatedTarget));
    panel.classList.toggle("gradient-drop", isOver && !leaves);
    if (!this.isOfPanel(event)) return;
    swallow(event);
    const file = event.dataTransfer.files[0];
    if (event.type === "drop" && file) this.view.readRecipe(file);
  }

  /**
   * What the form says here and now. The controls' own messages wait while the kernel is busy, and this one would
   * overtake them: an image of an older prompt costs as much.
   * @returns {Record<string, unknown>}
   */
  values() {
    return Object.fromEntries([...this.controls].map(([name, control]) => [name, shownBy(control)]));
  }

  /** One click is one generation: a busy kernel would take each of several. */
  generate() {
    if (!this.view.connected) {
      const advice = "Run the cell of this panel again.";
      this.view.tell({ kind: "failed", what: "Nothing was sent: the kernel has stopped.", advice });
      return;
    }
    if (this.patience || this.isCorrected()) return;
    this.view.model.send({ type: "generate", form: this.values() });
    this.patience = setTimeout(() => this.wait(), PATIENCE_MS);
    this.generateButton?.setAttribute("aria-busy", "true");
  }

  /**
   * Whether a number that has just been typed became another, because a control keeps to its bounds: somebody who
   * typed 20 has not asked for 10.
   */
  isCorrected() {
    const { typed } = this;
    const active = document.activeElement;
    if (active instanceof HTMLInputElement && !active.list) active.dispatchEvent(new Event("change", { bubbles: true }));
    this.typed = undefined;
    return typed ? this.sayCorrection(typed, "Nothing was sent. Press Generate again to use it.") : false;
  }

  /** @param {Event} event */
  noteTyped(event) {
    const input = event.target;
    if (!this.isOfPanel(event) || !(input instanceof HTMLInputElement) || input.type !== "number") return;
    this.typed = { input, words: input.value };
  }

  /**
   * A list opens with all that it offers, where a browser would show only what goes with the text that stands there:
   * the text stands behind as a hint meanwhile, and comes back unless something is typed.
   * @param {PointerEvent} event
   */
  openList(event) {
    const input = event.target;
    if (!this.isOfPanel(event) || !(input instanceof HTMLInputElement) || !input.list) return;
    if (input === document.activeElement) return;
    const words = input.value;
    const hint = input.placeholder;
    const restore = () => {
      if (input.value === "" && input.placeholder === words) input.value = words;
      input.placeholder = hint;
    };
    input.placeholder = words;
    input.value = "";
    input.addEventListener("focusout", restore, { once: true, capture: true, signal: this.view.signal });
    input.addEventListener("input", () => (input.placeholder = hint), { once: true, signal: this.view.signal });
  }

  /** What has become of a number is seen by a person who goes on to anything but Generate. @param {FocusEvent} event */
  left({ relatedTarget }) {
    if (relatedTarget instanceof Element && relatedTarget.closest(FORM_BUTTON)) return;
    const { typed } = this;
    this.typed = undefined;
    // When the control has had its turn: what it makes of a number out of its bounds is said, wherever one looks.
    if (typed) setTimeout(() => this.sayCorrection(typed, ""));
  }

  /**
   * Say what a control has made of a number, if it is another one; return whether it is.
   * @param {{ input: HTMLInputElement, words: string }} typed @param {string} advice
   */
  sayCorrection({ input, words }, advice) {
    if (Number(words) === Number(input.value)) return false;
    this.view.tell({ kind: "failed", what: `${words || "An empty field"} is not allowed: it was changed to ${input.value}.`, advice });
    return true;
  }

  wait() {
    const advice = "Generation starts when the kernel is free.";
    this.view.tell({ kind: "cancelled", what: "The kernel is busy.", advice });
  }

  acknowledged() {
    clearTimeout(this.patience);
    this.patience = undefined;
    this.generateButton?.removeAttribute("aria-busy");
    this.view.tell();
  }
}
