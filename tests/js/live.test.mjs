import assert from "node:assert/strict";
import { test } from "node:test";

import widget from "../../gradient_notebook/notebook/widgets/live.mjs";

test("The default export is what anywidget expects of a widget", () => {
  assert.deepEqual(Object.keys(widget()), ["initialize", "render"]);
});
