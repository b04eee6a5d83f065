"""Stars, tags and notes of the images that a widget shows: kept where they are given, and shown wherever the image is."""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Collection, Mapping
from typing import Any

from ...api.errors import InvalidRequestError
from ...api.text import clean
from ...history.rating import rate_image, watch
from ...jobs.job import Job
from ...storage.archive import Archive
from ...storage.ratings import ImageKey, ratings
from .live import Rated

_logger = logging.getLogger("gradient_notebook")
_CHANGES = ("stars", "tags", "note")


class Rater:
    """Keeps what is given to the images of one widget, and shows there what is given elsewhere in this process.

    An image has a name that the browser calls it by.
    """

    def __init__(self, view: Rated) -> None:
        self._view = view
        self._images: dict[str, tuple[Archive, ImageKey]] = {}
        self._lock = threading.Lock()
        view.actions["rate"] = self._on_rate
        watch(self)

    def look(self, archive: Archive | None, images: Mapping[str, ImageKey | None]) -> None:
        """Show what is thought of these images from now on; one without a key cannot be rated (any more)."""
        known = {name: (archive, image) for name, image in images.items() if archive and image}
        with self._lock:
            self._images = {name: one for name, one in self._images.items() if name not in images} | known
        self._show(images)

    def forget(self, names: Collection[str]) -> None:
        """Let go of images that the widget does not show any more."""
        self.look(None, dict.fromkeys(names))

    def refresh(self) -> None:
        """Show what other processes have given meanwhile."""
        self._show(list(self._images))

    def rated(self, image: ImageKey) -> None:
        """Show what is thought of an image by now."""
        if names := [name for name, (_, one) in list(self._images.items()) if one == image]:
            self._show(names)

    def _show(self, names: Collection[str]) -> None:
        with self._lock:  # two threads would show what was read first after what was read last
            images = {name: self._images[name] for name in names if name in self._images}
            found: dict[ImageKey, dict[str, Any]] = {}
            for archive in {archive.folder: archive for archive, _ in images.values()}.values():
                try:
                    kept = ratings(archive.ledger, [image for _, image in images.values()])
                except OSError as error:  # what is there to be seen is worth having without them
                    _logger.warning("Ratings cannot be read: %s", clean(str(error)))
                    return
                found |= {image: dataclasses.asdict(rating) for image, rating in kept.items()}
            others = {name: rating for name, rating in self._view.ratings.items() if name not in names}
            rated = {name: found[image] for name, (_, image) in images.items() if image in found}
            self._view.ratings = others | rated

    def _on_rate(self, content: Mapping[str, Any]) -> None:
        """Keep what the browser gives, and say why where that cannot be."""
        name = str(content.get("image"))
        try:
            if name not in self._images:
                what = "There is no image here that the archive keeps"
                raise InvalidRequestError(what, "Ratings are kept beside images.", sent=None)
            rate_image(*self._images[name], **{what: content[what] for what in _CHANGES if what in content})
        except Exception as error:  # noqa: BLE001 - the browser waits for an answer, and nobody reads a log
            self._show([name])  # it may have gone with its record
            self._view.answer(content, error=clean(str(error), lines=True) or type(error).__name__)
        else:
            self._view.answer(content)


def keys_of(job: Job) -> dict[int, ImageKey]:
    """Return what the ledger knows the finished images of a job by, as far as it does, by their places."""
    record = job._recorder.record
    if not job._recorder.is_recorded:
        return {}
    finished = [image for image in record.images if image.file and image.outcome == "done" and not image.is_partial]
    return {image.position: (record.id, image.position) for image in finished}
