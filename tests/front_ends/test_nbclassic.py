"""nbclassic, the notebook of old: the card, the panel and what stays of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from gradient_notebook.simulator import Simulator

from .conftest import Server, write_notebook

pytest.importorskip("nbclassic", reason="make compat has it")

LOAD = "%load_ext gradient_notebook\n%config ImageGen.partial_images = 1"
READY = "() => window.Jupyter?.notebook?.kernel?.widget_manager && Jupyter.notebook.kernel.is_connected()"
SILENT = {"cut": "between_events", "silence": True}


class Notebook:
    """A notebook's page."""

    def __init__(self, page: Page) -> None:
        self.page = page
        page.wait_for_function(READY)
        self.run(0)

    def begin(self, index: int) -> None:
        self.page.evaluate("index => Jupyter.notebook.execute_cells([index])", index)

    def run(self, index: int) -> None:
        self.begin(index)
        self.ended(index)

    def ended(self, index: int) -> None:
        expect(self.page.locator(".code_cell").nth(index).locator(".input_prompt")).to_contain_text(f"[{index + 1}]")

    def output(self, index: int) -> Locator:
        return self.page.locator(".code_cell").nth(index).locator(".output")


@pytest.fixture
def opened(page: Page, served: Server, tmp_path: Path) -> Callable[..., Notebook]:
    """Open a notebook of these cells, with the extension loaded."""

    def open_notebook(*cells: str) -> Notebook:
        write_notebook(tmp_path / "one.ipynb", LOAD, *cells)
        address = served("nbclassic", "--no-browser", "--allow-root", "--port={port}", "--IdentityProvider.token=")
        page.goto(f"{address}/notebooks/one.ipynb")
        return Notebook(page)

    return open_notebook


def test_a_cell_shows_the_card_and_then_an_image(opened: Callable[..., Notebook], service: Simulator) -> None:
    """A partial image, and an interrupt that hangs up; in the background Cancel does. What is saved is an image."""
    notebook = opened(
        "%%imagegen otter\nan otter",
        "%%imagegen fox\na fox",
        "%%imagegen owl --no-wait\nan owl",
        "from gradient_notebook import history\nhistory('otter')",
    )
    notebook.run(1)
    expect(notebook.output(1).locator("img[src^='data:image/jpeg']")).to_have_count(1)
    expect(notebook.output(1)).to_contain_text("otter · PIL")

    service.script([SILENT, SILENT])
    notebook.begin(2)
    expect(notebook.output(2).locator(".gradient-card img")).to_be_visible()
    notebook.page.evaluate("Jupyter.notebook.kernel.interrupt()")
    expect(notebook.output(2)).to_contain_text("fox was not assigned")
    assert service.wait_for(lambda: service.disconnected == 1)

    notebook.run(3)
    card = notebook.output(3).locator(".gradient-card")
    expect(card.locator("img")).to_be_visible()
    card.get_by_role("button", name="Cancel").click()
    expect(card).to_have_count(0)
    expect(notebook.output(3)).to_contain_text("Cancelled")
    assert service.wait_for(lambda: service.disconnected == 2)

    notebook.run(4)
    expect(notebook.output(4).locator(".gradient-entry img")).to_be_visible()
    expect(notebook.output(4).locator("img[alt='an otter'][src^='data:']")).to_be_hidden()  # behind it


def test_the_panels_picture_stands_once(opened: Callable[..., Notebook], tmp_path: Path) -> None:
    """What a saved notebook shows in the panel's place is hidden behind it, and there when the page is opened again."""
    notebook = opened("from gradient_notebook import Panel\npanel = Panel('fox', prompt='a red fox')\npanel")
    notebook.run(1)
    panel = notebook.output(1).locator(".gradient-panel")
    panel.get_by_role("button", name="Generate").click()
    expect(panel.locator(".gradient-grid img")).to_be_visible()
    expect(panel).to_contain_text("fox · PIL")
    saved = notebook.output(1).locator(".output_jpeg img")
    expect(saved).to_have_count(1)
    expect(saved).to_be_hidden()
    expect(notebook.output(1).locator(".gradient-record")).to_be_hidden()

    notebook.page.evaluate("Jupyter.notebook.save_notebook()")
    cells = json.loads((tmp_path / "one.ipynb").read_text())["cells"]
    assert "image/jpeg" in cells[1]["outputs"][1]["data"]
    notebook.page.evaluate("Jupyter.notebook.kernel.restart()")
    expect(saved).to_be_visible()
    expect(panel).to_be_hidden()
    notebook.page.wait_for_function(READY)  # a server that ends in the middle of a restart takes half a minute
