"""Bytes as they arrive -> values. Knows no socket.

Three stages, each of which is fed and passes on: `Base64Stream` takes the images out of the text; `SSEParser` cuts what
is left (some 300 bytes an event) into server-sent events; `Messages` makes values of their JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from . import bounds
from .base64_stream import Base64Stream
from .entries import entries_of
from .errors import REPORT, InvalidResponseError
from .events import COMPLETED, ImageGenCompletedEvent, ImageGenStreamEvent
from .messages import PARTIAL_WORD, ErrorMaker, Mask, Messages, says_finished, unmasked
from .sse import SSEParser
from .tasks import task_in

# Not strict: some servers write the line ends of wrapped base64 as they are. One for all: json.loads would make one each time.
_JSON = json.JSONDecoder(strict=False)
_MOST_LOOKS = 16
_LONGEST_TAIL = 64  # bytes of white space that may stand behind an answer


class StreamDecoder:
    """Decodes a `text/event-stream`: fed with bytes however they are cut, it yields the stream's events."""

    def __init__(self, make_error: ErrorMaker, masked: Mask = unmasked) -> None:
        self._images = Base64Stream()
        self._lines = SSEParser()
        self._masked = masked
        self._messages = Messages(self._images, make_error, masked)

    @property
    def last_words(self) -> str:
        """What the stream said last that was no image."""
        return self._messages.last_words

    @property
    def left_over(self) -> bytes:
        """What may be a part of a finished image: the event that the stream was cut off in, for one."""
        return self._messages.left_over

    def feed(self, chunk: bytes) -> Iterator[ImageGenStreamEvent]:
        """Return the events that are complete, one after the other; an error event is raised."""
        text = self._images.feed(chunk)
        return self._events(text) if text else iter(())

    def _events(self, text: bytes) -> Iterator[ImageGenStreamEvent]:
        for name, data in self._lines.feed(text):
            yield from self._event(name, data)
            self._images.forget(data)

    def close(self) -> Iterator[ImageGenStreamEvent]:
        """Yield what the end of the stream completes. Of a rest that is cut off only a finished image counts."""
        for name, data in [*self._lines.feed(self._images.close()), *self._lines.close()]:
            # Only of a finished image's event: a partial one must not pass for what was paid for.
            is_finished = says_finished(name) or COMPLETED.encode() in data or b'"data"' in data
            if _is_json(data) or _lines_of(data) or not (is_finished or b'"b64_json"' in data):
                yield from self._event(name, data)
            elif b"partial" not in data and "partial" not in name:
                whole = [*self._images.salvage(data)] if is_finished else []
                yield from map(_salvaged, whole)
                self._messages.left_over = b"" if whole else self._masked(self._images.restored(data))
        yield from self._messages.close()

    def _event(self, name: str, data: bytes) -> Iterator[ImageGenStreamEvent]:
        if data.strip() == b"[DONE]":
            return self._messages.close()
        try:
            value = _loaded(data)
        except ValueError:
            # Some servers forget the empty line between two events.
            if values := _lines_of(data):
                return chain.from_iterable(self._messages.event("", each) for each in values)
            value = data
        except InvalidResponseError:
            if name == COMPLETED:
                raise
            return iter(())  # an event of unknown type says what it likes
        return self._messages.event(name, value)


def _salvaged(image_bytes: bytes) -> ImageGenCompletedEvent:
    return ImageGenCompletedEvent(image_bytes=image_bytes)


class ResponseDecoder:
    """Decodes an `application/json` answer: its 1 to 10 images come as events when it is closed."""

    def __init__(self, make_error: ErrorMaker, masked: Mask = unmasked) -> None:
        self._images = Base64Stream()
        self._text = bytearray()
        self._masked = masked
        self._messages = Messages(self._images, make_error, masked)
        self._looks = self._looked_at = 0
        self._was_whole = False

    @property
    def last_words(self) -> str:
        """What the answer said last that was no image."""
        return self._messages.last_words

    @property
    def left_over(self) -> bytes:
        """What may be a part of a finished image."""
        return self._messages.left_over

    def is_whole(self, image_count: int) -> bool:
        """Whether what has come is an answer with so many images already, so that nothing has to follow."""
        tail = self._text[-_LONGEST_TAIL:]
        size = len(self._text) - len(tail) + len(tail.rstrip())
        if not self._images.is_between or not tail.rstrip().endswith((b"}", b"]")):
            return self._was_whole and not tail.strip()
        # Reading it takes time: a few times while it grows, then only when it has doubled.
        if size != self._looked_at:
            is_read = self._looks < _MOST_LOOKS or size >= 2 * self._looked_at
            self._looks, self._looked_at = self._looks + 1, size
            self._was_whole = is_read and self._has_images(image_count)
        return self._was_whole

    def _has_images(self, count: int) -> bool:
        if PARTIAL_WORD.encode() in self._text:
            return False  # one such object on each line: the finished image stands on a later one
        try:
            value = _loaded(bytes(self._text))
        except (ValueError, InvalidResponseError):
            return False
        return len(entries_of(value)) >= count and not (isinstance(value, Mapping) and task_in(value))

    def feed(self, chunk: bytes) -> Iterator[ImageGenStreamEvent]:
        """Take the next bytes. Nothing is complete before the end, but for the images that too much follows."""
        try:
            self._text += self._images.feed(chunk)
            if len(self._text) > bounds.MAX_TEXT_BYTES:
                raise InvalidResponseError(
                    f"The response has more than {bounds.MAX_TEXT_BYTES:,} bytes besides its images.", suggest=REPORT
                )
        except InvalidResponseError as error:
            return self._given_up(error)
        return iter(())

    def _given_up(self, error: InvalidResponseError) -> Iterator[ImageGenStreamEvent]:
        if PARTIAL_WORD.encode() not in self._text:
            yield from map(_salvaged, self._images.salvage(bytes(self._text)))
        raise error

    def close(self) -> Iterator[ImageGenStreamEvent]:
        """Yield the images; the usage of all of them stands with the first."""
        self._text += self._images.close()
        text = bytes(self._text)
        try:
            value = _loaded(text)
        except (ValueError, InvalidResponseError) as error:
            if lines := _lines_of(text):
                for line in lines:
                    yield from self._messages.event("", line)
                yield from self._messages.close()
                return
            if PARTIAL_WORD.encode() not in text:
                yield from map(_salvaged, self._images.salvage(text))
            if isinstance(error, InvalidResponseError):
                raise
            is_cut = bool(text) and not text.rstrip().endswith((b"}", b"]"))
            what = f"The response is not JSON{': it ends too early' if is_cut else ''}."
            received = self._masked(self._images.restored(text))
            raise InvalidResponseError(what, suggest=REPORT, received=received) from error
        else:
            yield from self._answer(value, text)

    def _answer(self, value: Any, text: bytes) -> Iterator[ImageGenStreamEvent]:
        found = 0
        try:
            for event in self._messages.answer(value):
                found += 1
                yield event
        except Exception as error:
            # Where nobody looks for an image there may be one all the same.
            left = [] if found or PARTIAL_WORD.encode() in text else list(self._images.salvage(text))
            yield from map(_salvaged, left)
            if not left:
                if isinstance(error, InvalidResponseError) and not (found or error.received):
                    error.received = self._masked(self._images.restored(text))
                raise


def _lines_of(text: bytes) -> list[Any]:
    """Return the objects of a text that has one on each line; nothing where it is no such text, or not all of it."""
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) < 2 or not all(line.lstrip()[:1] == b"{" for line in lines):
        return []
    try:
        return [_loaded(line) for line in lines]
    except (ValueError, InvalidResponseError):
        return []


def _is_json(data: bytes) -> bool:
    try:
        return bool(_loaded(data))
    except (ValueError, InvalidResponseError):
        return False


def _loaded(data: bytes) -> Any:
    """Return the value of a JSON text; raise ValueError where it is none, InvalidResponseError where it has no end."""
    # Counted in the text, since reading it is what takes the memory. A shorter text cannot have as many.
    if len(data) > bounds.MAX_VALUES and sum(map(data.count, (b",", b"[", b"{"))) > bounds.MAX_VALUES:
        raise InvalidResponseError(
            f"The response has more than {bounds.MAX_VALUES:,} values besides its images.", suggest=REPORT
        )
    try:
        return _JSON.decode(data.decode(json.detect_encoding(data), "surrogatepass"))  # as json.loads reads bytes
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
