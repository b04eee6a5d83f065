"""A loopback server that replays canned answers over raw sockets, so that what is measured is the client.

The first two parts of a request's path say how it writes: `/16384/200/v1/images/generations` answers in writes of
16,384 bytes (0: each event or answer in one write), on a link of 200 Mbit/s (0: as fast as it goes). The body's
`stream` and `n` say what: an event stream, one http chunk a write, or JSON of a known length; its `size` whether the
images are large. `GET /sent` tells when the events of the last stream left, on the clock of `time.perf_counter`.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import http.client
import json
import random
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import cache
from io import BufferedIOBase
from typing import Any, Literal, Self

from certificate import Certificate

PATH = "/v1/images/generations"
LARGE, TINY = "1536x1024", "1024x1024"
IMAGE_BYTES = (2_000_000, 2_200_000, 2_450_000, 2_700_000)
"""The sizes of PNGs of 1536x1024: three partial images and the finished one."""
TINY_BYTES = 100
"""With such an image, what is measured is everything but the image."""

_USAGE = {
    "input_tokens": 10,
    "output_tokens": 6_540,
    "total_tokens": 6_550,
    "input_tokens_details": {"text_tokens": 10, "image_tokens": 0},
}
_REPORTED = {"size": LARGE, "quality": "high", "background": "opaque", "output_format": "png"}
_STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_ANSWER_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
_LAST_CHUNK = b"0\r\n\r\n"

Kind = Literal["stream", "answer"]
Write = tuple[bytes, bool]
"""What is written at once, and whether an event ends with it."""

_sent_s: list[float] = []
_corrupt: set[str] = set()
"""The kinds of answers that have another byte in their last image: a test of the benchmark itself."""


@cache
def images() -> tuple[bytes, ...]:
    """Return the images of a stream. Noise behind the signature of PNG: no decoder of base64 looks inside."""
    noise = random.Random(0)
    return tuple(b"\x89PNG\r\n\x1a\n" + noise.randbytes(size - 8) for size in IMAGE_BYTES)


def answered(n: int, size: str) -> tuple[bytes, ...]:
    """Return the images of an answer that is not streamed."""
    return (images()[0][:TINY_BYTES],) * n if size == TINY else images()[-n:]


@cache
def stream_events() -> tuple[bytes, ...]:
    """Return the events of a stream."""
    *partials, finished = _served("stream", images())
    events = [_event("partial_image", image, partial_image_index=index) for index, image in enumerate(partials)]
    return (*events, _event("completed", finished, usage=_USAGE))


def _served(kind: Kind, served: tuple[bytes, ...]) -> tuple[bytes, ...]:
    if kind not in _corrupt:
        return served
    *others, last = served
    return (*others, last[:-1] + bytes([last[-1] ^ 1]))


def _event(name: str, image: bytes, **more: Any) -> bytes:
    kind = f"image_generation.{name}"
    message = {"type": kind, **_image(image), "created_at": 1_750_000_000, **_REPORTED, **more}
    return f"event: {kind}\ndata: {_json(message)}\n\n".encode()


def _image(image: bytes) -> dict[str, str]:
    return {"b64_json": base64.b64encode(image).decode()}


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


@cache
def _answer(n: int, size: str) -> bytes:
    served = _served("answer", answered(n, size))
    data = [{**_image(image), "revised_prompt": "A low sun over blue hills"} for image in served]
    return _json({"created": 1_750_000_000, "data": data, **_REPORTED, "usage": _USAGE}).encode()


@cache
def _stream_writes(write_bytes: int) -> list[Write]:
    """Return the chunks of a stream. Each event begins a chunk, as where a server flushes after it."""
    cut = [list(pieces(event, write_bytes)) for event in stream_events()]
    return [(_chunk(piece), piece is event[-1]) for event in cut for piece in event] + [(_LAST_CHUNK, False)]


@cache
def _answer_writes(n: int, size: str, write_bytes: int) -> list[Write]:
    return [(piece, False) for piece in pieces(_answer(n, size), write_bytes)]


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    """Yield `data` cut into pieces of `size` bytes; 0: whole."""
    return (data[start : start + size] for start in range(0, len(data), size)) if size else iter([data])


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _reply(connection: socket.socket, path: str, body: dict[str, Any]) -> None:
    write_bytes, megabits = map(int, path.split("/")[1:3])
    if body.get("stream"):
        head, writes = _STREAM_HEAD, _stream_writes(write_bytes)
        _sent_s.clear()
    else:
        n, size = body["n"], body["size"]
        head, writes = _ANSWER_HEAD % len(_answer(n, size)), _answer_writes(n, size, write_bytes)
    connection.sendall(head)
    _send(connection, writes, bits_per_s=megabits * 1e6)


def _send(connection: socket.socket, writes: list[Write], bits_per_s: float) -> None:
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
    with connection.makefile("rb") as incoming:
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


def _talk_while_there(connection: socket.socket, tls: ssl.SSLContext | None) -> None:
    with contextlib.suppress(OSError), connection:  # the client has hung up
        if tls:
            with tls.wrap_socket(connection, server_side=True) as secured:
                _talk(secured)
        else:
            _talk(connection)


def _listen(tls: ssl.SSLContext | None) -> int:
    """Accept connections from now on; return the port."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)

    def accept() -> None:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_talk_while_there, args=(connection, tls), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    port: int = listener.getsockname()[1]
    return port


class Server:
    """The server in a process of its own, until its `with` is left."""

    def __init__(self, certificate: Certificate | None = None, corrupt: Kind | None = None) -> None:
        self._command = [sys.executable, __file__]
        if certificate:
            self._command += ["--certificate", str(certificate.own_file)]
        if corrupt:
            self._command += ["--corrupt", corrupt]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self._port, self._tls_port = json.loads(self._process.stdout.readline())
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.communicate()

    @property
    def has_tls(self) -> bool:
        """Whether there is a certificate."""
        return bool(self._tls_port)

    def url(self, *, write_bytes: int = 16 * 1024, megabits: int = 0, tls: bool = False) -> str:
        """Return the endpoint that writes `write_bytes` at once (0: all), at `megabits` a second (0: unpaced)."""
        address = f"https://127.0.0.1:{self._tls_port}" if tls else f"http://127.0.0.1:{self._port}"
        return f"{address}/{write_bytes}/{megabits}"

    def sent_s(self) -> list[float]:
        """Return when the events of the last stream left."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port)
        connection.request("GET", "/sent")
        times: list[float] = json.loads(connection.getresponse().read())
        connection.close()
        return times


def main() -> None:
    """Serve, and say on which ports, until the standard input is closed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--certificate", help="the certificate with its key; without it there is no TLS")
    parser.add_argument("--corrupt", action="append", default=[])
    arguments = parser.parse_args()
    _corrupt.update(arguments.corrupt)
    tls_port = None
    if arguments.certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(arguments.certificate)
        tls_port = _listen(tls)
    print(json.dumps([_listen(None), tls_port]), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
