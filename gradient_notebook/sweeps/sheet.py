"""The cells of a sweep as one picture with labels, which says in words what it shows where it is not seen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import pybase64
from PIL import Image, ImageDraw, ImageFont

from ..api.errors import GradientNotebookError, InvalidRequestError
from ..api.parameter import Parameter
from ..api.text import clean, shortened
from .axes import Axes
from .cell import Cell
from .labels import alt_words, reason_words
from .layout import MOST_CELLS, Layout, layout_of, lines_of
from .marks import marks_of

_MOST_PX = 4096
"""Pixels that the picture's edges have at most: it takes 50 MB then."""
_LEAST_TILE_PX = 32
_GAP = 8
_PAPER, _INK, _QUIET, _EMPTY = (255, 255, 255), (32, 33, 36), (95, 99, 104), (238, 239, 241)
_FONTS = ("DejaVuSans.ttf", "Arial.ttf", "arial.ttf", "Helvetica.ttc")
"""Looked for in this order, for their letters: the one that comes with Pillow has Latin ones only."""
_MOST_WORDS = 50
"""Cells that the text in place of the picture tells of."""


_PX = Parameter(name="px", kind=int, minimum=1, help="The long edge of each image, in pixels.")


class Sheet(Image.Image):
    """A PIL image with labels: shown in a notebook it is small, and has a text in place of it."""

    alt = ""
    """What it shows, in words."""

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        from ..imaging import preview

        small = preview(self, min(_SHOWN_PX, max(self.size)))
        source = f"data:{small.mime};base64,{pybase64.b64encode_as_string(small.data)}"
        picture = f'<img src="{source}" alt="{escape(self.alt)}" style="max-width:100%">'
        return {"text/html": picture, "text/plain": f"<Sheet: {self.width}x{self.height}, {self.alt.split('.')[0]}>"}

    def _repr_png_(self) -> None:
        """It has HTML instead: as PNG it would take megabytes of the notebook."""

    def _repr_jpeg_(self) -> None:
        """It has HTML instead."""


_SHOWN_PX = 1536
"""Long edge of the picture as it stands in a notebook."""


def grid(cells: Sequence[Cell], axes: Axes, px: int) -> Sheet:
    """Return the cells as one picture; at most as many of them as can be seen. Raises InvalidRequestError."""
    try:
        px = _PX.check(px)
    except InvalidRequestError as error:
        error.sent = None  # there was nothing to send
        raise
    layout = layout_of(cells, axes)
    lines = lines_of(layout, cells[:MOST_CELLS])
    marks = marks_of(cells[:MOST_CELLS])
    shape = _shape(cells)
    columns = max(1, *map(len, lines)) if lines else 1
    wanted = max(_LEAST_TILE_PX, min(px, 1024))
    # Never larger than it may be: smaller tiles first, and then fewer lines.
    width = round(wanted * min(1.0, shape))
    width = max(_LEAST_TILE_PX, min(width, (_MOST_PX - _label_px(layout, wanted)) // columns - _GAP))
    height = max(_LEAST_TILE_PX, round(width / shape))
    caption = _caption_px(width, 2 * layout.wraps + max(map(len, marks.values()), default=0))
    least = max(_LEAST_TILE_PX, min(height, _MOST_PX // max(1, len(lines)) - caption - _GAP))
    if least < height:
        width, height = max(_LEAST_TILE_PX, round(least * shape)), least
    drawing = _Drawing(layout, marks, (width, height), caption)
    room = (_MOST_PX - drawing.head - 2 * _GAP - _font_px(width)) // (height + caption + _GAP)
    return drawing.drawn(lines[: max(1, room)], cells, columns)


def _caption_px(width: int, lines: int) -> int:
    """Return how high so many lines of words below a tile are."""
    return lines * (_font_px(width) + 3) + _GAP if lines else 0


def _shape(cells: Sequence[Cell]) -> float:
    """Return width over height of the tiles: those of the first image, as far as it can be seen."""
    first = next((image for cell in cells if cell.outcome == "done" for image in _opened(cell)), None)
    return min(4.0, max(0.25, first.width / first.height)) if first else 1.0


def _opened(cell: Cell) -> list[Image.Image]:
    """Return a cell's image; none where its file is gone or broken."""
    try:
        return [cell.image] if cell.image else []
    except (OSError, ValueError, RuntimeError, GradientNotebookError):
        return []


def _font_px(width: int) -> int:
    return max(10, min(20, width // 12))


def _label_px(layout: Layout, width: int) -> int:
    """Return how wide the column of the lines' labels is."""
    return (max(80, min(240, width)) + _GAP) if _row_labels(layout) else _GAP


def _row_labels(layout: Layout) -> list[str]:
    """Return what stands before the lines; of cells that wrap each says itself what it is."""
    return [] if layout.wraps else layout.rows


def _font(size: int) -> Any:
    for name in _FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)


class _Drawing:
    """One sheet while it is drawn; `tile` is the size of an image's place, `caption` how high the words below it are."""

    def __init__(self, layout: Layout, marks: Mapping[int, list[str]], tile: tuple[int, int], caption: int) -> None:
        self.layout, self.marks, self.tile, self.caption = layout, marks, tile, caption
        self.size = _font_px(tile[0])
        self.head = _GAP if layout.wraps else self.size + 2 * _GAP
        self.font = _font(self.size)
        self.labels = _row_labels(layout)
        words = [*self.labels, *([layout.corner] if self.labels else [])]
        longest = max((math.ceil(self.font.getlength(label)) for label in words), default=0)
        self.left = min(_label_px(layout, tile[0]), longest + 2 * _GAP)

    def drawn(self, lines: Sequence[Sequence[Cell]], cells: Sequence[Cell], columns: int) -> Sheet:
        left_out = len(cells) - sum(map(len, lines))
        foot = self.size + _GAP if left_out else 0
        width = self.left + columns * (self.tile[0] + _GAP)
        height = self.head + len(lines) * (self.tile[1] + self.caption + _GAP) + foot
        self.sheet = Image.new("RGB", (min(width, _MOST_PX), min(max(height, 1), _MOST_PX)), _PAPER)
        self.pen = ImageDraw.Draw(self.sheet)
        self._heads()
        at = 0
        for number, line in enumerate(lines):
            y = self.head + number * (self.tile[1] + self.caption + _GAP)
            if self.labels:
                self._words((_GAP, y), self.labels[number], self.left - 2 * _GAP, 6, _INK)
            for column, cell in enumerate(line):
                self._cell((self._x(column), y), at, cell)
                at += 1
        if left_out:
            self._words((_GAP, height - foot), f"{left_out:,} more are not shown.", width, 1, _QUIET)
        made = Sheet()
        # As `Image.copy` makes one: of this class, which alone says in words what it shows.
        made._mode, made._size, made.im = self.sheet.mode, self.sheet.size, self.sheet.im
        made.alt = _alt(cells, self.marks)
        return made

    def _heads(self) -> None:
        """Write the labels of the columns, and in the corner what they and the lines are."""
        if self.labels:
            self._words((_GAP, _GAP), self.layout.corner, self.left - 2 * _GAP, 1, _QUIET)
        span = self.layout.span
        for number, label in enumerate(self.layout.columns):
            width = span * (self.tile[0] + _GAP) - _GAP
            self._words((self._x(number * span), _GAP), label, width, 1, _INK)

    def _x(self, column: int) -> int:
        return self.left + column * (self.tile[0] + _GAP)

    def _cell(self, where: tuple[int, int], at: int, cell: Cell) -> None:
        from ..imaging import scaled

        x, y = where
        opened = _opened(cell) if cell.outcome == "done" else []
        if opened:
            fitted = scaled(opened[0], self.tile).convert("RGBA")
            place = (x + (self.tile[0] - fitted.width) // 2, y + (self.tile[1] - fitted.height) // 2)
            self.sheet.paste(fitted, place, fitted)
        else:
            self.pen.rectangle((x, y, x + self.tile[0] - 1, y + self.tile[1] - 1), fill=_EMPTY)
            told = "its file cannot be read" if cell.outcome == "done" else reason_words(cell)
            most = max(1, (self.tile[1] - 2 * _GAP) // (self.size + 3))
            self._words((x + _GAP, y + _GAP), told, self.tile[0] - 2 * _GAP, most, _INK)
        below = y + self.tile[1] + 2
        if self.layout.wraps:
            told = self.layout.caption(at) or clean(cell.prompt)
            below += self._words((x, below), told, self.tile[0], 2, _QUIET)
        for mark in self.marks.get(cell.index, ()):
            below += self._words((x, below), mark, self.tile[0], 1, _INK)

    def _words(self, at: tuple[int, int], text: str, width: int, most: int, color: tuple[int, int, int]) -> int:
        """Write a text in at most so many lines, and return how high they are."""
        lines = self._wrapped(text, width, most)
        for number, line in enumerate(lines):
            self.pen.text((at[0], at[1] + number * (self.size + 3)), line, fill=color, font=self.font)
        return len(lines) * (self.size + 3)

    def _wrapped(self, text: str, width: int, most: int) -> list[str]:
        """Return the text in lines of this width in pixels, at most so many; what has no room is cut off."""
        lines: list[str] = []
        rest = shortened(text, 400)
        while rest and len(lines) < most:
            count = len(rest)
            while count > 1 and self.font.getlength(rest[:count]) > width:
                count -= 1 + (count > 40) * count // 20
            if count < len(rest):
                count = rest.rfind(" ", 1, count + 1) if " " in rest[1 : count + 1] else count
            lines.append(rest[:count].strip())
            rest = rest[count:].strip()
        if rest and lines:
            lines[-1] = f"{lines[-1][: max(1, len(lines[-1]) - 1)]}…"
        return lines


def _alt(cells: Sequence[Cell], marks: Mapping[int, list[str]]) -> str:
    told = [", ".join([alt_words(cell), *marks.get(cell.index, ())]) for cell in cells[:_MOST_WORDS]]
    left = len(cells) - len(told)
    more = [f"and {left:,} more"] if left > 0 else []
    return f"{len(cells):,} cell{'' if len(cells) == 1 else 's'}. " + "; ".join([*told, *more])
