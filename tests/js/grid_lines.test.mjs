import assert from "node:assert/strict";
import { test } from "node:test";

import { lineOf, linesOf, linesWithin, moved, placed } from "../../gradient_notebook/notebook/widgets/grid_lines.mjs";

const TABLE = { columns: ["a", "b", "c"], rows: ["x", "y"], across: 3, captions: [], count: 6 };
const WRAPPED = { columns: [], rows: [""], across: 1000, captions: ["a"], count: 1000 };
const SECTIONS = { columns: [], rows: ["x", "y", "z"], across: 20, captions: ["a"], count: 50 };

/** @param {import("../../gradient_notebook/notebook/widgets/grid_lines.mjs").Lines} lines */
function everyLine(lines) {
  return Array.from({ length: lines.count }, (_, number) => placed(lines, number));
}

test("Every cell stands in one line, in order, whatever the plan and the width", () => {
  for (const plan of [TABLE, WRAPPED, SECTIONS]) {
    for (const width of [200, 660, 1200]) {
      const lines = linesOf(plan, width, 1.5);
      const cells = everyLine(lines).flatMap(({ first, count }) => Array.from({ length: count }, (_, at) => first + at));
      assert.deepEqual(cells, Array.from({ length: plan.count }, (_, at) => at));
      for (const at of cells) {
        const { first, count } = placed(lines, lineOf(lines, at));
        assert.ok(first <= at && at < first + count);
      }
    }
  }
});

test("Lines stand below one another without a gap, and fill the height", () => {
  for (const plan of [TABLE, WRAPPED, SECTIONS]) {
    const lines = linesOf(plan, 800, 1);
    let next = 0;
    for (const { top, height } of everyLine(lines)) {
      assert.equal(top, next);
      next = top + height;
    }
    assert.equal(next, lines.height);
  }
});

test("Only the lines that are in view are drawn, and all of them", () => {
  for (const plan of [TABLE, WRAPPED, SECTIONS]) {
    const lines = linesOf(plan, 660, 1);
    for (const from of [-50, 0, 333, 5000, lines.height]) {
      const wanted = everyLine(lines)
        .map((line, number) => ({ ...line, number }))
        .filter(({ top, height }) => top < from + 400 && top + height > from);
      const drawn = linesWithin(lines, from, 400);
      assert.ok(wanted.every(({ number }) => drawn.includes(number)));
      assert.ok(drawn.length <= wanted.length + 2);
    }
  }
});

test("A table has its row's words in each line, a heading stands in a line of its own", () => {
  assert.deepEqual(everyLine(linesOf(TABLE, 800, 1)).map(({ heading }) => heading), [0, 1]);
  const headings = everyLine(linesOf(SECTIONS, 800, 1)).filter(({ heading }) => heading >= 0);
  assert.deepEqual(headings.map(({ heading, count }) => [heading, count]), [[0, 0], [1, 0], [2, 0]]);
});

test("Arrow keys go to the neighbours, and stop at the ends", () => {
  const lines = linesOf(TABLE, 800, 1);
  const to = (at, key, far = false) => moved(lines, at, key, far, 2);
  assert.deepEqual([to(0, "ArrowRight"), to(0, "ArrowDown"), to(4, "ArrowUp"), to(4, "ArrowLeft")], [1, 3, 1, 3]);
  assert.deepEqual([to(0, "ArrowLeft"), to(1, "ArrowUp"), to(5, "ArrowRight"), to(5, "ArrowDown")], [0, 1, 5, 5]);
  assert.deepEqual([to(4, "Home"), to(4, "End"), to(4, "Home", true), to(0, "End", true)], [3, 5, 0, 5]);
  assert.equal(to(0, "PageDown"), 3);
  assert.equal(to(0, "x"), -1);
});

test("Down goes over a heading to the cell below it", () => {
  const lines = linesOf(SECTIONS, 660, 1);
  const last = placed(lines, lineOf(lines, 19));
  assert.equal(placed(lines, lineOf(lines, moved(lines, last.first, "ArrowDown", false, 1))).first, 20);
});

test("Each line of a note has its room", () => {
  const [one, three] = [1, 3].map((notes) => linesOf(TABLE, 800, 1, notes));
  assert.equal(three.line - one.line, 36);
});
