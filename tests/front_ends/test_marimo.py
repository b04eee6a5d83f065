"""marimo: a job shows itself live, what stays is HTML, and the panel says what to use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from gradient_notebook.simulator import Simulator

from .conftest import Server

pytest.importorskip("marimo", reason="make compat has it")

HEAD = """import marimo

app = marimo.App()


@app.cell
def _():
    from gradient_notebook import Panel, history, show, submit
    return Panel, history, show, submit


"""
PARTIAL = "import asyncio\nwhile not stuck.partials: await asyncio.sleep(0.05)"
STREAM = "size='1024x1024', stream=True, partial_images=1"


def notebook(path: Path, *cells: tuple[str, str, str]) -> None:
    """Write a notebook of cells: what each takes, its lines, what it returns."""
    texts = []
    for takes, lines, returns in cells:
        body = "\n".join(f"    {line}" for line in lines.splitlines())
        texts.append(f"@app.cell\nasync def _({takes}):\n{body}\n    return ({returns})\n\n\n")
    path.write_text(HEAD + "".join(texts))


@pytest.fixture
def opened(page: Page, served: Server, tmp_path: Path) -> Callable[..., Page]:
    """Run a notebook of these cells, and open its page."""

    def run(*cells: tuple[str, str, str]) -> Page:
        notebook(tmp_path / "notebook.py", *cells)
        page.goto(served("marimo", "-q", "run", "--headless", "--no-token", "--port", "{port}", "notebook.py"))
        return page

    return run


def test_a_job_is_a_live_card(opened: Callable[..., Page], service: Simulator) -> None:
    """The partial image is seen, Cancel hangs up, another job ends as its image, and can be awaited."""
    service.script([{"cut": "between_events", "silence": True}])
    page = opened(
        ("submit", f"stuck = submit('a stuck fox', {STREAM})\nstuck", "stuck,"),
        ("stuck, submit", f"{PARTIAL}\njob = submit('an otter', {STREAM})\njob", "job,"),
        ("job", "image = await job\nf'{image.size} is here'", "image,"),
    )
    stuck, done = (page.locator(".gradient-card").filter(has_text=words) for words in ("a stuck fox", "an otter"))
    expect(stuck.locator("img")).to_have_js_property("naturalWidth", 768)
    stuck.get_by_role("button", name="Cancel").click()
    expect(stuck.get_by_role("button", name="Cancel")).to_be_hidden()
    assert service.wait_for(lambda: service.disconnected == 1)
    expect(done.get_by_role("button", name="Cancel")).to_be_hidden()
    expect(done.locator("img")).to_have_js_property("naturalWidth", 768)
    expect(page.get_by_text("(1024, 1024) is here")).to_be_visible()


def test_what_is_no_job_is_shown_too(opened: Callable[..., Page]) -> None:
    """One picture by `show`, two side by side, the record with its thumbnail; the panel says what to use instead."""
    page = opened(
        ("submit", "image = await submit('an otter', size='1024x1024')", "image,"),
        ("image, show", "show(image)", ""),
        ("image, show", "show({'dawn': image, 'night': image})", ""),
        ("history, image", "assert image\nhistory()", ""),
        ("Panel", "Panel('fox')", ""),
    )
    expect(page.locator("img[src^='data:image/jpeg']:not([alt='an otter'])").first).to_have_js_property(
        "naturalWidth", 768
    )
    for alternative in ("dawn", "night", "an otter"):
        expect(page.get_by_alt_text(alternative, exact=True)).to_be_visible()
    expect(page.get_by_text("mo.ui.text_area().form()")).to_be_visible()
    expect(page.get_by_text("not supported in marimo")).to_have_count(0)
