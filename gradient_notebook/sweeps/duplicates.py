"""Images that look alike, by their perceptual hashes."""

from __future__ import annotations

from collections.abc import Sequence

from .cell import Cell

PHASH = "phash"
"""The score that says what an image looks like: 64 bits in hexadecimal digits."""
NEAR = 6
"""Of 64 bits, how many may differ between images that look alike: other pictures differ in some 32, and rarely in less than 20."""


def duplicates(cells: Sequence[Cell], distance: int = NEAR) -> dict[int, int]:
    """Return the cells that look like an earlier one, each with the first that it looks like, by their indices."""
    firsts: list[tuple[int, int]] = []
    found: dict[int, int] = {}
    for cell in cells:
        value = next(iter(cell._scores.get(PHASH, ())), None)
        if not isinstance(value, str):
            continue
        bits = int(value, 16)
        like = next((index for index, first in firsts if (first ^ bits).bit_count() <= distance), None)
        if like is None:
            firsts.append((cell.index, bits))
        else:
            found[cell.index] = like
    return found
