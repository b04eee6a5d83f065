"""A relay in front of a server on loopback that at random refuses a connection, or breaks it off in its middle."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
import weakref
from asyncio import StreamReader, StreamWriter
from collections import Counter
from dataclasses import dataclass
from typing import Self

HOST = "127.0.0.1"
REQUEST_BYTES = 600
"""A connection breaks within so many bytes of its request, or does not: it has some 400."""
ANSWER_BYTES = 3_000
AWAY_S = 5.0
"""The longest time that nobody listens."""
_ENDLESS = 1 << 60
_READ_BYTES = 64 * 1024


@dataclass(frozen=True)
class Fate:
    """What becomes of a connection: after how many bytes it breaks, and whether with a reset or an orderly end."""

    name: str
    request_bytes: int = _ENDLESS
    answer_bytes: int = _ENDLESS
    with_reset: bool = True
    is_refused: bool = False
    is_last: bool = False
    """Whether nobody listens for a while after it."""


def fate_of(chance: random.Random) -> Fate:
    """Return the fate of one more connection."""
    share = chance.random()
    if share < 0.15:
        return Fate("refused", is_refused=True, is_last=share < 0.01)
    if share < 0.45:
        return Fate("broken in a request", request_bytes=chance.randrange(REQUEST_BYTES))
    if share < 0.8:
        reset = chance.random() < 0.5
        return Fate("broken in an answer", answer_bytes=chance.randrange(ANSWER_BYTES), with_reset=reset)
    return Fate("passed on")


class Relay:
    """Passes connections on to a port of this machine, or does not; on a thread of its own until its `with` is left."""

    def __init__(self, port: int, chance: random.Random) -> None:
        self.fates: Counter[str] = Counter()
        """How many connections met which fate; a break counts when it happens."""
        self._port = port
        self._chance = chance

    def __enter__(self) -> Self:
        # Bound and not listening: while nobody listens, nobody else can take the port.
        self._held = socket.socket()
        self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._held.bind((HOST, 0))
        self.url = f"http://{HOST}:{self._held.getsockname()[1]}"
        self._listens = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="relay")
        self._thread.start()
        self._listens.wait()
        return self

    def __exit__(self, *exc: object) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._loop.call_soon_threadsafe(self._leaves.set)
        self._thread.join()
        self._held.close()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopped, self._leaves = asyncio.Event(), asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()
        self._writers: weakref.WeakSet[StreamWriter] = weakref.WeakSet()
        while not self._stopped.is_set():
            with _listening(self._held.getsockname()) as listening:
                accepting = asyncio.ensure_future(self._accept_from(listening))
                self._listens.set()
                await self._leaves.wait()
                accepting.cancel()
                await asyncio.gather(accepting, return_exceptions=True)
            self._leaves.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), self._chance.uniform(0, AWAY_S))
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
        for _ in range(2):
            await asyncio.sleep(0)  # a transport closes one step later

    async def _accept_from(self, listening: socket.socket) -> None:
        """Take connections until it is cancelled: the waiting is, never the taking.

        asyncio's own server, and its `sock_accept`, leave those open that come in the moment in which they end.
        """
        while True:
            await self._readable(listening)
            with contextlib.suppress(BlockingIOError, ConnectionError):
                connection, _ = listening.accept()
                connection.setblocking(False)
                self._accepted(*await asyncio.open_connection(sock=connection))

    async def _readable(self, listening: socket.socket) -> None:
        """Wait until there is a connection to take."""
        comes = asyncio.Event()
        self._loop.add_reader(listening, comes.set)
        try:
            await comes.wait()
        finally:
            self._loop.remove_reader(listening)

    def _accepted(self, reader: StreamReader, writer: StreamWriter) -> None:
        fate = fate_of(self._chance)
        self._writers.add(writer)
        if fate.is_refused or self._stopped.is_set():
            self.fates[fate.name] += 1
            _end(writer, with_reset=True)
            self._leaves.set() if fate.is_last else None
            return
        connection = asyncio.ensure_future(self._connected(fate, reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)
        connection.add_done_callback(lambda _: writer.close())  # also where it was cancelled before it began

    async def _connected(self, fate: Fate, reader: StreamReader, writer: StreamWriter) -> None:
        there, back = await asyncio.open_connection(HOST, self._port)
        self._writers.add(back)
        ways = [(reader, back, fate.request_bytes), (there, writer, fate.answer_bytes)]
        tasks = [asyncio.ensure_future(_passed_on(*way)) for way in ways]
        broken = reset = False
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            broken = any(task.result() == "broken" for task in done)
            reset = any(task.result() == "reset" for task in done)
        finally:
            self.fates[fate.name if broken else "passed on"] += 1
            for task in tasks:
                task.cancel()
            _end(back, with_reset=reset)  # orderly: what was passed on arrives
            _end(writer, with_reset=reset or (broken and fate.with_reset))


def _listening(address: tuple[str, int]) -> socket.socket:
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listening.bind(address)
    listening.listen(100)
    listening.setblocking(False)
    return listening


async def _passed_on(reader: StreamReader, writer: StreamWriter, at_most: int) -> str:
    """Pass bytes on, `at_most` so many of them, and return how it ended: ended, reset, or broken by us."""
    left = at_most
    try:
        while data := await reader.read(_READ_BYTES):
            writer.write(data[:left])
            await writer.drain()
            left -= len(data)
            if left <= 0:
                return "broken"
    except ConnectionError:
        return "reset"
    return "ended"


def _end(writer: StreamWriter, *, with_reset: bool) -> None:
    if with_reset and not writer.is_closing():  # what the other side has reset is closed already
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()
    else:
        writer.close()
