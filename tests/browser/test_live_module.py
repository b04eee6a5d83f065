"""The browser's side of each widget, imported as anywidget imports it: from a blob."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from gradient_notebook.notebook.widgets.compare import Compare
from gradient_notebook.notebook.widgets.live import Gallery, LiveView, Pictured
from gradient_notebook.notebook.widgets.vote import Vote

IMPORT = """async (source) => {
  const { default: widget, ...others } = await import(
    URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
  const definition = await widget();
  return [typeof definition.initialize, typeof definition.render, Object.keys(others)];
}"""


@pytest.fixture(scope="module")
def page(chromium: Browser) -> Iterator[Page]:
    page = chromium.new_page()
    yield page
    page.close()


@pytest.mark.parametrize("widget", [LiveView, Gallery, Compare, Vote])
def test_a_blob_has_the_widget_and_nothing_else(page: Page, widget: type[Pictured]) -> None:
    """The text imports nothing, and exports a default alone: a named `render` would be anywidget's deprecated form."""
    assert page.evaluate(IMPORT, widget._esm) == ["function", "function", []]
