"""Packed bodies of answers: unpacked where they are what their header says, read as they are where they are not."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

from .images import LONGEST_SIGNATURE, format_of

_AT_ONCE = 256 * 1024
"""Bytes that are unpacked at a time: what a small text unpacks to may have no end, and is bounded where it is read."""
_READ_AT_ONCE = 2048
_GZIP = b"\x1f\x8b\x08"
_PAGE_BEGINS = tuple(
    b"<" + word for word in (b"!do", b"!--", b"htm", b"hea", b"bod", b"tit", b"?xm", b"svg", b"err", b"div", b"cen")
)
# Raw deflate of a text begins with none of the single characters, but often with "<": of that, more is looked at.
_PLAIN_BEGINS = (b"{", b"[", b'"', b"data", b"event", b":", b"id:", b"retry:", *_PAGE_BEGINS)
_LONGEST_BEGINNING = LONGEST_SIGNATURE


class UnpackingError(Exception):
    """A body is packed in a way that was not asked for, or is broken."""


class Unpacker:
    """Takes one layer of gzip or deflate from a body; nothing is packed unless the body begins like it.

    Packed answers are not asked for, since images hardly shrink; some services send them all the same, and some only say
    so, or do not.
    """

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding.strip().lower()
        self._begins = b""
        self._is_open = False
        self._inflating: Any = None

    @property
    def passes_on(self) -> bool:
        """Whether the body has turned out not to be packed: what comes is the body itself."""
        return self._is_open and self._inflating is None

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the next bytes of the body itself."""
        if self.passes_on:
            yield chunk
            return
        if not self._is_open:
            self._begins += chunk
            if len(self._begins) < _LONGEST_BEGINNING:
                return
            chunk = self._open()
        yield from self._inflated(chunk)

    def close(self) -> Iterator[bytes]:
        """Yield what was held back."""
        if not self._is_open and self._begins:
            yield from self._inflated(self._open())
        if self._inflating and not self._inflating.eof and (rest := self._inflating.flush()):
            yield rest

    def _open(self) -> bytes:
        """Decide how the body is read, and return its beginning."""
        begins, self._begins, self._is_open = self._begins, b"", True
        if begins.startswith(_GZIP):
            self._inflating = zlib.decompressobj(zlib.MAX_WBITS | 16)
        elif "deflate" in self._encoding and not (
            format_of(begins) or begins.lstrip().lower().startswith(_PLAIN_BEGINS)
        ):
            has_header = begins[0] & 0x0F == 8 and int.from_bytes(begins[:2]) % 31 == 0
            self._inflating = zlib.decompressobj(zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS)
        return begins

    def _inflated(self, chunk: bytes) -> Iterator[bytes]:
        if self._inflating is None:
            yield chunk
            return
        # In short pieces: what comes of one before it is found to be broken is lost.
        for at in range(0, len(chunk), _READ_AT_ONCE):
            yield from self._piece(chunk[at : at + _READ_AT_ONCE])

    def _piece(self, chunk: bytes) -> Iterator[bytes]:
        try:
            while chunk:
                if self._inflating.eof and not (chunk := self._next_member(chunk)):
                    return
                if data := self._inflating.decompress(chunk, _AT_ONCE):
                    yield data
                chunk = self._inflating.unconsumed_tail or self._inflating.unused_data
        except zlib.error as error:
            raise UnpackingError(f"its compression is broken: {error}") from error

    def _next_member(self, chunk: bytes) -> bytes:
        """Return the beginning of the next of several members of gzip; nothing where it is not here, or is none."""
        begins = self._begins + chunk
        if begins.startswith(_GZIP):
            self._begins, self._inflating = b"", zlib.decompressobj(zlib.MAX_WBITS | 16)
            return begins
        self._begins = begins[: len(_GZIP)]  # what follows the last one means nothing
        return b""
