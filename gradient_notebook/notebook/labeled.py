"""The images of whatever a person gives, each with its label and with what is known of where it comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..api.errors import InvalidRequestError
from ..api.text import clean
from ..history.entry import HistoryEntry
from ..jobs.job import Job
from ..storage.archive import Archive
from ..storage.ratings import ImageKey
from ..sweeps.cell import Cell
from ..sweeps.cells import Cells

if TYPE_CHECKING:
    from PIL.Image import Image

_LABEL_CHARACTERS = 120


class Labeled(NamedTuple):
    """One image, and what it is called."""

    label: str
    image: Image
    source: Job | HistoryEntry | Cell | None = None
    """What it was found in, where that knows more of it."""
    number: int = 0
    """Which of the images there."""

    @property
    def kept(self) -> tuple[Archive, ImageKey] | None:
        """Where it is kept, and what the ledger knows it by."""
        if not isinstance(self.source, (Cell, HistoryEntry)) or self.source._archive is None:
            return None
        key = self.source._key(self.number)
        return (self.source._archive, key) if key else None


def labeled(value: Any, label: str) -> Iterator[Labeled]:
    """Yield the images of a value, each with what it is."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from labeled(each, _joined(label, clean(key, _LABEL_CHARACTERS)))
    elif isinstance(value, Cells):
        for cell in value:
            yield from labeled(cell, label)
    elif isinstance(value, Cell):
        named = [clean(name, _LABEL_CHARACTERS) for name in value.axes.values()]
        words = _joined(label, *(named or [clean(value.prompt, _LABEL_CHARACTERS)]))
        yield from _found_in(value, words)
    elif isinstance(value, (Job, HistoryEntry)):
        prompt = value.params.prompt if isinstance(value, Job) else value.prompt
        words = label or clean(prompt, _LABEL_CHARACTERS)
        yield from _found_in(value, words)
    elif isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        yield from _numbered(value, label)
    elif hasattr(value, "getbbox") and hasattr(value, "mode"):
        yield Labeled(label, value)
    else:
        what = f"value={clean(repr(value), 60)}: {type(value).__name__} has no images"
        raise InvalidRequestError(what, "Give an image, a job, a history entry, or a list or dict of them.", sent=None)


def _found_in(source: Job | HistoryEntry | Cell, label: str) -> Iterator[Labeled]:
    for number, found in enumerate(_numbered(source.images, label)):
        yield found._replace(source=source, number=number)


def _numbered(values: Sequence[Any], label: str) -> Iterator[Labeled]:
    for number, each in enumerate(values, 1):
        yield from labeled(each, _joined(label, str(number)) if len(values) > 1 else label)


def _joined(*labels: str) -> str:
    return " · ".join(filter(None, labels))
