"""How many requests are under way at once, in all jobs of the process together."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable

DEFAULT_CONCURRENCY = 4


class Gate:
    """Lets a bounded number through at once, in the order of their coming. Used on one loop."""

    limit = DEFAULT_CONCURRENCY
    """Of all gates: there is one for each loop, and one loop at a time."""

    def __init__(self) -> None:
        self._inside = 0
        self._queue: deque[asyncio.Future[None]] = deque()

    @contextlib.asynccontextmanager
    async def passed(self, queued: Callable[[bool], None]) -> AsyncIterator[None]:
        """Be inside; `queued` is told True where it has to wait, and False when it need not any more."""
        await self._enter(queued)
        try:
            yield
        finally:
            self._inside -= 1
            self.admit()

    async def _enter(self, queued: Callable[[bool], None]) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        self.admit()
        if turn.done():
            return
        queued(True)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # let in and cancelled at the same moment
                self._inside -= 1
            self.admit()
            raise
        finally:
            queued(False)

    def admit(self) -> None:
        """Let in as many as there is room for."""
        while self._queue and (self._queue[0].done() or self._inside < self.limit):
            turn = self._queue.popleft()
            if not turn.done():
                self._inside += 1
                turn.set_result(None)


_gates: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Gate] = weakref.WeakKeyDictionary()


def get_limiter() -> Gate:
    """Return the gate of the running loop."""
    return _gates.setdefault(asyncio.get_running_loop(), Gate())


def bound(limit: int) -> None:
    """Let at most `limit` requests be under way at once from now on; those that are go on."""
    Gate.limit = limit
    for loop, gate in list(_gates.items()):
        if loop.is_running():
            loop.call_soon_threadsafe(gate.admit)
