"""Generating in a panel: what a person sees from the click to the image, or to what went wrong."""

from __future__ import annotations

from collections.abc import Callable

from panel_page import MARKUP, PARTIAL_AND_SILENCE, PanelPage
from playwright.sync_api import expect

Panels = Callable[..., PanelPage]


def test_focus_stays_in_the_prompt_and_progress_is_announced(panel: Panels) -> None:
    """From Ctrl+Enter to the image focus never leaves the prompt; a screen reader hears how far it is."""
    seen = panel()
    seen.prompt.fill("a fox")
    seen.prompt.evaluate("e => { window.left = 0; e.addEventListener('blur', () => { window.left += 1; }); }")
    seen.status.evaluate("""e => {
      window.heard = [];
      new MutationObserver(() => window.heard.push(e.textContent)).observe(e, { childList: true });
    }""")
    seen.gate.close()
    seen.page.keyboard.press("Control+Enter")
    for event, words in enumerate(["Partial image 1 of 2", "Partial image 2 of 2", "Image done"]):
        seen.gate.allow(event + 1)
        expect(seen.status).to_have_text(words)
    seen.page.keyboard.type(" and a hen")
    expect(seen.prompt).to_have_value("a fox and a hen")
    assert seen.page.evaluate("window.left") == 0
    heard = ["Waiting for the first image", "Partial image 1 of 2", "Partial image 2 of 2", "Image done"]
    assert seen.page.evaluate("window.heard") == heard


def test_a_click_is_meant_for_what_was_pressed(panel: Panels) -> None:
    """Where the form moves under a pointer that is down, the click counts; where the pointer moves away, it does not."""
    seen = panel()
    seen.prompt.fill("a fox")
    seen.button("Generate").hover()
    seen.page.mouse.down()
    seen.prompt.evaluate("e => e.style.marginTop = '200px'")
    seen.page.mouse.up()
    seen.done("a fox")
    seen.button("Generate").hover()
    seen.page.mouse.down()
    seen.page.mouse.move(5, 5)
    seen.page.mouse.up()
    seen.make("a hen")
    assert seen.sent == ["a fox", "a hen"]


def test_two_generations_at_once(panel: Panels) -> None:
    """Each has its thumbnail and its end; cancelling one leaves the other."""
    seen = panel()
    seen.simulator.script([None, None, {"silence": True}, None])
    seen.gate.close()
    seen.generate("first")
    seen.generate("second")
    expect(seen.thumb("first", "running")).to_have_count(1)
    expect(seen.thumb("second", "running")).to_have_count(1)
    expect(seen.words).to_have_text("second")
    seen.gate.open()
    seen.done("first", "second")
    seen.generate("third")
    expect(seen.thumb("third", "running")).to_have_count(1)
    # The script goes by the order of the requests, and each has a connection of its own: the silence is for this one.
    assert seen.simulator.wait_for(lambda: len(seen.simulator.posts) == 3, 30)
    seen.generate("fourth")
    seen.thumb("third").click()
    expect(seen.words).to_have_text("third")
    seen.button("Cancel").click()
    expect(seen.thumb("third", "cancelled")).to_have_count(1)
    seen.done("fourth")
    assert seen.simulator.wait_for(lambda: seen.simulator.disconnected == 1)
    assert seen.python("print(panel.job.params.prompt)") == "fourth"


def test_cancel_stops_and_keeps_what_has_come(panel: Panels) -> None:
    """Cancel closes the connection and says so; the partial image stays in view, and Generate works again."""
    seen = panel()
    seen.simulator.script([PARTIAL_AND_SILENCE])
    seen.generate("a city")
    expect(seen.picture).to_be_visible()
    seen.button("Cancel").click()
    expect(seen.boxes).to_contain_text("Cancelled after")
    expect(seen.thumb("a city", "cancelled")).to_have_count(1)
    expect(seen.picture).to_be_visible()
    expect(seen.button("Cancel")).to_be_hidden()
    assert seen.simulator.wait_for(lambda: seen.simulator.disconnected == 1)
    assert seen.python("print('otter' in globals() and otter is panel.image)") == "False"
    seen.make("a town")
    expect(seen.boxes).to_have_count(0)


def test_several_images_of_one_prompt(panel: Panels) -> None:
    """With 2 images each has its tile and its thumbnail; a click shows one large, and Show all brings all back."""
    seen = panel()
    seen.control("n").fill("2")
    seen.generate("twins")
    expect(seen.thumb("twins", "done")).to_have_count(2)
    expect(seen.picture).to_have_count(2)
    seen.picture.nth(1).click()
    expect(seen.picture).to_have_count(1)
    expect(seen.thumbs.nth(1)).to_have_attribute("aria-pressed", "true")
    expect(seen.thumbs.nth(0)).to_have_attribute("aria-pressed", "false")
    seen.button("Show all").click()
    expect(seen.picture).to_have_count(2)
    assert seen.python("print([image.size for image in otter])") == "[(1024, 1024), (1024, 1024)]"


# What is wrong


def test_a_mistake_stands_beside_its_control(panel: Panels) -> None:
    """What cannot be sent is not sent; its control says why, in view, until it is changed."""
    seen = panel()
    prompt, extra = seen.field("prompt"), seen.field("extra")
    seen.press()
    expect(prompt.get_by_role("alert")).to_contain_text("Write a prompt.")
    seen.generate("a {{missing}} animal")
    expect(prompt.get_by_role("alert")).to_contain_text("{{missing}}: 'missing' is not defined")
    seen.prompt.fill("an animal")
    expect(prompt.get_by_role("alert")).to_have_count(0)
    seen.header.click()
    seen.control("extra").fill("oops")
    seen.header.click()
    expect(extra).to_be_hidden()
    seen.press()
    expect(extra.get_by_role("alert")).to_be_visible()
    expect(extra.get_by_role("alert")).to_contain_text("extra='oops': expected a mapping of JSON values")
    expect(seen.boxes).to_have_count(0)
    seen.control("extra").fill('{"seed": 7}')
    seen.page.keyboard.press("Tab")
    expect(extra.get_by_role("alert")).to_have_count(0)
    seen.root.get_by_label("Variable", exact=True).fill("1 2")
    seen.press()
    expect(seen.alerts).to_contain_text("1 2")
    seen.root.get_by_label("Variable", exact=True).fill("owl")
    seen.press()
    seen.done("an animal")
    expect(seen.alerts).to_have_count(0)
    assert [post.body.get("seed") for post in seen.simulator.posts] == [7]
    assert seen.python("print(owl.size)") == "(1024, 1024)"


def test_a_refusal_stands_above_the_picture(panel: Panels) -> None:
    """The box says why and what to do, the thumbnail says refused, and Generate works again."""
    seen = panel()
    seen.generate("[refuse-output] a fight")
    expect(seen.boxes).to_have_attribute("data-kind", "refused")
    expect(seen.boxes).to_contain_text("The service refused this prompt (output stage")
    expect(seen.boxes).to_contain_text("Reword the prompt")
    picture, box = seen.stage.locator(".gradient-grid").bounding_box(), seen.boxes.bounding_box()
    assert picture
    assert box
    assert box["y"] + box["height"] <= picture["y"]
    expect(seen.thumbs).to_have_attribute("data-status", "refused")
    expect(seen.thumbs.locator(".gradient-badge")).to_be_visible()
    expect(seen.thumbs.locator(".gradient-badge")).to_have_text("refused")
    seen.make("a dance")
    expect(seen.boxes).to_have_count(0)
    expect(seen.thumbs).to_have_count(2)


def test_a_prompt_is_never_markup(panel: Panels) -> None:
    """HTML in a prompt, a refusal, a variable's name and the extra fields is text wherever it is shown."""
    seen = panel()
    seen.generate(MARKUP)
    seen.done("<img src=x")
    expect(seen.words).to_have_text(MARKUP)
    seen.header.click()
    seen.control("extra").fill(MARKUP)
    seen.press()
    expect(seen.field("extra").get_by_role("alert")).to_contain_text(MARKUP[:30])
    seen.control("extra").fill("")
    seen.root.get_by_label("Variable", exact=True).fill(MARKUP)
    seen.press()
    expect(seen.alerts).to_contain_text(MARKUP[:30])
    seen.root.get_by_label("Variable", exact=True).fill("otter")
    error = {"error": {"message": MARKUP, "type": "server_error", "code": None, "param": None}}
    seen.simulator.script([{"status": 500, "body": error}])
    seen.generate("a fox")
    expect(seen.boxes).to_contain_text(MARKUP)
    seen.generate("{{" + MARKUP + "}}")
    expect(seen.field("prompt").get_by_role("alert")).to_contain_text(MARKUP[:20])
    expect(seen.root.locator("img[src='x']")).to_have_count(0)
    assert seen.page.evaluate("window.hacked") is None
