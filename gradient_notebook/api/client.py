"""`AsyncClient().images.generate(**params)` and `.models.list()`: the documented methods over httpx.

A request that may have reached the model may have been billed, and is never sent again. One that has not (no
connection, 429, a 503 that says when to come back) is sent again after a wait, within the bounds of the settings.
"""

from __future__ import annotations

import copy
import json
import logging
import time
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Literal, Never, Self, Unpack, overload

from . import advice, bounds
from .answer_decoder import AnswerDecoder
from .credentials import TOKEN_HINT, Key, refuse_key_in
from .error_responses import blames_key, concerns_model, concerns_stream, error_from
from .errors import (
    APIConnectionError,
    APIError,
    APIStatusError,
    AuthenticationError,
    GradientNotebookError,
    InternalServerError,
    InvalidRequestError,
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
)
from .event_stream import EventStream, MergedStream, Meter, content_type, requests_of
from .events import (
    ImageGenCompletedEvent,
    ImageGenerateResponse,
    Model,
    ModelListResponse,
    texts,
    whole_numbers,
)
from .fetching import fetch_image
from .headers import request_id_of
from .options import CallOptions, with_parameters_in_sight
from .params import ImageGenerateParams
from .rate_limit import RateLimitState, Store, rate_limit_for
from .retry import RetryBudget, WaitCallback, ignore
from .sdk import IMAGES_LEFT_OUT, MODELS_LEFT_OUT, HTTPAnswer, NamesWhatToUse, WithSDKNames, refuse_arguments
from .settings import Settings, Timeout
from .text import SHORT, clean, is_text
from .transport import NO_OPTIONS, Body, HTTPClient, RequestOptions, Response, Transport, is_permanent, read_capped

_logger = logging.getLogger("gradient_notebook")


class AsyncClient(WithSDKNames):
    """The image generation API with these settings, asynchronously. Usable from any event loop."""

    def __init__(
        self,
        settings: Settings,
        *,
        default_headers: Mapping[str, str] | None = None,
        http_client: HTTPClient | None = None,
    ) -> None:
        self.settings = settings
        self.images = Images(self)
        self.models = Models(self)
        self._more: dict[str, Any] = {"default_headers": default_headers, "http_client": http_client}
        self._transport = Transport(self.settings, default_headers, http_client)

    def with_defaults(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a call's options with what holds where they do not say otherwise: here nothing does."""
        return options

    def meter(self, params: ImageGenerateParams) -> Meter | None:  # noqa: ARG002 - for those that count
        """Return what counts the cost of a request that `images.generate` sends: here nothing does."""
        return None

    def store(self) -> Store | None:
        """Return where other processes are told of the rate limit: here nowhere."""
        return None

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
        other = copy.copy(self)  # of the same class: a public client keeps what it does beside this one
        settings = self.settings.replace(timeout=timeout, max_retries=max_retries)
        headers = {**(self._more["default_headers"] or {}), **(default_headers or {})}
        AsyncClient.__init__(other, settings, **{**self._more, "default_headers": headers})
        return other

    copy = with_options

    def __repr__(self) -> str:
        # A traceback may show a client whose making has failed: it has no settings yet.
        return f"AsyncClient({getattr(self, 'settings', None)!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections of this loop."""
        await self._transport.aclose()

    close = aclose

    @property
    def _rate_limit(self) -> RateLimitState:
        return rate_limit_for(self.settings.endpoint, self.settings.key, self.store())

    async def open(self, method: str, path: str, options: RequestOptions = NO_OPTIONS) -> Response:
        """Send a request without a body once, and return its answer: the status is checked, the body still to come."""
        response = await self._transport.send(method, path, more=options)
        self._rate_limit.update_from_headers(response.headers)
        return await self._checked(response)

    async def fetch(self, address: str) -> bytes:
        """Return the image at an address that the service has sent, over the same way and without the key."""
        return await fetch_image(self._transport, self.settings, address)

    async def post(
        self,
        path: str,
        body: Mapping[str, Any],
        waiting: WaitCallback = ignore,
        options: RequestOptions = NO_OPTIONS,
    ) -> Response:
        """Send a request that may cost, and return its answer as `open` does.

        It is sent again only where it certainly has not reached the model; `waiting` is told of each wait.
        """
        retries = RetryBudget(self.settings.max_retries, self.settings.max_wait_s)
        content = json.dumps(body, ensure_ascii=False).encode()
        while True:
            # Nothing may be awaited between this turn and the `try` of `_post_once`: cancelled there, a request would
            # stay counted as in flight, and take a place of the rate limit for as long as the process lives.
            await self._turn(retries, waiting)
            try:
                return await self._checked(await self._post_once(path, content, options))
            except APIError as error:
                error.attempts = retries.attempt
                wait = retries.retry(reason_to_send_again(error), error.retry_after_s)
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

    async def _post_once(self, path: str, content: bytes, options: RequestOptions) -> Response:
        """Send a request that `_turn` has counted, and return its answer when the headers are here."""
        rate_limit = self._rate_limit
        headers: Mapping[str, str] = {}
        status: int | None = None
        try:
            response = await self._transport.send("POST", path, content, options)
            headers, status = response.headers, response.status_code
        finally:
            # The headers of an answer count this request already, so it is not in flight any more, though its image is.
            rate_limit.leave(headers, status)
        return response

    async def _checked(self, response: Response) -> Response:
        if response.is_success:
            return response
        error = self.error(await self._error_body(response), status=response.status_code, headers=response.headers)
        if isinstance(error, NotFoundError) and response.request.method == "GET":
            error.hint, error.suggest = "The path of the endpoint is unknown there.", ()
        if isinstance(error, NotFoundError):
            asked = response.request.url.copy_with(query=None, fragment=None)
            error.asked = f"{response.request.method} {self.settings.key.hidden_in(str(asked))}"
        if isinstance(error, RateLimitError) and error.waiting_helps and error.retry_after_s is not None:
            # One that is told to wait speaks for all of its key; an account without credit holds back nobody.
            self._rate_limit.block_for(error.retry_after_s)
        raise error

    async def _error_body(self, response: Response) -> Any:
        """Return the body of an error answer: its JSON, or its bytes; None if it does not come."""
        try:
            body = await read_capped(response, self.settings)
        except APIConnectionError:
            return None  # the status has said what matters
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            pass
        packing = response.headers.get("content-encoding", "")
        if packing and not is_text(body):
            return {"message": f"The reason is packed in a way that was not asked for ({clean(packing, SHORT)})."}
        return body

    def error(self, answer: Any, *, status: int | None, headers: Mapping[str, str]) -> APIError:
        """Return the error for an error answer, without the key, which some services repeat. Headers come without it."""
        # The key first: once a text has been shortened, a key that is cut off is not found in it any more.
        error = error_from(_without(self.settings.key, answer), status=status, headers=headers)
        # Where a service gives another reason than the key, where that came from only misleads.
        if isinstance(error, AuthenticationError) or (isinstance(error, PermissionDeniedError) and blames_key(error)):
            error.key_source = self.settings.key_source
        if isinstance(error, AuthenticationError) and self.settings.key.is_control_plane:
            error.hint = TOKEN_HINT
        return error


class Models(NamesWhatToUse):
    """`client.models`: what the service offers."""

    _left_out: ClassVar[Mapping[str, str]] = MODELS_LEFT_OUT

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def list(
        self,
        *,
        timeout: float | Timeout | None = None,  # noqa: ASYNC109 - the SDK's name
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
        told = await self._get("/v1/models", RequestOptions(extra_headers or {}, extra_query or {}, timeout))
        entries = [entry for entry in told["data"] if isinstance(entry, Mapping) and isinstance(entry.get("id"), str)]
        for entry in entries:
            if "shutdown_date" in entry:
                advice.hear(self._client.settings.endpoint, entry["id"], entry["shutdown_date"])
        return ModelListResponse(data=[_model(entry) for entry in entries])

    async def retrieve(
        self,
        model: str,
        *,
        timeout: float | Timeout | None = None,  # noqa: ASYNC109 - the SDK's name
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
        listed = await self.list(timeout=timeout, extra_headers=extra_headers, extra_query=extra_query)
        for found in listed.data:
            if found.id == model:
                return found
        known = tuple(listed.image_models)
        raise NotFoundError("The service does not list this model.", status_code=404, model=model, image_models=known)

    async def _get(self, path: str, options: RequestOptions) -> dict[str, Any]:
        response = await self._client.open("GET", path, options)
        text = await read_capped(response, self._client.settings)
        try:
            told: dict[str, Any] = _without(self._client.settings.key, json.loads(text))
            # One odd entry leaves the others alone; where all are odd it is no list of models.
            if told["data"] and not any("id" in entry for entry in told["data"] if isinstance(entry, Mapping)):
                raise ValueError("no entry has an id")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            what = "The list of models is not in the documented format."
            hint = f"Is {response.request.url.host} the image generation API?"
            raise InvalidResponseError(what, hint, sent=None, request_id=request_id_of(response.headers)) from error
        return told


def _model(entry: Mapping[str, Any]) -> Model:
    return Model(**texts(entry, "id", "owned_by", "shutdown_date"), **whole_numbers(entry, "created"))


class Images(NamesWhatToUse):
    """`client.images`: `generate` makes images."""

    _left_out: ClassVar[Mapping[str, str]] = IMAGES_LEFT_OUT

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    @property
    def with_raw_response(self) -> RawImages:
        """The same methods, returning the status and the headers beside the answer."""
        return RawImages(self)

    @overload
    async def generate(
        self,
        *,
        prompt: str,
        stream: Literal[True],
        n: int | None = None,
        **options: Unpack[CallOptions],
    ) -> EventStream | MergedStream: ...
    @overload
    async def generate(
        self,
        *,
        prompt: str,
        stream: Literal[False] | None = None,
        n: int | None = None,
        **options: Unpack[CallOptions],
    ) -> ImageGenerateResponse: ...
    @with_parameters_in_sight
    async def generate(
        self,
        *,
        timeout: float | Timeout | None = None,  # noqa: ASYNC109 - the SDK's name
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, Any] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> ImageGenerateResponse | EventStream | MergedStream:
        """Send one `POST /v1/images/generations`.

        What may have reached the model is not sent again; what certainly has not is, after a wait, at most
        `Settings.max_retries` times and waiting `Settings.max_wait_s` seconds in all.

        Args:
            timeout: seconds of silence allowed, `Settings.read_timeout_s` unless given; or an `httpx.Timeout`.
            extra_headers: further headers of the request.
            extra_query: further parameters of its address.
            extra_body: further fields of its body; a declared parameter's name acts as if given by name.
            **options: the parameters of `ImageGenerateParams`.

        Returns:
            The answer or, with `stream=True`, an asynchronous iterator of events. Streaming, n images are n requests at
            once, and `image_index` of each event says which image it is of. Where only some of n images came, they are
            returned, and a warning is logged.

        Raises:
            InvalidRequestError: before anything is sent.
            APIError: what the service and the way to it cause.
        """
        checked = ImageGenerateParams.of(self._client.with_defaults(with_extra_body(options, extra_body)))
        more = RequestOptions(extra_headers or {}, extra_query or {}, timeout)
        refuse_key_in({**checked.given(), **more.extra_headers, **more.extra_query}, self._client.settings.key)
        requests = requests_of(checked)
        if len(requests) > 1:
            return MergedStream([partial(self._send_metered, one, first, options=more) for one, first in requests])
        events = await self._send_metered(checked, options=more)
        return events if checked.stream else await _answer_of(events, checked.n)

    async def _send_metered(
        self, params: ImageGenerateParams, image_index: int = 0, *, options: RequestOptions
    ) -> EventStream:
        """Send one request within the budgets of the client, which counts what comes of it."""
        meter = self._client.meter(params)
        if meter is None:
            return await self.send(params, image_index, options=options)
        await meter.reserve()
        try:
            events = await self.send(params, image_index, waiting=meter.wait, options=options)
        except BaseException as error:
            await meter.end(error)
            raise
        events.meter = meter
        return events

    async def send(
        self,
        params: ImageGenerateParams,
        image_index: int = 0,
        *,
        waiting: WaitCallback = ignore,
        options: RequestOptions = NO_OPTIONS,
    ) -> EventStream:
        """Send one request, streaming or not, and return the events of its answer, from image `image_index` on.

        `waiting` is called with a `Wait` when the request has to wait, for its turn or before it is sent again, and
        with None when that is over, however it ended.
        """
        sent = params.body()
        try:
            response = await self._client.post("/v1/images/generations", sent, waiting, options)
        except APIStatusError as error:
            if sent.get("stream") and concerns_stream(error):
                error.suggest += ("without_stream",)
            if concerns_model(error):
                await self._name_models(error, params.model)
            raise
        settings = self._client.settings.replace(timeout=options.timeout_s)
        body = Body(response, settings)
        decoder = AnswerDecoder(
            partial(self._client.error, status=None, headers=body.headers),
            partial(_without, settings.key),
            content_type=content_type(body.headers),
            hint=f"Is {response.request.url.host} the image generation API?",
        )
        return EventStream(body, decoder, image_index, self._client.fetch, params.n)

    async def _name_models(self, error: APIStatusError, model: str) -> None:
        """Say which models there are, in the error of one that cannot be used."""
        try:
            names = tuple((await self._client.models.list()).image_models)
        except GradientNotebookError:
            return  # the first error is the one to tell
        others = tuple(name for name in names if name != model)
        # A 404 for a model that is listed is about something else, the endpoint for one.
        if others and not (isinstance(error, NotFoundError) and model in names):
            error.model, error.image_models = model, others
            error.hint, error.suggest = "", tuple(name for name in error.suggest if name != "list_models")


class RawImages:
    """`client.images.with_raw_response`."""

    def __init__(self, images: Images) -> None:
        self._images = images

    async def generate(self, **options: Any) -> RawResponse:
        """Send one request without streaming, as `Images.generate` does, and return the raw answer.

        Args:
            **options: arguments of `Images.generate`.

        Raises:
            InvalidRequestError: a value that cannot be sent; `stream=True`.
            APIError: what the service and the way to it cause.
        """
        if options.get("stream"):
            what = "stream=True: a raw response is not streamed"
            raise InvalidRequestError(what, "Use generate(stream=True) without with_raw_response.", param="stream")
        return RawResponse(await self._images.generate(**options))


class RawResponse(NamesWhatToUse):
    """An answer with its status and its headers, without the key.

    Attributes:
        status_code: the HTTP status.
        headers: by name, in any case.
        request_id: what the service's support asks for, if the service said it.
    """

    _left_out: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("read", "content", "iter_bytes"), "use text(), json() or parse()"),
        **dict.fromkeys(("http_request", "url", "method"), "use client.settings.endpoint, where requests go"),
        **dict.fromkeys(("elapsed", "retries_taken"), "use submit(...), whose job has elapsed_s"),
    }

    def __init__(self, answer: ImageGenerateResponse) -> None:
        self._answer = answer
        self.status_code = 200
        self.headers = answer.headers
        self.request_id = answer.request_id

    def parse(self) -> ImageGenerateResponse:
        """Return the answer itself."""
        return self._answer

    def json(self) -> dict[str, Any]:
        """Return the answer as plain values."""
        return self._answer.to_dict()

    def text(self) -> str:
        """Return the answer as JSON text."""
        return self._answer.to_json(indent=None)

    @property
    def http_response(self) -> HTTPAnswer:
        """Its `status_code`, `headers` and `json()`."""
        return HTTPAnswer(self.status_code, self.headers, self.json())


def with_extra_body(options: Mapping[str, Any], extra_body: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the options with the SDK's `extra_body` in `extra`, which goes before what is given by name, as there."""
    return {**options, "extra": {**(options.get("extra") or {}), **extra_body}} if extra_body else dict(options)


async def _answer_of(events: EventStream, n: int) -> ImageGenerateResponse:
    """Return the images of an answer. Those that came are paid for, and no error of another takes them along."""
    finished: list[ImageGenCompletedEvent] = []
    try:
        async with events:
            async for event in events:
                finished += [event] if isinstance(event, ImageGenCompletedEvent) else []
                if len(finished) >= n + bounds.MAX_EXTRA_IMAGES:
                    break
    except GradientNotebookError as error:
        if not finished:
            raise
        _logger.warning("%d of %d images came: %s", len(finished), n, error)
    return ImageGenerateResponse.of(finished, events.headers)


def reason_to_send_again(error: APIError) -> str:
    """Return in words why a request may go out again; nothing where it may not, or where waiting would not help."""
    if isinstance(error, APIConnectionError) and error.sent is False:
        return "" if is_permanent(error) else "Could not reach the service"
    if isinstance(error, RateLimitError) and error.waiting_helps:
        return "The service is busy (429)"
    # Only a 503 ever has `retry_after_s` (`error_responses`). Any other 5xx, and a 503 without it, may come from a
    # gateway while the model works on: sent again, that would be a second bill.
    if isinstance(error, InternalServerError) and error.retry_after_s is not None:
        return "The service is busy (503)"
    return ""


def _rate_limit_reached(until_s: float, retries: RetryBudget) -> RateLimitError:
    error = RateLimitError("Rate limit reached.", "Raise max_wait_s to wait for it.", sent=False)
    error.retry_after_s, error.attempts = until_s - time.monotonic(), retries.attempt
    return error


def _without(key: Key, told: Any) -> Any:
    """Return what a service told, without the key; nothing where it is nested too deeply to look through."""
    try:
        return _masked(key, told)
    except RecursionError:
        return {}


def _masked(key: Key, told: Any) -> Any:
    if isinstance(told, str):
        return key.hidden_in(told)
    if isinstance(told, bytes):
        # Latin-1 is every byte as it is.
        return key.hidden_in(told.decode("latin-1")).encode("latin-1")
    if isinstance(told, Mapping):
        return {_masked(key, name): _masked(key, value) for name, value in told.items()}
    return [_masked(key, value) for value in told] if isinstance(told, list) else told
