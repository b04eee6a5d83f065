"""What a broker has told a worker's process: how fast it may send, for how long not at all, and whether to stop."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Literal

Stop = Literal["", "drain", "cancel"]
"""`drain`: send nothing more. `cancel`: hang up as well."""

_TICK_S = 0.1
_WINDOW_S, _SHORTEST_S = 30.0, 1.0
"""The time in which it is counted how many posts there were, and the least that it is taken for."""
ORPHANED_S = 60.0
"""Without a word from the broker for so long nothing more is sent: it is gone, and nobody counts the money."""


class Steering:
    """The say of a run's broker in this process. Set from any thread, asked on the package's loop."""

    def __init__(self) -> None:
        self.stop: Stop = ""
        self.is_disk_full = False
        self._is_paused = False
        self._interval_s = 0.0
        self._held_until_s = self._next_s = 0.0
        self._heard_s = time.monotonic()
        self._sent: deque[float] = deque()

    def hear(self, *, rate: float | None, hold_s: float, is_paused: bool, stop: Stop) -> None:
        """Take what the broker says; `rate` is in posts a second of this process."""
        now = time.monotonic()
        self._heard_s = now
        self._interval_s = 1 / rate if rate else 0.0
        self.hold(hold_s)
        self._is_paused, self.stop = is_paused, stop

    def hold(self, seconds: float) -> None:
        """Send nothing for a while: the broker will say so to all, and this process knows it first."""
        self._held_until_s = max(self._held_until_s, time.monotonic() + seconds)

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be sent."""
        return bool(self.stop) or self.is_disk_full or time.monotonic() - self._heard_s > ORPHANED_S

    async def turn(self) -> bool:
        """Wait for the turn of one post; return whether it may still be sent."""
        while not self.is_over:
            now = time.monotonic()
            wait_s = _TICK_S if self._is_paused else max(self._held_until_s, self._next_s) - now
            if wait_s <= 0:
                self._next_s = max(self._next_s, now - self._interval_s) + self._interval_s
                self._count(now)
                return True
            await asyncio.sleep(min(wait_s, _TICK_S))
        return False

    def _count(self, now: float) -> None:
        self._sent.append(now)
        while self._sent[0] < now - _WINDOW_S:
            self._sent.popleft()

    @property
    def rate(self) -> float:
        """How many posts a second there were lately."""
        return len(self._sent) / max(_SHORTEST_S, time.monotonic() - self._sent[0]) if self._sent else 0.0
