"""How the simulator can be told to misbehave: a scripted list, one entry for one POST.

`Fault` is the declaration of everything that can be scripted. An entry is a mapping of its fields, as many as make
sense together (`{"delay": 2, "status": 503, "headers": {"retry-after": "1"}}`), or None to behave.
"""

from __future__ import annotations

import base64
import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

CUTS_IN_FINAL = ("in_name", "in_final", "after_base64", "in_tail", "before_blank_line")
BASE64_FORMS = ("data_url", "wrapped", "url_safe", "unpadded")
BY_ADDRESS = ("alone", "beside_null", "beside_empty")
PACKED = ("gzip", "deflate", "raw_deflate")
CUTS = ("before_headers", "in_headers", "in_partial", "between_events", *CUTS_IN_FINAL)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One scripted misbehaviour. A field that is not given leaves its part of the answer as it should be."""

    delay: float = 0
    """Seconds of silence before anything else happens."""
    silence: bool = False
    """Take the request and never answer, until the client leaves or the server stops; with `cut`, from there on."""
    cut: str = ""
    """Close the connection there, one of `CUTS`.

    Those of the final event are in its first word, in its middle, after its base64 (before the quote), between that and
    its end, and before its last character. A JSON answer is cut at the same places; for the others in its middle.
    """
    reset: bool = False
    """Cut with a TCP reset (RST) instead of an orderly end (FIN)."""
    status: int = 0
    """Answer with this HTTP status, with `body` or `body_text`, and paint nothing."""
    headers: Mapping[str, Any] | None = None
    """Headers of the answer, over the usual ones; None takes one away."""
    body: Mapping[str, Any] | list[Any] | str | None = None
    """JSON body of the answer: an object, a list or a text."""
    body_text: str | None = None
    """Body of the answer, as it is."""
    body_base64: str | None = None
    """Body of the answer, as these bytes, given as base64."""
    content_type: str = ""
    """Content type of the answer that `status`, `body`, `body_text` or `endless` makes."""
    endless: str = ""
    """After `body` or `body_text` send this text again and again until the client leaves, as `text/event-stream`."""
    redirect: str = ""
    """Answer 307 (or `status`) with this location."""
    error_event: Mapping[str, Any] | None = None
    """Send `{"error": this}` after the first partial image and end; instead of the answer if it is no stream."""
    truncate_base64: bool = False
    """Break the last picture's base64 off in the middle of a group of four."""
    image_data: str | None = None
    """Send this text, properly encoded, as the last picture."""
    image_base64: str | None = None
    """Send these bytes, given as base64, as the last picture."""
    partial_base64: str | None = None
    """Send these bytes, given as base64, as each partial picture."""
    partials: int | None = None
    """Send so many partial pictures, however many were asked for."""
    events: int = 0
    """Before all others send so many small events: a comment, one of unknown type, a tiny partial one, and again."""
    drip: int = 0
    """Write so many bytes at a time, each on its own."""
    pace: float = 0
    """Seconds of silence behind each of these writes."""
    lingers: bool = False
    """Go on behind the answer, with comments or white space, until the client leaves."""
    glued: str = ""
    """Send this behind the answer on the same connection, as the answer to a request that nobody has made."""
    hang_up: bool = False
    """Close the connection behind the answer, though nobody was told that it would be."""
    base64_form: str = ""
    """Write the base64 of pictures in another way, one of `BASE64_FORMS`."""
    by_address: str = ""
    """Send the address of the last picture instead of its base64, one of `BY_ADDRESS`: without it, or beside null or ''."""
    usage: Mapping[str, Any] | None = None
    """Say that these are the tokens used."""
    error_name: str = ""
    """Send `error_event` under this name and without the `error` around it."""
    error_text: str | None = None
    """Its data, instead, as plain text."""
    packed: str = ""
    """Pack the body, one of `PACKED`; `headers` say so, or do not."""

    def __post_init__(self) -> None:
        if self.body_base64 is not None and not self.body_text:
            object.__setattr__(self, "body_text", " ")  # something to be sent, in whose place the bytes go out

    @property
    def answers(self) -> bool:
        """Whether the fault is an answer of its own, so that nothing is painted."""
        said = self.status or self.redirect or self.content_type or self.endless
        return bool(said) or (self.body, self.body_text, self.body_base64) != (None, None, None)

    @property
    def rewrites(self) -> bool:
        """Whether the usual answer goes out in other words."""
        return bool(self.base64_form or self.by_address or self.error_name) or self.usage is not None

    @property
    def body_bytes(self) -> bytes | None:
        """The body of the answer as bytes, if the fault says it so."""
        return None if self.body_base64 is None else base64.b64decode(self.body_base64)

    @property
    def picture(self) -> bytes | None:
        """The file to be sent as the last picture, if the fault says."""
        if self.image_base64 is not None:
            return base64.b64decode(self.image_base64)
        return None if self.image_data is None else self.image_data.encode()

    @property
    def partial_picture(self) -> bytes | None:
        """The file to be sent as each partial picture, if the fault says."""
        return None if self.partial_base64 is None else base64.b64decode(self.partial_base64)


_TYPES: Mapping[str, tuple[type, ...]] = {
    "delay": (int, float),
    "silence": (bool,),
    "cut": (str,),
    "reset": (bool,),
    "status": (int,),
    "headers": (Mapping,),
    "body": (Mapping, list, str),
    "body_text": (str,),
    "body_base64": (str,),
    "content_type": (str,),
    "endless": (str,),
    "redirect": (str,),
    "error_event": (Mapping,),
    "truncate_base64": (bool,),
    "image_data": (str,),
    "image_base64": (str,),
    "partial_base64": (str,),
    "partials": (int,),
    "events": (int,),
    "drip": (int,),
    "pace": (int, float),
    "lingers": (bool,),
    "glued": (str,),
    "hang_up": (bool,),
    "base64_form": (str,),
    "by_address": (str,),
    "usage": (Mapping,),
    "error_name": (str,),
    "error_text": (str,),
    "packed": (str,),
}
_ONE_OF: Mapping[str, tuple[str, ...]] = {
    "cut": CUTS,
    "base64_form": BASE64_FORMS,
    "by_address": BY_ADDRESS,
    "packed": PACKED,
}


def script(entries: Iterable[Mapping[str, Any] | Fault | None]) -> list[Fault]:
    """Return `entries` as faults, or raise ValueError naming the entry, what is wrong and what is allowed."""
    return [_fault(number, entry) for number, entry in enumerate(entries)]


def read_script(path: Path) -> list[Fault]:
    """Return the faults of a JSON file that holds a list of entries; raises OSError or ValueError."""
    entries = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(entries, list):
        raise _unfit(type(entries).__name__, "a list of faults")
    return script(entries)


def _fault(number: int, entry: Mapping[str, Any] | Fault | None) -> Fault:
    if isinstance(entry, Fault):
        return entry
    if not isinstance(entry, Mapping | None):
        raise _unfit(f"fault {number}: {entry!r}", "a mapping or null")
    for name, value in (entry or {}).items():
        _check(f"fault {number}: {name}={value!r:.80}", name, value)  # some values are pictures
    return Fault(**(entry or {}))


def _check(where: str, name: str, value: Any) -> None:
    known = [declared.name for declared in fields(Fault)]
    if name not in known:
        near = difflib.get_close_matches(str(name), known, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"Known are {', '.join(known)}."
        raise ValueError(f"{where}: no such fault. {hint}")
    wanted = _TYPES[name]
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
        raise _unfit(where, " or ".join(kind.__name__ for kind in wanted))
    if isinstance(value, int | float) and value < 0:
        raise _unfit(where, "0 or more")
    if name in _ONE_OF and value not in _ONE_OF[name]:
        raise _unfit(where, f"one of {', '.join(_ONE_OF[name])}")
    if name in ("body_base64", "image_base64", "partial_base64") and not _is_base64(str(value)):
        raise _unfit(where, "base64")


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except ValueError:
        return False
    return True


def _unfit(got: str, expected: str) -> ValueError:
    return ValueError(f"{got}: expected {expected}")
