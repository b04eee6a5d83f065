"""An image that is written as text, in any of the ways in which services do: base64 of every kind, data: URLs."""

from __future__ import annotations

import binascii
import re
from urllib.parse import unquote, unquote_to_bytes

import pybase64

_ADDRESS = re.compile(r"\s*https?:/", re.IGNORECASE)
_DATA_URL = re.compile(r"\s*data:(?P<about>[^,]{0,200}),", re.IGNORECASE)
_ESCAPED_TWICE = re.compile(r"\\[nrt]")
_URL_SAFE = str.maketrans("-_", "+/")


def is_address(text: str) -> bool:
    """Whether a text is the address of an image, and not the image."""
    return _ADDRESS.match(text) is not None


def is_data_url(text: str) -> bool:
    """Whether a text is a `data:` URL."""
    return _DATA_URL.match(text) is not None


def bytes_of(text: str) -> bytes:
    """Return the bytes that a text writes; raise ValueError where it writes none.

    Taken are base64 and `data:` URLs; lines may be wrapped, the alphabet may be that of URLs, the padding may be missing.
    """
    if found := _DATA_URL.match(text):
        text = text[found.end() :]
        if not found["about"].lower().rstrip().endswith("base64"):
            return unquote_to_bytes(text.strip())
    if "%" in text:
        text = unquote(text)
    # What Python's str() makes of bytes: servers send it by mistake.
    if text.startswith(("b'", 'b"')) and text.endswith(text[1]):
        text = text[2:-1]
    # Looked for first: an image has megabytes, and most have none of this.
    if "\\" in text:
        text = _ESCAPED_TWICE.sub("", text)
    if "-" in text or "_" in text:
        text = text.translate(_URL_SAFE)
    plain = "".join(text.split()).rstrip("=")
    try:
        return pybase64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error
