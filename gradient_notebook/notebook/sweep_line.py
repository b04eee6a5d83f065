"""A line that says how far a sweep is while somebody waits for it, where there is nothing but text."""

from __future__ import annotations

import shutil
import sys
import threading
import weakref
from collections.abc import Collection
from typing import TextIO

from ..sweeps.sweep import Sweep
from . import formatting, sweep_words

_BAR = 20
_watched: weakref.WeakSet[Sweep] = weakref.WeakSet()


def watch_sweep(sweep: Sweep, stream: TextIO | None = None) -> None:
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
