"""Jobs against everything that can go wrong on the way, over real HTTP.

Each fault has its class of error, keeps the partial images that came, says whether it may have been billed and which
request it was, and shows the key nowhere; and what may have reached the model is never sent again.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import io
import logging
import os
import socket
import struct
import threading
import traceback
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import EpsImagePlugin, Image

import gradient_notebook as gn
from gradient_notebook.api import bounds, retry
from gradient_notebook.connect import discover
from gradient_notebook.jobs import event_loop
from gradient_notebook.simulator import Simulator
from gradient_notebook.simulator.faults import CUTS

KEY = "sk-do-for-tests-only"
PLAIN: dict[str, Any] = {}
STREAM: dict[str, Any] = {"stream": True, "partial_images": 2}
IMPATIENT_S = 0.6
"""A read timeout that a test waits for; any other waits for much longer than a test takes."""


def png(pixels: int) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((pixels, pixels), 90).save(buffer, "PNG")
    return buffer.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def bomb(pixels: int) -> bytes:
    """Return a PNG of a few kB that takes `pixels` squared bits to unpack, or more once it is converted."""
    header = struct.pack(">IIBBBBB", pixels, pixels, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((pixels // 8 + 1) * pixels), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def text_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


PICTURE = png(64)
PAGE = b"<!doctype html><title>Sign in</title>"
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"
SMALL = {"partial_base64": text_of(png(8)), "image_base64": text_of(PICTURE)}
"""Small images, where what they show does not matter."""


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """All that any library logs, however talkative it is told to be."""
    caplog.set_level(logging.DEBUG)
    return caplog


def order(params: dict[str, Any], **limits: Any) -> gn.Job:
    usual = {"max_retries": 2, "max_wait_s": 5, "read_timeout_s": 60}
    return gn.submit("hills", settings=discover(**usual | limits), quality="low", **params)


def ended(params: dict[str, Any], **limits: Any) -> gn.Job:
    job = order(params, **limits)
    job._wait()
    return job


def raised(job: gn.Job) -> gn.GradientNotebookError:
    """Return the error of a job that has no image, as `result` raises it."""
    with pytest.raises(gn.GradientNotebookError) as caught:
        job.result()
    return caught.value


def request_of(error: gn.GradientNotebookError) -> tuple[bool | None, bool, str | None]:
    """Return what an error says of its request: whether it was sent and may have been billed, and its id."""
    return error.sent, error.may_be_billed, error.request_id


def assert_the_key_is_hidden(job: gn.Job, folder: Path, log: str = "") -> None:
    """The key stands in no text that an error has, in no log, and in no file."""
    error = raised(job)
    said = [str(error), repr(error), repr(error.args), repr(vars(error)), repr(job), repr(job._slots), log]
    said += traceback.format_exception(error)
    assert [text for text in said if KEY in text] == []
    assert [path for path in folder.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()] == []


# ---------------------------------------------------------------------------------------------- cuts and silence


@dataclass(frozen=True, kw_only=True)
class Ending:
    """What becomes of an answer that stops somewhere: the error (None: the image is there), and the partial images."""

    error: type[Exception] | None = gn.StreamInterruptedError
    partials: int = 0


ENDINGS = {
    "before_headers": Ending(error=gn.NoResponseError),
    "in_headers": Ending(error=gn.NoResponseError),
    "in_partial": Ending(),
    "between_events": Ending(partials=1),
    "in_name": Ending(partials=2),
    "in_final": Ending(partials=2),
    "after_base64": Ending(partials=2),
    "in_tail": Ending(error=None, partials=2),
    "before_blank_line": Ending(error=None, partials=2),
}
MANNERS: dict[str, dict[str, Any]] = {"closed": {}, "reset": {"reset": True}, "silent": {"silence": True}}


def test_a_stream_is_cut_everywhere() -> None:
    """The table has every place that there is."""
    assert tuple(ENDINGS) == CUTS


# Before the headers, in the body and behind the image: an answer is given up in these three places, however it stops.
@pytest.mark.parametrize(
    ("cut", "manner"),
    [
        *[(cut, "closed") for cut in ENDINGS],
        *[(cut, manner) for cut in ("before_headers", "in_final", "in_tail") for manner in ("reset", "silent")],
    ],
)
def test_a_stream_that_stops_keeps_what_has_come(
    configured: Simulator, logged: pytest.LogCaptureFixture, tmp_path: Path, cut: str, manner: str
) -> None:
    """Wherever a stream stops, and however: one request, the partial images, and a finished image is never lost."""
    configured.script([SMALL | {"cut": cut, "headers": {"x-request-id": "req-7"}} | MANNERS[manner]])
    job = ended(STREAM, **({"read_timeout_s": IMPATIENT_S} if manner == "silent" else {}))
    ending = ENDINGS[cut]
    assert len(configured.posts) == 1
    assert len(job.partials) == ending.partials
    if ending.error is None:
        assert job._slots[0].image_bytes == PICTURE
        assert job.result() is job.images[0]
        return
    error = raised(job)
    silent_from_the_start = (cut, manner) == ("before_headers", "silent")
    assert type(error) is (gn.APITimeoutError if silent_from_the_start else ending.error)
    assert request_of(error) == (True, True, None if cut in ("before_headers", "in_headers") else "req-7")
    assert getattr(error, "partials_seen", 0) == ending.partials
    assert (job.status, error.record_id) == ("unknown", job.id)
    assert_the_key_is_hidden(job, tmp_path, logged.text)


@pytest.mark.parametrize(("cut", "manner"), [("in_tail", "closed"), ("before_blank_line", "silent")])
def test_an_answer_that_stops_behind_its_image_has_its_image(configured: Simulator, cut: str, manner: str) -> None:
    """Not streaming, too, an image that came whole is paid for, kept and given, whatever is missing after it."""
    configured.script([SMALL | {"cut": cut} | MANNERS[manner]])
    job = ended(PLAIN, **({"read_timeout_s": IMPATIENT_S} if manner == "silent" else {}))
    assert job.result() is job.images[0]
    assert job._slots[0].path.read_bytes() == PICTURE
    assert len(configured.posts) == 1


@pytest.mark.parametrize(("cut", "manner"), [("in_name", "closed"), ("in_final", "reset"), ("after_base64", "silent")])
def test_an_answer_that_stops_may_have_been_billed(
    configured: Simulator, logged: pytest.LogCaptureFixture, tmp_path: Path, cut: str, manner: str
) -> None:
    """Not streaming, an answer that is not whole is none, and it says what it may have cost and which request it was."""
    configured.script([SMALL | {"cut": cut, "headers": {"x-request-id": "req-7"}} | MANNERS[manner]])
    job = ended(PLAIN, **({"read_timeout_s": IMPATIENT_S} if manner == "silent" else {}))
    error = raised(job)
    assert type(error) is gn.StreamInterruptedError
    assert request_of(error) == (True, True, "req-7")
    assert len(configured.posts) == 1
    assert_the_key_is_hidden(job, tmp_path, logged.text)


# ---------------------------------------------------------------------------------------------- connections


class Listener:
    """A socket that listens and answers nothing: what HTTP servers cannot do."""

    def __init__(self, backlog: int = 8) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=backlog)
        self.address = self.socket.getsockname()
        self.socket.settimeout(10)

    def accepted(self) -> socket.socket:
        connection, _ = self.socket.accept()
        connection.settimeout(10)
        return connection


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    listening = Listener()
    with listening.socket:
        configure(monkeypatch, listening.address)
        yield listening


def configure(monkeypatch: pytest.MonkeyPatch, address: tuple[str, int]) -> None:
    monkeypatch.setenv("GRADIENT_INFERENCE_ENDPOINT", f"http://{address[0]}:{address[1]}")
    monkeypatch.setenv("GRADIENT_MODEL_ACCESS_KEY", KEY)


def until_its_end(connection: socket.socket) -> bytes:
    """Return what the client sends until it hangs up."""
    received = b""
    try:
        while data := connection.recv(1 << 16):
            received += data
    except ConnectionResetError:
        return received
    return received


@pytest.mark.parametrize("params", [PLAIN, STREAM])
def test_a_refused_connection_is_unsent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, held: socket.socket, params: Any
) -> None:
    """Where nobody listens, nothing was sent, and nothing can have been billed."""
    configure(monkeypatch, held.getsockname())
    job = ended(params, max_retries=0)
    error = raised(job)
    assert type(error) is gn.APIConnectionError
    assert request_of(error) == (False, False, None)
    assert job.status == "failed"
    assert_the_key_is_hidden(job, tmp_path)


@pytest.mark.parametrize("params", [PLAIN, STREAM])
def test_a_reset_before_the_body_was_read_is_not_tried_again(
    listener: Listener, tmp_path: Path, params: dict[str, Any]
) -> None:
    """A connection that was made and then reset may have carried the request: it is not made again."""
    job = order(params, read_timeout_s=5)  # were it to connect again, nobody would answer
    connection = listener.accepted()
    connection.recv(1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    job._wait()
    error = raised(job)
    assert type(error) is gn.NoResponseError
    assert request_of(error) == (True, True, None)
    assert_nobody_connects(listener)
    assert_the_key_is_hidden(job, tmp_path)


def assert_nobody_connects(listener: Listener) -> None:
    listener.socket.settimeout(0)
    with pytest.raises(BlockingIOError):
        listener.accepted()


# ---------------------------------------------------------------------------------------------- answers that are none


@dataclass(frozen=True, kw_only=True)
class Wrong:
    """An answer that came whole, and is not what it should be."""

    fault: dict[str, Any]
    words: str
    error: type[Exception] = gn.InvalidResponseError
    partials: int = 0
    kept: bytes = b""
    """The file that is on disk all the same."""


TRUNCATED = text_of(PICTURE).encode()[: len(text_of(PICTURE)) // 8 * 4 - 3]
WRONG_PICTURES = {
    "page": PAGE,
    "half a PNG": PICTURE[: len(PICTURE) // 2],
    "bomb": bomb(12_000),
}
WRONG = {
    "no answer": Wrong(fault={"content_type": "text/html", "body_text": PAGE.decode()}, words="text/html"),
    "base64": Wrong(fault={"truncate_base64": True}, words="invalid base64", partials=2, kept=TRUNCATED),
    "nothing": Wrong(fault={"image_base64": ""}, words="contains no image", partials=2),
    "error": Wrong(
        fault={"error_event": {"message": f"Overloaded by {KEY}."}},
        words="Overloaded by",
        error=gn.APIError,
        partials=1,
    ),
    **{
        name: Wrong(fault={"image_base64": text_of(data)}, words=f"({len(data):,} bytes)", partials=2, kept=data)
        for name, data in WRONG_PICTURES.items()
    },
}


@pytest.mark.parametrize(
    ("name", "params"),
    [*[(name, STREAM) for name in WRONG], ("base64", PLAIN), ("error", PLAIN), ("half a PNG", PLAIN)],
)
def test_an_answer_that_is_no_image_is_named_and_kept(
    configured: Simulator, logged: pytest.LogCaptureFixture, tmp_path: Path, name: str, params: dict[str, Any]
) -> None:
    """What came instead of an image is named, its bytes are on disk, and it is not asked for again."""
    wrong = WRONG[name]
    configured.script([SMALL | wrong.fault | {"headers": {"x-request-id": "req-7", **wrong.fault.get("headers", {})}}])
    job = ended(params)
    error = raised(job)
    assert isinstance(error, wrong.error)
    assert wrong.words in error.summary
    is_refused = name == "error" and not params  # not streaming, the simulator says it before it begins
    assert request_of(error) == (True, not is_refused, "req-7")
    assert len(job.partials) == (wrong.partials if params else 0)
    assert len(configured.posts) == 1
    if wrong.kept:
        assert job._slots[0].path.read_bytes() == wrong.kept
        assert error.path == str(job._slots[0].path)
    assert_the_key_is_hidden(job, tmp_path, logged.text)


@pytest.mark.skipif(os.name != "posix", reason="the interpreter here is a shell script")
def test_a_picture_starts_no_program(configured: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostScript is a program: what comes over the network is never handed to its interpreter."""
    interpreter = tmp_path / "bin" / "gs"
    interpreter.parent.mkdir()
    interpreter.write_text(f"#!/bin/sh\ntouch '{tmp_path}/ran'\n")
    interpreter.chmod(0o700)
    monkeypatch.setenv("PATH", f"{interpreter.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    configured.script([{"image_base64": text_of(EPS)}])
    assert type(raised(ended(PLAIN))) is gn.InvalidResponseError
    assert not (tmp_path / "ran").exists()


# ---------------------------------------------------------------------------------------------- errors


BODIES: dict[str, dict[str, Any]] = {
    "upstream": {"body": {"error": {"message": f"Wrong: {KEY}.", "type": "x", "code": "bad", "param": "size"}}},
    "provider": {"body": {"id": "bad", "message": f"Wrong: {KEY}.", "request_id": "req-7"}},
    "page": {"body_text": f"<h1>Bad gateway</h1>{KEY}", "content_type": "text/html"},
    "nothing": {},
}
LIMITS = {"ratelimit-limit": "250", "ratelimit-remaining": "0", "ratelimit-reset": "1700000000"}
FULL = {"x-request-id": "req-7", "retry-after": "0.05", **LIMITS}
BARE = dict.fromkeys(["x-request-id", *LIMITS])


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits as short as the service says."""
    monkeypatch.setattr(retry, "BASE_S", 0.01)


# Which status is which class is told in `test_client.py`, and what is sent again in `test_retries.py`.
@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize(
    ("form", "status", "kind", "headers", "params"),
    [
        ("upstream", 429, gn.RateLimitError, FULL, PLAIN),
        ("provider", 401, gn.AuthenticationError, BARE, STREAM),
        ("page", 502, gn.InternalServerError, FULL, STREAM),
        ("nothing", 503, gn.InternalServerError, BARE, PLAIN),
    ],
)
def test_a_job_that_the_service_refuses_has_its_error(  # noqa: PLR0917 - a table of five
    configured: Simulator,
    logged: pytest.LogCaptureFixture,
    tmp_path: Path,
    form: str,
    status: int,
    kind: type,
    headers: dict[str, Any],
    params: dict[str, Any],
) -> None:
    """Each kind of body, with or without headers, is an error with what is known; 429 is tried again."""
    configured.script([{"status": status, "headers": headers, **BODIES[form]}] * 3)
    turned_away = headers is FULL and status in (429, 503)
    job = ended(params, max_retries=2 if headers is FULL else 0)
    error = raised(job)
    assert type(error) is kind
    assert error.status_code == status
    assert ("Wrong: ***." in str(error)) == (form in ("upstream", "provider"))
    assert error.param == ("size" if form == "upstream" else None)
    request_id = "req-7" if headers is FULL or form == "provider" else None
    assert request_of(error) == (True, status >= 500 and not turned_away, request_id)
    assert error.attempts == len(configured.posts) == (3 if turned_away else 1)
    assert_the_key_is_hidden(job, tmp_path, logged.text)


@pytest.mark.parametrize(
    "answer", [{"error": {"message": "no", KEY: [KEY]}}, {"message": "no", "keys": {KEY: {KEY: 1}}}]
)
def test_a_key_that_is_a_name_is_hidden(configured: Simulator, tmp_path: Path, answer: dict[str, Any]) -> None:
    """A service that repeats the key as the name of a field has it shown no more than as a value."""
    configured.script([{"status": 401, "body": answer}])
    assert_the_key_is_hidden(ended(STREAM), tmp_path)


@pytest.mark.parametrize("status", [303, 307])
def test_a_redirect_takes_the_key_nowhere(configured: Simulator, tmp_path: Path, status: int) -> None:
    """Another host that an answer points to receives nothing at all, and the advice says where that was."""
    with Simulator(seconds_per_image=0) as other:
        place = f"{other.url}/v1/images/generations?key={KEY}"
        configured.script([{"redirect": place, "status": status, "headers": {"x-request-id": "req-7"}}])
        job = ended(STREAM)
        assert other.requests == []
    error = raised(job)
    assert type(error) is gn.APIStatusError
    assert other.url in error.hint
    assert request_of(error) == (True, False, "req-7")
    assert len(configured.posts) == 1
    assert_the_key_is_hidden(job, tmp_path)


# ---------------------------------------------------------------------------------------------- too much, too slow


@pytest.mark.parametrize("params", [PLAIN, STREAM], ids=["plain", "stream"])
def test_a_slow_drip_is_an_image(configured: Simulator, params: dict[str, Any]) -> None:
    """An answer that comes byte by byte is the same answer."""
    configured.script([SMALL | {"drip": 1}])
    job = ended(params)
    assert (job._slots[0].image_bytes, len(job.partials)) == (PICTURE, 2 if params else 0)


def ended_soon(params: dict[str, Any]) -> gn.Job:
    """Return a job that has ended; one that goes on is cancelled before it has filled the memory."""
    job = order(params)
    try:
        job._ended.result(timeout=15)
    finally:
        job.cancel()
    return job


STREAMED, WHOLE = "text/event-stream", "application/json"
ENDLESS = {
    "a line": {"content_type": STREAMED, "body_text": "data: ", "endless": "endless "},
    "a comment": {"content_type": STREAMED, "body_text": ": ", "endless": "endless "},
    "lines of one event": {"content_type": STREAMED, "endless": f"data: {'endless ' * 500}\n"},
    "an image": {"content_type": STREAMED, "body_text": 'data: {"b64_json": "', "endless": "AAAA"},
    "an image with spaces": {"content_type": STREAMED, "body_text": 'data: {"b64_json": "', "endless": "AAA "},
    "a text": {"content_type": WHOLE, "body_text": '{"created": "', "endless": "endless "},
    "an image of JSON": {"content_type": WHOLE, "body_text": '{"data": [{"b64_json": "', "endless": "AAAA"},
    "images of JSON": {
        "content_type": WHOLE,
        "body_text": '{"data": [',
        "endless": f'{{"b64_json": "{"A" * 400_000}"}}, ',
    },
}


@pytest.mark.parametrize(
    "name",
    [name if name in ("a line", "an image") else pytest.param(name, marks=pytest.mark.slow) for name in ENDLESS],
)
def test_an_endless_answer_is_left(
    configured: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """What has no end fills no memory: it is an error at some size, and the client hangs up."""
    for bound in ("MAX_TEXT_BYTES", "MAX_IMAGE_BYTES", "MAX_WAITING_BYTES"):  # in `test_bounds` they are what they are
        monkeypatch.setattr(bounds, bound, getattr(bounds, bound) // 32)
    configured.script([ENDLESS[name] | {"headers": {"x-request-id": "req-7"}}])
    job = ended_soon(STREAM)
    error = raised(job)
    assert type(error) is gn.InvalidResponseError
    assert request_of(error) == (True, True, "req-7")
    assert configured.wait_for(lambda: configured.disconnected == 1)
    assert len(configured.posts) == 1
    assert_the_key_is_hidden(job, tmp_path)


def test_an_endless_error_is_left(configured: Simulator) -> None:
    """Also the body of an error is read to a bound only."""
    configured.script([{"status": 500, "content_type": "text/html", "endless": "endless "}])
    assert type(raised(ended_soon(STREAM))) is gn.InternalServerError
    assert configured.wait_for(lambda: configured.disconnected == 1)


@pytest.mark.parametrize("count", [3_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_small_events_are_passed_over(configured: Simulator, count: int) -> None:
    """Comments, events of unknown type and partial images, however many, do not keep the image from coming."""
    configured.script([SMALL | {"events": count}])
    job = ended(STREAM)
    assert job._slots[0].image_bytes == PICTURE
    assert job._slots[0].partials[-1] == base64.b64decode(SMALL["partial_base64"])


@pytest.mark.parametrize("partials", [0, 9])
def test_more_or_fewer_partial_images_than_asked_for_are_taken(configured: Simulator, partials: int) -> None:
    """Nobody waits for a number of partial images, and those that come are kept."""
    configured.script([SMALL | {"partials": partials}])
    job = ended(STREAM)
    assert (job._slots[0].image_bytes, len(job.partials)) == (PICTURE, partials)


# ---------------------------------------------------------------------------------------------- interrupted


async def tasks() -> set[asyncio.Task[Any]]:
    return asyncio.all_tasks() - {asyncio.current_task()}  # type: ignore[arg-type]


@contextmanager
def nothing_left_behind() -> Iterator[None]:
    """What is under way on the package's loop afterwards was so before."""
    before = event_loop.run(tasks())
    yield
    assert event_loop.run(tasks()) - before == set()


def cancelled(job: gn.Job) -> gn.Job:
    job.cancel()
    assert type(raised(job)) is gn.JobCancelledError
    assert job.status == "cancelled"
    return job


def wait_until(job: gn.Job, holds: Callable[[gn.Job], Any]) -> None:
    """Return as soon as `holds(job)`, looked at whenever the job has changed."""
    reached = threading.Event()

    def look(job: gn.Job) -> None:
        if holds(job):
            reached.set()

    job._observe(look)
    look(job)  # it may have been so before
    assert reached.wait(10)


def partials(job: gn.Job) -> int:
    return sum(len(slot.partials) for slot in job._slots)


@pytest.mark.parametrize("cut", ["before_headers", "in_headers", "in_partial", "in_final"])
def test_a_stream_is_interrupted_anywhere(configured: Simulator, tmp_path: Path, cut: str) -> None:
    """Cancelling hangs up wherever the answer has got to, keeps the partial images, and leaves nothing running."""
    configured.script([SMALL | {"cut": cut, "silence": True}])
    with nothing_left_behind():
        job = order(STREAM)
        assert configured.wait_for(lambda: len(configured.posts) == 1)
        wait_until(job, lambda job: partials(job) == ENDINGS[cut].partials)
        cancelled(job)
        assert configured.wait_for(lambda: configured.disconnected == 1)
    assert len(job.partials) == ENDINGS[cut].partials
    assert len(configured.posts) == 1
    assert_the_key_is_hidden(job, tmp_path)


def test_a_final_event_that_drips_is_interrupted(configured: Simulator) -> None:
    """Cancelling does not wait for an image that is on its way."""
    configured.script([SMALL | {"drip": 1, "partials": 1, "image_base64": text_of(bytes(10_000_000))}])
    with nothing_left_behind():
        job = order(STREAM)
        wait_until(job, partials)
        assert len(cancelled(job).partials) == 1
        assert configured.wait_for(lambda: configured.disconnected == 1)


def test_all_streams_of_a_job_are_interrupted(configured: Simulator) -> None:
    """Of n images in the making, each is hung up, and each keeps its partial image."""
    configured.script([SMALL | {"cut": "between_events", "silence": True}] * 3)
    with nothing_left_behind():
        job = order(STREAM | {"n": 3})
        wait_until(job, lambda job: partials(job) == 3)
        assert [len(slot.partials) for slot in cancelled(job)._slots] == [1, 1, 1]
        assert configured.wait_for(lambda: configured.disconnected == 3)


def test_a_wait_for_the_next_try_is_interrupted(configured: Simulator) -> None:
    """Cancelling while a service wants to be left alone does not wait for it, and sends nothing more."""
    configured.script([{"status": 429, "headers": {"retry-after": "50"}}, SMALL])
    with nothing_left_behind():
        job = order(STREAM, max_wait_s=60)
        wait_until(job, lambda job: job._slots[0].wait is not None)
        cancelled(job)
    assert len(configured.posts) == 1


def test_a_connection_that_nobody_accepts_is_interrupted(listener: Listener) -> None:
    """The request lies in the system's hands, unread: cancelling hangs up all the same."""
    with nothing_left_behind():
        job = order(STREAM)
        with listener.accepted() as connection:
            assert connection.recv(1, socket.MSG_PEEK) == b"P"
            cancelled(job)
            assert until_its_end(connection).startswith(b"POST /v1/images/generations")
    assert_nobody_connects(listener)


def test_a_handshake_is_interrupted(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cancelled before anything is agreed upon, a connection is closed by that, and by no collection of garbage."""
    monkeypatch.setenv("GRADIENT_INFERENCE_ENDPOINT", f"https://127.0.0.1:{listener.address[1]}")
    with nothing_left_behind(), uncollected():
        job = order(STREAM)
        with listener.accepted() as connection:
            assert connection.recv(1) == b"\x16"
            cancelled(job)
            until_its_end(connection)


@contextmanager
def uncollected() -> Iterator[None]:
    """Nothing is closed because nobody knows of it any more."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def until_somebody_connects() -> None:
    """Return when a task of this loop waits for a connection to come about."""
    async with asyncio.timeout(10):
        while not any(name == "sock_connect" for task in asyncio.all_tasks() for name in awaited(task)):  # noqa: ASYNC110
            await asyncio.sleep(0)


def awaited(task: asyncio.Task[Any]) -> Iterator[str]:
    """Yield the names of the coroutines that a task stands in, from the outermost on."""
    inner: Any = task.get_coro()
    while inner is not None:
        yield getattr(inner, "__name__", "")
        inner = getattr(inner, "cr_await", None) or getattr(inner, "gi_yieldfrom", None)


@contextmanager
def full(backlog: Listener) -> Iterator[None]:
    """Fill the queue of a listener that accepts nobody, so that the next connection gets no answer."""
    waiting = [socket.socket() for _ in range(4)]
    for connection in waiting:
        connection.setblocking(False)
        connection.connect_ex(backlog.address)
    yield
    for connection in waiting:
        connection.close()


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An endpoint that neither accepts nor refuses."""
    listening = Listener(backlog=0)
    configure(monkeypatch, listening.address)
    with listening.socket, full(listening):
        yield


def test_connecting_is_interrupted(unreachable: None) -> None:
    """Cancelling while the connection is being made ends it, and nothing was sent."""
    with nothing_left_behind():
        job = order(STREAM)
        event_loop.run(until_somebody_connects())
        cancelled(job)


def test_a_service_that_cannot_be_reached_is_given_up(unreachable: None) -> None:
    """A connection that does not come about within its time was no request: nothing was sent."""
    error = raised(ended(STREAM, connect_timeout_s=0.2, max_retries=0))
    assert type(error) is gn.APITimeoutError
    assert request_of(error) == (False, False, None)
