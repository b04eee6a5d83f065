"""The log of a process that makes a run: bounded, and without keys."""

from __future__ import annotations

import contextlib
import io
import os
import threading
from pathlib import Path

from ..api.credentials import Key
from ..storage.archive import Archive
from ..storage.runners import folder_of

MOST_BYTES = 1_000_000
"""From here on it goes on in a new file; one older one is kept."""


def log_of(archive: Archive, run: str) -> Path:
    """Return where the log of a run lies."""
    return folder_of(archive) / f"{run}.log"


def older(path: Path) -> Path:
    """Return where that of before lies."""
    return path.with_name(f"{path.name}.1")


class BoundedLog(io.TextIOBase):
    """A file that is written line by line, and has no more than twice `MOST_BYTES`."""

    def __init__(self, path: Path, key: Key) -> None:
        super().__init__()
        self._path, self._key = path, key
        self._lock = threading.Lock()

    def writable(self) -> bool:
        """Return that it is."""
        return True

    def write(self, text: str) -> int:
        """Add text, without the key."""
        # A full disk must not end what is being made.
        with self._lock, contextlib.suppress(OSError):
            if self._path.exists() and self._path.stat().st_size > MOST_BYTES:
                self._path.replace(older(self._path))
            descriptor = os.open(self._path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
                file.write(self._key.hidden_in(text))
        return len(text)
