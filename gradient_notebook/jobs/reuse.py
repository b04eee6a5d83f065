"""A request that the archive has already answered is served from there: which answer, and whether it is still whole."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..api.errors import InvalidRequestError
from ..api.events import REPORTED, ImageGenCompletedEvent, Usage
from ..storage.archive import Archive, damage_of, read_original
from ..storage.record import ImageRecord, Record
from ..storage.runs import Kept, images_of
from .image_slot import ImageSlot


@dataclass(frozen=True)
class Answer:
    """A finished image of the archive, with the record that names it."""

    record: Record
    image: ImageRecord
    path: Path

    @property
    def is_whole(self) -> bool:
        """Whether its original is there, as it was received."""
        return not damage_of(self.path)

    def fill(self, slot: ImageSlot) -> None:
        """Let a job's slot have it, as if the service had just sent it, with the tokens that it took then."""
        known: dict[str, Any] = {name: self.image.reported.get(name) for name in REPORTED}
        data = read_original(self.path)
        usage = Usage.of(self.image.usage)
        slot.event = ImageGenCompletedEvent(
            image_bytes=data, usage=usage, revised_prompt=self.image.revised_prompt, **known
        )
        slot.image_bytes, slot.byte_count, slot.path = data, len(data), self.path
        slot.request_id, slot.is_reused = self.image.request_id, True
        slot.open()


def answers_of(archive: Archive, record: Record) -> list[Answer]:
    """Return the finished images of a record that are still whole."""
    return [answer for answer in _finished(archive, ((record, image) for image in record.images)) if answer.is_whole]


def answers_to(archive: Archive, identity: str) -> list[Answer]:
    """Return what the archive has answered this request with, the oldest first."""
    return _finished(archive, images_of(archive.ledger, [identity]).get(identity, ()))


def _finished(archive: Archive, kept: Iterable[Kept]) -> list[Answer]:
    return [
        Answer(record, image, archive.originals / Path(image.file).name)
        for record, image in kept
        if image.file and image.outcome == "done" and not image.is_partial
    ]


@dataclass(frozen=True)
class Reuse:
    """What a job is to take from the archive: the answers to its identity from `number` on, one for each image."""

    archive: Archive
    identity: str
    number: int
    is_asked: bool = True
    """Whether somebody has asked for it: then it comes before anything is sent, and what is lost is told, and not made again.

    Where nobody has, it is what somebody else may have made until the request is sent.
    """

    def fill(self, slots: list[ImageSlot]) -> list[Record]:
        """Fill slots from the first on, as far as there are answers; return the records that they come from.

        Raises:
            InvalidRequestError: an answer has lost its original, and nothing else is there in its place.
        """
        usable, lost = self._answers()
        if self.is_asked and (lost or len(usable) < self.number + len(slots)):
            self.archive.adopt()  # an image whose process was killed is paid for as well
            usable, lost = self._answers()
        used = usable[self.number : self.number + len(slots)]
        for slot, answer in zip(slots, used, strict=False):
            answer.fill(slot)
        if self.is_asked and lost and len(used) < min(len(slots), len(usable) + len(lost) - self.number):
            raise _lost(lost[0])
        return [answer.record for answer in used]

    def _answers(self) -> tuple[list[Answer], list[Answer]]:
        """Return the answers that are whole, and those that have lost their original."""
        usable: list[Answer] = []
        lost: list[Answer] = []
        for answer in answers_to(self.archive, self.identity):
            (usable if answer.is_whole else lost).append(answer)
        return usable, lost


def _lost(answer: Answer) -> InvalidRequestError:
    what = f"The original of the image that answers this request is missing or changed: {answer.path}"
    advice = "Without reuse it is made again, and billed. Or put the file back, or delete its record."
    error = InvalidRequestError(what, advice, sent=False)
    error.record_id = answer.record.id
    return error


def without_reused(record: Record, slots: list[ImageSlot]) -> Record:
    """Return a record that asks only for what is not reused: what it lists was made, and billed, by its request."""
    count = sum(not slot.is_reused for slot in slots)
    return dataclasses.replace(record, params={**record.params, "n": count}) if count < len(slots) else record


def notes_on_reuse(slots: list[ImageSlot]) -> Iterator[str]:
    """Yield how many of several images were not made again, where some were."""
    reused, made = (sum(slot.image is not None and slot.is_reused is one for slot in slots) for one in (True, False))
    if reused and made:
        yield f"{reused} of {reused + made} images are reused, not billed."
