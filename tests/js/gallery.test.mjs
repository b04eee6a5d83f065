import assert from "node:assert/strict";
import { test } from "node:test";

import { inView, thumbnails } from "../../gradient_notebook/notebook/widgets/gallery.mjs";

const SINGLE = { id: "2", tiles: [{ label: "" }] };
const THREE = { id: "1", tiles: [{ label: "1" }, { label: "2" }, { label: "3" }] };
const JOBS = [SINGLE, THREE];

test("Nothing is in view before the first job", () => {
  assert.equal(inView([], ""), null);
});

test("Without a selection, or with one that has gone, the newest job is in view", () => {
  for (const selected of ["", "7", "7.1"]) assert.deepEqual(inView(JOBS, selected), { job: SINGLE, tile: 0 });
});

test("A job with several images is in view as a whole until one of them is selected", () => {
  assert.deepEqual(inView(JOBS, "1"), { job: THREE, tile: -1 });
  assert.deepEqual(inView(JOBS, "1.2"), { job: THREE, tile: 2 });
});

test("An image that the job does not have is not in view: all of its images are", () => {
  assert.deepEqual(inView(JOBS, "1.3"), { job: THREE, tile: -1 });
});

test("An image selected in another job does not select one in the newest", () => {
  assert.deepEqual(inView([THREE], "9.1"), { job: THREE, tile: -1 });
});

test("Each image of each job has a thumbnail, in order, by the name that selects it", () => {
  assert.deepEqual(thumbnails(JOBS).map(({ name }) => name), ["2.0", "1.0", "1.1", "1.2"]);
});
