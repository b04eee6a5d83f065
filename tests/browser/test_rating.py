"""Stars, tags and notes in a real JupyterLab: given by key and by mouse, kept in the ledger, taken back where they cannot be."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from lab import BOUND_MS, Lab, NotebookPage
from panel_page import PanelPage
from playwright.sync_api import Locator, Page, expect
from readable import CONTRASTS, LEAST_CONTRAST, OVER_THE_EDGE, faint
from test_in_view import LAPTOP, PROJECTOR, is_in_view, window

from gradient_notebook.storage.archive import Archive
from gradient_notebook.storage.ratings import Rating, ratings

Opener = Callable[..., NotebookPage]
SIZES = [PROJECTOR, LAPTOP]
THEMES = ["Light", "Dark"]
VARY = "%%imagegen s --quality low --size 1024x1024 --vary i=1,2,3\nA hill {{i}}"
ANIMALS = ("fox", "otter")


def kept(folder: Path) -> dict[str, Rating]:
    """Return what the ledger has, by the prompts; of several images of one, with their positions."""
    archive = Archive(folder)
    found = {}
    for record in archive.records():
        for (_, position), rating in ratings(archive.ledger, [(record.id, at) for at in range(3)]).items():
            found[f"{record.prompt} {position}" if len(record.images) > 1 else record.prompt] = rating
    return found


def expect_stars(page: Page, folder: Path, wanted: dict[str, int]) -> None:
    """Wait until the images whose prompts end so have these stars, and no other has any."""
    found: dict[str, int] = {}
    for _ in range(BOUND_MS // 50):
        found = {
            prompt.split()[-1]: rating.stars for prompt, rating in kept(folder).items() if rating.stars is not None
        }
        if found == wanted:
            return
        page.wait_for_timeout(50)  # until it is looked again
    assert found == wanted


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return tmp_path / "archive"


def given(place: Locator) -> Locator:
    """The stars on a picture."""
    return place.locator(".gradient-given")


def star(place: Locator, name: str) -> Locator:
    return place.get_by_role("button", name=name, exact=True)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_grid_is_rated_by_key_and_by_mouse(
    notebook: Opener, archive: Path, size: tuple[int, int], theme: str
) -> None:
    """Where the cell is, and in its large view with tags and a note; typing there is no key. The notebook hears no digit."""
    opened = notebook(VARY)
    opened.set_theme(theme)
    with window(opened, size):
        opened.run(1)
        card = opened.output(1).locator(".gradient-card")
        cells, large = card.get_by_role("gridcell"), card.locator(".gradient-sweep-large")
        cells.nth(0).focus()
        opened.page.keyboard.press("4")
        expect(given(cells.nth(0))).to_have_text("★★★★")
        expect(cells.nth(0)).to_have_attribute("aria-label", "1, done, 4 stars")
        opened.page.keyboard.press("ArrowRight")
        opened.page.keyboard.press("2")
        cells.nth(2).hover()
        star(cells.nth(2), "3 stars").click()
        expect(given(cells.nth(2))).to_have_text("★★★")
        expect(large).to_be_hidden()
        expect_stars(opened.page, archive, {"1": 4, "2": 2, "3": 3})
        expect(cells.nth(2)).to_be_focused()
        opened.page.keyboard.press("0")
        expect(given(cells.nth(2))).to_be_hidden()
        card.evaluate("e => e.scrollIntoView()")
        assert is_in_view(card.locator(".gradient-keys")) == [True]
        assert [found for found in card.evaluate(CONTRASTS) if found[0] < LEAST_CONTRAST] == []
        opened.page.keyboard.press("Enter")
        expect(large).to_contain_text("A hill 3")
        star(large, "5 stars").click()
        large.get_by_label("Tags").fill("cover, wide view")
        large.get_by_label("Note").click()
        opened.page.keyboard.type("3 of 5, d d")
        opened.page.keyboard.press("Escape")
        expect(large).to_be_focused()
        assert is_in_view(star(large, "5 stars")) == [True]
        assert [found for found in card.evaluate(CONTRASTS) if found[0] < LEAST_CONTRAST] == []
        opened.page.keyboard.press("1")
        expect_stars(opened.page, archive, {"1": 4, "2": 2, "3": 1})
        assert kept(archive)["A hill 3"] == Rating(stars=1, tags=("cover", "wide view"), note="3 of 5, d d")
        opened.page.keyboard.press("ArrowLeft")
        expect(star(large, "2 stars")).to_have_attribute("aria-pressed", "true")
        expect(large.get_by_label("Tags")).to_have_value("")
        opened.page.keyboard.press("Escape")
        expect(given(cells)).to_have_text(["★★★★", "★★", "★"])
    expect(opened.cell(1).locator(".cm-content")).to_contain_text("%%imagegen")
    assert opened.page.locator(".jp-MarkdownCell").count() == 0


def test_two_views_agree_and_what_is_not_kept_goes_back(notebook: Opener, archive: Path) -> None:
    """A star that the ledger does not take is told where it was given, until one is taken."""
    refuse = (
        "from gradient_notebook.storage.ledger import Ledger\nwrite = Ledger.write\n"
        "def refuse(*_): raise OSError(30, 'Read-only file system')\nLedger.write = refuse"
    )
    opened = notebook(VARY, "s", refuse, "Ledger.write = write")
    opened.run(1)
    opened.run(2)
    first, second = (opened.output(at).locator(".gradient-card") for at in (1, 2))
    cell, same = (card.get_by_role("gridcell").first for card in (first, second))
    cell.focus()
    opened.page.keyboard.press("3")
    expect(given(same)).to_have_text("★★★")
    opened.run(3)
    cell.focus()
    opened.page.keyboard.press("5")
    expect(first.get_by_role("alert").last).to_have_text(re.compile("^1: The rating could not be kept.*Read-only"))
    expect(given(cell)).to_have_text("★★★")
    expect(second.get_by_role("alert").last).to_be_hidden()
    cell.press("Enter")
    star(first, "1 star").click()
    expect(first.locator(".gradient-sweep-large").get_by_role("alert")).to_contain_text("could not be kept")
    expect(star(first, "3 stars")).to_have_attribute("aria-pressed", "true")
    opened.run(4)
    star(first, "2 stars").click()
    expect(first.get_by_role("alert")).to_have_count(0)
    expect(given(same)).to_have_text("★★")
    assert kept(archive)["A hill 1"].stars == 2


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_gallery_is_rated_by_key_and_by_mouse(panel: Callable[..., PanelPage], size: tuple[int, int]) -> None:
    """The picture in view; its thumbnail has the stars, too. A partial image that is looked back at has none."""
    shown = panel()
    for animal in ANIMALS:
        shown.prompt.fill(animal)
        shown.root.get_by_role("button", name="Generate").click()
        expect(shown.stage.get_by_role("button", name=f"{animal}, done")).to_be_visible()
    with window(shown.opened, size):
        shown.thumbs.nth(1).click()
        shown.page.keyboard.press("4")
        expect(given(shown.thumbs.nth(1))).to_have_text("★★★★")
        expect(shown.thumbs.nth(1)).to_have_attribute("aria-label", "fox, done, 4 stars")
        shown.page.keyboard.press("ArrowLeft")
        shown.picture.hover()
        star(shown.stage, "2 stars").click()
        expect(given(shown.stage.locator(".gradient-grid"))).to_have_text("★★")
        shown.stage.get_by_role("button", name="Tags and note").click()
        shown.page.keyboard.type("cover, 5")
        shown.page.keyboard.press("Tab")
        shown.page.keyboard.type("Wet.")
        shown.page.keyboard.press("Escape")
        expect(shown.stage.get_by_role("button", name="Tags and note")).to_be_focused()
        asked = "from gradient_notebook import history; print([history(a)[0].rating for a in ('fox', 'otter')])"
        assert shown.python(asked) == (
            "[Rating(stars=4, tags=(), note=''), Rating(stars=2, tags=('cover', '5'), note='Wet.')]"
        )
        assert shown.root.evaluate(OVER_THE_EDGE) == []
        assert faint(shown.opened, shown.stage) == []
        shown.stage.get_by_label("Partial images of this image").press("ArrowLeft")
        expect(star(shown.stage, "2 stars")).to_be_hidden()
        shown.page.keyboard.press("5")
        expect(given(shown.thumbs.nth(0))).to_have_text("★★")


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_history_is_rated_by_key_and_by_mouse(
    notebook: Opener, archive: Path, size: tuple[int, int], theme: str
) -> None:
    """Among its pictures, each of several images on its own, and in the large view, where arrow keys go on."""
    opened = notebook(
        "%%imagegen --quality low\nA fox", "%%imagegen -n 2 --quality low\nTwo hills", "%imagegen_history"
    )
    opened.set_theme(theme)
    with window(opened, size):
        for at in (1, 2, 3):
            opened.run(at)
        card = opened.output(3).locator(".gradient-card")
        frames = card.locator(".gradient-entry-image")
        expect(frames.locator("img")).to_have_count(3)
        frames.nth(0).focus()
        opened.page.keyboard.press("ArrowRight")
        expect(frames.nth(1)).to_be_focused()
        opened.page.keyboard.press("4")
        frames.nth(2).hover()
        star(frames.nth(2), "3 stars").click()
        expect(given(frames)).to_have_text(["", "★★★★", "★★★"])
        expect(frames.nth(2)).to_have_attribute("aria-label", "A fox, done, 3 stars")
        expect_stars(opened.page, archive, {"1": 4, "fox": 3})
        assert [found for found in card.evaluate(CONTRASTS) if found[0] < LEAST_CONTRAST] == []
        opened.page.keyboard.press("Enter")
        large = opened.page.locator(".gradient-large")
        expect(large.get_by_role("button", name="Actual size")).to_be_visible()
        assert is_in_view(star(large, "5 stars"), large.get_by_label("Tags"), large.get_by_label("Note")) == [True] * 3
        large.get_by_label("Tags").fill("cover")
        large.get_by_label("Tags").press("Escape")
        expect(large).to_be_visible()
        star(large, "3 stars").click()
        expect_stars(opened.page, archive, {"1": 4})
        assert kept(archive)["A fox"] == Rating(tags=("cover",))
        assert [found for found in large.evaluate(CONTRASTS) if found[0] < LEAST_CONTRAST] == []
        opened.page.keyboard.press("ArrowLeft")
        expect(star(large, "4 stars")).to_have_attribute("aria-pressed", "true")
        expect(large.get_by_label("Tags")).to_have_value("")
        opened.page.keyboard.press("Escape")
        expect(frames.nth(1)).to_be_focused()
        expect(card).to_contain_text("cover")


def test_a_long_note_leaves_the_history_in_view(notebook: Opener) -> None:
    """Its beginning stands under the picture."""
    note = "from gradient_notebook import history\nhistory()[0].rate(note='Warm light. ' * 800)"
    opened = notebook("%%imagegen --quality low\nA fox", note, "history()")
    for at in (1, 2, 3):
        opened.run(at)
    entry = opened.output(3).locator(".gradient-entry")
    expect(entry).to_contain_text("Warm light.")
    expect(entry.locator("img")).to_be_visible()
    assert is_in_view(entry) == [True]


@pytest.mark.painted
def test_a_reopened_notebook_has_the_stars_as_text(notebook: Opener, lab: Lab, elsewhere: Page) -> None:
    """Those that were given after the cells had run, too, under the pictures; without a kernel there is nothing to press."""
    opened = notebook(VARY, "%imagegen_history")
    opened.run(1)
    opened.run(2)
    expect(opened.output(2).locator(".gradient-entry-image img")).to_have_count(3)
    opened.output(1).get_by_role("gridcell").nth(1).press("4")
    expect(given(opened.output(2).locator(".gradient-entry", has_text="A hill 2"))).to_have_text("★★★★")
    for at in (1, 2):
        behind = opened.output(at).locator(":text-matches('^★★★★'):not(.gradient-card *)").first
        expect(behind).to_be_attached()
        expect(behind).to_be_hidden()
    opened.save()
    saved: Any = nbformat.read(lab.root / opened.name, 4)
    assert "widgets" not in saved.metadata
    saved.metadata["kernelspec"] = {"name": "no-such-kernel", "display_name": "none"}
    saved.metadata.pop("language_info")  # by which another kernel would be found
    nbformat.write(saved, lab.root / "reopened-stars.ipynb")
    again = NotebookPage(elsewhere, lab, "reopened-stars.ipynb", kernel=False)
    for at in (1, 2):
        expect(again.output(at).get_by_text("★★★★")).to_be_visible()
        expect(again.output(at).locator("img")).to_have_count(3)
        expect(again.output(at)).not_to_contain_text("Error displaying widget")
        expect(again.output(at).get_by_role("button")).to_have_count(0)
