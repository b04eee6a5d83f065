"""Stars, tags and notes of cells, and which are the best."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from ..api.errors import InvalidRequestError
from ..api.text import SHORT, clean, nearest
from ..storage.ratings import UNRATED, ImageKey, Rating, ratings
from .cell import Cell

_logger = logging.getLogger("gradient_notebook")


def ratings_of(cells: Sequence[Cell]) -> dict[ImageKey, Rating]:
    """Return the ratings of all images of these cells, as far as there are any; one look for all."""
    archive = next((cell._archive for cell in cells if cell._archive), None)
    try:
        return ratings(archive.ledger, [key for cell in cells for key in cell._keys]) if archive else {}
    except OSError as error:  # the table is worth having without them
        _logger.warning("Ratings cannot be read: %s", clean(str(error)))
        return {}


def most_stars(cells: Sequence[Cell]) -> list[Cell]:
    """Return the cells with the most stars, if there are any stars."""
    found = ratings_of(cells)
    stars = [max((found.get(key, UNRATED).stars or 0 for key in cell._keys), default=0) for cell in cells]
    most = max(stars, default=0)
    return [cell for cell, its in zip(cells, stars, strict=True) if its == most] if most else []


def highest(cells: Sequence[Cell], score: str, count: int) -> list[Cell]:
    """Return the cells that score highest, the highest first."""
    known = list(dict.fromkeys(name for cell in cells for name in cell.scores))
    if score not in known:
        hint = (
            nearest(score, known) or f"There are {', '.join(known)}."
            if known
            else f"study.score({score!r}) measures it."
        )
        raise InvalidRequestError(f"{clean(score, SHORT)} was not measured", hint, param="score", sent=None)
    measured: list[tuple[Any, Cell]] = [
        (cell.scores[score], cell) for cell in cells if _is_number(cell.scores.get(score))
    ]
    return [cell for _, cell in sorted(measured, key=lambda pair: pair[0], reverse=True)[:count]]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and value == value  # noqa: PLR0124 - which NaN is not
