"""Job: images being made, as an object that can be awaited, waited for, watched and cancelled."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from ..api.credentials import refuse_key_in
from ..api.errors import JobCancelledError
from ..api.events import Usage
from ..api.params import ImageGenerateParams
from ..api.settings import Settings
from ..connect import discover
from ..storage.archive import Archive, get_default
from ..storage.outcome import Outcome, outcome_of
from . import event_loop
from .image_slot import ImageSlot, open_all
from .recorder import Recorder
from .runner import Runner, in_a_thread

if TYPE_CHECKING:
    from PIL.Image import Image

_logger = logging.getLogger("gradient_notebook")

Observer = Callable[["Job"], None]


class Job:
    """n images being made in the background. Made by `submit`; `archive` None keeps nothing on disk.

    `await job` and `job.result()` give the PIL image (with n > 1 the list of those that came); interrupting either
    cancels the job. `images` and `partials` have what there is so far.
    """

    def __init__(
        self,
        params: ImageGenerateParams,
        settings: Settings,
        archive: Archive | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.params = params
        self.slots = [ImageSlot() for _ in range(params.n)]
        self._settings = settings
        self._recorder = Recorder(archive, params, settings.endpoint)
        self._observers: list[Observer] = [observer] if observer else []
        self._started_s = time.monotonic()
        self._elapsed_s: float | None = None
        self._begun = self._stopping = False
        self._cancelled = False
        self.ended: concurrent.futures.Future[None] = concurrent.futures.Future()

    def __repr__(self) -> str:
        made = f"{len(self.images)} of {len(self.slots)} image{'' if len(self.slots) == 1 else 's'}"
        return f"<Job {self.status}: {made}, {self.elapsed_s:.1f} s>"

    @property
    def id(self) -> str:
        """The id of its record in the ledger: `%imagegen_history ID` finds it."""
        return self._recorder.id

    @property
    def notices(self) -> list[str]:
        """What went wrong beside the images: a disk is full."""
        return self._recorder.notices

    @property
    def status(self) -> Outcome:
        """Where the job stands; it is done when it has ended with one image at least."""
        if self.has_ended:
            return self._outcome
        left = [slot for slot in self.slots if not slot.has_ended]
        return "queued" if left and all(slot.status == "queued" for slot in left) else "running"

    @property
    def _outcome(self) -> Outcome:
        if self.images:
            return "done"
        return "cancelled" if self._cancelled else outcome_of(self.errors[0])

    @property
    def has_ended(self) -> bool:
        """Whether nothing more comes."""
        return self._elapsed_s is not None

    @property
    def images(self) -> list[Image]:
        """The finished images so far, in order."""
        return [slot.image for slot in self.slots if slot.image is not None]

    @property
    def partials(self) -> list[Image]:
        """All partial images so far, decoded anew: those of the first image, then those of the next."""
        return open_all([data for slot in self.slots for data in slot.partials])

    @property
    def newest_partials(self) -> list[Image]:
        """The newest partial image of each image that has one, decoded anew."""
        return open_all([slot.partials[-1] for slot in self.slots if slot.partials])

    @property
    def value(self) -> Any:
        """The image, or where several were asked for, or came, the list of those that are there."""
        images = self.images
        return images if self.params.n > 1 or len(images) != 1 else images[0]

    @property
    def errors(self) -> list[Exception]:
        """Why images did not come."""
        return [slot.error for slot in self.slots if slot.error is not None]

    @property
    def usage(self) -> Usage | None:
        """Tokens used by what has finished, if the service says."""
        used = [slot.event.usage for slot in self.slots if slot.event and slot.event.usage]
        return sum(used[1:], used[0]) if used else None

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start, until the end."""
        return time.monotonic() - self._started_s if self._elapsed_s is None else self._elapsed_s

    def observe(self, observer: Observer) -> None:
        """Call `observer(job)` after changes, from a thread of the package, until the job has ended.

        Changes that come while it is busy are told together. It must not wait for the job.
        """
        self._observers.append(observer)

    def cancel(self) -> None:
        """Stop, and hang up. What has been sent may be billed; what has finished stays in `images`."""
        event_loop.get_loop().call_soon_threadsafe(self._stop)

    def _stop(self) -> None:
        self._begin()  # what is cancelled before it has begun ends all the same, and sends nothing
        # Only once: a second cancellation would hit the clearing up after the first.
        if not self._stopping:
            self._stopping = True
            self._runner_task.cancel()

    def result(self) -> Any:
        """Wait, and return the PIL image, or with n > 1 the list of those that came.

        Raises what went wrong if none came. Interrupting cancels the job.
        """
        self.wait()
        return self._value_or_error()

    def wait(self) -> None:
        """Wait for the end, whatever it is. Interrupting cancels the job."""
        if getattr(_telling, "job", None) is self:
            msg = "An observer can't wait for the job that tells it."
            raise RuntimeError(msg)
        try:
            self.start()  # in here: an interrupt may come before this has returned
            event_loop.wait(self.ended)
        except BaseException:
            self.cancel()
            raise

    async def wait_async(self) -> None:
        """Wait for the end, whatever it is. Cancelling the wait cancels the job."""
        try:
            self.start()
            await event_loop.wait_async(self.ended)
        except BaseException:
            self.cancel()
            raise

    def __await__(self) -> Generator[Any, None, Any]:
        yield from self.wait_async().__await__()
        return self._value_or_error()

    @property
    def failure(self) -> Exception | None:
        """Why `result` has nothing to return, once the job has ended; None where it has."""
        if self._cancelled:
            return JobCancelledError(f"Cancelled after {self.elapsed_s:.1f} s.", sent=self._recorder.is_begun)
        return None if self.images else self.errors[0]

    def _value_or_error(self) -> Any:
        if failure := self.failure:
            raise failure
        return self.value

    def start(self) -> None:
        """Begin, if it has not begun."""
        event_loop.get_loop().call_soon_threadsafe(self._begin)

    def _begin(self) -> None:
        if self._begun:
            return
        self._begun = True
        _running.add(self)
        self._changed = asyncio.Event()
        work = Runner(self.params, self._settings, self._recorder, self.slots, self._changed.set)
        self._runner_task = asyncio.ensure_future(work.run())
        self._run = asyncio.ensure_future(self._run_to_the_end())

    async def _run_to_the_end(self) -> None:
        """See the work end, whatever becomes of it. Only the work is ever cancelled, and this at the interpreter's end."""
        teller = asyncio.ensure_future(self._tell_changes())
        try:
            await asyncio.wait({self._runner_task})
        except asyncio.CancelledError:
            self._observers.clear()  # nobody looks any more; what has come is kept all the same
            self._stop()
            await asyncio.wait({self._runner_task})
        self._changed.set()
        await asyncio.wait({teller})
        self._cancelled = self._close_slots()
        if self._recorder.is_begun:
            await self._record_end()
        self._elapsed_s = time.monotonic() - self._started_s
        self._log_what_nobody_sees()
        await self._tell()
        _running.discard(self)
        self.ended.set_result(None)

    async def _record_end(self) -> None:
        try:
            await in_a_thread(self._recorder.end, self._outcome)
        except Exception:  # a bug of ours: whoever waits for the job must not wait for ever
            _logger.exception("The end of %r could not be recorded", self)

    async def _tell_changes(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            if self._runner_task.done():
                return  # the end is told once, when all of it is known
            await self._tell()

    async def _tell(self) -> None:
        """Tell the observers on a thread: a slow front end must not slow the stream."""
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
        for notice in self.notices:
            _logger.warning(notice)
        if self.images and self.errors:
            _logger.warning("%d of %d images did not come: %s", len(self.errors), len(self.slots), self.errors[0])

    def _close_slots(self) -> bool:
        """Return whether anything was left to cancel: a cancellation can come too late."""
        left = [slot for slot in self.slots if not slot.has_ended]
        for slot in left:
            slot.advance("cancelled")
        return bool(left)


_telling = threading.local()
_running: set[Job] = set()  # a loop keeps no strong reference to its tasks


def submit(prompt: str, *, settings: Settings | None = None, **params: Any) -> Job:
    """Start making images in the background, and return at once.

    The parameters are those of `ImageGenerateParams`; `settings` say where to (`Settings.discover`). Raises
    InvalidRequestError and InvalidSettingsError before anything is sent; all else is raised by `await job` and `job.result()`.
    """
    job = _job(prompt, settings, params)
    job.start()
    return job


def generate(prompt: str, *, settings: Settings | None = None, **params: Any) -> Any:
    """Make images and return them: `submit` and `Job.result` in one.

    Works in a cell, in a script and in a thread; interrupting it cancels the request. Each image costs.
    """
    return _job(prompt, settings, params).result()


def _job(prompt: str, settings: Settings | None, params: dict[str, Any]) -> Job:
    checked, where = ImageGenerateParams.of({"prompt": prompt, **params}), settings or discover()
    refuse_key_in(checked.given(), where.key)
    return Job(checked, where, get_default())
