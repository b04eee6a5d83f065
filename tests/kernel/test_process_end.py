"""What becomes of running jobs when a kernel ends, and in a notebook that a program executes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from gradient_notebook.simulator import Simulator

from .kernel import Kernel, clean_environment, image_types, pointed_at

pytestmark = pytest.mark.kernel

_LOAD = "%load_ext gradient_notebook"


def executed(folder: Path, simulator: Simulator, *cells: str) -> list[Any]:
    """Execute cells as nbconvert and papermill do, and return them with their outputs."""
    notebook = new_notebook(cells=[new_code_cell(cell) for cell in (_LOAD, *cells)])
    environment = clean_environment(folder, **pointed_at(simulator))
    NotebookClient(notebook, timeout=60).execute(env=environment, cwd=str(folder))
    nbformat.validate(notebook)
    return list(notebook.cells[1:])


def records(folder: Path) -> list[tuple[str, str]]:
    """Return how each image ended, and why, as the ledger has it."""
    [path] = folder.rglob("ledger.sqlite")
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT outcome, coalesce(json_extract(error, '$.what'), '') FROM images").fetchall()


@pytest.mark.compat
def test_an_executed_notebook_waits_in_the_cell(tmp_path: Path, simulate: Callable[..., Simulator]) -> None:
    """Whoever executes it: the picture stands under its own cell, in the last one too, and the name can be used."""
    simulator = simulate(seconds_per_image=1)
    first, second, third, last = executed(
        tmp_path,
        simulator,
        "%%imagegen bg --no-wait --quality low\nA red house",
        "print(bg.result().size, bg.size)",
        "%%capture\n%imagegen pair --no-wait --quality low -n 2 -- A red house",
        "%%imagegen last --no-wait --quality low\nA red house",
    )
    for cell in (first, last):
        image, line = cell.outputs
        assert image_types(image) == ["image/jpeg"]
        assert "PIL" in line.data["text/plain"]
        assert "in the background" not in str(cell.outputs)
    assert second.outputs[0].text == "(1024, 1024) (1024, 1024)\n"
    assert third.outputs == []
    assert records(tmp_path) == [("done", "")] * 4


def test_an_executed_notebook_shows_a_job_when_it_has_ended(tmp_path: Path, simulate: Callable[..., Simulator]) -> None:
    """A job as a cell's value is its picture there, or why there is none."""
    simulator = simulate(seconds_per_image=1)
    simulator.script([None, {"status": 500, "body": {"id": "x", "message": "Out of paint."}}])
    code = "import gradient_notebook as g\ng.submit('A red house', quality='low')"
    first, failed = executed(tmp_path, simulator, code, "%%imagegen bad --no-wait\nA red house")
    assert image_types(first.outputs[0]) == ["image/jpeg"]
    assert "Out of paint." in str(failed.outputs)
    assert "in the background" not in str(failed.outputs)


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.compat
def test_a_kernel_that_is_told_to_end_records_what_ran(
    start_kernel: Callable[..., Kernel], slow: Simulator, restart: bool
) -> None:
    """It hangs up at once, and the record and the page say how it ended."""
    kernel = start_kernel(slow)
    kernel.run(_LOAD)
    cell = kernel.run("%%imagegen house --no-wait\nA red house")
    kernel.wait_for(lambda: slow.posts)

    if restart:
        kernel.manager.restart_kernel(now=False)
    else:
        kernel.manager.shutdown_kernel(now=False)

    assert slow.wait_for(lambda: slow.disconnected == 1)
    [(outcome, why)] = records(kernel.folder)
    assert (outcome, why[:18]) == ("cancelled", "The process ended ")
    kernel.hear_the_rest()
    assert "The process ended after" in cell.said
    assert "in the background" not in cell.said


def test_a_busy_kernel_that_is_terminated_records_what_ran(
    start_kernel: Callable[..., Kernel], slow: Simulator
) -> None:
    """A cell that computes keeps the kernel from ending by itself; what is sent next is SIGTERM."""
    kernel = start_kernel(slow)
    kernel.run(_LOAD)
    kernel.run("%%imagegen house --no-wait\nA red house")
    kernel.wait_for(lambda: slow.posts)
    computing = kernel.start("print('computing', flush=True)\nwhile True: pass")
    kernel.wait_for(lambda: computing.printed)

    kernel.manager.shutdown_kernel(now=False)

    [(outcome, why)] = records(kernel.folder)
    assert (outcome, why[:18]) == ("cancelled", "The process ended ")
