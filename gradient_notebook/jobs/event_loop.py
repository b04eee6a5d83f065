"""The one thread with the one loop, and waiting for what happens there.

The only place that knows about loops. A task on the kernel's own loop stops while a cell runs synchronous code, so
the work lives on a thread of the package's own, and each way to wait here can be interrupted.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import math
import os
import signal
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, TypeVar

T = TypeVar("T")

TICK_S = 0.1
"""An interrupt is noticed only when a waiting loop wakes, so it wakes this often (seconds)."""

CLOSING_S = 2.0
"""Time at the interpreter's end for closing connections and for keeping what has come (seconds)."""

_CANCELLED = "the request was cancelled; what was already sent may be billed."


def sent_words(*, billed: bool) -> str:
    """Return what to add where requests were sent and are not waited for any more; nothing where nothing is billed."""
    return " Requests already sent may be billed." if billed else ""


def interrupted(words: str, error: KeyboardInterrupt | None = None) -> KeyboardInterrupt:
    """Return an interrupt that says what came of it, `error` itself if it is given; a notebook shows one line of it.

    It is of no class of our own: only what is exactly a KeyboardInterrupt ends a script with status 130.
    """
    error = error or KeyboardInterrupt()
    error.args = (words,)
    error._render_traceback_ = lambda: [f"KeyboardInterrupt: {words}"]  # type: ignore[attr-defined]
    return error


class _LoopThread:
    """A daemon thread that runs an event loop."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        # A daemon: Python joins all others before it comes to atexit, and `close` would never be called.
        self._thread = threading.Thread(target=self.loop.run_forever, name="gradient_notebook", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()  # False in a child after fork, where the thread did not come along

    def close(self) -> None:
        """Cancel what runs, so that connections close, and end."""
        if self.is_alive:
            asyncio.run_coroutine_threadsafe(_cancel_all(), self.loop)
            # 4 s at most: Jupyter kills a kernel that takes more than 5 s to end.
            self._thread.join(timeout=2 * CLOSING_S)


async def _cancel_all() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.wait(others, timeout=CLOSING_S) if others else None
    asyncio.get_running_loop().stop()


_lock = threading.Lock()
_the_thread: _LoopThread | None = None
_of_the_parent: list[_LoopThread | None] = []


def _begin_anew() -> None:
    """Forget the parent's loop, in a child: nothing there runs it, and its lock may have been held by another thread."""
    global _lock, _the_thread
    # Kept for ever: what a loop clears up at its end would touch the sockets and the selector that the parent uses.
    _of_the_parent.append(_the_thread)
    _lock, _the_thread = threading.Lock(), None


if hasattr(os, "register_at_fork"):  # Windows forks nothing
    os.register_at_fork(after_in_child=_begin_anew)


def get_loop() -> asyncio.AbstractEventLoop:
    """Return the package's loop, which runs on its own thread from the first call on."""
    global _the_thread
    with _lock:
        # Under the lock: with two loops there would be twice as many requests at once as the session allows.
        if _the_thread is None or not _the_thread.is_alive:
            _the_thread = _LoopThread()
            atexit.register(_the_thread.close)
        return _the_thread.loop


def close() -> None:
    """Cancel what runs, keep what has come, and end: 4 s at most."""
    if _the_thread is not None:
        _the_thread.close()


def run(work: Coroutine[Any, Any, T]) -> T:
    """Do `work` on the package's loop and wait for it; interrupting the wait cancels it."""
    future: concurrent.futures.Future[T] = concurrent.futures.Future()
    running = get_loop()

    def begin() -> None:
        task = asyncio.ensure_future(work)
        task.add_done_callback(lambda _: _hand_over(task, future))
        # A wait that was given up before this line has left a future that is done: the task is cancelled all the same.
        future.add_done_callback(lambda _: running.call_soon_threadsafe(task.cancel))

    try:
        with interrupts_told():  # from here on: an interrupt may come before the wait, when the request is on its way
            running.call_soon_threadsafe(begin)
            wait(future)
    except BaseException:
        future.cancel()
        raise
    return future.result()


def _hand_over(task: asyncio.Task[T], future: concurrent.futures.Future[T]) -> None:
    # Asked for even where nobody waits any more: asyncio would log the error as never retrieved.
    error = asyncio.CancelledError() if task.cancelled() else task.exception()
    if not future.set_running_or_notify_cancel():
        return  # nobody waits for it any more
    if error:
        future.set_exception(error)
    else:
        future.set_result(task.result())


class interrupts_told:  # noqa: N801 - a context manager, used as the functions of contextlib are
    """Has an interrupt say that something may have been sent, and not where in the package it came."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if isinstance(error, KeyboardInterrupt):
            if not hasattr(error, "_render_traceback_"):
                interrupted(_CANCELLED, error)
            error.__traceback__ = None


def wait(future: concurrent.futures.Future[Any], timeout_s: float | None = None) -> None:
    """Block until `future` is done, from wherever; Ctrl-C and the interrupt button raise KeyboardInterrupt.

    After `timeout_s` seconds it is a TimeoutError.
    """
    try:
        running = asyncio.get_running_loop()
    except RuntimeError:
        running = None
    if running and running is get_loop():
        msg = "A job's own thread can't wait for a job: await it."
        raise RuntimeError(msg)
    with interrupts_told():
        # Patched only now that it is needed: that changes asyncio for every library of the process.
        if running and _make_nestable(running):
            with _interrupts_raise():
                running.run_until_complete(wait_async(future, timeout_s))
            return
        ends_s = _ends_s(timeout_s)
        while not future.done():
            tick_s = _tick_s(ends_s)
            # Not `future.result`: a TimeoutError of the work would look like the end of the wait. And not
            # `concurrent.futures.wait`, which costs 15 µs more: a stream waits so for each event.
            with suppress(TimeoutError, concurrent.futures.CancelledError):
                future.exception(tick_s)


async def wait_async(future: concurrent.futures.Future[Any], timeout_s: float | None = None) -> None:
    """Wait until `future` is done, in ticks; a cancelled wait leaves `future` alone. TimeoutError after `timeout_s`."""
    ends_s = _ends_s(timeout_s)
    wrapped = asyncio.wrap_future(future)
    # The outcome is taken from `future`: of a copy that nobody asks, asyncio would log the error as never retrieved.
    wrapped.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
    try:
        # Not `await wrapped`: cancelling that would cancel `future` itself, and not only the wait.
        while not wrapped.done():
            await asyncio.wait({wrapped}, timeout=_tick_s(ends_s))
    except asyncio.CancelledError as cancelled:
        # A kernel interrupts what awaits by cancelling it. A class of our own would not be what a timeout looks for.
        cancelled._render_traceback_ = lambda: [f"KeyboardInterrupt: {_CANCELLED}"]  # type: ignore[attr-defined]
        raise


@contextmanager
def _interrupts_raise() -> Iterator[None]:
    """Let SIGINT raise: a kernel would cancel the task that waits, which hears nothing while it is nested."""
    # Elsewhere Python sets no handlers, and no signal arrives.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        # None is a handler that was not set by Python: it cannot be set again.
        signal.signal(signal.SIGINT, before or signal.default_int_handler)


def _ends_s(timeout_s: float | None) -> float:
    return math.inf if timeout_s is None else time.monotonic() + timeout_s


def _tick_s(ends_s: float) -> float:
    """Return how long to wait before the next look; raise TimeoutError where there is no time left."""
    left_s = ends_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return min(TICK_S, left_s)


def _make_nestable(running: asyncio.AbstractEventLoop) -> bool:
    """Let a running loop run inside itself. False for one that cannot be patched, as uvloop's."""
    import nest_asyncio2

    try:
        nest_asyncio2.apply(running)
    except ValueError:
        return False
    return True
