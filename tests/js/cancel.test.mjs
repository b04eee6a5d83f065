import assert from "node:assert/strict";
import { test } from "node:test";

import { Canceller, cancelLabel } from "../../gradient_notebook/notebook/widgets/cancel.mjs";

const interrupted = [];
const kernel = { interrupt: async () => void interrupted.push("once") };
const managers = { "JupyterLab's": { kernel }, "nbclassic's": { comm_manager: { kernel } } };

test("While a cell waits, Cancel is the front end's interrupt, until the kernel has answered", async () => {
  for (const [whose, manager] of Object.entries(managers)) {
    const canceller = new Canceller(manager);
    assert.equal(canceller.way(true), "interrupt", whose);
    assert.equal(await canceller.interrupt(), true);
    canceller.isHeard = true;
    assert.equal(canceller.way(true), "click", whose);
  }
  assert.equal(interrupted.length, 2);
});

test("Where no cell waits, nothing but the job may be interrupted", () => {
  assert.equal(new Canceller(managers["JupyterLab's"]).way(false), "click");
  assert.equal(new Canceller(undefined).way(false), "click");
});

test("A front end that cannot interrupt leaves it to its own button from the start, and one that fails from then on", async () => {
  for (const manager of [undefined, {}, { kernel: null }, { kernel: {} }, { comm_manager: {} }]) {
    assert.equal(new Canceller(manager).way(true), "button");
  }
  const failing = new Canceller({ kernel: { interrupt: () => Promise.reject(new Error("403")) } });
  assert.equal(await failing.interrupt(), false);
  assert.equal(failing.way(true), "button");
});

test("The button says what works, and why it takes long", () => {
  assert.equal(cancelLabel("click", false, 0), "Cancel");
  assert.equal(cancelLabel("interrupt", false, 0), "Cancel");
  assert.equal(cancelLabel("interrupt", true, 10), "Cancelling…");
  assert.equal(cancelLabel("click", true, 1500), "Cancelling after the cell that runs…");
  assert.equal(cancelLabel("button", false, 0), "Interrupt: ■");
});
