"""Bytes as they arrive -> values. Knows no socket.

Three stages, each of which is fed and passes on: `ImageSieve` takes the base64 of the images out of the text and
decodes it on the way; `EventLines` cuts what is left (some 300 bytes an event) into server-sent events; a decoder
makes values of their JSON. An image of 4 MB never exists as text, and each byte of it is looked at once.
"""

from __future__ import annotations

import binascii
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from typing import Any

import pybase64

from .errors import InvalidResponse
from .events import (
    COMPLETED,
    PARTIAL_IMAGE,
    REPORTED,
    ImageGenCompletedEvent,
    ImageGenPartialImageEvent,
    ImageGenStreamEvent,
    Usage,
    texts,
    whole_numbers,
)

MAX_TEXT_BYTES = 64 * 1024 * 1024
"""The most text that one event or answer may have beside its images: an endless line must not fill the memory."""

# The key can't occur inside a JSON string, where its quotes would be escaped.
_KEY = re.compile(rb'"b64_json"\s*:\s*"')
_KEY_BEGUN = re.compile(rb'"(?:b(?:6(?:4(?:_(?:j(?:s(?:o(?:n(?:"\s*(?::\s*)?)?)?)?)?)?)?)?)?)?\Z')
_LONGEST_KEY = 256
_DECODED_AT_ONCE = 64 * 1024  # bytes: smaller reads are put together, so that their number does not count


class ImageSieve:
    """Takes the images out of JSON text while it passes, and leaves `"b64_json":"#…"` for each: its mark."""

    def __init__(self) -> None:
        self._images: dict[str, bytes] = {}
        # No base64, and of no other sieve: an answer that has a "#0" of its own must not be given image 0.
        self._mark = f"#{os.urandom(8).hex()}."
        self._count = 0
        self._held = b""  # outside an image: what may be the beginning of a key
        self._image: _Base64 | None = None

    def feed(self, chunk: bytes) -> bytes:
        """Take the next bytes, and return the text among them."""
        if self._image and b'"' not in chunk:  # nearly always: an image is hundreds of reads
            return b"" if self._image.feed(chunk) else self._leave(self._image)
        return b"".join(self._text(self._held + chunk))

    def close(self) -> bytes:
        """Return the text that was held back."""
        rest = self._image.text() if self._image else self._held
        self._image, self._held = None, b""
        return rest

    def take(self, value: Any) -> bytes:
        """Return the bytes of an image by the value of its `b64_json`, once; raise InvalidResponse if broken."""
        if isinstance(value, str) and value in self._images:
            return self._images.pop(value)
        try:
            return pybase64.b64decode("".join(value.split()), validate=True)
        except (binascii.Error, ValueError, AttributeError) as error:
            raise InvalidResponse("The answer holds an image whose base64 is broken.", _ASK) from error

    def _text(self, chunk: bytes) -> Iterator[bytes]:
        position = 0
        self._held = b""
        while position < len(chunk):
            if self._image:
                left_behind, position = self._pass_image(self._image, chunk, position)
                yield left_behind
            elif key := _KEY.search(chunk, position):
                yield chunk[position : key.start()]
                self._image, position = _Base64(key.group()), key.end()
            else:
                yield self._hold_back(chunk[position:])
                return

    def _pass_image(self, image: _Base64, chunk: bytes, position: int) -> tuple[bytes, int]:
        """Decode up to the closing quote, if it is here. Return what stands for the image in the text, and where."""
        end = chunk.find(b'"', position)
        stop = len(chunk) if end < 0 else end
        plain = image.feed(chunk[position:stop])
        if plain and end < 0:
            return b"", stop
        return self._leave(image, image.finish() if plain else None), stop

    def _leave(self, image: _Base64, data: bytes | None = None) -> bytes:
        """Return what stands for an image in the text: its mark, or all of it where it is no plain base64."""
        self._image = None
        return image.text() if data is None else self._keep(image.key, data)

    def _keep(self, key: bytes, data: bytes) -> bytes:
        mark = f"{self._mark}{self._count}"
        self._images[mark] = data
        self._count += 1
        return key + mark.encode()

    def _hold_back(self, text: bytes) -> bytes:
        begun = _KEY_BEGUN.search(text, max(0, len(text) - _LONGEST_KEY))
        if not begun:
            return text
        self._held = begun.group()
        return text[: begun.start()]


_ASK = "Nothing can be made of it here. If it happens again, report it to the service."


class _Base64:
    """One image being decoded, in whole quartets. Gives its text back if it turns out to be no plain base64."""

    def __init__(self, key: bytes) -> None:
        self.key = key
        self._decoded = BytesIO()
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._padded = False

    def feed(self, piece: bytes) -> bool:
        """Take the next characters. False: they are no plain base64, and `text` has all that came."""
        self._waiting.append(piece)
        self._waiting_bytes += len(piece)
        return self._waiting_bytes < _DECODED_AT_ONCE or self._decode()

    def finish(self) -> bytes | None:
        """Return the image, or None if its text is no plain base64."""
        return self._decoded.getvalue() if self._decode() and not self._waiting_bytes else None

    def text(self) -> bytes:
        """Return the key and all that came, as it came."""
        return b"".join([self.key, pybase64.b64encode(self._decoded.getvalue()), *self._waiting])

    def _decode(self) -> bool:
        text = b"".join(self._waiting)
        whole = len(text) & ~3
        self._waiting = [text]
        if self._padded and text:  # padding stands at the very end: after it, whatever comes is foreign
            return False
        try:
            data = pybase64.b64decode(memoryview(text)[:whole], validate=True)
        except (binascii.Error, ValueError):
            return False
        self._padded = len(data) * 4 < whole * 3
        self._decoded.write(data)
        self._waiting, self._waiting_bytes = [text[whole:]], len(text) - whole
        return True


class EventLines:
    """Cuts text into server-sent events, as the WHATWG standard has it: (event name, data)."""

    def __init__(self) -> None:
        self._line: list[bytes] = []
        self._size = 0
        self._started = False
        self._after_cr = False
        self._event = ""
        self._data: list[bytes] = []

    def feed(self, text: bytes) -> Iterator[tuple[str, bytes]]:
        """Yield the events that end in this text."""
        if self._after_cr and text:
            text, self._after_cr = text.removeprefix(b"\n"), False
        self._after_cr = self._after_cr or text.endswith(b"\r")
        for line in text.splitlines(keepends=True):
            self._keep(line)
            if line.endswith((b"\r", b"\n")):
                whole = b"".join(self._line).rstrip(b"\r\n")
                self._line = []
                yield from self._take(whole)

    def close(self) -> Iterator[tuple[str, bytes]]:
        """Yield an event that its stream ended without the blank line: it may be a paid image."""
        if self._line:
            yield from self._take(b"".join(self._line))
        yield from self._dispatch()

    def _keep(self, line: bytes) -> None:
        self._size += len(line)
        if self._size > MAX_TEXT_BYTES:
            raise InvalidResponse(f"The answer has an event of over {MAX_TEXT_BYTES:,} bytes beside its image.", _ASK)
        self._line.append(line)

    def _take(self, line: bytes) -> Iterator[tuple[str, bytes]]:
        if not self._started:
            line, self._started = line.removeprefix(b"\xef\xbb\xbf"), True
        if not line:
            yield from self._dispatch()
            return
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._event = value.decode("utf-8", "replace")

    def _dispatch(self) -> Iterator[tuple[str, bytes]]:
        event, data = self._event, self._data
        self._event, self._data, self._size = "", [], 0
        if data:
            yield event, b"\n".join(data)


ErrorMaker = Callable[[Mapping[str, Any]], Exception]


class StreamDecoder:
    """Decodes a `text/event-stream`: fed with bytes however they are cut, it yields the stream's events."""

    def __init__(self, make_error: ErrorMaker) -> None:
        self._make_error = make_error
        self._sieve = ImageSieve()
        self._lines = EventLines()

    def feed(self, chunk: bytes) -> Iterator[ImageGenStreamEvent]:
        """Return the events that are complete, one after the other; an error event is raised."""
        text = self._sieve.feed(chunk)
        return self._events(text) if text else iter(())

    def _events(self, text: bytes) -> Iterator[ImageGenStreamEvent]:
        for name, data in self._lines.feed(text):
            yield from self._event(name, data)

    def close(self) -> Iterator[ImageGenStreamEvent]:
        """Yield what the end of the stream completes. A rest that is cut off is no event."""
        for name, data in [*self._lines.feed(self._sieve.close()), *self._lines.close()]:
            if _is_json(data):
                yield from self._event(name, data)

    def _event(self, name: str, data: bytes) -> Iterator[ImageGenStreamEvent]:
        if data.strip() == b"[DONE]":
            return
        try:
            message = _json_object(data)
            kind = str(message.get("type") or name)
        except InvalidResponse:
            if name == COMPLETED:
                raise
            return  # an event of unknown type says what it likes
        if error := message.get("error"):
            raise self._make_error(error if isinstance(error, Mapping) else {"message": str(error)})
        if "b64_json" in message:
            yield from self._image_event(kind, message)

    def _image_event(self, kind: str, message: Mapping[str, Any]) -> Iterator[ImageGenStreamEvent]:
        try:
            # Of an unknown event too: the image must not stay in the sieve.
            image_bytes = self._sieve.take(message["b64_json"])
        except InvalidResponse:
            if kind == COMPLETED:
                raise
            return  # a broken partial image is no loss
        yield from _stream_events(kind, message, image_bytes)


def _stream_events(kind: str, message: Mapping[str, Any], image_bytes: bytes) -> Iterator[ImageGenStreamEvent]:
    common = {"image_bytes": image_bytes, **texts(message, *REPORTED), **whole_numbers(message, "created_at")}
    if kind == PARTIAL_IMAGE:
        yield ImageGenPartialImageEvent(**common, **whole_numbers(message, "partial_image_index"))
    elif kind == COMPLETED:
        more = texts(message, "revised_prompt")
        yield ImageGenCompletedEvent(**common, **more, usage=Usage.of(message.get("usage")))


class AnswerDecoder:
    """Decodes an `application/json` answer: its 1 to 10 images come as events when it is closed."""

    def __init__(self, make_error: ErrorMaker) -> None:
        self._make_error = make_error
        self._sieve = ImageSieve()
        self._text = bytearray()

    def feed(self, chunk: bytes) -> Iterator[ImageGenStreamEvent]:
        """Take the next bytes; nothing is complete before the end."""
        self._text += self._sieve.feed(chunk)
        if len(self._text) > MAX_TEXT_BYTES:
            raise InvalidResponse(f"The answer has over {MAX_TEXT_BYTES:,} bytes beside its images.", _ASK)
        return iter(())

    def close(self) -> Iterator[ImageGenStreamEvent]:
        """Yield the images; the usage of all of them stands with the first."""
        message = _json_object(bytes(self._text + self._sieve.close()))
        if isinstance(error := message.get("error"), Mapping):
            raise self._make_error(error)
        entries = message.get("data")
        if not isinstance(entries, list) or not entries:
            raise InvalidResponse("The answer holds no image: it has no data.", _ASK)
        usage = Usage.of(message.get("usage"))
        created = whole_numbers(message, "created").get("created", 0)
        failures: list[InvalidResponse] = []
        for index, entry in enumerate(entries):
            try:
                image_bytes = self._image(entry)
            except InvalidResponse as error:
                failures.append(error)  # the images after it are paid for, too
                continue
            yield ImageGenCompletedEvent(
                image_bytes=image_bytes,
                image_index=index,
                created_at=created,
                usage=usage,
                **texts(message, *REPORTED),
                **texts(entry, "revised_prompt"),
            )
            usage = None
        if failures:
            raise failures[0]

    def _image(self, entry: Any) -> bytes:
        if not isinstance(entry, Mapping) or "b64_json" not in entry:
            raise InvalidResponse("The answer holds no image: an entry of its data has no b64_json.", _ASK)
        return self._sieve.take(entry["b64_json"])


def _is_json(data: bytes) -> bool:
    try:
        return bool(json.loads(data))
    except (ValueError, RecursionError):
        return False


def _json_object(data: bytes) -> dict[str, Any]:
    try:
        message = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InvalidResponse("The answer is not JSON.", _ASK) from error
    if not isinstance(message, dict):
        raise InvalidResponse(f"The answer is a JSON {type(message).__name__}, not an object.", _ASK)
    return message
