"""What a worker keeps: originals where those of all lie, and beside them what came of each cell."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..api.params import ImageGenerateParams
from ..api.settings import Settings
from ..jobs.recorder import Part, Recorder
from ..storage.archive import Archive
from ..storage.ledger import Record
from ..storage.outcome import Outcome
from .claims import Claims, Done
from .lease import Order

if TYPE_CHECKING:
    from sqlite3 import Connection

PREVIEW_PX = 320
"""Long edge of what is shown of an image until somebody opens it, in pixels."""
_MOST_PREVIEW_BYTES = 50_000


class Account:
    """Has the record of one cell written as what came of it; nobody but the broker writes the ledger."""

    def __init__(self, claims: Claims) -> None:
        self._claims = claims
        self.notes: list[str] = []
        self.preview = b""

    def put(self, record: Record) -> None:
        """Write it as soon as there is anything that must not be lost. Raises OSError."""
        if any(image.outcome == "done" and not image.file for image in record.images):
            return  # the disk has refused the image: it goes to the broker by message, with what there is to say
        if record.ended_at is not None or any(image.file for image in record.images):
            self._claims.finish(Done(record, self.preview))


class SharedArchive(Archive):
    """The archive, as a worker writes it."""

    def __init__(self, folder: Path, claims: Claims) -> None:
        super().__init__(folder)
        self.ledger: Any = Account(claims)


class LeaseRecorder(Recorder):
    """The recorder of a leased cell. Its money is reserved, counted and settled by the broker alone."""

    _archive: SharedArchive | None

    def __init__(
        self, archive: SharedArchive, order: Order, params: ImageGenerateParams, settings: Settings, run: str
    ) -> None:
        super().__init__(archive, params, settings, Part(run, order.index))
        self._record = dataclasses.replace(self._record, id=order.record_id)

    def _reserve(self) -> None:
        self._price = None
        self._record = dataclasses.replace(self.record, currency=None, most=None)
        self.note()

    def _note(self, check: Callable[[Connection], None] | None = None) -> None:  # noqa: ARG002 - nothing is reserved here
        self._record = self.record
        if self._archive is not None:
            self._archive.ledger.put(self._record)
            self.is_recorded, self._has_failed = True, False

    def end(self, outcome: Outcome) -> None:
        """Write down what has come of it, with a small picture."""
        if self._archive is not None:
            self._archive.ledger.preview = self._preview()
        super().end(outcome)

    def _preview(self) -> bytes:
        from ..imaging import preview

        with contextlib.suppress(Exception):  # a picture of a picture, which can be made again
            image = next((slot.image for slot in self._slots if slot.image is not None), None)
            if image is not None and len(data := preview(image, PREVIEW_PX).data) <= _MOST_PREVIEW_BYTES:
                return data
        return b""
