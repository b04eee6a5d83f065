"""How cells stand on a sheet or a page: a line and a column for each label, or one after the other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..api.text import clean, shortened
from .axes import PROMPT
from .cell import Cell

MOST_COLUMNS = 12
"""More would be too small to see, or lead out of the page: they stand one after the other."""
_LABEL_CHARACTERS = 60
_REASON_CHARACTERS = 200


@dataclass(frozen=True)
class Layout:
    """Cells in lines, each as long as `columns`; None where there is none. Without `lines` each says itself what it is."""

    columns: tuple[str, ...]
    lines: tuple[str, ...]
    places: tuple[tuple[Cell | None, ...], ...]


def layout_of(cells: Sequence[Cell]) -> Layout:
    """Return where cells stand: the axis that varies last across, what else varies down; if that would be a table full of holes, or too wide, one after the other."""
    varying = _varying(cells)
    if not varying:
        return _in_order(cells)
    across, down = varying[-1], varying[:-1]
    columns = list(dict.fromkeys(cell.axes[across] for cell in cells))
    groups: dict[tuple[Any, ...], dict[Any, list[Cell]]] = {}
    for cell in cells:
        line = groups.setdefault(tuple(cell.axes[name] for name in down), {})
        line.setdefault(cell.axes[across], []).append(cell)
    repeats = max(len(found) for line in groups.values() for found in line.values())
    if len(columns) > MOST_COLUMNS or len(groups) * len(columns) * repeats > 2 * len(cells):
        return _in_order(cells)
    lines, places = [], []
    for labels, line in groups.items():
        told = " · ".join(label_words(name, label) for name, label in zip(down, labels, strict=True))
        for number in range(max(map(len, line.values()))):
            lines.append(told if number == 0 else "")
            places.append(tuple(_nth(line.get(column, ()), number) for column in columns))
    return Layout(tuple(label_words(across, column) for column in columns), tuple(lines), tuple(places))


def _varying(cells: Sequence[Cell]) -> list[str]:
    return [name for name in (cells[0].axes if cells else ()) if len({cell.axes[name] for cell in cells}) > 1]


def _in_order(cells: Sequence[Cell]) -> Layout:
    width = min(MOST_COLUMNS, max(1, math.ceil(math.sqrt(len(cells)))))
    rows = [cells[at : at + width] for at in range(0, len(cells), width)]
    return Layout((), (), tuple((*row, *[None] * (width - len(row))) for row in rows))


def _nth(cells: Sequence[Cell], number: int) -> Cell | None:
    return cells[number] if number < len(cells) else None


def label_words(name: str, label: Any) -> str:
    """Return a label as it is shown: with its axis where it would say nothing alone, as a number."""
    told = shortened(clean(str(label)), _LABEL_CHARACTERS)
    return told if isinstance(label, str) else f"{clean(name)} {told}"


def cell_words(axes: Mapping[str, Any]) -> str:
    """Return what a cell is by its labels, in words."""
    return " · ".join(label_words(name, label) for name, label in axes.items())


def alt_words(cell: Cell) -> str:
    """Return what stands for a cell where its image is not seen."""
    told = [cell_words({name: label for name, label in cell.axes.items() if name != PROMPT}), clean(cell.prompt)]
    said = "" if cell.outcome == "done" else reason_words(cell)
    return ": ".join(filter(None, [*told, said]))


def reason_words(cell: Cell) -> str:
    """Return why a cell has no image."""
    return ": ".join(filter(None, [cell.outcome, clean(cell.error or "", _REASON_CHARACTERS)]))
