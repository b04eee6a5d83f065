"""Which of several identical requests is which. Apart from the rest of a job: each cell's beginning is noted here."""

from __future__ import annotations

import threading
from collections import Counter


class _Numbers:
    """Which of several identical requests is which: the k-th of this process takes the k-th answer.

    A cell that is run again asks for what it has asked for before. Where nobody says which cell it is, each request
    is a new one.
    """

    def __init__(self) -> None:
        self._cell = ""
        self._asked: Counter[str] = Counter()
        """How often the cell that runs has asked for an identity."""
        self._given: dict[tuple[str, str, int], int] = {}
        self._next: Counter[str] = Counter()
        self._lock = threading.Lock()

    def begin_cell(self, cell: str) -> None:
        """Note that a cell begins."""
        with self._lock:
            self._cell = cell
            self._asked.clear()

    def take(self, identity: str, count: int) -> int:
        """Return the number of the first of `count` images, from 0."""
        with self._lock:
            asked = self._asked[identity]
            self._asked[identity] += 1
            key = (identity, self._cell, asked)
            if self._cell and key in self._given:
                return self._given[key]
            first = self._given[key] = self._next[identity]
            self._next[identity] += count
            return first


numbers = _Numbers()
"""Of this process."""
