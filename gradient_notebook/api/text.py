"""Text that comes from elsewhere, made fit to be shown; and the nearest known name."""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Iterable, Iterator

SHORT = 100
"""Characters that are kept of a name, a code or an id."""

# Text, which `re` compiles at its first use: these take 1 ms, and most of what is shown needs none of them.
_CONTROLS = (
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x9b[0-?]*[ -/]*[@-~]"  # a terminal's colors and titles
    r"|[\x00-\x1f\x7f-\x9f\u2028\u2029]"
)
# What turns the direction of the text around it, or cannot be written as UTF-8. Emoji need their joiners.
HIDDEN = "\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f"
"""As the inside of a regular expression's brackets."""
_HIDDEN = f"[{HIDDEN}]"
_NOT_SHOWN = rf"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029{HIDDEN}]"


def clean(value: object, at_most: int = 1000, *, lines: bool = False) -> str:
    """Return what the service says as it may be shown: nothing in it controls a terminal, a page or a log.

    `at_most` characters are left; line ends only where `lines` are meant.
    """
    text = value if isinstance(value, str) else reprlib.repr(value)
    if len(text) <= at_most and text.isascii() and text.isprintable():  # nearly always: nothing can be hidden in it
        return text.strip()
    # Bounds the work on a text of megabytes; four times, since much of it may be taken out.
    looked_at = text[: 4 * at_most]

    def plain(match: re.Match[str]) -> str:
        return "\n" if lines and match[0] == "\n" else " "

    shown = re.sub(_HIDDEN, "", re.sub(_CONTROLS, plain, looked_at)).strip()
    return shown if len(shown) <= at_most and looked_at == text else f"{shown[: at_most - 1]}…"


def clean_json(text: str) -> str:
    """Return JSON that says the same with everything escaped that `clean` would take out."""
    return re.sub(_NOT_SHOWN, lambda match: json.dumps(match[0])[1:-1], text)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `Did you mean X?` for the nearest known name, or an empty string."""
    import difflib  # for mistakes only

    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.7)
    return f"Did you mean {found[0]}?" if found else ""


def normalized(value: str) -> str:
    """Return a value as the service writes its own: lower case, `x` between numbers, no white space."""
    return re.sub(r"[×*]", "x", "".join(value.lower().split()))


def misspelled(value: str, known: Iterable[str]) -> str:
    """Return the known value that is evidently meant: other case or white space, a letter dropped, or two swapped."""
    plain = normalized(value)
    if plain in (known := tuple(known)):
        return plain
    words = [one for one in known if one.isalpha()]  # one digit more or less is another number
    return next((one for one in words if plain in _slips(one)), "")


def _slips(word: str) -> Iterator[str]:
    for at in range(len(word)):
        yield word[:at] + word[at + 1 :]
        yield word[:at] + word[at + 1 : at + 2] + word[at : at + 1] + word[at + 2 :]


def shortened(text: str, characters: int) -> str:
    """Return the beginning of a text that is too long to show."""
    return text if len(text) <= characters else f"{text[:characters]}…"


def is_text(data: bytes) -> bool:
    """Whether bytes are text, and not something that is packed or painted."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in data
