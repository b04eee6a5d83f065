"""What matters is in view, at a projector's size too, and nothing moves when the image comes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from gate import Gate
from lab import NotebookPage
from panel_page import EMPTY, PanelPage
from playwright.sync_api import Locator, Page, expect
from readable import faint

from gradient_notebook.simulator import Simulator

Opener = Callable[..., NotebookPage]
Panels = Callable[..., PanelPage]
PROJECTOR, LAPTOP, LOW = (853, 480), (1300, 900), 700
SIZES = [PROJECTOR, LAPTOP]
KEPT = "--size {size} -q low -n {n} --stream --partial-images 1"
BUSY = {"status": 429, "headers": {"retry-after": "60"}, "body": {"id": "too_many_requests", "message": "Busy."}}


@contextmanager
def window(opened: NotebookPage, size: tuple[int, int]) -> Iterator[None]:
    """Make the window so large, and as large as before afterwards."""
    before = opened.page.viewport_size
    assert before
    opened.set_size(*size)
    try:
        yield
    finally:
        opened.set_size(before["width"], before["height"])


def is_in_view(*shown: Locator) -> list[bool]:
    """Whether each lies in the window as a whole, and nothing of the front end's lies over it."""
    # By the pieces of it: words that go on in another line have a box around both that is not all theirs.
    inside = """(e) => {
      const pieces = [...e.getClientRects()].filter(({ width }) => width > 4);
      return pieces.length > 0 && pieces.every(({ left, top, right, bottom }) => {
        const corners = [[left + 2, top + 2], [right - 2, bottom - 2], [(left + right) / 2, (top + bottom) / 2]];
        return corners.every(([x, y]) => e.contains(document.elementFromPoint(x, y)));
      });
    }"""
    return [bool(one.evaluate(inside)) for one in shown]


def below(opened: NotebookPage) -> float:
    """Where the cell below stands, as seen from the one that makes images, in CSS pixels."""
    tops = [opened.cell(at).evaluate("e => e.getBoundingClientRect().top") for at in (1, 2)]
    return float(tops[1] - tops[0])


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_cell_that_waits_shows_why_and_how_to_stop(
    notebook: Opener, service: Simulator, size: tuple[int, int]
) -> None:
    """The words, the countdown and Cancel stand on top of the card."""
    service.script([BUSY])
    opened = notebook("%%imagegen\nA fox", "# below")
    with window(opened, size):
        opened.begin(1)
        card = opened.output(1).locator(".gradient-card")
        expect(card.locator(".gradient-state")).to_contain_text("attempt 2 in")
        parts = [card.locator(f".gradient-{name}") for name in ("prompt", "line", "clock", "cancel", "bar")]
        assert is_in_view(*parts) == [True] * 5
        card.get_by_role("button", name="Cancel").click()
        opened.ended(1)


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("shape", ["1024x1024", "1536x1024", "1024x1536", "auto"])
def test_nothing_below_moves_when_the_image_comes(notebook: Opener, gate: Gate, shape: str, n: int) -> None:
    """From the card's first moment to the image, in a window of 700 pixels and more; several with size auto are no squares."""
    if (shape, n) == ("auto", 3):
        pytest.skip("their shape is not known before the first one is there")
    gate.close()
    opened = notebook(f"%%imagegen {KEPT.format(size=shape, n=n)}\nA square fox", "# below")
    with window(opened, (LAPTOP[0], LOW)):
        opened.begin(1)
        opened.output(1).locator(".gradient-card").wait_for()
        places = [below(opened)]
        gate.allow(1)
        expect(opened.output(1).locator(".gradient-picture")).to_have_count(n)
        places.append(below(opened))
        gate.open()
        opened.ended(1)
        expect(opened.output(1).locator(".gradient-card")).to_have_count(0)
        expect(opened.output(1)).to_contain_text("record")
        places.append(below(opened))
    assert max(places) - min(places) <= 1, places


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_panel_is_used_in_one_view(panel: Panels, size: tuple[int, int]) -> None:
    """Prompt, Generate, progress, Cancel and the picture; and what went wrong in the picture's place."""
    seen = panel()
    with window(seen.opened, size):
        seen.root.evaluate("e => e.scrollIntoView()")
        seen.gate.close()
        seen.prompt.fill("a wide lake")
        seen.page.keyboard.press("Control+Enter")
        seen.gate.allow(1)
        expect(seen.picture).to_have_count(1)
        parts = [seen.prompt, seen.button("Generate"), seen.words, seen.button("Cancel"), seen.picture]
        assert is_in_view(*parts) == [True] * 5
        seen.gate.open()
        seen.done("a wide lake")
        assert is_in_view(seen.prompt, seen.picture, seen.line) == [True] * 3
        seen.generate("[refuse] it")
        expect(seen.boxes).to_contain_text("refused")
        assert is_in_view(seen.prompt, seen.boxes) == [True] * 2


def test_what_is_folded_is_reached_and_opened_by_keyboard(panel: Panels) -> None:
    """Tab goes to it, Enter and Space open and close it, and it says which it is."""
    seen = panel()
    model = seen.root.locator(".gradient-form").get_by_label("Model", exact=True)
    expect(seen.header).to_have_attribute("aria-expanded", "false")
    seen.header.focus()
    seen.page.keyboard.press("Enter")
    expect(model).to_be_visible()
    expect(seen.header).to_have_attribute("aria-expanded", "true")
    seen.header.focus()
    seen.page.keyboard.press(" ")
    expect(model).to_be_hidden()


def test_the_list_of_sizes_opens_with_all_of_them(panel: Panels) -> None:
    """A click sets the text aside, which a browser would take for a filter; it comes back unless something is typed."""
    seen = panel()
    size = seen.control("size")
    size.fill("1536x1024")
    seen.prompt.focus()
    size.click()
    expect(size).to_have_value("")
    expect(size).to_have_attribute("placeholder", "1536x1024")
    seen.prompt.click()
    expect(size).to_have_value("1536x1024")
    assert seen.python("print(panel.form.given()['size'])") == "1536x1024"


@pytest.mark.parametrize("shape", ["1024x1536", "1024x1024"])
def test_a_tall_picture_and_what_can_be_done_with_it_are_in_view(panel: Panels, shape: str) -> None:
    """The panel's picture is as high as the window allows, whatever its shape and whatever else the page has shown."""
    seen = panel()
    with window(seen.opened, LAPTOP):
        seen.root.evaluate("e => e.scrollIntoView()")
        seen.control("size").fill(shape)
        seen.make("a tall tree")
        assert is_in_view(seen.picture, seen.thumb("a tall tree"), seen.button("Copy")) == [True] * 3


OUT_OF_SIGHT = """() => {
  const shown = document.querySelector(".gradient-stage");
  return !shown || shown.getBoundingClientRect().bottom < 0;
}"""
AWAY = "document.querySelector('.jp-WindowedPanel-outer').scrollTop = {top}"

# Whatever is to be done at intervals is done when `turn` says so. Not Playwright's clock, which nothing takes out of a
# page again: by it the front end has no idle time, and shows the cells of later tests at most where the machine is fast.
BY_HAND = """() => {
  const { setInterval } = window;
  const begun = [];
  window.setInterval = (look) => void begun.push(look);
  window.turn = (times) => { while (times--) for (const look of begun) look(); };
  window.turnNoMore = () => { window.setInterval = setInterval; };
}"""
LOOKS_A_SECOND = 4


@contextmanager
def intervals_by_hand(page: Page) -> Iterator[Callable[[float], None]]:
    """Let notices that come meanwhile take their looks when they are told to, for so many seconds, and at no other time."""
    page.evaluate(BY_HAND)
    try:
        yield lambda seconds: page.evaluate("times => turn(times)", int(seconds * LOOKS_A_SECOND))
    finally:
        page.evaluate("turnNoMore()")


def test_a_picture_is_shown_large_by_a_click_or_a_key(notebook: Opener, gate: Gate) -> None:
    """The card's is on top of all, is followed by newer ones, and Escape leads back to where one was; then the cell's own."""
    gate.close()
    opened = notebook(f"%%imagegen {KEPT.format(size='1024x1536', n=1)}\nA fox", "# below")
    dialog = opened.page.get_by_role("dialog")
    with window(opened, PROJECTOR):
        opened.begin(1)
        tile = opened.output(1).locator(".gradient-grid .gradient-tile")
        expect(tile).to_be_disabled()
        gate.allow(1)
        expect(tile).to_be_enabled()
        tile.focus()
        opened.page.keyboard.press("Enter")
        expect(dialog).to_have_attribute("aria-label", "A fox")
        expect(dialog.get_by_role("img", name="A fox")).to_have_attribute("src", re.compile("blob:"))
        assert is_in_view(dialog.get_by_role("img"), dialog.get_by_role("button", name="Close")) == [True] * 2
        opened.page.keyboard.press("Escape")
        expect(tile).to_be_focused()
        assert opened.is_running(1)
        gate.open()
        opened.ended(1)
        picture, words = opened.output(1).locator(".jp-RenderedImage img"), opened.output(1).locator("summary")
        before = picture.bounding_box()
        words.focus()
        opened.page.keyboard.press("Enter")
        after = picture.bounding_box()
        assert before
        assert after
        assert after["width"] > before["width"] * 1.2
        assert abs(after["width"] / after["height"] - 2 / 3) < 0.01


def test_the_original_is_one_more_click_away_in_the_panel(panel: Panels) -> None:
    """Large, then pixel by pixel; a partial image that is looked back at stays one."""
    seen = panel()
    seen.control("size").fill("1536x1024")
    seen.make("a wide lake")
    seen.picture.click()
    dialog = seen.page.get_by_role("dialog")
    actual = dialog.get_by_role("button", name="Actual size")
    actual.click()
    expect(actual).to_have_attribute("aria-pressed", "true")
    assert dialog.get_by_role("img").evaluate("e => [e.naturalWidth, e.offsetWidth]") == [1536, 1536]
    assert faint(seen.opened, dialog) == []
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_have_count(0)


def test_what_ends_out_of_sight_is_told_with_a_way_to_it(panel: Panels) -> None:
    """In the window's corner, until it is seen; nothing is told of what one sees."""
    seen = panel()
    notice = seen.page.locator(".gradient-notice")
    with window(seen.opened, PROJECTOR):
        seen.make("in view")
        seen.gate.close()
        seen.generate("out of sight")
        expect(seen.button("Cancel")).to_be_visible()
        expect(notice).to_have_count(0)
        seen.opened.cell(EMPTY).locator(".cm-content").fill("# a long cell" + "\n" * 60)
        seen.page.evaluate(AWAY.format(top=99_999))
        seen.page.wait_for_function(OUT_OF_SIGHT)
        seen.gate.open()
        expect(notice).to_contain_text("Image done")
        expect(notice).to_contain_text("out of sight")
        assert faint(seen.opened, notice) == []
        notice.get_by_role("button", name="Show").click()
        expect(notice).to_have_count(0)
        expect(seen.thumb("out of sight", "done")).to_be_focused()
        assert is_in_view(seen.words) == [True]
        seen.opened.cell(EMPTY).locator(".cm-content").fill("")


def test_one_notice_tells_of_all_and_goes_away(panel: Panels) -> None:
    """The newest takes the place of the older, and goes by itself, but not while the pointer is over it."""
    seen = panel()
    notice = seen.page.locator(".gradient-notice")
    with window(seen.opened, PROJECTOR):
        seen.gate.close()
        for prompt in ("one", "another"):
            seen.generate(prompt)
        expect(seen.button("Cancel")).to_be_visible()
        seen.opened.cell(EMPTY).locator(".cm-content").fill("# a long cell" + "\n" * 60)
        seen.page.evaluate(AWAY.format(top=99_999))
        seen.page.wait_for_function(OUT_OF_SIGHT)
        with intervals_by_hand(seen.page) as turn:
            seen.gate.open()
            expect(notice).to_contain_text("2 images done")
            expect(notice).to_have_count(1)
            notice.hover()
            turn(60)
            expect(notice).to_have_count(1)
            seen.page.mouse.move(5, 5)
            expect(seen.page.locator(".gradient-notice:hover")).to_have_count(0)
            turn(20)
            assert notice.count() == 0
        seen.opened.cell(EMPTY).locator(".cm-content").fill("")


def test_a_notice_goes_with_its_output(panel: Panels) -> None:
    """There is nothing to show any more."""
    seen = panel()
    notice = seen.page.locator(".gradient-notice")
    with window(seen.opened, PROJECTOR):
        seen.gate.close()
        seen.generate("out of sight")
        expect(seen.button("Cancel")).to_be_visible()
        area = seen.root.evaluate_handle("e => e.closest('.jp-OutputArea')")
        seen.opened.cell(EMPTY).locator(".cm-content").fill("# a long cell" + "\n" * 60)
        seen.page.evaluate(AWAY.format(top=99_999))
        seen.page.wait_for_function(OUT_OF_SIGHT)
        with intervals_by_hand(seen.page) as turn:
            seen.gate.open()
            expect(notice).to_have_count(1)
            area.evaluate("e => e.remove()")
            turn(0.25)
            assert notice.count() == 0
        seen.opened.cell(EMPTY).locator(".cm-content").fill("")
