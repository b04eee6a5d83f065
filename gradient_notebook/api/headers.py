"""What the headers of an answer say: when to come back, how much is left, which request it was.

Times are in seconds. What ends in `_at_s` or `_until_s` is a moment of `time.monotonic`, all else is a duration.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC

from .text import SHORT, clean

LONGEST_WINDOW_S = 86_400.0
"""A window of the rate limit that would end later than this is none."""
_UNIX_FROM_S = 1e9  # less than this is no moment of today, but a duration: servers write either


def request_id_of(headers: Mapping[str, str]) -> str | None:
    """Return the id that the service's support asks for, if there is one."""
    return clean(headers.get("x-request-id", ""), SHORT) or None


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that `retry-after` demands, perhaps infinite; None if it says nothing that makes sense."""
    text = headers.get("retry-after")
    wanted_s = number_in(text)
    if wanted_s is not None:
        return wanted_s
    date_s = _date_s(text)
    return None if date_s is None else max(0.0, date_s - _clock_s(headers))


def demanded_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds until the next request may be sent, if the service says."""
    wanted_s = retry_after_s(headers)
    # A reset stands in every answer: it demands a wait only where nothing is left of the window.
    if wanted_s is None and number_in(headers.get("ratelimit-remaining")) == 0:
        return reset_in_s(headers)
    return wanted_s


def number_in(text: str | None) -> float | None:
    """Return a number of 0 or more, if the text is one."""
    try:
        number = float(text or "")
    except ValueError:
        return None
    # Takes out nan, which compares with nothing. An infinite demand stays one: no wait is long enough for it.
    return number if number >= 0 else None


def _date_s(text: str | None) -> float | None:
    """Return the Unix seconds of an HTTP date."""
    from email.utils import parsedate_to_datetime  # seldom needed, and slow to load

    try:
        moment = parsedate_to_datetime(text or "")
        # An HTTP date is UTC; without a zone it would be read in the one of this machine.
        return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    except (ValueError, OverflowError):
        return None


def _clock_s(headers: Mapping[str, str]) -> float:
    """Return the Unix seconds of the server: its clock and ours may differ by minutes."""
    date_s = _date_s(headers.get("date"))
    return time.time() if date_s is None else date_s


def reset_in_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds until the window of the rate limit ends, if the service says."""
    reset_s = number_in(headers.get("ratelimit-reset"))
    if reset_s is None:
        return None
    left_s = reset_s if reset_s < _UNIX_FROM_S else reset_s - _clock_s(headers)
    return max(0.0, left_s) if left_s <= LONGEST_WINDOW_S else None
