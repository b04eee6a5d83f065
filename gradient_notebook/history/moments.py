"""The times between which people look for something: a day, a time, or a day by its distance from today."""

from __future__ import annotations

import datetime as dt
import re

from ..api.errors import InvalidRequestError

Moment = dt.datetime | dt.date | str


def seconds_of(name: str, moment: Moment, *, end: bool = False) -> float:
    """Return Unix seconds; the end of a day where a day is the end."""
    try:
        # A datetime is a date for isinstance, too.
        whole_day = len(moment) <= 10 if isinstance(moment, str) else not isinstance(moment, dt.datetime)
        text = _named_day(moment) if isinstance(moment, str) else moment.isoformat()
        found = dt.datetime.fromisoformat(text)
        # Added before it is Unix time: a local day may have 23 or 25 hours.
        return (found + dt.timedelta(days=end and whole_day)).timestamp()
    except (AttributeError, ValueError, OverflowError) as error:
        what = f"{name}={moment!r}: expected a date, 2026-11-21, or a time, 2026-11-21T14:30"
        raise InvalidRequestError(what, "Local time unless an offset is given.", param=name, sent=None) from error


def _named_day(text: str) -> str:
    """Return the day that people name by its distance from today, as ISO text; any other text as it is."""
    days = {"today": 0, "yesterday": 1}.get(text.strip().lower())
    if days is None and (ago := re.fullmatch(r"(\d{1,5})\s*d(?:ays?)?", text.strip().lower())):
        days = int(ago[1])
    return text if days is None else (dt.datetime.now().astimezone().date() - dt.timedelta(days=days)).isoformat()
