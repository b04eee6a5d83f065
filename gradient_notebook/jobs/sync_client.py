"""`Client`: the client, synchronously. A thin layer over the package's event loop, not a second client."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal, Never, Self, Unpack, overload

from ..api.client import AsyncClient, RawResponse
from ..api.errors import ForkedError
from ..api.event_stream import EventStream, MergedStream
from ..api.events import ImageGenerateResponse, ImageGenStreamEvent, Model, ModelListResponse
from ..api.options import CallOptions, with_parameters_in_sight
from ..api.sdk import IMAGES_LEFT_OUT, MODELS_LEFT_OUT, HTTPAnswer, NamesWhatToUse, WithSDKNames, refuse_arguments
from ..api.settings import Settings, Timeout
from ..session import session
from . import event_loop
from .metered import MeteredClient
from .runner import client_for


class Client(WithSDKNames):
    """The image generation API with these settings, synchronously."""

    def __init__(self, settings: Settings, *, default_headers: Mapping[str, str] | None = None) -> None:
        self.settings = settings
        self._default_headers = default_headers
        shared = client_for(settings)
        # With headers of its own it shares nothing: the package's jobs would send them, too.
        self._client = MeteredClient(settings, default_headers=default_headers) if default_headers else shared
        self.images = Images(self._client)
        self.models = Models(self._client)

    def with_options(
        self,
        *,
        timeout: float | Timeout | None = None,
        max_retries: int | None = None,
        default_headers: Mapping[str, str] | None = None,
        **others: Never,
    ) -> Self:
        """Return a client that differs in what is given.

        Args:
            timeout: seconds of silence allowed within an answer, or an `httpx.Timeout`.
            max_retries: how often a request that never reached the model is sent again; no other ever is.
            default_headers: further headers of each request, beside this client's own.
            **others: none; what else a client has, it has from its beginning.
        """
        refuse_arguments("with_options", others, "use Client(...) to make another client")
        other = copy.copy(self)
        settings = self.settings.replace(timeout=timeout, max_retries=max_retries)
        headers = {**(self._default_headers or {}), **(default_headers or {})}
        Client.__init__(other, settings, default_headers=headers)
        return other

    copy = with_options

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


class Models(NamesWhatToUse):
    """`client.models`: what the service offers."""

    _left_out: ClassVar[Mapping[str, str]] = MODELS_LEFT_OUT

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    def list(
        self,
        *,
        timeout: float | Timeout | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, Any] | None = None,
        **others: Never,
    ) -> ModelListResponse:
        """Return the models that the service offers. Free of charge.

        Args:
            timeout: seconds of silence allowed, `Settings.read_timeout_s` unless given.
            extra_headers: further headers of the request.
            extra_query: further parameters of its address.
            **others: none; all models come in one answer.

        Raises:
            APIError: what the service and the way to it cause.
        """
        refuse_arguments("list", others, "leave it out, all models come in one answer")
        asked = self._client.models.list(timeout=timeout, extra_headers=extra_headers, extra_query=extra_query)
        return event_loop.run(asked)

    def retrieve(
        self,
        model: str,
        *,
        timeout: float | Timeout | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, Any] | None = None,
    ) -> Model:
        """Return one model of those that the service offers. Free of charge.

        Args:
            model: its id.
            timeout: seconds of silence allowed, `Settings.read_timeout_s` unless given.
            extra_headers: further headers of the request.
            extra_query: further parameters of its address.

        Raises:
            NotFoundError: the service does not list it; `image_models` of the error has those that it does.
            APIError: what else the service and the way to it cause.
        """
        how: Any = {"timeout": timeout, "extra_headers": extra_headers, "extra_query": extra_query}
        return event_loop.run(self._client.models.retrieve(model, **how))


class Images(NamesWhatToUse):
    """`client.images`: `generate` makes images."""

    _left_out: ClassVar[Mapping[str, str]] = IMAGES_LEFT_OUT

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    @property
    def with_raw_response(self) -> RawImages:
        """The same methods, returning the status and the headers beside the answer."""
        return RawImages(self._client)

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
        timeout: float | Timeout | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, Any] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> ImageGenerateResponse | Stream:
        """Send one `POST /v1/images/generations`, and wait for the answer; interrupting it cancels the request.

        What may have reached the model is not sent again; what certainly has not is, after a wait, at most
        `Settings.max_retries` times and waiting `Settings.max_wait_s` seconds in all.

        Args:
            timeout: seconds of silence allowed, `Settings.read_timeout_s` unless given; or an `httpx.Timeout`.
            extra_headers: further headers of the request.
            extra_query: further parameters of its address.
            extra_body: further fields of its body; a declared parameter's name acts as if given by name.
            **options: the parameters of `ImageGenerateParams`.

        Returns:
            The answer or, with `stream=True`, an iterator of events. Streaming, n images are n requests at once, and
            `image_index` of each event says which image it is of.

        Raises:
            InvalidRequestError: a value that cannot be sent, before anything is.
            APIError: what the service and the way to it cause.
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
        """Send one request without streaming, as `Images.generate` does, and return the raw answer.

        Args:
            **options: arguments of `Images.generate`.

        Raises:
            InvalidRequestError: a value that cannot be sent; `stream=True`.
            APIError: what the service and the way to it cause.
        """
        return event_loop.run(self._client.images.with_raw_response.generate(**session.with_model(options)))


class Stream(Iterator[ImageGenStreamEvent]):
    """A plain iterator of events. Close it, or use `with`, to hang up early."""

    def __init__(self, events: EventStream | MergedStream) -> None:
        self._events = events
        self._process = os.getpid()

    @property
    def response(self) -> HTTPAnswer:
        """The answer's `status_code` and `headers`; of n > 1 streamed images there is not one answer, but n."""
        return self._events.response

    def __next__(self) -> ImageGenStreamEvent:
        if self._process != os.getpid():
            # What it read here would be missing there.
            what = f"This stream belongs to process {self._process}, which this one ({os.getpid()}) was forked from."
            raise ForkedError(what, "Read it there.")
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
        if self._process == os.getpid():
            event_loop.run(self._events.aclose())
