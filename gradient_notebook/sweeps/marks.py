"""What stands under a picture beside its facts, in words: what was measured of it, and its stars."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from ..api.text import clean, shortened
from ..history.rating import stars_words
from ..storage.ratings import UNRATED, Rating
from .cell import Cell
from .rating import ratings_of

_EXACT = 100
"""From here on a number has enough digits without those behind the point."""
_LONG = 1e15
"""From here on nobody counts the digits of a number."""
_TEXT_CHARACTERS = 20


def scored_in(cells: Collection[Cell]) -> list[str]:
    """Return what was measured of these, by name, in order."""
    return list(dict.fromkeys(name for cell in cells for name in cell._scores))


def score_words(value: Any) -> str:
    """Return a score as it is read beside others: as many digits as tell them apart, and no more."""
    if value is None or value != value:  # noqa: PLR0124 - which NaN is not
        return "–"
    if isinstance(value, (int, float)) and abs(value) >= _LONG:
        return f"{value:.3g}"
    if isinstance(value, int) or (isinstance(value, float) and abs(value) >= _EXACT):
        return f"{value:,.0f}"
    return f"{value:#.3g}".rstrip(".") if isinstance(value, float) else shortened(clean(value), _TEXT_CHARACTERS)


def scores_words(cell: Cell) -> list[str]:
    """Return what was measured of a cell's image, each as `sharpness 1,234`."""
    return [f"{clean(name)} {score_words(value)}" for name, value in cell.scores.items()]


def marks_of(cells: Sequence[Cell]) -> dict[int, list[str]]:
    """Return what stands under the pictures of cells, by their indices: stars first, then each score."""
    ratings = ratings_of(cells)

    def rating(cell: Cell) -> Rating:
        return ratings.get(cell._key() or ("", 0), UNRATED)

    marks = {cell.index: [*filter(None, [stars_words(rating(cell).stars)]), *scores_words(cell)] for cell in cells}
    return {at: said for at, said in marks.items() if said}
