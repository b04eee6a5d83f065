"""The live picture: one widget for pictures on their way, used by the cell and by the panel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anywidget
from traitlets import Dict, Float, Int, List, Unicode

_HERE = Path(__file__).parent


class LivePicture(anywidget.AnyWidget):
    """Shows a job's tiles, its progress and a Cancel button, which sends the message `{"type": "cancel"}`.

    State travels in traits, since messages from before the view exists are lost. A tile is a mapping with `status`,
    `label` and `picture`, an encoded preview as bytes with its `mime`.
    """

    _esm = _HERE / "live.mjs"
    _css = _HERE / "live.css"

    prompt = Unicode().tag(sync=True)
    settings = Unicode().tag(sync=True)
    note = Unicode().tag(sync=True)
    elapsed_s = Float().tag(sync=True)
    """Seconds since the start, as of the last change; the browser counts on from there."""
    steps_done = Int().tag(sync=True)
    steps = Int(1).tag(sync=True)
    """Pictures to come, partial and finished, over all tiles."""
    partial_images = Int().tag(sync=True)
    """Partial images that one image is to have."""
    width = Int(3).tag(sync=True)
    height = Int(2).tag(sync=True)
    """Of the pictures: only their ratio counts."""
    preview_px = Int(768).tag(sync=True)
    """The widest that the card gets, in CSS pixels."""
    tiles: List[dict[str, Any]] = List(Dict()).tag(sync=True)
    rows: List[int] = List(Int(), default_value=[1]).tag(sync=True)
    """How many tiles stand in each row."""
