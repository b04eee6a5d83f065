"""The end of the process while jobs run: a script waits for them, a kernel has no time to; what is given up is told.

A kernel is killed some seconds after it was told to end, so it hangs up at once, and the record says so.
"""

from __future__ import annotations

import atexit
import concurrent.futures.thread  # noqa: F401 - has its own turn at the end, after ours where it is loaded before
import os
import signal
import sys
import threading
import time
from collections.abc import Collection
from contextlib import suppress
from typing import Any, Protocol

from ..api.error_words import describe
from ..api.errors import GradientNotebookError
from ..api.params import ImageGenerateParams
from ..api.text import clean, shortened
from ..session import session
from ..storage import uploads
from . import event_loop

_PROMPT_CHARACTERS = 40
_ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]  # Windows has no SIGHUP


class Job(Protocol):
    """What is asked here of a job, or of a sweep, which has jobs of its own."""

    _started_s: float
    _unwanted: bool

    @property
    def params(self) -> ImageGenerateParams:
        """What was asked for."""

    @property
    def id(self) -> str:
        """Of its record."""

    @property
    def images(self) -> list[Any]:
        """What has come."""

    @property
    def _failure(self) -> Exception | None:
        """Why no image came, if it has ended."""

    @property
    def _is_begun(self) -> bool:
        """Whether it may be billed."""

    @property
    def _is_recorded(self) -> bool:
        """Whether the ledger has its record."""

    def cancel(self) -> bool:
        """Send nothing more."""

    def done(self) -> bool:
        """Whether it has ended."""


_running: set[Job] = set()
_is_registered = False


def watch(job: Job) -> None:
    """Take a job into account at the end of the process, from before it begins until `forget`."""
    global _is_registered
    _running.add(job)
    if not _is_registered:
        _is_registered = True
        # Python's own hook, by the name that `concurrent.futures` uses: at `atexit` no thread can be started any more,
        # and a request that has yet to look up its host would fail.
        register = getattr(threading, "_register_atexit", atexit.register)
        with suppress(RuntimeError):  # it is ending already
            register(_at_exit)
    _hear_signals()


def forget(job: Job) -> None:
    """Leave a job that has ended out of account."""
    _running.discard(job)


def is_kernel() -> bool:
    """Whether this process is a notebook's kernel, which is killed if it takes its time to end."""
    application = getattr(sys.modules.get("ipykernel.kernelapp"), "IPKernelApp", None)
    return application is not None and bool(application.initialized())


def _at_exit() -> None:
    # The line is inside as well: somebody may press Ctrl-C as soon as it can be read.
    with suppress(KeyboardInterrupt):
        # One that was cancelled is on its way to its end by itself.
        for job in list(_running):
            if getattr(job, "_is_paused", False):
                job.cancel()  # a sweep: nothing of it would come
        jobs = [job for job in list(_running) if not job._unwanted]
        if jobs and session.exit_wait_s and not is_kernel():
            what = f"waiting for {_counted(jobs)} ({_named(jobs)}), at most {session.exit_wait_s:g} s"
            _say(f"{what}. Ctrl-C ends the wait.")
            _wait(session.exit_wait_s)
            _tell_failures(jobs)
    _give_up()
    uploads.finish()


def _wait(seconds: float) -> None:
    """Wait until no job runs any more; one that has ended may have begun another."""
    ends_s = time.monotonic() + seconds
    while _running and (left_s := ends_s - time.monotonic()) > 0:
        time.sleep(min(event_loop.TICK_S, left_s))


def _tell_failures(jobs: Collection[Job]) -> None:
    """Say why images did not come that nobody can ask for any more."""
    for failure in [job._failure for job in jobs if job.done()]:
        if failure:
            words = describe(failure) if isinstance(failure, GradientNotebookError) else (f"{failure!r}",)
            _say(" ".join(words).strip())


def _give_up() -> None:
    """Hang up, and say what may be billed. What has come until now is kept, and the records say how it ended."""
    jobs = [job for job in list(_running) if not job.done()]
    if not jobs:
        return
    with suppress(KeyboardInterrupt):  # somebody is impatient: all that follows takes seconds at most
        event_loop.close()
    if not is_kernel():
        _say(f"{_counted(jobs)} given up at the end of the process. {_billed(jobs)}")


def _billed(jobs: Collection[Job]) -> str:
    # From the record on: whether the request has left is not known here.
    begun = [job for job in jobs if job._is_begun and not job.images]
    if not begun:
        return "Their images came at the last moment." if any(job.images for job in jobs) else "Nothing was sent."
    records = ", ".join(f"history({job.id!r})" for job in begun if job._is_recorded)
    return f"{len(begun)} may have been billed{f': {records}' if records else '.'}"


def _counted(jobs: Collection[Job]) -> str:
    return f"{len(jobs)} running job{'' if len(jobs) == 1 else 's'}"


def _named(jobs: Collection[Job]) -> str:
    first, *others = sorted(jobs, key=lambda job: job._started_s)
    return f"{shortened(clean(first.params.prompt), _PROMPT_CHARACTERS)!r}{', …' if others else ''}"


def _say(words: str) -> None:
    with suppress(OSError, ValueError, AttributeError):  # closed, or none: a program without a console
        sys.stderr.write(f"gradient_notebook: {words}\n")
        sys.stderr.flush()


def _hear_signals() -> None:
    """Let what ends a process end its jobs in an orderly way, where nobody else hears it."""
    if threading.current_thread() is not threading.main_thread():
        return  # elsewhere Python sets no handlers
    for number in _ENDING:
        if signal.getsignal(number) is signal.SIG_DFL:
            with suppress(ValueError):  # another interpreter of the process
                signal.signal(number, _terminated)


def _terminated(number: int, _frame: Any) -> None:
    # Without a wait: what sends it kills some seconds later.
    _give_up()
    # And then as without us: the sender sees what it has done.
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


if hasattr(os, "register_at_fork"):
    # A job belongs to the process that began it.
    os.register_at_fork(after_in_child=_running.clear)
