"""Text that comes from elsewhere, made fit to be shown; and the nearest known name."""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Iterable

SHORT = 100
"""Characters that are kept of a name, a code or an id."""

_CONTROLS = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x9b[0-?]*[ -/]*[@-~]"  # a terminal's colors and titles
    r"|[\x00-\x1f\x7f-\x9f\u2028\u2029]"
)
# What turns the direction of the text around it, or cannot be written as UTF-8. Emoji need their joiners.
_HIDDEN = re.compile(
    "[\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)


def clean(value: object, at_most: int = 1000, *, lines: bool = False) -> str:
    """Return what the service says as it may be shown: nothing in it controls a terminal, a page or a log.

    `at_most` characters are left; line ends only where `lines` are meant.
    """
    text = value if isinstance(value, str) else reprlib.repr(value)
    # Bounds the work on a text of megabytes; four times, since much of it may be taken out.
    looked_at = text[: 4 * at_most]

    def plain(match: re.Match[str]) -> str:
        return "\n" if lines and match[0] == "\n" else " "

    shown = _HIDDEN.sub("", _CONTROLS.sub(plain, looked_at)).strip()
    return shown if len(shown) <= at_most and looked_at == text else f"{shown[: at_most - 1]}…"


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `Did you mean X?` for the nearest known name, or an empty string."""
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.7)
    return f"Did you mean {found[0]}?" if found else ""


def shortened(text: str, characters: int) -> str:
    """Return the beginning of a text that is too long to show."""
    return text if len(text) <= characters else f"{text[:characters]}…"
