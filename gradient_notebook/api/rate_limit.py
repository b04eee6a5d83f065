"""What is known of the rate limit of one key at one endpoint, across all loops and threads of the process."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping

from .headers import number_in, reset_in_s

LONGEST_HOLD_S = 3_600.0
"""What one 429 says is believed for so long for other requests: a wrong word must not stop a key for ever."""
SAME_WINDOW_S = 1.5
"""Two resets as close as this are one: they come in whole seconds of two clocks."""


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
            # Both under one lock: in between, the answered request would count nowhere, and one too many would pass.
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
        remaining, left_s = number_in(headers.get("ratelimit-remaining")), reset_in_s(headers)
        if remaining is None or left_s is None:
            return
        now_s = time.monotonic()
        resets_at_s = now_s + left_s
        if self._remaining is None or self._resets_at_s <= now_s or resets_at_s > self._resets_at_s + SAME_WINDOW_S:
            self._remaining, self._resets_at_s = remaining, resets_at_s
        elif resets_at_s >= self._resets_at_s - SAME_WINDOW_S:
            # Answers overtake one another. The reset stays as it was: pushed on by each, it would never come.
            self._remaining = min(self._remaining, remaining)


_lock = threading.Lock()  # one for all: it is held for an instant, and a fork has to make only this one
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
