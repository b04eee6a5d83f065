"""The work of a job: its requests, and the images of their answers, each on disk before it is opened."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from ..api import bounds
from ..api.errors import APIError, GradientNotebookError, InvalidResponseError
from ..api.event_stream import requests_of
from ..api.events import ImageGenCompletedEvent, ImageGenPartialImageEvent
from ..api.params import ImageGenerateParams
from ..api.settings import Settings
from ..storage.forks import without_forks
from ..storage.outcome import Outcome
from .concurrency import place
from .image_slot import ImageSlot, goes_out
from .limits import limits_for
from .recorder import Recorder
from .reuse import Reuse
from .tape import Tape
from .threads import finish_despite_cancel, in_a_thread

if TYPE_CHECKING:
    from ..api.client import AsyncClient
    from ..api.retry import Wait


Slots = dict[int, ImageSlot]
"""The images of one request by the index that they were asked for with."""


class Runner:
    """Fills a job's slots; `changed` is called whenever there is something new in them.

    `is_wanted` says whether nobody has cancelled it.
    """

    def __init__(
        self,
        params: ImageGenerateParams,
        settings: Settings,
        recorder: Recorder,
        slots: list[ImageSlot],
        changed: Callable[[], None],
        *,
        is_wanted: Callable[[], bool] = lambda: True,
        reuse: Reuse | None = None,
        tape: Tape | None = None,
    ) -> None:
        self._params = params
        self._settings = settings
        self._recorder = recorder
        self._slots = slots
        self._reuse = reuse
        self._tape = tape
        self._changed = changed
        self._is_wanted = is_wanted
        self._recording: asyncio.Future[None] | None = None

    async def run(self) -> None:
        """Make n images: streaming they are n requests at once, and one that fails leaves the others alone."""
        first = await self._take_from_archive() if self._reuse and self._reuse.is_asked else 0
        async with asyncio.TaskGroup() as requests:  # cancelled, it cancels them all and lets them hang up
            for one, at in requests_of(self._params, first):
                requests.create_task(self._make(one, at))

    async def _take_from_archive(self) -> int:
        """Serve what the archive has answered before; return the index of the first image that is to be made."""
        try:
            await finish_despite_cancel(in_a_thread(self._fill))
        except Exception as error:  # noqa: BLE001 - also a bug of ours: what cannot be read is not paid for again unasked
            for slot in self._slots:
                if not slot.has_ended:
                    slot.fail(error)
        self._changed()
        return sum(slot.has_ended for slot in self._slots)

    def _fill(self) -> None:
        if self._reuse and (records := self._reuse.fill(self._slots)):
            self._recorder.stand_in(records[0])

    async def _make(self, params: ImageGenerateParams, first: int) -> None:
        """Send one request, and see to it that each of its slots ends with an image or with the reason why not."""
        mine = {index: self._slots[index] for index in range(first, first + params.n)}
        try:
            limits = limits_for(self._settings)
            async with place(self._settings.endpoint, partial(self._queue, mine), limits):
                self._advance(mine, "running")
                # Only now: until it had its place somebody else may have made the same.
                if self._reuse and not self._reuse.is_asked and await self._take_from_archive() == self._params.n:
                    return
                # The n requests start together: the first has written down what is asked for, and none is sent before.
                if self._recording is None:
                    self._recording = asyncio.ensure_future(in_a_thread(self._recorder.begin, self._slots))
                await finish_despite_cancel(self._recording)
                await self._receive(params, first, mine)
            lacking: Exception = InvalidResponseError(f"The response has fewer images than the {params.n} requested.")
        except Exception as error:  # noqa: BLE001 - also a bug of ours must not take the other slots along
            lacking = error
        left = [slot for slot in mine.values() if not slot.has_ended]
        if left and isinstance(lacking, APIError) and lacking.received:
            await finish_despite_cancel(in_a_thread(self._keep, left[0], lacking))
        for slot in left:
            slot.fail(lacking)
        if self._tape and left:
            self._tape.fail(first, lacking)
        for slot in mine.values():
            if isinstance(slot.error, GradientNotebookError):
                slot.error.is_billed = self._settings.is_billed
                if self._recorder.is_recorded:
                    slot.error.record_id = self._recorder.id
        self._changed()

    async def _receive(self, params: ImageGenerateParams, first: int, mine: Slots) -> None:
        client = client_for(self._settings)
        if not self._is_wanted():  # a cancellation takes some turns of the loop, in which nothing more is sent
            await asyncio.Event().wait()
        for index, slot in mine.items():
            slot.is_sent = True
            if self._tape:
                self._tape.begin(index)
        async with await client.images.send(params, first, waiting=partial(self._set_wait, mine)) as events:
            events.on_address = partial(self._note_address, mine)
            for slot in mine.values():
                slot.request_id = events.request_id
            try:
                async for event in events:
                    if self._tape:
                        self._tape.add(event)
                    await self._take(event, mine)
            # One answer can bring several images, all of them paid for: what has arrived is kept before the job ends.
            except asyncio.CancelledError:
                for event in events.arrived():
                    await self._take(event, mine)
                raise

    def _advance(self, mine: Slots, to: Outcome) -> None:
        for slot in mine.values():
            slot.advance(to)
        self._changed()

    def _queue(self, mine: Slots, elsewhere: int) -> None:
        if any((slot.status, slot.elsewhere) != ("queued", elsewhere) for slot in mine.values()):
            for slot in mine.values():
                slot.elsewhere = elsewhere
                if slot.status != "queued":
                    slot.advance("queued")
            self._changed()

    def _set_wait(self, mine: Slots, wait: Wait | None) -> None:
        for slot in mine.values():
            slot.wait, slot.is_sent = wait, goes_out(wait)
        self._changed()

    async def _take(self, event: ImageGenPartialImageEvent | ImageGenCompletedEvent, mine: Slots) -> None:
        if isinstance(event, ImageGenPartialImageEvent):
            slot = mine.get(event.image_index)
            if slot is None:
                return  # of an image that was not asked for, and may never come
            slot.add_partial(event.image_bytes)
        elif event.image_bytes or not event.url:
            await finish_despite_cancel(in_a_thread(self._finish, self._slot(event.image_index, mine), event))
        else:  # given up before it was fetched
            await self._note_address(mine, event.image_index, event.url)
        self._changed()

    def _slot(self, index: int, mine: Slots) -> ImageSlot:
        if index not in mine:  # more than asked for: paid for all the same
            mine[index] = ImageSlot()
            self._slots.append(mine[index])
        return mine[index]

    async def _note_address(self, mine: Slots, index: int, address: str) -> None:
        """Write down where an image is, before it is fetched from there: it is paid for, and may be lost on the way."""
        self._slot(index, mine).address = address
        await finish_despite_cancel(in_a_thread(self._recorder.note))

    def _keep(self, slot: ImageSlot, error: APIError) -> None:
        """Put on disk what came instead of an image."""
        slot.received = error.received
        self._recorder.store(slot, error.received)
        if slot.path:
            error.path, error.received = str(slot.path), b""

    def _finish(self, slot: ImageSlot, event: ImageGenCompletedEvent) -> None:
        """Put the image on disk first, then open it."""
        slot.event, slot.image_bytes, slot.address = event, event.image_bytes, event.url
        slot.byte_count = len(event.image_bytes)
        self._recorder.store(slot, event.image_bytes)
        slot.open()
        if self._slots.index(slot) >= self._params.n + bounds.MAX_EXTRA_IMAGES:
            slot.let_go()


@lru_cache(maxsize=bounds.MAX_CLIENTS)
def client_for(settings: Settings) -> AsyncClient:
    """Return the client of the process for these settings. One that is forgotten holds no connection that nobody uses."""
    with without_forks():
        from .metered import MeteredClient  # on the job's thread: a card need not wait for it

    return MeteredClient(settings=settings)
