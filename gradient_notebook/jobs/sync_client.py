"""`Client`: the client, synchronously. A thin layer over the package's event loop, not a second client."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NoReturn, Self, Unpack, overload

from ..api.client import WITHOUT_STREAMING_RESPONSE, AsyncClient, RawResponse
from ..api.event_stream import EventStream, MergedStream
from ..api.events import ImageGenerateResponse, ImageGenStreamEvent, Model, ModelListResponse
from ..api.options import CallOptions, with_parameters_in_sight
from ..api.settings import Settings
from ..session import session
from . import event_loop
from .runner import client_for


class Client:
    """The image generation API with these settings, synchronously."""

    def __init__(self, settings: Settings, *, default_headers: Mapping[str, str] | None = None) -> None:
        self.settings = settings
        self._default_headers = default_headers
        shared = client_for(settings)
        # With headers of its own it shares nothing: the package's jobs would send them, too.
        self._client = AsyncClient(settings, default_headers=default_headers) if default_headers else shared
        self.images = Images(self._client)
        self.models = Models(self._client)

    def with_options(self, *, timeout: float | None = None, max_retries: int | None = None) -> Self:
        """Return a client with another time allowed for an answer (seconds), or another number of retries."""
        other = copy.copy(self)
        settings = self.settings.replace(timeout=timeout, max_retries=max_retries)
        Client.__init__(other, settings, default_headers=self._default_headers)
        return other

    def __repr__(self) -> str:
        return f"Client({getattr(self, 'settings', None)!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close connections of its own; those that it shares with the package's jobs stay."""
        if self._default_headers:
            event_loop.run(self._client.aclose())


class Models:
    """`client.models`."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    def list(self) -> ModelListResponse:
        """Return the models that the service offers."""
        return event_loop.run(self._client.models.list())

    def retrieve(self, model: str) -> Model:
        """Return one model of those that the service offers; raises NotFoundError where it does not."""
        return event_loop.run(self._client.models.retrieve(model))


class Images:
    """`client.images`."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    @property
    def with_raw_response(self) -> RawImages:
        """The same methods, returning the status and the headers beside the answer."""
        return RawImages(self._client)

    @property
    def with_streaming_response(self) -> NoReturn:
        """Left out: `stream=True` streams."""
        raise AttributeError(WITHOUT_STREAMING_RESPONSE)

    @overload
    def generate(
        self,
        *,
        prompt: str,
        stream: Literal[True],
        n: int | None = None,
        **options: Unpack[CallOptions],
    ) -> Stream: ...
    @overload
    def generate(
        self,
        *,
        prompt: str,
        stream: Literal[False] | None = None,
        n: int | None = None,
        **options: Unpack[CallOptions],
    ) -> ImageGenerateResponse: ...
    @with_parameters_in_sight
    def generate(
        self,
        *,
        timeout: float | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, Any] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> ImageGenerateResponse | Stream:
        """Send one request, as `AsyncClient().images.generate` does; with `stream=True` return a plain iterator.

        Arguments, what is returned and what is raised are described there. Waits; interrupting it cancels the request.
        """
        beside: dict[str, Any] = {
            "timeout": timeout,
            "extra_headers": extra_headers,
            "extra_query": extra_query,
            "extra_body": extra_body,
        }
        answer = event_loop.run(self._client.images.generate(**beside, **session.with_model(options)))
        return answer if isinstance(answer, ImageGenerateResponse) else Stream(answer)


class RawImages:
    """`client.images.with_raw_response`."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    def generate(self, **options: Any) -> RawResponse:
        """Send one request without streaming, as `Images.generate` does."""
        return event_loop.run(self._client.images.with_raw_response.generate(**session.with_model(options)))


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
