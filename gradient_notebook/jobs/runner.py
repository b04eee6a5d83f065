"""The work of a job: its requests, and the images of their answers, each on disk before it is opened."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from ..api.errors import GradientNotebookError, InvalidResponseError
from ..api.events import ImageGenCompletedEvent, ImageGenPartialImageEvent
from ..api.params import ImageGenerateParams
from ..api.settings import Settings
from .concurrency import get_limiter
from .image_slot import ImageSlot
from .recorder import Recorder

if TYPE_CHECKING:
    from ..api.client import AsyncClient
    from ..api.retry import Wait


class Runner:
    """Fills a job's slots; `changed` is called whenever there is something new in them."""

    def __init__(
        self,
        params: ImageGenerateParams,
        settings: Settings,
        recorder: Recorder,
        slots: list[ImageSlot],
        changed: Callable[[], None],
    ) -> None:
        self._params = params
        self._settings = settings
        self._recorder = recorder
        self._slots = slots
        self._changed = changed
        self._recording: asyncio.Future[None] | None = None

    async def run(self) -> None:
        """Make n images: streaming they are n requests at once, and one that fails leaves the others alone."""
        if not self._params.stream or self._params.n == 1:
            await self._make(self._params, 0)
            return
        one = self._params.replace(n=1)
        tasks = [asyncio.ensure_future(self._make(one, index)) for index in range(self._params.n)]
        try:
            await asyncio.gather(*tasks)
        except asyncio.CancelledError:
            await asyncio.wait(tasks)  # gather has cancelled them; let them hang up
            raise

    async def _make(self, params: ImageGenerateParams, first: int) -> None:
        """Send one request, and see to it that each of its slots ends with an image or with the reason why not."""
        mine = self._slots[first : first + params.n]
        try:
            async with get_limiter().passed(partial(self._queued, mine)):
                await self._record()
                await self._receive(params, first, mine)
            lacking: Exception = InvalidResponseError(
                f"The answer has fewer than the {params.n} images asked for.", "May have been billed."
            )
        except Exception as error:  # noqa: BLE001 - also a bug of ours must not take the other slots along
            lacking = self._with_record(error)
        for slot in mine:
            if slot.status == "running":
                slot.status, slot.error = "failed", lacking
                slot.request_id = getattr(lacking, "request_id", None) or slot.request_id
        self._changed()

    async def _record(self) -> None:
        """Write down what is asked for, before the first of it is sent."""
        if self._recording is None:
            self._recording = asyncio.ensure_future(in_a_thread(self._recorder.begin, self._slots))
        await finish_despite_cancel(self._recording)

    async def _receive(self, params: ImageGenerateParams, first: int, mine: list[ImageSlot]) -> None:
        client = client_for(self._settings)
        async with await client.images.send(params, first, waiting=partial(self._waits, mine)) as events:
            for slot in mine:
                slot.request_id = events.request_id
            try:
                async for event in events:
                    await self._take(event, first, mine)
            except asyncio.CancelledError:
                for event in events.arrived():
                    await self._take(event, first, mine)
                raise

    def _queued(self, slots: Sequence[ImageSlot], is_queued: bool) -> None:
        for slot in slots:
            slot.is_queued = is_queued
        self._changed()

    def _waits(self, slots: Sequence[ImageSlot], wait: Wait | None) -> None:
        for slot in slots:
            slot.wait = wait
        self._changed()

    def _with_record(self, error: Exception) -> Exception:
        """Say where the record of a request is that may have been billed."""
        if self._recorder.is_recorded and isinstance(error, GradientNotebookError) and error.may_be_billed:
            error.advice = f"{error.advice} Its record: %imagegen_history {self._recorder.id}".strip()
        return error

    async def _take(
        self, event: ImageGenPartialImageEvent | ImageGenCompletedEvent, first: int, mine: list[ImageSlot]
    ) -> None:
        at = event.image_index - first
        if at >= len(mine) and isinstance(event, ImageGenPartialImageEvent):
            return  # of an image that was not asked for, and may never come
        while at >= len(mine):  # more than asked for: paid for all the same
            mine.append(ImageSlot())
            self._slots.append(mine[-1])
        slot = mine[at]
        if isinstance(event, ImageGenPartialImageEvent):
            slot.add_partial(event.image_bytes)
        else:
            await finish_despite_cancel(in_a_thread(self._finish, slot, event))
        self._changed()

    def _finish(self, slot: ImageSlot, event: ImageGenCompletedEvent) -> None:
        """Put the image on disk first, then open it."""
        slot.event, slot.image_bytes = event, event.image_bytes
        self._recorder.store(slot, event.image_bytes)
        slot.open()


async def in_a_thread(work: Callable[..., None], *arguments: Any) -> None:
    """Do what waits for a disk or a front end without holding up the loop."""
    context = contextvars.copy_context()
    try:
        working = asyncio.get_running_loop().run_in_executor(None, context.run, work, *arguments)
    except RuntimeError:  # the interpreter is on its way out, and starts no more threads
        work(*arguments)
    else:
        await working


async def finish_despite_cancel(work: Awaitable[None]) -> None:
    """Finish `work` even if the task is cancelled meanwhile: it keeps what is paid for."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


@cache
def client_for(settings: Settings) -> AsyncClient:
    """Return the one client of the process for these settings: connections are kept and used again."""
    from ..api.client import AsyncClient  # on the job's thread: a card need not wait for it

    return AsyncClient(settings=settings)
