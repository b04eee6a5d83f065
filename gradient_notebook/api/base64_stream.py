"""Takes the base64 of images out of JSON text while it arrives, and decodes it on the way.

An image of 4 MB never exists as text, and each byte of it is looked at once.
"""

from __future__ import annotations

import binascii
import os
import re
from collections.abc import Iterator
from io import BytesIO
from typing import Any

# Not binascii: 7 ms for an image of 4 MB, where this takes 0.25 ms.
import pybase64

from . import bounds
from .errors import REPORT, InvalidResponseError
from .image_text import bytes_of

# The key can't occur inside a JSON string, where its quotes would be escaped.
_KEY = re.compile(rb'"b64_json"\s*:\s*"')
_KEY_BEGUN = re.compile(rb'"(?:b(?:6(?:4(?:_(?:j(?:s(?:o(?:n(?:"\s*(?::\s*)?)?)?)?)?)?)?)?)?)?\Z')
# White space may follow the key without end. A longer key that a read cuts is not found: its image stays text,
# and `take` decodes it from there.
_LONGEST_KEY = 256
_PER_IMAGE_BYTES = 256  # what an image costs beside its bytes, roughly: a million of empty ones count, too
_DECODED_AT_ONCE = 64 * 1024  # bytes: smaller reads are put together, so that their number does not count


class Base64Stream:
    """Takes the images out of JSON text while it passes, and leaves `"b64_json":"#…"` for each: its mark."""

    def __init__(self) -> None:
        self._images: dict[str, bytes] = {}
        # No base64, and of no other stream: an answer that has a "#0" of its own must not be given image 0.
        self._mark = f"#{os.urandom(8).hex()}."
        self._count = self._forgotten = 0
        self._waiting_bytes = 0
        self._held = b""  # outside an image: what may be the beginning of a key
        self._image: _Base64 | None = None

    @property
    def is_between(self) -> bool:
        """Whether all that came has been given out: no image has begun, nor what may be the key of one."""
        return self._image is None and not self._held

    def feed(self, chunk: bytes) -> bytes:
        """Take the next bytes, and return the text among them."""
        if self._image and b'"' not in chunk:  # nearly always: an image is hundreds of reads
            return b"" if self._image.feed(chunk) else self._leave(self._image)
        return b"".join(self._text(self._held + chunk))

    def close(self) -> bytes:
        """Return the text that was held back."""
        rest = self._image.text() if self._image else self._held  # the beginning of an image is paid for, too
        self._image, self._held = None, b""
        return rest

    def take(self, value: Any) -> bytes:
        """Return the bytes of an image by the value of its `b64_json`, once; raise InvalidResponseError if broken."""
        if isinstance(value, str) and value in self._images:
            return self._pop(value)
        try:
            # What was no plain base64 on the way: escaped slashes, line ends, another alphabet, a `data:` URL.
            return bytes_of(value)
        except (ValueError, TypeError, AttributeError) as error:
            what = "The response contains an image with invalid base64."
            # It has been paid for: the caller may be able to use it.
            came = value.encode("utf-8", "replace") if isinstance(value, str) else b""
            raise InvalidResponseError(what, suggest=REPORT, received=came) from error

    def salvage(self, text: bytes) -> Iterator[bytes]:
        """Yield the images in a text that is no answer, or cut off behind them: they are whole, and paid for."""
        for mark in re.findall(re.escape(self._mark).encode() + rb"\d+", text):
            if mark.decode() in self._images:
                yield self._pop(mark.decode())

    def restored(self, text: bytes) -> bytes:
        """Return a text with the images that nobody has taken out of it, as they came: it is to be kept."""

        def came(mark: re.Match[bytes]) -> bytes:
            name = mark[0].decode()
            return pybase64.b64encode(self._pop(name)) if name in self._images else mark[0]

        return re.sub(re.escape(self._mark).encode() + rb"\d+", came, text)

    def forget(self, text: bytes) -> None:
        """Let go of the images up to the last one in `text`: what came before it is over."""
        mark = self._mark.encode()
        at = text.rfind(mark) if self._images else -1
        if at < 0:
            return
        after = int(text[at + len(mark) : text.index(b'"', at)]) + 1
        # Each number once in all: from 0 on at each event, the work would grow with the square of the events.
        for number in range(self._forgotten, after):
            if f"{self._mark}{number}" in self._images:
                self._pop(f"{self._mark}{number}")
        self._forgotten = after

    def _pop(self, mark: str) -> bytes:
        data = self._images.pop(mark)
        self._waiting_bytes -= len(data) + _PER_IMAGE_BYTES
        return data

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
        self._waiting_bytes += len(data) + _PER_IMAGE_BYTES
        if self._waiting_bytes > bounds.MAX_WAITING_BYTES:
            raise InvalidResponseError(
                f"The response contains more than {bounds.MAX_WAITING_BYTES:,} bytes of images.", suggest=REPORT
            )
        return key + mark.encode()

    def _hold_back(self, text: bytes) -> bytes:
        begun = _KEY_BEGUN.search(text, max(0, len(text) - _LONGEST_KEY))
        if not begun:
            return text
        self._held = begun.group()
        return text[: begun.start()]


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
            # Without `validate` it takes 3 times as long, and foreign characters are dropped: a broken image passes.
            data = pybase64.b64decode(memoryview(text)[:whole], validate=True)
        except (binascii.Error, ValueError):
            return False
        self._padded = len(data) * 4 < whole * 3
        self._decoded.write(data)
        if self._decoded.tell() > bounds.MAX_IMAGE_BYTES:
            raise InvalidResponseError(
                f"The response contains an image of more than {bounds.MAX_IMAGE_BYTES:,} bytes.", suggest=REPORT
            )
        self._waiting, self._waiting_bytes = [text[whole:]], len(text) - whole
        return True
