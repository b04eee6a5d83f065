"""The grid of a sweep in a real JupyterLab: it fills, scrolls, is paused, cancelled, retried and looked at."""

from __future__ import annotations

import re
from collections.abc import Callable

import nbformat
import pytest
from gate import Gate
from lab import Lab, NotebookPage
from playwright.sync_api import Locator, Page, expect
from readable import CONTRASTS
from test_in_view import LAPTOP, PROJECTOR, is_in_view, window

from gradient_notebook.simulator import Simulator

Opener = Callable[..., NotebookPage]

# Streamed, so that a gate can hold the images back.
VARY = "%%imagegen s --quality low --size 1024x1024 --stream --partial-images 1 --vary "
FAILED = {"status": 400, "body": {"id": "bad_request", "message": "Not this one."}}
REFUSED = {"status": 400, "body": {"error": {"code": "moderation_blocked", "message": "No."}}}

WAITS = """from gradient_notebook import sweep
study = sweep('A {{i}}', i=['fox', 'owl', 'bat'], quality='low', size='1024x1024', stream=True, partial_images=2).result()
study"""

# The lines of cells that exist, and how far the last one stands below the first.
DRAWN = """(card) => {
  const scroller = card.querySelector(".gradient-sweep-scroller");
  return [card.querySelectorAll(".gradient-sweep-cell").length, scroller.scrollHeight > 20 * scroller.clientHeight];
}"""
# Whether each cell that is in view has its picture.
ALL_SHOWN = """(card) => {
  const { top, bottom } = card.querySelector(".gradient-sweep-scroller").getBoundingClientRect();
  const cells = [...card.querySelectorAll(".gradient-sweep-cell")].filter((cell) => {
    const box = cell.getBoundingClientRect();
    return box.bottom > top && box.top < bottom;
  });
  return cells.length > 3 && cells.every((cell) => cell.querySelector("img")?.complete);
}"""


class Grid:
    """The grid under a cell."""

    def __init__(self, opened: NotebookPage, cell: int) -> None:
        self.page = opened.page
        self.card = opened.output(cell).locator(".gradient-card")
        self.line = self.card.locator(".gradient-line")
        self.head = self.card.locator(".gradient-head")
        self.cells = self.card.locator(".gradient-sweep-cell")
        self.pictures = self.cells.locator("img")
        self.large = self.card.locator(".gradient-sweep-large")

    def button(self, name: str) -> Locator:
        return self.card.get_by_role("button", name=name)

    def states(self, word: str) -> Locator:
        return self.cells.locator(f".gradient-tile[data-status={word}]")


@pytest.mark.parametrize("theme", ["Light", "Dark"])
@pytest.mark.parametrize("size", [PROJECTOR, LAPTOP], ids=str)
def test_the_grid_fills_and_its_buttons_are_in_view(
    notebook: Opener, gate: Gate, size: tuple[int, int], theme: str
) -> None:
    """What runs is seen to run, what waits to wait; then the images come, with labels; all of it can be read."""
    gate.close()
    opened = notebook(
        "%config ImageGen.concurrency = 2", f"{VARY}style=ink,oil --vary time=dawn,night\nA {{{{style}}}} {{{{time}}}}"
    )
    opened.set_theme(theme)
    with window(opened, size):
        opened.run(1)
        opened.begin(2)
        grid = Grid(opened, 2)
        expect(grid.states("running").first).to_be_visible()
        expect(grid.line).to_contain_text("0 of 4 done")
        opened.cell(2).evaluate("e => e.scrollIntoView()")
        assert is_in_view(grid.line, grid.button("Pause"), grid.button("Cancel")) == [True] * 3
        gate.open()
        opened.ended(2)
        expect(grid.pictures).to_have_count(4)
        expect(grid.line).to_contain_text("4 of 4 done")
        expect(grid.card.get_by_role("columnheader")).to_have_text(["style / time", "dawn", "night"])
        expect(grid.card.get_by_role("rowheader")).to_have_text(["ink", "oil"])
        assert [found for found in grid.card.evaluate(CONTRASTS) if found[0] < 4.5] == []
        assert grid.card.evaluate("e => e.scrollWidth <= e.clientWidth")


@pytest.mark.parametrize("theme", ["Light", "Dark"])
@pytest.mark.parametrize("size", [PROJECTOR, LAPTOP], ids=str)
def test_a_cell_that_waits_shows_partial_images_in_the_grid(
    notebook: Opener, gate: Gate, size: tuple[int, int], theme: str
) -> None:
    """Under the cell of `.result()`, once; what runs has its newest partial image and dots, until the finished one is there."""
    gate.close()
    opened = notebook(WAITS)
    opened.set_theme(theme)
    with window(opened, size):
        opened.begin(1)
        grid = Grid(opened, 1)
        expect(grid.states("running")).to_have_count(3)
        opened.cell(1).evaluate("e => e.scrollIntoView()")
        expect(grid.pictures).to_have_count(0)
        for came, dots in ((1, "●○"), (2, "●●")):
            gate.allow(came)
            expect(grid.cells.filter(has_text=re.compile(rf"{dots} \d+ s"))).to_have_count(3)
            expect(grid.states("running").locator("img")).to_have_count(3)
        gate.open()
        opened.ended(1)
        expect(grid.states("done").locator("img")).to_have_count(3)
        expect(grid.card).to_have_count(1)
        expect(grid.card).not_to_contain_text("●")
        assert [found for found in grid.card.evaluate(CONTRASTS) if found[0] < 4.5] == []


def test_a_part_of_what_runs_fills_by_itself_and_has_no_buttons(notebook: Opener, gate: Gate) -> None:
    """They would be for all of the sweep; its cells are its own, also large."""
    gate.close()
    opened = notebook(f"{VARY}i=@range(3) --no-wait\nA {{{{i}}}}", "s[1:]", "s[2]")
    opened.run(1)
    opened.run(2)
    grid = Grid(opened, 2)
    expect(grid.states("running")).to_have_count(2)
    expect(grid.card.get_by_role("button")).to_have_count(0)
    gate.open()
    expect(grid.states("done").locator("img")).to_have_count(2)
    expect(grid.line).to_contain_text("2 of 2 done")
    grid.cells.nth(1).click()
    expect(grid.large).to_contain_text("A 2")
    opened.run(3)
    expect(opened.output(3).locator("img[alt='i 2: A 2']")).to_be_visible()


def test_it_is_paused_resumed_and_cancelled(notebook: Opener, gate: Gate) -> None:
    """By mouse and by keyboard; the focus stays where somebody goes on."""
    opened = notebook("%config ImageGen.concurrency = 1", f"{VARY}i=@range(12)\nA {{{{i}}}}")
    opened.run(1)
    gate.close()
    opened.begin(2)
    grid = Grid(opened, 2)
    expect(grid.states("running").first).to_be_visible()
    grid.button("Pause").click()
    expect(grid.line).to_contain_text("paused")
    gate.open()
    expect(grid.states("running")).to_have_count(0)
    came = grid.states("done").count()
    assert 0 < came < 12
    assert opened.is_running(2)
    gate.close()
    expect(grid.button("Resume")).to_be_focused()
    opened.page.keyboard.press("Enter")
    expect(grid.button("Pause")).to_be_focused()
    expect(grid.states("running").first).to_be_visible()
    opened.page.keyboard.press("Tab")
    expect(grid.button("Cancel")).to_be_focused()
    opened.page.keyboard.press("Enter")
    opened.ended(2)
    expect(grid.line).to_contain_text(f"{12 - came} cancelled")
    # What had been sent may have been billed: it is not made again by itself.
    expect(grid.button(f"Retry {11 - came}")).to_be_focused()
    gate.open()
    opened.page.keyboard.press("Enter")
    expect(grid.line).to_contain_text("11 of 12 done · 1 cancelled")
    expect(grid.card).to_contain_text("1 not made again, since they may have been billed")
    expect(grid.pictures).to_have_count(11)


def test_failures_are_cells_with_their_reasons_and_are_retried(notebook: Opener, service: Simulator) -> None:
    """Failed and refused ones beside finished ones; Retry makes what failed, and says why not the rest."""
    service.script([FAILED, REFUSED])
    opened = notebook("%config ImageGen.concurrency = 1", f"{VARY}i=@range(4)\nA {{{{i}}}}")
    opened.run(1)
    opened.run(2)
    grid = Grid(opened, 2)
    expect(grid.states("failed")).to_have_text("failed: Not this one.")
    expect(grid.states("refused")).to_contain_text("refused: ")
    grid.button("Retry 1").click()
    expect(grid.line).to_contain_text("3 of 4 done · 1 refused")
    expect(grid.card).to_contain_text("1 refused, not made again")
    expect(grid.pictures).to_have_count(3)


def test_a_thousand_cells_are_scrolled_and_only_those_in_view_exist(notebook: Opener) -> None:
    """The plan of them stands there before anything is sent; the last one is reached by wheel and by key."""
    opened = notebook(
        "from gradient_notebook import sweep\nt = sweep('hill {{i}}', i=range(1000), quality='low', yes=True, start=False)\nt"
    )
    opened.run(1)
    grid = Grid(opened, 1)
    expect(grid.line).to_contain_text("Not started · 1,000 images to make")
    expect(grid.button("Start")).to_be_visible()
    drawn, is_long = grid.card.evaluate(DRAWN)
    assert drawn < 120
    assert is_long
    grid.card.locator(".gradient-sweep-scroller").hover()
    opened.page.mouse.wheel(0, 10_000_000)
    expect(grid.card.locator("[data-at='999']")).to_be_visible()
    assert grid.card.evaluate(DRAWN)[0] < 120
    grid.card.locator("[data-at='999']").click()
    opened.page.keyboard.press("Escape")
    opened.page.keyboard.press("Control+Home")
    expect(grid.card.locator("[data-at='0']")).to_be_focused()
    expect(grid.card.locator("[data-at='999']")).to_have_count(0)


def test_pictures_come_where_somebody_scrolls_to(notebook: Opener) -> None:
    """Of a finished sweep, shown again: what is in view has its pictures."""
    opened = notebook(f"{VARY}i=@range(90) --yes --quiet\nA {{{{i}}}}", "s")
    opened.run(1)
    opened.run(2)
    grid = Grid(opened, 2)
    with window(opened, PROJECTOR):
        scroller = grid.card.locator(".gradient-sweep-scroller")
        for to in ("0", "this.scrollHeight / 2", "this.scrollHeight"):
            scroller.evaluate(f"e => (function () {{ this.scrollTop = {to}; }}).call(e)")
            handle = grid.card.element_handle()
            opened.page.wait_for_function(ALL_SHOWN, arg=handle)


def test_a_cell_is_looked_at_large_and_the_next_by_key(notebook: Opener) -> None:
    """With its prompt, settings and record; Escape leads back to where one was."""
    opened = notebook(f"{VARY}animal=fox,otter --vary time=dawn,night\nA {{{{animal}}}} at {{{{time}}}}")
    opened.run(1)
    grid = Grid(opened, 1)
    grid.cells.nth(1).click()
    expect(grid.large).to_contain_text("fox · night")
    expect(grid.large).to_contain_text("A fox at night")
    expect(grid.large).to_contain_text(re.compile(r"size 1024x1024 · quality low.*record [0-9a-f]{6}"))
    expect(grid.large.locator("img")).to_have_js_property("naturalWidth", 768)
    opened.page.keyboard.press("ArrowRight")
    expect(grid.large).to_contain_text("A otter at dawn")
    expect(grid.large).to_contain_text("3 of 4")
    opened.page.keyboard.press("Escape")
    expect(grid.card.locator("[data-at='2']")).to_be_focused()
    opened.page.keyboard.press("ArrowUp")
    expect(grid.card.locator("[data-at='0']")).to_be_focused()
    assert grid.card.locator("[role=gridcell][tabindex='0']").count() == 1
    opened.page.keyboard.press("Enter")
    expect(grid.large).to_contain_text("A fox at dawn")
    grid.button("All").click()
    expect(grid.large).to_be_hidden()


@pytest.mark.painted
def test_a_reopened_notebook_shows_the_grid(notebook: Opener, lab: Lab, elsewhere: Page) -> None:
    """Without a kernel: pictures with their labels, and the totals; behind the widget they are not seen."""
    opened = notebook(
        "%%imagegen s --quality low --size 1024x1024 --vary a=fox,otter --vary b=lake,sea\nA {{a}} by the {{b}}"
    )
    opened.save()
    before = (lab.root / opened.name).stat().st_size
    opened.run(1)
    expect(opened.output(1).locator("table")).to_be_hidden()
    opened.save()
    assert (lab.root / opened.name).stat().st_size - before <= 150_000
    saved = nbformat.read(lab.root / opened.name, 4)
    assert "widgets" not in saved.metadata
    saved.metadata["kernelspec"] = {"name": "no-such-kernel", "display_name": "none"}
    saved.metadata.pop("language_info")  # by which another kernel would be found
    nbformat.write(saved, lab.root / "reopened-sweep.ipynb")
    again = NotebookPage(elsewhere, lab, "reopened-sweep.ipynb", kernel=False)
    expect(again.output(1).locator("td img")).to_have_count(4)
    expect(again.output(1).locator("th")).to_have_text(["lake", "sea", "fox", "otter"])
    expect(again.output(1)).to_contain_text("4 of 4 done")
    expect(again.output(1)).not_to_contain_text("Error displaying widget")


def test_a_restarted_kernel_leaves_no_grid_that_pretends(notebook: Opener, gate: Gate) -> None:
    """When its kernel goes, it says so: nothing runs any more, and no button does nothing."""
    gate.close()
    opened = notebook(f"{VARY}i=@range(3) --no-wait\nA {{{{i}}}}")
    opened.run(1)
    grid = Grid(opened, 1)
    expect(grid.states("running").first).to_be_visible()
    opened.page.get_by_title(re.compile("Restart the kernel")).first.click()
    opened.page.locator(".jp-Dialog .jp-mod-accept").click()
    expect(grid.card).to_contain_text("the kernel has stopped")
    expect(grid.card.get_by_role("button")).to_have_count(0)
    expect(grid.card).not_to_contain_text("running")
    opened.idle()
