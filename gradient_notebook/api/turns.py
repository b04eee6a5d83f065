"""Many answers that come at the same moment are taken in a few at a time; the others wait with the system, unread.

Each image is in memory while it comes. A hundred that come side by side are all there half before the first is whole, and
take as much memory as all of them; one after the other they are as fast, and take that of a few.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque

AT_ONCE = 12
"""How many are taken in at a time: more than one job has images, and enough to keep any network busy."""
STALLED_S = 0.1
"""Whoever has received nothing for so long (seconds) keeps nobody waiting."""
LONGEST_S = 2.0
"""Nor does anybody who has received for longer than this, whatever comes so slowly."""


class Turn:
    """That of one answer, which notes itself when it has received something: it is asked for at each read."""

    __slots__ = ("__weakref__", "began_s", "is_on", "last_s")

    def __init__(self) -> None:
        self.is_on = False
        self.began_s = self.last_s = 0.0
        """When it began, and when it received last, by the clock of the loop."""


class Turns:
    """Those of one event loop."""

    def __init__(self) -> None:
        # Weakly: whoever leaves an answer without closing it has no turn any more.
        self._on: weakref.WeakSet[Turn] = weakref.WeakSet()
        self._waiting: deque[tuple[Turn, asyncio.Future[None]]] = deque()
        self._alarm: asyncio.TimerHandle | None = None

    async def begin(self, turn: Turn) -> None:
        """Return when it is this turn."""
        if not self._waiting and self._has_room():
            self._let(turn)
            return
        entry = turn, asyncio.get_running_loop().create_future()
        self._waiting.append(entry)
        self._set_alarm()
        try:
            await entry[1]
        except asyncio.CancelledError:
            if entry in self._waiting:
                self._waiting.remove(entry)
            self.end(turn)
            raise

    def end(self, turn: Turn) -> None:
        """Let the next have its turn."""
        if turn.is_on:
            turn.is_on = False
            self._on.discard(turn)
            self._let_in()

    def _let(self, turn: Turn) -> None:
        turn.began_s = turn.last_s = asyncio.get_running_loop().time()
        turn.is_on = True
        self._on.add(turn)

    def _has_room(self) -> bool:
        if len(self._on) < AT_ONCE:
            return True
        now_s = asyncio.get_running_loop().time()
        busy = (turn.last_s > now_s - STALLED_S and turn.began_s > now_s - LONGEST_S for turn in self._on)
        return sum(busy) < AT_ONCE

    def _let_in(self) -> None:
        while self._waiting and self._has_room():
            turn, comes = self._waiting.popleft()
            if not comes.done():
                self._let(turn)
                comes.set_result(None)

    def _set_alarm(self) -> None:
        if self._alarm is None:
            self._alarm = asyncio.get_running_loop().call_later(STALLED_S, self._look_again)

    def _look_again(self) -> None:
        self._alarm = None
        self._let_in()
        if self._waiting:
            self._set_alarm()


_by_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Turns] = weakref.WeakKeyDictionary()


def turns() -> Turns:
    """Return those of the loop that runs."""
    return _by_loop.setdefault(asyncio.get_running_loop(), Turns())
