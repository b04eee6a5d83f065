import assert from "node:assert/strict";
import { test } from "node:test";

import { isNoticed, staying, together } from "../../gradient_notebook/notebook/widgets/notice.mjs";

/** @param {number} seen @param {number} whole */
const entry = (seen, whole) => ({ intersectionRect: { height: seen }, boundingClientRect: { height: whole } });

test("A quarter of something, or of the window where it is higher, is noticed", () => {
  assert.equal(isNoticed(entry(100, 400), 900), true);
  assert.equal(isNoticed(entry(99, 400), 900), false);
  assert.equal(isNoticed(entry(120, 5000), 480), true);
});

test("What has no height, or is out of the page, is not noticed", () => {
  assert.equal(isNoticed(entry(0, 0), 900), false);
  assert.equal(isNoticed(entry(0, 400), 900), false);
});

test("One notice counts what older ones told", () => {
  assert.equal(together(3, 0), "3 images done");
  assert.equal(together(1, 2), "1 image done · 2 not");
});

test("A notice comes to its end by itself, and not while it is held", () => {
  assert.equal(staying(8000, true), 8000);
  assert.equal(staying(8000, false) < 8000, true);
  assert.equal(staying(1, false), 0);
});
