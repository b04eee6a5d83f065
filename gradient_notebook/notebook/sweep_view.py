"""A sweep as a cell's value: a grid, live while the kernel is there, and behind it what stays in the notebook."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from IPython.core.getipython import get_ipython
from IPython.display import display

from ..sweeps.sweep import Sweep
from . import html, sweep_sheet, sweep_words
from .execution import is_executed
from .static_output import StaticFallback

if TYPE_CHECKING:
    from .widgets.grid import SweepGrid

_REFRESHED_S = 20.0
"""While it runs, what a saved notebook would show is brought up to date this often at most."""
_MOST_PLACES = 3
"""Cells that show one sweep and are kept up to date."""


def show_sweep(sweep: Sweep) -> dict[str, Any]:
    """Return a sweep as one thing to display, as it stands: small pictures and a line, which need no kernel."""
    return {**html.joined([sweep_sheet.sheet_of(sweep), sweep_sheet.words(sweep)]), "text/plain": text_of(sweep)}


def text_of(sweep: Sweep) -> str:
    """Return a sweep as text."""
    return "\n".join([repr(sweep), sweep_sheet.words(sweep)["text/plain"]])


def display_sweep(sweep: Sweep) -> None:
    """Show a sweep as the cell's output."""
    shell = get_ipython()
    if shell is None or not hasattr(shell, "kernel"):
        print(text_of(sweep))  # noqa: T201 - a terminal has no place for pictures
        return
    if is_executed():
        # Nothing would go on after the cell, and a widget is nothing without its kernel.
        if not sweep.done():
            sweep.result()
        display(show_sweep(sweep), raw=True)
        return
    shown_of(sweep).show()


_all: weakref.WeakKeyDictionary[Sweep, SweepShown] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def shown_of(sweep: Sweep) -> SweepShown:
    """Return what shows this sweep; there is one, however often it is shown."""
    with _lock:
        if sweep not in _all:
            _all[sweep] = SweepShown(sweep)
        return _all[sweep]


class SweepShown:
    """One sweep in the notebook: its grid, and in each cell that shows it what stands behind. Holds the sweep weakly."""

    _grid: SweepGrid

    def __init__(self, sweep: Sweep) -> None:
        from .widgets.grid import Background, SweepGrid

        self._sweep = weakref.ref(sweep)
        self._places: list[StaticFallback] = []
        self._grid = SweepGrid(sweep)
        self._told_s = 0.0
        self._kept = ""
        self._lock = threading.Lock()
        self._background = Background(self._refresh)
        sweep._observe(self._changed)

    def awaited(self, *, now: bool) -> None:
        """Say whether the cell that runs waits for the sweep."""
        self._grid.view.awaited = now

    def show(self, *, awaited: bool = False) -> None:
        """Show it in the cell that runs, which waits for it or does not."""
        self.awaited(now=awaited)
        from .widgets.bundle import view_of

        sweep = self._sweep()
        if sweep is None:
            return
        place = StaticFallback(html.behind(sweep_sheet.words(sweep)))
        place.update((sweep_sheet.sheet_of(sweep), {}), html.behind(sweep_sheet.words(sweep)))
        place.show(view_of(self._grid.view))
        self._places = [*self._places, place][-_MOST_PLACES:]

    def finish(self) -> None:
        """Bring everything up to date, and return when it is."""
        self._grid.update()
        self._refresh()

    def _changed(self, sweep: Sweep, changed: Collection[int]) -> None:
        if changed and sweep.done():
            self._kept = ""  # something stands under its pictures now
        self._background.ask()

    def _refresh(self) -> None:
        """Bring up to date what stands behind the grid, at the end and now and then."""
        sweep = self._sweep()
        if sweep is None or (sweep.status == "running" and time.monotonic() - self._told_s < _REFRESHED_S):
            return
        with self._lock:
            self._told_s = time.monotonic()
            words = sweep_words.line(sweep)
            if str(words) == self._kept:
                return
            self._kept = str(words)
            sheet, below = sweep_sheet.sheet_of(sweep), html.behind(sweep_sheet.words(sweep))
            for place in self._places:
                place.update((sheet, {}), below)
