"""The floor: blocking raw sockets, dechunked by hand, each read decoded by pybase64. No HTTP client can be below it."""

from __future__ import annotations

import json
import os
import selectors
import socket
import ssl
from collections.abc import Callable
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

_READ_BYTES = 64 * 1024
_KEY = b'"b64_json":"'

Seen = Callable[[bytes], bytes]


class Floor:
    """One connection, kept from one call to the next."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._socket = _connected(url)
        self._buffer = bytearray(_READ_BYTES)

    def stream(self, body: dict[str, Any], seen: Seen) -> list[bytes]:
        return self.answer(body, seen)

    def answer(self, body: dict[str, Any], seen: Seen) -> list[bytes]:
        self._socket.sendall(_request(self._url, body))
        answer = _Answer(seen)
        while not answer.feed(self._buffer, _read(self._socket, self._buffer)):
            pass
        return answer.images

    def at_once(self, body: dict[str, Any], count: int, seen: Seen) -> None:
        """Fetch `count` answers over as many connections, on one thread."""
        with selectors.DefaultSelector() as selector:
            for _ in range(count):
                connection = _connected(self._url)
                connection.sendall(_request(self._url, body))
                connection.setblocking(False)
                selector.register(connection, selectors.EVENT_READ, _Answer(seen, keep=False))
            while selector.get_map():
                for key, _ in selector.select():
                    assert isinstance(key.fileobj, socket.socket)
                    if key.data.feed(self._buffer, _read(key.fileobj, self._buffer)):
                        selector.unregister(key.fileobj)
                        key.fileobj.close()


def _connected(url: str) -> socket.socket:
    parts = urlsplit(url)
    connection = socket.create_connection((parts.hostname, parts.port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if parts.scheme == "https":
        context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
        return context.wrap_socket(connection, server_hostname=parts.hostname)
    return connection


def _request(url: str, body: dict[str, Any]) -> bytes:
    content = json.dumps(body).encode()
    return (
        f"POST {urlsplit(url).path} HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(content)}\r\n\r\n".encode()
        + content
    )


def _read(connection: socket.socket, buffer: bytearray) -> int:
    count = connection.recv_into(buffer)
    if not count:
        raise ConnectionError("The server has hung up.")
    return count


class _Answer:
    """An answer that is read piece by piece: head, then a chunked body or one of a known length."""

    def __init__(self, seen: Seen, *, keep: bool = True) -> None:
        self.images: list[bytes] = []
        self._seen, self._keep = seen, keep
        self._line = b""
        self._in_head, self._chunked, self._is_last = True, False, False
        self._left = 0
        self._image: BytesIO | None = None
        self._before = self._quartet = b""

    def feed(self, buffer: bytearray, stop: int) -> bool:
        """Take what was read; return whether the answer is over."""
        start = 0
        while start < stop:
            if self._left:
                end = min(stop, start + self._left)
                self._take(buffer, start, end)
                self._left -= end - start
                start = end
                if not self._left and not self._chunked:
                    return True
            else:
                end = buffer.find(b"\n", start, stop)
                if end < 0:
                    self._line += buffer[start:stop]
                    return False
                line, self._line = (self._line + buffer[start:end]).strip(), b""
                start = end + 1
                if self._over_with(line.lower()):
                    return True
        return False

    def _over_with(self, line: bytes) -> bool:
        """Take a line of the head or between chunks; return whether the answer is over with it."""
        if self._in_head:
            if line.startswith(b"content-length:"):
                self._left_after_head = int(line[15:])
            elif line == b"transfer-encoding: chunked":
                self._chunked = True
            elif not line:
                self._in_head = False
                self._left = 0 if self._chunked else self._left_after_head
        elif line:
            self._left = int(line, 16)
            self._is_last = not self._left
        return self._is_last and not line

    def _take(self, buffer: bytearray, start: int, stop: int) -> None:
        while start < stop:
            if self._image is None:
                text = self._before + buffer[start:stop]
                at = text.find(_KEY)
                if at < 0:
                    self._before = text[1 - len(_KEY) :]
                    return
                start += at + len(_KEY) - len(self._before)
                self._before, self._image = b"", BytesIO()
            end = buffer.find(b'"', start, stop)
            self._decode(self._image, buffer, start, stop if end < 0 else end)
            if end < 0:
                return
            image = self._seen(self._image.getvalue())
            if self._keep:
                self.images.append(image)
            self._image, start = None, end + 1

    def _decode(self, image: BytesIO, buffer: bytearray, start: int, stop: int) -> None:
        from pybase64 import b64decode

        if self._quartet:
            missing = 4 - len(self._quartet)
            self._quartet += buffer[start : min(stop, start + missing)]
            start = min(stop, start + missing)
            if len(self._quartet) < 4:
                return
            image.write(b64decode(self._quartet, validate=True))
        end = start + ((stop - start) & ~3)
        with memoryview(buffer) as view:
            image.write(b64decode(view[start:end], validate=True))
        self._quartet = bytes(buffer[end:stop])
