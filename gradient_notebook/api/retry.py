"""When a request may be sent, and when it may be sent again: what the service demands, and the waiting for it.

Times are in seconds. What ends in `_until_s` or `_at_s` is a moment of `time.monotonic`, all else is a duration.
"""

from __future__ import annotations

import asyncio
import math
import os
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC

BASE_S = 0.5
"""The wait before the second attempt, which doubles with each one after it; each wait is 50 to 100 % of its time."""
CAP_S = 30.0
"""The longest wait that the service has not asked for."""
SPREAD_S = 1.0
"""At most so much, and at most a tenth, is waited on top of what is demanded: not all come back in one instant."""
TICK_S = 1.0
"""A wait looks so often whether there is still a reason for it."""

LONGEST_HOLD_S = 3_600.0
"""What one 429 says is believed for so long for other requests: a wrong word must not stop a key for ever."""
LONGEST_WINDOW_S = 86_400.0
"""A window of the rate limit that would end later than this is none."""
SAME_WINDOW_S = 1.5
"""Two resets as close as this are one: they come in whole seconds of two clocks."""
_UNIX_FROM_S = 1e9  # less than this is no moment of today, but a duration: servers write either


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


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that `retry-after` demands, perhaps infinite; None if it says nothing that makes sense."""
    text = headers.get("retry-after")
    wanted_s = _number(text)
    if wanted_s is not None:
        return wanted_s
    date_s = _date_s(text)
    return None if date_s is None else max(0.0, date_s - _clock_s(headers))


def demanded_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds until the next request may be sent, if the service says."""
    wanted_s = retry_after_s(headers)
    if wanted_s is None and _number(headers.get("ratelimit-remaining")) == 0:
        return _reset_in_s(headers)
    return wanted_s


def delay_s(retry: int, demanded_s: float | None, chance: float) -> float:
    """Return the seconds before the `retry`-th retry (from 1), never less than demanded; `chance` is 0 to 1."""
    backoff_s = min(CAP_S, BASE_S * 2.0 ** min(retry - 1, 60)) * (0.5 + chance / 2)
    return max(backoff_s, _spread_s(demanded_s or 0.0, chance))


def clock_time(in_s: float) -> str:
    """Return the local time in so many seconds, for a person."""
    if in_s > LONGEST_WINDOW_S:
        return "in more than a day"
    return time.strftime("%H:%M:%S", time.localtime(time.time() + in_s))


def _spread_s(wanted_s: float, chance: float) -> float:
    return wanted_s + min(SPREAD_S, wanted_s / 10) * chance


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if number >= 0 else None


def _date_s(text: str | None) -> float | None:
    """Return the Unix seconds of an HTTP date."""
    from email.utils import parsedate_to_datetime  # seldom needed, and slow to load

    try:
        moment = parsedate_to_datetime(text or "")
        return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    except (ValueError, OverflowError):
        return None


def _clock_s(headers: Mapping[str, str]) -> float:
    """Return the Unix seconds of whoever answers: its clock and ours may differ by minutes."""
    date_s = _date_s(headers.get("date"))
    return time.time() if date_s is None else date_s


def _reset_in_s(headers: Mapping[str, str]) -> float | None:
    reset_s = _number(headers.get("ratelimit-reset"))
    if reset_s is None:
        return None
    left_s = reset_s if reset_s < _UNIX_FROM_S else reset_s - _clock_s(headers)
    return max(0.0, left_s) if left_s <= LONGEST_WINDOW_S else None


class RetryBudget:
    """What one request has left of its retries, and of its seconds for waiting."""

    def __init__(self, retries: int, wait_s: float) -> None:
        self.attempt = 1
        """The attempt that is being made, or comes next."""
        self._last_attempt = 1 + retries
        self._left_s = wait_s

    @property
    def tried(self) -> str:
        """How often it was tried, for a person; nothing if only once."""
        return f"Tried {self.attempt} times." if self.attempt > 1 else ""

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


class RateLimitState:
    """What is known of the rate limit of one key at one endpoint. Safe to use from any thread."""

    def __init__(self) -> None:
        self._remaining: float | None = None
        self._resets_at_s = 0.0
        self._held_until_s = 0.0
        self._in_flight = 0

    def enter(self) -> float | None:
        """Count one request as sent, and return None; or count nothing, and return until when there is no room."""
        with _lock:
            closed_until_s = self._closed_until_s()
            self._in_flight += closed_until_s is None
            return closed_until_s

    def leave(self, headers: Mapping[str, str]) -> None:
        """Count a request that `enter` counted as answered, with these headers; without any if no answer came."""
        with _lock:
            self._in_flight -= 1
            self._update(headers)

    def update_from_headers(self, headers: Mapping[str, str]) -> None:
        """Learn from the headers of any answer."""
        with _lock:
            self._update(headers)

    def block_for(self, demanded_s: float) -> None:
        """Let nothing pass for so many seconds: the service has said so, and that goes before what its window says."""
        with _lock:
            self._held_until_s = max(self._held_until_s, time.monotonic() + min(demanded_s, LONGEST_HOLD_S))
            self._remaining = None

    def has_opened_before(self, until_s: float) -> bool:
        """Whether it is before `until_s`, and yet there is room: an answer to somebody else has said so."""
        with _lock:
            return time.monotonic() < until_s and self._closed_until_s() is None

    def _closed_until_s(self) -> float | None:
        now_s = time.monotonic()
        if self._resets_at_s <= now_s:
            self._remaining = None  # of a window that is over nothing is known
        is_full = self._remaining is not None and self._remaining <= self._in_flight
        until_s = max(self._held_until_s, self._resets_at_s if is_full else 0.0)
        return until_s if until_s > now_s else None

    def _update(self, headers: Mapping[str, str]) -> None:
        remaining, reset_in_s = _number(headers.get("ratelimit-remaining")), _reset_in_s(headers)
        if remaining is None or reset_in_s is None:
            return
        now_s = time.monotonic()
        resets_at_s = now_s + reset_in_s
        if self._remaining is None or self._resets_at_s <= now_s or resets_at_s > self._resets_at_s + SAME_WINDOW_S:
            self._remaining, self._resets_at_s = remaining, resets_at_s
        elif resets_at_s >= self._resets_at_s - SAME_WINDOW_S:
            # Answers overtake one another. The reset stays as it was: pushed on by each, it would never come.
            self._remaining = min(self._remaining, remaining)


_lock = threading.Lock()  # one for all: it is held for an instant, and a fork has to make only this one anew
_rate_limits: dict[tuple[str, object], RateLimitState] = {}


def rate_limit_for(endpoint: str, key: object) -> RateLimitState:
    """Return the one pace of the process for this key at this endpoint."""
    with _lock:
        return _rate_limits.setdefault((endpoint, key), RateLimitState())


def _forget() -> None:
    global _lock
    _lock = threading.Lock()
    _rate_limits.clear()


if hasattr(os, "register_at_fork"):
    # What is in flight is the parent's, and another thread may have held the lock: nobody would ever release it here.
    os.register_at_fork(after_in_child=_forget)
