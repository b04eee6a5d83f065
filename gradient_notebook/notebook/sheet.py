"""`show`: images side by side with what they are, as small pictures that stay in the notebook."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import islice
from typing import TYPE_CHECKING, Any

import pybase64

from ..api.errors import InvalidRequestError
from ..api.text import clean
from ..history.entry import HistoryEntry
from ..jobs.job import Job
from ..session import session
from ..sweeps.cell import Cell
from ..sweeps.cells import Cells
from . import html

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_IMAGES = 60
"""More would make a notebook of many megabytes; that some are left out is said."""
_MORE = f"Only the first {MOST_IMAGES} are shown."
_LABEL_CHARACTERS = 120

Labeled = tuple[str, "Image"]


def show(value: Any) -> None:
    """Show an image, or several side by side, as previews of some 10 to 100 kB: an image as the last line of a cell takes megabytes.

    Args:
        value: a PIL image, a job, a history entry, a history, a sweep or a cell of it, or a list or a dict of them; a dict's keys are the labels.

    Raises:
        InvalidRequestError: something that has no images.

    >>> from gradient_notebook import generate, show
    >>> fox = generate("A red fox", quality="low", size="1024x1024")
    >>> show({"first try": fox})
    first try: 1024x1024
    """
    from IPython.display import display

    from .execution import shows_pictures
    from .static_output import picture_of

    found = _labeled(value, "")
    images = list(islice(found, MOST_IMAGES))
    has_more = next(found, None) is not None  # opened for nothing, but no more than this one: a history has thousands
    lines = [
        f"{label}: {image.width}x{image.height}" if label else f"{image.width}x{image.height}"
        for label, image in images
    ]
    if not shows_pictures():
        print("\n".join([*lines, *([_MORE] if has_more else [])]))  # noqa: T201 - a script has no place for pictures
    elif len(images) == 1 and not images[0][0]:
        data, metadata = picture_of([images[0][1]], lines[0], session.preview_px)
        display(data, metadata=metadata, raw=True)
    else:
        display({"text/html": _sheet(images, has_more=has_more), "text/plain": "\n".join(lines)}, raw=True)


def _labeled(value: Any, label: str) -> Iterator[Labeled]:
    """Yield the images of a value, each with what it is."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _labeled(each, _joined(label, clean(key, _LABEL_CHARACTERS)))
    elif isinstance(value, Cells):
        for cell in value:
            yield from _labeled(cell, label)
    elif isinstance(value, Cell):
        named = [clean(name, _LABEL_CHARACTERS) for name in value.axes.values()]
        yield from _numbered(value.images, _joined(label, *(named or [clean(value.prompt, _LABEL_CHARACTERS)])))
    elif isinstance(value, (Job, HistoryEntry)):
        prompt = value.params.prompt if isinstance(value, Job) else value.prompt
        yield from _numbered(value.images, label or clean(prompt, _LABEL_CHARACTERS))
    elif isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        yield from _numbered(value, label)
    elif hasattr(value, "getbbox") and hasattr(value, "mode"):
        yield label, value
    else:
        what = f"value={clean(repr(value), 60)}: {type(value).__name__} has no images"
        raise InvalidRequestError(what, "Give an image, a job, a history entry, or a list or dict of them.", sent=None)


def _numbered(values: Sequence[Any], label: str) -> Iterator[Labeled]:
    for number, each in enumerate(values, 1):
        yield from _labeled(each, _joined(label, str(number)) if len(values) > 1 else label)


def _joined(*labels: str) -> str:
    return " · ".join(filter(None, labels))


def _sheet(images: Sequence[Labeled], *, has_more: bool) -> str:
    """Return the images as HTML, in tiles of one size, each above its label."""
    from ..imaging import PREVIEW_PX, preview, tiling

    if not images:
        return f'<div style="{html.QUIET}">No images.</div>'
    tiles = tiling(len(images), images[0][1].width / images[0][1].height)
    px = round(max(tiles.width, tiles.height) * session.preview_px / PREVIEW_PX)
    cells = []
    for label, image in images:
        small = preview(image, px)
        source = f"data:{small.mime};base64,{pybase64.b64encode_as_string(small.data)}"
        picture = f"max-width:100%;max-height:{tiles.height}px;object-fit:contain;display:block"
        cells.append(
            f'<div style="display:inline-block;vertical-align:top;width:{tiles.width}px;margin:0 6px 10px 0">'
            f'<img src="{source}" alt="{escape(label)}" style="{picture}"><div>{escape(label)}</div></div>'
        )
    more = f"<div>{_MORE}</div>" if has_more else ""
    return f'<div style="{html.QUIET}">{"".join(cells)}{more}</div>'
