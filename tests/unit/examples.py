"""How many examples Hypothesis tries."""

from __future__ import annotations

from hypothesis import settings


def of_full(count: int) -> int:
    """Return `count` in the profile `full`, which is the one that tries 100 where nothing is said, and its share in others."""
    return max(1, count * settings.default.max_examples // 100)
