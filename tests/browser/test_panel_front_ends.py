"""The panel in JupyterLab and in Jupyter Notebook: what depends on the front end."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from lab import FrontEnd
from panel_page import EMPTY, PANEL, PanelPage, visible_errors
from playwright.sync_api import expect

Panels = Callable[..., PanelPage]
BOTH = pytest.mark.parametrize("front_end", ["lab", "notebook"])
LAB_FIRST = pytest.mark.parametrize("front_end", ["lab", pytest.param("notebook", marks=pytest.mark.slow)])
"""What a test that is not slow sees in Jupyter Notebook is how it handles keys, and a kernel that goes."""


@BOTH
def test_mouse_and_keyboard_generate_and_run_no_cell(panel: Panels, front_end: FrontEnd) -> None:
    """A click, Ctrl+Enter and Meta+Enter each make one image; the cell does not run again; the variable has it."""
    seen = panel(front_end)
    number = seen.number(PANEL)
    seen.generate("by mouse")
    seen.done("by mouse")
    for key in ("Control", "Meta"):
        seen.prompt.fill(f"by {key}")
        seen.page.keyboard.press(f"{key}+Enter")
        seen.done(f"by {key}")
        expect(seen.prompt).to_have_value(f"by {key}")
    assert seen.sent == ["by mouse", "by Control", "by Meta"]
    assert seen.number(PANEL) == number
    assert (
        seen.python("print(otter.size, otter is panel.image, panel.job.params.prompt)") == "(1024, 1024) True by Meta"
    )


@LAB_FIRST
def test_a_click_in_the_film_brings_an_image_back_and_leaves_the_form(panel: Panels, front_end: FrontEnd) -> None:
    """The image and its settings are in view again; only Use these settings fills the form with them."""
    seen = panel(front_end)
    seen.control("size").fill("1536x1024")
    seen.make("a wide lake")
    first = seen.source()
    seen.control("size").fill("1024x1536")
    seen.make("a tall tree")
    expect(seen.picture).not_to_have_attribute("src", first)
    seen.prompt.fill("a new idea")
    seen.thumb("a wide lake").click()
    expect(seen.words).to_have_text("a wide lake")
    expect(seen.line).to_contain_text("1536×1024")
    expect(seen.picture).to_have_attribute("src", first)
    expect(seen.prompt).to_have_value("a new idea")
    expect(seen.control("size")).to_have_value("1024x1536")
    seen.button("Use these settings").click()
    expect(seen.prompt).to_have_value("a wide lake")
    expect(seen.control("size")).to_have_value("1536x1024")
    seen.press()
    expect(seen.thumb("a wide lake", "done")).to_have_count(2)
    bodies = [post.body for post in seen.simulator.posts]
    assert bodies[0] == bodies[2] != bodies[1]


@LAB_FIRST
def test_a_copied_cell_makes_the_same_request(panel: Panels, front_end: FrontEnd) -> None:
    """Copy as cell, pasted and run in the next cell, sends what the panel sends."""
    seen = panel(front_end)
    seen.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    seen.python("get_ipython().run_line_magic('load_ext', 'gradient_notebook')\nanimal = 'red fox'")
    seen.control("size").fill("1024x1536")
    seen.control("output_format").select_option("webp")
    seen.header.click()
    seen.control("extra").fill('{"seed": 7}')
    prompt = 'A "quoted" {{animal}}, $5 and 50 % off:\n  {curly} it\'s a <b>sign</b>'
    seen.generate(prompt)
    seen.done("A ")
    seen.button("Copy as cell").click()
    expect(seen.button("Copied")).to_be_visible()
    seen.opened.cell(EMPTY).locator(".cm-content").click()
    seen.page.keyboard.press("Control+a")
    seen.page.keyboard.press("Control+v")
    expect(seen.opened.cell(EMPTY).locator(".cm-content")).to_contain_text("%%imagegen otter")
    seen.run(EMPTY)
    expect(seen.opened.output(EMPTY)).to_contain_text("otter · PIL 1024×1536 webp")
    bodies = [post.body for post in seen.simulator.posts]
    assert len(bodies) == 2
    assert bodies[0] == bodies[1]
    assert bodies[0]["prompt"] == prompt.replace("{{animal}}", "red fox")


@LAB_FIRST
def test_a_reloaded_page_brings_the_panel_back(panel: Panels, front_end: FrontEnd) -> None:
    """With the kernel alive the panel and its film come back, pictures included, and work."""
    seen = panel(front_end)
    seen.make("one", "two")
    seen.opened.cell(EMPTY).locator(".cm-content").click()
    seen.opened.save()
    seen.page.reload()
    seen.done("one", "two")
    expect(seen.words).to_have_text("two")
    expect(seen.picture).to_have_js_property("naturalWidth", 768)
    expect(seen.prompt).to_have_value("two")
    expect(seen.position).to_have_text("final")
    expect(seen.opened.output(PANEL).locator(".jp-OutputArea-child").filter(visible=True)).to_have_count(1)
    seen.opened.idle()
    seen.make("three")
    assert seen.sent == ["one", "two", "three"]


@BOTH
def test_a_restarted_kernel_leaves_no_panel_that_pretends(panel: Panels, front_end: FrontEnd) -> None:
    """What was running says that the kernel has stopped; then the last image stands there, and the cell works again."""
    seen = panel(front_end)
    seen.make("before")
    seen.simulator.script([{"silence": True}])
    seen.generate("on its way")
    assert seen.simulator.wait_for(lambda: len(seen.sent) == 2)
    output = seen.opened.output(PANEL)
    seen.page.get_by_title(re.compile("Restart the kernel")).first.click()
    seen.page.locator(".jp-Dialog .jp-mod-accept").click()
    expect(output).to_contain_text("the kernel has stopped")
    seen.opened.idle()
    expect(seen.button("Cancel")).to_be_hidden()
    expect(output.locator("img[src^='data:']")).to_be_visible()
    assert visible_errors(seen.opened) == 0
    again = PanelPage(seen.opened, seen.lab, seen.simulator, seen.gate)
    again.make("after")
    assert again.sent == ["before", "on its way", "after"]
