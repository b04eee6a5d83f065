"""`show`: images side by side with what they are, as small pictures that stay in the notebook."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from html import escape
from itertools import islice
from typing import Any

import pybase64

from ..session import session
from ..storage.ratings import UNRATED, ImageKey, Rating, ratings
from . import html
from .labeled import Labeled, labeled
from .rating_words import rating_words

MOST_IMAGES = 60
"""More would make a notebook of many megabytes; that some are left out is said."""
_MORE = f"Only the first {MOST_IMAGES} are shown."


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

    found = labeled(value, "")
    images = list(islice(found, MOST_IMAGES))
    has_more = next(found, None) is not None  # opened for nothing, but no more than this one: a history has thousands
    lines = [
        f"{label}: {image.width}x{image.height}" if label else f"{image.width}x{image.height}"
        for label, image, *_ in images
    ]
    if not shows_pictures():
        print("\n".join([*lines, *([_MORE] if has_more else [])]))  # noqa: T201 - a script has no place for pictures
    elif len(images) == 1 and not images[0].label:
        data, metadata = picture_of([images[0].image], lines[0], session.preview_px)
        display(data, metadata=metadata, raw=True)
    else:
        display({"text/html": sheet(images, has_more=has_more), "text/plain": "\n".join(lines)}, raw=True)


def sheet(images: Sequence[Labeled], *, has_more: bool = False) -> str:
    """Return the images as HTML, in tiles of one size, each above its label."""
    from ..imaging import PREVIEW_PX, preview, tiling

    if not images:
        return f'<div style="{html.QUIET}">No images.</div>'
    tiles = tiling(len(images), images[0].image.width / images[0].image.height)
    px = round(max(tiles.width, tiles.height) * session.preview_px / PREVIEW_PX)
    cells = []
    for (label, image, *_), given in zip(images, _given(images), strict=True):
        below = "".join(f"<div>{escape(words)}</div>" for words in (label, given) if words)
        small = preview(image, px)
        source = f"data:{small.mime};base64,{pybase64.b64encode_as_string(small.data)}"
        picture = f"max-width:100%;max-height:{tiles.height}px;object-fit:contain;display:block"
        cells.append(
            f'<div style="display:inline-block;vertical-align:top;width:{tiles.width}px;margin:0 6px 10px 0">'
            f'<img src="{source}" alt="{escape(label)}" style="{picture}">{below}</div>'
        )
    more = f"<div>{_MORE}</div>" if has_more else ""
    return f'<div style="{html.QUIET}">{"".join(cells)}{more}</div>'


def _given(images: Sequence[Labeled]) -> list[str]:
    """Return what is thought of each image, in words; nothing of those that the ledger does not know."""
    found: dict[ImageKey, Rating] = {}
    kept = [one.kept for one in images]
    with contextlib.suppress(OSError):  # the images are worth seeing without them
        for archive in {archive.folder: archive for archive, _ in filter(None, kept)}.values():
            found |= ratings(archive.ledger, [key for _, key in filter(None, kept)])
    return [rating_words(found.get(one[1], UNRATED)) if one else "" for one in kept]
