"""Cells that change, and those who are told of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from typing import Any

from .cell import Cell
from .cells import Cells

_logger = logging.getLogger("gradient_notebook")

Observer = Callable[[Any, Collection[int]], None]
"""Called with the sweep and the cells that have changed, by their indices."""


class Observed(Cells):
    """Tells its observers what has changed, on a thread of the package."""

    _observers: list[Observer]
    _dirty: set[int]
    """Cells that have changed, and of which nobody has been told."""
    _told: Any
    """Set when there is something to tell."""
    _is_over: bool

    def _observe(self, observer: Observer) -> None:
        """Call `observer(sweep, indices)` after changes, from a thread of the package. It must not wait for the sweep."""
        self._observers.append(observer)

    def _marked(self, changed: Sequence[int]) -> None:
        for observer in list(self._observers):
            self._tell_one(observer, changed)

    def _changed(self, cell: Cell) -> None:
        self._dirty.add(cell.index)
        self._told.set()

    async def _tell_changes(self) -> None:
        """Tell the observers, on a thread: changes that come while they are busy are told together."""
        from ..jobs.threads import in_a_thread

        is_over = False
        while not is_over:
            await self._told.wait()
            self._told.clear()
            is_over = self._is_over  # before they are told: they hear of the end itself, too
            changed, self._dirty = self._dirty, set()
            for observer in list(self._observers):
                await in_a_thread(self._tell_one, observer, changed)

    def _tell_one(self, observer: Observer, changed: Collection[int]) -> None:
        try:
            observer(self, changed)
        except Exception:
            _logger.exception("An observer of %r failed", self)
