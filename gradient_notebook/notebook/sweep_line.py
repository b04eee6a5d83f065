"""What is shown of a sweep while somebody waits for it: where there is nothing but text, a line that says how far it is."""

from __future__ import annotations

import contextlib
import shutil
import sys
import threading
import weakref
from collections.abc import Collection, Iterator
from typing import Any, TextIO

from ..sweeps.sweep import Sweep
from . import formatting, sweep_words

_BAR = 20
_watched: weakref.WeakSet[Sweep] = weakref.WeakSet()


@contextlib.contextmanager
def watch_sweep(sweep: Sweep) -> Iterator[None]:
    """Show where a sweep stands while somebody waits for it: its grid in a notebook, a line in a terminal, elsewhere nothing."""
    if _is_in_notebook() and threading.current_thread() is threading.main_thread():
        from .sweep_view import watching

        with watching(sweep):
            yield
    else:
        write_line(sweep)
        yield


def _is_in_notebook() -> bool:
    """Whether this is a notebook's kernel in which the extension is loaded."""
    ipython = sys.modules.get("IPython")  # where nobody has imported it there is none
    shell: Any = ipython and ipython.get_ipython()
    return hasattr(shell, "kernel") and "ImageGenMagics" in shell.magics_manager.registry


def write_line(sweep: Sweep, stream: TextIO | None = None) -> None:
    """Write where the sweep stands in one line of a terminal, over and over; elsewhere nothing."""
    stream = stream or sys.stderr
    if sweep not in _watched and is_seen(stream):
        _watched.add(sweep)
        sweep._observe(_Line(stream).update)


def is_seen(stream: TextIO | None = None) -> bool:
    """Whether somebody sees such a line."""
    stream = stream or sys.stderr
    return stream is not None and stream.isatty()  # a program without a console has none


class _Line:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._said = ""
        self._has_ended = False

    def update(self, sweep: Sweep, _changed: Collection[int]) -> None:
        """Write the line again; at the end of the sweep it stays."""
        is_over = sweep.done()
        columns = shutil.get_terminal_size().columns - 1
        words = f"{_bar(sweep)} {formatting.DOT.join(sweep_words.line(sweep))}"[:columns]
        with self._lock:
            if self._has_ended == is_over and (is_over or words == self._said):
                return  # an end may be told twice
            self._said, self._has_ended = words, is_over
            end = "\n" if is_over else ""
            self._stream.write(f"\r\x1b[K{words}{end}")
            self._stream.flush()


def _bar(sweep: Sweep) -> str:
    ended = sum(cell.has_ended for cell in sweep)
    filled = _BAR * ended // max(1, len(sweep))
    return f"[{'#' * filled}{'.' * (_BAR - filled)}]"
