"""The panel in real notebooks: what a person sees and does, from the form to the notebook opened again."""

from __future__ import annotations

import functools
import hashlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import nbformat
import pytest
from lab import FrontEnd, Lab, NotebookPage
from playwright.sync_api import Browser, Error, Locator, Page, expect
from test_cell import CONTRAST

from gradient_notebook.api.params import PARAMETERS
from gradient_notebook.simulator import Simulator

SHOW = """import os, pathlib
os.environ |= {"GRADIENT_INFERENCE_ENDPOINT": pathlib.Path("endpoint").read_text(), "MODEL_ACCESS_KEY": "sk-do-test"}
from gradient_notebook import Panel
panel = Panel("otter", quality="low")
panel"""
STEP = "%run -i step.py"
CELLS = (SHOW, STEP, "")
PANEL, AT_STEP, EMPTY = 0, 1, 2

COMPUTES = "import pathlib\nwhile not pathlib.Path('enough').exists(): sum(range(20_000))"
MARKUP = '<img src=x onerror="window.hacked=1"><b>bold</b>'
BOTH = pytest.mark.parametrize("front_end", ["lab", "notebook"])


class PanelPage:
    """A new panel in a notebook, and the service that it asks."""

    def __init__(self, opened: NotebookPage, lab: Lab, simulator: Simulator) -> None:
        self.opened, self.lab, self.simulator = opened, lab, simulator
        self.page: Page = opened.page
        (lab.root / "endpoint").write_text(simulator.url)
        (lab.root / "enough").unlink(missing_ok=True)
        self.run(PANEL)
        self.root = opened.output(PANEL).locator(".gradient-panel")
        self.stage = self.root.locator(".gradient-stage")
        self.prompt = self.root.get_by_label("Prompt", exact=True)
        self.picture = self.stage.locator(".gradient-grid .gradient-picture")
        self.words = self.stage.locator(".gradient-foot .gradient-prompt")
        self.line = self.stage.locator(".gradient-foot .gradient-line")
        self.boxes = self.stage.locator(".gradient-box")
        self.thumbs = self.stage.locator(".gradient-gallery .gradient-tile")
        self.position = self.stage.locator(".gradient-position")
        self.alerts = self.root.locator(".gradient-form").get_by_role("alert")
        self.status = self.stage.get_by_role("status")
        self.stage.wait_for()

    def number(self, index: int) -> str:
        """Return how cell `index` says that it has run."""
        return self.opened.cell(index).locator(".jp-InputPrompt").inner_text()

    def begin(self, index: int) -> None:
        """Run a cell, and wait until it runs."""
        before = self.number(index)
        self.opened.begin(index)
        expect(self.opened.cell(index).locator(".jp-InputPrompt")).not_to_have_text(before)

    def run(self, index: int) -> None:
        """Run a cell to its end."""
        self.begin(index)
        self.opened.ended(index)

    def python(self, code: str) -> str:
        """Run some Python in the kernel, by way of a cell, and return what it prints."""
        self.step(code)
        self.run(AT_STEP)
        return self.opened.output(AT_STEP).inner_text().strip()

    def step(self, code: str) -> None:
        """Say what the cell that runs Python does the next time."""
        (self.lab.root / "step.py").write_text(code)

    def compute(self) -> None:
        """Keep the kernel busy."""
        self.step(COMPUTES)
        self.begin(AT_STEP)

    def is_computing(self) -> bool:
        """Whether the kernel still is busy."""
        return self.number(AT_STEP) == "[*]:"

    def let_go(self) -> None:
        """Let what computes come to its end."""
        (self.lab.root / "enough").touch()

    def button(self, words: str) -> Locator:
        return self.root.get_by_role("button", name=words, exact=True)

    def field(self, name: str) -> Locator:
        """Return a parameter's control with what is said under it."""
        control = self.page.get_by_label(PARAMETERS[name].label, exact=True)
        return self.root.locator(".gradient-form .gradient-field").filter(has=control)

    def control(self, name: str) -> Locator:
        return self.root.locator(".gradient-form").get_by_label(PARAMETERS[name].label, exact=True)

    @property
    def header(self) -> Locator:
        """What opens and closes the parameters that are seldom changed."""
        return self.root.locator(".gradient-more .jupyter-widget-Collapse-header")

    def generate(self, prompt: str) -> None:
        """Type a prompt and press the button."""
        self.prompt.fill(prompt)
        self.button("Generate").click()

    def thumb(self, prompt: str, status: str = "") -> Locator:
        """Return the thumbnails of a prompt."""
        has_status = f"[data-status={status}]" if status else ""
        return self.stage.locator(f".gradient-gallery .gradient-tile{has_status}[title^='{prompt[:60]}']")

    def done(self, *prompts: str) -> None:
        """Wait until each prompt has its finished image in the film."""
        for prompt in prompts:
            expect(self.thumb(prompt, "done").locator("img")).to_have_count(1, timeout=40_000)

    def make(self, *prompts: str) -> None:
        """Generate one after the other."""
        for prompt in prompts:
            self.generate(prompt)
            self.done(prompt)

    @property
    def sent(self) -> list[str]:
        """The prompts that the service was asked for."""
        return [received.body["prompt"] for received in self.simulator.posts]

    def source(self) -> str:
        """Return the address of the picture in view."""
        return self.picture.get_attribute("src") or ""


Panels = Callable[..., PanelPage]


@pytest.fixture(scope="module")
def pages(lab: Lab, chromium: Browser) -> Iterator[Callable[[FrontEnd], NotebookPage]]:
    """One page of each front end for all tests here that need none of their own."""
    with ExitStack() as stack:

        @functools.cache
        def page_of(front_end: FrontEnd) -> NotebookPage:
            lab.set_theme("JupyterLab Light")
            name = lab.write(f"panels-in-{front_end}.ipynb", CELLS).name
            page = chromium.new_page(viewport={"width": 1100, "height": 1600})
            stack.callback(page.close)
            return NotebookPage(page, lab, name, front_end=front_end)

        yield page_of


@pytest.fixture
def panel(
    lab: Lab, chromium: Browser, pages: Callable[[FrontEnd], NotebookPage], request: pytest.FixtureRequest
) -> Iterator[Panels]:
    """Show a new panel, in a page that tests share or, with `own`, in one of the test's own."""
    crashes: list[str] = []
    with ExitStack() as stack:

        def shown(
            front_end: FrontEnd = "lab", *, own: bool = False, theme: str = "Light", seconds: float = 0.5
        ) -> PanelPage:
            if own:
                stack.callback(lab._set, "kernels-settings", {})
                lab.set_theme(f"JupyterLab {theme}")
                name = lab.write(re.sub(r"\W+", "-", request.node.name) + ".ipynb", CELLS).name
                page = chromium.new_page(viewport={"width": 1100, "height": 1600})
                stack.callback(page.close)
                opened = NotebookPage(page, lab, name, front_end=front_end)
            else:
                opened = pages(front_end)

            def crashed(error: Error) -> None:
                if "blob:" in (
                    error.stack or ""
                ):  # where anywidget has our script; the front ends have errors of their own
                    crashes.append(error.stack or "")

            opened.page.on("pageerror", crashed)
            stack.callback(opened.page.remove_listener, "pageerror", crashed)
            simulator = stack.enter_context(Simulator(seconds_per_image=seconds))
            stack.callback((lab.root / "enough").touch)
            return PanelPage(opened, lab, simulator)

        yield shown
    assert crashes == []


# Generating


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


def test_focus_stays_in_the_prompt_and_progress_is_announced(panel: Panels) -> None:
    """From Ctrl+Enter to the image focus never leaves the prompt; a screen reader hears how far it is."""
    seen = panel()
    seen.prompt.fill("a fox")
    seen.prompt.evaluate("e => { window.left = 0; e.addEventListener('blur', () => { window.left += 1; }); }")
    seen.status.evaluate("""e => {
      window.heard = [];
      new MutationObserver(() => window.heard.push(e.textContent)).observe(e, { childList: true });
    }""")
    seen.page.keyboard.press("Control+Enter")
    seen.done("a fox")
    expect(seen.status).to_have_text("Image done")
    seen.page.keyboard.type(" and a hen")
    expect(seen.prompt).to_have_value("a fox and a hen")
    assert seen.page.evaluate("window.left") == 0
    heard = seen.page.evaluate("window.heard")
    assert heard[0] == "Waiting for the first picture"
    assert set(heard) & {"Partial image 1 of 2", "Partial image 2 of 2"}
    assert heard[-1] == "Image done"


def test_two_generations_at_once(panel: Panels) -> None:
    """Each has its thumbnail and its end; cancelling one leaves the other."""
    seen = panel()
    seen.simulator.script([{"delay": 1.5}, {"delay": 1.5}, {"silence": True}, None])
    seen.generate("first")
    seen.generate("second")
    expect(seen.thumb("first", "running")).to_have_count(1)
    expect(seen.thumb("second", "running")).to_have_count(1)
    expect(seen.words).to_have_text("second")
    seen.done("first", "second")
    seen.generate("third")
    expect(seen.thumb("third", "running")).to_have_count(1)
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
    seen = panel(seconds=4)
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
    seen.button("Generate").click()
    expect(prompt.get_by_role("alert")).to_contain_text("prompt=''")
    seen.generate("a {{missing}} animal")
    expect(prompt.get_by_role("alert")).to_contain_text("{{missing}}: there is no 'missing'")
    seen.prompt.fill("an animal")
    expect(prompt.get_by_role("alert")).to_have_count(0)
    seen.header.click()
    seen.control("extra").fill("oops")
    seen.header.click()
    expect(seen.control("extra")).to_be_hidden()
    seen.button("Generate").click()
    expect(extra.get_by_role("alert")).to_be_visible()
    expect(extra.get_by_role("alert")).to_contain_text("extra='oops': expected a mapping that JSON can hold")
    expect(seen.boxes).to_have_count(0)
    seen.control("extra").fill('{"seed": 7}')
    seen.page.keyboard.press("Tab")
    expect(extra.get_by_role("alert")).to_have_count(0)
    seen.root.get_by_label("Variable", exact=True).fill("1 2")
    seen.button("Generate").click()
    expect(seen.alerts).to_contain_text("1 2")
    seen.root.get_by_label("Variable", exact=True).fill("owl")
    seen.button("Generate").click()
    seen.done("an animal")
    expect(seen.alerts).to_have_count(0)
    assert [post.body.get("seed") for post in seen.simulator.posts] == [7]
    assert seen.python("print(owl.size)") == "(1024, 1024)"


def test_a_refusal_stands_under_the_picture(panel: Panels) -> None:
    """The box says why and what to do, the thumbnail says refused, and Generate works again."""
    seen = panel()
    seen.generate("[refuse-output] a fight")
    expect(seen.boxes).to_have_attribute("data-kind", "refused")
    expect(seen.boxes).to_contain_text("The service refused this prompt (output stage")
    expect(seen.boxes).to_contain_text("Reword it")
    picture, box = seen.stage.locator(".gradient-grid").bounding_box(), seen.boxes.bounding_box()
    assert picture
    assert box
    assert box["y"] >= picture["y"] + picture["height"]
    expect(seen.thumbs).to_have_attribute("data-status", "failed")
    expect(seen.thumbs.locator(".gradient-badge")).to_be_visible()
    expect(seen.thumbs.locator(".gradient-badge")).to_have_text("refused")
    seen.make("a dance")
    expect(seen.boxes).to_have_count(0)
    expect(seen.thumbs).to_have_count(2)


def test_what_the_service_says_of_a_request_is_shown(panel: Panels) -> None:
    """A failed request says under the picture what happened, and is not sent again."""
    seen = panel()
    error = {"error": {"message": "painters on strike", "type": "server_error", "code": None, "param": None}}
    seen.simulator.script([{"status": 500, "body": error}])
    seen.generate("a fox")
    expect(seen.boxes).to_have_attribute("data-kind", "failed")
    expect(seen.boxes).to_contain_text("painters on strike")
    seen.make("a hen")
    assert seen.sent == ["a fox", "a hen"]


def test_a_prompt_is_never_markup(panel: Panels) -> None:
    """HTML in a prompt, a refusal, a variable's name and the extra fields is text wherever it is shown."""
    seen = panel()
    seen.generate(MARKUP)
    seen.done("<img src=x")
    expect(seen.words).to_have_text(MARKUP)
    seen.header.click()
    seen.control("extra").fill(MARKUP)
    seen.button("Generate").click()
    expect(seen.field("extra").get_by_role("alert")).to_contain_text(MARKUP[:30])
    seen.control("extra").fill("")
    seen.root.get_by_label("Variable", exact=True).fill(MARKUP)
    seen.button("Generate").click()
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


# Looking back


@BOTH
def test_a_click_in_the_film_brings_an_image_back_and_leaves_the_form(panel: Panels, front_end: FrontEnd) -> None:
    """The image and its settings are in view again; only Use these settings fills the form with them."""
    seen = panel(front_end)
    seen.control("size").select_option("1536x1024")
    seen.make("a wide lake")
    first = seen.source()
    seen.control("size").select_option("1024x1536")
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
    seen.button("Generate").click()
    expect(seen.thumb("a wide lake", "done")).to_have_count(2)
    bodies = [post.body for post in seen.simulator.posts]
    assert bodies[0] == bodies[2] != bodies[1]


def test_keys_go_along_the_film(panel: Panels) -> None:
    """Arrows, Home and End set_default an image, which is in view and has the focus."""
    seen = panel()
    seen.make("one", "two", "three")
    seen.thumb("three").focus()
    steps = {"ArrowRight": "two", "End": "one", "ArrowLeft": "two", "Home": "three"}
    for key, prompt in steps.items():
        seen.page.keyboard.press(key)
        expect(seen.words).to_have_text(prompt)
        expect(seen.thumb(prompt)).to_be_focused()
        expect(seen.thumb(prompt)).to_have_attribute("aria-pressed", "true")


def test_plain_keys_in_the_panel_do_nothing_to_the_notebook(panel: Panels) -> None:
    """Letters that are the notebook's shortcuts delete, add and change no cell wherever in the panel they are pressed."""
    seen = panel(own=True)
    seen.make("a fox")
    seen.header.click()
    cells = seen.page.locator(".jp-Notebook .jp-CodeCell")
    places = [seen.thumb("a fox"), seen.button("Download"), seen.stage.locator("input[type=range]")]
    places += [seen.button("Generate"), seen.button("Copy as cell"), seen.control("stream"), seen.control("size")]
    for place in places:
        for keys in ("dd", "x", "a", "b", "m"):
            place.focus()
            for key in keys:
                seen.page.keyboard.press(key)
            expect(cells, f"{keys} on {place}").to_have_count(len(CELLS))
    expect(seen.thumbs).to_have_count(1)
    assert seen.sent == ["a fox"]


def test_the_scrubber_shows_the_partial_images(panel: Panels) -> None:
    """Each step back shows another picture; the end is the final image again."""
    seen = panel()
    seen.make("a hill")
    expect(seen.position).to_have_text("final")
    sources = [seen.source()]
    scrubber = seen.stage.get_by_label("Partial images that this image went through")
    scrubber.focus()
    for words in ("2 of 2", "1 of 2"):
        seen.page.keyboard.press("ArrowLeft")
        expect(seen.position).to_have_text(words)
        expect(seen.picture).not_to_have_attribute("src", sources[-1])
        sources.append(seen.source())
    assert len(set(sources)) == 3
    seen.page.keyboard.press("End")
    expect(seen.position).to_have_text("final")
    expect(seen.picture).to_have_attribute("src", sources[0])


# Taking away


@BOTH
def test_a_copied_cell_makes_the_same_request(panel: Panels, front_end: FrontEnd) -> None:
    """Copy as cell, pasted and run in the next cell, sends what the panel sends."""
    seen = panel(front_end)
    seen.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    seen.python("get_ipython().run_line_magic('load_ext', 'gradient_notebook')\nanimal = 'red fox'")
    seen.control("size").select_option("1024x1536")
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


def test_the_original_bytes_can_be_taken_away(panel: Panels) -> None:
    """Download and the clipboard have the file as the service sent it, byte for byte, as it lies on disk."""
    seen = panel()
    seen.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    seen.make("a fox")
    with seen.page.expect_download() as download:
        seen.button("Download").click()
    assert re.fullmatch(r"otter-.*\.png", download.value.suggested_filename)
    data = Path(download.value.path()).read_bytes()
    kept = seen.lab.data / "gradient_notebook" / "originals" / f"{hashlib.sha256(data).hexdigest()}.png"
    assert kept.read_bytes() == data
    seen.button("Copy").click()
    expect(seen.button("Copied")).to_be_visible()
    copied = seen.page.evaluate("""async () => {
      const [item] = await navigator.clipboard.read();
      const bytes = async (type) => new Uint8Array(await (await item.getType(type)).arrayBuffer());
      const digest = await crypto.subtle.digest("SHA-256", await bytes("web image/png"));
      return {
        digest: [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join(""),
        start: [...(await bytes("image/png")).slice(1, 4)],
      };
    }""")
    assert copied == {"digest": kept.stem, "start": list(b"PNG")}


# A kernel that has something else to do


def test_it_goes_on_painting_while_another_cell_computes(panel: Panels) -> None:
    """A generation under way shows its pictures to the end while a cell keeps the kernel busy."""
    seen = panel(seconds=6)
    seen.generate("a fox")
    expect(seen.thumb("a fox", "running")).to_have_count(1)
    seen.compute()
    assert seen.picture.count() == 0 or seen.picture.get_attribute("data-pictures") == "1"
    expect(seen.picture).to_have_attribute("data-pictures", re.compile("[2-9]"))
    seen.done("a fox")
    assert seen.is_computing()
    seen.let_go()
    seen.opened.ended(AT_STEP)
    assert seen.python("print(otter.size)") == "(1024, 1024)"


@pytest.mark.parametrize(("comms", "clicks"), [("perCommTarget", 1), ("disabled", 3)])
def test_what_stands_in_the_form_at_the_click_is_sent_once(panel: Panels, lab: Lab, comms: str, clicks: int) -> None:
    """While a cell computes, too: at once where messages have a thread of their own, else as soon as it has ended.

    Where the click has to wait, the panel says so, and takes no other meanwhile.
    """
    lab._set("kernels-settings", {"commsOverSubshells": comms})
    seen = panel(own=True)
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
        expect(seen.boxes).to_contain_text("The kernel does not answer yet")
        expect(seen.status).to_contain_text("The kernel does not answer yet")
        assert seen.sent == ["before"]
    assert seen.is_computing()
    seen.let_go()
    seen.done("as it was at the click")
    expect(seen.boxes).to_have_count(0)
    expect(seen.prompt).to_have_value("typed later")
    seen.button("Generate").click()
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
        expect(seen.thumbs.locator("img")).to_have_count(again, timeout=40_000)
        seen.button("Generate").focus()
    assert seen.sent == ["a fox"] * 2


def test_a_number_that_the_control_corrects_is_not_sent(panel: Panels) -> None:
    """Who has typed 20 has not asked for 10: it is said, and the next click takes what stands there."""
    seen = panel()
    seen.prompt.fill("a fox")
    seen.control("n").fill("0")
    seen.button("Generate").click()
    expect(seen.boxes).to_contain_text("0 is not allowed there: it is 1 now.")
    expect(seen.control("n")).to_have_value("1")
    assert seen.sent == []
    seen.button("Generate").click()
    seen.done("a fox")
    assert seen.sent == ["a fox"]


@BOTH
def test_a_restarted_kernel_leaves_no_panel_that_pretends(panel: Panels, front_end: FrontEnd) -> None:
    """What was running says that the kernel is gone; then the last image stands there, and the cell works again."""
    seen = panel(front_end)
    seen.make("before")
    seen.simulator.script([{"silence": True}])
    seen.generate("on its way")
    assert seen.simulator.wait_for(lambda: len(seen.sent) == 2)
    output = seen.opened.output(PANEL)
    seen.page.get_by_title(re.compile("Restart the kernel")).first.click()
    seen.page.locator(".jp-Dialog .jp-mod-accept").click()
    expect(output).to_contain_text("the kernel is gone")
    seen.opened.idle()
    expect(seen.button("Cancel")).to_be_hidden()
    expect(output.locator("img[src^='data:']")).to_be_visible()
    assert visible_errors(seen.opened) == 0
    again = PanelPage(seen.opened, seen.lab, seen.simulator)
    again.make("after")
    assert again.sent == ["before", "on its way", "after"]


# The saved notebook


def visible_errors(opened: NotebookPage) -> int:
    """Return how many visible words say that a widget is broken or still to come."""
    words = opened.page.get_by_text(re.compile("Error displaying widget|Loading widget|Error creating widget"))
    return sum(one.is_visible() for one in words.all())


def reopened(lab: Lab, chromium: Browser, name: str, *, trusted: bool) -> NotebookPage:
    """Open a copy of a notebook in a page of its own, without a kernel."""
    saved = nbformat.read(lab.root / name, 4)
    saved.metadata["kernelspec"] = {"name": "no-such-kernel", "display_name": "none"}
    copy = lab.root / f"{'trusted' if trusted else 'untrusted'}-{name}"
    nbformat.write(saved, copy)
    if trusted:
        subprocess.run([sys.executable, "-m", "jupyter", "trust", str(copy)], env=lab.environment, check=True)
    page = chromium.new_page(viewport={"width": 900, "height": 1600})
    return NotebookPage(page, lab, copy.name, kernel=False)


def test_a_saved_notebook_shows_the_last_image_without_a_kernel(panel: Panels, lab: Lab, chromium: Browser) -> None:
    """Trusted or not, an ordinary image and its settings stand there; the file grows by less than 200 kB."""
    seen = panel(own=True)
    path = lab.root / seen.opened.name
    size = path.stat().st_size
    seen.control("size").select_option("1536x1024")
    seen.make("an earlier one", f"{MARKUP} at sea")
    expect(seen.opened.output(PANEL).locator(".jp-OutputArea-child").filter(visible=True)).to_have_count(1)
    seen.opened.cell(EMPTY).locator(".cm-content").click()
    seen.opened.save()
    assert path.stat().st_size - size < 200_000
    assert "widgets" not in nbformat.read(path, 4).metadata
    for trusted in (True, False):
        again = reopened(lab, chromium, seen.opened.name, trusted=trusted)
        output = again.output(PANEL)
        expect(output.locator("img")).to_have_js_property("naturalWidth", 768)
        expect(output.locator("img")).to_be_visible()
        for words in (f"{MARKUP} at sea", "otter · PIL 1536×1024 png", "size 1536x1024", "quality low"):
            expect(output).to_contain_text(words)
        expect(output.locator(".gradient-panel")).to_have_count(0)
        assert visible_errors(again) == 0
        assert again.page.evaluate("window.hacked") is None
        again.page.close()


@BOTH
def test_a_reloaded_page_brings_the_panel_back(panel: Panels, front_end: FrontEnd) -> None:
    """With the kernel alive the panel and its film come back, pictures included, and work."""
    seen = panel(front_end, own=True)
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


COUNT_URLS = """() => {
  window.urls = new Set();
  const { createObjectURL, revokeObjectURL } = URL;
  URL.createObjectURL = (blob) => {
    const url = createObjectURL.call(URL, blob);
    if (blob.type.startsWith("image/")) window.urls.add(url);
    return url;
  };
  URL.revokeObjectURL = (url) => { window.urls.delete(url); revokeObjectURL.call(URL, url); };
}"""

NUMBERS = """import gc, threading
from ipywidgets.widgets.widget import _instances
gc.collect()
print(len(_instances), len(get_ipython().kernel.comm_manager.comms), sorted(one.name for one in threading.enumerate()
    if not one.name.startswith(("asyncio_", "subshell-"))))"""  # the loop's own few, and the kernel's


def test_closed_panels_leave_nothing_but_their_last_image(panel: Panels) -> None:
    """close() takes the view away and shows the ordinary image; no comm, no thread and no picture's memory is left."""
    seen = panel(own=True)
    seen.page.evaluate(COUNT_URLS)
    seen.make("a first one")
    seen.python("panel.close()")
    expect(seen.root).to_have_count(0)
    before = seen.python(NUMBERS)
    for number in range(2):
        seen = PanelPage(seen.opened, seen.lab, seen.simulator)
        seen.make(f"fox {number}", f"hen {number}")
        assert seen.page.evaluate("window.urls.size") > 0
        seen.python("panel.close()")
        output = seen.opened.output(PANEL)
        expect(seen.root).to_have_count(0)
        expect(output).to_contain_text(f"hen {number}")
        expect(output.locator("img")).to_be_visible()
        expect(output).to_contain_text("otter · PIL 1024×1024 png")
        assert visible_errors(seen.opened) == 0
        seen.page.wait_for_function("window.urls.size === 0")
    assert seen.python(NUMBERS) == before


# For everybody


def test_every_control_is_labelled_and_reached_by_the_tab_key(panel: Panels) -> None:
    """Tab goes from the prompt to everything there is, in the order in which it stands, and each thing has a name."""
    seen = panel()
    seen.control("output_format").select_option("webp")
    seen.header.click()
    seen.make("a fox", "a hen")
    expect(seen.control("extra")).to_be_visible()
    assert [name for name in PARAMETERS if not seen.control(name).first.is_visible()] == []
    wanted = [*(parameter.label for parameter in PARAMETERS.values()), "Variable"]
    wanted += ["Generate", "Copy as cell", "Copy as Python", "Use these settings", "Copy", "Download"]
    wanted += ["Partial images that this image went through", "a hen, done"]
    seen.prompt.focus()
    reached: list[str] = []
    for _ in range(40):
        reached.append(
            seen.page.evaluate("""() => {
              const e = document.activeElement;
              if (!e.closest(".gradient-panel")) return "";
              const label = [...(e.labels ?? [])].map((one) => one.textContent.trim()).join(" ");
              return e.getAttribute("aria-label") || label || e.textContent.trim();
            }""")
        )
        if not reached[-1]:
            break
        seen.page.keyboard.press("Tab")
    assert set(wanted) - set(reached) == set()
    assert "a fox, done" not in reached  # the film is one stop, and the arrow keys go on
    landmarks = ["Prompt", "Generate", "Copy as cell", "Download", "a hen, done"]
    assert [name for name in reached if name in landmarks] == landmarks


# The contrast of every visible text that is neither on a picture nor of a control that is disabled.
CONTRASTS = f"""(root) => {{
  const contrast = {CONTRAST};
  const found = [];
  const own = (e) => [...e.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
  for (const element of root.querySelectorAll("*")) {{
    const isText = own(element) || (element.matches("input, textarea") && element.value);
    if (!isText || !element.checkVisibility({{ visibilityProperty: true }}) || element.closest("option, select[disabled]")) continue;
    if (element.matches(".gradient-badge, .gradient-spoken, style, :disabled, input[type=range]")) continue;
    element.dataset.probe = "";
    found.push([contrast("[data-probe]"), `${{element.className}}: ${{(element.value ?? element.textContent).slice(0, 30)}}`]);
    delete element.dataset.probe;
  }}
  return found;
}}"""

# What of the panel stands over its edge or the window's: a film can be scrolled.
OVER_THE_EDGE = """(root) => {
  const edge = Math.min(innerWidth, root.getBoundingClientRect().right) + 0.5;
  const visible = [...root.querySelectorAll("*")].filter((e) => e.checkVisibility({ visibilityProperty: true }));
  return [root, ...visible]
    .filter((e) => !e.closest(".gradient-gallery .gradient-tile, .gradient-spoken, option"))
    .filter((e) => e.getBoundingClientRect().right > edge || e.getBoundingClientRect().left < root.getBoundingClientRect().left - 0.5)
    .map((e) => `${e.tagName} ${e.className}: ${e.textContent.slice(0, 30)}`);
}"""


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_it_is_readable_in_every_theme_and_width(panel: Panels, theme: str) -> None:
    """Text has contrast in light and dark, and nothing runs over the edge down to a window of 320 px."""
    seen = panel(own=True, theme=theme)
    seen.header.click()
    seen.control("output_format").select_option("jpeg")
    seen.control("extra").fill("oops " * 12)
    seen.page.keyboard.press("Tab")
    long = "A very long prompt about " + "hills and " * 30 + "W" * 120
    seen.generate(long)
    expect(seen.alerts).to_be_visible()
    check(seen, theme)
    seen.control("extra").fill("")
    for prompt in (long, "[refuse-output] a fight", "a fox"):
        seen.make(prompt) if "refuse" not in prompt else seen.generate(prompt)
    expect(seen.thumb("[refuse", "failed")).to_have_count(1)
    for prompt in ("[refuse", "A very long"):
        seen.thumb(prompt).click()
        expect(seen.words).to_contain_text(prompt)
        check(seen, theme)
    seen.simulator.script([{"silence": True}])
    seen.generate("on its way")
    expect(seen.button("Cancel")).to_be_visible()
    check(seen, theme)
    seen.button("Cancel").click()
    expect(seen.boxes).to_contain_text("Cancelled after")
    check(seen, theme)


def check(seen: PanelPage, theme: str) -> None:
    """Look at every text, and at every edge in windows from wide to narrow."""
    faint = [(round(ratio, 2), what) for ratio, what in seen.root.evaluate(CONTRASTS) if ratio < 4.5]
    assert faint == [], theme
    for width in (1100, 700, 420, 320):
        seen.page.set_viewport_size({"width": width, "height": 1600})
        seen.page.wait_for_function(f"innerWidth === {width}")
        assert seen.root.evaluate(OVER_THE_EDGE) == [], width
    seen.page.set_viewport_size({"width": 1100, "height": 1600})
