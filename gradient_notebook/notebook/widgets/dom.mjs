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
