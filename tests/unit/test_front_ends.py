"""The README's table of front ends: what it promises of each has a test."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NO_PROMISE = {"no", "not tested"}

CELL, PANEL = "browser/test_cell.py", "browser/test_panel_front_ends.py"
MARIMO, NBCLASSIC, VOILA = (f"front_ends/test_{name}.py" for name in ("marimo", "nbclassic", "voila"))
LIVE = ("card", "partial images", "Cancel")
ALL = (*LIVE, "final image", "history", "interrupt")

JUPYTERLAB = {
    "card": (CELL, "test_a_cell_shows_its_card_its_partial_images_and_then_an_ordinary_image"),
    "partial images": (CELL, "test_a_cell_shows_its_card_its_partial_images_and_then_an_ordinary_image"),
    "Cancel": (CELL, "test_cancel_stops_a_running_cell"),
    "final image": (CELL, "test_a_saved_notebook_shows_its_image_without_a_kernel"),
    "panel": (PANEL, "test_mouse_and_keyboard_generate_and_run_no_cell"),
    "history": ("browser/test_history.py", "test_the_history_shows_what_was_made"),
    "interrupt": (CELL, "test_the_interrupt_button_stops_a_running_cell"),
}
NOTEBOOK = dict.fromkeys(ALL, ("browser/test_cell_in_notebook.py", "test_a_cell_in_notebook_is_as_in_jupyterlab"))
IN_MARIMO = dict.fromkeys((*LIVE, "final image"), (MARIMO, "test_a_job_is_a_live_card"))
TERMINAL = "kernel/test_terminal.py"
IN_LINES = ("card", "partial images", "final image", "history")
SCRIPT = "unit/test_process_end.py"

TESTS = {
    "JupyterLab 4": JUPYTERLAB,
    "Jupyter Notebook 7": NOTEBOOK | {"panel": JUPYTERLAB["panel"]},
    "nbclassic": dict.fromkeys(ALL, (NBCLASSIC, "test_a_cell_shows_the_card_and_then_an_image"))
    | {"panel": (NBCLASSIC, "test_the_panels_picture_stands_once")},
    "Voilà": dict.fromkeys(("final image", "panel", "history"), (VOILA, "test_an_app_shows_what_its_cells_make")),
    "marimo": IN_MARIMO | {"history": (MARIMO, "test_what_is_no_job_is_shown_too")},
    "nbconvert, papermill": dict.fromkeys(
        ("final image", "panel", "history"), ("kernel/test_nbconvert.py", "test_each_picture_has_its_text")
    ),
    "IPython in a terminal": dict.fromkeys(IN_LINES, (TERMINAL, "test_a_terminal_gets_plain_lines_and_the_image"))
    | dict.fromkeys(("Cancel", "interrupt"), (TERMINAL, "test_an_interrupt_in_a_terminal_hangs_up")),
    "scripts and Python's own prompt": dict.fromkeys(
        ("Cancel", "interrupt"), (SCRIPT, "test_ctrl_c_at_a_wait_is_one_sentence")
    )
    | {"final image": (SCRIPT, "test_a_script_waits_for_what_it_has_begun")},
}
"""The test of each cell of the table, by front end and column."""


def promised() -> dict[str, set[str]]:
    """Return the columns of each front end in which the README's table promises something."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").split("## Where it works")[1]
    head, _, *rows = [
        [cell.strip() for cell in line.strip("| ").split("|")]
        for line in re.findall(r"^\|.*$", section.split("\n##")[0], re.MULTILINE)
    ]
    return {
        name: {column for column, cell in zip(head[1:], cells, strict=True) if cell not in NO_PROMISE}
        for name, *cells in rows
    }


def test_each_promise_of_the_table_has_a_test() -> None:
    """And the table promises all that is tested."""
    assert promised() == {name: {*tests} for name, tests in TESTS.items()}


@pytest.mark.parametrize(("file", "name"), sorted({test for tests in TESTS.values() for test in tests.values()}))
def test_a_test_that_is_named_is_there(file: str, name: str) -> None:
    """By its name, so that one that is renamed or removed is missed here."""
    assert f"\ndef {name}(" in (ROOT / "tests" / file).read_text(encoding="utf-8")
