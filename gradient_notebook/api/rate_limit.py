"""What is known of the rate limit of one key at one endpoint, across all loops and threads of the process.

A `Store`, which is handed down, shares it with other processes.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Protocol

from .headers import number_in, reset_in_s

LONGEST_HOLD_S = 3_600.0
"""What one 429 says is believed for so long for other requests: a wrong word must not stop a key for ever."""
SAME_WINDOW_S = 1.5
"""Two resets as close as this are one: they come in whole seconds of two clocks."""


_TOO_MANY, _BUSY = 429, 503
PROBE_S = 1.0
"""When a wait is over that the service has demanded of all, one request goes first; others wait so long for its answer."""


@dataclass
class Pace:
    """What is known; times are in seconds of `time.monotonic`."""

    remaining: float | None = None
    resets_at_s: float = 0.0
    held_until_s: float = 0.0
    is_probed: bool = False
    """Whether a request is out that went first after a hold."""
    in_flight: int = 0
    """Requests of this process that have no answer yet."""
    elsewhere: int = 0
    """Requests of other processes that have no answer yet."""


class Store(Protocol):
    """Where several processes keep what they know together."""

    def exchange(self, pace: Pace) -> AbstractContextManager[None]:
        """Bring `pace` to what all know, let nobody else change it in the meantime, and keep what has become of it."""


class RateLimitState:
    """What is known of the rate limit of one key at one endpoint. Safe to use from any thread."""

    def __init__(self) -> None:
        self.pace = Pace()
        self.store: Store | None = None
        """What is shared with other processes; None where this one is by itself."""

    def enter(self) -> float | None:
        """Count one request as sent, and return None; or count nothing, and return until when there is no room."""
        with self._changing() as pace:
            closed_until_s = _closed_until_s(pace)
            if closed_until_s is None:
                pace.in_flight += 1
                if pace.held_until_s:
                    # All that were held back would come in one instant: one goes first, and its answer is waited for.
                    pace.held_until_s, pace.is_probed = time.monotonic() + PROBE_S, True
            return closed_until_s

    def leave(self, headers: Mapping[str, str], status: int | None = None) -> None:
        """Count a request that `enter` counted as answered, with these headers; without any if no answer came."""
        with self._changing() as pace:
            # Both under one lock: in between, the answered request would count nowhere, and one too many would pass.
            pace.in_flight -= 1
            if pace.is_probed and status != _TOO_MANY:  # what it demands, if it does, is told by `block_for`
                # Where it says nothing of the limit, the next one goes first.
                pace.held_until_s, pace.is_probed = time.monotonic() if status in (None, _BUSY) else 0.0, False
            _update(pace, headers)

    def update_from_headers(self, headers: Mapping[str, str]) -> None:
        """Learn from the headers of any answer."""
        with self._changing() as pace:
            _update(pace, headers)

    def block_for(self, demanded_s: float) -> None:
        """Let nothing pass for so many seconds: the service has said so, and that goes before what its window says."""
        with self._changing() as pace:
            until_s = time.monotonic() + min(demanded_s, LONGEST_HOLD_S)
            # While one is asking, the others are held until it is answered: this is the answer.
            pace.held_until_s = until_s if pace.is_probed else max(pace.held_until_s, until_s)
            pace.remaining, pace.is_probed = None, False

    def has_opened_before(self, until_s: float) -> bool:
        """Whether it is before `until_s`, and yet there is room: an answer to somebody else has said so."""
        with self._changing() as pace:
            return time.monotonic() < until_s and _closed_until_s(pace) is None

    @contextmanager
    def _changing(self) -> Iterator[Pace]:
        with self.store.exchange(self.pace) if self.store else nullcontext(), _lock:
            yield self.pace


def _closed_until_s(pace: Pace) -> float | None:
    now_s = time.monotonic()
    if pace.resets_at_s <= now_s:
        pace.remaining = None  # of a window that is over nothing is known
    is_full = pace.remaining is not None and pace.remaining <= pace.in_flight + pace.elsewhere
    until_s = max(pace.held_until_s, pace.resets_at_s if is_full else 0.0)
    return until_s if until_s > now_s else None


def _update(pace: Pace, headers: Mapping[str, str]) -> None:
    remaining, left_s = number_in(headers.get("ratelimit-remaining")), reset_in_s(headers)
    if remaining is None or left_s is None:
        return
    now_s = time.monotonic()
    resets_at_s = now_s + left_s
    if pace.remaining is None or pace.resets_at_s <= now_s or resets_at_s > pace.resets_at_s + SAME_WINDOW_S:
        pace.remaining, pace.resets_at_s = remaining, resets_at_s
    elif resets_at_s >= pace.resets_at_s - SAME_WINDOW_S:
        # Answers overtake one another. The reset stays as it was: pushed on by each, it would never come.
        pace.remaining = min(pace.remaining, remaining)


_lock = threading.Lock()  # one for all: it is held for an instant, and a fork has to make only this one
_rate_limits: dict[tuple[str, object], RateLimitState] = {}


def rate_limit_for(endpoint: str, key: object, store: Store | None = None) -> RateLimitState:
    """Return the one pace of the process for this key at this endpoint; `store` shares it with other processes."""
    with _lock:
        found = _rate_limits.setdefault((endpoint, key), RateLimitState())
        found.store = store
        return found


def _forget() -> None:
    global _lock
    _lock = threading.Lock()
    _rate_limits.clear()


if hasattr(os, "register_at_fork"):
    # What is in flight is the parent's, and another thread may have held the lock: nobody would ever release it here.
    os.register_at_fork(after_in_child=_forget)
