"""A loopback server that replays canned answers over raw sockets, so that what is measured is the client.

The first two parts of a request's path say how it writes: `/16384/200/v1/images/generations` answers in writes of
16,384 bytes, on a link of 200 Mbit/s (0: as fast as it goes). The order's `stream` and `n` say what: an event stream,
one http chunk a write, or JSON of a known length. `GET /sent` tells when the events of the last answer left, on the clock of `time.perf_counter`.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import cache
from io import BufferedIOBase
from typing import Any, Self

IMAGE_BYTES = (2_000_000, 2_200_000, 2_450_000, 2_700_000)
"""The sizes of PNGs of 1536x1024: three partial images and the finished one."""

_USAGE = {
    "input_tokens": 10,
    "output_tokens": 6_540,
    "total_tokens": 6_550,
    "input_tokens_details": {"text_tokens": 10, "image_tokens": 0},
}
_REPORTED = {"size": "1536x1024", "quality": "high", "background": "opaque", "output_format": "png"}
_STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_ANSWER_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
_LAST_CHUNK = b"0\r\n\r\n"

Write = tuple[bytes, bool]
"""What is written at once, and whether an event ends with it."""

_sent_s: list[float] = []


@cache
def images() -> tuple[bytes, ...]:
    """Return the images of a stream. Noise behind the signature of PNG: no decoder of base64 looks inside."""
    noise = random.Random(0)
    return tuple(b"\x89PNG\r\n\x1a\n" + noise.randbytes(size - 8) for size in IMAGE_BYTES)


@cache
def stream_events() -> tuple[bytes, ...]:
    """Return the events of a stream."""
    *partials, finished = images()
    events = [_event("partial_image", image, partial_image_index=index) for index, image in enumerate(partials)]
    return (*events, _event("completed", finished, usage=_USAGE))


def _event(name: str, image: bytes, **more: Any) -> bytes:
    kind = f"image_generation.{name}"
    message = {"type": kind, **_image(image), "created_at": 1_750_000_000, **_REPORTED, **more}
    return f"event: {kind}\ndata: {json.dumps(message)}\n\n".encode()


def _image(image: bytes) -> dict[str, str]:
    return {"b64_json": base64.b64encode(image).decode()}


@cache
def _answer(n: int) -> bytes:
    data = [{**_image(images()[-1]), "revised_prompt": "A low sun over blue hills"}] * n
    return json.dumps({"created": 1_750_000_000, "data": data, **_REPORTED, "usage": _USAGE}).encode()


@cache
def _stream_writes(write_bytes: int) -> list[Write]:
    """Return the chunks of a stream. Each event begins a chunk, as where a server flushes after it."""
    cut = [list(pieces(event, write_bytes)) for event in stream_events()]
    return [(_chunk(piece), piece is event[-1]) for event in cut for piece in event] + [(_LAST_CHUNK, False)]


@cache
def _answer_writes(n: int, write_bytes: int) -> list[Write]:
    return [(piece, False) for piece in pieces(_answer(n), write_bytes)]


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    """Yield `data` cut into pieces of `size` bytes."""
    return (data[start : start + size] for start in range(0, len(data), size))


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _reply(connection: socket.socket, path: str, order: dict[str, Any]) -> None:
    write_bytes, megabits = map(int, path.split("/")[1:3])
    if order.get("stream"):
        head, writes = _STREAM_HEAD, _stream_writes(write_bytes)
    else:
        head, writes = _ANSWER_HEAD % len(_answer(order["n"])), _answer_writes(order["n"], write_bytes)
    connection.sendall(head)
    _send(connection, writes, bits_per_s=megabits * 1e6)


def _send(connection: socket.socket, writes: list[Write], bits_per_s: float) -> None:
    _sent_s.clear()
    due_s = time.perf_counter()
    for data, ends in writes:
        if bits_per_s:
            due_s += len(data) * 8 / bits_per_s
            time.sleep(max(0.0, due_s - time.perf_counter()))
        if ends:
            _sent_s.append(time.perf_counter())
        connection.sendall(data)


def _talk(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection, connection.makefile("rb") as incoming:
        for method, path, body in _requests(incoming):
            if method == "POST":
                _reply(connection, path, json.loads(body))
            else:
                told = json.dumps(_sent_s).encode()
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(told), told))


def _requests(incoming: BufferedIOBase) -> Iterator[tuple[str, str, bytes]]:
    while line := incoming.readline():
        method, path, _ = line.decode().split()
        headers = http.client.parse_headers(incoming)
        yield method, path, incoming.read(int(headers.get("content-length", 0)))


def _talk_while_there(connection: socket.socket) -> None:
    with contextlib.suppress(ConnectionError):  # the client has hung up
        _talk(connection)


def _accept(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_talk_while_there, args=(connection,), daemon=True).start()


class Server:
    """The server in a process of its own, until its `with` is left."""

    def __enter__(self) -> Self:
        command = [sys.executable, __file__]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.communicate()

    def url(self, *, write_bytes: int = 16 * 1024, megabits: int = 0) -> str:
        """Return the endpoint that writes `write_bytes` at once, at `megabits` a second (0: unpaced)."""
        return f"http://127.0.0.1:{self.port}/{write_bytes}/{megabits}"

    def sent_s(self) -> list[float]:
        """Return when the events of the last answer left."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.request("GET", "/sent")
        times: list[float] = json.loads(connection.getresponse().read())
        connection.close()
        return times


def main() -> None:
    """Serve, and say on which port, until the standard input is closed."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    threading.Thread(target=_accept, args=(listener,), daemon=True).start()
    print(listener.getsockname()[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
