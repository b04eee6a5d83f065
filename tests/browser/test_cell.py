"""A cell in a real JupyterLab: what a person sees, from the card to the reopened notebook."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
from gate import Gate
from lab import Lab, NotebookPage
from panel_page import PARTIAL_AND_SILENCE
from playwright.sync_api import Page, expect
from readable import CONTRAST

from gradient_notebook.simulator import Simulator

Opener = Callable[..., NotebookPage]

CARD, PICTURE, CANCEL = ".gradient-card", ".gradient-picture", ".gradient-cancel"
THREE_PARTIALS = "%%imagegen picture --quality low -p 3\n"

# Notes what each animation frame shows: which pictures, and whether one was there and had gone.
WATCH = """() => {
  window.seen = { sources: [], gaps: 0 };
  const look = () => {
    const image = document.querySelector(".gradient-picture");
    if (image?.complete && image.naturalWidth) {
      if (window.seen.sources.at(-1) !== image.src) window.seen.sources.push(image.src);
    } else if (window.seen.sources.length && document.querySelector(".gradient-card")) window.seen.gaps += 1;
    requestAnimationFrame(look);
  };
  look();
}"""


def outputs(notebook: NotebookPage, lab: Lab, index: int) -> list[Any]:
    """Return the outputs of cell `index` as they are saved."""
    notebook.save()
    return list(nbformat.read(lab.root / notebook.name, 4).cells[index].outputs)


def test_a_cell_shows_its_card_its_partial_images_and_then_an_ordinary_image(
    notebook: Opener, lab: Lab, gate: Gate
) -> None:
    """Partial images replace one another in place, without a gap; then stand one image and one line, no widget."""
    gate.close()
    opened = notebook(THREE_PARTIALS + "A low sun over hills", "picture.size")
    opened.page.evaluate(WATCH)
    opened.begin(1)
    card = opened.output(1).locator(CARD)
    expect(card.locator(".gradient-prompt")).to_have_text("A low sun over hills")
    expect(card.locator(".gradient-settings")).to_contain_text("low")
    expect(card.locator(".gradient-clock")).to_have_text(re.compile(r"^\d+\.[1-9] s$"))
    for pictures in (1, 2, 3):
        gate.allow(pictures)
        opened.page.wait_for_function(f"window.seen.sources.length === {pictures}")
    gate.open()
    opened.ended(1)
    assert opened.page.evaluate("window.seen.gaps") == 0
    expect(card).to_have_count(0)
    expect(opened.output(1).locator("img")).to_have_count(1)
    expect(opened.output(1).locator("img")).to_have_js_property("naturalWidth", 768)
    expect(opened.output(1)).to_contain_text("picture · PIL 1024×1024 png")
    opened.run(2)
    expect(opened.output(2)).to_contain_text("(1024, 1024)")
    image, line = outputs(opened, lab, 1)
    assert [kind for kind in image.data if kind.startswith(("image/", "application/"))] == ["image/jpeg"]
    assert image.metadata["image/jpeg"]["alt"] == "A low sun over hills"
    assert set(line.data) == {"text/html", "text/plain"}


def test_a_saved_notebook_shows_its_image_without_a_kernel(notebook: Opener, lab: Lab, elsewhere: Page) -> None:
    """A finished 1536x1024 image adds at most 150 kB to the file; reopened with no kernel, image and line are there."""
    opened = notebook("%%imagegen picture --size 1536x1024 --quality low\nA lake in the mountains")
    opened.save()
    before = (lab.root / opened.name).stat().st_size
    opened.run(1)
    opened.save()
    assert (lab.root / opened.name).stat().st_size - before <= 150_000  # of a real painting: a plain one is small
    saved = nbformat.read(lab.root / opened.name, 4)
    assert "widgets" not in saved.metadata
    saved.metadata["kernelspec"] = {"name": "no-such-kernel", "display_name": "none"}
    saved.metadata.pop("language_info")  # by which another kernel would be found
    nbformat.write(saved, lab.root / "reopened.ipynb")
    again = NotebookPage(elsewhere, lab, "reopened.ipynb", kernel=False)
    expect(again.output(1).locator("img")).to_have_js_property("naturalWidth", 768)
    expect(again.output(1)).to_contain_text("picture · PIL 1536×1024 png")
    expect(again.output(1)).not_to_contain_text("Error displaying widget")


def test_cancel_stops_a_running_cell(notebook: Opener, service: Simulator) -> None:
    """The button works while the cell runs; the last partial image stays, and the variable is not assigned."""
    service.script([PARTIAL_AND_SILENCE])
    opened = notebook(THREE_PARTIALS + "A city at night", "'picture' in globals()")
    opened.begin(1)
    opened.output(1).locator(PICTURE).wait_for()
    opened.output(1).locator(CANCEL).click()
    opened.ended(1)
    expect(opened.output(1)).to_contain_text("Cancelled after")
    expect(opened.output(1)).to_contain_text("picture was not assigned")
    expect(opened.output(1).locator("img")).to_have_count(1)
    expect(opened.output(1).locator(CARD)).to_have_count(0)
    opened.run(2)
    expect(opened.output(2)).to_contain_text("False")


def test_the_interrupt_button_stops_a_running_cell(notebook: Opener, service: Simulator) -> None:
    """Interrupting the kernel ends the cell in one line, and the next cell works."""
    service.script([PARTIAL_AND_SILENCE])
    opened = notebook(THREE_PARTIALS + "A city at night", "6 * 7")
    opened.begin(1)
    opened.output(1).locator(PICTURE).wait_for()
    opened.page.get_by_title(re.compile("Interrupt the kernel")).click()
    opened.ended(1)
    expect(opened.output(1)).to_contain_text("KeyboardInterrupt: picture was not assigned")
    expect(opened.output(1)).not_to_contain_text("Traceback")
    opened.run(2)
    expect(opened.output(2)).to_contain_text("42")


def test_each_of_several_images_has_its_tile(notebook: Opener, gate: Gate) -> None:
    """n = 3 shows three tiles, each with its own partial images, and ends as one picture of all."""
    gate.allow(1)
    opened = notebook("%%imagegen trio -n 3 --quality low\nA valley at dawn", "[image.size for image in trio]")
    opened.begin(1)
    expect(opened.output(1).locator(".gradient-tile")).to_have_count(3)
    expect(opened.output(1).locator(PICTURE)).to_have_count(3)
    gate.open()
    opened.ended(1)
    expect(opened.output(1).locator("img")).to_have_count(1)
    expect(opened.output(1)).to_contain_text("trio · 3 PIL images 1024×1024 png")
    opened.run(2)
    expect(opened.output(2)).to_contain_text("[(1024, 1024), (1024, 1024), (1024, 1024)]")


def test_a_mistake_and_a_refusal_read_like_what_they_are(notebook: Opener) -> None:
    """What went wrong and what to do stand under the cell, without a traceback and without a stale card."""
    opened = notebook("%%imagegen --size big\nx", "%%imagegen\n[refuse-output] x")
    for index, words in (
        (1, ["size='big': expected auto or WIDTHxHEIGHT in pixels", "Nothing was sent."]),
        (2, ["The service refused this prompt (output stage", "image was not assigned"]),
    ):
        opened.run(index)
        for expected in words:
            expect(opened.output(index)).to_contain_text(expected)
        expect(opened.output(index)).not_to_contain_text("Traceback")
        expect(opened.output(index).locator(CARD)).to_have_count(0)


def test_a_prompt_is_never_markup(notebook: Opener, gate: Gate) -> None:
    """HTML in a prompt is shown as text, in the card and in the error."""
    gate.close()
    opened = notebook('%%imagegen\n<img src=x onerror="window.hacked=1"> [refuse-output]')
    opened.begin(1)
    expect(opened.output(1).locator(".gradient-prompt")).to_contain_text("<img src=x")
    gate.open()
    opened.ended(1)
    assert opened.page.evaluate("window.hacked") is None


def test_a_job_in_the_background_paints_while_another_cell_computes(
    notebook: Opener, gate: Gate, tmp_path: Path
) -> None:
    """With --no-wait the next cell can run, and the first cell's output goes on to its end."""
    gate.close()
    enough = tmp_path / "enough"
    opened = notebook(
        THREE_PARTIALS.replace("-p 3", "-p 3 --no-wait") + "The sea at noon",
        f"import pathlib\nwhile not pathlib.Path({str(enough)!r}).exists(): sum(range(20_000))",
        "picture.size",
    )
    opened.run(1)
    opened.begin(2)
    expect(opened.cell(2).locator(".jp-InputPrompt")).to_have_text("[*]:")
    for pictures in (1, 2, 3):
        gate.allow(pictures)
        expect(opened.output(1).locator(PICTURE)).to_have_attribute("data-pictures", str(pictures))
    gate.open()
    expect(opened.output(1)).to_contain_text("picture · PIL 1024×1024")
    assert opened.is_running(2)
    enough.touch()
    opened.ended(2)
    assert opened.output(2).inner_text().strip() == ""
    opened.run(3)
    expect(opened.output(3)).to_contain_text("(1024, 1024)")


def test_a_restarted_kernel_leaves_no_card_that_pretends(notebook: Opener, service: Simulator) -> None:
    """When its kernel goes, a card stops counting and says so."""
    service.script([PARTIAL_AND_SILENCE])
    opened = notebook(THREE_PARTIALS + "A city at night")
    opened.begin(1)
    opened.output(1).locator(PICTURE).wait_for()
    opened.page.get_by_title(re.compile("Restart the kernel")).first.click()
    opened.page.locator(".jp-Dialog .jp-mod-accept").click()
    expect(opened.output(1)).to_contain_text("the kernel has stopped")
    expect(opened.output(1).locator(CANCEL)).to_be_hidden()
    opened.idle()


def test_the_card_is_readable_in_every_theme_and_width(notebook: Opener, service: Simulator) -> None:
    """Text has contrast in light and dark, and nothing runs over the edge of a narrow window."""
    service.script([PARTIAL_AND_SILENCE])
    opened = notebook(THREE_PARTIALS + "A very long prompt about " + "hills and " * 40)
    opened.begin(1)
    opened.output(1).locator(PICTURE).wait_for()
    card = opened.output(1).locator(CARD)
    for theme in ("Dark", "Light"):
        opened.set_theme(theme)
        for part in (".gradient-prompt", ".gradient-line", CANCEL):
            assert opened.page.evaluate(CONTRAST, part) >= 4.5, (theme, part)
    for width in (1100, 420):
        opened.set_width(width)
        assert card.evaluate("e => e.scrollWidth <= e.clientWidth && e.getBoundingClientRect().right <= innerWidth")
    opened.output(1).locator(CANCEL).click()
    opened.ended(1)


def test_a_card_can_be_used_without_a_mouse_and_without_eyes(notebook: Opener, service: Simulator) -> None:
    """Progress is announced politely, the button is reached and pressed by keyboard, and focus is not stolen."""
    service.script([PARTIAL_AND_SILENCE])
    opened = notebook(THREE_PARTIALS + "A city at night")
    opened.begin(1)
    card = opened.output(1).locator(CARD)
    expect(card.get_by_role("status")).to_have_text("Partial image 1 of 3")
    expect(card.get_by_role("progressbar")).to_have_attribute("aria-valuenow", re.compile(r"\d+"))
    expect(card.locator("img")).to_have_attribute("alt", "A city at night")
    assert opened.cell(1).evaluate("cell => cell.contains(document.activeElement)")
    card.get_by_role("button", name="Cancel").focus()
    opened.page.keyboard.press("Enter")
    opened.ended(1)
    expect(opened.output(1)).to_contain_text("Cancelled after")
