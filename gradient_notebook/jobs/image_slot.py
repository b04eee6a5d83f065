"""One of a job's images on its way, from its first partial image to the file on disk and the PIL image."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..api import bounds
from ..api.errors import InvalidResponseError
from ..api.events import ImageGenCompletedEvent
from ..storage.forks import without_forks
from ..storage.outcome import ENDED, Outcome, advance, outcome_of

if TYPE_CHECKING:
    from PIL.Image import Image

    from ..api.retry import Wait
    from ..imaging import Preview

_PER_PARTIAL_BYTES = 1024  # what each costs beside its bytes, roughly: a million of empty ones count, too


# Not equal by value: the recorder finds a slot by `index`, and two that have nothing yet are alike.
@dataclass(eq=False)
class ImageSlot:
    """One of a job's n images. `partials` and `image_bytes` are files as the service sent them."""

    status: Outcome = "running"
    """Changed by `advance` only."""
    partials: list[bytes] = field(default_factory=list, repr=False)
    image_bytes: bytes | None = field(default=None, repr=False)
    image: Image | None = None
    event: ImageGenCompletedEvent | None = None
    path: Path | None = None
    """Where the original lies."""
    is_partial: bool = False
    """Whether what lies there is only the newest partial image: the finished one did not come."""
    address: str | None = None
    """Where the service says that the finished image is, if it says so."""
    received: bytes = field(default=b"", repr=False)
    """What came instead of the finished image, and may have been paid for."""
    is_sent: bool = False
    """Whether its request may have gone out, and was not refused so that it waits; its error knows better, if there is one."""
    request_id: str | None = None
    wait: Wait | None = None
    """What it waits for before it is asked for (again)."""
    elsewhere: int = 0
    """While it is queued: how many requests of other processes have the places that it waits for."""
    error: Exception | None = None
    byte_count: int = 0
    """Length of the finished file, also when it has been let go."""
    is_reused: bool = False
    """Whether it comes from the archive: nothing was sent for it."""
    preview: tuple[int, Preview] | None = field(default=None, repr=False)
    """Of the finished image, and for how many pixels it was made: what is live and what stays show the same one."""
    is_let_go: bool = False
    """Whether the finished image is in memory no more: nobody has asked for it, and there are many."""
    _dropped: int = field(default=0, repr=False)
    _partial_bytes: int = field(default=0, repr=False)

    @property
    def newest(self) -> bytes | None:
        """The finished file, or the newest partial one."""
        return self.image_bytes or (self.partials[-1] if self.partials else None)

    @property
    def original(self) -> bytes | None:
        """What is to be kept on disk: the finished file, what came instead of it, or the newest partial one."""
        return self.image_bytes or self.received or self.newest

    @property
    def may_be_billed(self) -> bool:
        """Whether it may be billed though it did not come."""
        return self.is_sent and (self.error is None or getattr(self.error, "may_be_billed", True))

    @property
    def has_ended(self) -> bool:
        """Whether nothing more comes."""
        return self.status in ENDED

    def advance(self, to: Outcome) -> None:
        """Take the next step; raise ValueError where it is none."""
        self.status = advance(self.status, to)

    def fail(self, error: Exception) -> None:
        """End without an image."""
        self.error = error
        self.request_id = getattr(error, "request_id", None) or self.request_id
        self.advance(outcome_of(error))

    def add_partial(self, data: bytes) -> None:
        """Take a partial image. Where they would fill the memory, the oldest are dropped; their places stay, empty."""
        self.partials.append(data)
        self._partial_bytes += len(data) + _PER_PARTIAL_BYTES
        while self._partial_bytes > bounds.MAX_PARTIAL_BYTES and self._dropped < len(self.partials) - 1:
            self._partial_bytes -= len(self.partials[self._dropped]) + _PER_PARTIAL_BYTES
            self.partials[self._dropped] = b""
            self._dropped += 1

    def let_go(self) -> None:
        """Drop the finished image from memory; its file, if there is one, stays."""
        self.is_let_go, self.image, self.image_bytes, self.preview = True, None, None, None
        if self.event:
            self.event = dataclasses.replace(self.event, image_bytes=b"")

    def open(self) -> None:
        """Open the finished image, whose bytes have been kept."""
        with without_forks():
            from ..imaging import open_image

        try:
            image = open_image(self.image_bytes or b"")
            image.filename = str(self.path or "")  # as if it had been opened from there
            self.image = image
            self.advance("done")
        except InvalidResponseError as error:
            error.request_id = self.request_id
            error.path = str(self.path) if self.path else None
            error.address = self.address or ""
            self.fail(error)


def goes_out(wait: Wait | None) -> bool:
    """Return whether a request goes out now that this is told of its wait: what waits certainly has not reached the model.

    To be asked in the task that sends it: cancelled in its wait, it is not sent after it.
    """
    import asyncio  # with the first request: a card need not wait for it

    task = asyncio.current_task()
    return wait is None and not (task and task.cancelling())


def open_all(files: Iterable[bytes]) -> list[Image]:
    """Return the files as PIL images, but for those that are none: a broken partial image is no loss."""
    from ..imaging import open_image

    found: list[Image] = []
    for data in files:
        with contextlib.suppress(InvalidResponseError):
            found.append(open_image(data))
    return found
