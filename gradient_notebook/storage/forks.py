"""No file of the ledger is open, and nothing half imported, while the process forks.

SQLite in a child takes what it inherits for its own: it believes to hold the parent's locks, and both write as if
alone. And what another thread imports at this moment stays half imported there. So a fork waits until the ledger is
closed, and what would open it waits until the fork is over.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator


class _Gate:
    """Lets many threads in at once, or one that forks, who waits until they have left."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._forking = 0
        # By thread: who is inside already must get in again while a fork waits, and does not wait for himself.
        self._mine = threading.local()

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Keep forks out."""
        depth = getattr(self._mine, "depth", 0)
        with self._changed:
            while self._forking and not depth:
                self._changed.wait()
            self._inside += 1
            self._mine.depth = depth + 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._mine.depth = depth
                self._changed.notify_all()

    def before_fork(self) -> None:
        """Wait until all others have left, and let nobody in."""
        self._changed.acquire()
        self._forking += 1
        # Bounded by what is done inside: a ledger is waited for `_BUSY_S` at most, and writing takes milliseconds.
        while self._inside > getattr(self._mine, "depth", 0):
            self._changed.wait()

    def after_in_parent(self) -> None:
        """Let them in again."""
        self._forking -= 1
        self._changed.notify_all()
        self._changed.release()

    def after_in_child(self) -> None:
        """Start again with the one thread that there is: who else was inside, or waited, is the parent's."""
        self._changed = threading.Condition()
        self._inside = getattr(self._mine, "depth", 0)
        self._forking = 0


_gate = _Gate()
if hasattr(os, "register_at_fork"):  # Windows forks nothing
    os.register_at_fork(
        before=_gate.before_fork, after_in_parent=_gate.after_in_parent, after_in_child=_gate.after_in_child
    )


def without_forks() -> contextlib.AbstractContextManager[None]:
    """Return a context in which a file of the ledger may be open: no fork happens before its end."""
    return _gate.open()
