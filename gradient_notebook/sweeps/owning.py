"""A run has one runner at a time: taking it, hearing what others want of it, and giving it back."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import Any, Protocol

from ..api.errors import InvalidRequestError
from ..storage import runners
from ..storage.archive import Archive
from ..storage.locks import Lock
from ..storage.runners import State

POLL_S = 0.5
"""How often it is looked what others have written."""


class Owned(Protocol):
    """What is asked here of a sweep."""

    @property
    def id(self) -> str:
        """The id of its run."""

    @property
    def status(self) -> str:
        """Where it stands."""

    def cancel(self) -> bool:
        """Stop."""

    def pause(self) -> Any:
        """Send nothing more for now."""

    def resume(self) -> Any:
        """Go on."""


def own(archive: Archive, run: str) -> Lock:
    """Return the lock of a run: from now on this process is the one that makes it.

    Raises:
        InvalidRequestError: a living process makes it already.
        OSError: nothing can be written there.
    """
    if lock := runners.take(archive, run):
        return lock
    raise refusal(archive, run)


def refusal(archive: Archive, run: str) -> InvalidRequestError:
    """Return the error for who would make what is being made."""
    found = None
    with contextlib.suppress(OSError):
        found = runners.runners(archive.ledger, run).get(run)
    where = f" by {found.place}" if found else ""
    advice = f"Sweep.attach({run!r}) shows it, pauses it and cancels it."
    return InvalidRequestError(f"Run {run} is being made{where} already", advice, sent=False)


class Obedience:
    """Hears what others want of a sweep that runs here, and tells them where it stands."""

    def __init__(self, sweep: Owned, archive: Archive) -> None:
        self._sweep, self._ledger = sweep, archive.ledger
        self._told: tuple[State, int] = ("running", 0)
        self._heard = 0
        self._lock = threading.Lock()
        self._has_ended = False

    async def obey(self) -> None:
        """Look now and then, until this is cancelled."""
        import asyncio

        from ..jobs.threads import in_a_thread

        while True:
            await asyncio.sleep(POLL_S)
            await in_a_thread(self._look)

    def _look(self) -> None:
        # What the disk refuses is tried again: nothing of the work rests on it.
        with self._lock, contextlib.suppress(OSError):
            if self._has_ended:
                return
            found = runners.runners(self._ledger, self._sweep.id).get(self._sweep.id)
            if found and found.asked > self._heard:
                self._heard = found.asked
                wishes = {"pause": self._sweep.pause, "resume": self._sweep.resume, "cancel": self._sweep.cancel}
                wishes[found.wanted or "resume"]()
            self._tell("paused" if self._sweep.status == "paused" else "running")

    def end(self, state: State) -> None:
        """Write down how the sweep has ended. Raises OSError."""
        with self._lock:
            self._has_ended = True
            self._tell(state)

    def _tell(self, state: State) -> None:
        """Write down where the sweep stands, if that is new."""
        if self._told != (state, self._heard):
            runners.note(self._ledger, self._sweep.id, state, self._heard)
            self._told = (state, self._heard)


def is_of_its_own() -> bool:
    """Whether this process does nothing but make a run."""
    return _process == os.getpid()


def be_of_its_own() -> None:
    """Say that this process does nothing but make a run."""
    global _process
    _process = os.getpid()


_process = 0
