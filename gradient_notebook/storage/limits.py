"""What the processes of an archive share of an endpoint's limits: places for requests, and what is known of its rate limit.

It lies in the archive's folder, under a salted hash of endpoint and key. Nothing of it is worth keeping: what cannot be
read or written leaves each process to itself, and what a killed process held is free.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..api.credentials import Key
from ..api.rate_limit import Pace
from . import clock, owner
from .files import make_private_folder, write_atomic
from .forks import without_forks
from .locks import Lock

if TYPE_CHECKING:
    from sqlite3 import Connection

_SALT_BYTES, _ATTEMPTS = 32, 3
_BUSY_S = 0.25
"""How long others that write are waited for (seconds); each of them takes less than a millisecond."""
_SAME_CLOCK_S = 5.0
"""What differs by more was written before the machine was started again, or on another machine."""
_PLENTY = 200
"""With more requests left in a window, nobody needs to know how many others are under way."""
_STEP_NS = 50_000_000
"""In longer steps than this no system counts the time of a file (nanoseconds)."""
_MANY = 32
"""With more processes than that, those are forgotten that have died while a request was in flight."""
_TABLE = "CREATE TABLE IF NOT EXISTS pace (name PRIMARY KEY, told) WITHOUT ROWID"

_held: dict[int, set[Path]] = {}
"""The places of this process, by its number: a child that was forked has none."""
_lock = threading.Lock()  # threads of one process take turns here, where they need not look again and again


class Limits:
    """What the processes of an archive share for one key at one endpoint."""

    def __init__(self, folder: Path, endpoint: str, key: Key) -> None:
        self.folder = folder / "limits"
        self._endpoint, self._key = endpoint, key
        self._seen: tuple[int, int, int] | None = None

    @functools.cached_property
    def _name(self) -> str:
        """The name of this key at this endpoint, which tells neither. Raises OSError."""
        import hmac  # with the first request: it loads OpenSSL

        make_private_folder(self.folder)
        place = self.folder / "salt"
        with contextlib.suppress(FileExistsError):
            if not place.exists():
                write_atomic(place, os.urandom(_SALT_BYTES), replaces=False)
        salt = hmac.new(place.read_bytes(), self._endpoint.encode(), "sha256")
        salt.update(b"\0" + self._key.reveal().encode())
        return salt.hexdigest()[:16]

    # Places

    def take(self, count: int) -> Lock | None:
        """Return one of so many places, or None where none is free. Raises OSError where none can be had.

        A place is a lock, which dies with its process. From the last one on: a process that wants fewer finds the first.
        """
        mine = self._of_this_process
        with without_forks():
            for place in (self._place(number) for number in reversed(range(count))):
                if place not in mine and (lock := Lock.take(place, patience_s=0)):
                    mine.add(place)
                    return lock
        return None

    def leave(self, lock: Lock) -> None:
        """Give a place back."""
        with without_forks():
            self._of_this_process.discard(lock.path)
            lock.release()

    def elsewhere(self, count: int) -> int:
        """Return how many of so many places others have, where none is free."""
        return count - len(self._of_this_process.intersection(self._place(number) for number in range(count)))

    def is_waited_for(self) -> bool:
        """Whether somebody waits for a place, or died while waiting: who comes later asks for its turn first."""
        return self._turn.exists()

    def take_turn(self) -> Lock | None:
        """Return the turn: who has it gets the next free place. None where somebody else has it."""
        for attempt in range(_ATTEMPTS):
            try:
                with without_forks():
                    return Lock.take(self._turn, patience_s=0)
            except OSError:  # who had it has removed its file between two steps here
                if attempt == _ATTEMPTS - 1:
                    raise
        return None

    def end_turn(self, lock: Lock) -> None:
        """Let the next one take its turn."""
        with without_forks():
            # It is there only while somebody waits: others need not look. A system may keep it while it is open.
            with contextlib.suppress(OSError):
                lock.path.unlink()
            lock.release()

    @property
    def _of_this_process(self) -> set[Path]:
        return _held.setdefault(os.getpid(), set())

    @property
    def _turn(self) -> Path:
        return self.folder / f"{self._name}.turn"

    def _place(self, number: int) -> Path:
        return self.folder / f"{self._name}-{number}.place"

    # The rate limit

    @contextlib.contextmanager
    def exchange(self, pace: Pace) -> Iterator[None]:
        """Bring `pace` to what all processes know, and write down what has become of it inside of the `with`.

        While the window has plenty of room and nothing is held back, there is nothing to say, and nothing is opened.
        """
        with without_forks(), _lock:
            pace.elsewhere = 0
            if not _matters(pace) and self._is_unchanged():
                yield
                if _matters(pace):
                    with contextlib.suppress(OSError), self._alone() as opened:
                        known = self._read(opened)
                        _add(known, pace)
                        self._write(opened, known, pace)
                return
            with contextlib.ExitStack() as stack:
                told: dict[str, Any] = {}
                connection: Connection | None = None
                with contextlib.suppress(OSError):  # then each process is for itself
                    connection = stack.enter_context(self._alone())
                    told = self._read(connection)
                    _learn(told, pace)
                yield
                if connection is not None:
                    with contextlib.suppress(OSError):
                        self._write(connection, told, pace)

    def _is_unchanged(self) -> bool:
        """Whether nobody has written since this process has read: by the time of the file, which comes in steps."""
        try:
            found = self._pace.stat()
        except FileNotFoundError:
            return True
        except OSError:
            return False
        stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
        if stamp == self._seen:
            return True
        # What is written within a step of the file's time leaves it as it is: then it is read again the next time.
        self._seen = stamp if time.time_ns() - found.st_mtime_ns > _STEP_NS else None
        return False

    def _write(self, connection: Connection, told: dict[str, Any], pace: Pace) -> None:
        words = _words(told, pace)
        if words != told:
            with self._as_os_errors():
                connection.execute("INSERT OR REPLACE INTO pace VALUES (?, ?)", (self._name, json.dumps(words)))
                connection.execute("COMMIT")

    @contextlib.contextmanager
    def _alone(self) -> Iterator[Connection]:
        """Open what is shared, and let nobody else write to it before the end; closing without COMMIT changes nothing."""
        import sqlite3

        make_private_folder(self.folder)
        with contextlib.ExitStack() as stack:
            with self._as_os_errors():
                connection = stack.enter_context(
                    contextlib.closing(sqlite3.connect(self._pace, timeout=_BUSY_S, isolation_level=None))
                )
                self._pace.chmod(0o600)
                # After a power cut it is begun again; a process that is killed breaks nothing.
                connection.execute("PRAGMA synchronous = OFF")
                connection.execute("PRAGMA journal_mode = TRUNCATE").fetchone()
                connection.execute("BEGIN IMMEDIATE")
                connection.execute(_TABLE)
            yield connection

    def _read(self, connection: Connection) -> dict[str, Any]:
        with self._as_os_errors():
            found = connection.execute("SELECT told FROM pace WHERE name = ?", (self._name,)).fetchone()
        try:
            told = json.loads(found[0]) if found else {}
            return told if abs(told["clock"] - _clock()) < _SAME_CLOCK_S else {}
        except (ValueError, TypeError, KeyError):
            return {}

    @contextlib.contextmanager
    def _as_os_errors(self) -> Iterator[None]:
        """Raise OSError for what SQLite raises; a file that is none of its own is removed, and begun again the next time."""
        import sqlite3

        try:
            yield
        except sqlite3.OperationalError as error:  # busy, or a disk that refuses
            raise OSError(f"{self._pace}: {error}") from error
        except sqlite3.DatabaseError as error:
            self._pace.unlink(missing_ok=True)
            raise OSError(f"{self._pace}: {error}") from error

    @property
    def _pace(self) -> Path:
        return self.folder / "pace.sqlite"


def _matters(pace: Pace) -> bool:
    """Whether what is known is for others to know: there is little room, or something is held back."""
    return bool(pace.held_until_s) or (pace.remaining is not None and pace.remaining <= _PLENTY)


def _add(told: dict[str, Any], pace: Pace) -> None:
    """Add to what this process has just heard what others have told meanwhile."""
    known = Pace(held_until_s=pace.held_until_s, remaining=pace.remaining, resets_at_s=pace.resets_at_s)
    mine = known.held_until_s
    _learn(told, pace)
    if mine > pace.held_until_s or not told:
        pace.held_until_s, pace.is_probed = mine, False
    if known.resets_at_s >= pace.resets_at_s and known.remaining is not None:
        pace.remaining, pace.resets_at_s = known.remaining, known.resets_at_s


def _learn(told: dict[str, Any], pace: Pace) -> None:
    """Take over what has been told: this process has told what it knew, and others may know more."""
    with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError):
        known = Pace(**told["pace"])
        others = [(name, *value) for name, value in told["in_flight"].items() if name != _me(os.getpid())]
        pace.remaining, pace.resets_at_s = known.remaining, known.resets_at_s
        pace.held_until_s, pace.is_probed = known.held_until_s, known.is_probed
        pace.elsewhere = sum(count for name, count, at in others if owner.is_running(name, at))


def _words(told: dict[str, Any], pace: Pace) -> dict[str, Any]:
    """Return what is to be told."""
    known = {name: getattr(pace, name) for name in ("remaining", "resets_at_s", "held_until_s", "is_probed")}
    in_flight = dict(told.get("in_flight", {}))
    in_flight.pop(_me(os.getpid()), None)
    if pace.in_flight:
        in_flight[_me(os.getpid())] = [pace.in_flight, clock.now()]
    if len(in_flight) > _MANY:
        in_flight = {name: value for name, value in in_flight.items() if owner.is_running(name, value[1])}
    return {"pace": known, "in_flight": in_flight, "clock": told.get("clock", _clock())}


@functools.lru_cache(maxsize=1)
def _me(_process: int) -> str:
    return owner.this_process()


def _clock() -> float:
    """Return what is the same in all processes of a machine until its clock is set, or it is started again."""
    return time.time() - time.monotonic()
