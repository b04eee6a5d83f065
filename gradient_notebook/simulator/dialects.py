"""The same answer as other servers of this API write it: addresses, data: URLs, base64 of every kind, packed, other usage.

What stands here rewrites the simulator's own events and answers on their way out, whole each time.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .faults import Fault

Store = Callable[[bytes], str]
"""Keeps a file to be fetched, and returns its address."""

_FORMS: Mapping[str, Callable[[str], str]] = {
    "data_url": lambda text: f"data:image/png;base64,{text}",
    "wrapped": lambda text: "\r\n".join(text[at : at + 76] for at in range(0, len(text), 76)),
    "url_safe": lambda text: text.translate(str.maketrans("+/", "-_")),
    "unpadded": lambda text: text.rstrip("="),
    "": lambda text: text,
}
_BESIDE: Mapping[str, Mapping[str, Any]] = {
    "alone": {},
    "beside_null": {"b64_json": None},
    "beside_empty": {"b64_json": ""},
}
_WINDOW = {"gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS, "raw_deflate": -zlib.MAX_WBITS}


def spoken(fault: Fault, data: bytes, store: Store) -> bytes:
    """Return an event or an answer in the words of the script."""
    if fault.error_name and data.startswith(b'data: {"error"'):
        return _error_event(fault)
    before, marker, text = (b"", b"", data) if data.startswith(b"{") else data.partition(b"data: ")
    try:
        value = json.loads(text)
    except ValueError:
        return data  # a comment, or what the script cuts off
    is_partial = "partial_image_index" in value
    for entry in _with_image(value):
        written = _FORMS[fault.base64_form](entry["b64_json"])
        entry["b64_json"] = written
        if fault.by_address and not is_partial:
            del entry["b64_json"]
            entry |= {"url": store(base64.b64decode(written)), **_BESIDE[fault.by_address]}
    if fault.usage is not None and "usage" in value:
        value["usage"] = dict(fault.usage)
    return before + marker + json.dumps(value).encode() + (b"\n\n" if marker else b"")


def _with_image(value: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for entry in (value, *value.get("data", ())):
        if isinstance(entry, dict) and entry.get("b64_json"):
            yield entry


def _error_event(fault: Fault) -> bytes:
    told = {"type": fault.error_name, **(fault.error_event or {})}
    text = fault.error_text if fault.error_text is not None else json.dumps(told)
    return f"event: {fault.error_name}\ndata: {text}\n\n".encode()


class Packer:
    """Packs a body while it goes out."""

    def __init__(self, how: str) -> None:
        self._packing = zlib.compressobj(wbits=_WINDOW[how])

    def pack(self, data: bytes) -> bytes:
        """Return what of it can be read by itself."""
        return self._packing.compress(data) + self._packing.flush(zlib.Z_SYNC_FLUSH)
