// @ts-check
// Elements as all parts of the live picture make them: with a class of ours, and never from markup.

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {string} name of the class
 * @param {Element} [parent]
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function make(tag, name, parent) {
  const element = document.createElement(tag);
  element.className = `gradient-${name}`;
  parent?.append(element);
  return element;
}

/** @param {string} words @param {Element} parent */
export function makeButton(words, parent) {
  const button = make("button", "button", parent);
  button.type = "button";
  button.textContent = words;
  return button;
}

/** A card: what it is and how far it is on the left of its head, buttons on the right, and a bar below. */
export class Card {
  card = make("section", "card");
  head = make("div", "head", this.card);
  words = make("div", "words", this.head);
  title = make("div", "prompt", this.words);
  line = make("div", "line", this.words);
  buttons = make("div", "buttons", this.head);
  bar = make("div", "bar", this.card);
  filled = make("div", "filled", this.bar);
  spoken = make("div", "spoken");

  /** @param {string} name for those who do not see it */
  constructor(name) {
    this.card.setAttribute("aria-label", name);
    this.bar.setAttribute("role", "progressbar");
    this.bar.setAttribute("aria-label", "Progress");
    this.spoken.setAttribute("role", "status");
  }

  /** @param {number} done 0 to 1 */
  fill(done) {
    this.filled.style.width = `${done * 100}%`;
    this.bar.setAttribute("aria-valuenow", String(Math.round(done * 100)));
  }
}
