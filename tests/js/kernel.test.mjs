import assert from "node:assert/strict";
import { webcrypto } from "node:crypto";
import { test } from "node:test";

import { Kernel } from "../../gradient_notebook/notebook/widgets/kernel.mjs";
import { FakeChannel } from "./channel.mjs";

globalThis.crypto ??= webcrypto; // node 18 has it under this name only

function kernel() {
  const channel = new FakeChannel();
  const controller = new AbortController();
  return { channel, controller, asking: new Kernel(channel, controller.signal) };
}

test("Each question gets its own answer, in whatever order they come", async () => {
  const { channel, asking } = kernel();
  const answers = Promise.all([asking.code("cell", {}), asking.code("python", {})]);
  for (const { id, language } of [...channel.sent].reverse()) channel.receive({ id, text: `${language} code` });
  assert.deepEqual(await answers, ["cell code", "python code"]);
});

test("What is not an answer to this view's question is left alone", async () => {
  const { channel, asking } = kernel();
  const answer = asking.code("cell", {});
  channel.receive({ type: "picture", key: "1.0.0", mime: "image/png" }, [1]);
  channel.receive({ id: "another view's", text: "no" });
  channel.receive({ id: channel.sent[0].id, text: "yes" });
  assert.equal(await answer, "yes");
});

test("An original is its bytes, with the type and the name of its file", async () => {
  const { channel, asking } = kernel();
  const answer = asking.original("3", 1);
  const [{ id, ...question }] = channel.sent;
  assert.deepEqual(question, { type: "original", job: "3", tile: 1 });
  channel.receive({ id, mime: "image/jpeg", name: "fox-3-2.jpg" }, [7, 8]);
  const { blob, name } = await answer;
  assert.equal(name, "fox-3-2.jpg");
  assert.equal(blob.type, "image/jpeg");
  assert.deepEqual([...new Uint8Array(await blob.arrayBuffer())], [7, 8]);
});

test("An error is no answer, not even one without words: nothing is copied or downloaded", async () => {
  for (const error of ["It has gone.", ""]) {
    const { channel, asking } = kernel();
    const answer = asking.original("3", 1);
    channel.receive({ id: channel.sent[0].id, error });
    await assert.rejects(answer, { message: error });
  }
});

test("A view that has gone hears nothing any more", () => {
  const { channel, controller } = kernel();
  controller.abort();
  assert.equal(channel.listeners.size, 0);
});
