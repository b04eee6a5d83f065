"""Where cells stand: rows and columns by their labels, or one after the other with captions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from .axes import ROW, Axes
from .cell import Cell
from .labels import DOT, words_of

MOST_COLUMNS = 12
"""More would stand too narrow, or out of sight: they wrap instead."""
FEW_COLUMNS = 3
"""So few leave most of a page empty: the axis before the last joins it, as long as they are `SOME_COLUMNS` together at most."""
SOME_COLUMNS = 6
MOST_CELLS = 10_000
"""More are not laid out: nobody looks at them one by one."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Cells in lines, in their order. Either `columns` are named, or each cell has a caption and they wrap.

    Attributes:
        columns: the labels on top, each over `span` cells; none where cells wrap.
        span: how many cells a label of a column stands over.
        rows: the labels of the rows, or the headings above the cells that wrap.
        across: how many cells belong to a row, or stand below a heading.
        captions: of the cells below a heading, where they wrap; the same below each.
        axes: what the rows and the columns are, as words for the corner.
    """

    columns: list[str] = field(default_factory=list)
    span: int = 1
    rows: list[str]
    across: int
    captions: list[str] = field(default_factory=list)
    axes: tuple[str, str] = ("", "")

    @property
    def wraps(self) -> bool:
        """Whether cells stand one after the other, as many in a line as there is room for."""
        return not self.columns

    @property
    def corner(self) -> str:
        """What the rows and the columns are, as `style / time`."""
        return " / ".join(filter(None, self.axes))

    def caption(self, at: int) -> str:
        """Return what stands below a cell that has no column: its heading is in it."""
        row, within = divmod(at, self.across)
        return DOT.join(filter(None, [self.rows[row], self.captions[within]])) if self.wraps else ""


def layout_of(cells: Sequence[Cell], axes: Axes, most: int = MOST_CELLS) -> Layout:
    """Return where cells of a sweep stand: the last axis that varies across, the others down; one axis alone wraps.

    So they do where they are every combination of their labels, in order. Others, as the best of a sweep, stand one after
    the other, each with all its labels. Beyond `most` they are not looked at.
    """
    cells = cells[:most]
    names = [name for name in (cells[0].axes if cells else ()) if len({cell.axes[name] for cell in cells}) > 1]
    found = {name: list(dict.fromkeys(cell.axes[name] for cell in cells)) for name in names}
    repeat = sum(1 for _ in itertools.takewhile(lambda cell: _is_like(cell, cells[0], names), cells))
    if not _are_all(cells, found, repeat):
        return _one_after_the_other([""], _numbered(cells, [_labels(axes, cell, names) for cell in cells]))
    return _Arranged(axes, found, repeat).layout()


def lines_of(layout: Layout, cells: Sequence[Cell]) -> list[Sequence[Cell]]:
    """Return cells line by line: the rows of a table, and of those that wrap what makes about a square."""
    width = min(MOST_COLUMNS, max(1, math.ceil(math.sqrt(len(cells))))) if layout.wraps else layout.across
    return [cells[at : at + width] for at in range(0, len(cells), width)]


def _is_like(cell: Cell, other: Cell, names: Sequence[str]) -> bool:
    return all(cell.axes[name] == other.axes[name] for name in names)


def _are_all(cells: Sequence[Cell], found: dict[str, list[Any]], repeat: int) -> bool:
    """Whether these are every combination of their labels, the last fastest, up to where they end."""
    expected = (labels for labels in itertools.product(*found.values()) for _ in range(repeat))
    placed = itertools.zip_longest(cells, itertools.islice(expected, len(cells)))
    return all(labels is not None and labels == tuple(cell.axes[name] for name in found) for cell, labels in placed)


def _labels(axes: Axes, cell: Cell, names: Sequence[str]) -> str:
    return DOT.join(words_of(axes, name, cell.axes[name]) for name in names)


def _numbered(cells: Sequence[Cell], labels: Sequence[str]) -> list[str]:
    """Return the labels, with a number where several cells are the same."""
    if len(set(labels)) == len(labels):
        return list(labels)
    return [DOT.join(filter(None, [label, str(cell._number + 1)])) for cell, label in zip(cells, labels, strict=True)]


def _one_after_the_other(headings: list[str], captions: list[str]) -> Layout:
    return Layout(rows=headings, across=max(1, len(captions)), captions=captions or [""])


class _Arranged:
    """Every combination of these labels, each `repeat` times."""

    def __init__(self, axes: Axes, labels: dict[str, list[Any]], repeat: int) -> None:
        self.axes, self.labels, self.repeat = axes, labels, repeat

    def layout(self) -> Layout:
        names, repeat = list(self.labels), max(1, self.repeat)
        if not names:
            return _one_after_the_other([""], _repeated([""], repeat))
        if 1 < repeat <= MOST_COLUMNS and (len(names) == 1 or len(self.labels[names[-1]]) * repeat > MOST_COLUMNS):
            columns = [str(number) for number in range(1, repeat + 1)]
            axes = (_title(names), "repeat")
            return Layout(columns=columns, rows=self._combined(names), across=repeat, axes=axes)
        if repeat > MOST_COLUMNS:
            return _one_after_the_other(self._combined(names), _repeated([""], repeat))
        others, inner = names[:-1], names[-1:]
        while len(others) > 1 and self._count(inner) <= FEW_COLUMNS:
            if self._count([others[-1], *inner]) * repeat > SOME_COLUMNS:
                break
            inner = [others.pop(), *inner]
        across = self._combined(inner)
        if others and len(across) * repeat <= MOST_COLUMNS:
            axes = (_title(others), _title(inner))
            rows = self._combined(others)
            return Layout(columns=across, span=repeat, rows=rows, across=len(across) * repeat, axes=axes)
        return _one_after_the_other(self._combined(others), _repeated(across, repeat))

    def _count(self, names: list[str]) -> int:
        return math.prod(len(self.labels[name]) for name in names)

    def _combined(self, names: list[str]) -> list[str]:
        """Return a label for each combination of these axes, in order; of none, one without words."""
        return [
            DOT.join(words_of(self.axes, name, label) for name, label in zip(names, labels, strict=True))
            for labels in itertools.product(*(self.labels[name] for name in names))
        ]


def _title(names: list[str]) -> str:
    return DOT.join(name for name in names if name != ROW)


def _repeated(labels: list[str], repeat: int) -> list[str]:
    if repeat == 1:
        return labels
    return [DOT.join(filter(None, [label, str(number)])) for label in labels for number in range(1, repeat + 1)]
