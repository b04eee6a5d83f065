"""The pure helpers of `live.mjs`, imported as anywidget imports it: from a blob."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

import gradient_notebook

SOURCE = (Path(gradient_notebook.__file__).parent / "notebook" / "live.mjs").read_text(encoding="utf-8")
IMPORT = """async (source) => {
  window.live = await import(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
}"""


@pytest.fixture(scope="module")
def page(chromium: Browser) -> Iterator[Page]:
    page = chromium.new_page()
    page.evaluate(IMPORT, SOURCE)
    yield page
    page.close()


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0.0 s"), (7.449, "7.4 s"), (59.99, "59.9 s"), (60, "1 min 0 s"), (127.8, "2 min 7 s")]
)
def test_a_duration_reads_as_people_write_it(page: Page, seconds: float, words: str) -> None:
    """Tenths below a minute, then minutes and seconds."""
    assert page.evaluate("s => live.duration(s)", seconds) == words


def test_progress_begins_above_nothing_and_ends_at_all(page: Page) -> None:
    """The bar shows at once that something is going on, grows with each picture, and is full at the end only."""
    fractions = page.evaluate("[0, 1, 2, 3, 4].map(done => live.fraction(done, 4))")
    assert fractions == sorted(fractions)
    assert fractions[0] > 0
    assert fractions[-2] < fractions[-1] == 1


@pytest.mark.parametrize(
    ("rows", "layout"),
    [
        ([1], {"columns": 1, "spans": [1]}),
        ([3], {"columns": 3, "spans": [1, 1, 1]}),
        ([3, 2], {"columns": 6, "spans": [2, 2, 2, 3, 3]}),
        ([2, 2], {"columns": 2, "spans": [1, 1, 1, 1]}),
    ],
)
def test_rows_of_different_lengths_are_equally_wide(page: Page, rows: list[int], layout: dict[str, Any]) -> None:
    """The spans of each row add up to all columns."""
    assert page.evaluate("rows => live.layout(rows)", rows) == layout


def test_only_the_default_is_exported_as_a_widget(page: Page) -> None:
    """A named `render` would be anywidget's deprecated form."""
    assert page.evaluate("[typeof live.default().render, typeof live.render]") == ["function", "undefined"]
