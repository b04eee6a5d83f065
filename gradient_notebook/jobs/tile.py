"""One of a job's images on its way, from its first partial image to the file on disk and the PIL image."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..api.errors import InvalidResponse
from ..api.events import ImageGenCompletedEvent
from .archive import Archive

if TYPE_CHECKING:
    from PIL.Image import Image

Status = Literal["running", "done", "failed", "cancelled"]


@dataclass
class Tile:
    """One of a job's n images. `partials` and `image_bytes` are files as the service sent them."""

    status: Status = "running"
    partials: list[bytes] = field(default_factory=list, repr=False)
    image_bytes: bytes | None = field(default=None, repr=False)
    image: Image | None = None
    event: ImageGenCompletedEvent | None = None
    path: Path | None = None
    """Where the original lies."""
    error: Exception | None = None

    @property
    def newest(self) -> bytes | None:
        """The finished file, or the newest partial one."""
        return self.image_bytes or (self.partials[-1] if self.partials else None)

    def finish(self, event: ImageGenCompletedEvent, archive: Archive | None) -> str:
        """Put the image on disk first, then open it. Return what is to be said if the disk would not have it."""
        notice = ""
        self.event, self.image_bytes = event, event.image_bytes
        try:
            self.path = archive.keep(event.image_bytes) if archive else None
        except OSError as error:
            notice = f"The original could not be kept on disk ({error}). Save the image yourself."
        self._open(event.image_bytes)
        return notice

    def _open(self, data: bytes) -> None:
        from ..imaging import open_image

        try:
            image = open_image(data)
            image.filename = str(self.path or "")  # as if it had been opened from there
            self.image, self.status = image, "done"
        except InvalidResponse as error:
            if self.path:
                error.advice = f"The bytes as they came lie in {self.path}. {error.advice}"
            self.status, self.error = "failed", error


def opened(files: Iterable[bytes]) -> list[Image]:
    """Return the files as PIL images, but for those that are none: a broken partial image is no loss."""
    from ..imaging import open_image

    found: list[Image] = []
    for data in files:
        with contextlib.suppress(InvalidResponse):
            found.append(open_image(data))
    return found
