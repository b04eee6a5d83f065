"""`AsyncClient().images.generate(**params)` and `.models.list()`: the documented methods over httpx.

A request that may have reached the model may have been billed, and is never sent again. One that surely has not (no
connection, 429, a 503 that says when to come back) is sent again after a wait, within the bounds of the settings.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from functools import partial
from typing import Any, Literal, Self, overload

from .credentials import Key, refuse_key_in
from .error_responses import error_from
from .errors import (
    APIConnectionError,
    APIError,
    AuthenticationError,
    GradientNotebookError,
    InternalServerError,
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
)
from .event_stream import DECODERS, EventStream, MergedStream, content_type, requests_of
from .events import (
    ImageGenCompletedEvent,
    ImageGenerateResponse,
    Model,
    ModelListResponse,
    texts,
    whole_numbers,
)
from .headers import request_id_of
from .params import ImageGenerateParams
from .rate_limit import RateLimitState, rate_limit_for
from .retry import RetryBudget, WaitCallback, ignore
from .settings import Settings
from .transport import Body, Response, Transport, is_permanent, read_capped

_logger = logging.getLogger("gradient_notebook")


class AsyncClient:
    """The image generation API with these settings, asynchronously. Usable from any event loop."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.images = Images(self)
        self.models = Models(self)
        self._transport = Transport(self.settings)

    def __repr__(self) -> str:
        return f"AsyncClient({getattr(self, 'settings', None)!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections of this loop."""
        await self._transport.aclose()

    @property
    def _rate_limit(self) -> RateLimitState:
        return rate_limit_for(self.settings.endpoint, self.settings.key)

    async def open(self, method: str, path: str) -> Response:
        """Send a request without a body once, and return its answer: the status is checked, the body still to come."""
        response = await self._transport.send(method, path)
        self._rate_limit.update_from_headers(response.headers)
        return await self._checked(response)

    async def post(self, path: str, body: Mapping[str, Any], waiting: WaitCallback = ignore) -> Response:
        """Send a request that may cost, and return its answer as `open` does.

        It is sent again only where it surely has not reached the model; `waiting` is told of each wait.
        """
        retries = RetryBudget(self.settings.max_retries, self.settings.max_wait_s)
        content = json.dumps(body, ensure_ascii=False).encode()
        while True:
            await self._turn(retries, waiting)
            try:
                return await self._checked(await self._post_once(path, content))
            except APIError as error:
                error.attempts = retries.attempt
                wait = retries.retry(_reason_to_send_again(error), error.retry_after_s)
                if wait is None:
                    raise
            await retries.rest(wait, waiting)

    async def _turn(self, retries: RetryBudget, waiting: WaitCallback) -> None:
        """Wait until the rate limit, as far as it is known, has room for a request, and count it as sent."""
        rate_limit = self._rate_limit
        while (until_s := rate_limit.enter()) is not None:
            wait = retries.hold("Rate limit reached", until_s)
            if wait is None:
                raise _rate_limit_reached(until_s, retries)
            await retries.rest(wait, waiting, partial(rate_limit.has_opened_before, until_s))

    async def _post_once(self, path: str, content: bytes) -> Response:
        """Send a request that `_turn` has counted, and return its answer when the headers are here."""
        rate_limit = self._rate_limit
        headers: Mapping[str, str] = {}
        try:
            response = await self._transport.send("POST", path, content)
            headers = response.headers
        finally:
            rate_limit.leave(headers)
        return response

    async def _checked(self, response: Response) -> Response:
        if response.is_success:
            return response
        error = self.error(await self._error_body(response), status=response.status_code, headers=response.headers)
        if isinstance(error, RateLimitError) and error.waiting_helps and error.retry_after_s is not None:
            self._rate_limit.block_for(error.retry_after_s)
        raise error

    async def _error_body(self, response: Response) -> Mapping[str, Any]:
        """Return the body of an error answer, empty if it is none: the status has said what matters."""
        try:
            answer = json.loads(await read_capped(response, self.settings))
        except (APIConnectionError, ValueError, RecursionError):
            answer = {}
        return answer if isinstance(answer, dict) else {}

    def error(self, answer: Mapping[str, Any], *, status: int | None, headers: Mapping[str, str]) -> APIError:
        """Return the error for an error answer, without the key, which some services repeat. Headers come without it."""
        error = error_from(_without(self.settings.key, answer), status=status, headers=headers)
        if isinstance(error, (AuthenticationError, PermissionDeniedError)):
            error.key_source = self.settings.key_source
        return error


class Models:
    """`client.models`."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def list(self) -> ModelListResponse:
        """Return the models that the service offers."""
        response = await self._client.open("GET", "/v1/models")
        text = await read_capped(response, self._client.settings)
        try:
            told = _without(self._client.settings.key, json.loads(text))
            entries = [entry for entry in told["data"] if isinstance(entry.get("id"), str)]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            what = "The list of models is not what the API documents."
            hint = f"Is {response.request.url.host} the image generation API?"
            raise InvalidResponseError(what, hint, sent=None, request_id=request_id_of(response.headers)) from error
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

        Raises InvalidRequestError before anything is sent; APIConnectionError, APIError, NoResponseError, StreamInterruptedError,
        InvalidResponseError. Where only some of n images came, they are returned, and a warning is logged.

        What may have reached the model is not sent again; what surely has not is, after a wait, at most
        `Settings.max_retries` times and waiting `Settings.max_wait_s` seconds in all.
        """
        checked = ImageGenerateParams.of(params)
        refuse_key_in(checked.given(), self._client.settings.key)
        requests = requests_of(checked)
        if len(requests) > 1:
            return MergedStream([partial(self.send, one, first) for one, first in requests])
        if checked.stream:
            return await self.send(checked)
        return ImageGenerateResponse.of(await self._finished(checked))

    async def _finished(self, params: ImageGenerateParams) -> list[ImageGenCompletedEvent]:
        """Return the images of an answer. Those that came are paid for, and no error of another takes them along."""
        finished: list[ImageGenCompletedEvent] = []
        try:
            async with await self.send(params) as events:
                async for event in events:
                    finished += [event] if isinstance(event, ImageGenCompletedEvent) else []
        except GradientNotebookError as error:
            if not finished:
                raise
            _logger.warning("%d of %d images came: %s", len(finished), params.n, error)
        return finished

    async def send(
        self, params: ImageGenerateParams, image_index: int = 0, *, waiting: WaitCallback = ignore
    ) -> EventStream:
        """Send one request, streaming or not, and return the events of its answer, from image `image_index` on.

        `waiting` is called with a `Wait` when the request has to wait, for its turn or before it is sent again, and
        with None when that is over, however it ended.
        """
        try:
            response = await self._client.post("/v1/images/generations", params.body(), waiting)
        except NotFoundError as error:
            names = await self._image_models()
            if names and params.model not in names:
                error.model, error.image_models = params.model, names
            raise
        body = Body(response, self._client.settings)
        if content_type(body.headers) not in DECODERS:
            await body.aclose()
            what = f"The answer is {content_type(body.headers) or 'of no type'}, not an image."
            hint = f"Is {response.request.url.host} the image generation API?"
            raise InvalidResponseError(what, hint, request_id=request_id_of(body.headers))
        make_error = partial(self._client.error, status=None, headers=body.headers)
        return EventStream(body, make_error, image_index, partial(_without, self._client.settings.key))

    async def _image_models(self) -> tuple[str, ...]:
        try:
            return tuple((await self._client.models.list()).image_models)
        except GradientNotebookError:
            return ()  # the first error is the one to tell


def _reason_to_send_again(error: APIError) -> str:
    """Return in words why a request may go out again; nothing where it may not, or where waiting would not help."""
    if isinstance(error, APIConnectionError) and error.sent is False:
        return "" if is_permanent(error) else "The service could not be reached"
    if isinstance(error, RateLimitError) and error.waiting_helps:
        return "The service is busy (429)"
    if isinstance(error, InternalServerError) and error.retry_after_s is not None:
        return "The service is busy (503)"
    return ""


def _rate_limit_reached(until_s: float, retries: RetryBudget) -> RateLimitError:
    error = RateLimitError("Rate limit reached.", "A longer max_wait_s waits for it.", sent=False)
    error.retry_after_s, error.attempts = until_s - time.monotonic(), retries.attempt
    return error


def _without(key: Key, told: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a service told, without the key; nothing where it is nested too deeply to look through."""
    try:
        masked: dict[str, Any] = _masked(key, told)
    except RecursionError:
        masked = {}
    return masked


def _masked(key: Key, told: Any) -> Any:
    if isinstance(told, str):
        return key.hidden_in(told)
    if isinstance(told, Mapping):
        return {_masked(key, name): _masked(key, value) for name, value in told.items()}
    return [_masked(key, value) for value in told] if isinstance(told, list) else told
