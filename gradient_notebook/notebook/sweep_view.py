"""A sweep as a cell's value, or some of its cells: a grid, live while it runs, and behind it what stays in the notebook."""

from __future__ import annotations

import contextlib
import threading
import time
import weakref
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from IPython.core.getipython import get_ipython
from IPython.display import display

from ..history.rating import watch
from ..storage.ratings import ImageKey
from ..sweeps.cells import Cells
from ..sweeps.sweep import Sweep
from . import html, sweep_sheet, sweep_words
from .execution import cell_now, is_executed
from .static_output import StaticFallback

if TYPE_CHECKING:
    from .widgets.grid import SweepGrid

_REFRESHED_S = 20.0
"""While it runs, what a saved notebook would show is brought up to date this often at most."""
_MOST_PLACES = 3
"""Cells that show one sweep and are kept up to date."""
_RUNS = ("running", "paused")


def show_sweep(sweep: Cells) -> dict[str, Any]:
    """Return a sweep, or some of its cells, as one thing to display, as it stands: small pictures and a line, which need no kernel."""
    return {**html.joined([sweep_sheet.sheet_of(sweep), sweep_sheet.words(sweep)]), "text/plain": text_of(sweep)}


def text_of(sweep: Cells) -> str:
    """Return a sweep, or some of its cells, as text."""
    return "\n".join([repr(sweep), sweep_sheet.words(sweep)["text/plain"]])


def display_sweep(sweep: Cells) -> None:
    """Show a sweep, or some of its cells, as the cell's output."""
    shell = get_ipython()
    if shell is None or not hasattr(shell, "kernel"):
        print(text_of(sweep))  # noqa: T201 - a terminal has no place for pictures
    elif is_executed():
        # Nothing would go on after the cell, and a widget is nothing without its kernel.
        whole = sweep_words.whole_of(sweep)
        if not whole.done():  # one that has not been started stays so
            whole._wait()
        _display_static(sweep)
    elif sweep_words.is_part(sweep) and sweep_words.status_of(sweep) not in _RUNS:
        display(show_sweep(sweep), raw=True)
    elif not _try_to_show(sweep):
        _display_static(sweep)


@contextlib.contextmanager
def watching(sweep: Sweep) -> Iterator[None]:
    """Show a sweep under the cell that waits for it, which stays there as what has come of it."""
    if is_executed():
        yield
        _display_static(sweep, awaited=True)
        return
    shown = _try_to_show(sweep, awaited=True)
    try:
        yield
    finally:
        if shown:
            shown.awaited(now=False)
        if shown and sweep.done():
            shown.finish()
    if not shown:
        _display_static(sweep, awaited=True)


def _try_to_show(sweep: Cells, *, awaited: bool = False) -> SweepShown | None:
    """Show the grid of a sweep, and return it; where that cannot be, say why."""
    try:
        shown = shown_of(sweep)
        shown.show(awaited=awaited)
    except Exception as error:  # noqa: BLE001 - whatever a front end's libraries raise: decoration never stops the work
        print(f"The grid cannot be shown here ({type(error).__name__}: {error}).")  # noqa: T201
        return None
    return shown


class _ShownIn:
    """Which cell shows a sweep: one that waits for it may have it as its value, too. What is displayed twice is there twice."""

    _newest = _waiting = ""

    def this_cell(self, *, awaited: bool) -> bool:
        """Whether the cell that runs shows it already; from now on it does."""
        here = cell_now()
        before = self._newest if awaited else self._waiting
        self._newest, self._waiting = here, here if awaited else ""
        return bool(here) and before == here


_static: weakref.WeakKeyDictionary[Cells, _ShownIn] = weakref.WeakKeyDictionary()


def _display_static(sweep: Cells, *, awaited: bool = False) -> None:
    """Show a sweep as it stands."""
    if not _static.setdefault(sweep, _ShownIn()).this_cell(awaited=awaited):
        display(show_sweep(sweep), raw=True)


_all: weakref.WeakKeyDictionary[Cells, SweepShown] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def shown_of(sweep: Cells) -> SweepShown:
    """Return what shows this sweep; there is one, however often it is shown. Each part of it has its own."""
    with _lock:
        if sweep_words.is_part(sweep):
            return SweepShown(sweep)
        if sweep not in _all or _all[sweep].is_closed:
            _all[sweep] = SweepShown(sweep)
        return _all[sweep]


class SweepShown:
    """One sweep in the notebook: its grid, and in each cell that shows it what stands behind. Holds the sweep weakly."""

    _grid: SweepGrid

    def __init__(self, sweep: Cells) -> None:
        from .widgets.background import Background
        from .widgets.grid import SweepGrid

        self._sweep = weakref.ref(sweep)
        # Nobody else may hold a part: its sweep holds this, as long as it is there itself.
        self._part = sweep if sweep_words.is_part(sweep) else None
        self._places: list[StaticFallback] = []
        self._shown_in = _ShownIn()
        self._grid = SweepGrid(sweep)
        self._told_s = 0.0
        self._kept = ""
        self._lock = threading.Lock()
        self._background = Background(self._refresh)
        sweep_words.whole_of(sweep)._observe(self._changed)
        watch(self)

    @property
    def is_closed(self) -> bool:
        """Whether its widget is gone, as after `Widget.close_all()`."""
        return self._grid.view.comm is None

    def awaited(self, *, now: bool) -> None:
        """Say whether the cell that runs waits for the sweep."""
        self._grid.view.awaited = now

    def show(self, *, awaited: bool = False) -> None:
        """Show it in the cell that runs, which waits for it or does not; where that shows it already, do no more."""
        self.awaited(now=awaited)
        self._grid.rater.refresh()
        from .widgets.bundle import view_of

        sweep = self._sweep()
        if sweep is None or self._shown_in.this_cell(awaited=awaited):
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

    def rated(self, image: ImageKey) -> None:
        """Have what was given to an image stand behind the grid, too."""
        if (sweep := self._sweep()) is not None and any(cell.record_id == image[0] for cell in sweep):
            self._kept = ""
            self._background.ask()

    def _refresh(self) -> None:
        """Bring up to date what stands behind the grid, at the end and now and then."""
        sweep = self._sweep()
        if sweep is None:
            return
        if sweep_words.status_of(sweep) == "running" and time.monotonic() - self._told_s < _REFRESHED_S:
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
