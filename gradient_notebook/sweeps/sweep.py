"""Sweep: many jobs as one, which runs, is watched, waited for, paused and cancelled; and what came of it as a table."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import hashlib
import logging
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Generator, Sequence
from typing import Any, TypeVar

from ..api.credentials import refuse_key_in
from ..api.errors import (
    AuthenticationError,
    BudgetExceededError,
    ForkedError,
    InvalidRequestError,
    JobCancelledError,
    PermissionDeniedError,
)
from ..api.identity import identity
from ..api.models import DEFAULT_MODEL
from ..api.params import ImageGenerateParams
from ..api.settings import Settings
from ..display_hooks import hook
from ..jobs.job import Job, new_job
from ..jobs.recorder import Part
from ..jobs.reuse import Reuse
from ..session import session
from ..storage import clock, runners
from ..storage.archive import Archive
from ..storage.locks import Lock
from ..storage.owner import is_running
from ..storage.record import ImageRecord
from ..storage.runs import Run, images_of, newest_run, put_run, runs
from .axes import Axes
from .cell import Cell
from .cells import Cells
from .owning import Obedience, is_of_its_own, own
from .plan import Plan, plan_of

_logger = logging.getLogger("gradient_notebook")

Observer = Callable[["Sweep", Collection[int]], None]
"""Called with the sweep and the cells that have changed, by their indices."""

_LONGEST_WAIT_S = 7200.0
"""For the hourly limit of an account to pass: a sweep has time, and nothing of it has been sent (seconds)."""
_MOST_RETRIES = 100
_OF_ALL = (AuthenticationError, PermissionDeniedError)
"""What ends one request so ends all of them."""
_AHEAD = 2
"""Jobs that wait for a place beside those that hold one, so that none stands empty."""


Kind = TypeVar("Kind", bound="Sweep")


def new_sweep(axes: Axes, settings: Settings, archive: Archive | None, *, fresh: bool = False) -> Sweep:
    """Return a sweep of which nothing runs yet: it knows what the archive has of it.

    Raises:
        InvalidRequestError: a cell that cannot be sent; it is named by its labels.
    """
    # From now on it says which model it is, whatever another process has for its default.
    model = {"model": DEFAULT_MODEL, **session.with_model({})}
    return sweep_of(Sweep, dataclasses.replace(axes, fixed={**model, **axes.fixed}), settings, archive, fresh=fresh)


def sweep_of(
    kind: type[Kind],
    axes: Axes,
    settings: Settings,
    archive: Archive | None,
    *,
    fresh: bool = False,
    run: Run | None = None,
) -> Kind:
    """Return a sweep, of a run that there is already if it is given.

    Raises:
        InvalidRequestError: a cell that cannot be sent; it is named by its labels.
    """
    made = kind.__new__(kind)
    made._settings, made._archive = settings, archive
    for name, kept in axes.as_json().items():
        refuse_key_in({name: repr(kept)}, settings.key)  # labels and whole tables are kept, and shown
    Cells.__init__(made, _checked(axes, settings, archive), axes)
    digest = hashlib.sha256("".join(cell.identity for cell in made).encode()).hexdigest()[:32]
    made.notes = []
    made._run = run or _run_of(made, digest, fresh=fresh)
    if made._run.digest != digest:
        what = f"Run {made._run.id} was planned by another version of gradient_notebook"
        raise InvalidRequestError(what, "The same sweep(...) again makes what is missing.", sent=False)
    made._ownership, made._requests = None, 0
    made._take_kept()
    made._begin_anew()
    made._observers, made._lock = [], threading.Lock()
    made._process = os.getpid()
    made.plan = plan_of(made._cells, archive, billed=settings.is_billed)
    return made


def _checked(axes: Axes, settings: Settings, archive: Archive | None) -> list[Cell]:
    """Return the cells; each of them could be sent."""
    cells: list[Cell] = []
    numbers: Counter[str] = Counter()
    for index, case in enumerate(axes.cases()):
        try:
            params = ImageGenerateParams.of({"prompt": case.prompt, **session.with_model(case.values)})
        except InvalidRequestError as error:
            told = ", ".join(f"{name}={label!r}" for name, label in case.labels.items())
            error.summary = f"{error.summary} (cell {index}{f': {told}' if told else ''})"
            error.sent = False
            raise
        if params.n != 1:
            raise InvalidRequestError(
                "n can't be given in extra", "Use repeat=3 to make several.", param="n", sent=False
            )
        cell = Cell(index, case.labels, params, identity(params, settings.known_as), archive)
        cell._number, numbers[cell.identity] = numbers[cell.identity], numbers[cell.identity] + 1
        cells.append(cell)
    return cells


def _run_of(sweep: Sweep, digest: str, *, fresh: bool) -> Run:
    before = None
    if sweep._archive and not fresh:
        with contextlib.suppress(OSError):
            before = newest_run(sweep._archive.ledger, digest)
    if before:
        return before
    values: dict[str, Any] = {"started_at": clock.now(), "fresh": fresh, "service": sweep._settings.known_as}
    return Run(id=os.urandom(6).hex(), digest=digest, plan=sweep._axes.as_json(), **values)


class Sweep(Cells):
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
    _settings: Settings
    _archive: Archive | None
    _run: Run
    _ownership: Lock | None
    _requests: int
    """How many its run had made when it was looked last what there is of it."""
    _observers: list[Observer]
    _lock: threading.Lock
    _process: int
    _jobs: dict[int, Job]
    _queue: deque[Cell]
    _is_paused: bool
    _unwanted: bool
    _is_draining: bool
    _started: bool
    _is_over: bool
    _started_s: float
    _ended_s: float | None
    _ended: concurrent.futures.Future[None]
    _made: int
    notes: list[str]
    """What is worth knowing beside the cells: what was not made again, and why; what could not be kept."""

    @property
    def id(self) -> str:
        """The id of its run in the ledger."""
        return self._run.id

    def __repr__(self) -> str:
        return f"<Sweep {self.status}: {self._count_words}>"

    def _repr_mimebundle_(self, **_: Any) -> Any:
        """It shows itself where a front end asks for one output."""
        return hook("show_sweep")(self)

    def _ipython_display_(self) -> None:
        """It shows itself: a grid, live while it runs, and what stays in a notebook in its place."""
        hook("display_sweep")(self)

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
            from ..jobs import event_loop

            hook("watch_sweep")(self)
            try:
                with event_loop.interrupts_told():
                    event_loop.wait(self._ended, timeout)
            except TimeoutError:
                raise TimeoutError(f"The sweep has not ended after {timeout:g} s; it goes on.") from None
            except BaseException:
                self._give_up()
                raise
        return self

    def __await__(self) -> Generator[Any, None, Sweep]:
        yield from self._wait_async().__await__()
        return self

    async def _wait_async(self) -> None:
        self._start_to_wait()
        if self.done():
            return
        from ..jobs import event_loop

        hook("watch_sweep")(self)
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

    def _observe(self, observer: Observer) -> None:
        """Call `observer(sweep, indices)` after changes, from a thread of the package. It must not wait for the sweep."""
        self._observers.append(observer)

    def _marked(self, changed: Sequence[int]) -> None:
        for observer in list(self._observers):
            self._tell_one(observer, changed)

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

    # How it runs

    def _refuse_foreign(self) -> None:
        if self._process != os.getpid() and self._started and not self._is_over:
            what = f"This sweep belongs to process {self._process}, which this one ({os.getpid()}) was forked from."
            raise ForkedError(what, "Wait for it there.")

    def _own(self) -> None:
        """Take the run, so that nobody else makes it, and see what others have made of it. Raises InvalidRequestError."""
        if self._archive is None:
            return
        try:
            self._join()
            self._ownership = own(self._archive, self.id)
            if runners.count_of(self._archive.ledger, self.id) != self._requests:
                self._take_kept()
        except OSError as error:
            self.notes.append(f"The archive cannot be written ({error}): nobody else sees that this runs.")

    def _join(self) -> None:
        """Have this be the run that somebody has begun since it was planned, if it is of the same. Raises OSError."""
        if self._archive is None or self._run.fresh or runs(self._archive.ledger, "WHERE id = ?", self.id):
            return
        self._run = newest_run(self._archive.ledger, self._run.digest) or self._run

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

    def _take_kept(self) -> None:
        """Note what the archive has: finished images first, and then what came instead in this run."""
        if self._archive is None:
            return
        try:
            self._archive.adopt()
            self._requests = runners.count_of(self._archive.ledger, self.id)
            since = self._run.started_at if self._run.fresh else 0.0
            kept = images_of(self._archive.ledger, [cell.identity for cell in self], since)
        except OSError as error:
            self.notes.append(f"The archive cannot be read ({error}): all cells are made.")
            return
        answers = {same: deque(one for one in found if self._is_whole(one[1])) for same, found in kept.items()}
        others = {
            same: deque(one for one in found if one[1].outcome != "done" and one[0].run == self.id)
            for same, found in kept.items()
        }
        for cell in self:
            if answers.get(cell.identity):
                cell._take_kept(*answers[cell.identity].popleft())
                cell.reused = True
            elif others.get(cell.identity):
                record, image = others[cell.identity].pop()
                if image.outcome in ("refused", "unknown") or image.may_be_billed:  # anything else may be made
                    cell._take_kept(record, image)
                    if is_running(record.owner, record.started_at):
                        cell.error = "Another process is making it."

    def _is_whole(self, image: ImageRecord) -> bool:
        if self._archive is None or not image.file or image.is_partial or image.outcome != "done":
            return False
        try:  # its hash is looked at when it is opened: of a thousand images that takes long
            return (self._archive.originals / image.file).stat().st_size == image.byte_count
        except OSError:
            return False

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
                obedience = Obedience(self, self._archive)
            except Exception as error:  # noqa: BLE001 - a bug of ours, too: whoever waits must not wait for ever
                self.notes.append(f"The run could not be recorded ({error}): it cannot be continued.")
        obeying = asyncio.ensure_future(obedience.obey()) if obedience else None
        teller = asyncio.ensure_future(self._tell_changes())
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
        finally:
            if obeying:
                obeying.cancel()
            await self._end(teller, obedience)

    def _record_run(self, archive: Archive) -> None:
        put_run(archive.ledger, self._run)
        if not self._queue and runners.runners(archive.ledger, self.id):
            return  # others were quicker, and it stays theirs
        done = sum(cell.outcome == "done" for cell in self)
        runners.begin(archive.ledger, self.id, is_detached=is_of_its_own(), done=done)

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
        process_end.forget(self)

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
        self.notes = [note for note in self.notes if why not in note]
        self.notes += [f"{self._not_made:,} not made: {why} {then}"] if self._not_made else []

    def _made_meanwhile(self, cell: Cell) -> Reuse | bool:
        """Return what serves a cell that somebody has made since it was planned; a fresh run makes all again."""
        if self._archive is None or self._run.fresh:
            return False
        return Reuse(self._archive, cell.identity, cell._number, is_asked=False)

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

    def _job_changed(self, cell: Cell) -> Callable[[Job], None]:
        from ..jobs import event_loop

        def changed(job: Job) -> None:
            if not job.done():
                cell.outcome = job.status
                event_loop.get_loop().call_soon_threadsafe(self._changed, cell)

        return changed

    def _changed(self, cell: Cell) -> None:
        self._dirty.add(cell.index)
        self._told.set()

    async def _tell_changes(self) -> None:
        """Tell the observers, on a thread: changes that come while they are busy are told together."""
        from ..jobs.threads import in_a_thread

        is_over = False
        while not is_over:
            await self._told.wait()
            self._told.clear()
            is_over = self._is_over  # before they are told: they hear of the end itself, too
            changed, self._dirty = self._dirty, set()
            for observer in list(self._observers):
                await in_a_thread(self._tell_one, observer, changed)

    def _tell_one(self, observer: Observer, changed: Collection[int]) -> None:
        try:
            observer(self, changed)
        except Exception:
            _logger.exception("An observer of %r failed", self)
