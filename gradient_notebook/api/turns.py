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


class Turns:
    """Those of one event loop."""

    def __init__(self) -> None:
        self._receiving: weakref.WeakKeyDictionary[object, tuple[float, float]] = weakref.WeakKeyDictionary()
        """When each began, and when it received last."""
        self._waiting: deque[tuple[object, asyncio.Future[None]]] = deque()
        self._alarm: asyncio.TimerHandle | None = None

    def received(self, who: object) -> None:
        """Note that bytes have come."""
        if times := self._receiving.get(who):
            self._receiving[who] = times[0], asyncio.get_running_loop().time()

    def is_on(self, who: object) -> bool:
        """Whether `who` may read without waiting: it has its turn, or there is room."""
        if who in self._receiving:
            return True
        if self._waiting or not self._has_room():
            return False
        self._begin(who)
        return True

    async def wait(self, who: object) -> None:
        """Return when it is the turn of `who`."""
        entry = who, asyncio.get_running_loop().create_future()
        self._waiting.append(entry)
        self._set_alarm()
        try:
            await entry[1]
        except asyncio.CancelledError:
            if entry in self._waiting:
                self._waiting.remove(entry)
            self.end(who)
            raise

    def end(self, who: object) -> None:
        """Let the next have its turn: `who` reads no more."""
        if self._receiving.pop(who, None):
            self._let_in()

    def _begin(self, who: object) -> None:
        now_s = asyncio.get_running_loop().time()
        self._receiving[who] = now_s, now_s

    def _has_room(self) -> bool:
        if len(self._receiving) < AT_ONCE:
            return True
        now_s = asyncio.get_running_loop().time()
        busy = (last > now_s - STALLED_S and began > now_s - LONGEST_S for began, last in self._receiving.values())
        return sum(busy) < AT_ONCE

    def _let_in(self) -> None:
        while self._waiting and self._has_room():
            who, turn = self._waiting.popleft()
            if not turn.done():
                self._begin(who)
                turn.set_result(None)

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
