"""A sweep as it stays in a notebook: small pictures with their labels, which show without a script and without a kernel."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

import pybase64

from ..api.images import extension
from ..api.text import clean, shortened
from ..sweeps.cell import Cell
from ..sweeps.cells import Cells
from ..sweeps.layout import Layout, layout_of
from ..sweeps.marks import marks_of
from . import formatting, html, sweep_words, thumbnails

MOST_CELLS = 60
"""More would be too small, or too much for a notebook; how many are left out is said."""
_BYTES = 90_000
"""Of all pictures together, about: base64 makes a third more of it."""
_LONGEST_PX, _SHORTEST_PX = 224, 40
_BYTES_PER_PX = 0.11
"""Of a small JPEG, for each pixel of the square of its long edge, about."""
_TILE_PX = 150
_LABEL_CHARACTERS = 80


def sheet_of(sweep: Cells) -> dict[str, str]:
    """Return a sweep, or some of its cells, as HTML with small pictures, and as text."""
    layout = layout_of(sweep._cells, sweep._axes)
    rows = max(1, MOST_CELLS // layout.across) if not layout.wraps else len(layout.rows)
    cells = sweep._cells[: min(MOST_CELLS, rows * layout.across)]
    if not any(cell.has_ended for cell in cells):
        cells = []  # nothing to look at
    shown = _Shown(_pictures(cells), marks_of(cells))
    left = len(sweep) - len(cells)
    table = _wrapped(layout, cells, shown) if layout.wraps else _table(layout, cells, shown)
    more = f"<div>{left:,} more are not shown here.</div>" if left and cells else ""
    below = words(sweep)
    return {
        "text/html": f'<div style="{html.QUIET}">{table if cells else ""}{more}</div>',
        "text/plain": below["text/plain"],
    }


def words(cells: Cells) -> dict[str, str]:
    """Return the line of totals, and what else there is to say, as something to display."""
    below = html.line([sweep_words.title(cells), *sweep_words.line(cells)])
    notes = [clean(note) for note in sweep_words.notes(cells)]
    said = "".join(f'<div style="{html.QUIET}">{escape(note)}</div>' for note in notes)
    return {
        "text/html": f"{below['text/html']}{said}",
        "text/plain": "\n".join([below["text/plain"], *notes]),
    }


class _Shown(NamedTuple):
    """What is shown of cells, by their indices."""

    pictures: Mapping[int, str]
    marks: Mapping[int, list[str]]


def _pictures(cells: Sequence[Cell]) -> dict[int, str]:
    """Return the pictures of cells as addresses that hold them, small enough to be kept together."""
    archive = next((cell._archive for cell in cells), None)
    finished = [cell for cell in cells if cell.outcome == "done"]
    names = {cell.index: cell.paths[0].name for cell in finished if cell.paths}
    known = thumbnails.kept(archive, list(names.values())) if archive else {}
    made: dict[str, bytes] = {}
    small: dict[int, bytes] = {}
    for cell in finished:
        name = names.get(cell.index, "")
        data = known.get(name) or thumbnails.made_of(cell)
        if data:
            small[cell.index] = data
            made |= {name: data} if name and name not in known else {}
    if archive:
        thumbnails.keep(archive, made)
    return {at: address_of(data) for at, data in _fitting(small).items()}


def _fitting(pictures: Mapping[int, bytes]) -> dict[int, bytes]:
    """Return the pictures so small that together they have few bytes: how small that is depends on what they show."""
    from ..imaging import open_image, preview

    opened = {at: open_image(data) for at, data in pictures.items()}
    px = max(_SHORTEST_PX, min(_LONGEST_PX, math.sqrt(_BYTES / max(1, len(opened)) / _BYTES_PER_PX)))
    while True:
        fitted = {at: preview(image, round(px)).data for at, image in opened.items()}
        if (much := sum(map(len, fitted.values())) / _BYTES) <= 1 or px <= _SHORTEST_PX:
            return fitted
        px = max(_SHORTEST_PX, px * min(0.9, math.sqrt(1 / much)))


def address_of(data: bytes) -> str:
    """Return a picture as an address that holds it."""
    return f"data:image/{extension(data)[1:]};base64,{pybase64.b64encode_as_string(data)}"


def _table(layout: Layout, cells: Sequence[Cell], shown: _Shown) -> str:
    plain = "border:0;padding:2px 4px;background:none;vertical-align:middle;"
    head = "".join(
        f'<th scope="col" colspan="{layout.span}" style="{plain}{html.STRONG};text-align:center">{_words(label)}</th>'
        for label in layout.columns
    )
    rows = []
    for at in range(0, len(cells), layout.across):
        label = layout.rows[at // layout.across]
        start = f'<th scope="row" style="{plain}{html.STRONG};text-align:left;max-width:160px">{_words(label)}</th>'
        inside = "".join(
            f'<td style="{plain}text-align:center">{_cell(cell, shown)}</td>' for cell in cells[at : at + layout.across]
        )
        rows.append(f'<tr style="background:none">{start}{inside}</tr>')
    corner = f'<td style="{plain}text-align:left">{_words(layout.corner)}</td>'
    return f'<table style="border-collapse:collapse"><tr style="background:none">{corner}{head}</tr>{"".join(rows)}</table>'


def _wrapped(layout: Layout, cells: Sequence[Cell], shown: _Shown) -> str:
    parts = []
    for at, cell in enumerate(cells):
        row, within = divmod(at, layout.across)
        if within == 0 and layout.rows[row]:
            parts.append(f'<div style="{html.STRONG};margin:4px 0"><b>{_words(layout.rows[row])}</b></div>')
        caption = (
            f'<div style="{html.STRONG}">{_words(layout.captions[within])}</div>' if layout.captions[within] else ""
        )
        style = f"display:inline-block;vertical-align:top;width:{_TILE_PX}px;margin:0 6px 8px 0"
        parts.append(f'<div style="{style}">{_cell(cell, shown, caption)}</div>')
    return "".join(parts)


def _words(label: str) -> str:
    return escape(shortened(clean(label), _LABEL_CHARACTERS))


def _cell(cell: Cell, shown: _Shown, caption: str = "") -> str:
    lines = [sweep_words.note(cell), formatting.DOT.join(shown.marks.get(cell.index, ()))]
    below = caption + "".join(f'<div style="font-size:11px">{escape(words)}</div>' for words in lines if words)
    if address := shown.pictures.get(cell.index):
        alt = escape(shortened(clean(cell.prompt), _LABEL_CHARACTERS))
        size = f"max-width:{_TILE_PX}px;max-height:{_TILE_PX}px;display:inline-block;vertical-align:bottom;border-radius:3px;margin:0"
        return f'<img src="{address}" alt="{alt}" style="{size}">{below}'
    said = sweep_words.reason(cell) or ("cannot be shown" if cell.outcome == "done" else cell.outcome)
    color = html.color_of(cell.outcome)
    frame = (
        f"width:{_TILE_PX}px;min-height:60px;box-sizing:border-box;padding:8px;border-radius:3px;display:inline-block;"
        f"white-space:normal;background:color-mix(in srgb,var({color}) 10%,transparent)"
    )
    return f'<div style="{frame}">{escape(said)}</div>{below}'
