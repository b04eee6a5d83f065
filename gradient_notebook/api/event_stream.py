"""The events of an answer, one after the other: of one request, or of n at once. Knows no socket."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import NoReturn, Protocol, Self

from .decoders import ErrorMaker, Mask, ResponseDecoder, StreamDecoder
from .errors import (
    APIConnectionError,
    GradientNotebookError,
    InvalidResponseError,
    StreamInterruptedError,
    without_frames,
)
from .events import ImageGenPartialImageEvent, ImageGenStreamEvent
from .headers import request_id_of
from .params import ImageGenerateParams
from .sdk import HTTPAnswer

DECODERS: Mapping[str, type[ResponseDecoder | StreamDecoder]] = {
    "application/json": ResponseDecoder,
    "text/event-stream": StreamDecoder,
}


class Body(Protocol):
    """The body of an answer: `read` gives the next bytes, or None at its end."""

    headers: Mapping[str, str]

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


class EventStream(_AsyncClosing):
    """An asynchronous iterator of the events of one answer. Closing or cancelling it hangs up."""

    def __init__(self, body: Body, make_error: ErrorMaker, image_index: int = 0, masked: Mask | None = None) -> None:
        self.headers: Mapping[str, str] = body.headers
        self.request_id = request_id_of(body.headers)
        self._body = body
        decoder = DECODERS[content_type(body.headers)]
        self._decoder = decoder(make_error, masked) if masked else decoder(make_error)
        self._image_index = image_index
        self._ready: deque[ImageGenStreamEvent] = deque()
        self._partials = self._finished = 0
        self._over = False
        self._failure: GradientNotebookError | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ImageGenStreamEvent:
        try:
            while not self._ready:
                if self._over:
                    raise self._end()
                await self._receive()
        except BaseException:
            await self.aclose()
            raise
        return self._counted(self._ready.popleft())

    @property
    def response(self) -> HTTPAnswer:
        """The answer's `status_code` and `headers`."""
        return HTTPAnswer(200, self.headers)

    def arrived(self) -> Iterator[ImageGenStreamEvent]:
        """Yield the events that are here already, and that nobody has taken."""
        while self._ready:
            yield self._counted(self._ready.popleft())

    async def aclose(self) -> None:
        """Close the connection."""
        self._over = True
        await self._body.aclose()

    close = aclose

    async def _receive(self) -> None:
        """Take the next bytes. The events that they complete are kept even where they end in an error."""
        try:
            chunk = await self._body.read()
        except APIConnectionError as error:
            chunk, self._failure = None, error  # what has come may be a whole image all the same
        self._over = chunk is None
        try:
            # A deque takes from a generator one by one: what came before an error stays. A list made first loses it.
            self._ready.extend(self._decoder.close() if chunk is None else self._decoder.feed(chunk))
        except GradientNotebookError as error:
            self._over = True
            if self._failure is None or not isinstance(
                error, InvalidResponseError
            ):  # half an answer is no wrong answer
                self._failure = without_frames(error)  # they hold what came, and some services repeat the key

    def _counted(self, event: ImageGenStreamEvent) -> ImageGenStreamEvent:
        # In a stream no event has an index: what comes after a finished image belongs to the next. In an answer each
        # image has one, and where a broken one is left out, those after it keep their places.
        index = self._image_index + max(event.image_index, self._finished)
        if isinstance(event, ImageGenPartialImageEvent):
            self._partials += 1
        else:
            self._finished += 1
        return dataclasses.replace(event, image_index=index) if index else event

    def _end(self) -> Exception:
        failure = self._failure
        if failure is not None and not isinstance(failure, APIConnectionError):
            failure.request_id = failure.request_id or self.request_id
            return failure
        if self._finished:  # the image is here: how the connection ended after it does not matter
            return StopAsyncIteration()
        seen = f"{self._partials} partial image{'' if self._partials == 1 else 's'}"
        what = f"The stream ended after {seen}, before the finished image."
        broken = StreamInterruptedError(what, partials_seen=self._partials, request_id=self.request_id)
        broken.__cause__ = failure
        return broken


def requests_of(params: ImageGenerateParams) -> list[tuple[ImageGenerateParams, int]]:
    """Return the requests that make n images, each with the index of its first image.

    The service streams one image a request, so n streamed images are n requests; otherwise it is one for all.
    """
    if not params.stream or params.n == 1:
        return [(params, 0)]
    one = params.replace(n=1)
    return [(one, index) for index in range(params.n)]


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
