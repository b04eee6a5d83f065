"""What an answer is, by what it begins with: not all services say truly what they send. Knows no socket."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from . import bounds
from .decoders import ResponseDecoder, StreamDecoder
from .errors import REPORT, InvalidResponseError
from .events import ImageGenCompletedEvent, ImageGenStreamEvent
from .image_text import bytes_of, is_address, is_data_url
from .images import LONGEST_SIGNATURE, ends_as_image, format_of
from .messages import ErrorMaker, Mask, unmasked
from .text import clean, is_text

_STREAM_BEGINS = (b"data:", b"event:", b":", b"id:", b"retry:")
_BOM = b"\xef\xbb\xbf"
_DATA_URL = b"data:image/"
_LONGEST_BEGINNING = LONGEST_SIGNATURE // 3 * 4  # an image's signature as base64


class Decoder(Protocol):
    """What is fed with the bytes of an answer, and yields its events."""

    @property
    def last_words(self) -> str:
        """What the answer said last that was no image."""

    @property
    def left_over(self) -> bytes:
        """What may be a part of a finished image."""

    def feed(self, chunk: bytes) -> Iterator[ImageGenStreamEvent]:
        """Return the events that are complete."""

    def close(self) -> Iterator[ImageGenStreamEvent]:
        """Yield what the end of the answer completes."""


class BytesDecoder:
    """Takes an answer that is neither JSON nor a stream: an image itself, its text, its address, or something else."""

    def __init__(self, content_type: str, hint: str, masked: Mask = unmasked) -> None:
        self._content_type = content_type
        self._hint = hint
        self._masked = masked
        self._data = bytearray()
        self.last_words, self.left_over = "", b""

    def feed(self, chunk: bytes) -> Iterator[ImageGenStreamEvent]:
        """Take the next bytes; nothing is complete before the end."""
        self._data += chunk
        at_most = bounds.MAX_IMAGE_BYTES if format_of(bytes(self._data[:LONGEST_SIGNATURE])) else bounds.MAX_TEXT_BYTES
        if len(self._data) > at_most:
            what = f"The response has more than {at_most:,} bytes, and is no answer."
            raise InvalidResponseError(what, self._hint)
        return iter(())

    def is_whole(self, image_count: int) -> bool:
        """Whether it is the file of an image, up to its end."""
        return image_count == 1 and ends_as_image(self._data)

    def close(self) -> Iterator[ImageGenStreamEvent]:
        """Yield the image, or raise InvalidResponseError with what came instead."""
        data = bytes(self._data)
        text = "" if format_of(data) else data.decode("utf-8", "replace").strip()
        if written := _image_in(text):
            yield ImageGenCompletedEvent(image_bytes=written)
        # What a service calls an image, or what is no text, is kept as one, whether it can be opened here or not.
        elif data and (not text or self._content_type.startswith("image/") or not is_text(data)):
            yield ImageGenCompletedEvent(image_bytes=data)
        elif is_address(text) and len(text.split()) == 1:
            yield ImageGenCompletedEvent(
                image_bytes=b"", url=clean(self._masked(text), bounds.MAX_ADDRESS_CHARACTERS + 1)
            )
        elif not data:
            raise InvalidResponseError("The response is empty.", self._hint, suggest=REPORT)
        elif "json" in self._content_type:
            received = self._masked(data)
            raise InvalidResponseError("The response is not JSON.", self._hint, suggest=REPORT, received=received)
        else:
            what = f"The response is {self._content_type or 'of unknown type'}, not an image."
            raise InvalidResponseError(what, self._hint, received=self._masked(data))


def _image_in(text: str) -> bytes:
    """Return the image that a text writes, empty where it writes none."""
    try:
        data = bytes_of(text)
    except ValueError:
        return b""
    return data if format_of(data) or is_data_url(text) else b""


class AnswerDecoder:
    """Decodes an answer by what it begins with; what its content type says decides only where that tells nothing."""

    def __init__(
        self, make_error: ErrorMaker, masked: Mask = unmasked, *, content_type: str = "", hint: str = ""
    ) -> None:
        self._make_error = make_error
        self._masked = masked
        self._content_type = content_type
        self._hint = hint
        self._begins = b""
        self._decoder: Decoder | None = None

    @property
    def last_words(self) -> str:
        """What the answer said last that was no image."""
        return self._decoder.last_words if self._decoder else ""

    @property
    def left_over(self) -> bytes:
        """What may be a part of a finished image."""
        return self._decoder.left_over if self._decoder else b""

    @property
    def is_stream(self) -> bool:
        """Whether it turned out to be a stream."""
        return isinstance(self._decoder, StreamDecoder)

    def is_whole(self, image_count: int) -> bool:
        """Whether it is a whole answer with so many images by now, and no stream."""
        return isinstance(self._decoder, ResponseDecoder | BytesDecoder) and self._decoder.is_whole(image_count)

    def feed(self, chunk: bytes) -> Iterator[ImageGenStreamEvent]:
        """Return the events that are complete."""
        if self._decoder is not None:
            return self._decoder.feed(chunk)
        # White space before an answer means nothing, and some services send it while they work.
        self._begins = (self._begins + chunk).lstrip()
        while self._begins.startswith(_BOM):  # each of them: where reads cut, one behind another would be the first
            self._begins = self._begins.removeprefix(_BOM).lstrip()
        if len(self._begins) < _LONGEST_BEGINNING:
            return iter(())
        return self._begun().feed(self._begins)

    def close(self) -> Iterator[ImageGenStreamEvent]:
        """Yield what the end of the answer completes."""
        if self._decoder is None:
            yield from self._begun().feed(self._begins)
        if self._decoder is not None:
            yield from self._decoder.close()

    def _begun(self) -> Decoder:
        self._decoder = self._decoder_for(self._begins)
        return self._decoder

    def _decoder_for(self, begins: bytes) -> Decoder:
        is_stream = begins.startswith(_STREAM_BEGINS) or self._content_type == "text/event-stream"
        if format_of(begins) or _begins_as_text_of_image(begins):
            return BytesDecoder(self._content_type, self._hint, self._masked)
        if begins[:1] in (b"{", b"[", b'"'):
            return ResponseDecoder(self._make_error, self._masked)
        if is_stream:
            return StreamDecoder(self._make_error, self._masked)
        return BytesDecoder(self._content_type, self._hint, self._masked)


def _begins_as_text_of_image(begins: bytes) -> bool:
    if begins[: len(_DATA_URL)].lower() == _DATA_URL:
        return True
    try:
        return bool(format_of(bytes_of(begins[:_LONGEST_BEGINNING].decode("latin-1"))))
    except ValueError:
        return False
