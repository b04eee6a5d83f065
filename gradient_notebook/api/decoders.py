"""Bytes as they arrive -> values. Knows no socket.

Three stages, each of which is fed and passes on: `Base64Stream` takes the images out of the text; `SSEParser` cuts what
is left (some 300 bytes an event) into server-sent events; a decoder makes values of their JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .base64_stream import Base64Stream
from .errors import REPORT, InvalidResponseError
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
from .sse import MAX_TEXT_BYTES, SSEParser
from .text import clean

MAX_PARTS = 1_000_000
"""The most values that one event or answer may have: each takes far more memory than its text."""


ErrorMaker = Callable[[Mapping[str, Any]], Exception]
Mask = Callable[[dict[str, Any]], dict[str, Any]]
"""Takes out of a message what must not be shown: some services repeat the key."""


def _unmasked(message: dict[str, Any]) -> dict[str, Any]:
    return message


class StreamDecoder:
    """Decodes a `text/event-stream`: fed with bytes however they are cut, it yields the stream's events."""

    def __init__(self, make_error: ErrorMaker, masked: Mask = _unmasked) -> None:
        self._make_error = make_error
        self._masked = masked
        self._images = Base64Stream()
        self._lines = SSEParser()

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
            if _is_json(data):
                yield from self._event(name, data)
            # Only of a finished image's event: a partial one must not pass for what was paid for.
            elif name == COMPLETED or COMPLETED.encode() in data:
                yield from map(_salvaged, self._images.salvage(data))

    def _event(self, name: str, data: bytes) -> Iterator[ImageGenStreamEvent]:
        if data.strip() == b"[DONE]":
            return
        try:
            message = self._masked(_json_object(data))
            kind = message.get("type") or name
        except InvalidResponseError:
            if name == COMPLETED:
                raise
            return  # an event of unknown type says what it likes
        if error := message.get("error"):
            raise self._make_error(error if isinstance(error, Mapping) else {"message": clean(error)})
        if "b64_json" in message:
            yield from self._image_event(kind, message)

    def _image_event(self, kind: str, message: Mapping[str, Any]) -> Iterator[ImageGenStreamEvent]:
        try:
            # Of an unknown event too: the image must not stay in the stream.
            image_bytes = self._images.take(message["b64_json"])
        except InvalidResponseError:
            if kind == COMPLETED:
                raise
            return  # a broken partial image is no loss
        yield from _stream_events(kind, message, image_bytes)


def _stream_events(kind: str, message: Mapping[str, Any], image_bytes: bytes) -> Iterator[ImageGenStreamEvent]:
    common = {"image_bytes": image_bytes, **texts(message, *REPORTED), **whole_numbers(message, "created_at")}
    if kind == PARTIAL_IMAGE:
        yield ImageGenPartialImageEvent(**common, **whole_numbers(message, "partial_image_index"))
    elif kind == COMPLETED:
        more = texts(message, "revised_prompt", lines=True)
        yield ImageGenCompletedEvent(**common, **more, usage=Usage.of(message.get("usage")))


def _salvaged(image_bytes: bytes) -> ImageGenCompletedEvent:
    return ImageGenCompletedEvent(image_bytes=image_bytes)


class ResponseDecoder:
    """Decodes an `application/json` answer: its 1 to 10 images come as events when it is closed."""

    def __init__(self, make_error: ErrorMaker, masked: Mask = _unmasked) -> None:
        self._make_error = make_error
        self._masked = masked
        self._images = Base64Stream()
        self._text = bytearray()

    def feed(self, chunk: bytes) -> Iterator[ImageGenStreamEvent]:
        """Take the next bytes; nothing is complete before the end."""
        self._text += self._images.feed(chunk)
        if len(self._text) > MAX_TEXT_BYTES:
            raise InvalidResponseError(
                f"The response has more than {MAX_TEXT_BYTES:,} bytes besides its images.", suggest=REPORT
            )
        return iter(())

    def close(self) -> Iterator[ImageGenStreamEvent]:
        """Yield the images; the usage of all of them stands with the first."""
        self._text += self._images.close()
        text = bytes(self._text)
        try:
            message = self._masked(_json_object(text))
        except InvalidResponseError:
            yield from map(_salvaged, self._images.salvage(text))
            raise
        if isinstance(error := message.get("error"), Mapping):
            raise self._make_error(error)
        entries = message.get("data")
        if not isinstance(entries, list) or not entries:
            raise InvalidResponseError("The response contains no image: it has no data.", suggest=REPORT)
        usage = Usage.of(message.get("usage"))
        created = whole_numbers(message, "created").get("created", 0)
        failures: list[InvalidResponseError] = []
        for index, entry in enumerate(entries):
            try:
                image_bytes = self._image(entry)
            except InvalidResponseError as error:
                failures.append(error)  # the images after it are paid for, too
                continue
            yield ImageGenCompletedEvent(
                image_bytes=image_bytes,
                image_index=index,
                created_at=created,
                usage=usage,
                **texts(message, *REPORTED),
                **texts(entry, "revised_prompt", lines=True),
            )
            # With the first image alone: a sum over the images would count it n times.
            usage = None
        if failures:
            raise failures[0]

    def _image(self, entry: Any) -> bytes:
        if not isinstance(entry, Mapping) or "b64_json" not in entry:
            raise InvalidResponseError(
                "The response contains no image: an entry of its data has no b64_json.", suggest=REPORT
            )
        return self._images.take(entry["b64_json"])


def _is_json(data: bytes) -> bool:
    try:
        return bool(_loaded(data))
    except (ValueError, InvalidResponseError):
        return False


def _json_object(data: bytes) -> dict[str, Any]:
    try:
        message = _loaded(data)
    except ValueError as error:
        raise InvalidResponseError("The response is not JSON.", suggest=REPORT) from error
    if not isinstance(message, dict):
        raise InvalidResponseError(f"The response is a JSON {type(message).__name__}, not an object.", suggest=REPORT)
    return message


def _loaded(data: bytes) -> Any:
    """Return the value of a JSON text; raise ValueError where it is none, InvalidResponseError where it has no end."""
    # Counted in the text, since reading it is what takes the memory. A shorter text cannot have as many.
    if len(data) > MAX_PARTS and sum(map(data.count, (b",", b"[", b"{"))) > MAX_PARTS:
        raise InvalidResponseError(
            f"The response has more than {MAX_PARTS:,} values besides its images.", suggest=REPORT
        )
    try:
        return json.loads(data)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
