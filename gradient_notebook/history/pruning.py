"""What `prune` leaves: by age, and by room on disk."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any

from ..api.errors import InvalidRequestError
from ..storage import clock


def age_s(started_at: float, now: float) -> float:
    """Return how old a record is, in seconds; 0 where its time says nothing, since the clock was set wrongly."""
    return max(0.0, now - started_at) if started_at >= clock.EARLIEST_S else 0.0


def check_bounds(older_than: Any, max_bytes: Any) -> None:
    """Raise InvalidRequestError where a bound is none, or there is none."""
    example = "Give older_than=timedelta(days=90), max_bytes=2_000_000_000, or both. Nothing was deleted."
    if older_than is None and max_bytes is None:
        raise InvalidRequestError("prune() needs older_than= or max_bytes=", example, sent=None)
    if older_than is not None and not (isinstance(older_than, dt.timedelta) and older_than >= dt.timedelta()):
        raise InvalidRequestError(f"older_than={older_than!r}: expected a timedelta, 0 or more", example, sent=None)
    # Not isinstance: True is an int, too, and as one byte it would delete everything.
    if max_bytes is not None and (type(max_bytes) is not int or max_bytes < 0):
        what = f"max_bytes={max_bytes!r}: expected a whole number of bytes, 0 or more"
        raise InvalidRequestError(what, example, sent=None)


def fitting(sizes: Iterable[Mapping[str, int]], max_bytes: int) -> int:
    """Return how many of these, each with its files' bytes, have room on disk together; a file of several counts once."""
    seen: set[str] = set()
    total = count = 0
    for files in sizes:
        total += sum(size for file, size in files.items() if file not in seen)
        # The first that has no room ends it: an older one must not stay because it happens to be smaller.
        if total > max_bytes:
            break
        seen.update(files)
        count += 1
    return count
