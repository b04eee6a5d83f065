import assert from "node:assert/strict";
import { test } from "node:test";

import { CellStore, hasCome } from "../../gradient_notebook/notebook/widgets/grid_store.mjs";
import { FakeChannel } from "./channel.mjs";

const told = (at, outcome = "d", mime = "image/jpeg") => ({ at, outcome, note: "1 s", reason: "", mime });

test("Each cell that has a picture takes the next one of the message", async () => {
  const channel = new FakeChannel();
  const store = new CellStore(channel);
  channel.receive({ type: "cells", cells: [told(3), told(4, "x", ""), told(5)] }, [1], [2]);
  const content = async (at) => new Uint8Array(await (await fetch(store.detail(at, "d").url)).arrayBuffer());
  assert.deepEqual([...(await content(3)), ...(await content(5))], [1, 2]);
  assert.equal(store.detail(4, "x").url, "");
});

test("What a cell came to before counts no more once it came to something else", () => {
  const channel = new FakeChannel();
  const store = new CellStore(channel);
  channel.receive({ type: "cells", cells: [told(0, "f", "")] });
  assert.ok(store.detail(0, "f"));
  assert.equal(store.detail(0, "d"), undefined);
});

test("The oldest are let go of, so that any number of cells can be looked at", () => {
  const channel = new FakeChannel();
  const store = new CellStore(channel);
  for (let at = 0; at < 4000; at += 1) channel.receive({ type: "cells", cells: [told(at, "x", "")] });
  assert.equal(store.details.size, 3000);
  assert.equal(store.detail(0, "x"), undefined);
  assert.ok(store.detail(3999, "x"));
});

test("The time that a cell runs is counted from when it was first seen to run", () => {
  const store = new CellStore(new FakeChannel());
  store.note("qr");
  const began = store.began.get(1);
  store.note("rr");
  assert.deepEqual([store.began.size, store.began.get(1)], [2, began]);
  store.note("dd");
  assert.equal(store.began.size, 0);
  assert.deepEqual([..."qrdxfcu"].map(hasCome), [false, false, true, true, true, true, true]);
});
