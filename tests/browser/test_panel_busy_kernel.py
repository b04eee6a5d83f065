"""A panel whose kernel has something else to do, and clicks and keys that come more than once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from lab import Lab
from panel_page import AT_STEP, PanelPage
from playwright.sync_api import expect

Panels = Callable[..., PanelPage]


def test_it_goes_on_painting_while_another_cell_computes(panel: Panels) -> None:
    """A generation under way shows its pictures to the end while a cell keeps the kernel busy."""
    seen = panel()
    seen.gate.close()
    seen.generate("a fox")
    expect(seen.thumb("a fox", "running")).to_have_count(1)
    seen.compute()
    for pictures in (1, 2):
        seen.gate.allow(pictures)
        expect(seen.picture).to_have_attribute("data-pictures", str(pictures))
    seen.gate.open()
    seen.done("a fox")
    assert seen.is_computing()
    seen.let_go()
    seen.opened.ended(AT_STEP)
    assert seen.python("print(otter.size)") == "(1024, 1024)"


@pytest.mark.parametrize(("comms", "clicks"), [("perCommTarget", 1), ("disabled", 3)])
def test_what_stands_in_the_form_at_the_click_is_sent_once(
    panel: Panels, lab: Lab, request: pytest.FixtureRequest, comms: str, clicks: int
) -> None:
    """While a cell computes, too: at once where messages have a thread of their own, else as soon as it has ended.

    Where the click has to wait, the panel says so, and takes no other meanwhile.
    """
    if comms == "disabled":
        lab.set("kernels-settings", {"commsOverSubshells": comms})
        request.addfinalizer(lambda: lab.set("kernels-settings", {}))
    seen = panel(anew=comms == "disabled")  # which a page reads when it is opened; the other is the default
    seen.make("before")
    seen.compute()
    seen.prompt.click()
    seen.page.keyboard.press("Control+a")
    seen.page.keyboard.type("as it was at the click")
    seen.control("quality").select_option("medium")
    for _ in range(clicks):
        seen.button("Generate").click()
    seen.prompt.fill("typed later")
    if comms == "disabled":
        expect(seen.boxes).to_contain_text("The kernel is busy")
        expect(seen.status).to_contain_text("The kernel is busy")
        expect(seen.button("Generate")).to_have_attribute("aria-busy", "true")
        assert seen.sent == ["before"]
    assert seen.is_computing()
    seen.let_go()
    seen.done("as it was at the click")
    expect(seen.boxes).to_have_count(0)
    expect(seen.prompt).to_have_value("typed later")
    seen.press()
    seen.done("typed later")
    assert seen.sent == ["before", "as it was at the click", "typed later"]
    assert [post.body["quality"] for post in seen.simulator.posts] == ["low", "medium", "medium"]


def test_a_double_click_is_one_generation(panel: Panels) -> None:
    """The second half of a double click orders nothing, whether the kernel has heard of the first half or not."""
    seen = panel()
    seen.prompt.fill("a fox")
    seen.button("Generate").dblclick()
    seen.done("a fox")
    seen.button("Generate").dispatch_event("click", {"detail": 2})
    seen.make("a hen")
    assert seen.sent == ["a fox", "a hen"]


def test_a_key_that_is_held_is_one_generation(panel: Panels) -> None:
    """Ctrl+Enter, or Enter on the button, repeats while it is held; it is one wish all the same."""
    seen = panel()
    seen.prompt.fill("a fox")
    seen.prompt.focus()
    keyboard = seen.page.keyboard
    for held, again in (("Control", 1), ("", 2)):
        if held:
            keyboard.down(held)
        keyboard.down("Enter")
        expect(seen.thumbs).to_have_count(again)
        keyboard.down("Enter")  # as a keyboard repeats it
        keyboard.down("Enter")
        keyboard.up("Enter")
        if held:
            keyboard.up(held)
        expect(seen.thumbs.locator("img")).to_have_count(again)
        seen.button("Generate").focus()
    assert seen.sent == ["a fox"] * 2


def test_a_number_that_the_control_corrects_is_not_sent(panel: Panels) -> None:
    """Who has typed 20 has not asked for 10: it is said, and the next click takes what stands there."""
    seen = panel()
    seen.prompt.fill("a fox")
    seen.control("n").fill("0")
    seen.press()
    expect(seen.boxes).to_contain_text("0 is not allowed: it was changed to 1.")
    expect(seen.control("n")).to_have_value("1")
    assert seen.sent == []
    seen.press()
    seen.done("a fox")
    assert seen.sent == ["a fox"]
