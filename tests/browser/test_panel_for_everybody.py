"""A panel that everybody can read and use."""

from __future__ import annotations

from collections.abc import Callable

from panel_page import PanelPage
from playwright.sync_api import expect
from readable import OVER_THE_EDGE, faint

from gradient_notebook.api.params import PARAMETERS

Panels = Callable[..., PanelPage]


def test_every_control_is_labelled_and_reached_by_the_tab_key(panel: Panels) -> None:
    """Tab goes from the prompt to everything there is, in the order in which it stands, and each thing has a name."""
    seen = panel()
    seen.control("output_format").select_option("webp")
    seen.header.click()
    seen.make("a fox", "a hen")
    expect(seen.control("extra")).to_be_visible()
    assert [name for name in PARAMETERS if not seen.control(name).first.is_visible()] == []
    wanted = [*(parameter.label for parameter in PARAMETERS.values()), "Variable"]
    wanted += ["Generate", "Copy as cell", "Copy as Python", "Open recipe…", "Use these settings", "Copy", "Download"]
    wanted += ["Partial images of this image", "a hen, done"]
    seen.prompt.focus()
    reached: list[str] = []
    for _ in range(40):
        reached.append(name_of_focused(seen))
        if not reached[-1]:
            break
        seen.page.keyboard.press("Tab")
    assert set(wanted) - set(reached) == set()
    assert "a fox, done" not in reached  # the film is one stop, and the arrow keys go on
    landmarks = ["Prompt", "Generate", "Copy as cell", "a hen, done", "Download"]
    assert [name for name in reached if name in landmarks] == landmarks


def name_of_focused(seen: PanelPage) -> str:
    """Return what a screen reader calls that which has the focus, by the accessibility tree; empty outside the panel."""
    tree = seen.page.context.new_cdp_session(seen.page)
    focused = tree.send("Runtime.evaluate", {"expression": "document.activeElement.closest('.gradient-panel *')"})[
        "result"
    ]
    if "objectId" not in focused:
        return ""
    asked = {"objectId": focused["objectId"], "fetchRelatives": False}
    (node,) = tree.send("Accessibility.getPartialAXTree", asked)["nodes"]
    tree.detach()
    assert not node["ignored"]
    name = str(node["name"]["value"])
    assert name, focused["description"]
    return name


def test_it_is_readable_in_every_theme_and_width(panel: Panels) -> None:
    """Text has contrast in light and dark, and nothing runs over the edge down to a window of 320 px."""
    seen = panel()
    seen.header.click()
    seen.control("output_format").select_option("jpeg")
    seen.control("extra").fill("oops " * 12)
    seen.page.keyboard.press("Tab")
    long = "A very long prompt about " + "hills and " * 30 + "W" * 120
    seen.generate(long)
    expect(seen.alerts).to_be_visible()
    check(seen)
    seen.control("extra").fill("")
    for prompt in (long, "[refuse-output] a fight", "a fox"):
        seen.make(prompt) if "refuse" not in prompt else seen.generate(prompt)
    expect(seen.thumb("[refuse", "refused")).to_have_count(1)
    for prompt in ("[refuse", "A very long"):
        seen.thumb(prompt).click()
        expect(seen.words).to_contain_text(prompt)
        check(seen)
    seen.simulator.script([{"silence": True}])
    seen.generate("on its way")
    expect(seen.button("Cancel")).to_be_visible()
    check(seen)
    seen.button("Cancel").click()
    expect(seen.boxes).to_contain_text("Cancelled after")
    check(seen)


def check(seen: PanelPage) -> None:
    """Look at every text in each theme, and at every edge in windows from wide to narrow."""
    assert faint(seen.opened, seen.root) == []
    for width in (1100, 700, 420, 320):
        seen.opened.set_width(width)
        assert seen.root.evaluate(OVER_THE_EDGE) == [], width
    seen.opened.set_width(1100)
