"""Docstrings that list what is declared: a line for each parameter, in the place of `**options`."""

from __future__ import annotations

import re
from collections.abc import Iterable

_PLACE = re.compile(r"^( *)\*\*\w+:.*\n(?:\1 +.*\n)*", re.MULTILINE)


def with_entries(text: str | None, entries: Iterable[str]) -> str | None:
    """Return a docstring with these entries in the place of the one for `**options`; None where Python has none (`-OO`)."""
    return text and _PLACE.sub(lambda found: "".join(f"{found[1]}{entry}\n" for entry in entries), text)
