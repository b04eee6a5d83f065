"""A comparison and blind pairs in a real JupyterLab: by mouse and by keyboard, on a projector and in the dark."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import nbformat
import pytest
from lab import Lab, NotebookPage
from panel_page import PanelPage
from PIL import Image
from playwright.sync_api import Locator, Page, expect
from readable import OVER_THE_EDGE, faint
from test_in_view import LAPTOP, PROJECTOR, window

from gradient_notebook.api.params import ImageGenerateParams
from gradient_notebook.recipes import with_recipe

Opener = Callable[..., NotebookPage]

STUDY = """from gradient_notebook import compare, generate, sweep
s = sweep("A {{animal}} at night", animal=["fox", "owl"], quality=["low", "high"], size="1536x1024").result()"""

# Where each picture in view stands, as parts of its pane.
PLACES = """(card) => [...card.querySelectorAll(".gradient-layer-picture")].map((image) => {
  const [one, pane] = [image, image.closest(".gradient-pane")].map((e) => e.getBoundingClientRect());
  return [one.width / pane.width, (one.left - pane.left) / pane.width, (one.top - pane.top) / pane.height]
    .map((part) => Math.round(part * 1000) / 1000);
})"""


class Compared:
    """The comparison under a cell."""

    def __init__(self, opened: NotebookPage, cell: int) -> None:
        self.page = opened.page
        self.card = opened.output(cell).locator(".gradient-card")
        self.panes = self.card.locator(".gradient-pane")
        self.pictures = self.card.locator(".gradient-layer-picture")
        self.divider = self.card.get_by_role("slider")
        self.percent = self.card.locator(".gradient-beside-percent")
        self.line = self.card.locator(".gradient-line")

    def button(self, name: str) -> Locator:
        return self.card.get_by_role("button", name=name, exact=True)

    @property
    def places(self) -> list[list[float]]:
        found: list[list[float]] = self.card.evaluate(PLACES)
        return found

    def at(self, part: float) -> tuple[float, float]:
        """Return a point on the first pane, that far from its left, in the window."""
        box = self.panes.first.bounding_box()
        assert box
        return box["x"] + box["width"] * part, box["y"] + box["height"] / 2

    def drag(self, start: float, end: float) -> None:
        self.page.mouse.move(*self.at(start))
        self.page.mouse.down()
        self.page.mouse.move(*self.at(end), steps=4)
        self.page.mouse.up()


def test_two_images_are_compared_by_mouse_and_by_keyboard(notebook: Opener) -> None:
    """The divider moves, the picture is zoomed and moved, both in step; a table says what differs."""
    opened = notebook(STUDY, "compare(s[0], s[3])")
    opened.run(1)
    opened.run(2)
    seen = Compared(opened, 2)
    expect(seen.pictures).to_have_count(2)
    expect(seen.card.get_by_role("row", name="prompt")).to_have_text("promptA fox at nightA owl at night")
    expect(seen.card.locator("mark")).to_have_text(["fox", "owl"])
    expect(seen.card.get_by_role("row", name="quality")).to_have_text("qualitylowhigh")

    seen.drag(0.5, 0.2)
    expect(seen.divider).to_have_attribute("aria-valuenow", "20")
    seen.divider.focus()
    opened.page.keyboard.press("ArrowRight")
    expect(seen.divider).to_have_attribute("aria-valuenow", "22")
    assert seen.places == [[1, 0, 0]] * 2

    seen.panes.first.hover()
    opened.page.mouse.wheel(0, -300)  # the focus is there
    assert seen.places[0] == seen.places[1]
    assert seen.places[0][0] > 1.3
    before = seen.places[0]
    seen.drag(0.4, 0.6)
    assert seen.places[0] == seen.places[1]
    assert seen.places[0][1] > before[1]
    opened.page.keyboard.press("1")
    expect(seen.percent).to_have_text("100 %")
    opened.page.keyboard.press("0")
    assert seen.places == [[1, 0, 0]] * 2

    seen.button("Side by side").click()
    expect(seen.panes).to_have_count(2)
    seen.button("Zoom in").click()
    seen.panes.last.focus()
    opened.page.keyboard.press("ArrowLeft")
    assert seen.places[0] == seen.places[1]
    assert seen.places[0][1] == 0  # the left edge
    seen.button("Difference").click()
    expect(seen.line).to_have_text(re.compile("difference ×2, black where they are equal"))
    seen.card.get_by_label("Amplified").select_option("×8")
    expect(seen.line).to_have_text(re.compile("difference ×8"))
    assert opened.cell(2).evaluate("e => e.classList.contains('jp-mod-selected')")  # no key went to the notebook


def test_of_several_any_two_are_chosen(notebook: Opener) -> None:
    """They stand side by side at first; sizes that differ are told."""
    opened = notebook(STUDY, "compare(s, generate('hill', size='1024x1024', quality='low'))")
    opened.run(1)
    opened.run(2)
    seen = Compared(opened, 2)
    expect(seen.panes).to_have_count(5)
    expect(seen.line).to_have_text("Sizes differ (1536×1024, 1024×1024): scaled to compare")
    seen.button("Slider").click()
    expect(seen.panes).to_have_count(1)
    seen.card.get_by_label("Right").select_option("owl · high")
    expect(seen.divider).to_have_accessible_name("Divider between fox · low and owl · high")
    expect(seen.line).to_have_text("1536×1024")


@pytest.mark.parametrize("size", [PROJECTOR, LAPTOP], ids=str)
def test_both_fit_the_window_and_can_be_read(notebook: Opener, size: tuple[int, int]) -> None:
    """With their buttons in view; nothing stands over an edge, in the light and in the dark."""
    opened = notebook(STUDY, "compare(s[0], s[3])", "s.vote()")
    opened.run(1)
    for cell in (2, 3):
        opened.run(cell)
    with window(opened, size):
        for cell, buttons in ((2, ("Slider", "Difference", "Zoom in")), (3, ("← Left", "Right →", "End"))):
            seen = Compared(opened, cell)
            seen.card.evaluate("e => e.scrollIntoView()")
            expect(seen.card.locator("img").last).to_be_visible()
            seen.card.evaluate("e => e.scrollIntoView()")  # cells that were out of sight have come into the page above
            picture = seen.panes.first if cell == 2 else seen.card.locator(".gradient-tile").first
            for shown in (picture, *map(seen.button, buttons)):
                expect(shown).to_be_in_viewport(ratio=1)
            assert seen.card.evaluate(OVER_THE_EDGE) == []
            assert faint(opened, seen.card) == []


def test_pairs_are_voted_on_by_key_and_by_click(notebook: Opener) -> None:
    """Without their labels; each vote is kept; the ranking comes with Escape, and Enter goes on."""
    opened = notebook(STUDY, "s.vote(5)")
    opened.run(1)
    opened.run(2)
    card = opened.output(2).locator(".gradient-card")
    expect(card).to_contain_text("1 of 5")
    assert not re.search("fox|owl|low|high", card.inner_html())
    card.get_by_role("button", name="Left image: prefer it").click()
    expect(card).to_contain_text("2 of 5 · 1 vote kept")
    opened.page.keyboard.press("ArrowRight")
    expect(card).to_contain_text("3 of 5 · 2 votes kept")
    expect(card.locator("[data-loading=true]")).to_have_count(0)
    opened.page.keyboard.press("ArrowDown")
    expect(card).to_contain_text("4 of 5 · 2 votes kept")
    opened.page.keyboard.press("Escape")
    expect(card.get_by_role("table").first).to_be_visible()  # two votes may say nothing of the other axis
    expect(card.get_by_role("button", name="Go on")).to_be_focused()
    opened.page.keyboard.press("Enter")
    expect(card).to_contain_text("4 of 5 · 2 votes kept")
    opened.page.keyboard.press("ArrowLeft")
    expect(card).to_contain_text("5 of 5 · 3 votes kept")
    opened.page.keyboard.press("ArrowLeft")
    expect(card.get_by_role("caption")).to_have_text(["animal", "quality"])
    expect(card).to_contain_text("4 votes kept")


def test_a_reopened_notebook_has_images_and_table(notebook: Opener, lab: Lab, elsewhere: Page) -> None:
    """Without a kernel; behind the widget they are not seen."""
    opened = notebook(STUDY, "compare(s[0], s[3])")
    opened.run(1)
    opened.run(2)
    expect(opened.output(2).locator(".gradient-record")).to_be_hidden()
    expect(Compared(opened, 2).pictures.first).to_be_visible()
    opened.save()
    saved = nbformat.read(lab.root / opened.name, 4)
    saved.metadata["kernelspec"] = {"name": "no-such-kernel", "display_name": "none"}
    saved.metadata.pop("language_info")
    nbformat.write(saved, lab.root / "reopened-compare.ipynb")
    again = NotebookPage(elsewhere, lab, "reopened-compare.ipynb", kernel=False)
    expect(again.output(2).locator("img")).to_have_count(2)
    expect(again.output(2).locator("table")).to_contain_text("A fox at night")
    expect(again.output(2)).not_to_contain_text("Error displaying widget")


def test_the_panel_takes_a_recipe(panel: Callable[..., PanelPage], tmp_path: Path) -> None:
    """By its button or dropped; what has none is told, and nothing is sent."""
    seen = panel()
    plain = tmp_path / "plain.png"
    plain.write_bytes(picture())
    with_one = tmp_path / "owl.png"
    with_one.write_bytes(with_recipe(picture(), ImageGenerateParams(prompt="An owl", quality="high")))
    with seen.page.expect_file_chooser() as chooser:
        seen.button("Open recipe…").click()
    chooser.value.set_files(with_one)
    expect(seen.prompt).to_have_value("An owl")
    expect(seen.boxes).to_have_text("The form has the settings of owl.png.")
    seen.prompt.fill("A hen")
    drop(seen, plain)
    expect(seen.boxes).to_contain_text("plain.png: There is no recipe in this image")
    expect(seen.prompt).to_have_value("A hen")
    drop(seen, with_one)
    expect(seen.prompt).to_have_value("An owl")
    assert seen.sent == []


def picture() -> bytes:
    data = BytesIO()
    Image.new("RGB", (8, 8), "red").save(data, "PNG")
    return data.getvalue()


def drop(seen: PanelPage, path: Path) -> None:
    """Drop a file on the panel, as a person drags it from a folder."""
    script = """([name, bytes]) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([new Uint8Array(bytes)], name, { type: "image/png" }));
      return transfer;
    }"""
    files = seen.page.evaluate_handle(script, [path.name, list(path.read_bytes())])
    for kind in ("dragenter", "dragover", "drop"):
        seen.root.dispatch_event(kind, {"dataTransfer": files})
    assert "gradient-drop" not in (seen.root.get_attribute("class") or "")
