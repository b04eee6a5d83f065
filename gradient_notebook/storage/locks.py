"""A lock that dies with the process that holds it, on every system: SQLite's own, on an empty file."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from sqlite3 import Connection

_PATIENCE_S = 0.2
"""How long a process that only looks is waited for, in seconds; each of them takes microseconds."""

_ATTEMPTS = 3


class Lock:
    """A lock that is held, until `release` or the end of the process, whatever ends it."""

    def __init__(self, connection: Connection, path: Path) -> None:
        self.path = path
        self._connection = connection
        self._process = os.getpid()

    @classmethod
    def take(cls, path: Path, *, patience_s: float = _PATIENCE_S) -> Self | None:
        """Return the lock of this name, or None where somebody has it. Raises OSError where there can be none."""
        for _ in range(_ATTEMPTS):
            before = _file_at(path)
            lock = cls._take(path, patience_s)
            if lock is None or (now := _file_at(path)) == before or (before is None and now):
                return lock
            lock.release()  # whoever had it before has removed its file: a lock on that keeps nobody out
        return None

    @classmethod
    def _take(cls, path: Path, patience_s: float) -> Self | None:
        import sqlite3

        connection = None
        try:
            # Never opened but by SQLite: closing such a file gives up the locks of all threads of the process.
            connection = sqlite3.connect(
                f"{path.as_uri()}?mode=rwc",
                uri=True,
                timeout=patience_s,
                isolation_level=None,
                check_same_thread=False,
            )
            with contextlib.suppress(FileNotFoundError):
                path.chmod(0o600)
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            if connection:
                connection.close()
            if _is_busy(error):
                return None
            raise OSError(f"{path}: {error}") from error
        return cls(connection, path)

    def release(self) -> None:
        """Let others have it."""
        if self._process == os.getpid():  # a child that was forked has it from its parent
            self._connection.close()


def _file_at(path: Path) -> tuple[int, int] | None:
    """Return which file has this name; None where none has."""
    try:
        there = path.stat()
    except FileNotFoundError:
        return None
    return there.st_dev, there.st_ino


def is_held(path: Path) -> bool:
    """Whether a living process has the lock of this name."""
    import sqlite3

    if not path.exists():
        return False
    try:
        with contextlib.closing(
            sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=0, isolation_level=None)
        ) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        return _is_busy(error)
    return False


def _is_busy(error: Exception) -> bool:
    busy = 5
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == busy
