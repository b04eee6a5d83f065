import assert from "node:assert/strict";
import { test } from "node:test";

import { neighbor } from "../../gradient_notebook/notebook/widgets/history.mjs";

// Three in a line, and two below them.
const CORNERS = [0, 1, 2, 3, 4].map((at) => ({ left: (at % 3) * 170, top: at < 3 ? 0 : 300 }));

test("Arrow keys lead to the picture beside, above and below, as it stands", () => {
  const from = (at) => ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"].map((key) => neighbor(CORNERS, at, key));
  assert.deepEqual(from(0), [0, 1, 0, 3]);
  assert.deepEqual(from(2), [1, 3, 2, 4]);
  assert.deepEqual(from(4), [3, 4, 1, 4]);
});

test("Home and End lead to the first and the last, other keys nowhere", () => {
  assert.deepEqual(["Home", "End", "x"].map((key) => neighbor(CORNERS, 2, key)), [0, 4, -1]);
});
