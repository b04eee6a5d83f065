"""Voilà: an app made of a notebook shows all images, and its panel works."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from gradient_notebook.simulator import Simulator

from .conftest import Server, write_notebook

pytest.importorskip("voila", reason="make compat has it")


def test_an_app_shows_what_its_cells_make(page: Page, served: Server, service: Simulator, tmp_path: Path) -> None:
    """An image, one of the background, a job that is shown, the history; and Generate in the panel makes another."""
    write_notebook(
        tmp_path / "app.ipynb",
        "%load_ext gradient_notebook",
        "%%imagegen otter\nan otter",
        "%%imagegen owl --no-wait\nan owl",
        "from gradient_notebook import Panel, submit\nsubmit('a cat')",
        "%imagegen_history cat",
        "panel = Panel('fox', prompt='a red fox')\npanel",
    )
    page.goto(served("voila", "--no-browser", "--port={port}", "app.ipynb"), wait_until="commit")
    expect(page.get_by_text("otter · PIL")).to_be_visible()
    expect(page.get_by_text("owl · PIL")).to_be_visible()
    expect(page.locator(".jp-RenderedImage img[src^='data:image/jpeg']")).to_have_count(3)
    expect(page.get_by_alt_text("a cat")).to_be_visible()

    panel = page.locator(".gradient-panel")
    panel.get_by_role("button", name="Generate").click()
    expect(panel.locator(".gradient-grid img")).to_be_visible()
    expect(panel).to_contain_text("fox · PIL")
    assert len(service.posts) == 4
