"""When a request may be sent again: how often, after which wait, and how long in all.

Times are in seconds; `until_s` is a moment of `time.monotonic`.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

BASE_S = 0.5
"""The wait before the second attempt, which doubles with each one after it; each wait is 50 to 100 % of its time."""
CAP_S = 30.0
"""The longest wait that the service has not asked for."""
SPREAD_S = 1.0
"""At most so much, and at most a tenth, is waited on top of what is demanded: not all come back in one instant."""
TICK_S = 1.0
"""A wait looks so often whether there is still a reason for it."""


@dataclass(frozen=True)
class Wait:
    """Why and until when a request waits: `until_s` of `time.monotonic`; `attempt` is the number of what comes next."""

    reason: str
    until_s: float
    attempt: int


WaitCallback = Callable[[Wait | None], None]
"""Is called with a `Wait` when waiting begins, and with None when it is over, however it ended."""


def ignore(_: Wait | None) -> None:
    """Tell nobody."""


def delay_s(retry: int, demanded_s: float | None, chance: float) -> float:
    """Return the seconds before the `retry`-th retry (from 1), never less than demanded; `chance` is 0 to 1."""
    # The power is bounded, since a float overflows at the 1025th retry, and raises.
    backoff_s = min(CAP_S, BASE_S * 2.0 ** min(retry - 1, 60)) * (0.5 + chance / 2)
    return max(backoff_s, _spread_s(demanded_s or 0.0, chance))


def _spread_s(wanted_s: float, chance: float) -> float:
    return wanted_s + min(SPREAD_S, wanted_s / 10) * chance


class RetryBudget:
    """What one request has left of its retries, and of its seconds for waiting."""

    def __init__(self, retries: int, wait_s: float) -> None:
        self.attempt = 1
        """The attempt that is being made, or comes next."""
        self._last_attempt = 1 + retries
        self._left_s = wait_s

    def retry(self, reason: str, demanded_s: float | None) -> Wait | None:
        """Return the wait before one more attempt; None if there is no reason, no attempt or no time left for it."""
        if not reason or self.attempt >= self._last_attempt:
            return None
        wait = self._wait(reason, delay_s(self.attempt, demanded_s, random.random()), self.attempt + 1)
        self.attempt += wait is not None
        return wait

    def hold(self, reason: str, until_s: float) -> Wait | None:
        """Return the wait before this attempt, or None if there is no time left for it."""
        return self._wait(reason, _spread_s(until_s - time.monotonic(), random.random()), self.attempt)

    def _wait(self, reason: str, seconds: float, attempt: int) -> Wait | None:
        # A wait that is too long is not begun: at its end there would be the same error, only later.
        fits = seconds <= self._left_s and math.isfinite(seconds)
        return Wait(reason, time.monotonic() + seconds, attempt) if fits else None

    async def rest(self, wait: Wait, waiting: WaitCallback, is_over: Callable[[], bool] = lambda: False) -> None:
        """Wait, or until `is_over`, and count the time. Cancelling ends it at once."""
        began_at_s = time.monotonic()
        try:
            waiting(wait)
            while (left_s := wait.until_s - time.monotonic()) > 0 and not is_over():  # noqa: ASYNC110 - of no one loop
                await asyncio.sleep(min(left_s, TICK_S))
        finally:
            self._left_s -= time.monotonic() - began_at_s
            waiting(None)
