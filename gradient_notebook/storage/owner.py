"""Which process a request belongs to while it runs, and whether that process lives."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from . import clock

_TRUSTED_S = 86_400.0
"""How long a request of another machine is taken to run (seconds): whether its process lives cannot be seen from here."""


_DEAD = "dead"


def this_process() -> str:
    """Return the name of this process: its machine, its number, and when it began, since numbers are used again."""
    return f"{_machine()} {os.getpid()} {_began(os.getpid()) or '-'}"


def is_running(owner: str | None, started_at: float) -> bool:
    """Whether the process of a request that began at a time lives; None is nobody."""
    if owner is None:
        return False
    machine, number, began = ([*owner.rsplit(" ", 2), "", ""])[:3]
    # Windows has no signal that only asks: there, too, a day is what is known.
    if machine != _machine() or os.name == "nt" or not number.isdecimal():
        return clock.now() - started_at < _TRUSTED_S
    try:
        os.kill(int(number), 0)
    except PermissionError:
        pass
    except (OSError, OverflowError):
        return False
    now = _began(int(number))
    return now is None or (now != _DEAD and began in (now, "-"))


def _machine() -> str:
    import socket  # when the first job begins

    return socket.gethostname() or "-"


def _began(number: int) -> str | None:
    """Return when a process began, in the system's own words; `_DEAD` for one that has died, None where that is not told."""
    with contextlib.suppress(OSError, IndexError):
        # After the name, which may hold spaces and parentheses itself.
        words = Path(f"/proc/{number}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return _DEAD if words[0] in "ZX" else words[19]
    return None
