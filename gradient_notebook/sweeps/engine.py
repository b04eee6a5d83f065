"""How a sweep runs: as many jobs at a time as there is room for, until all cells have ended or somebody stops it."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from ..api.errors import AuthenticationError, BudgetExceededError, JobCancelledError, PermissionDeniedError
from ..api.params import ImageGenerateParams
from ..api.settings import Settings
from ..jobs.job import Job, new_job
from ..jobs.recorder import Part
from ..session import session
from ..storage import runners
from ..storage.archive import Archive
from ..storage.runs import put_run
from .archived import Archived
from .cell import Cell
from .observed import Observed
from .owning import Obedience, Owned, is_of_its_own

if TYPE_CHECKING:
    from ..cluster.broker import Broker

_logger = logging.getLogger("gradient_notebook")

_LONGEST_WAIT_S = 7200.0
"""For the hourly limit of an account to pass: a sweep has time, and nothing of it has been sent (seconds)."""
_MOST_RETRIES = 100
_OF_ALL = (AuthenticationError, PermissionDeniedError)
"""What ends one request so ends all of them."""
_AHEAD = 2
"""Jobs that wait for a place beside those that hold one, so that none stands empty."""


class Engine(Observed, Archived):
    """Makes cells, on the package's event loop."""

    _broker: Broker | None
    """What has its cells made by others; without it they are made here."""
    _jobs: dict[int, Job]
    _queue: deque[Cell]
    _is_paused: bool
    _unwanted: bool
    _is_draining: bool
    _started: bool
    _started_s: float
    _ended_s: float | None
    _ended: concurrent.futures.Future[None]
    _made: int

    def _drain(self) -> None:
        """Send nothing more, and end when what has been sent has."""
        self._is_draining = True
        self._queue.clear()
        for job in list(self._jobs.values()):
            if not job._is_begun:
                job.cancel()
        if self._awake:
            self._awake.set()

    def _begin_anew(self) -> None:
        self._started = self._is_over = self._unwanted = self._is_paused = self._is_draining = False
        self._queue = deque(cell for cell in self if cell.outcome == "queued")
        self._jobs, self._made = {}, 0
        self._waits_for_budget, self._made_before = False, 0
        self._given_up: tuple[str, str] | None = None
        self._not_made = 0
        self._has_made = any(cell.outcome == "done" for cell in self)
        self._ended = concurrent.futures.Future()
        self._started_s = time.monotonic()
        self._ended_s = None
        self._dirty: set[int] = set()
        self._awake: Any = None

    def _begin(self) -> None:
        import asyncio

        self._awake, self._told = asyncio.Event(), asyncio.Event()
        self._told.set()  # so is the beginning
        self._task = asyncio.ensure_future(self._run_to_the_end())

    def _wake(self) -> None:
        from ..jobs import event_loop

        if self._started and not self._is_over:
            event_loop.get_loop().call_soon_threadsafe(self._look_again)

    def _look_again(self) -> None:
        if self._is_paused:
            for job in list(self._jobs.values()):
                if not job._is_begun:  # it waits for a place, and goes back into the queue
                    job.cancel()
        if self._awake:
            self._awake.set()
            self._told.set()  # a pause is a change that observers are told of

    def _stop(self) -> None:
        self._queue.clear()
        for job in list(self._jobs.values()):
            job.cancel()
        if self._awake:
            self._awake.set()

    async def _run_to_the_end(self) -> None:
        import asyncio

        from ..jobs.threads import in_a_thread

        obedience = None
        if self._archive:
            try:
                await in_a_thread(self._record_run, self._archive)
                obedience = Obedience(cast("Owned", self), self._archive)
            except Exception as error:  # noqa: BLE001 - a bug of ours, too: whoever waits must not wait for ever
                self.notes.append(f"The run could not be recorded ({error}): it cannot be continued.")
        obeying = asyncio.ensure_future(obedience.obey()) if obedience else None
        teller = asyncio.ensure_future(self._tell_changes())
        try:
            await (self._make_all() if self._broker is None else self._broker.make_all(self._awake))
        except Exception as error:  # a bug of ours, too: whoever waits must not wait for ever
            _logger.exception("A bug in making %r", self)
            self._send_no_more(f"{type(error).__name__}: {error}", "Then retry() makes them.")
        except asyncio.CancelledError:  # the interpreter's end
            self._unwanted = True
        finally:
            if obeying:
                obeying.cancel()
            await self._end(teller, obedience)

    async def _make_all(self) -> None:
        """Make all cells here."""
        import asyncio

        running: set[asyncio.Task[None]] = set()
        try:
            while running or (self._queue and not self._unwanted):
                self._awake.clear()
                while self._may_send(len(running)):
                    running.add(asyncio.ensure_future(self._make(self._queue.popleft())))
                awake = asyncio.ensure_future(self._awake.wait())
                done, _ = await asyncio.wait({*running, awake}, return_when=asyncio.FIRST_COMPLETED)
                awake.cancel()
                running -= done
        except asyncio.CancelledError:  # the interpreter's end: the jobs are cancelled by themselves
            self._unwanted = True
            if running:
                await asyncio.wait(running)

    def _record_run(self, archive: Archive) -> None:
        put_run(archive.ledger, self._run)
        if not self._queue and runners.runners(archive.ledger, self.id):
            return  # others were quicker, and it stays theirs
        done = sum(cell.outcome == "done" for cell in self)
        runners.begin(
            archive.ledger, self.id, is_detached=is_of_its_own(), done=done, again=[cell.index for cell in self._queue]
        )

    async def _end(self, teller: Any, obedience: Obedience | None) -> None:
        import asyncio

        from ..jobs import process_end
        from ..jobs.threads import in_a_thread

        for cell in self:
            if not cell.has_ended:
                cell.outcome, cell.sent = "cancelled", False
                self._dirty.add(cell.index)
        self._ended_s = time.monotonic()
        if self._archive:
            await in_a_thread(self._disown, self._archive, obedience)
        self._is_over = True
        self._told.set()
        await asyncio.wait({teller})
        self._ended.set_result(None)
        process_end.forget(cast("process_end.Job", self))

    def _disown(self, archive: Archive, obedience: Obedience | None) -> None:
        """Say how the run has ended, and let others have it."""
        with contextlib.suppress(OSError):
            if obedience:
                obedience.end("stopped" if self._is_draining else "cancelled" if self._unwanted else "done")
            self._requests = runners.count_of(archive.ledger, self.id)
        if self._ownership:
            self._ownership.release()
            self._ownership = None

    async def _make(self, cell: Cell) -> None:
        import asyncio

        if self._unwanted:
            return  # cancelled before it could begin
        try:
            job = new_job(
                cell.params,
                self._patient,
                self._archive,
                self._job_changed(cell),
                reuse=self._made_meanwhile(cell),
                part=Part(self.id, cell.index),
            )
            self._jobs[cell.index] = job
            job._begin()
            ended = asyncio.wrap_future(job._ended)
            await asyncio.wait({ended})
            if isinstance(refusal := job._failure, BudgetExceededError):
                self._stay_within(cell, refusal)
                return
            if not self._unwanted and isinstance(refusal, JobCancelledError) and not refusal.sent:
                # It waited for a place when the sweep was paused, or given up.
                cell._reset()
                if not self._is_draining:
                    self._queue.appendleft(cell)
                if self._given_up:
                    self._send_no_more(*self._given_up)
                return
            cell._take(job)
            self._made += 1
            self._has_made |= cell.outcome == "done"
            if isinstance(refusal, _OF_ALL):
                self._send_no_more(refusal.summary, "Then retry() makes them.")
        except Exception as error:  # a bug of ours costs its own cell
            _logger.exception("A bug in making %r", cell)
            cell.outcome, cell.error, cell.sent = "failed", f"{type(error).__name__}: {error}", None
        finally:
            self._jobs.pop(cell.index, None)
            self._changed(cell)

    def _partial_of(self, index: int) -> tuple[int, bytes] | None:
        """Return how many partial images of a cell that runs have come, and the newest; None where none has."""
        job = self._jobs.get(index)
        partials = job._slots[0].partials if job else []
        return (len(partials), partials[-1]) if partials else None

    def _may_send(self, running: int) -> bool:
        """Whether another cell may be sent beside those that run."""
        if self._waits_for_budget and running and self._made == self._made_before:
            return False  # what runs is counted at the most that it may cost: its end gives something back
        return bool(self._queue) and not self._is_paused and running < session.concurrency + _AHEAD

    def _stay_within(self, cell: Cell, refusal: BudgetExceededError) -> None:
        """Put a cell back that a budget leaves no room for; where nothing runs that could give some back, end."""
        others = len(self._jobs) - 1
        if others and not self._unwanted:
            cell._reset()
            self._queue.appendleft(cell)
            self._waits_for_budget, self._made_before = True, self._made
            return
        self._queue.appendleft(cell)
        self._send_no_more(refusal.summary, "Raise it, and retry() makes them.")

    def _send_no_more(self, why: str, then: str) -> None:
        """Give up what has not been sent: it would end in the same way."""
        self._given_up = (why, then)
        for job in self._jobs.values():
            if not job._is_begun:
                job.cancel()
        for cell in self._queue:
            cell.outcome, cell.error, cell.sent = "failed", why, False
            self._not_made += 1
            self._dirty.add(cell.index)
        self._queue.clear()
        self.notes = [note for note in self.notes if why.rstrip(".") not in note]
        # What a service says ends in a period, or does not.
        self.notes += [f"{self._not_made:,} not made: {why.rstrip('.')}. {then}"] if self._not_made else []

    @property
    def _patient(self) -> Settings:
        """The settings, with more time for waits before anything is sent: an account's limit may be hourly."""
        if not (self._settings.max_retries and self._settings.max_wait_s and self._has_made):
            return self._settings  # nobody wants to wait, or nothing shows yet that there is somebody to wait for
        return dataclasses.replace(
            self._settings,
            max_retries=max(self._settings.max_retries, _MOST_RETRIES),
            max_wait_s=max(self._settings.max_wait_s, _LONGEST_WAIT_S),
        )

    @property
    def _dashboard(self) -> str:
        """Where one sees the cluster work that makes it; empty where none does."""
        return self._broker.dashboard if self._broker and self._started and not self._is_over else ""

    def _job_changed(self, cell: Cell) -> Callable[[Job], None]:
        from ..jobs import event_loop

        def changed(job: Job) -> None:
            if not job.done():
                cell.outcome = job.status
                event_loop.get_loop().call_soon_threadsafe(self._changed, cell)

        return changed

    # As the end of the process asks of a job

    @property
    def params(self) -> ImageGenerateParams:
        """What its first cell asks for."""
        return self._cells[0].params

    @property
    def _failure(self) -> None:
        return None

    @property
    def _is_begun(self) -> bool:
        return False

    @property
    def _is_recorded(self) -> bool:
        return False
