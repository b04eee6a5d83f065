"""A notebook in a page of nbclassic, as far as tests of several front ends need it."""

from __future__ import annotations

from lab import BOUND_MS, Lab
from playwright.sync_api import Locator, Page

_READY = "window.Jupyter?.notebook?.kernel?.is_connected() && Jupyter.notebook.kernel.info_reply.status === 'ok'"


class ClassicPage:
    """A notebook in nbclassic: its cells can be run and looked at, as those of `NotebookPage`."""

    def __init__(self, page: Page, lab: Lab, name: str) -> None:
        self.page = page
        page.set_default_timeout(BOUND_MS)
        page.goto(f"{lab.url}/nbclassic/notebooks/{name}?token={lab.token}")
        page.wait_for_function(_READY)

    def output(self, index: int) -> Locator:
        """Return the outputs of cell `index`."""
        return self.page.locator(".cell").nth(index).locator(".output_wrapper")

    def begin(self, index: int) -> None:
        """Run a cell, and do not wait for it."""
        self.page.evaluate("index => Jupyter.notebook.execute_cells([index])", index)

    def ended(self, index: int) -> None:
        """Wait until a cell has ended."""
        prompt = "index => typeof Jupyter.notebook.get_cell(index).input_prompt_number === 'number'"
        self.page.wait_for_function(prompt, arg=index)

    def run(self, index: int) -> None:
        """Run a cell to its end."""
        self.begin(index)
        self.ended(index)
