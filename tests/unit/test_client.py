"""The client against the simulator over real HTTP: both forms, every error, nothing sent twice."""

from __future__ import annotations

import asyncio
import io
import logging
import socket
import sys
import threading
import traceback
import types
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

import gradient_notebook as gn
from gradient_notebook import connect
from gradient_notebook.api import retry
from gradient_notebook.api.error_responses import error_from
from gradient_notebook.api.events import ImageGenCompletedEvent, ImageGenPartialImageEvent
from gradient_notebook.api.models import DEFAULT_MODEL
from gradient_notebook.api.params import ImageGenerateParams
from gradient_notebook.api.retry import Wait
from gradient_notebook.api.settings import Settings
from gradient_notebook.api.transport import Transport, _watched
from gradient_notebook.connect import discover
from gradient_notebook.simulator import Simulator

KEY = "sk-do-for-tests-only"
UPSTREAM = {"error": {"message": "It is wrong.", "type": "invalid_request_error", "code": "bad", "param": "size"}}
PROVIDER = {"id": "bad", "message": "It is wrong.", "request_id": "abc-1"}


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    """A simulator that takes longer than any test."""
    with Simulator(seconds_per_image=600) as service:
        monkeypatch.setenv("GRADIENT_INFERENCE_ENDPOINT", service.url)
        monkeypatch.setenv("GRADIENT_MODEL_ACCESS_KEY", KEY)
        yield service


def run(work: Any) -> Any:
    return asyncio.run(work)


async def generate(settings: Settings | None = None, **params: Any) -> Any:
    async with gn.AsyncClient(settings=settings) as client:
        answer = await client.images.generate(**{"prompt": "hills", "quality": "low", **params})
        return answer if isinstance(answer, gn.ImageGenerateResponse) else [event async for event in answer]


def opened(image_bytes: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(image_bytes))
    image.load()
    return image


def test_the_sdks_example_runs_with_another_import(configured: Simulator) -> None:
    """The example of the SDK's page works with only the import and the class's name changed."""
    client = gn.Client(access_token=KEY)
    response = client.images.generate(prompt="A cute baby sea otter floating on its back in calm blue water")
    print(response.created)
    assert opened(__import__("base64").b64decode(response.data[0].b64_json)).size == (1024, 1024)
    assert response.data[0].revised_prompt
    assert response.usage.output_tokens > 0
    client.close()


@pytest.mark.parametrize("n", [1, 3])
def test_an_answer_has_n_images(configured: Simulator, n: int) -> None:
    """Not streaming, n images come from one request."""
    answer = run(generate(n=n, size="1536x1024"))
    assert [opened(image.image_bytes).size for image in answer.data] == [(1536, 1024)] * n
    assert len({image.image_bytes for image in answer.data}) == n
    assert (answer.size, answer.quality, answer.output_format) == ("1536x1024", "low", "png")
    assert answer.usage.output_tokens == 400 * n
    assert [post.body["n"] for post in configured.posts] == [n]


def test_a_stream_has_partial_images_and_then_the_finished_one(configured: Simulator) -> None:
    """The events come in order, each a whole picture of full size."""
    events = run(generate(stream=True, partial_images=2))
    assert [type(event) for event in events] == [ImageGenPartialImageEvent] * 2 + [ImageGenCompletedEvent]
    assert [event.partial_image_index for event in events[:-1]] == [0, 1]
    assert {opened(event.image_bytes).size for event in events} == {(1024, 1024)}
    assert events[-1].usage.output_tokens == 272 + 2 * 100


def test_n_streams_are_n_requests_of_one_image(configured: Simulator) -> None:
    """Streaming, each image is a request of its own, and each event says which image it is of."""
    events = run(generate(stream=True, partial_images=1, n=3))
    finished = {event.image_index: event.image_bytes for event in events if isinstance(event, ImageGenCompletedEvent)}
    assert sorted(finished) == [0, 1, 2]
    assert len(set(finished.values())) == 3
    assert [post.body["n"] for post in configured.posts] == [1, 1, 1]


def test_one_of_n_streams_that_fails_leaves_the_others(configured: Simulator) -> None:
    """The error is raised after the last event of the others."""
    configured.script([None, {"status": 500}, None])

    async def collect() -> tuple[list[Any], Exception | None]:
        events = []
        async with gn.AsyncClient() as client:
            try:
                async for event in await client.images.generate(prompt="x", n=3, stream=True, partial_images=1):
                    events.append(event)
            except gn.InternalServerError as error:
                return events, error
        return events, None

    events, error = run(collect())
    assert sum(isinstance(event, ImageGenCompletedEvent) for event in events) == 2
    assert error is not None


def test_leaving_a_stream_hangs_up(slow: Simulator) -> None:
    """A stream that is left early closes its connection, in both clients, of one image and of several."""
    wanted = {"prompt": "x", "stream": True, "partial_images": 3}

    async def leave(n: int) -> None:
        async with gn.AsyncClient() as client, await client.images.generate(n=n, **wanted) as events:
            assert await asyncio.to_thread(slow.wait_for, lambda: len(slow.posts) == n)
            assert events is not None

    run(leave(1))
    assert slow.wait_for(lambda: slow.disconnected == 1)
    with gn.Client().images.generate(n=2, **wanted):
        assert slow.wait_for(lambda: len(slow.posts) == 3)
    assert slow.wait_for(lambda: slow.disconnected == 3)


@pytest.mark.parametrize(
    ("body", "status", "kind", "wanted"),
    [
        (PROVIDER, 429, gn.RateLimitError, {}),
        (UPSTREAM, 503, gn.InternalServerError, {"stream": True, "partial_images": 1}),
    ],
    ids=["plain", "stream"],
)
def test_an_error_is_raised_as_its_class(
    configured: Simulator, body: dict[str, Any], status: int, kind: type, wanted: dict[str, Any]
) -> None:
    """Asked for as a stream or not; without retries its request is sent once."""
    configured.script([{"status": status, "body": body, "headers": {"x-request-id": "abc-1", "retry-after": "3"}}])
    with pytest.raises(gn.APIError, match="It is wrong") as caught:
        run(generate(discover(max_retries=0), **wanted))
    assert type(caught.value) is kind
    assert (caught.value.status_code, caught.value.request_id, caught.value.code) == (status, "abc-1", "bad")
    assert caught.value.retry_after_s == 3.0
    assert len(configured.posts) == 1


def test_a_refusal_says_where_and_what_for(configured: Simulator) -> None:
    """A refusal is a class of its own, with its stage and categories, before and during a stream."""
    with pytest.raises(gn.ContentPolicyError, match="refused this prompt") as caught:
        run(generate(prompt="[refuse] this"))
    assert (caught.value.stage, caught.value.categories) == ("input", ("violence",))
    with pytest.raises(gn.ContentPolicyError) as caught:
        run(generate(prompt="[refuse-output] this", stream=True, partial_images=2))
    assert caught.value.stage == "output"


def test_an_unknown_model_answers_with_the_image_models(configured: Simulator) -> None:
    """An error about an unknown model has the models that are there."""
    with pytest.raises(gn.NotFoundError) as caught:
        run(generate(model="gpt-imagine"))
    assert (caught.value.model, caught.value.image_models[0]) == ("gpt-imagine", DEFAULT_MODEL)


def test_models_are_listed(configured: Simulator) -> None:
    """The list of models has all, and says which make images."""
    models = gn.Client().models.list()
    assert models.object == "list"
    assert DEFAULT_MODEL in models.image_models
    assert len(models.image_models) < len(models.data)


@pytest.mark.parametrize(
    ("fault", "kind", "summary", "billed"),
    [
        ({"cut": "before_headers"}, gn.NoResponseError, "The request was sent, but no answer came", True),
        ({"cut": "between_events"}, gn.StreamInterruptedError, "after 1 partial image, ", True),
        ({"cut": "in_final", "reset": True}, gn.StreamInterruptedError, "after 2 partial images", True),
        (
            {"content_type": "text/html", "body_text": "<p>hello"},
            gn.InvalidResponseError,
            "text/html, not an image",
            True,
        ),
        ({"status": 200, "headers": {"content-type": None}}, gn.InvalidResponseError, "is empty", True),
        ({"status": 200}, gn.InvalidResponseError, "is empty", True),
        ({"truncate_base64": True}, gn.InvalidResponseError, "invalid base64", True),
        ({"error_event": {"message": "Overloaded.", "code": "overloaded"}}, gn.APIError, "Overloaded", True),
        ({"redirect": "http://127.0.0.1:9/elsewhere"}, gn.APIStatusError, "redirects, which is not followed", False),
        (
            {"status": 502, "body_text": "<html>", "content_type": "text/html"},
            gn.InternalServerError,
            "no reason",
            True,
        ),
    ],
)
def test_a_broken_answer_is_named_and_never_asked_for_again(
    configured: Simulator, fault: dict[str, Any], kind: type, summary: str, billed: bool
) -> None:
    """Whatever happens after the request went out, it is not sent again."""
    configured.script([fault])
    with pytest.raises(gn.APIError) as caught:
        run(generate(stream=True, partial_images=2))
    error = caught.value
    assert type(error) is kind
    assert summary in error.summary
    assert (error.sent, error.may_be_billed, error.attempts) == (True, billed, 1)
    assert len(configured.posts) == 1
    assert KEY not in "".join(traceback.format_exception(error))


def test_a_stream_that_breaks_behind_its_image_ends_well(configured: Simulator) -> None:
    """The finished image is here: how the connection ended after it does not matter."""
    configured.script([{"cut": "in_tail", "reset": True}])
    assert type(run(generate(stream=True, partial_images=1))[-1]) is ImageGenCompletedEvent


def test_a_slow_drip_is_read_to_its_end(configured: Simulator) -> None:
    """Small pieces make an answer slower, not wrong."""
    configured.script([{"drip": 4096}])
    assert opened(run(generate()).data[0].image_bytes).size == (1024, 1024)


def test_silence_ends_with_the_read_timeout(configured: Simulator) -> None:
    """A service that never answers is given up after the configured time, as sent and perhaps billed."""
    configured.script([{"silence": True}])
    client = gn.Client(settings=discover(read_timeout_s=0.3))
    with pytest.raises(gn.APITimeoutError, match=r"no answer came within 0\.3 s") as caught:
        client.images.generate(prompt="x")
    assert (caught.value.sent, caught.value.may_be_billed, caught.value.suggest) == (True, True, ("wait_longer",))


def test_nobody_listening_is_said_to_be_unsent(monkeypatch: pytest.MonkeyPatch, held: socket.socket) -> None:
    """Without a connection nothing was sent, and the error says so."""
    monkeypatch.setenv("GRADIENT_INFERENCE_ENDPOINT", f"http://127.0.0.1:{held.getsockname()[1]}")
    monkeypatch.setenv("GRADIENT_MODEL_ACCESS_KEY", KEY)
    with pytest.raises(gn.APIConnectionError, match="Could not reach the service") as caught:
        run(generate(discover(max_retries=0)))
    assert type(caught.value) is gn.APIConnectionError
    assert (caught.value.sent, caught.value.may_be_billed) == (False, False)


@pytest.mark.parametrize("is_ours", [True, False], ids=["ours", "the user's own"])
def test_a_request_that_fails_closes_its_connection_where_it_is_its_own(is_ours: bool) -> None:
    """On a connection of the user's client others may be under way, as with HTTP/2: they have been paid for."""
    closed: list[Any] = []

    class Stream:
        async def aclose(self) -> None:
            closed.append(self)

    async def fail() -> None:
        async with _watched(is_ours=is_ours) as watch:
            await watch("connection.connect_tcp.complete", {"return_value": Stream()})
            raise TimeoutError

    with pytest.raises(TimeoutError):
        run(fail())
    assert len(closed) == is_ours


@pytest.fixture
def hanging_up(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A service that takes one request and hangs up: the simulator always lists its models."""
    listening = socket.create_server(("127.0.0.1", 0))

    def hang_up() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(1 << 16)

    monkeypatch.setenv("GRADIENT_INFERENCE_ENDPOINT", f"http://127.0.0.1:{listening.getsockname()[1]}")
    monkeypatch.setenv("GRADIENT_MODEL_ACCESS_KEY", KEY)
    with listening:
        thread = threading.Thread(target=hang_up)
        thread.start()
        yield
        thread.join(30)


def test_a_list_of_models_that_does_not_come_costs_nothing(hanging_up: None) -> None:
    """A request that only reads is neither sent nor unsent, and is never said to be billed."""
    with pytest.raises(gn.APIConnectionError, match="did not answer") as caught:
        gn.Client().models.list()
    assert (caught.value.sent, caught.value.may_be_billed) == (None, False)
    assert "billed" not in str(caught.value)


def test_an_error_in_mid_stream_may_have_been_billed(configured: Simulator) -> None:
    """The work had begun: the error says so."""
    configured.script([{"error_event": {"message": "GPU lost.", "code": "server_error"}}])
    with pytest.raises(gn.APIError, match="GPU lost") as caught:
        run(generate(stream=True, partial_images=1))
    assert (caught.value.sent, caught.value.may_be_billed, caught.value.code) == (True, True, "server_error")
    assert len(configured.posts) == 1


def test_the_images_that_came_are_returned_whatever_became_of_the_others(
    configured: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    """Of three the second is broken: two are paid for and here, and a warning says why they are two."""
    data = [{"b64_json": text} for text in ("AAAA", "@@", "BBBB")]
    configured.script([{"status": 200, "body": {"created": 1, "data": data}}])
    answer = gn.Client().images.generate(prompt="x", n=3)
    assert [image.b64_json for image in answer.data] == ["AAAA", "BBBB"]
    (warning,) = (record for record in caplog.records if record.levelno == logging.WARNING)
    assert "2 of 3 images came: " in warning.getMessage()
    assert "invalid base64" in warning.getMessage()


def test_what_was_answered_once_is_not_said_to_be_unsent(
    configured: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First the service was busy, and then it was gone: no image was generated, but something was sent."""
    monkeypatch.setattr(retry, "BASE_S", 0)
    configured.script([{"status": 429, "headers": {"retry-after": "0"}}])

    def go(wait: Wait | None) -> None:
        configured.stop() if wait else None

    async def send() -> None:
        async with gn.AsyncClient(settings=discover(max_retries=1)) as client:
            await client.images.send(ImageGenerateParams.of({"prompt": "x"}), waiting=go)

    with pytest.raises(gn.APIConnectionError) as caught:
        run(send())
    assert (caught.value.sent, caught.value.attempts) == (False, 2)
    assert "Nothing was sent" not in str(caught.value)
    assert "No image was generated." in str(caught.value)
    assert len(configured.posts) == 1


def kinds(of: type[gn.GradientNotebookError]) -> set[type[gn.GradientNotebookError]]:
    """Return a class of errors and those below it, of the package alone: a test may have one of its own."""
    ours = [below for below in of.__subclasses__() if below.__module__.partition(".")[0] == "gradient_notebook"]
    return {of}.union(*map(kinds, ours))


OURS: dict[type[gn.GradientNotebookError], bool] = {
    gn.GradientNotebookError: False,
    gn.InvalidRequestError: False,
    gn.InvalidSettingsError: False,
    gn.ForkedError: False,
    gn.APIStatusError: False,
    gn.APIConnectionError: False,
    gn.APITimeoutError: False,
    gn.NoResponseError: True,
    gn.StreamInterruptedError: True,
    gn.InvalidResponseError: True,
    gn.BudgetExceededError: False,
    gn.JobCancelledError: False,
}
"""Which errors that no service has answered with may have been billed."""
ANSWERED: list[tuple[int | None, str, str | None, type[gn.APIError], bool]] = [
    (None, "overloaded", None, gn.APIError, True),
    (None, "moderation_blocked", None, gn.ContentPolicyError, False),
    (307, "elsewhere", None, gn.APIStatusError, False),
    (400, "bad", None, gn.BadRequestError, False),
    (400, "moderation_blocked", None, gn.ContentPolicyError, False),
    (401, "unauthorized", None, gn.AuthenticationError, False),
    (403, "forbidden", None, gn.PermissionDeniedError, False),
    (404, "unknown", None, gn.NotFoundError, False),
    (408, "timeout", None, gn.APIStatusError, True),
    (418, "teapot", None, gn.APIStatusError, False),
    (422, "bad", None, gn.UnprocessableEntityError, False),
    (429, "busy", None, gn.RateLimitError, False),
    (429, "busy", "3", gn.RateLimitError, False),
    (500, "failed", None, gn.InternalServerError, True),
    (500, "failed", "3", gn.InternalServerError, True),
    (502, "failed", "3", gn.InternalServerError, True),
    (503, "failed", None, gn.InternalServerError, True),
    (503, "busy", "3", gn.InternalServerError, False),
]
"""Status (None in a stream), code and retry-after; the class, and whether it may have been billed."""


@pytest.mark.parametrize(("status", "code", "retry_after", "kind", "billed"), ANSWERED)
def test_an_error_of_the_service_has_its_class_and_says_whether_it_may_have_been_billed(
    status: int | None, code: str, retry_after: str | None, kind: type, billed: bool
) -> None:
    """In both forms, with its status, code, message and request id; what it says of a bill is what its value is."""
    headers = {"x-request-id": "abc-1", **({"retry-after": retry_after} if retry_after else {})}
    inner = {"message": "It is wrong.", "code": code}
    for body in ({"error": inner}, {"id": code, "message": "It is wrong."}, inner | {"request_id": "abc-1"}):
        error = error_from(
            body, status=status, headers=headers if "request_id" not in body else {**headers, "x-request-id": "x"}
        )
        assert (type(error), error.status_code, error.code, error.request_id) == (kind, status, code, "abc-1")
        assert error.retry_after_s == (3.0 if retry_after and status in (429, 503) else None)
        assert error.may_be_billed is billed
        assert error.sent
        assert error.body["message"] == "It is wrong."
        assert "It is wrong." in str(error)
        assert ("may have been billed" in str(error)) is billed


def test_each_of_our_errors_says_whether_it_may_have_been_billed() -> None:
    """Its class says so where nothing else is known, and else whether it was sent. No class is left out here."""
    assert {kind: kind("w").may_be_billed for kind in OURS} == OURS
    for kind in (gn.APIConnectionError, gn.APITimeoutError, gn.InvalidResponseError, gn.JobCancelledError):
        assert [kind("w", sent=sent).may_be_billed for sent in (None, False, True)] == [False, False, True]
    assert kinds(gn.GradientNotebookError) == OURS.keys() | {kind for *_, kind, _ in ANSWERED}


def test_a_streamed_answer_to_a_plain_request_is_understood(configured: Simulator) -> None:
    """The answer's own content type says how it is read."""
    configured.script([{"content_type": "application/json", "body_text": '{"created":1,"data":[{"b64_json":"AAAA"}]}'}])
    (event,) = run(generate(stream=True, partial_images=2))
    assert (event.image_bytes, event.created_at) == (b"\0\0\0", 1)
    line = 'data: {"type": "image_generation.completed", "b64_json": "AAAA", "created_at": 3, "size": "auto"}\n\n'
    configured.script([{"content_type": "text/event-stream", "body_text": line}])
    answer = run(generate())
    assert (answer.data[0].image_bytes, answer.created, answer.size) == (b"\0\0\0", 3, "auto")


def test_the_key_goes_into_one_header_only(configured: Simulator) -> None:
    """The key arrives at the service, and shows in no repr."""
    client = gn.Client()
    client.images.generate(prompt="x", quality="low")
    assert configured.posts[0].headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in f"{client!r}{client.settings!r}{client._client.settings.key!r}{vars(client)!r}"


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 401, "body": {"id": "unauthorized", "message": f"Bad key {KEY}."}},
        {"error_event": {"message": "no", "details": [f"for {KEY}"]}},
    ],
)
def test_a_key_that_the_service_repeats_is_not_shown(configured: Simulator, fault: dict[str, Any]) -> None:
    """An error has the service's words, but not the key in them."""
    configured.script([fault])
    with pytest.raises(gn.APIError) as caught:
        run(generate(stream=True, partial_images=1))
    assert KEY not in f"{caught.value} {caught.value.body}"
    assert "***" in str(caught.value.body)


@pytest.mark.parametrize("name", ["ALL_PROXY", "SSL_CERT_FILE", "NO_PROXY"])
def test_a_broken_environment_does_not_keep_the_simulator_from_answering(
    configured: Simulator, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """What is wrong with proxies and certificates is no concern of this machine's own service."""
    monkeypatch.setenv(
        name, {"ALL_PROXY": "socks5://nowhere:1", "SSL_CERT_FILE": "/no/such", "NO_PROXY": "fe80::/10"}[name]
    )
    assert run(generate()).data


def test_a_broken_environment_is_told_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a service elsewhere, a proxy that cannot be used is a mistake in the settings."""
    monkeypatch.setenv("ALL_PROXY", "nonsense://nowhere")
    monkeypatch.setenv("MODEL_ACCESS_KEY", KEY)
    with pytest.raises(gn.InvalidSettingsError, match="ALL_PROXY='nonsense://nowhere': there is no proxy of the kind"):
        run(generate())


def test_a_dotenv_file_that_is_no_text_is_told(tmp_path: Any) -> None:
    """A broken `.env` has its name in the message."""
    pytest.importorskip("dotenv")
    (tmp_path / ".env").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(gn.InvalidSettingsError, match=r"\.env cannot be read"):
        discover()


def test_closing_a_client_leaves_the_others_alone(slow: Simulator) -> None:
    """The connections are the package's: a closed `Client` does not hang up on a job."""
    job = gn.submit("x", stream=True, partial_images=1)
    assert slow.wait_for(lambda: len(slow.posts) == 1)
    with gn.Client() as client:
        client.models.list()
    assert job.status == "running"
    assert slow.disconnected == 0
    job.cancel()


def test_loopback_is_never_behind_a_proxy(configured: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of the environment does not stand between the kernel and its own machine."""
    for name in ("HTTP_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert run(generate()).data


def test_a_client_works_from_one_loop_after_another(configured: Simulator) -> None:
    """Connections belong to a loop; the client does not."""
    client = gn.AsyncClient()

    async def generate_once() -> Any:
        async with client:
            return await client.images.generate(prompt="x", quality="low")

    for _ in range(2):
        assert run(generate_once()).data


def test_without_a_key_the_simulator_is_used_and_one_line_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing configured: the embedded simulator, announced once."""
    monkeypatch.setattr(connect, "_is_announced", False)
    with caplog.at_level(logging.WARNING):
        first, second = discover(), discover()
    assert first == second
    assert first.is_loopback
    assert [record.getMessage().count("\n") for record in caplog.records] == [0]
    assert "simulator" in caplog.text


@pytest.mark.parametrize("name", ["GRADIENT_MODEL_ACCESS_KEY", "MODEL_ACCESS_KEY"])
def test_with_a_key_it_is_never_the_simulator(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A key alone means the real service."""
    monkeypatch.setenv(name, KEY)
    settings = discover()
    assert (settings.endpoint, settings.key_source) == ("https://inference.do-ai.run", name)


def test_the_sdks_variable_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two keys the one in the SDK's own variable is taken."""
    monkeypatch.setenv("MODEL_ACCESS_KEY", "sk-do-second")
    monkeypatch.setenv("GRADIENT_MODEL_ACCESS_KEY", KEY)
    assert discover().key.reveal() == KEY


def test_a_secret_of_colab_is_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Colab keeps secrets, the key comes from there; one that is not there or not granted is passed over."""

    def get(name: str) -> str:
        return {"MODEL_ACCESS_KEY": KEY}[name]

    colab = types.ModuleType("google.colab")
    colab.userdata = types.SimpleNamespace(get=get)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "google", types.ModuleType("google"))
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    settings = discover()
    assert (settings.key.reveal(), settings.key_source) == (KEY, "Colab's secret MODEL_ACCESS_KEY")


def test_a_dotenv_file_gives_a_key_and_its_own_endpoint_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """A key may come from `.env`; a key from elsewhere is never sent where a `.env` says."""
    pytest.importorskip("dotenv")
    (tmp_path / ".env").write_text(f"MODEL_ACCESS_KEY={KEY}\nGRADIENT_INFERENCE_ENDPOINT=https://own.example/\n")
    found = discover()
    assert (found.key.reveal(), found.endpoint, found.key_source) == (
        KEY,
        "https://own.example",
        "MODEL_ACCESS_KEY in .env",
    )
    monkeypatch.setenv("MODEL_ACCESS_KEY", "sk-do-other")
    assert discover().endpoint == "https://inference.do-ai.run"


@pytest.mark.parametrize(
    ("key", "endpoint", "words"),
    [
        ("dor_v1_0123", None, "starts with dor_v1_: a refresh token"),
        ("sk do", None, "spaces in it"),
        (" ", None, "is empty"),
        ("sk-do-\u00e9", None, "contains characters that no key has"),
        (KEY, "inference.do-ai.run", "expected https://host"),
        (KEY, "https://host:abc", "expected https://host"),
        (KEY, "https://[::1", "expected https://host"),
        (KEY, "http://inference.do-ai.run", "http would expose the key"),
        (KEY, "https://user:secret@host", "contains a user name or a password"),
    ],
)
def test_settings_that_cannot_be_used_are_refused_before_anything_is_sent(
    key: str, endpoint: str | None, words: str
) -> None:
    """The message says what is wrong and where it came from, never the key."""
    with pytest.raises(gn.InvalidSettingsError, match=words) as caught:
        discover(key=key, endpoint=endpoint)
    assert "0123" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_an_endpoint_without_a_key_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a configuration is a mistake, not the simulator."""
    monkeypatch.setenv("GRADIENT_INFERENCE_ENDPOINT", "https://own.example")
    with pytest.raises(gn.InvalidSettingsError, match="no key for the endpoint"):
        discover()


def test_certificates_are_checked_however_the_scheme_is_written() -> None:
    """`HTTPS://` is as encrypted, and as checked, as `https://`."""
    assert Settings(endpoint="HTTPS://example.com", key="sk-do-x").is_https
    assert not Settings(endpoint="HTTP://127.0.0.1:1", key="sk-do-x").is_https

    async def checks(endpoint: str) -> bool:
        transport = Transport(Settings(endpoint=endpoint, key="sk-do-x"))
        context = transport._http._transport._pool._ssl_context
        await transport.aclose()
        return bool(context and context.check_hostname)

    assert asyncio.run(checks("HTTPS://example.com"))
