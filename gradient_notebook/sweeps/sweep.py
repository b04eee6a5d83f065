"""Sweep: many jobs as one, which runs, is watched, waited for, paused and cancelled; and what came of it as a table."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Generator
from typing import Any

from ..api.errors import ForkedError, InvalidRequestError
from ..api.settings import Settings
from ..display_hooks import hook
from .engine import Engine
from .plan import Plan


class Sweep(Engine):
    """Many images from one prompt, or from a table, as one thing: `sweep` makes one.

    It runs in the background, as a job does: `await study` and `study.result()` wait for it, and give the sweep itself.
    What failed or was refused is a cell like the others. Images are opened from the archive when they are asked for.

    >>> from gradient_notebook import sweep
    >>> study = sweep("A red fox in {{style}}", style=["ink", "oil"], quality="low")
    >>> study.result().outcomes
    {'done': 2}
    """

    def __init__(self) -> None:
        raise TypeError("sweep() makes sweeps: study = sweep('A {{animal}}', animal=['fox', 'otter'])")

    plan: Plan
    """What it was about to do."""
    _lock: threading.Lock
    _process: int

    def __repr__(self) -> str:
        return f"<Sweep {self.status}: {self._count_words}>"

    @property
    def status(self) -> str:
        """`planned`, `running`, `paused`, `cancelled` or `done`: nothing more comes by itself."""
        if self._is_over:
            return "cancelled" if self._unwanted else "done"
        if not self._started:
            return "planned" if any(not cell.has_ended for cell in self) else "done"
        return "paused" if self._is_paused else "running"

    def start(self) -> Sweep:
        """Start what is left to make; return the sweep. One that runs goes on as it is.

        Raises:
            InvalidRequestError: another process makes it, or another sweep of this one.
        """
        self._refuse_foreign()
        with self._lock:
            if self._started and not (self._is_over and any(cell.outcome == "queued" for cell in self)):
                return self  # what has ended stays as it is until `retry`
            self._own()
            is_paused = self._is_paused
            self._begin_anew()
            self._started, self._is_paused = True, is_paused
        from ..jobs import event_loop, process_end

        process_end.watch(self)
        event_loop.get_loop().call_soon_threadsafe(self._begin)
        return self

    def run(self, *, on: Any) -> Sweep:
        """Make what is left on a cluster, and return the sweep, which runs; `retry` makes the rest there as well.

        Each request is claimed in the archive's folder before it is sent, which all workers have to see: whatever dies, no
        image is asked for twice, and what may have been billed is told. This process keeps the budget and the pace; so many
        requests run at the same time as `session.concurrency` says, on each worker.

        Args:
            on: your `dask.distributed.Client`, which stays yours. Dask comes with `gradient-notebook[dask]`.

        Raises:
            InvalidRequestError: Dask is not installed, the client is closed, a worker lacks something that it needs, another
                process makes the sweep, or the session keeps no archive. Nothing is sent then.

        >>> from gradient_notebook import sweep
        >>> study = sweep("A red fox in {{style}}", style=["ink", "oil"], quality="low", start=False)
        >>> study.run(on="a cluster")
        Traceback (most recent call last):
            ...
        gradient_notebook.InvalidRequestError: on=str: expected a dask.distributed.Client...
        """
        started: Sweep = hook("run_sweep")(self, on)
        return started

    def _find_settings(self) -> None:
        """Have the settings with which requests are sent."""

    def detach(self) -> Sweep:
        """Have it made by a process of its own, which outlives this one; return it as `attach` does.

        Raises:
            InvalidRequestError: it has been started, another process makes it, or the session keeps no archive.
        """
        detached: Sweep = hook("detach_sweep")(self)
        return detached

    @staticmethod
    def attach(run: str, *, settings: Settings | None = None) -> Sweep:
        """Return a run of the archive, whatever process makes it: it fills by itself, and is paused and cancelled as usual.

        Where no process makes it any more, it shows what has come of it; `start` and `detach` make what is left.

        Args:
            run: its id, or the beginning of it; `sweeps` lists them.
            settings: for `start` and `detach`, as `sweep` takes them.

        Raises:
            InvalidRequestError: there is no such run, or more than one, or the session keeps no archive.
        """
        attached: Sweep = hook("attach_sweep")(run, settings)
        return attached

    def done(self) -> bool:
        """Whether it runs no more: all cells have ended, or it was cancelled, or has not been started."""
        self._refuse_foreign()
        return self._is_over or not self._started

    def cancelled(self) -> bool:
        """Whether it ended because somebody cancelled it."""
        return self._is_over and self._unwanted

    def cancel(self) -> bool:
        """Stop: hang up on what runs, and send nothing more. Return whether there was anything to cancel.

        What has been sent may be billed; what has finished stays.
        """
        if self.done():
            return False
        from ..jobs import event_loop

        self._unwanted = True
        event_loop.get_loop().call_soon_threadsafe(self._stop)
        return True

    def pause(self) -> Sweep:
        """Send nothing more for now, and return the sweep; what has been sent comes to its end."""
        self._is_paused = True
        self._wake()
        return self

    def resume(self) -> Sweep:
        """Go on after `pause`, and return the sweep."""
        self._is_paused = False
        self._wake()
        return self

    def retry(self, *, unknown: bool = False) -> Sweep:
        """Make again what failed or was cancelled, and return the sweep, which runs; `notes` says what is not made again.

        What was refused would be refused again. What may have been billed is made again only if you say so.

        Args:
            unknown: also make what was sent and gave no image, though it may have been billed.

        Raises:
            InvalidRequestError: it still runs.
        """
        if not self.done():
            raise InvalidRequestError("The sweep still runs", "Wait for it, or cancel it, and retry then.", sent=None)
        refused = [cell for cell in self if cell.outcome == "refused"]
        lacking = [cell for cell in self if cell.outcome in ("failed", "cancelled", "unknown")]
        perhaps_billed = [cell for cell in lacking if cell._may_be_billed and not unknown]
        for cell in lacking:
            if unknown or not cell._may_be_billed:
                cell._reset()
        self._is_paused = False
        self.start()
        self.notes = [f"{len(refused):,} refused, not made again: change their prompts."] if refused else []
        if perhaps_billed:
            count = len(perhaps_billed)
            self.notes.append(
                f"{count:,} not made again, since they may have been billed: retry(unknown=True) makes them."
            )
        return self

    def result(self, timeout: float | None = None) -> Sweep:
        """Wait until it has ended, and return the sweep itself: cells that failed say why. Interrupting cancels it.

        Args:
            timeout: seconds; without an end unless given.

        Raises:
            TimeoutError: it takes longer; it goes on.
        """
        self._start_to_wait()
        if not self.done():
            with hook("watch_sweep")(self):
                self._wait(timeout)
        return self

    def _wait(self, timeout: float | None = None) -> None:
        """Wait until it has ended, and show nothing meanwhile."""
        self._start_to_wait()
        if self.done():
            return
        from ..jobs import event_loop

        try:
            with event_loop.interrupts_told():
                event_loop.wait(self._ended, timeout)
        except TimeoutError:
            raise TimeoutError(f"The sweep has not ended after {timeout:g} s; it goes on.") from None
        except BaseException:
            self._give_up()
            raise

    def __await__(self) -> Generator[Any, None, Sweep]:
        yield from self._result_async().__await__()
        return self

    async def _result_async(self) -> None:
        self._start_to_wait()
        if not self.done():
            with hook("watch_sweep")(self):
                await self._wait_async()

    async def _wait_async(self) -> None:
        """Do what `_wait` does, where it can be awaited."""
        self._start_to_wait()
        if self.done():
            return
        from ..jobs import event_loop

        try:
            await event_loop.wait_async(self._ended)
        except BaseException:
            self._give_up()
            raise

    def _give_up(self) -> None:
        """Nobody waits for it any more."""
        self.cancel()

    def _start_to_wait(self) -> None:
        """Start what has not been started: whoever waits for it wants it."""
        self._refuse_foreign()
        if not self._started:
            self.start()

    @property
    def elapsed_s(self) -> float:
        """Seconds since it was started, until its end."""
        if not self._started:
            return 0.0
        return (time.monotonic() if self._ended_s is None else self._ended_s) - self._started_s

    @property
    def left_s(self) -> float | None:
        """Seconds that it will take yet, about, by what has come so far; None where nothing has."""
        left = sum(not cell.has_ended for cell in self)
        return self.elapsed_s / self._made * left if self._made and self._started else None

    def _refuse_foreign(self) -> None:
        if self._process != os.getpid() and self._started and not self._is_over:
            what = f"This sweep belongs to process {self._process}, which this one ({os.getpid()}) was forked from."
            raise ForkedError(what, "Wait for it there.")
