"""Where a sweep's cells stand: rows and columns by their labels, or one after the other with captions."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field

from ..sweeps.axes import ROW
from ..sweeps.sweep import Sweep
from . import sweep_words

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


def layout_of(sweep: Sweep) -> Layout:
    """Return where the cells of a sweep stand: its last axis across, the others down; one axis alone wraps."""
    names, repeat = list(sweep.axes), sweep._axes.repeat
    if sweep._axes.pair:
        count = len(sweep) // repeat
        paired = [_joined(sweep, names, [min(at, len(sweep.axes[name]) - 1) for name in names]) for at in range(count)]
        return _one_after_the_other([""], _repeated(paired, repeat))
    if not names:
        return _one_after_the_other([""], _repeated([""], repeat))
    if 1 < repeat <= MOST_COLUMNS and (len(names) == 1 or len(sweep.axes[names[-1]]) * repeat > MOST_COLUMNS):
        columns = [str(number) for number in range(1, repeat + 1)]
        return Layout(columns=columns, rows=_combined(sweep, names), across=repeat, axes=(_title(names), "repeat"))
    if repeat > MOST_COLUMNS:
        return _one_after_the_other(_combined(sweep, names), _repeated([""], repeat))
    others, inner = names[:-1], names[-1:]
    while len(others) > 1 and _count(sweep, inner) <= FEW_COLUMNS:
        if _count(sweep, [others[-1], *inner]) * repeat > SOME_COLUMNS:
            break
        inner = [others.pop(), *inner]
    across = _combined(sweep, inner)
    if others and len(across) * repeat <= MOST_COLUMNS:
        rows, axes = _combined(sweep, others), (_title(others), _title(inner))
        return Layout(columns=across, span=repeat, rows=rows, across=len(across) * repeat, axes=axes)
    return _one_after_the_other(_combined(sweep, others), _repeated(across, repeat))


def _one_after_the_other(headings: list[str], captions: list[str]) -> Layout:
    return Layout(rows=headings, across=len(captions), captions=captions)


def _count(sweep: Sweep, names: list[str]) -> int:
    return math.prod(len(sweep.axes[name]) for name in names)


def _title(names: list[str]) -> str:
    return " · ".join("" if name == ROW else name for name in names).strip(" ·")


def _combined(sweep: Sweep, names: list[str]) -> list[str]:
    """Return a label for each combination of these axes, in order; of none, one without words."""
    places = itertools.product(*(range(len(sweep.axes[name])) for name in names))
    most = min(_count(sweep, names), MOST_CELLS)
    return [_joined(sweep, names, at) for at in itertools.islice(places, most)]


def _joined(sweep: Sweep, names: list[str], at: tuple[int, ...] | list[int]) -> str:
    return " · ".join(sweep_words.label(sweep, name, place) for name, place in zip(names, at, strict=True))


def _repeated(labels: list[str], repeat: int) -> list[str]:
    if repeat == 1:
        return labels
    return [" · ".join(filter(None, [label, str(number)])) for label in labels for number in range(1, repeat + 1)]
