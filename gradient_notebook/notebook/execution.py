"""Where the code runs: whether pictures have a place there, and whether somebody sits before them."""

from __future__ import annotations

import sys
from typing import Any

from IPython.core.getipython import get_ipython

from ..jobs.job import Job

_ASKED_OF_A_JOB = ("result", "exception", "done", "cancelled", "cancel")


def _request() -> dict[str, Any]:
    """Return the request that is being executed; nothing where there is no kernel that says so."""
    kernel = getattr(get_ipython(), "kernel", None)
    return (kernel.get_parent("shell") or {}) if kernel is not None and hasattr(kernel, "get_parent") else {}


def cell_now() -> str:
    """Return what tells the cell that runs from others; empty where nobody knows."""
    return str(_request().get("header", {}).get("msg_id", ""))


def is_executed() -> bool:
    """Whether a program executes this cell: nbclient, nbconvert, papermill, Voilà.

    It says with the request that nobody can answer a question. It takes no output that comes after the cell, and gives
    the kernel some seconds to end after the last one.
    """
    return _request().get("content", {}).get("allow_stdin") is False


def is_terminal() -> bool:
    """Whether IPython runs in a terminal."""
    return type(get_ipython()).__name__ == "TerminalInteractiveShell"  # by its name: its module would load a terminal's


def shows_pictures() -> bool:
    """Whether what is displayed has a place: in IPython, and in marimo, which has no IPython and displays what it is given."""
    marimo = sys.modules.get("marimo")
    return get_ipython() is not None or bool(marimo and marimo.running_in_notebook())


class _Images(list[Any]):
    """A list that can have attributes."""


def answering_as(job: Job) -> Any:
    """Return the value of a job that has ended, which answers `result()` and its like as the job did.

    A cell below was written for a name that still held the job by then, as it does where somebody runs the cells.
    """
    value = _Images(job._value) if isinstance(job._value, list) else job._value
    for name in _ASKED_OF_A_JOB:
        setattr(value, name, getattr(job, name))
    return value
