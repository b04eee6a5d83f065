"""Job: images being made, as an object that can be awaited, waited for, watched and cancelled."""

from __future__ import annotations

import concurrent.futures.thread  # loaded now: in a thread that outlives the main one it could not be any more
import logging
import os
import threading
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..api.errors import ForkedError, InvalidRequestError, JobCancelledError
from ..api.events import Usage
from ..api.identity import identity
from ..api.params import ImageGenerateParams
from ..api.settings import Settings
from ..display_hooks import hook
from ..money.cost import Cost
from ..storage.archive import Archive
from ..storage.forks import without_forks
from ..storage.outcome import Outcome, outcome_of
from ..storage.record import Record
from .image_slot import ImageSlot, open_all
from .notes import notes_on_images, notes_on_request
from .numbering import numbers
from .recorder import Part, Recorder
from .reuse import Answer, Reuse, notes_on_reuse
from .tape import Tape

if TYPE_CHECKING:
    from PIL.Image import Image

_logger = logging.getLogger("gradient_notebook")

Observer = Callable[["Job"], None]


def new_job(
    params: ImageGenerateParams,
    settings: Settings,
    archive: Archive | None = None,
    observer: Observer | None = None,
    *,
    reuse: bool | Reuse = False,
    part: Part | None = None,
    max_cost: float | None = None,
    record: Path | None = None,
) -> Job:
    """Return a job that has not begun; without an archive nothing is kept on disk, and there is nothing to reuse.

    What may cost more than `max_cost` is not sent. `record` is the file to which what comes is added.
    """
    job = Job.__new__(Job)
    job.params = params
    if reuse and archive is None:
        what = "reuse=True: this session keeps no images, so there are none to reuse"
        raise InvalidRequestError(what, suggest=("keep_history",), param="reuse")
    job._reuse = reuse if isinstance(reuse, Reuse) else None
    if reuse is True and archive:
        same = identity(params, settings.known_as)
        job._reuse = Reuse(archive, same, numbers.take(same, params.n))
    job._slots = [ImageSlot() for _ in range(params.n)]
    job._settings = settings
    job._recorder = Recorder(archive, params, settings, part, max_cost)
    job._notes_on_request = notes_on_request(params, settings.endpoint)
    job._tape = Tape(record, params) if record else None
    job._observers = [observer] if observer else []
    job._callbacks = []
    job._started_s = time.monotonic()
    job._elapsed_s = None
    job._begun = job._unwanted = job._stopping = job._cancelled = job._with_process = job._is_over = False
    job._process = os.getpid()
    job._ended = concurrent.futures.Future()
    return job


def restored_job(record: Record, answers: Sequence[Answer], settings: Settings) -> Job:
    """Return the job of a record as it was when it had ended: with these images, from the archive."""
    job = new_job(ImageGenerateParams.of(record.params), settings)
    job._slots, job._notes_on_request = [ImageSlot() for _ in answers], []
    for slot, answer in zip(job._slots, answers, strict=True):
        answer.fill(slot)
        slot.is_reused = False
    job._recorder.stand_in(record)
    job._recorder.began_s = job._started_s
    job._elapsed_s = max(0.0, record.ended_at - record.started_at) if record.ended_at else 0.0
    job._begun = job._is_over = True
    job._ended.set_result(None)
    return job


class Job:
    """Images being made in the background: `submit` starts one.

    `await job` and `job.result()` give the PIL image at full size (with n > 1 the list of those that came); interrupting
    either cancels the job, and so does `asyncio.wait_for` when it gives up. `images` and `partials` have what there is so
    far. A job belongs to the process that made it: in one that was forked from it, a job that had not ended by then is
    none to wait for or to cancel, and says so with a ForkedError.

    >>> from gradient_notebook import submit
    >>> job = submit("A red fox", quality="low", size="1024x1024")
    >>> job.result(timeout=60).size, job.done(), job.status
    ((1024, 1024), True, 'done')
    """

    def __init__(self) -> None:
        raise TypeError("submit() makes jobs: job = submit('A red fox')")

    params: ImageGenerateParams
    """What was asked for."""
    _slots: list[ImageSlot]
    _settings: Settings
    _recorder: Recorder
    _reuse: Reuse | None
    _tape: Tape | None
    _notes_on_request: list[str]
    _observers: list[Observer]
    _callbacks: list[Observer]
    _started_s: float
    _elapsed_s: float | None
    _begun: bool
    _unwanted: bool
    _stopping: bool
    _cancelled: bool
    _with_process: bool
    """Whether it was cancelled because the process ends."""
    _is_over: bool
    """Whether nobody has to wait for it any more. Not asked of `_ended`, whose lock a fork may have left closed."""
    _process: int
    _ended: concurrent.futures.Future[None]

    def __repr__(self) -> str:
        if self._is_foreign:
            return f"<Job of process {self._process}>"
        made = f"{len(self.images)} of {len(self._slots)} image{'' if len(self._slots) == 1 else 's'}"
        return f"<Job {self.status}: {made}, {self.elapsed_s:.1f} s>"

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """It shows itself: live while it runs, then as an image."""
        shown: tuple[dict[str, Any], dict[str, Any]] = hook("show_job")(self)
        return shown

    @property
    def _is_foreign(self) -> bool:
        """Whether it runs in the process that this one was forked from; what had ended by then is there as it was."""
        return self._process != os.getpid() and not self._is_over

    def _refuse_foreign(self) -> None:
        if self._is_foreign:
            what = f"This job belongs to process {self._process}, which this one ({os.getpid()}) was forked from."
            raise ForkedError(what, f"Wait for it there; its images will be in history({self.id!r})[0].")

    @property
    def id(self) -> str:
        """The id of its record in the ledger: `%imagegen_history ID` finds it."""
        return self._recorder.id

    @property
    def notes(self) -> list[str]:
        """What is worth knowing beside the images: the model may not take a value, a disk is full, more images came."""
        return [*self._advice, *self._recorder.notices]

    @property
    def _advice(self) -> list[str]:
        """The notes on the request and on what came of it: nothing has failed."""
        return [*self._notes_on_request, *notes_on_images(self.params, self._slots), *notes_on_reuse(self._slots)]

    @property
    def status(self) -> Outcome:
        """Where the job stands; it is done when it has ended with one image at least."""
        self._refuse_foreign()
        if self.done():
            return self._outcome
        left = [slot for slot in self._slots if not slot.has_ended]
        return "queued" if left and all(slot.status == "queued" for slot in left) else "running"

    @property
    def _outcome(self) -> Outcome:
        if self.images:
            return "done"
        return "cancelled" if self._cancelled else outcome_of(self.errors[0])

    @property
    def reused(self) -> bool:
        """Whether all its images come from the archive, so that nothing was sent and nothing is billed."""
        came = [slot for slot in self._slots if slot.image is not None]
        return bool(came) and all(slot.is_reused for slot in came)

    @property
    def images(self) -> list[Image]:
        """The finished images so far, in order."""
        return [slot.image for slot in self._slots if slot.image is not None]

    @property
    def partials(self) -> list[Image]:
        """All partial images so far, decoded on each access: those of the first image, then those of the next."""
        return open_all([data for slot in self._slots for data in slot.partials])

    @property
    def _newest_partials(self) -> list[Image]:
        """The newest partial image of each image that has one, decoded on each access."""
        return open_all([slot.partials[-1] for slot in self._slots if slot.partials])

    @property
    def _value(self) -> Any:
        """The image, or where several were asked for the list of those that came."""
        return self.images if self.params.n > 1 else self.images[0]

    @property
    def errors(self) -> list[Exception]:
        """Why images did not come."""
        return [slot.error for slot in self._slots if slot.error is not None]

    @property
    def usage(self) -> Usage | None:
        """Tokens used by what has finished, if the service says; of what is reused, those that it took then."""
        return self._usage_of(self._slots)

    @property
    def _billed_usage(self) -> Usage | None:
        """Tokens of what was made: what is reused is not billed again."""
        return self._usage_of([slot for slot in self._slots if not slot.is_reused])

    def _usage_of(self, slots: Sequence[ImageSlot]) -> Usage | None:
        used = [slot.event.usage for slot in slots if slot.event and slot.event.usage]
        return sum(used[1:], used[0]) if used else None

    @property
    def cost(self) -> Cost:
        """What it costs, as far as that is known by now, by the prices that held when it began."""
        return self._recorder.cost

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start, until the end."""
        return time.monotonic() - self._started_s if self._elapsed_s is None else self._elapsed_s

    @property
    def _working_s(self) -> float:
        """Seconds since the first of it was sent, until the end: without the time in which it was queued."""
        if (recorded := self._recorder.elapsed_s) is not None:
            return recorded  # in whatever way it is looked at later, it took as long
        return self.elapsed_s - max(0.0, self._recorder.began_s - self._started_s)

    def _observe(self, observer: Observer) -> None:
        """Call `observer(job)` after changes, from a thread of the package, until the job has ended.

        Changes that come while it is busy are told together. It must not wait for the job.
        """
        self._refuse_foreign()
        self._observers.append(observer)

    def cancel(self) -> bool:
        """Stop, and hang up; return whether there was anything to cancel.

        What has been sent may be billed; what has finished stays in `images`.
        """
        if self.done():
            return False
        from . import event_loop

        self._unwanted = True
        event_loop.get_loop().call_soon_threadsafe(self._stop)
        return not self.done()

    def done(self) -> bool:
        """Whether it has ended, however it did."""
        self._refuse_foreign()
        return self._elapsed_s is not None

    def cancelled(self) -> bool:
        """Whether it has ended because somebody cancelled it."""
        return self.done() and self._cancelled

    def add_done_callback(self, callback: Callable[[Job], None]) -> None:
        """Have a function called once, on a thread of the package, when the job has ended; now if it has.

        Args:
            callback: called with the job. What it raises is logged. It can't wait for the job.
        """
        self._refuse_foreign()
        # Added before looking: were it the other way round, an end in between would leave the callback uncalled.
        self._callbacks.append(callback)
        if self._is_over:
            self._run_callbacks()

    def _run_callbacks(self) -> None:
        while True:
            try:
                callback = self._callbacks.pop(0)  # the thread that ends the job may be here as well
            except IndexError:
                return
            try:
                callback(self)
            except Exception:
                _logger.exception("A callback of %r failed", self)

    def _stop(self) -> None:
        self._begin()  # what is cancelled before it has begun ends all the same, and sends nothing
        # Only once: a second cancellation would hit the clearing up after the first.
        if not self._stopping:
            self._stopping = True
            self._runner_task.cancel()

    def result(self, timeout: float | None = None) -> Any:
        """Wait, and return the PIL image, or with n > 1 the list of those that came.

        Interrupting the wait cancels the job.

        Args:
            timeout: seconds; without an end unless given.

        Raises:
            TimeoutError: it takes longer; the job goes on.
            JobCancelledError: somebody cancelled it.
            APIError: what the service and the way to it cause, if no image came.
        """
        from . import event_loop

        with event_loop.interrupts_told():  # here, too: then Ctrl-C shows the caller's line, and none of the package
            self._wait(timeout)
        return self._value_or_error()

    def exception(self, timeout: float | None = None) -> Exception | None:
        """Wait as `result` does, and return what it would raise, or None.

        Args:
            timeout: seconds; without an end unless given.

        Raises:
            TimeoutError: it takes longer; the job goes on.
        """
        from . import event_loop

        with event_loop.interrupts_told():
            self._wait(timeout)
        return self._failure

    def _wait(self, timeout: float | None = None) -> None:
        """Wait for the end, whatever it is. Interrupting cancels the job."""
        self._refuse_foreign()
        if self._is_over:
            return
        if getattr(_telling, "job", None) is self:
            msg = "An observer can't wait for the job that tells it."
            raise RuntimeError(msg)
        from . import event_loop

        try:
            with event_loop.interrupts_told():  # from here on: an interrupt may come before the wait
                self._start()
                event_loop.wait(self._ended, timeout)
        # A caller that sets a time limit may ask again; any other end of the wait means that nobody wants the images.
        except TimeoutError:
            raise TimeoutError(f"The job has not ended after {timeout:g} s; it goes on.") from None
        except BaseException:
            self.cancel()
            raise

    async def _wait_async(self) -> None:
        """Wait for the end, whatever it is. Cancelling the wait cancels the job."""
        self._refuse_foreign()
        if self._is_over:
            return
        from . import event_loop

        try:
            self._start()
            await event_loop.wait_async(self._ended)
        except BaseException:
            self.cancel()
            raise

    def __await__(self) -> Generator[Any, None, Any]:
        yield from self._wait_async().__await__()
        return self._value_or_error()

    @property
    def _is_begun(self) -> bool:
        """Whether a request of it may have gone out, and may be billed: not while it waits for its turn, or to be sent again."""
        return any(slot.is_sent for slot in self._slots)

    @property
    def _is_recorded(self) -> bool:
        return self._recorder.is_recorded

    @property
    def _failure(self) -> Exception | None:
        """Why `result` has nothing to return, once the job has ended; None where it has."""
        if self._cancelled:
            return self._cancellation(sent=any(slot.may_be_billed or slot.event for slot in self._slots))
        return None if self.images else self.errors[0]

    def _cancellation(self, *, sent: bool) -> JobCancelledError:
        who = "The process ended" if self._with_process else "Cancelled"
        return JobCancelledError(f"{who} after {self.elapsed_s:.1f} s.", sent=sent, is_billed=self._settings.is_billed)

    def _value_or_error(self) -> Any:
        if failure := self._failure:
            raise failure
        return self._value

    def _start(self) -> None:
        """Begin, if it has not begun."""
        self._refuse_foreign()
        from . import event_loop, process_end  # and asyncio with them, when the first job starts

        if not self._begun:
            # Here, and not on the loop: a script may end before the loop has heard of it.
            process_end.watch(self)
            if self.done():  # another thread was quicker
                process_end.forget(self)
        event_loop.get_loop().call_soon_threadsafe(self._begin)

    def _begin(self) -> None:
        if self._begun:
            return
        with without_forks():
            import asyncio

            from . import process_end
            from .runner import Runner

        process_end.watch(self)  # what is cancelled before it has started as well: a loop holds its tasks weakly
        self._begun = True
        self._changed = asyncio.Event()
        work = Runner(
            self.params,
            self._settings,
            self._recorder,
            self._slots,
            self._changed.set,
            is_wanted=lambda: not self._unwanted,
            reuse=self._reuse,
            tape=self._tape,
        )
        self._runner_task = asyncio.ensure_future(work.run())
        self._run = asyncio.ensure_future(self._run_to_the_end())

    async def _run_to_the_end(self) -> None:
        """See the work end, whatever becomes of it. Only the work is ever cancelled, and this at the interpreter's end."""
        import asyncio

        from . import process_end
        from .threads import in_a_thread

        teller = asyncio.ensure_future(self._tell_changes())
        try:
            # `asyncio.wait`, not `await`: it raises nothing of the work, and being cancelled does not cancel it.
            await asyncio.wait({self._runner_task})
        except asyncio.CancelledError:
            self._with_process = True
            self._stop()
            await asyncio.wait({self._runner_task})
        self._changed.set()
        await asyncio.wait({teller})
        left = [slot for slot in self._slots if not slot.has_ended]
        for slot in left:
            if self._with_process:  # nobody knows otherwise why it ended: a person who cancels does
                slot.error = self._cancellation(sent=slot.is_sent)
            slot.advance("cancelled")
        self._cancelled = bool(left)  # with nothing left, a cancellation came too late
        if self._recorder.is_begun:
            try:
                await in_a_thread(self._recorder.end, self._outcome)
            except Exception:  # a bug of ours: those who wait for the job must not wait for ever
                _logger.exception("The end of %r could not be recorded", self)
        if self._tape:
            await in_a_thread(self._write_recording, self._tape)
        # From here on `done()` is true, so that the observers show the end. Those who wait go on only after them:
        # what executes a notebook may drop what a cell shows when it has ended.
        self._elapsed_s = time.monotonic() - self._started_s
        self._log_what_nobody_sees()
        await self._tell()
        self._ended.set_result(None)
        self._is_over = True
        if self._callbacks:
            await in_a_thread(self._run_callbacks)
        process_end.forget(self)  # only now: a callback may begin another job

    def _write_recording(self, tape: Tape) -> None:
        try:
            tape.write()
        except Exception as error:  # noqa: BLE001 - also a bug of ours: those who wait must not wait for ever
            self._recorder.notices.append(f"The recording could not be written: {error}")

    async def _tell_changes(self) -> None:
        while True:
            await self._changed.wait()
            # Before telling: what changes meanwhile sets it again, and is told in the next round.
            self._changed.clear()
            if self._runner_task.done():
                return  # the end is told once, when all of it is known
            await self._tell()

    async def _tell(self) -> None:
        """Tell the observers on a thread: a slow front end must not slow the stream."""
        from .threads import in_a_thread

        for observer in self._observers:
            await in_a_thread(self._tell_one, observer)

    def _tell_one(self, observer: Observer) -> None:
        _telling.job = self
        try:
            observer(self)
        except BaseException:  # StopIteration, SystemExit and the like would end the task or the loop
            _logger.exception("An observer of %r failed", self)
        finally:
            _telling.job = None

    def _log_what_nobody_sees(self) -> None:
        """Log what is wrong beside the images, where no observer shows it and nothing raises it."""
        if self._observers:
            return
        for notice in self.notes:
            _logger.warning(notice)
        if self.images and self.errors:
            missing, asked = self.params.n - len(self.images), self.params.n
            what = f"{missing} of {asked} images" if missing > 0 else "What was sent beside what was asked for"
            _logger.warning("%s did not come: %s", what, self.errors[0])


_telling = threading.local()
