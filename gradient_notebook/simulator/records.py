"""What the simulator remembers: the requests that it received, repetitions of a request, and the rate limit."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from .faults import Fault

REQUESTS_PER_HOUR = 5_000


@dataclass(kw_only=True)
class Received:
    """One request as it came, and what became of it."""

    method: str
    path: str
    headers: dict[str, str] = field(repr=False)
    """By lower-case name; `authorization` as it was sent."""
    body: Any = field(repr=False)
    """The parsed JSON, or None where there is none."""
    at: float
    """Unix seconds."""
    answered: bool = False
    """Whether the whole answer went out."""
    disconnected: bool = False
    """Whether the client left before that."""
    usage: dict[str, Any] | None = None
    """The tokens of what was made for it; None where nothing was."""


class Records:
    """Everything that the server's thread writes and other threads read, under one lock."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._changed = threading.Condition()
        self._received: list[Received] = []
        self._faults = deque(faults)
        self._repetitions: Counter[str] = Counter()

    @property
    def received(self) -> list[Received]:
        """All requests so far, oldest first."""
        with self._changed:
            return list(self._received)

    def add(self, received: Received) -> Received:
        """Keep `received` and return it."""
        with self._changed:
            self._received.append(received)
            self._changed.notify_all()
        return received

    def note(self, received: Received, **changes: Any) -> None:
        """Say what became of `received`."""
        with self._changed:
            for name, value in changes.items():
                setattr(received, name, value)
            self._changed.notify_all()

    def script(self, faults: Iterable[Fault]) -> None:
        """Add `faults` for the next POSTs."""
        with self._changed:
            self._faults.extend(faults)

    def next_fault(self) -> Fault:
        """Take the fault of this POST from the script."""
        with self._changed:
            return self._faults.popleft() if self._faults else Fault()

    def repetition(self, request: str) -> int:
        """Return how often this very `request` was made before."""
        with self._changed:
            self._repetitions[request] += 1
            return self._repetitions[request] - 1

    def wait_for(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Return True as soon as `condition()` holds, looked at whenever something changed; False after the timeout."""
        with self._changed:
            return self._changed.wait_for(condition, timeout_s)


class RateLimit:
    """A fixed window of an hour that begins with its first request; used by the server's thread only."""

    def __init__(self, limit: int = REQUESTS_PER_HOUR, window_s: float = 3_600) -> None:
        self.limit = limit
        self.window_s = window_s
        self.used = 0
        self.reset_at = 0.0

    def take(self) -> bool:
        """Count one request; return False if there was none left."""
        if (now := time.time()) >= self.reset_at:
            self.used, self.reset_at = 0, now + self.window_s
        self.used += 1
        return self.used <= self.limit

    @property
    def retry_after_s(self) -> int:
        """Whole seconds until the next request may come."""
        return max(1, round(self.reset_at - time.time()))

    @property
    def headers(self) -> dict[str, str]:
        """The headers of every answer; the reset is in Unix seconds."""
        return {
            "ratelimit-limit": str(self.limit),
            "ratelimit-remaining": str(max(0, self.limit - self.used)),
            "ratelimit-reset": str(round(self.reset_at)),
        }
