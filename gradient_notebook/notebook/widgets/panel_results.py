"""What a panel has made and is making: enough to show it, to hand over its originals, and to ask for it again."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...jobs.image_slot import ImageSlot
from ...jobs.job import Job
from ...storage.archive import Archive, bytes_of
from ...storage.ratings import ImageKey
from .live import Gallery, LiveJob
from .rating import Rater, keys_of

KEPT_RESULTS = 50
"""How many stay in view. Older ones stay on disk."""


@dataclass
class Result:
    """What one click on Generate has made."""

    live: LiveJob
    name: str
    given: Mapping[str, Any]
    """What the form said: the prompt as it was typed."""
    interpolates: bool
    job: Job | None = None
    """None once it is no longer the newest: its images are large, and its originals lie on disk."""
    slots: list[ImageSlot] = field(default_factory=list)
    """Of a job that is no longer held, without the images."""
    state: dict[str, Any] = field(default_factory=dict)
    """What is to be seen of it, once it has ended."""

    @property
    def has_ended(self) -> bool:
        """Whether its end has been seen to: a job itself ends a little before."""
        return bool(self.state)

    def original(self, index: int) -> bytes:
        """Return the bytes of an image as the service sent them. Raises OSError where they are gone."""
        job = self.job  # which another thread may let go
        slot = (job._slots if job else self.slots)[index]
        if slot.image_bytes is None and (slot.path is None or slot.is_partial):
            msg = "There is no finished image."
            raise FileNotFoundError(msg)
        return slot.image_bytes or bytes_of(slot.path)  # type: ignore[arg-type] # one of them is there

    def let_go(self) -> None:
        """Keep what is small: of an image on disk its place, of another its file."""
        if job := self.job:
            # Before the job goes: `original` looks at one or the other, and takes no lock.
            self.slots = [
                ImageSlot(
                    slot.status,
                    path=slot.path,
                    is_partial=slot.is_partial,
                    image_bytes=None if slot.path else slot.image_bytes,
                )
                for slot in job._slots
            ]
            self.job = None


class Results:
    """All results by their numbers, oldest first, as the gallery shows them. Told from several threads."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery
        self._rater = Rater(gallery)
        self._all: dict[str, Result] = {}
        self._newest: Result | None = None
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._assigned: dict[str, int] = {}
        self._latest = 0
        self.latest: Job | None = None
        """The newest job that has ended with an image."""

    @property
    def newest(self) -> Job | None:
        """The newest job."""
        return self._newest.job if self._newest else None

    def number(self) -> int:
        """Return the next number."""
        return next(self._numbers)

    def find(self, number: Any) -> Result | None:
        """Return a result by its number."""
        return self._all.get(str(number))

    def original(self, number: Any, slot: int) -> tuple[str, bytes]:
        """Return the variable's name and the bytes of an image. Raises OSError, LookupError."""
        result = self._all[str(number)]
        return result.name, result.original(slot)

    def add(self, result: Result) -> None:
        """Show a job that begins."""
        with self._lock:
            if self._newest and self._newest.has_ended:
                self._newest.let_go()
            self._newest = self._all[result.live.id] = result
            self._show()
            self._gallery.selected = result.live.id

    def restore(self, result: Result, state: dict[str, Any], archive: Archive, keys: Mapping[int, ImageKey]) -> bool:
        """Show what an earlier kernel has made; return whether nothing newer is there.

        `keys` are what the ledger knows its images by.
        """
        self._look(result, archive, keys)
        with self._lock:
            result.state = state
            self._all[result.live.id] = result
            self._all = dict(sorted(self._all.items(), key=lambda item: int(item[0])))
            is_newest = next(reversed(self._all)) == result.live.id
            if is_newest:
                if self._newest:
                    self._newest.let_go()
                self._newest = result
            else:
                result.let_go()
            self._gallery.finished = [one.state for one in reversed(self._all.values()) if one.has_ended]
            if is_newest:
                self._gallery.selected = result.live.id
        return is_newest

    def update(self) -> None:
        """Show where the running jobs stand."""
        with self._lock:
            self._show()

    def assign(self, result: Result, job: Job, assign: Callable[[], None]) -> None:
        """Assign images, unless a result that began later was here before: the order of the ends does not count."""
        number = int(result.live.id)
        with self._lock:
            if number > self._latest:
                self._latest, self.latest = number, job
            if number > self._assigned.get(result.name, 0):
                self._assigned[result.name] = number
                # Under the lock: a newer result that is assigned between the two lines would be lost.
                assign()

    def shown(self) -> tuple[Result, int] | None:
        """Return the result in view and the finished image that stands for it, or None."""
        number, _, index = self._gallery.selected.partition(".")
        result = self._all.get(number) or self._newest
        if result is None:
            return None
        job = result.job
        slots = job._slots if job else result.slots
        finished = [at for at, slot in enumerate(slots) if slot.status == "done" and index in ("", str(at))]
        return (result, finished[0]) if finished else None

    def end(self, result: Result, state: dict[str, Any]) -> None:
        """Show a job that has ended, by its last state."""
        if job := result.job:
            self._look(result, job._recorder._archive, keys_of(job))
        with self._lock:
            result.state = state
            if result is not self._newest:
                result.let_go()
            ended = [number for number, one in self._all.items() if one.has_ended]
            for number in ended[:-KEPT_RESULTS]:
                gone = self._all.pop(number)
                self._gallery.forget(gone.live.keys)
                self._rater.forget([_name(gone, at) for at in range(len(gone.slots))])
            # First: a job must not be in neither of them.
            self._gallery.finished = [one.state for one in reversed(self._all.values()) if one.has_ended]
            self._show()

    def clear(self) -> None:
        """Let go of all."""
        with self._lock:
            self._all.clear()

    def _look(self, result: Result, archive: Archive | None, keys: Mapping[int, ImageKey]) -> None:
        """Show what is thought of the images of a result, which can be rated from now on."""
        self._rater.look(archive, {_name(result, at): key for at, key in keys.items()})

    def _show(self) -> None:
        running = [one for one in reversed(self._all.values()) if one.job and not one.has_ended]
        self._gallery.running = [one.live.state(one.job) for one in running]


def _name(result: Result, at: int) -> str:
    """Return what the browser calls an image of a result."""
    return f"{result.live.id}.{at}"
