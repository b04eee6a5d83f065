"""What nbconvert makes of an executed notebook: HTML, Markdown and slides, each picture with its text, and no warning."""

from __future__ import annotations

import logging
from html.parser import HTMLParser
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from gradient_notebook.simulator import Simulator

pytestmark = pytest.mark.kernel

PROMPT = 'A <red> fox & "friend"'
CELLS = (
    "%load_ext gradient_notebook",
    f"%%imagegen fox --size 1536x1024\n{PROMPT}",
    f"%%imagegen pair -n 2 --no-wait\n{PROMPT}",
    "from gradient_notebook import Panel, history\npanel = Panel('otter', prompt='an otter')\npanel",
    "panel.generate().result()\npanel.close()",
    "history()",
)


class Images(HTMLParser):
    """The images of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[dict[str, str | None]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.found.append(dict(attrs))


def test_each_picture_has_its_text(configured: Simulator, caplog: pytest.LogCaptureFixture) -> None:
    """In every format; in Markdown the pictures are files beside it. What is printed keeps its images."""
    nbconvert: Any = pytest.importorskip("nbconvert")
    config: Any = pytest.importorskip("traitlets.config").Config()
    config.Exporter.preprocessors = ["gradient_notebook.notebook.alt_text.describe"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS])
    NotebookClient(notebook, kernel_name="python3").execute()
    for kind in ("HTML", "Slides", "Markdown"):
        with caplog.at_level(logging.WARNING):
            page, resources = getattr(nbconvert, f"{kind}Exporter")(config=config).from_notebook_node(notebook)
        pictures = [image for image in Images(page).found if image["alt"] in (PROMPT, "an otter")]
        assert [image["alt"] for image in pictures][:3] == [PROMPT, PROMPT, "an otter"], kind
        assert len(pictures) == 6, kind  # three, and as many in the history
        assert (pictures[0]["width"], pictures[0]["height"]) == ("720", "480"), kind
        assert ("data:image" in (pictures[0]["src"] or "")) == (kind != "Markdown")
        if kind == "Markdown":
            assert {image["src"] for image in pictures[:3]} <= resources["outputs"].keys()
    assert "application/vnd.jupyter.widget-view+json" not in page
    assert [record.message for record in caplog.records] == []
    _, resources = nbconvert.LatexExporter(config=config).from_notebook_node(notebook)
    assert len(resources["outputs"]) == 3
