"""A gate before a server: the events of its answers come when they are let through, however slow the machine is."""

from __future__ import annotations

import contextlib
import queue
import re
import socket
import socketserver
import threading
import time
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

HOST = "127.0.0.1"
_READ_BYTES = 64 * 1024
_PIECES = re.compile(rb"\n|[^\n]+")


class Gate:
    """Passes connections on to the server at `url`; of each answer only the events that are allowed so far.

    It begins open. What is no stream of events is passed on as it is.
    """

    def __init__(self, url: str) -> None:
        self._server = _Server((HOST, 0), _Passage)
        self._server.gate = self
        self.behind = (HOST, urlsplit(url).port or 80)
        self.url = f"http://{HOST}:{self._server.server_address[1]}"
        self._allowed = float("inf")
        self._changed = threading.Condition()
        self._arrived = 0
        self.passed: list[float] = []
        """When the last byte of each event went out since the gate was closed, in seconds of `time.time`."""

    def allow(self, events: float) -> None:
        """Let the first `events` events of each answer through."""
        with self._changed:
            self._allowed = events
            self._changed.notify_all()

    def close(self) -> None:
        """Let no event through."""
        self._arrived = 0
        self.passed.clear()
        self.allow(0)

    def open(self) -> None:
        """Let everything through."""
        self.allow(float("inf"))

    def wait_for(self, events: int, timeout_s: float = 60) -> bool:
        """Return True as soon as so many events have come from the server since the gate was closed."""
        with self._changed:
            return self._changed.wait_for(lambda: self._arrived >= events, timeout_s)

    def arrive(self) -> None:
        """Note that an event has come from the server."""
        with self._changed:
            self._arrived += 1
            self._changed.notify_all()

    def wait_until_allowed(self, event: int) -> None:
        """Return when the event of this number, from 0, may pass."""
        with self._changed:
            self._changed.wait_for(lambda: event < self._allowed)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, name="gate", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.open()
        self._server.shutdown()
        self._server.server_close()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    gate: Gate


class _Passage(socketserver.BaseRequestHandler):
    """One connection: what the client sends goes on at once, what the server sends when it may."""

    server: _Server

    def handle(self) -> None:
        self.gate = self.server.gate
        self.pieces: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self.events = 0
        # The last byte of an event is written alone: it must not wait for the acknowledgement of the one before.
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with socket.create_connection(self.gate.behind) as self.service, contextlib.suppress(OSError):
            threading.Thread(target=self._pass_on, daemon=True).start()
            threading.Thread(target=self._read, daemon=True).start()
            is_line_end = False
            while piece := self.pieces.get():
                ends_event = is_line_end and piece == b"\n"  # the empty line, without which it is no event yet
                if ends_event:
                    self.gate.wait_until_allowed(self.events)
                    self.events += 1
                self.request.sendall(piece)
                if ends_event:
                    self.gate.passed.append(time.time())
                is_line_end = piece == b"\n"

    def _pass_on(self) -> None:
        with contextlib.suppress(OSError):
            while data := self.request.recv(_READ_BYTES):
                self.events = 0  # of the answer to the next request on the same connection
                self.service.sendall(data)
        with contextlib.suppress(OSError):
            self.service.shutdown(socket.SHUT_RDWR)

    def _read(self) -> None:
        is_line_end = False
        with contextlib.suppress(OSError):
            while data := self.service.recv(_READ_BYTES):
                for piece in _PIECES.findall(data):
                    if is_line_end and piece == b"\n":
                        self.gate.arrive()
                    self.pieces.put(piece)
                    is_line_end = piece == b"\n"
        self.pieces.put(b"")
