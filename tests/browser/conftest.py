"""One server, one Chromium and one page of each front end for all tests here; new cells for each test."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from gate import Gate
from lab import FrontEnd, Lab, NotebookPage, browser
from panel_page import CELLS, PanelPage
from playwright.sync_api import Browser, Error, Page

from gradient_notebook.simulator import Simulator

WIDTH, HEIGHT = 1100, 1600  # everything in view: what is out of sight is not in the page

Pages = Callable[..., NotebookPage]
FAILED = pytest.StashKey[bool]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("lab")).running() as lab:
        yield lab


# Not for the session: as long as Playwright is there, its loop counts as running in this thread, and its greenlets
# would be collected in the middle of all other tests. These here come first, and are together.
@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    with browser() as launched:
        yield launched


@pytest.fixture(scope="package")
def shared(lab: Lab, chromium: Browser) -> Iterator[functools._lru_cache_wrapper[NotebookPage]]:
    """The page of each front end that tests share, with its kernel: to open one costs more than most tests."""
    numbers = itertools.count()
    with ExitStack() as stack:

        @functools.cache
        def page_of(front_end: FrontEnd) -> NotebookPage:
            lab.set_theme("JupyterLab Light")
            name = lab.write(f"shared-{front_end}-{next(numbers)}.ipynb", [""]).name
            return NotebookPage(new_page(chromium, stack), lab, name, front_end=front_end)

        yield page_of


@pytest.fixture(scope="package")
def elsewhere(chromium: Browser) -> Iterator[Page]:
    """A page for notebooks that are opened anew: the front end loads there in half the time that a new one takes."""
    with ExitStack() as stack:
        yield new_page(chromium, stack)


def new_page(chromium: Browser, stack: ExitStack) -> Page:
    # Reduced motion: nobody looks at the shimmer, and without a graphics card each frame of it costs.
    page = chromium.new_page(viewport={"width": WIDTH, "height": HEIGHT}, reduced_motion="reduce")
    stack.callback(page.close)
    return page


@pytest.fixture
def pages(
    lab: Lab, elsewhere: Page, shared: functools._lru_cache_wrapper[NotebookPage], request: pytest.FixtureRequest
) -> Iterator[Pages]:
    """Open a notebook with these cells, in the page that tests share or, with `anew`, elsewhere, with a new kernel.

    No error of our scripts is let pass.
    """
    crashes: list[str] = []

    def crashed(error: Error) -> None:
        if "blob:" in (error.stack or ""):  # where anywidget has our script; the front ends have errors of their own
            crashes.append(error.stack or "")

    with ExitStack() as stack:

        def opened(
            *cells: str, front_end: FrontEnd = "lab", anew: bool = False, kernel: str = "python3"
        ) -> NotebookPage:
            if anew or kernel != "python3":
                name = lab.write(re.sub(r"\W+", "-", request.node.name) + ".ipynb", cells, kernel).name
                found = NotebookPage(elsewhere, lab, name, front_end=front_end)
            else:
                found = shared(front_end)
                found.set_size(WIDTH, HEIGHT)
                found.set_theme("Light")
                found.set_cells(cells)
            found.page.on("pageerror", crashed)
            stack.callback(found.page.remove_listener, "pageerror", crashed)
            return found

        yield opened
    if request.node.stash[FAILED]:
        shared.cache_clear()  # what a failed test has left in its page and kernel would fail others
    assert crashes == []


@pytest.fixture
def gate(service: Simulator) -> Iterator[Gate]:
    """The way to the service, open until a test closes it."""
    with Gate(service.url) as gate:
        yield gate


@pytest.fixture
def notebook(pages: Pages, gate: Gate, tmp_path: Path) -> Callable[..., NotebookPage]:
    """Open a notebook of these cells; the first, which loads the extension, has run, and nothing is left in the kernel."""
    # What `%config` was told outlives the extension: it is the shell's.
    load = f"""%reset -f
get_ipython().config.pop("ImageGen", None)
%reload_ext gradient_notebook
%config ImageGen.archive_dir = {str(tmp_path / "archive")!r}
import os
os.environ |= {{"GRADIENT_INFERENCE_ENDPOINT": {gate.url!r}, "GRADIENT_MODEL_ACCESS_KEY": "sk-do-for-tests-only"}}
os.environ["JPY_SESSION_NAME"] = os.urandom(6).hex()
%config ImageGen.model = 'openai-gpt-image-2'"""

    def opened(*cells: str, **where: Any) -> NotebookPage:
        found = pages(load, *cells, **where)
        found.run(0)
        return found

    return opened


@pytest.fixture
def panel(pages: Pages, lab: Lab, service: Simulator, gate: Gate) -> Iterator[Callable[..., PanelPage]]:
    """Show a new panel."""

    def shown(front_end: FrontEnd = "lab", *, anew: bool = False) -> PanelPage:
        return PanelPage(pages(*CELLS, front_end=front_end, anew=anew), lab, service, gate)

    yield shown
    (lab.root / "enough").touch()
