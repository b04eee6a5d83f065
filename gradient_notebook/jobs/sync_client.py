"""`Client`: the client, synchronously. A thin face over the package's event_loop, not a second client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, Self, overload

from ..api.client import AsyncClient
from ..api.event_stream import EventStream, MergedStream
from ..api.events import ImageGenerateResponse, ImageGenStreamEvent, ModelListResponse
from ..api.settings import Settings
from . import event_loop
from .runner import client_for


class Client:
    """The image generation API with these settings, synchronously."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._client = client_for(self.settings)
        self.images = Images(self._client)
        self.models = Models(self._client)

    def __repr__(self) -> str:
        return f"Client({getattr(self, 'settings', None)!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Do nothing: the connections are the package's, and other jobs may be using them."""


class Models:
    """`client.models`."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    def list(self) -> ModelListResponse:
        """Return the models that the service offers."""
        return event_loop.run(self._client.models.list())


class Images:
    """`client.images`."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    @overload
    def generate(self, *, stream: Literal[True], **params: Any) -> Stream: ...
    @overload
    def generate(self, *, stream: Literal[False] | None = None, **params: Any) -> ImageGenerateResponse: ...
    def generate(self, **params: Any) -> ImageGenerateResponse | Stream:
        """Send one request, as `AsyncClient().images.generate` does; with `stream=True` return a plain iterator."""
        answer = event_loop.run(self._client.images.generate(**params))
        return answer if isinstance(answer, ImageGenerateResponse) else Stream(answer)


class Stream(Iterator[ImageGenStreamEvent]):
    """A plain iterator of events. Close it, or use `with`, to hang up early."""

    def __init__(self, events: EventStream | MergedStream) -> None:
        self._events = events

    def __next__(self) -> ImageGenStreamEvent:
        event = event_loop.run(anext(self._events, None))  # StopAsyncIteration does not pass a future
        if event is None:
            raise StopIteration
        return event

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        event_loop.run(self._events.aclose())
