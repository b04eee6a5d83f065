"""What cells and sweeps are called, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..api.params import PARAMETERS
from ..api.text import clean, shortened
from .axes import PROMPT, ROW, Axes, Axis, names_in
from .cell import Cell

DOT = " · "
_LABEL_CHARACTERS = 80
_REASON_CHARACTERS = 200
_TITLE_CHARACTERS = 160
_LABELS_TOLD = 4


def label_words(name: str, label: Any) -> str:
    """Return a label as it is shown: with its axis where it would say nothing alone, as a number."""
    told = shortened(clean(str(label)), _LABEL_CHARACTERS)
    return told if isinstance(label, str) else f"{clean(name)} {told}"


def words_of(axes: Axes, name: str, label: Any) -> str:
    """Return a label of an axis as it is shown; a row of a table is called by the words that the prompt takes of it."""
    if name != ROW:
        return label_words(name, label)
    values = next(axis for axis in axes.axes if axis.name == ROW).values[label]
    named = [name for template in axes.prompts.values for name in names_in(template) if name in values]
    told = ", ".join(clean(values[name], _LABEL_CHARACTERS) for name in dict.fromkeys(named))
    return told or label_words(name, label)


def cell_words(axes: Mapping[str, Any]) -> str:
    """Return what a cell is by its labels, in words."""
    return DOT.join(label_words(name, label) for name, label in axes.items())


def alt_words(cell: Cell) -> str:
    """Return what stands for a cell where its image is not seen."""
    told = [cell_words({name: label for name, label in cell.axes.items() if name != PROMPT}), clean(cell.prompt)]
    said = "" if cell.outcome == "done" else reason_words(cell)
    return ": ".join(filter(None, [*told, said]))


def reason_words(cell: Cell) -> str:
    """Return why a cell has no image."""
    return ": ".join(filter(None, [cell.outcome, clean(cell.error or "", _REASON_CHARACTERS)]))


def template_words(axes: Axes) -> str:
    """Return the prompt as it was written, with the words that hold for all: `a {{place}} at dawn`."""
    if len(axes.prompts) > 1:
        return f"{len(axes.prompts):,} prompts"
    return shortened(clean(axes.templates[0]), _TITLE_CHARACTERS)


def title_of(axes: Axes) -> str:
    """Return what a sweep is, as `a {{place}} at {{time}} · quality low, high`."""
    varied = [axis for axis in axes.axes if axis.name != ROW and axis.name in PARAMETERS]
    return DOT.join([template_words(axes), *map(axis_words, varied)])


def axis_words(axis: Axis) -> str:
    """Return an axis with its first labels, as `quality low, high`."""
    labels = [clean(label, 40) for label in axis.labels[:_LABELS_TOLD]]
    more = f" and {len(axis) - _LABELS_TOLD:,} more" if len(axis) > _LABELS_TOLD else ""
    return f"{clean(axis.name)} {', '.join(labels)}{more}"


def shared_words(cells: Sequence[Cell], axes: Axes) -> str:
    """Return the labels that some of a sweep's cells have in common, where the sweep has others, too."""
    if not cells:
        return ""
    common = {
        name: cells[0].axes[name]
        for name, labels in axes.labels.items()
        if len(labels) > 1 and all(cell.axes[name] == cells[0].axes[name] for cell in cells)
    }
    return DOT.join(words_of(axes, name, label) for name, label in common.items())
