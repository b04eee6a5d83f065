"""How many posts a second all workers together may send: halved when the service says 'too many', and raised slowly."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable

from ..api.rate_limit import LONGEST_HOLD_S
from ..api.retry import delay_s

_ONE_STORM_S = 2.0
"""What comes as close together is one trouble: the workers have not heard of the first yet."""
_PROBE_S = 10.0
_FASTER = 1.1
_SLOWEST = 0.1


class Pace:
    """The pace of all workers of a run together. Times are those of a monotonic clock, in seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self.rate: float | None = None
        """Posts a second; None as long as nothing has shown a limit."""
        self._held_until_s = self._trouble_s = -math.inf
        self._changed_s = 0.0
        self._troubles = 0
        """How many there were since the last answer."""

    @property
    def hold_s(self) -> float:
        """For how long nothing is to be sent."""
        return max(0.0, self._held_until_s - self._now())

    def note_answer(self) -> None:
        """Know that a request was answered."""
        self._troubles = 0

    def trouble(self, demanded_s: float | None = None, sent: float = 1.0) -> None:
        """Slow all down: the service has refused a request that it did not begin, or could not be reached.

        `sent` is how many a second were sent by then.
        """
        now = self._now()
        if now - self._trouble_s >= _ONE_STORM_S:
            self._trouble_s = now
            self._troubles += 1
            # Without an answer since the last one it is no question of how fast: the service takes nothing for now.
            if self._troubles == 1:
                self._changed_s = now
                self.rate = max(_SLOWEST, (sent if self.rate is None else self.rate) / 2)
        wait_s = delay_s(self._troubles, demanded_s, random.random())
        self._held_until_s = max(self._held_until_s, now + min(wait_s, LONGEST_HOLD_S))

    def probe(self) -> None:
        """Go a little faster where there was no trouble for a while."""
        now = self._now()
        if self.rate is not None and not self.hold_s and now - self._changed_s >= _PROBE_S:
            self.rate, self._changed_s = self.rate * _FASTER, now
