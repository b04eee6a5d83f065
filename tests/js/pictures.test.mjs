import assert from "node:assert/strict";
import { resolveObjectURL } from "node:buffer";
import { test } from "node:test";

import { Pictures } from "../../gradient_notebook/notebook/widgets/pictures.mjs";
import { FakeChannel } from "./channel.mjs";

/** @param {string[]} keys of pictures that have come */
function pictures(...keys) {
  const channel = new FakeChannel();
  const made = new Pictures(channel);
  for (const key of keys) channel.receive({ type: "picture", key, mime: "image/webp" }, [1, 2, 3]);
  return { channel, made };
}

test("A picture that has come has an address with its bytes and its type", async () => {
  const { made } = pictures("1.0.0");
  const blob = resolveObjectURL(made.url("1.0.0"));
  assert.equal(blob.type, "image/webp");
  assert.deepEqual([...new Uint8Array(await blob.arrayBuffer())], [1, 2, 3]);
});

test("A picture that was missed is asked for, once", () => {
  const { channel, made } = pictures();
  assert.deepEqual([made.url("1.0.0"), made.url("1.0.0"), made.url(undefined)], ["", "", ""]);
  assert.deepEqual(channel.sent, [{ type: "picture", key: "1.0.0" }]);
});

test("A picture that was let go is asked for again", () => {
  const { channel, made } = pictures();
  made.url("1.0.0");
  channel.receive({ type: "picture", key: "1.0.0", mime: "image/webp" }, [1]);
  made.keepOnly([]);
  assert.equal(made.url("1.0.0"), "");
  assert.equal(channel.sent.length, 2);
});

test("A picture that comes again keeps its address, and nobody is told", () => {
  const { channel, made } = pictures("1.0.0");
  const url = made.url("1.0.0");
  let told = 0;
  made.changed.addEventListener("picture", () => (told += 1));
  channel.receive({ type: "picture", key: "1.0.0", mime: "image/webp" }, [4]);
  channel.receive({ type: "picture", key: "1.0.1", mime: "image/webp" }, [4]);
  assert.equal(made.url("1.0.0"), url);
  assert.equal(told, 1);
});

test("Pictures of jobs that have gone are freed, also where one id begins like another", () => {
  const { made } = pictures("1.0.0", "12.0.0");
  const gone = made.url("1.0.0");
  made.keepOnly([{ id: "12" }]);
  assert.equal(resolveObjectURL(gone), undefined);
  assert.notEqual(made.url("12.0.0"), "");
});

test("After the end all pictures are freed, and no message is heard", () => {
  const { channel, made } = pictures("1.0.0");
  const url = made.url("1.0.0");
  made.close();
  assert.equal(resolveObjectURL(url), undefined);
  assert.equal(channel.listeners.size, 0);
});
