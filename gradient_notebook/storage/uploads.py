"""What goes up to an archive's address, in the background, and what has gone up: a file is here first, and goes up later.

Beside `originals` lies an empty mark for each that is up (`uploaded`), and for each that is to go there (`deleted`).
What has no mark is to go up: whenever a process is killed, the next one finds out what is left.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import queue
import re
import sys
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from ..session import session
from .files import hash_of, make_private_folder, write_atomic
from .forks import without_forks
from .locks import Lock
from .remote import Remote, RemoteError

_logger = logging.getLogger("gradient_notebook")
_ORIGINAL = re.compile(r"[0-9a-f]{64}\.\w+")
_ALL = ""
_FIRST_WAIT_S, _LONGEST_WAIT_S = 2.0, 300.0
"""Between two attempts; they cost nothing."""
_LOCK_WAIT_S, _LOCK_TICK_S = 30.0, 0.05
_KERNEL_EXIT_WAIT_S = 3.0
"""What a kernel waits for at its end (seconds): it has five in all."""
_SILENT_WAIT_S = 2.0
"""A longer wait at the end of a process is told (seconds)."""
_SILENT_S = 30.0
"""An address that could not be used is not asked for originals for so long (seconds)."""


class OtherContentError(RemoteError):
    """Another content has an original's name at the address: somebody has changed it there."""


class Uploads:
    """What is to go up, or to be deleted there, in one archive's folder."""

    def __init__(self, folder: Path, remote: Remote) -> None:
        self.remote = remote
        self.originals = folder / "originals"
        self._up, self._gone = folder / "uploaded", folder / "deleted"
        self._lock = folder / "uploads.lock"
        self._failed: tuple[float, RemoteError] | None = None

    def pending(self) -> list[str]:
        """Return the names of the originals that are not up yet."""
        return sorted(_names(self.originals) - _names(self._up))

    def forget(self, names: Sequence[str]) -> None:
        """Note that originals, which are not here any more, are to be deleted there."""
        make_private_folder(self._gone)
        for name in names:
            (self._gone / name).touch(mode=0o600)
            (self._up / name).unlink(missing_ok=True)

    def send(self, name: str) -> bool:
        """Send an original, and mark it; return False where it is not here any more. Raises RemoteError."""
        try:
            data = (self.originals / name).read_bytes()
        except FileNotFoundError:
            return False
        if hash_of(data) != name.partition(".")[0]:
            return False  # changed here: what is at the address would not be what was received
        if (self._gone / name).exists():  # it was made again: what deletes the one before comes to its end first
            with _alone(self._lock):
                (self._gone / name).unlink(missing_ok=True)
        if not self.remote.create(name, data):
            raise OtherContentError(f"{self.remote.url_of(name)} has another content, and is not replaced")
        self._mark(name)
        if not (self.originals / name).exists():  # it was deleted meanwhile
            self.forget([name])
            return False
        return True

    def delete(self) -> int:
        """Delete what is to be deleted, and return how much that was. Raises RemoteError."""
        names = sorted(_names(self._gone))
        if names:
            # Alone: what somebody makes again meanwhile is here before it goes up, and is left alone.
            with _alone(self._lock):
                self.remote.delete([name for name in names if not (self.originals / name).exists()])
                for name in names:
                    (self._gone / name).unlink(missing_ok=True)
        return len(names)

    def fetch(self, name: str) -> bytes | None:
        """Return an original from the address, and keep it here; None where it is not there, or not what it was.

        Raises RemoteError.
        """
        if self._failed and time.monotonic() < self._failed[0]:
            raise self._failed[1]  # of a history, dozens are wanted
        try:
            data = self.remote.read(name)
        except FileNotFoundError:
            return None
        except RemoteError as error:
            self._failed = time.monotonic() + _SILENT_S, error
            raise
        if hash_of(data) == name.partition(".")[0]:
            with contextlib.suppress(OSError):  # a full disk: it is shown all the same
                make_private_folder(self.originals)
                write_atomic(self.originals / name, data)
                self._mark(name)
        return data

    def _mark(self, name: str) -> None:
        make_private_folder(self._up)
        (self._up / name).touch(mode=0o600)

    def run(self, names: Collection[str] | None = None) -> tuple[int, list[RemoteError]]:
        """Send these, or send and delete all that is to be; return how many went up, and what has failed.

        Where the address cannot be used, the first failure says it for all.
        """
        count, failed = 0, list[RemoteError]()
        try:
            if names is None:
                self.delete()
            for name in self.pending() if names is None else names:
                try:
                    count += self.send(name)
                except OtherContentError as error:  # the others can go up
                    failed.append(error)
            if names is None:
                self.delete()
        except RemoteError as error:
            failed.append(error)
        return count, failed


def _names(folder: Path) -> set[str]:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as there:
        return {entry.name for entry in there if _ORIGINAL.fullmatch(entry.name)}
    return set()


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    ends_s = time.monotonic() + _LOCK_WAIT_S
    while True:
        with without_forks():
            lock = Lock.take(path)
        if lock:
            break
        if time.monotonic() > ends_s:
            raise RemoteError(f"{path} is held by another process")
        time.sleep(_LOCK_TICK_S)
    try:
        yield
    finally:
        with without_forks():
            lock.release()


class _Sender:
    """The thread of a process that sends what an archive's folder has."""

    def __init__(self, uploads: Uploads) -> None:
        self.uploads = uploads
        self._asked: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.idle = threading.Event()
        """Nothing is left to do, or it cannot be done now."""
        self._lock = threading.Lock()
        threading.Thread(target=self._run, name="gradient_notebook uploads", daemon=True).start()

    def wake(self, name: str) -> None:
        with self._lock:
            self._asked.put(name)
            self.idle.clear()

    def _run(self) -> None:
        wait_s = 0.0
        while True:
            names = self._wait(wait_s)
            # All of it at first, and where something has failed; else a folder of 100,000 is not looked through.
            has_failed = self._try(None if _ALL in names or wait_s or not names else names)
            wait_s = min(2 * wait_s or _FIRST_WAIT_S, _LONGEST_WAIT_S) if has_failed else 0.0
            with self._lock:
                if self._asked.empty():
                    self.idle.set()

    def _wait(self, seconds: float) -> set[str]:
        """Return what is asked for, as soon as something is, or nothing after so many seconds."""
        names: set[str] = set()
        with contextlib.suppress(queue.Empty):
            names.add(self._asked.get(timeout=seconds or None))
            while True:
                names.add(self._asked.get_nowait())
        return names

    def _try(self, names: Collection[str] | None) -> bool:
        """Send, tell what has failed, and return whether it is to be tried again."""
        try:
            _, failed = self.uploads.run(names)
        except Exception:
            _logger.exception("A bug in sending originals to %s", self.uploads.remote.address)
            return False
        for error in failed:
            later = ", and goes up later: history().upload() tries again" * (not isinstance(error, OtherContentError))
            note = f"{error}. The original stays on this machine{later}."
            if session.is_first(note):
                _logger.warning("%s", note)
        return any(not isinstance(error, OtherContentError) for error in failed)


_senders: dict[tuple[int, Path], _Sender] = {}
_guard = threading.Lock()


def wake(uploads: Uploads, name: str = _ALL) -> None:
    """Have an original sent in the background, or all that is left."""
    import concurrent.futures.thread  # noqa: F401 - what it does at the end comes after ours, which was registered later

    with without_forks(), _guard:
        key = (os.getpid(), uploads.originals)
        if key not in _senders:
            if not _senders:
                # Python's own hook, before threads end: at `atexit` none can be started any more, and what sends needs some.
                getattr(threading, "_register_atexit", atexit.register)(finish)
            _senders[key] = _Sender(uploads)
            name = _ALL  # also what earlier processes have left
        sender = _senders[key]
    sender.wake(name)


def wait(uploads: Uploads, timeout_s: float) -> bool:
    """Wait until all has gone up, or cannot now; return whether that was in time."""
    sender = _senders.get((os.getpid(), uploads.originals))
    return sender is None or sender.idle.wait(timeout_s)


_ends_s = 0.0


def finish() -> None:
    """Wait at the end of the process for what goes up, as long as it can go up; the next one sends what is left.

    It may be called again, when more has come: the time is that of all calls together.
    """
    global _ends_s
    wait_s = _KERNEL_EXIT_WAIT_S if "ipykernel.kernelapp" in sys.modules else session.exit_wait_s
    _ends_s = _ends_s or time.monotonic() + wait_s
    for (process, _), sender in list(_senders.items()):
        left_s = max(0.0, _ends_s - time.monotonic())
        if process != os.getpid() or sender.idle.wait(min(left_s, _SILENT_WAIT_S)):
            continue
        where = sender.uploads.remote.address
        _logger.warning("Waiting for originals to go up to %s, at most %.0f s; Ctrl-C ends the wait.", where, left_s)
        with contextlib.suppress(KeyboardInterrupt):  # they are on this machine
            sender.idle.wait(max(0.0, _ends_s - time.monotonic()))
