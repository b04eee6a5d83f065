"""What people read before the code: each link leads somewhere, each notebook has its picture, each example is Python."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "notebooks/README.md", "tests/bench/README.md")
_LINK = re.compile(r"\]\(([^()\s]+)\)")


def anchors(page: Path) -> set[str]:
    """Return what a link into a page may name: its headings, as GitHub writes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", PAGES)
def test_each_link_and_picture_is_there(name: str) -> None:
    """Files beside the page, and headings within it; what is elsewhere nobody can promise."""
    page = ROOT / name
    for target in _LINK.findall(page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


def test_each_notebook_is_in_the_gallery() -> None:
    """With its picture, and in their order."""
    gallery = (ROOT / "README.md").read_text(encoding="utf-8").split("## Gallery")[1].split("\n## ")[0]
    pictures = re.findall(r"\[!\[\w.*?\]\(notebooks/pictures/(.*?)\.jpg\)\]\(notebooks/(.*?)\.ipynb\)", gallery)
    there = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
    assert pictures == [(name, name) for name in there]


def test_each_example_is_python() -> None:
    """As far as that can be seen without running it: `await` and the last line of a cell are allowed."""
    examples = re.findall(
        r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    assert examples
    for example in examples:
        compile(example, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
