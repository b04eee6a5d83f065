import assert from "node:assert/strict";
import { test } from "node:test";

import {
  announcement, cameToNothing, countdown, duration, fraction,
} from "../../gradient_notebook/notebook/widgets/words.mjs";

const RUNNING = { status: "running", tiles: [{}], steps: 4, steps_done: 0, note: "0 of 2 done", wait: { words: "" } };

test("A duration has tenths below a minute, then minutes and seconds, and is never rounded up", () => {
  const said = { 0: "0.0 s", 7.449: "7.4 s", 59.99: "59.9 s", 60: "1 min 0 s", 127.8: "2 min 7 s" };
  for (const [seconds, words] of Object.entries(said)) assert.equal(duration(Number(seconds)), words);
});

test("The bar shows immediately that work is going on, grows with each picture, and is full only at the end", () => {
  const fractions = [0, 1, 2, 3, 4].map((done) => fraction(done, 4));
  assert.deepEqual(fractions, [...fractions].sort((a, b) => a - b));
  assert.ok(fractions[0] > 0);
  assert.ok(fractions[3] < 1);
  assert.equal(fractions[4], 1);
});

test("More pictures than were asked for do not push the bar over its end", () => {
  assert.equal(fraction(5, 4), 1);
});

test("A wait with an end is counted down to zero and not below; one without has only its words", () => {
  assert.equal(countdown({ words: "Try 2 in", seconds: 5 }, 1.5), "Try 2 in 3.5 s");
  assert.equal(countdown({ words: "Try 2 in", seconds: 5 }, 9), "Try 2 in 0.0 s");
  assert.equal(countdown({ words: "Queued", seconds: 0 }, 9), "Queued");
});

test("A screen reader hears the end first, then why nothing happens, then how far it is", () => {
  const wait = { words: "Queued", seconds: 0 };
  assert.equal(announcement({ ...RUNNING, status: "failed", wait }), "Image failed");
  assert.equal(announcement({ ...RUNNING, wait }), "Queued");
  assert.equal(announcement({ ...RUNNING, tiles: [{}, {}] }), "0 of 2 done");
  assert.equal(announcement(RUNNING), "Waiting for the first image");
  assert.equal(announcement({ ...RUNNING, steps_done: 2 }), "Partial image 2 of 3");
});

test("A tile has come to nothing when its image failed or was cancelled", () => {
  const statuses = ["running", "done", "failed", "cancelled"];
  assert.deepEqual(statuses.filter((status) => cameToNothing({ status })), ["failed", "cancelled"]);
});
