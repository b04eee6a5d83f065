"""A panel in a notebook: where its parts are, and what a person does with them."""

from __future__ import annotations

import re

from gate import Gate
from lab import Lab, NotebookPage
from playwright.sync_api import Locator, Page, expect

from gradient_notebook.api.params import PARAMETERS
from gradient_notebook.simulator import Simulator

SHOW = """import os, pathlib
os.environ |= {"GRADIENT_INFERENCE_ENDPOINT": pathlib.Path("endpoint").read_text(), "MODEL_ACCESS_KEY": "sk-do-test"}
os.environ["JPY_SESSION_NAME"] = os.urandom(6).hex()  # a notebook of its own: its panel has nothing to come back with
from gradient_notebook import Panel
panel = Panel("otter", quality="low")
panel"""
STEP = "%run -i step.py"
CELLS = (SHOW, STEP, "")
PANEL, AT_STEP, EMPTY = 0, 1, 2

COMPUTES = "import pathlib\nwhile not pathlib.Path('enough').exists(): sum(range(20_000))"
MARKUP = '<img src=x onerror="window.hacked=1"><b>bold</b>'

PARTIAL_AND_SILENCE = {"cut": "between_events", "silence": True}
"""What a service does that stops after its first partial image."""


class PanelPage:
    """A new panel in a notebook, and the service that it asks."""

    def __init__(self, opened: NotebookPage, lab: Lab, simulator: Simulator, gate: Gate) -> None:
        self.opened, self.lab, self.simulator, self.gate = opened, lab, simulator, gate
        self.page: Page = opened.page
        (lab.root / "endpoint").write_text(gate.url)
        (lab.root / "enough").unlink(missing_ok=True)
        self.run(PANEL)
        self.root = opened.output(PANEL).locator(".gradient-panel")
        self.stage = self.root.locator(".gradient-stage")
        self.prompt = self.root.get_by_label("Prompt", exact=True)
        self.picture = self.stage.locator(".gradient-grid .gradient-picture")
        self.words = self.stage.locator(".gradient-head .gradient-prompt")
        self.line = self.stage.locator(".gradient-head .gradient-line")
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
        return self.opened.is_running(AT_STEP)

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
        """Return a parameter's control, in view: what is seldom changed is folded."""
        if not PARAMETERS[name].often and not self.root.locator(".gradient-more .jupyter-widget-Collapse-open").count():
            self.header.click()
        return self.root.locator(".gradient-form").get_by_label(PARAMETERS[name].label, exact=True)

    @property
    def header(self) -> Locator:
        """What opens and closes the parameters that are seldom changed."""
        return self.root.locator(".gradient-more .jupyter-widget-Collapse-header")

    def generate(self, prompt: str) -> None:
        """Type a prompt and press the button."""
        self.prompt.fill(prompt)
        self.press()

    def press(self) -> None:
        """Press the button, once the kernel has heard of the click before: until then the panel takes no other."""
        expect(self.button("Generate")).not_to_have_attribute("aria-busy", "true")
        self.button("Generate").click()

    def thumb(self, prompt: str, status: str = "") -> Locator:
        """Return the thumbnails of a prompt."""
        has_status = f"[data-status={status}]" if status else ""
        return self.stage.locator(f".gradient-gallery .gradient-tile{has_status}[title^='{prompt[:60]}']")

    def done(self, *prompts: str) -> None:
        """Wait until each prompt has its finished image in the film."""
        for prompt in prompts:
            expect(self.thumb(prompt, "done").locator("img")).to_have_count(1)
        # A picture is shown when it has been decoded: until then the one before it stands there.
        expect(self.stage.locator("[data-loading=true]")).to_have_count(0)

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
        """Return the address of the picture in view, once none is on its way."""
        self.stage.locator(".gradient-grid [data-loading=true]").wait_for(state="detached")
        return self.picture.get_attribute("src") or ""


def visible_errors(opened: NotebookPage) -> int:
    """Return how many visible words say that a widget is broken or still to come."""
    words = opened.page.get_by_text(
        re.compile("Error displaying widget|Loading widget|Error creating widget|show javascript error")
    )
    return sum(one.is_visible() for one in words.all())
