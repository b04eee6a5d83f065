import assert from "node:assert/strict";
import { test } from "node:test";

import { Kernel } from "../../gradient_notebook/notebook/widgets/kernel.mjs";
import { Rater, clicked, keepTyped, starWords, tagsIn, takeDigit } from "../../gradient_notebook/notebook/widgets/stars.mjs";
import { FakeChannel } from "./channel.mjs";

const onPage = { matches: () => false };
const inField = { matches: () => true };

/** What becomes of a key: what it gives, and whether the notebook hears of it. */
function pressed(key, more = {}) {
  let given = "nothing";
  let isHeard = true;
  const event = { key, target: onPage, preventDefault() {}, stopPropagation: () => (isHeard = false), ...more };
  takeDigit(event, (stars) => (given = stars));
  return [given, isHeard];
}

/** A widget's model with ratings that its kernel has kept, and one view that rates. */
function rated(ratings = {}) {
  const channel = Object.assign(new FakeChannel(), { ratings, get: () => channel.ratings });
  const { signal } = new AbortController();
  const rater = new Rater(channel, new Kernel(channel, signal), () => undefined, signal);
  const answer = async (more = {}, at = -1) => {
    channel.receive({ id: channel.sent.at(at).id, ...more });
    await new Promise(setImmediate);
  };
  return { channel, rater, answer };
}

test("1 to 5 give stars, 0 takes them away, and no digit reaches the notebook, to which it means a heading", () => {
  assert.deepEqual(["1", "5", "0"].map((key) => pressed(key)), [[1, false], [5, false], [null, false]]);
  assert.deepEqual(pressed("6"), ["nothing", false]);
  assert.deepEqual(pressed("3", { repeat: true }), ["nothing", false]);
});

test("What is typed, and what is a shortcut, gives no stars", () => {
  assert.deepEqual(pressed("3", { target: inField }), ["nothing", true]);
  assert.deepEqual(pressed("3", { ctrlKey: true }), ["nothing", true]);
  assert.deepEqual(pressed("x"), ["nothing", true]);
});

test("What is typed in a field stays there; Escape leads out of it, and Ctrl keeps its meaning", () => {
  const heard = [];
  const typed = (key, ctrlKey = false) =>
    keepTyped({ key, ctrlKey, preventDefault() {}, stopPropagation: () => heard.push(key) }, { focus: () => heard.push("before") });
  typed("d");
  typed("Escape");
  typed("s", true);
  assert.deepEqual(heard, ["d", "Escape", "before"]);
});

test("A click gives as many stars as it is on, and on the one that is given takes them away", () => {
  assert.deepEqual([clicked(null, 3), clicked(5, 3), clicked(3, 3)], [3, 3, null]);
});

test("Stars are counted in words, and none is no word", () => {
  assert.deepEqual([null, 0, 1, 3].map(starWords), ["", "0 stars", "1 star", "3 stars"]);
});

test("Tags are written with commas between them, each once", () => {
  assert.deepEqual(tagsIn(" cover, print,,cover , wide view"), ["cover", "print", "wide view"]);
  assert.deepEqual(tagsIn(" "), []);
});

test("What is given is seen before the kernel has kept it, and what is not given stays", async () => {
  const { channel, rater, answer } = rated({ a: { stars: 1, tags: ["cover"], note: "Warm." } });
  void rater.give("a", { stars: 4 });
  assert.deepEqual(rater.of("a"), { stars: 4, tags: ["cover"], note: "Warm." });
  const { id, ...message } = channel.sent[0];
  assert.deepEqual(message, { type: "rate", image: "a", stars: 4 });
  channel.ratings = { a: { stars: 4, tags: ["cover"], note: "Warm." } };
  await answer();
  assert.equal(rater.pending.size, 0);
  assert.equal(rater.of("a").stars, 4);
});

test("What cannot be kept is told of its image, and the star goes back, until something is given again", async () => {
  const { rater, answer } = rated({ a: { stars: 1, tags: [], note: "" } });
  void rater.give("a", { stars: 4 });
  await answer({ error: "The rating could not be kept: read-only" });
  assert.equal(rater.of("a").stars, 1);
  assert.deepEqual([rater.refusal("a"), rater.refusal("b")], ["The rating could not be kept: read-only", ""]);
  void rater.give("a", { stars: 2 });
  assert.equal(rater.refusal("a"), "");
});

test("An answer to what was given before does not take back what was given since", async () => {
  const { rater, answer } = rated();
  void rater.give("a", { stars: 3 });
  void rater.give("a", { stars: 4 });
  await answer({}, 0);
  assert.equal(rater.of("a").stars, 4);
  await answer({ error: "No." }, 1);
  assert.equal(rater.of("a").stars, null);
});

test("When the kernel goes, what it has not kept goes back", () => {
  const { rater } = rated();
  void rater.give("a", { stars: 3 });
  rater.lost();
  assert.equal(rater.of("a").stars, null);
});
