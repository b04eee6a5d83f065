"""What time it is, for records: a clock that is set back does not make what is new look old."""

from __future__ import annotations

import time

EARLIEST_S = 1_577_836_800.0
"""2020, in Unix seconds: a record from before this package was written has the time of a clock that was not set."""

_wall_s, _monotonic_s = time.time(), time.monotonic()


def now() -> float:
    """Return Unix seconds that never go back in this process, and follow a clock that is set forward."""
    global _wall_s, _monotonic_s
    monotonic_s = time.monotonic()
    _wall_s = max(time.time(), _wall_s + monotonic_s - _monotonic_s)
    _monotonic_s = monotonic_s
    return _wall_s
