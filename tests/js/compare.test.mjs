import assert from "node:assert/strict";
import { test } from "node:test";

import { chosenPair, told } from "../../gradient_notebook/notebook/widgets/compare.mjs";
import { meant, progress } from "../../gradient_notebook/notebook/widgets/vote.mjs";

const image = (digest, width = 1536, height = 1024) => ({ key: "0", label: "a", width, height, digest });

test("Sizes that differ are told, and that two are the same", () => {
  assert.equal(told([image("x"), image("y")], "slider", 2), "1536×1024");
  assert.equal(
    told([image("x"), image("y", 1024), image("z", 1024)], "side", 2),
    "Sizes differ (1536×1024, 1024×1024): scaled to compare",
  );
  assert.match(told([image("x"), image("x")], "difference", 2), /identical, pixel by pixel$/);
  assert.match(told([image("x"), image("y")], "difference", 8), /difference ×8, black where they are equal$/);
});

test("Of several any two are chosen, and never one twice", () => {
  assert.deepEqual(chosenPair([0, 1], 0, 3), [3, 1]);
  assert.deepEqual(chosenPair([0, 1], 1, 3), [0, 3]);
  assert.deepEqual(chosenPair([0, 1], 0, 1), [1, 0]);
  assert.deepEqual(chosenPair([0, 1], 1, 0), [1, 0]);
});

test("Arrows choose, down skips, Escape ends, and nothing else means anything", () => {
  assert.deepEqual(["ArrowLeft", "ArrowRight", "ArrowDown", "Escape", "ArrowUp", "d"].map(meant), [
    ...["left", "right", "skip", "end"],
    ...[undefined, undefined],
  ]);
});

test("How far it is counts the pair in view, and at the end what was kept", () => {
  const state = { pair: 12, done: 11, count: 30, given: 10, over: false, more: false, error: "", shape: 1, ranking: [] };
  assert.equal(progress(state), "12 of 30 · 10 votes kept");
  assert.equal(progress({ ...state, done: 0, given: 0 }), "1 of 30");
  assert.equal(progress({ ...state, over: true, given: 1 }), "1 vote kept");
});
