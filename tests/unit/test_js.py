"""The browser's modules: their helpers, as node tests them in `tests/js`, and their types, as Python sends them."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

import gradient_notebook
from gradient_notebook import generate, history, sweep
from gradient_notebook.api.params import ImageGenerateParams
from gradient_notebook.notebook.differences import Row
from gradient_notebook.notebook.formatting import Box
from gradient_notebook.notebook.labeled import Labeled
from gradient_notebook.notebook.widgets.compare import Compare, image_of
from gradient_notebook.notebook.widgets.grid import Grid, plan_of, state_of
from gradient_notebook.notebook.widgets.history import HistoryCards
from gradient_notebook.notebook.widgets.live import Gallery, LiveJob, LiveView
from gradient_notebook.notebook.widgets.vote import Ballot
from gradient_notebook.simulator import Simulator
from gradient_notebook.storage.ratings import Rating

FOLDER = Path(gradient_notebook.__file__).parent / "notebook" / "widgets"
TESTS = sorted((Path(__file__).parent.parent / "js").glob("*.test.mjs"))
NODE = shutil.which("node")


@pytest.mark.skipif(NODE is None, reason="there is no node")
@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name.removesuffix(".test.mjs"))
def test_helpers_do_what_their_own_tests_say(path: Path) -> None:
    """`node --test` passes, and has found tests in the file."""
    done = subprocess.run([NODE or "", "--test", path], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^\S+ pass [1-9]", done.stdout, re.MULTILINE), done.stdout


def test_there_are_tests_for_node() -> None:
    """None of them is left out because its folder has moved."""
    assert TESTS


def declared(name: str) -> set[str]:
    """Return the names of the fields of a type that a module declares in a comment."""
    for path in FOLDER.glob("*.mjs"):
        if found := re.search(rf"@typedef [^{{\n]*\{{(?:\w+ & )?\{{([^{{}}]*)\}}\}} {name}\b", path.read_text("utf-8")):
            return set(re.findall(r"(\w+)\??:", found[1]))
    pytest.fail(f"no module declares {name}")


def sent(widget: LiveView) -> set[str]:
    """Return the names of the traits that are a widget's own, and travel to the browser."""
    inherited = set(LiveView.__mro__[1].class_trait_names())
    return {name for name in widget.trait_names(sync=True) if name not in inherited and not name.startswith("_")}


def test_the_types_have_the_names_that_python_sends() -> None:
    """A field that is renamed in Python alone would be missing in the browser, where nothing checks it."""
    view, gallery = LiveView(), Gallery()
    state = LiveJob(view, ImageGenerateParams(prompt="A fox", n=2), 100).state()
    assert declared("Job") == state.keys()
    assert declared("Tile") == state["tiles"][0].keys()
    assert declared("Wait") == state["wait"].keys()
    assert declared("Box") == Box("It failed").plain().keys()
    assert declared("LiveTraits") == sent(view)
    assert declared("GalleryTraits") == sent(gallery) - sent(view)
    view.close()
    gallery.close()


def test_the_types_of_a_sweep_have_the_names_that_python_sends(configured: Simulator) -> None:
    """As above, for the grid."""
    study = sweep("{{a}}", a=["x", "y"], start=False)
    assert declared("Plan") == plan_of(study).keys()
    assert declared("State") == state_of(study).keys()
    ballot = Ballot(study, 3, print)
    assert declared("VoteState") == ballot.view.state.keys()
    assert declared("VoteTraits") == sent(ballot.view)
    view = Grid()
    assert declared("GridTraits") == sent(view)
    view.close()


def test_the_types_of_the_history_have_the_names_that_python_sends(configured: Simulator) -> None:
    """As above."""
    generate("A fox", quality="low")
    entry = history()[0]
    view = HistoryCards([entry], entry._archive, 0, []).view
    assert declared("HistoryTraits") == sent(view)
    assert declared("Entry") == view.entries[0].keys()
    assert declared("Fact") == view.entries[0]["details"][0].keys()
    assert declared("Rating") == {field.name for field in dataclasses.fields(Rating)}
    view.close()


def test_the_types_of_a_comparison_have_the_names_that_python_sends() -> None:
    """As above."""
    assert declared("Compared") == image_of(0, Labeled("a", Image.new("RGB", (1, 1)))).keys()
    assert declared("Row") == set(Row._fields)
    view = Compare()
    assert declared("CompareTraits") == sent(view)
    view.close()
