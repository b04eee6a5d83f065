"""The way of a request to the service and of its answer back: connections, and what their failures mean.

Whether a request can have been billed is decided here: it can as soon as its body has begun to go out.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
import weakref
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx

from . import bounds
from .certificates import advice, own_context
from .credentials import Key
from .errors import (
    REPORT,
    APIConnectionError,
    APITimeoutError,
    InvalidResponseError,
    InvalidSettingsError,
    NoResponseError,
)
from .fetching import ConnectionCheck, Fetched, FetchError
from .headers import request_id_of
from .proxies import Proxies, Proxy
from .settings import LOOPBACK, Settings, Timeout, shown_endpoint
from .turns import Turn, turns
from .unpacking import Unpacker, UnpackingError

Response = httpx.Response
HTTPClient = httpx.AsyncClient

# Each request has a connection of its own. What a server sends behind its answer, or under the next request in the
# moment in which it hangs up, would otherwise be taken for the answer to another request, which is paid for, too.
_USUAL = {"Accept-Encoding": "identity", "Connection": "close"}
_FOR_A_PICTURE = {"Accept": "image/*, */*;q=0.5", **_USUAL}


@cache
def _usual_ssl_context() -> ssl.SSLContext:
    """The one of the process: loading the authorities takes 14 ms."""
    return httpx.create_ssl_context(trust_env=False)


class _ByProxy(httpx.AsyncBaseTransport):
    """Sends each request by the proxy that stands before its address, or directly.

    httpx's own way to read the environment fails as a whole on one entry of NO_PROXY that it does not know.
    """

    def __init__(self, proxies: Proxies, **options: Any) -> None:
        self._proxies = proxies
        self._options = options
        self._transports: dict[Proxy | None, httpx.AsyncHTTPTransport] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        return await self._to(self._proxies.for_address(url.scheme, url.host, url.port)).handle_async_request(request)

    def _to(self, proxy: Proxy | None) -> httpx.AsyncHTTPTransport:
        if proxy not in self._transports:
            self._transports[proxy] = httpx.AsyncHTTPTransport(
                proxy=self._known(proxy) if proxy else None, **self._options
            )
        return self._transports[proxy]

    def _known(self, proxy: Proxy) -> httpx.Proxy:
        """Return a proxy as httpx knows it. Raises InvalidSettingsError."""
        context = self._options["verify"] if proxy.url.lower().startswith("https:") else None
        try:
            return httpx.Proxy(proxy.url, ssl_context=context or None)
        except (ValueError, httpx.InvalidURL):
            refusal = proxy.refusal()
        raise refusal  # out here: the first error may hold the proxy's password

    async def aclose(self) -> None:
        for transport in self._transports.values():
            await transport.aclose()


class _KeyAuth(httpx.Auth):
    """Puts the key into the header at the last moment, where httpx masks it."""

    def __init__(self, key: Key) -> None:
        self._key = key

    def auth_flow(self, request: httpx.Request) -> Any:
        request.headers["Authorization"] = f"Bearer {self._key.reveal()}"
        yield request


_Surroundings = tuple[Proxies, ssl.SSLContext | None]


@dataclass(frozen=True)
class RequestOptions:
    """What one request has beside its body."""

    extra_headers: Mapping[str, str] = field(default_factory=dict)
    extra_query: Mapping[str, Any] = field(default_factory=dict)
    timeout_s: float | Timeout | None = None
    """Seconds of silence allowed; the settings' own where it is None."""


NO_OPTIONS = RequestOptions()


def _surroundings(*, is_loopback: bool, is_https: bool) -> _Surroundings:
    """Return what the environment says, by now, of the way to an address. Raises InvalidSettingsError."""
    # Loopback is never behind a proxy, and what is wrong with proxies is not its concern.
    proxies = Proxies() if is_loopback else Proxies.of_environment()
    return proxies, (own_context() or _usual_ssl_context()) if is_https else None


class Transport:
    """The connections to one endpoint with one key. Usable from any event loop."""

    def __init__(
        self,
        settings: Settings,
        default_headers: Mapping[str, str] | None = None,
        http_client: httpx.AsyncClient | None = None,
    ) -> None:
        self._settings = settings
        self._default_headers = dict(default_headers or {})
        self._given = http_client
        # A connection belongs to the loop that opened it, and goes the way that the environment said then.
        self._by_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[_Surroundings, httpx.AsyncClient]]
        self._by_loop = weakref.WeakKeyDictionary()

    async def send(
        self, method: str, path: str, content: bytes | None = None, more: RequestOptions = NO_OPTIONS
    ) -> httpx.Response:
        """Send a request once, with this JSON if any, and return its answer when the headers are here.

        Raises APIConnectionError and APITimeoutError; `sent` is True as soon as any of the body may have gone out.
        """
        outgoing = None if content is None else SingleUseBody(content)
        own = dict(_USUAL)
        if content is not None:
            own |= {"Content-Type": "application/json", "Content-Length": str(len(content))}
        # Ours come last. Without its length, a body that is an iterator would go out in chunks (`Transfer-Encoding`).
        theirs = {**self._default_headers, **more.extra_headers}
        headers = {name: value for name, value in theirs.items() if name.title() not in own} | own
        url = self._settings.endpoint + path
        settings = self._settings.replace(timeout=more.timeout_s)
        timeout = httpx.Timeout(settings.read_timeout_s, connect=settings.connect_timeout_s)
        http = self._http
        try:
            request = http.build_request(
                method, url, content=outgoing, headers=headers, params=dict(more.extra_query) or None, timeout=timeout
            )
        except httpx.InvalidURL as error:
            what = f"endpoint={shown_endpoint(settings.endpoint)} from {settings.endpoint_source}: {error}"
            raise InvalidSettingsError(what, "Write https://host or https://host:port.") from None

        def is_sent() -> bool | None:
            return None if outgoing is None else outgoing.is_begun

        until_s = asyncio.get_running_loop().time() + _longest_s(settings, method)
        with translate_errors(settings, is_sent=is_sent):
            async with _watched(is_ours=self._given is None) as watch, asyncio.timeout_at(until_s):
                request.extensions["trace"] = watch
                auth = _KeyAuth(self._settings.key)
                # Said also to a client that is the user's, and may be made to follow redirects.
                response = await http.send(request, stream=True, auth=auth, follow_redirects=False)
        response.extensions[_UNTIL] = until_s
        for name, value in response.headers.items():
            if self._settings.key.is_in(value):  # some services repeat it
                response.headers[name] = self._settings.key.hidden_in(value)
        return response

    async def fetch(self, url: str, check: ConnectionCheck, at_most: int) -> Fetched:
        """Return what is at an address elsewhere, up to a bound: without the key, without cookies, redirects not followed.

        Raises FetchError, and what `check` raises, which is asked before anything is sent.
        """
        silence_s = min(self._settings.read_timeout_s, bounds.MAX_FETCH_SILENCE_S)
        timeout = httpx.Timeout(silence_s, connect=min(silence_s, self._settings.connect_timeout_s))
        try:
            async with AsyncExitStack() as stack:
                watch = await stack.enter_async_context(_watched(check, is_ours=self._given is None))
                # Made by hand: a client would add its own headers, and the user's may have a key or cookies among them.
                steps = {"timeout": timeout.as_dict(), "trace": watch}
                request = httpx.Request("GET", url, headers=_FOR_A_PICTURE, extensions=steps)
                # One of its own for each: nothing that a stranger's server sets or keeps open stays.
                http = self._given
                if http is None:
                    at = request.url
                    way = _surroundings(is_loopback=at.host in LOOPBACK, is_https=at.scheme == "https")
                    http = await stack.enter_async_context(self._connected(*way))
                # An `Auth` that does nothing: without one httpx takes a name and a password from the address.
                response = await http.send(request, stream=True, auth=httpx.Auth(), follow_redirects=False)
                stack.push_async_callback(response.aclose)
                return await _fetched(response, at_most)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnpackingError) as error:
            reason = str(error).strip().rstrip(".") or type(error).__name__
            if isinstance(error, httpx.TimeoutException):
                reason = f"no answer within {silence_s:g} s"
            raise FetchError(reason, is_passing=isinstance(error, httpx.NetworkError)) from error

    async def aclose(self) -> None:
        """Close the connections of this loop, unless they are the user's own."""
        for http in self._by_loop.pop(asyncio.get_running_loop(), {}).values():
            await http.aclose()

    @property
    def _http(self) -> httpx.AsyncClient:
        if self._given is not None:
            return self._given
        # What is wrong with proxies and authorities can be repaired while the process runs: in a notebook it is.
        settings = self._settings
        surroundings = _surroundings(is_loopback=settings.is_loopback, is_https=settings.is_https)
        clients = self._by_loop.setdefault(asyncio.get_running_loop(), {})
        if surroundings not in clients:
            clients[surroundings] = self._connected(*surroundings)
        return clients[surroundings]

    def _connected(self, proxies: Proxies, context: ssl.SSLContext | None) -> httpx.AsyncClient:
        options: dict[str, Any] = {
            "verify": context or False,
            # How many go at once is decided above. httpx's bound of 100 would hold back what is counted as sent.
            "limits": httpx.Limits(max_connections=None, max_keepalive_connections=0),
            "trust_env": False,
        }
        mounts = {"all://": _ByProxy(proxies, **options)} if proxies.by_scheme else None
        # A policy that lets nothing in: cookies grow with each answer, and nothing here has a use for one.
        return httpx.AsyncClient(mounts=mounts, cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())), **options)


@asynccontextmanager
async def _watched(
    check: ConnectionCheck | None = None, *, is_ours: bool
) -> AsyncIterator[Callable[[str, Mapping[str, Any]], Any]]:
    """Give what httpcore tells each step of a request to: `check` sees a connection before anything is sent on it.

    A connection of a request that fails is closed, which httpcore leaves open where one is given up in its handshake.
    Where the client is the user's, it may carry other requests by then: HTTP/2 does.
    """
    host = ""
    opened: list[Any] = []

    async def watch(step: str, about: Mapping[str, Any]) -> None:
        nonlocal host
        if step.endswith("connect_tcp.started"):
            host = about["host"]
        elif step.endswith("connect_tcp.complete"):
            stream = about["return_value"]
            if is_ours:
                opened.append(stream)
            try:
                if check:
                    check(host, stream.get_extra_info("server_addr")[0])
            except BaseException:
                await stream.aclose()
                raise

    try:
        yield watch
    except BaseException:
        for stream in opened:
            await stream.aclose()
        raise


async def _fetched(response: httpx.Response, at_most: int) -> Fetched:
    data, unpacker = bytearray(), Unpacker(response.headers.get("content-encoding", ""))
    async for chunk in response.aiter_raw():
        for piece in unpacker.feed(chunk):
            data += piece
            if len(data) > at_most:
                return Fetched(response.status_code, response.headers, bytes(data), is_whole=False)
    data += b"".join(unpacker.close())
    return Fetched(response.status_code, response.headers, bytes(data), is_whole=True)


async def read_capped(response: httpx.Response, settings: Settings) -> bytes:
    """Return the body of an answer that has no image, up to a bound, and hang up."""
    text, body = bytearray(), Body(response, settings)
    body.until_s = min(body.until_s, asyncio.get_running_loop().time() + bounds.MAX_ERROR_S)
    try:
        while len(text) <= bounds.MAX_ERROR_BYTES and (chunk := await body.read()) is not None:
            text += chunk
    finally:
        await body.aclose()
    return bytes(text)


class SingleUseBody:
    """The body of a request, which goes out once: no byte of it can leave that was not asked for here."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.is_begun = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self.is_begun:
            raise RuntimeError("The transport tried to send a request twice.")
        # Before the bytes are handed out: where nobody knows how far they came, they count as sent.
        self.is_begun = True
        yield self._content


class Body:
    """The body of an answer, as it arrives."""

    def __init__(self, response: httpx.Response, settings: Settings) -> None:
        self.headers: Mapping[str, str] = response.headers
        self.status = response.status_code
        self.until_s: float = response.extensions[_UNTIL]
        """When it has taken too long, by the clock of the loop."""
        self.silence_s = settings.read_timeout_s
        self._response = response
        self._settings = settings
        self._byte_count = 0
        self._request_id = request_id_of(response.headers)
        self._turns, self._turn = turns(), Turn()
        # Raw: httpx unpacks whatever the header says, as often as it says, and all of it at once.
        self._chunks = self._unpacked(response.aiter_raw())

    async def read(self) -> bytes | None:
        """Return the next bytes, or None at the end. Raises NoResponseError, APITimeoutError, InvalidResponseError."""
        loop = asyncio.get_running_loop()
        with translate_errors(self._settings, is_sent=self._is_sent, request_id=self._request_id):
            if not self._turn.is_on:
                async with asyncio.timeout_at(self.until_s):
                    await self._turns.begin(self._turn)
            # Where silence ends sooner than that: an alarm for each read costs time.
            if self.until_s - loop.time() > self._settings.read_timeout_s:
                chunk = await anext(self._chunks, None)
            else:
                async with asyncio.timeout_at(self.until_s):
                    chunk = await anext(self._chunks, None)
        self._turn.last_s = loop.time()
        self._byte_count += len(chunk or b"")
        if self._byte_count > bounds.MAX_ANSWER_BYTES:
            raise InvalidResponseError(f"The response has more than {bounds.MAX_ANSWER_BYTES:,} bytes.", suggest=REPORT)
        return chunk

    async def _unpacked(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        unpacker = Unpacker(self.headers.get("content-encoding", ""))
        async for chunk in chunks:
            if unpacker.passes_on:
                yield chunk
                continue
            for piece in unpacker.feed(chunk):
                yield piece
        for piece in unpacker.close():
            yield piece

    def _is_sent(self) -> bool | None:
        return True if self._response.request.method == "POST" else None

    async def aclose(self) -> None:
        """Hang up."""
        self._turns.end(self._turn)
        await self._response.aclose()


_UNTIL = "gradient_notebook.until_s"
"""What an answer has among its extensions: the end of its time."""


def _longest_s(settings: Settings, method: str) -> float:
    """Return the seconds that a request may take from its beginning to the last byte of its answer."""
    if method == "POST":
        return settings.max_request_s
    return min(settings.max_request_s, max(settings.read_timeout_s, bounds.MAX_ERROR_S))


@contextmanager
def translate_errors(
    settings: Settings, *, is_sent: Callable[[], bool | None], request_id: str | None = None
) -> Iterator[None]:
    """Let the transport's errors out as ours, and whatever comes out without its frames.

    Whether the request can have been billed is what differs: `is_sent` says it, as `GradientNotebookError.sent` does.
    The frames hold headers, and so the key, and a traceback can show what a frame holds.
    """
    # What is being handled around this becomes the context of our error; its frames are the caller's to keep.
    outside = sys.exception()
    try:
        yield
    except BaseException as error:
        _drop_frames(error, outside)
        if not isinstance(
            error, (httpx.HTTPError, OSError, UnpackingError)
        ):  # httpx lets an SSLError of an open connection through
            raise
        translated = _translated(error, settings, is_sent())
        translated.request_id = request_id
        raise translated from error


def _translated(error: Exception, settings: Settings, sent: bool | None) -> APIConnectionError:
    reason = settings.key.hidden_in(str(error).strip().rstrip("."))[:200] or type(error).__name__
    is_too_long = isinstance(error, TimeoutError)  # ours: httpx's own is none of it
    is_timeout = is_too_long or isinstance(error, httpx.TimeoutException)
    # For a GET, too, whose `sent` is None so far: the service was not there to answer it.
    if isinstance(error, _WITHOUT_CONNECTION):
        sent = False
    if sent is False:
        kind = APITimeoutError if is_timeout else APIConnectionError
        hint = f"Check the network and the endpoint ({settings.endpoint_source}).{_proxy_on_the_way(settings)}"
        if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes(error)):
            hint = advice()
        return kind(f"Could not reach the service at {settings.endpoint} ({reason}).", hint, sent=False)
    if sent is None:  # a request that costs nothing
        return APIConnectionError(
            f"The service at {settings.endpoint} did not answer ({reason}).", "Try again.", sent=None
        )
    if is_too_long:
        what = f"The request was sent, but its answer had not ended after {settings.max_request_s:g} s."
        return APITimeoutError(what, sent=True, suggest=("allow_longer",))
    if is_timeout:
        what = f"The request was sent, but no answer came within {settings.read_timeout_s:g} s."
        return APITimeoutError(what, sent=True, suggest=("wait_longer",))
    return NoResponseError(f"The request was sent, but no answer came ({reason}).", reason=reason)


def _proxy_on_the_way(settings: Settings) -> str:
    url = httpx.URL(settings.endpoint)
    proxies = Proxies() if settings.is_loopback else Proxies.of_environment()
    proxy = proxies.for_address(url.scheme, url.host, url.port)
    return f" It goes through the proxy {proxy.shown}." if proxy else ""


# Failures before a byte of the request goes out. ReadError, WriteError and RemoteProtocolError are none of them:
# a connection that is reset, a kept one as well, may have carried the whole request.
_WITHOUT_CONNECTION = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)
PERMANENT_CONNECT_ERRORS = (
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
    ssl.SSLCertVerificationError,
)
"""Reasons for having no connection that do not pass by waiting."""


def is_permanent(error: BaseException) -> bool:
    """Whether waiting does not help against an error of the transport."""
    return any(isinstance(cause, PERMANENT_CONNECT_ERRORS) for cause in causes(error))


def _drop_frames(error: BaseException, outside: BaseException | None) -> None:
    """Drop all frames below the `with` that catches, of `error` and what led to it; what was `outside` is not ours."""
    # The first frame is the context manager's own. The second holds the `with`, and is what contextlib passes on.
    if error.__traceback__ is not None and error.__traceback__.tb_next is not None:
        error.__traceback__.tb_next.tb_next = None
    for link in causes(error, outside):
        link.__traceback__ = None


def causes(error: BaseException, outside: BaseException | None = None) -> Iterator[BaseException]:
    """Yield all that led to `error`, up to what was `outside`."""
    seen = {id(error), id(outside)}
    links = [error]
    while links:
        link = links.pop()
        within = link.exceptions if isinstance(link, BaseExceptionGroup) else ()
        for cause in (link.__cause__, link.__context__, *within):
            if cause is not None and id(cause) not in seen:
                seen.add(id(cause))
                links.append(cause)
                yield cause
