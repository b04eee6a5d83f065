"""Where an answer has its images: each kind of server has its own names for the same."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from .image_text import bytes_of, is_address, is_data_url
from .images import format_of

BASE64_FIELDS = ("b64_json", "b64", "base64", "image_base64")
ADDRESS_FIELDS = ("url", "image_url", "image")
"""What else may hold an image as text, or says where it is."""
_LISTS = ("data", "images", "output", "artifacts", "predictions", "results", "result")
_WRAPPINGS = ("response", "image", "item", "choices", "message", "delta", "content", "image_url")
"""Around these and the lists: elsewhere an address may be of anything."""
_MOST_ENTRIES = 1000
_SMALLEST_IMAGE = 1000  # bytes or characters
_DEEPEST = 8
_NO_PLACES = re.compile("partial|preview|thumb|error|input|request|mask", re.IGNORECASE)
"""Fields whose images are not what was paid for."""


def entries_of(message: Any) -> list[Any]:
    """Return what of an answer stands for an image each, at any depth."""
    listed = _listed(message)
    if not listed:
        return list(islice(_within(message), _MOST_ENTRIES))
    inner = (each for entry in listed for each in ([entry] if _may_be_image(entry) else [*_within(entry)] or [entry]))
    return list(islice(inner, _MOST_ENTRIES))


def _within(value: Any, depth: int = 0, *, is_known: bool = True) -> Iterator[Any]:
    """Yield the entries that stand deeper in an answer, in a wrapping of whatever name."""
    if depth > _DEEPEST or not isinstance(value, (Mapping, list)):
        return
    named = value.items() if isinstance(value, Mapping) else (("data", each) for each in value)
    for name, part in named:
        if not isinstance(part, (Mapping, list)) or _NO_PLACES.search(str(name)):
            continue
        is_place = is_known and name in (*_LISTS, *_WRAPPINGS)
        found = [entry for entry in _listed(part) if _is_image(entry) or (is_place and _may_be_image(entry))]
        yield from found or _within(part, depth + 1, is_known=is_place)


def _is_image(entry: Any) -> bool:
    """Whether an entry is an image wherever it stands: any object may have an address, of whatever it is."""
    if isinstance(entry, str):
        return is_image_text(entry)
    if not isinstance(entry, Mapping):
        return False
    written = any(text_of(entry.get(name)) for name in BASE64_FIELDS)
    return written or any(is_image_text(text_of(entry.get(name))) for name in ADDRESS_FIELDS)


def _listed(message: Any) -> list[Any]:
    """Return the entries where they are documented: each of them stands for an image, though not all may have one."""
    if isinstance(message, list):
        found = message
    elif not isinstance(message, Mapping):
        found = [message]
    elif _may_be_image(message):
        return [message]
    else:
        # An object of its own instead of a list of one.
        values = (message.get(name) for name in _LISTS)
        found = next((value if isinstance(value, list) else [value] for value in values if value), [])
    return found[:_MOST_ENTRIES] if any(map(_may_be_image, found[:_MOST_ENTRIES])) else []


def _may_be_image(entry: Any) -> bool:
    if isinstance(entry, str):
        return is_address(entry) or is_image_text(entry)
    return isinstance(entry, Mapping) and any(text_of(entry.get(name)) for name in (*BASE64_FIELDS, *ADDRESS_FIELDS))


def text_of(value: Any) -> str:
    """Return the text of a field, which some services put into an object of its own."""
    if isinstance(value, Mapping):
        value = value.get("url")
    return value if isinstance(value, str) and value.strip() else ""


def is_image_text(text: str) -> bool:
    """Whether a text is an image itself, where it could as well be an address without a host."""
    if is_data_url(text):
        return True
    try:
        data = bytes_of(text)
    except ValueError:
        return False
    # An image of a format that is not known here is longer than any path that looks like base64.
    return bool(format_of(data)) or len(data) >= _SMALLEST_IMAGE


def worth_keeping(text: bytes) -> bytes:
    """Return what may hold an image that nobody knows how to read here; a few words are told, and need not be kept."""
    return text if len(text) >= _SMALLEST_IMAGE else b""


def written(message: Any) -> bytes:
    """Return JSON that came, as JSON again."""
    return json.dumps(message, ensure_ascii=False, default=str).encode("utf-8", "replace")
