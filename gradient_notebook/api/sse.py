"""Text -> server-sent events, as the WHATWG standard has it. Knows neither a socket nor what an event means."""

from __future__ import annotations

from collections.abc import Iterator

from . import bounds
from .errors import REPORT, InvalidResponseError


class SSEParser:
    """Cuts text into server-sent events, as the WHATWG standard has it: (event name, data)."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._size = self._event_count = 0
        self._started = False
        self._after_cr = False
        self._event = ""
        self._data = bytearray()  # not a list: a million short pieces take far more memory than their text

    def feed(self, text: bytes) -> Iterator[tuple[str, bytes]]:
        """Yield the events that end in this text."""
        if self._after_cr and text:
            # A CR ends its line when it comes, whatever follows: a LF at the beginning of the next read belongs to it.
            text, self._after_cr = text.removeprefix(b"\n"), False
        self._after_cr = self._after_cr or text.endswith(b"\r")
        # Bytes are split at CR and LF alone; a str would be at U+2028, too, which JSON may hold.
        for line in text.splitlines(keepends=True):
            self._keep(line)
            if line.endswith((b"\r", b"\n")):
                whole = bytes(self._line).rstrip(b"\r\n")
                self._line.clear()
                yield from self._take(whole)

    def close(self) -> Iterator[tuple[str, bytes]]:
        """Yield an event that its stream ended without the blank line: it may be a paid image."""
        if self._line:
            yield from self._take(bytes(self._line))
        yield from self._dispatch()

    def _keep(self, line: bytes) -> None:
        self._size += len(line)
        if self._size > bounds.MAX_TEXT_BYTES:
            raise InvalidResponseError(
                f"The response contains an event of more than {bounds.MAX_TEXT_BYTES:,} bytes besides its image.",
                suggest=REPORT,
            )
        self._line += line

    def _take(self, line: bytes) -> Iterator[tuple[str, bytes]]:
        if not self._started:
            line, self._started = line.removeprefix(b"\xef\xbb\xbf"), True
        if not line:
            yield from self._dispatch()
            return
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data += value + b"\n"
        elif name == b"event":
            self._event = value.decode("utf-8", "replace")
        # `id` and `retry` are for reconnecting, which would be a second request, and a second bill.

    def _dispatch(self) -> Iterator[tuple[str, bytes]]:
        event, data = self._event, self._data
        self._event, self._data, self._size = "", bytearray(), 0
        if data:
            self._event_count += 1
            if self._event_count > bounds.MAX_EVENTS:
                raise InvalidResponseError(f"The stream has more than {bounds.MAX_EVENTS:,} events.", suggest=REPORT)
            del data[-1:]
            yield event, bytes(data)
