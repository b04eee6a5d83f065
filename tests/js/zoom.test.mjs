import assert from "node:assert/strict";
import { test } from "node:test";

import { actual, bounded, canPan, fit, panned, placed, whole, zoomed } from "../../gradient_notebook/notebook/widgets/zoom.mjs";

const pane = { width: 300, height: 200 };
const picture = { width: 1500, height: 1000 };
const about = (found, wanted) => assert.ok(Math.abs(found - wanted) < 1e-6, `${found} is not ${wanted}`);

test("All of a picture fits, in the middle, whatever its shape", () => {
  assert.deepEqual(placed(whole(), pane, picture), { left: 0, top: 0, width: 300, height: 200 });
  const square = placed(whole(), pane, { width: 100, height: 100 });
  assert.deepEqual(square, { left: 50, top: 0, width: 200, height: 200 });
  assert.equal(canPan(whole(), pane, picture), false);
});

test("The point under the pointer stays where it is", () => {
  const at = { x: 225, y: 60 };
  const seen = (zoom) => {
    const { left, top, width, height } = placed(zoom, pane, picture);
    return [(at.x - left) / width, (at.y - top) / height];
  };
  const once = zoomed(whole(), 2, at, pane, picture);
  const twice = zoomed(once, 1.5, at, pane, picture);
  seen(twice).forEach((point, index) => about(point, seen(whole())[index]));
  assert.ok(canPan(twice, pane, picture));
});

test("No ground comes into view beside a picture that is larger than its pane", () => {
  const zoom = panned(zoomed(whole(), 2, { x: 150, y: 100 }, pane, picture), 10_000, -10_000, pane, picture);
  const { left, top, width, height } = placed(zoom, pane, picture);
  about(left, 0);
  about(top + height, pane.height);
  about(width, 600);
});

test("Neither smaller than all of it nor larger than eight pixels for one, and 100 % is one for one", () => {
  assert.equal(bounded({ scale: 0.1, x: 0.5, y: 0.5 }, pane, picture).scale, 1);
  about(bounded({ scale: 1e6, x: 0.5, y: 0.5 }, pane, picture).scale * fit(pane, picture), 8);
  about(placed(actual(whole(), pane, picture), pane, picture).width, 1500);
  const small = { width: 30, height: 20 };
  about(placed(actual(whole(), pane, small), pane, small).width, 30);
});

test("One zoom shows the same part of pictures of different sizes", () => {
  const zoom = zoomed(whole(), 3, { x: 280, y: 20 }, pane, picture);
  const half = { width: 750, height: 500 };
  assert.deepEqual(placed(zoom, pane, half), placed(zoom, pane, picture));
});
