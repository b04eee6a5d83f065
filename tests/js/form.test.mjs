import assert from "node:assert/strict";
import { test } from "node:test";

import { PanelForm, shownBy } from "../../gradient_notebook/notebook/widgets/form.mjs";

/** @param {Record<string, unknown>} traits */
const control = (traits) => ({ get: (name) => traits[name] });

test("A control says its value, also one that is empty or off", () => {
  for (const value of ["a fox", "", 0, false, null]) assert.equal(shownBy(control({ value })), value);
});

test("A list says the words that are selected, not their index", () => {
  assert.equal(shownBy(control({ index: 0, _options_labels: ["auto", "high"] })), "auto");
  assert.equal(shownBy(control({ index: 1, _options_labels: ["auto", "high"] })), "high");
});

test("A list without a selection says nothing", () => {
  assert.equal(shownBy(control({ index: null, _options_labels: ["auto"] })), undefined);
});

test("Without a kernel, Generate says that nothing was sent", () => {
  /** @type {{ what: string }[]} */
  const told = [];
  const view = { connected: false, tell: (/** @type {{ what: string }} */ note) => told.push(note) };
  PanelForm.prototype.generate.call(/** @type {any} */ ({ view }));
  assert.deepEqual(told.map(({ what }) => what), ["Nothing was sent: the kernel has stopped."]);
});
