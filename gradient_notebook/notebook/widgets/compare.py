"""A comparison in the browser: the images' pictures, their labels, and the table of what differs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from traitlets import Bool, Dict, List, Unicode

from ...imaging import digest, preview
from ..differences import Differences
from ..labeled import Labeled
from .esm import joined
from .live import Pictured, styles

_PX = 1536
"""Long edge of what is sent: the usual sizes as they are."""
_QUALITY = 92
"""What is amplified must not be the traces of a small JPEG."""


class Compare(Pictured):
    """Shows images over one another and side by side."""

    _esm = joined(Path(__file__).parent / "compare.mjs")
    _css = styles("live.css", "compare.css")

    images: List[dict[str, Any]] = List(Dict()).tag(sync=True)
    """What each is: `image_of`."""
    prompt = Unicode().tag(sync=True)
    rows: List[dict[str, Any]] = List(Dict()).tag(sync=True)
    """What differs: a name, and for each image text in pieces, with whether a piece differs."""
    known = Bool().tag(sync=True)
    """Whether all requests are known: then no rows mean that nothing differs."""


def compared(images: Sequence[Labeled], differ: Differences) -> Compare:
    """Return a widget that compares images."""
    shown = [image_of(at, one) for at, one in enumerate(images)]
    rows = [row._asdict() for row in differ.rows]
    view = Compare(images=shown, prompt=differ.prompt, rows=rows, known=differ.is_known)
    view.add_class("gradient-beside")
    for at, one in enumerate(images):
        view.put(str(at), preview(one.image, _PX, _QUALITY))
    return view


def image_of(at: int, one: Labeled) -> dict[str, Any]:
    """Return what the browser has to know of an image before its picture comes."""
    width, height = one.image.size
    return {"key": str(at), "label": one.label, "width": width, "height": height, "digest": digest(one.image)}
