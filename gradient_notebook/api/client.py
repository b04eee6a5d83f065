"""`AsyncClient().images.generate(**params)` and `.models.list()`: the documented methods over httpx.

Nothing is ever sent twice: a request that may have reached the model may have been billed.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from typing import Any, Literal, Self, overload

import httpx

from .errors import (
    ApiError,
    ConnectionFailed,
    GradientNotebookError,
    InvalidResponse,
    InvalidSettings,
    NoAnswer,
    NotFound,
    Unauthorized,
    api_error,
)
from .events import (
    ImageGenCompletedEvent,
    ImageGenerateResponse,
    Model,
    ModelListResponse,
    texts,
    whole_numbers,
)
from .params import ImageGenerateParams
from .settings import Key, Settings
from .streams import DECODERS, EventStream, MergedStream, content_type


@cache
def _ssl_context() -> ssl.SSLContext:
    """The one of the process: loading the authorities takes 14 ms."""
    return httpx.create_ssl_context()


class _KeyAuth(httpx.Auth):
    """Puts the key into the header at the last moment, where httpx masks it."""

    def __init__(self, key: Key) -> None:
        self._key = key

    def auth_flow(self, request: httpx.Request) -> Any:
        request.headers["Authorization"] = f"Bearer {self._key.reveal()}"
        yield request


class AsyncClient:
    """The image generation API, asynchronously.

    Without arguments, key and endpoint come from the environment (`Settings.discover`). `access_token` is another
    name for the key, so that code for the SDK moves over. Usable from any event loop.
    """

    def __init__(
        self,
        *,
        model_access_key: str | None = None,
        access_token: str | None = None,
        inference_endpoint: str | None = None,
        settings: Settings | None = None,
    ) -> None:
        key = access_token if model_access_key is None else model_access_key
        self.settings = settings or Settings.discover(key=key, endpoint=inference_endpoint)
        self.images = Images(self)
        self.models = Models(self)
        # A connection belongs to the loop that opened it.
        self._by_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncClient]
        self._by_loop = weakref.WeakKeyDictionary()

    def __repr__(self) -> str:
        return f"AsyncClient({getattr(self, 'settings', None)!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections of this loop."""
        if http := self._by_loop.pop(asyncio.get_running_loop(), None):
            await http.aclose()

    @property
    def _http(self) -> httpx.AsyncClient:
        loop = asyncio.get_running_loop()
        if loop not in self._by_loop:
            self._by_loop[loop] = self._connected()
        return self._by_loop[loop]

    def _connected(self) -> httpx.AsyncClient:
        settings = self.settings
        try:
            return httpx.AsyncClient(
                auth=_KeyAuth(settings.key),
                # Loopback is never behind a proxy, and what is wrong with proxies and authorities is not its concern.
                trust_env=not settings.is_loopback,
                verify=settings.endpoint.startswith("https:") and _ssl_context(),
                timeout=httpx.Timeout(settings.read_timeout_s, connect=settings.connect_timeout_s),
                limits=httpx.Limits(max_connections=None),
            )
        except (OSError, ValueError, ImportError, httpx.InvalidURL) as error:
            what = f"The proxy or the certificates of the environment cannot be used: {error}"
            raise InvalidSettings(what, "Look at HTTPS_PROXY, ALL_PROXY, NO_PROXY and SSL_CERT_FILE.") from error

    async def open(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> httpx.Response:
        """Send a request once, and return its answer: the status is checked, the body still to come."""
        content = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        request = self._http.build_request(method, self.settings.endpoint + path, content=content, headers=headers)
        with transport_errors(self.settings):
            response = await self._http.send(request, stream=True)
            if not response.is_success:
                await response.aread()
                raise self._refused(response)
        return response

    def _refused(self, response: httpx.Response) -> ApiError:
        try:
            answer = response.json()
        except ValueError:
            answer = {}
        body = answer if isinstance(answer, dict) else {}
        return self.error(body, status=response.status_code, headers=response.headers)

    def error(self, answer: Mapping[str, Any], *, status: int | None, headers: Mapping[str, str]) -> ApiError:
        """Return the error for an error answer, without the key, which some services repeat."""
        error = api_error(_without(self.settings.key.reveal(), answer), status=status, headers=headers)
        if isinstance(error, Unauthorized):
            error.advice = f"The key came from {self.settings.key_source}. {error.advice}"
        return error


class Models:
    """`client.models`."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def list(self) -> ModelListResponse:
        """Return the models that the service offers."""
        response = await self._client.open("GET", "/v1/models")
        with transport_errors(self._client.settings):
            await response.aread()
        try:
            entries = [entry for entry in response.json()["data"] if isinstance(entry.get("id"), str)]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InvalidResponse("The list of models is not what the API documents.", _whose(response)) from error
        return ModelListResponse(
            data=[Model(**texts(entry, "id", "owned_by"), **whole_numbers(entry, "created")) for entry in entries]
        )


class Images:
    """`client.images`."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    @overload
    async def generate(self, *, stream: Literal[True], **params: Any) -> EventStream | MergedStream: ...
    @overload
    async def generate(self, *, stream: Literal[False] | None = None, **params: Any) -> ImageGenerateResponse: ...
    async def generate(self, **params: Any) -> ImageGenerateResponse | EventStream | MergedStream:
        """Send one `POST /v1/images/generations`; the parameters are those of `ImageGenerateParams`.

        Returns the answer or, with `stream=True`, an asynchronous iterator of events. Streaming, n images are n
        requests at once, and `image_index` of each event says which image it is of.

        Raises InvalidRequest before anything is sent; ConnectionFailed, ApiError, NoAnswer, StreamBroken,
        InvalidResponse. Nothing is sent twice.
        """
        checked = ImageGenerateParams.of(params)
        if checked.stream and checked.n > 1:
            one = checked.replace(n=1)
            return MergedStream([partial(self.send, one, index) for index in range(checked.n)])
        if checked.stream:
            return await self.send(checked)
        async with await self.send(checked) as events:
            finished = [event async for event in events if isinstance(event, ImageGenCompletedEvent)]
        return ImageGenerateResponse.of(finished)

    async def send(self, params: ImageGenerateParams, image_index: int = 0) -> EventStream:
        """Send one request, streaming or not, and return the events of its answer, from image `image_index` on."""
        try:
            response = await self._client.open("POST", "/v1/images/generations", params.body())
        except NotFound as error:
            error.advice = f"{await self._known_models(params)} {error.advice}".strip()
            raise
        body = _Body(response, self._client.settings)
        if content_type(body.headers) not in DECODERS:
            await body.aclose()
            what = f"The answer is {content_type(body.headers) or 'of no type'}, not an image."
            raise InvalidResponse(what, _whose(response))
        return EventStream(body, partial(self._client.error, status=None, headers=body.headers), image_index)

    async def _known_models(self, params: ImageGenerateParams) -> str:
        try:
            names = (await self._client.models.list()).image_models
        except GradientNotebookError:
            return ""  # the first error is the one to tell
        unknown = names and params.model not in names
        return f"model={params.model!r} is unknown. Image models here: {', '.join(names)}." if unknown else ""


class _Body:
    """The body of an answer, as it arrives."""

    def __init__(self, response: httpx.Response, settings: Settings) -> None:
        self.headers: Mapping[str, str] = response.headers
        self._response = response
        self._settings = settings
        self._chunks = response.aiter_bytes()  # no chunk size: it would make httpx slower, always

    async def read(self) -> bytes | None:
        try:  # not `transport_errors`: this runs for every 16 KiB
            return await anext(self._chunks, None)
        except httpx.HTTPError as error:
            raise _translated(error, self._settings) from error

    async def aclose(self) -> None:
        await self._response.aclose()


@contextmanager
def transport_errors(settings: Settings) -> Iterator[None]:
    """Turn httpx's errors into ours: whether the request can have been billed is what differs."""
    try:
        yield
    except httpx.HTTPError as error:
        raise _translated(error, settings) from error


_UNSENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
)


def _translated(error: httpx.HTTPError, settings: Settings) -> ConnectionFailed | NoAnswer:
    if isinstance(error, _UNSENT):
        what = f"The service at {settings.endpoint} was not reached ({_reason(error)}). Nothing was sent."
        return ConnectionFailed(what, f"Check the network and the endpoint ({settings.endpoint_source}).")
    if isinstance(error, httpx.TimeoutException):
        what = f"Sent, no answer within {settings.read_timeout_s:g} s; may have been billed."
        return NoAnswer(what, "It was not sent again. A longer read_timeout_s waits longer.")
    what = f"Sent, no answer ({_reason(error)}); may have been billed."
    return NoAnswer(what, "It was not sent again.")


def _without(secret: str, answer: Any) -> Any:
    if isinstance(answer, str):
        return answer.replace(secret, "***")
    if isinstance(answer, Mapping):
        return {name: _without(secret, value) for name, value in answer.items()}
    return [_without(secret, value) for value in answer] if isinstance(answer, list) else answer


def _reason(error: Exception) -> str:
    return str(error).strip().rstrip(".")[:200] or type(error).__name__


def _whose(response: httpx.Response) -> str:
    request_id = response.headers.get("x-request-id")
    named = f" Request {request_id}." if request_id else ""
    return f"Is {response.request.url.host} the image generation API?{named}"
