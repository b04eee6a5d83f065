"""The images of whatever a person gives, each with its label and with what is known of where it comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..api.errors import InvalidRequestError
from ..api.text import clean
from ..history.entry import HistoryEntry
from ..jobs.job import Job
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
        yield from (found._replace(source=value) for found in _numbered(value.images, words))
    elif isinstance(value, (Job, HistoryEntry)):
        prompt = value.params.prompt if isinstance(value, Job) else value.prompt
        words = label or clean(prompt, _LABEL_CHARACTERS)
        yield from (found._replace(source=value) for found in _numbered(value.images, words))
    elif isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        yield from _numbered(value, label)
    elif hasattr(value, "getbbox") and hasattr(value, "mode"):
        yield Labeled(label, value)
    else:
        what = f"value={clean(repr(value), 60)}: {type(value).__name__} has no images"
        raise InvalidRequestError(what, "Give an image, a job, a history entry, or a list or dict of them.", sent=None)


def _numbered(values: Sequence[Any], label: str) -> Iterator[Labeled]:
    for number, each in enumerate(values, 1):
        yield from labeled(each, _joined(label, str(number)) if len(values) > 1 else label)


def _joined(*labels: str) -> str:
    return " · ".join(filter(None, labels))
