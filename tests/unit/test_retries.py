"""What is sent again and what never is, how long is waited, and what the rate limit lets pass."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import math
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time
import traceback
import types
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, suppress
from email.utils import formatdate
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

import gradient_notebook as gn
from gradient_notebook.api import rate_limit, retry, transport
from gradient_notebook.api.error_responses import error_from
from gradient_notebook.api.error_words import describe
from gradient_notebook.api.headers import LONGEST_WINDOW_S, demanded_s
from gradient_notebook.api.rate_limit import RateLimitState, rate_limit_for
from gradient_notebook.api.retry import RetryBudget, Wait, delay_s
from gradient_notebook.api.settings import Settings
from gradient_notebook.connect import discover
from gradient_notebook.simulator import Simulator

from .network import more_of

KEY = "sk-do-for-tests-only"
STREAM = {"stream": True, "partial_images": 1}
NO_HEADERS = dict.fromkeys(["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"])
TRANSPORT = {"httpx", "httpcore", "h11", "h2", "anyio"}


def small_picture() -> str:
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 90).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


SMALL = {"partial_base64": small_picture(), "image_base64": small_picture()}
"""Small images, where what they show does not matter."""


@pytest.fixture(autouse=True)
def hardly_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what a service demands takes time."""
    monkeypatch.setattr(retry, "BASE_S", 0.001)


def limited(**limits: Any) -> Settings:
    return discover(**{"max_retries": 2, "max_wait_s": 20, "read_timeout_s": 30, **limits})


async def send(settings: Settings, told: list[Wait | None] | None = None, **params: Any) -> list[Any]:
    """Return the events of one request; `told` gets what is told of its waits."""
    wanted = gn.ImageGenerateParams.of({"prompt": "hills", "quality": "low", **params})
    on_wait = (lambda _: None) if told is None else told.append
    async with (
        gn.AsyncClient(settings=settings) as client,
        await client.images.send(wanted, waiting=on_wait) as events,
    ):
        return [event async for event in events]


def failed(settings: Settings, told: list[Wait | None] | None = None, **params: Any) -> Any:
    with pytest.raises(gn.GradientNotebookError) as caught:
        asyncio.run(send(settings, told, **params))
    return caught.value


def in_flight(settings: Settings) -> int:
    return rate_limit_for(settings.endpoint, settings.key).pace.in_flight


def busy(wait_s: str = "0.01", status: int = 429) -> dict[str, Any]:
    return {"status": status, "headers": {**NO_HEADERS, "retry-after": wait_s}, "body": {"id": "x", "message": "Busy."}}


# ---------------------------------------------------------------------------------------------- what is sent again

FAULTS: dict[str, tuple[dict[str, Any], type[Exception], int]] = {
    "429 with a time": (busy(), gn.RateLimitError, 3),
    "429 without": ({"status": 429, "headers": NO_HEADERS}, gn.RateLimitError, 3),
    "429 of nonsense": (busy("soon"), gn.RateLimitError, 3),
    "429 without credit": ({**busy(), "body": {"error": {"code": "insufficient_quota"}}}, gn.RateLimitError, 1),
    "429 at the bill's limit": (
        {**busy(), "body": {"error": {"type": "billing_hard_limit_reached"}}},
        gn.RateLimitError,
        1,
    ),
    "503 with a time": (busy(status=503), gn.InternalServerError, 3),
    "503 without": ({"status": 503}, gn.InternalServerError, 1),
    "503 of nonsense": (busy("-1", status=503), gn.InternalServerError, 1),
    "500": ({"status": 500}, gn.InternalServerError, 1),
    "500 with a time": (busy(status=500), gn.InternalServerError, 1),
    "502": ({"status": 502}, gn.InternalServerError, 1),
    "401": ({"status": 401}, gn.AuthenticationError, 1),
    "404": ({"status": 404}, gn.NotFoundError, 1),
    "422": ({"status": 422}, gn.UnprocessableEntityError, 1),
    "307": ({"redirect": "http://127.0.0.1:9/elsewhere"}, gn.APIStatusError, 1),
    "408": (busy(status=408), gn.APIStatusError, 1),
    "429 in a stream": (
        {**SMALL, "error_event": {"code": "rate_limit_exceeded", "message": f"Busy: {KEY}."}},
        gn.APIError,
        1,
    ),
    "silence": ({"silence": True}, gn.APITimeoutError, 1),
    "reset before the headers": ({"cut": "before_headers", "reset": True}, gn.NoResponseError, 1),
    "cut in the headers": ({"cut": "in_headers"}, gn.NoResponseError, 1),
    "cut in the image": ({**SMALL, "cut": "in_final"}, gn.StreamInterruptedError, 1),
}


@pytest.mark.parametrize("name", FAULTS)
def test_only_what_certainly_has_not_reached_the_model_is_sent_again(configured: Simulator, name: str) -> None:
    """Each POST beyond the first may be a second bill: this table is the whole of what may be sent again.

    That no cut is, wherever it is, stands with what becomes of its images, in `test_faults.py`.
    """
    fault, kind, posts = FAULTS[name]
    configured.script([fault] * 3)
    settings = limited(read_timeout_s=0.5 if name == "silence" else 30)
    error = failed(settings, **STREAM)
    assert type(error) is kind
    assert (len(configured.posts), error.attempts) == (posts, posts)
    assert in_flight(settings) == 0


def test_what_is_sent_again_becomes_the_image(configured: Simulator) -> None:
    """A busy service is asked again, and the caller is told why, until when, and when that is over."""
    configured.script([busy(), busy(status=503), SMALL])
    told: list[Wait | None] = []
    assert len(asyncio.run(send(limited(), told))) == 1
    assert [wait and (wait.reason, wait.attempt) for wait in told] == [
        ("The service is busy (429)", 2),
        None,
        ("The service is busy (503)", 3),
        None,
    ]
    assert [post.body for post in configured.posts] == [configured.posts[0].body] * 3


def test_the_public_method_sends_again_too(configured: Simulator) -> None:
    """`generate` waits as `send` does, in each of its forms."""
    configured.script([busy(), SMALL, busy(), SMALL, SMALL])

    async def generate() -> None:
        async with gn.AsyncClient(settings=limited()) as client:
            assert (await client.images.generate(prompt="x")).data
            async with await client.images.generate(prompt="x", n=2, **STREAM) as events:
                assert len([event async for event in events]) == 4

    asyncio.run(generate())
    assert len(configured.posts) == 5


def test_without_retries_nothing_is_sent_again(configured: Simulator) -> None:
    """`max_retries=0` is one attempt."""
    configured.script([busy()])
    assert failed(limited(max_retries=0)).attempts == 1
    assert len(configured.posts) == 1


def test_an_error_knows_whether_waiting_helps(configured: Simulator) -> None:
    """A request that was turned away is not billed; where waiting does not help, nobody is told to wait."""
    configured.script([busy(status=503), {"status": 503}, FAULTS["429 without credit"][0]])
    once = limited(max_retries=0)
    assert (failed(once).may_be_billed, failed(once).may_be_billed) == (False, True)
    error = failed(once)
    assert (error.waiting_helps, error.retry_after_s, error.may_be_billed) == (False, None, False)
    assert "Waiting does not help" in error.hint


# ---------------------------------------------------------------------------------------------- how far it came


class Raw:
    """A server of bare sockets: `serve` is called with each connection, on a thread of its own."""

    def __init__(self, serve: Callable[[socket.socket], None], on: socket.socket | None = None) -> None:
        self._serve = serve
        self._listening = on or socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.connections = 0
        self.received: list[bytes] = []

    def __enter__(self) -> Self:
        self._listening.listen()
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            with connection, suppress(OSError):
                self._serve(connection)

    def request(self, connection: socket.socket) -> bytes:
        """Return one whole request."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += more_of(connection)
        head, _, body = data.partition(b"\r\n\r\n")
        lengths = [line.split(b":")[1] for line in head.lower().splitlines() if line.startswith(b"content-length")]
        while len(body) < int(lengths[0] if lengths else 0):
            body += more_of(connection)
        self.received.append(head.splitlines()[0])
        return body


def reset_early(connection: socket.socket) -> None:
    connection.recv(1)  # before that, not even the headers may have gone out
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.fixture
def keyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIENT_MODEL_ACCESS_KEY", KEY)


def at(port: int, **limits: Any) -> Settings:
    return limited(endpoint=f"http://127.0.0.1:{port}", **limits)


def at_nobody(held: socket.socket, **limits: Any) -> Settings:
    return at(held.getsockname()[1], **limits)


def test_a_service_that_comes_up_gets_the_request(keyed: None, held: socket.socket) -> None:
    """Nobody listening is a reason to try again, and nothing has been lost meanwhile."""
    told = []
    body = json.dumps({"created": 0, "data": [{"b64_json": small_picture()}]}).encode()

    def serve(connection: socket.socket) -> None:
        service.request(connection)
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)

    service = Raw(serve, on=held)
    with ExitStack() as stack:

        def on_wait(wait: Wait | None) -> None:
            told.append(wait)
            if wait is not None:
                stack.enter_context(service)

        async def send() -> int:
            async with gn.AsyncClient(settings=at_nobody(held)) as client:
                wanted = gn.ImageGenerateParams.of({"prompt": "x"})
                async with await client.images.send(wanted, waiting=on_wait) as events:
                    return len([event async for event in events])

        assert asyncio.run(send()) == 1
        assert service.received == [b"POST /v1/images/generations HTTP/1.1"]
    assert [wait and (wait.reason, wait.attempt) for wait in told] == [("Could not reach the service", 2), None]


def test_a_service_that_stays_away_is_given_up(keyed: None, held: socket.socket) -> None:
    """The error says that nothing was sent, and how often that was tried."""
    error = failed(at_nobody(held))
    assert type(error) is gn.APIConnectionError
    assert (error.sent, error.attempts, error.may_be_billed) == (False, 3, False)


def test_a_connection_that_is_reset_early_may_have_carried_the_request(keyed: None) -> None:
    """Once a request has begun to go out, nobody knows how far it came: it is sent once."""
    with Raw(reset_early) as server:
        error = failed(at(server.port))
        assert type(error) is gn.NoResponseError
        assert (error.sent, error.may_be_billed) == (True, True)
        assert server.connections == 1


@pytest.mark.parametrize("is_given", [False, True], ids=["ours", "the user's own"])
def test_no_connection_carries_two_requests(keyed: None, *, is_given: bool) -> None:
    """What a server sends behind its answer answers nothing, and one that hangs up does so under no request."""
    body = json.dumps({"data": [{"b64_json": small_picture()}]}).encode()
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    busy = b"HTTP/1.1 429 Slow down\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n"

    def serve(connection: socket.socket) -> None:
        server.request(connection)
        connection.sendall(answer + busy)
        server.request(connection)  # until the client leaves; one that stays is hung up after its next request

    async def ask() -> None:
        own = httpx.AsyncClient()
        async with own, gn.AsyncClient(settings=at(server.port), http_client=own if is_given else None) as client:
            with suppress(gn.InvalidResponseError):
                await client.models.list()
            for _ in range(3):
                assert len((await client.images.generate(prompt="x")).data) == 1

    with Raw(serve) as server:
        asyncio.run(ask())
        posts = [line for line in server.received if line.startswith(b"POST")]
        assert (len(posts), server.connections) == (3, 4)


def test_no_cookie_is_kept(configured: Simulator) -> None:
    """A service that sets new ones with each answer gets none back, and the requests stay as small as they are."""
    configured.script([{"status": 400, "headers": {"set-cookie": f"name{number}=value"}} for number in range(3)])

    async def ask() -> None:
        async with gn.AsyncClient(settings=discover()) as client:
            for _ in range(3):
                with pytest.raises(gn.BadRequestError):
                    await client.images.generate(prompt="x")

    asyncio.run(ask())
    assert [post.headers for post in configured.posts if "cookie" in post.headers] == []
    assert len(configured.posts) == 3


def test_a_proxy_that_gives_no_tunnel_has_had_nothing(keyed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tunnel that breaks while it is dug has carried no request; one that is forbidden stays so."""

    def serve(connection: socket.socket) -> None:
        server.request(connection)
        if attempts == 1:
            connection.sendall(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")

    with Raw(serve) as server:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{server.port}")
        for attempts in (3, 1):
            server.received.clear()
            error = failed(limited(endpoint="https://inference.example"))
            assert type(error) is gn.APIConnectionError
            assert server.received == [b"CONNECT inference.example:443 HTTP/1.1"] * attempts


def test_a_certificate_that_is_wrong_is_not_waited_for(keyed: None, tmp_path: Path) -> None:
    """A stranger's certificate is a stranger's after a minute, too."""
    if not (openssl := shutil.which("openssl")):
        pytest.skip("openssl makes the certificate")
    wanted = "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=stranger -keyout key.pem -out certificate.pem"
    subprocess.run([openssl, *wanted.split()], cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")

    def serve(connection: socket.socket) -> None:
        context.wrap_socket(connection, server_side=True).close()

    with Raw(serve) as server:
        error = failed(limited(endpoint=f"https://127.0.0.1:{server.port}"))
        assert type(error) is gn.APIConnectionError
        assert "certificate" in str(error).lower()
        assert (error.sent, error.attempts) == (False, 1)
        assert server.connections == 1


def test_a_body_goes_out_once() -> None:
    """Whatever a transport may want to do, it gets the body of a request once."""

    async def twice() -> None:
        outgoing = transport.SingleUseBody(b"paid")
        assert [part async for part in outgoing] == [b"paid"]
        async for _ in outgoing:
            pytest.fail("It was handed out again.")

    with pytest.raises(RuntimeError, match="to send a request twice"):
        asyncio.run(twice())


def test_a_broken_answer_names_its_request(configured: Simulator) -> None:
    """Where headers came before the connection broke, the error knows which request it was."""
    configured.script([{**SMALL, "cut": "in_final", "headers": {"x-request-id": "req-7"}}])

    async def read() -> None:
        async with gn.AsyncClient(settings=limited()) as client:
            response = await client.post("/v1/images/generations", gn.ImageGenerateParams(prompt="x").body())
            body = transport.Body(response, client.settings)
            while await body.read() is not None:
                pass

    with pytest.raises(gn.NoResponseError) as caught:
        asyncio.run(read())
    assert caught.value.request_id == "req-7"


# ---------------------------------------------------------------------------------------------- how long is waited

DATES = {"date": "Wed, 21 Oct 2015 07:28:00 GMT"}
FULL = {"ratelimit-remaining": "0"}
DEMANDS: list[tuple[dict[str, str], float | None]] = [
    ({}, None),
    ({"retry-after": "2.5"}, 2.5),
    ({"retry-after": "0"}, 0.0),
    ({"retry-after": "inf"}, math.inf),
    ({"retry-after": "nan"}, None),
    ({"retry-after": "-3"}, None),
    ({"retry-after": "soon"}, None),
    ({"retry-after": "1 Jan 2020 99999999999999999999:00:00"}, None),
    ({"retry-after": "Wed, 21 Oct 2015 07:28:09 GMT", **DATES}, 9.0),
    ({"retry-after": "Wed, 21 Oct 2015 07:28:09", **DATES}, 9.0),
    ({"retry-after": "Wed, 21 Oct 2015 07:27:00 GMT", **DATES}, 0.0),
    ({"ratelimit-reset": "1445412489", **FULL, **DATES}, 9.0),
    ({"ratelimit-reset": "1445412470", **FULL, **DATES}, 0.0),
    ({"ratelimit-reset": "9", **FULL}, 9.0),
    ({"ratelimit-reset": "9", "ratelimit-remaining": "1"}, None),
    ({"ratelimit-reset": "9"}, None),
    ({"ratelimit-reset": "1445412489000", **FULL, **DATES}, None),  # milliseconds are no window
    ({"retry-after": "2", "ratelimit-reset": "9", **FULL}, 2.0),
    ({"retry-after": "soon", "ratelimit-reset": "9", **FULL}, 9.0),
]


@pytest.mark.parametrize(("headers", "seconds"), DEMANDS)
def test_a_demand_is_read_in_each_of_its_forms(
    monkeypatch: pytest.MonkeyPatch, headers: dict[str, str], seconds: float | None
) -> None:
    """Seconds, a date by the service's own clock, or the reset of a window that is full; nonsense demands nothing."""
    with monkeypatch.context() as here:
        here.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        assert demanded_s(headers) == seconds
    time.tzset()


def test_without_a_date_of_its_own_the_service_has_our_clock() -> None:
    """A date and a reset are measured against the time of this machine where the answer gives none."""
    ahead = formatdate(time.time() + 1_000, usegmt=True)
    assert demanded_s({"retry-after": ahead}) == pytest.approx(1_000, abs=100)
    assert demanded_s({"ratelimit-reset": str(time.time() + 1_000), **FULL}) == pytest.approx(1_000, abs=100)


def first_wait(settings: Settings) -> tuple[Wait, list[Wait | None]]:
    """Return the first wait of a request that is cancelled as soon as it waits, and all that is told of its waits."""
    told: list[Wait | None] = []

    async def cancel() -> None:
        begun = asyncio.Event()

        def on_wait(wait: Wait | None) -> None:
            told.append(wait)
            begun.set()

        async with gn.AsyncClient(settings=settings) as client:
            wanted = gn.ImageGenerateParams.of({"prompt": "x"})
            task = asyncio.create_task(client.images.send(wanted, waiting=on_wait))
            await asyncio.wait_for(begun.wait(), 30)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(cancel())
    assert told[0] is not None
    return told[0], told


@pytest.mark.parametrize(
    "headers", [{"retry-after": "600"}, {"ratelimit-remaining": "0", "ratelimit-reset": "600"}], ids=["time", "reset"]
)
def test_a_wait_is_never_shorter_than_demanded(configured: Simulator, headers: dict[str, str]) -> None:
    """However short our own wait would be, the service's word holds."""
    configured.script([{"status": 429, "headers": {**NO_HEADERS, **headers}}])
    earliest_s = time.monotonic() + 600
    wait, _ = first_wait(limited(max_wait_s=1_000))
    assert wait.until_s >= earliest_s


@pytest.mark.parametrize("demanded", ["30", "4000", "inf", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_wait_that_does_not_fit_is_not_begun(configured: Simulator, demanded: str) -> None:
    """Where the wait would be longer than allowed, the error says immediately how long, and that nothing was billed."""
    configured.script([busy(demanded)])
    told: list[Wait | None] = []
    error = failed(limited(max_wait_s=20), told)
    words = {"30": "Wait 30 s", "4000": "Wait until "}.get(demanded, "Wait a long time")
    assert words in describe(error)[1]
    assert (error.retry_after_s > 20, error.may_be_billed) == (True, False)
    assert told == []
    assert len(configured.posts) == 1


def test_waits_are_bounded_together(configured: Simulator) -> None:
    """Not each wait but all waits of a request have to fit."""
    configured.script([busy("0.2")] * 9)
    error = failed(limited(max_wait_s=0.35, max_retries=9))
    assert (error.attempts, len(configured.posts)) == (2, 2)


def test_cancelling_ends_a_wait_immediately(configured: Simulator) -> None:
    """Cancelling during the countdown does not wait for its end, and nothing is sent after it."""
    configured.script([busy("600")])
    settings = limited(max_wait_s=1_000)
    wait, told = first_wait(settings)
    assert (wait.attempt, told[1:]) == (2, [None])
    assert len(configured.posts) == 1
    assert in_flight(settings) == 0


def test_a_wait_ends_early_when_its_reason_does() -> None:
    """Capacity that another request's answer has shown is used."""
    told: list[Wait | None] = []
    wait = Wait("x", time.monotonic() + 600, 1)
    asyncio.run(asyncio.wait_for(RetryBudget(0, 600).rest(wait, told.append, lambda: True), 30))
    assert told == [wait, None]


# ---------------------------------------------------------------------------------------------- the rate limit


def test_a_full_window_holds_back_every_client_of_the_key(configured: Simulator) -> None:
    """What a job learned of the limit holds for all others of the process, and for no other key."""
    full = {**FULL, "ratelimit-reset": "600"}
    configured.script([{**SMALL, "headers": full}, SMALL])
    earliest_s = time.monotonic() + 600
    gn.submit("x", settings=limited()).exception()
    wait, told = first_wait(limited(max_wait_s=1_000))
    assert (wait.reason, wait.attempt, told[1:]) == ("Rate limit reached", 1, [None])
    assert wait.until_s >= earliest_s
    assert type(failed(limited())) is gn.RateLimitError
    assert len(configured.posts) == 1
    assert asyncio.run(send(limited(key="sk-do-another")))


def test_a_window_is_waited_for_and_then_used(configured: Simulator) -> None:
    """After the reset the request goes out, whatever was known before."""
    configured.script([{**SMALL, "headers": {**FULL, "ratelimit-reset": "0.2"}}, SMALL])
    asyncio.run(send(limited()))
    assert asyncio.run(send(limited()))
    assert len(configured.posts) == 2


def test_a_window_that_is_full_for_long_is_told_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch, keyed: None
) -> None:
    """Any answer tells of the limit; where it is used up for longer than may be waited, no POST is made."""
    with Simulator(requests_per_hour=1) as service:
        monkeypatch.setenv("GRADIENT_INFERENCE_ENDPOINT", service.url)
        gn.Client().models.list()
        told: list[Wait | None] = []
        error = failed(limited(), told)
        assert type(error) is gn.RateLimitError
        assert service.posts == []
    assert told == []
    assert (error.sent, error.attempts, error.may_be_billed) == (False, 1, False)
    assert 3_000 < error.retry_after_s <= 3_601


def test_a_429_holds_back_every_client_of_the_key(configured: Simulator) -> None:
    """One request that is told to wait speaks for all."""
    configured.script([busy("600"), SMALL])
    earliest_s = time.monotonic() + 600
    failed(limited(max_retries=0))
    wait, _ = first_wait(limited(max_wait_s=1_000))
    assert (wait.until_s >= earliest_s, wait.attempt) == (True, 1)
    assert len(configured.posts) == 1


def test_a_429_for_lack_of_credit_holds_back_nobody(configured: Simulator) -> None:
    """What waiting does not help is not waited for by others either."""
    configured.script([{**FAULTS["429 without credit"][0], "headers": {**NO_HEADERS, "retry-after": "600"}}, SMALL])
    failed(limited())
    told: list[Wait | None] = []
    asyncio.run(send(limited(), told))
    assert told == []


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
    """The time, which stands still until it is set: `now_s`."""
    hands = types.SimpleNamespace(now_s=1_000.0)
    stopped = types.SimpleNamespace(monotonic=lambda: hands.now_s)
    monkeypatch.setattr(rate_limit, "time", stopped)
    return hands


def window(remaining: Any, reset: Any) -> dict[str, str]:
    return {"ratelimit-remaining": str(remaining), "ratelimit-reset": str(reset)}


def test_what_is_in_flight_counts_as_used(clock: types.SimpleNamespace) -> None:
    """The last of a window is given to one request; when that is answered, its answer says what is left."""
    state = RateLimitState()
    state.update_from_headers(window(1, 60))
    assert [state.enter(), state.enter()] == [None, 1_060.0]
    state.leave({})
    assert state.enter() is None


def test_a_window_is_forgotten_when_it_is_over(clock: types.SimpleNamespace) -> None:
    """Nobody waits for what no longer holds."""
    state = RateLimitState()
    state.update_from_headers(window(0, 60))
    clock.now_s = 1_059.0
    assert (state.enter(), state.has_opened_before(1_060.0)) == (1_060.0, False)
    clock.now_s = 1_060.0
    assert state.enter() is None


def test_answers_may_overtake_one_another(clock: types.SimpleNamespace) -> None:
    """Of one window the least that was left is true; of two windows the newer one."""
    state = RateLimitState()
    state.update_from_headers(window(0, 60))
    state.update_from_headers(window(3, 60))
    state.update_from_headers(window(9, 20))
    assert state.enter() == 1_060.0
    state.update_from_headers(window(2, 90))
    state.update_from_headers(window(0, 60))
    assert state.enter() is None


def test_a_reset_that_is_pushed_on_by_every_answer_comes_all_the_same(clock: types.SimpleNamespace) -> None:
    """A server that always names the next second does not stop a key for ever."""
    state = RateLimitState()
    state.update_from_headers(window(0, 1))
    for _ in range(4):
        clock.now_s += 0.5
        state.update_from_headers(window(1, 1))
    assert state.enter() is None


def test_a_wrong_word_does_not_stop_a_key_for_ever(clock: types.SimpleNamespace) -> None:
    """For other requests a 429 is believed for an hour at most, and a reset in a week not at all."""
    state = RateLimitState()
    state.update_from_headers(window(0, 7 * 86_400))
    assert state.enter() is None
    state.block_for(math.inf)
    assert state.enter() == 1_000.0 + rate_limit.LONGEST_HOLD_S


def test_a_429_goes_before_what_its_window_says(clock: types.SimpleNamespace) -> None:
    """A service that says when to come back has capacity then."""
    state = RateLimitState()
    state.update_from_headers(window(0, 600))
    state.block_for(5)
    assert state.enter() == 1_005.0


def test_a_rate_limit_counts_right_from_many_threads() -> None:
    """However many ask at the same moment, no more pass than the window allows."""
    state = RateLimitState()
    state.update_from_headers(window(50, 3_600))
    passed: list[bool] = []

    def ask() -> None:
        for _ in range(50):
            passed.append(state.enter() is None)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(passed), sum(passed)) == (400, 50)


# ---------------------------------------------------------------------------------------------- whatever it is told

chances = st.floats(0, 1)
seconds_texts = st.one_of(
    st.text(max_size=40),
    st.floats().map(str),
    st.integers().map(str),
    st.datetimes().map(lambda moment: moment.strftime("%a, %d %b %Y %H:%M:%S GMT")),
    st.sampled_from(["Mon, 01 Jan 0001 00:00:00 +2359", "1 Jan 99999999999999999999", "1_0", "٣", " 5 ", "1e400"]),
)
header_names = st.sampled_from(["retry-after", "ratelimit-reset", "ratelimit-remaining", "date"])


@given(st.integers(1, 10_000), st.one_of(st.none(), st.floats(0)), chances)
@example(10_000, None, 1.0)
def test_a_delay_lies_between_what_is_demanded_and_our_longest(
    attempt: int, demanded: float | None, chance: float
) -> None:
    """Never less than demanded, never more than that and a second, or than 30 s, and never nothing."""
    delay = delay_s(attempt, demanded, chance)
    assert delay > 0
    assert delay >= (demanded or 0)
    assert delay <= max(retry.CAP_S, (demanded or 0) + retry.SPREAD_S)


def test_delays_double_up_to_half_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second, a whole one, two: the last is 30 s; chance takes up to half of each."""
    monkeypatch.undo()
    assert [delay_s(retry, None, 1.0) for retry in range(1, 9)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert [delay_s(retry, None, 0.0) for retry in range(1, 9)] == [0.25, 0.5, 1, 2, 4, 8, 15, 15]


@given(st.dictionaries(header_names, seconds_texts))
def test_no_header_raises_or_stops_anything_for_ever(headers: dict[str, str]) -> None:
    """Whatever a header holds, a demand is a number or nothing, and no key is stopped for more than a day."""
    demanded = demanded_s(headers)
    assert demanded is None or demanded >= 0
    state = RateLimitState()
    state.update_from_headers(headers)
    until_s = state.enter()
    assert until_s is None or until_s <= time.monotonic() + LONGEST_WINDOW_S
    describe(error_from({}, status=429, headers=headers))


@given(st.one_of(st.none(), st.floats(0)), st.floats(0), st.integers(0, 5))
def test_a_wait_fits_into_what_is_left(demanded: float | None, left_s: float, retries: int) -> None:
    """No wait is longer than all that may be waited, and none has no end."""
    budget = RetryBudget(retries, left_s)
    wait = budget.retry("x", demanded)
    assert retries or wait is None
    if wait is not None:
        assert math.isfinite(wait.until_s)
        assert wait.until_s <= time.monotonic() + left_s


# ---------------------------------------------------------------------------------------------- what a traceback shows


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and all that led to it, those within groups, too."""
    links: list[BaseException | None] = [error]
    seen: set[int] = set()
    while links:
        link = links.pop()
        if link is not None and id(link) not in seen:
            seen.add(id(link))
            links += [link.__cause__, link.__context__, *getattr(link, "exceptions", ())]
            yield link


def assert_no_frame_shows_the_key(error: BaseException) -> None:
    for link in causes(error):
        for frame, _ in traceback.walk_tb(link.__traceback__):
            assert frame.f_globals["__name__"].split(".")[0] not in TRANSPORT
            assert KEY not in repr(frame.f_locals)


@pytest.mark.parametrize(
    "name",
    ["429 with a time", "500", "307", "429 in a stream", "silence", "reset before the headers", "cut in the image"],
)
def test_no_frame_of_an_error_shows_the_key(configured: Simulator, name: str) -> None:
    """A traceback with locals shows no key, and nothing of the transport, which has it in its headers."""
    configured.script([FAULTS[name][0]] * 3)
    error = failed(limited(read_timeout_s=0.5 if name == "silence" else 30), **STREAM)
    assert_no_frame_shows_the_key(error)


def test_no_frame_of_a_failed_connection_shows_the_key(keyed: None, held: socket.socket) -> None:
    """Neither a refused connection nor one that is reset leaves a frame of the transport, and the cause is still named."""
    error = failed(at_nobody(held, max_retries=1))
    assert len(list(causes(error))) > 2
    assert_no_frame_shows_the_key(error)
    with Raw(reset_early) as server:
        assert_no_frame_shows_the_key(failed(at(server.port)))


def cancelled(settings: Settings, is_time: Callable[[], Awaitable[object]], **params: Any) -> BaseException:
    """Return what a task raises that is cancelled when it is time."""

    async def cancel() -> BaseException:
        task = asyncio.create_task(send(settings, **params))
        await is_time()
        task.cancel()
        try:
            await task
        except asyncio.CancelledError as error:
            return error
        pytest.fail("It was not cancelled.")

    return asyncio.run(cancel())


def test_no_frame_of_a_cancellation_shows_the_key(configured: Simulator) -> None:
    """Cancelling while waiting for the headers or the rest of an answer shows no frame of the transport."""

    def posted(count: int) -> Callable[[], Awaitable[object]]:
        return lambda: asyncio.to_thread(configured.wait_for, lambda: len(configured.posts) == count)

    configured.script([{"silence": True}, {**SMALL, "silence": True, "cut": "between_events"}])
    assert_no_frame_shows_the_key(cancelled(limited(), posted(1)))
    assert_no_frame_shows_the_key(cancelled(limited(), posted(2), **STREAM))


def test_no_frame_of_a_cancellation_while_sending_shows_the_key(keyed: None) -> None:
    """Cancelling while the request goes out shows no frame of the transport."""
    arrived, over = threading.Event(), threading.Event()

    def serve(connection: socket.socket) -> None:
        connection.recv(1)
        arrived.set()
        over.wait()

    with Raw(serve) as server:
        settings = at(server.port)
        error = cancelled(settings, lambda: asyncio.to_thread(arrived.wait), extra={"padding": "x" * 16_000_000})
        over.set()
    assert_no_frame_shows_the_key(error)
    assert in_flight(settings) == 0


def test_frames_of_the_caller_are_left_alone(keyed: None, held: socket.socket) -> None:
    """An error that the caller was handling keeps its traceback: it is none of ours."""

    async def while_handling() -> None:
        try:
            raise ValueError("first")
        except ValueError:
            await send(at_nobody(held, max_retries=0))

    with pytest.raises(gn.APIConnectionError) as caught:
        asyncio.run(while_handling())
    (first,) = [link for link in causes(caught.value) if isinstance(link, ValueError)]
    assert first.__traceback__ is not None
