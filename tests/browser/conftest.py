"""One server and one Chromium for the tests of a file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from lab import FrontEnd, Lab, NotebookPage, browser
from playwright.sync_api import Browser, expect

expect.set_options(timeout=15_000)

LOAD = "%load_ext gradient_notebook"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("lab")).running() as lab:
        yield lab


# Not for the session: a browser and a server would go on beside all other tests.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as launched:
        yield launched


@pytest.fixture
def notebook(lab: Lab, chromium: Browser, request: pytest.FixtureRequest) -> Iterator[Callable[..., NotebookPage]]:
    """Open a notebook of these cells; the first, which loads the extension, has run."""
    with ExitStack() as pages:

        def opened(*cells: str, width: int = 1100, theme: str = "Light", front_end: FrontEnd = "lab") -> NotebookPage:
            lab.set_theme(f"JupyterLab {theme}")
            name = re.sub(r"\W+", "-", request.node.name)
            path = lab.write(f"{name}.ipynb", [LOAD, *cells])
            page = chromium.new_page(viewport={"width": width, "height": 900})
            pages.callback(page.close)
            found = NotebookPage(page, lab, path.name, front_end=front_end)
            found.run(0)
            return found

        yield opened
