"""The events of an answer, one after the other: of one request, or of n at once. Knows no socket."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import NoReturn, Protocol, Self

from . import bounds
from .answer_decoder import AnswerDecoder
from .errors import (
    APIConnectionError,
    APITimeoutError,
    GradientNotebookError,
    InvalidResponseError,
    NoResponseError,
    StreamInterruptedError,
    without_frames,
)
from .events import ImageGenPartialImageEvent, ImageGenStreamEvent
from .headers import request_id_of
from .params import ImageGenerateParams
from .retry import Wait
from .sdk import HTTPAnswer
from .tasks import accepted_error

Fetch = Callable[[str], Awaitable[bytes]]
"""Returns the image at an address; raises InvalidResponseError."""
AddressCallback = Callable[[int, str], Awaitable[None]]
"""Is told of an image's index and address before it is fetched from there."""


class Meter(Protocol):
    """Counts what a request costs."""

    async def reserve(self) -> None:
        """Take what the request may cost at most, before it is sent; raise an error where it may not be sent."""

    def wait(self, wait: Wait | None) -> None:
        """Know that it waits before it is sent (again), or that it does not wait any more."""

    async def count(self, event: ImageGenStreamEvent) -> None:
        """Count a finished image, which says what it cost."""

    async def end(self, error: BaseException | None) -> None:
        """Nothing more comes, because of an error if there is one."""


ACCEPTED = 202
"""The status of an answer that says that work has begun."""


class Body(Protocol):
    """The body of an answer: `read` gives the next bytes, or None at its end."""

    headers: Mapping[str, str]
    status: int
    silence_s: float
    """Seconds of silence that end it."""

    async def read(self) -> bytes | None:
        """Return the next bytes, or None at the end."""

    async def aclose(self) -> None:
        """Hang up."""


def content_type(headers: Mapping[str, str]) -> str:
    """Return the content type of an answer without its parameters."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


class _Closing(Protocol):
    async def aclose(self) -> None: ...


class _AsyncClosing:
    """Closes what it iterates over when its `async with` is left."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self: _Closing, *exc: object) -> None:
        await self.aclose()


class _CameBefore:
    """Tells what came before by a hash of its bytes, which are let go."""

    def __init__(self) -> None:
        # Python's own hash takes 0.6 ms for 3 MB, a tenth of a digest, and nobody outside of the process knows its key.
        self._seen: set[tuple[int, int]] = set()

    def has(self, data: bytes) -> bool:
        """Whether these bytes came before; from now on they have."""
        known = len(data), hash(data)
        before = known in self._seen
        self._seen.add(known)
        return before


class EventStream(_AsyncClosing):
    """An asynchronous iterator of the events of one answer. Closing or cancelling it hangs up.

    An image that is sent as an address is fetched with `fetch` before its event is given out.
    """

    def __init__(
        self,
        body: Body,
        decoder: AnswerDecoder,
        image_index: int = 0,
        fetch: Fetch | None = None,
        image_count: int = 1,
    ) -> None:
        self.headers: Mapping[str, str] = body.headers
        self.request_id = request_id_of(body.headers)
        self.on_address: AddressCallback | None = None
        self.meter: Meter | None = None
        self._body = body
        self._decoder = decoder
        self._fetch = fetch
        self._unfetched: list[InvalidResponseError] = []
        self._image_index = image_index
        self._image_count = image_count
        self._last_s: float | None = None
        self._came_before = _CameBefore()
        self._ready: deque[ImageGenStreamEvent] = deque()
        self._partials = self._finished = 0
        self._over = False
        self._failure: GradientNotebookError | None = None
        self._left_over = b""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ImageGenStreamEvent:
        try:
            while True:
                while not self._ready:
                    if self._over:
                        raise self._end()
                    await self._receive()
                found = self._ready.popleft()
                if not self._is_repeated(found) and (event := await self._with_image(self._counted(found))):
                    if self.meter and not isinstance(event, ImageGenPartialImageEvent):
                        await self.meter.count(event)
                    return event
        except BaseException as error:
            if self.meter:
                await self.meter.end(None if isinstance(error, StopAsyncIteration) else error)
            await self.aclose()
            raise

    async def _with_image(self, event: ImageGenStreamEvent) -> ImageGenStreamEvent | None:
        """Return an event with its image, from its address if that is all it has; None where it is not there."""
        if event.image_bytes or isinstance(event, ImageGenPartialImageEvent) or not event.url or not self._fetch:
            return event
        if self.on_address:
            await self.on_address(event.image_index, event.url)
        if self._finished > self._image_count + bounds.MAX_EXTRA_IMAGES:
            what = "The service sent the address of an image that nobody asked for: it was not fetched."
            self._unfetched.append(InvalidResponseError(what, address=event.url))
            return None
        try:
            return dataclasses.replace(event, image_bytes=await self._fetch(event.url))
        except InvalidResponseError as error:
            self._unfetched.append(error)  # the images after it are paid for, too
            return None

    @property
    def response(self) -> HTTPAnswer:
        """The answer's `status_code` and `headers`."""
        return HTTPAnswer(200, self.headers)

    def arrived(self) -> Iterator[ImageGenStreamEvent]:
        """Yield the events that are here already, and that nobody has taken; an image at an address without its bytes."""
        while self._ready:
            if not self._is_repeated(found := self._ready.popleft()):
                yield self._counted(found)

    async def aclose(self) -> None:
        """Close the connection."""
        self._over = True
        await self._body.aclose()
        if self.meter:
            await self.meter.end(None)

    close = aclose

    async def _receive(self) -> None:
        """Take the next bytes. The events that they complete are kept even where they end in an error."""
        try:
            chunk = await self._next_bytes()
        except (APIConnectionError, InvalidResponseError) as error:
            chunk, self._failure = None, error  # what has come may be a whole image all the same
        self._over = chunk is None
        try:
            # A deque takes from a generator one by one: what came before an error stays. A list made first loses it.
            self._ready.extend(self._decoder.close() if chunk is None else self._decoder.feed(chunk))
        except GradientNotebookError as error:
            self._over = True
            if self._failure is None or not isinstance(error, InvalidResponseError):
                self._failure = without_frames(error)  # they hold what came, and some services repeat the key
            else:  # half an answer is no wrong answer, but paid for as well
                self._left_over = error.received

    async def _next_bytes(self) -> bytes | None:
        """Return the next bytes; None at the end, which is soon where all that was asked for is here."""
        if self._finished >= bounds.MAX_IMAGES:
            return None
        if not self._has_all:
            self._last_s = None
            return await self._body.read()
        loop = asyncio.get_running_loop()
        self._last_s = self._last_s or loop.time() + bounds.MAX_AFTER_LAST_S
        try:
            # Some servers leave the connection open, and some go on talking.
            async with asyncio.timeout_at(self._last_s):
                return await self._body.read()
        except TimeoutError:
            return None

    @property
    def _has_all(self) -> bool:
        return self._finished >= self._image_count or self._decoder.is_whole(self._image_count)

    def _is_repeated(self, event: ImageGenStreamEvent) -> bool:
        """Whether an image has come before in this answer: with the same bytes it is the same."""
        if isinstance(event, ImageGenPartialImageEvent):
            return False
        what = event.image_bytes or (event.url or "").encode()
        if self._decoder.is_stream or self._finished >= self._image_count:
            return self._came_before.has(what)
        self._came_before.has(what)
        return False  # each place of an answer has its image, whether it is like another or not

    def _counted(self, event: ImageGenStreamEvent) -> ImageGenStreamEvent:
        # In a stream no event has an index: what comes after a finished image belongs to the next. In an answer each
        # image has one, and where a broken one is left out, those after it keep their places.
        index = self._image_index + max(event.image_index, self._finished)
        if isinstance(event, ImageGenPartialImageEvent):
            self._partials += 1
        else:
            self._finished += 1
            self._last_s = None  # one more that is paid for may follow
            if self._finished >= bounds.MAX_IMAGES:
                self._ready.clear()
        return dataclasses.replace(event, image_index=index) if index else event

    def _end(self) -> Exception:
        failure = self._failure
        if self._unfetched and not isinstance(failure, InvalidResponseError):
            failure = self._unfetched[0]
        if failure is not None and not isinstance(failure, APIConnectionError):
            if self._body.status == ACCEPTED and not self._finished:
                place = self.headers.get("operation-location") or self.headers.get("location", "")
                failure = accepted_error(failure, place)
            failure.request_id = failure.request_id or self.request_id
            return failure
        if self._finished:  # the image is here: how the connection ended after it does not matter
            return StopAsyncIteration()
        return self._broken(failure)

    def _broken(self, failure: APIConnectionError | None) -> StreamInterruptedError:
        """Return the error of an answer that stopped before its image was whole."""
        seen = f"after {self._partials} partial image{'' if self._partials == 1 else 's'}, before the finished image"
        how = f"The stream ended {seen}" if self._decoder.is_stream else "The answer ended before it was whole"
        broken = StreamInterruptedError(f"{how}.", partials_seen=self._partials, request_id=self.request_id)
        told = [f"Its last words: {self._decoder.last_words}"] if self._decoder.last_words else []
        if isinstance(failure, APITimeoutError):
            broken.suggest = failure.suggest
            if "wait_longer" in failure.suggest:  # silence, and not all of it taking too long
                where = seen if self._decoder.is_stream else "before the answer was whole"
                broken.summary = f"Nothing more came within {self._body.silence_s:g} s, {where}."
        elif isinstance(failure, NoResponseError) and failure.reason:
            told.append(f"What broke it: {failure.reason}.")
        broken.hint = " ".join(told)
        if not self._partials:  # of these the newest is kept, which is more than half a file
            broken.received = self._left_over or self._decoder.left_over
        broken.__cause__ = failure
        return broken


def requests_of(params: ImageGenerateParams, first: int = 0) -> list[tuple[ImageGenerateParams, int]]:
    """Return the requests that make n images, or those from the `first` on, each with the index of its first image.

    The service streams one image a request, so n streamed images are n requests; otherwise it is one for all.
    """
    left = params.n - first
    if not params.stream or left <= 1:
        return [(params.replace(n=left) if first else params, first)] if left else []
    one = params.replace(n=1)
    return [(one, index) for index in range(first, params.n)]


class MergedStream(_AsyncClosing):
    """The events of n requests of one image each, as they come; the first error is raised after the last event."""

    def __init__(self, senders: Sequence[Callable[[], Awaitable[EventStream]]]) -> None:
        # One place: a slow reader holds back all n streams, and their images do not pile up in memory.
        self._queue: asyncio.Queue[ImageGenStreamEvent | None] = asyncio.Queue(maxsize=1)
        self._errors: list[Exception] = []
        self._left = len(senders)
        self._tasks = [asyncio.create_task(self._pump(send)) for send in senders]

    @property
    def response(self) -> NoReturn:
        """Left out: there is not one answer, but n."""
        raise AttributeError("n images are streamed by n requests: use n=1, or with_raw_response without stream.")

    async def _pump(self, send: Callable[[], Awaitable[EventStream]]) -> None:
        try:
            async with await send() as stream:
                async for event in stream:
                    await self._queue.put(event)
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait have to hear of it
            self._errors.append(error)
        # Not in a `finally`: `aclose` cancels the pumps when nobody takes from the queue, and waits for their end.
        await self._queue.put(None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ImageGenStreamEvent:
        try:
            while self._left:
                if event := await self._queue.get():
                    return event
                self._left -= 1
        except asyncio.CancelledError:
            await self.aclose()
            raise
        raise self._errors.pop(0) if self._errors else StopAsyncIteration

    async def aclose(self) -> None:
        """Close the connections."""
        self._left = 0
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    close = aclose
