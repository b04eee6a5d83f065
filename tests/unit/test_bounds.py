"""What comes over the wire and need not end: each bound is exceeded once, here or where its name says, over real sockets."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import io
import itertools
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpcore
import pytest
from PIL import Image

import gradient_notebook as gn
from gradient_notebook.api import bounds
from gradient_notebook.connect import discover
from gradient_notebook.jobs.runner import client_for
from gradient_notebook.storage.archive import Archive, get_default

from .network import Listener, more_of

ROOT = Path(__file__).parents[2]
NAMES = [name for name in vars(bounds) if name.startswith("MAX_")]
STREAM: dict[str, Any] = {"stream": True, "partial_images": 1}
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
FOREVER = threading.Event()
"""Is never set."""


def picture(number: int = 0, pixels: int = 4, kind: str = "PNG") -> bytes:
    """Return a file of an image; each number has another."""
    file = io.BytesIO()
    Image.new("RGB", (pixels, pixels), (number % 256, number // 256, 0)).save(file, kind)
    return file.getvalue()


def event(kind: str, data: bytes) -> bytes:
    about = {"type": f"image_generation.{kind}", "b64_json": base64.b64encode(data).decode()}
    return b"data: " + json.dumps(about).encode() + b"\n\n"


def json_of(*files: bytes) -> bytes:
    return json.dumps({"data": [{"b64_json": base64.b64encode(data).decode()} for data in files]}).encode()


def whole(body: bytes, status: str = "200 OK", headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


Pieces = Iterable[bytes] | Callable[[], Iterable[bytes]]


class Server(Listener):
    """Sends each request these pieces, each when it is asked for; then it hangs up."""

    def __init__(self, pieces: Pieces) -> None:
        super().__init__(self._answer)
        self._pieces = pieces
        self.posts: list[bytes] = []
        self.gets: list[bytes] = []
        self.left = threading.Event()
        """Whether somebody has hung up before the end."""

    @property
    def settings(self) -> gn.Settings:
        return discover(endpoint=f"http://127.0.0.1:{self.port}", key="sk-do-x", max_retries=2, read_timeout_s=60)

    def _answer(self, link: socket.socket) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            request += more_of(link)
        head, _, body = request.partition(b"\r\n\r\n")
        length = int((re.findall(rb"(?i)content-length: (\d+)", head) or [b"0"])[0])
        while len(body) < length:
            body += more_of(link)
        (self.posts if head.startswith(b"POST") else self.gets).append(head)
        try:
            for piece in self._pieces() if callable(self._pieces) else self._pieces:
                link.sendall(piece)
                link.setblocking(False)
                with suppress(BlockingIOError):
                    if not link.recv(1):
                        raise ConnectionError
                link.setblocking(True)
        except OSError:
            self.left.set()


@contextmanager
def asked(pieces: Pieces, settings: dict[str, Any] | None = None, **params: Any) -> Iterator[tuple[gn.Job, Server]]:
    """Give the ended job that got this answer, and the server."""
    with Server(pieces) as server:
        limits = {"read_timeout_s": 60, "max_retries": 2, **(settings or {})}
        job = gn.submit(
            "hills", settings=discover(endpoint=server.settings.endpoint, key="sk-do-x", **limits), **params
        )
        try:
            job._ended.result(timeout=30)
        finally:
            job.cancel()
        yield job, server


def failure(job: gn.Job) -> gn.GradientNotebookError:
    error = job.exception()
    assert isinstance(error, gn.GradientNotebookError)
    return error


def drip(begins: bytes, again: bytes) -> Iterator[bytes]:
    """Yield something now and again, for ever."""
    yield begins
    while not FOREVER.wait(0.05):
        yield again


# ---------------------------------------------------------------------------------------------- the table


def shown(value: float) -> str:
    """Return a bound as the table of CONTRIBUTING has it."""
    if value >= 1024 and value % 1024 == 0:
        kib = int(value) // 1024
        return f"{kib // 1024:,} MiB" if kib % 1024 == 0 else f"{kib:,} KiB"
    return f"{value:g} s" if isinstance(value, float) else f"{value:,}"


def test_the_table_of_bounds_has_them_all() -> None:
    """With the values that they have."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(MAX_\w+)` \| ([^|]+?) \|", text, re.MULTILINE))
    assert rows == {name: shown(getattr(bounds, name)) for name in NAMES}


def test_each_bound_is_exceeded_by_a_test() -> None:
    """Which names it."""
    texts = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    assert [name for name in NAMES if not re.search(rf'\bbounds(\.|, "){name}\b', texts)] == []


# ---------------------------------------------------------------------------------------------- bytes


def test_an_answer_that_never_ends_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it consists of, in all; what came before stays."""
    monkeypatch.setattr(bounds, "MAX_ANSWER_BYTES", 1_000_000)
    comment = b": " + b"x" * 60_000 + b"\n\n"
    with asked(lambda: itertools.chain([HEAD, event("partial_image", picture())], itertools.repeat(comment))) as (
        job,
        it,
    ):
        assert "more than 1,000,000 bytes" in failure(job).summary
        assert failure(job).may_be_billed
        assert len(job.partials) == 1
        assert it.left.wait(10)


def test_headers_that_never_end_are_left() -> None:
    """The bound is that of the library, and no other."""
    assert httpcore.AsyncHTTP11Connection.MAX_INCOMPLETE_EVENT_SIZE == bounds.MAX_HEADER_BYTES
    line = b"X-Filler: " + b"x" * 1000 + b"\r\n"
    for lines in (itertools.repeat(line), itertools.repeat(b"x" * 1000)):
        with asked([b"HTTP/1.1 200 OK\r\n", *itertools.islice(lines, 300)]) as (job, server):
            assert (type(failure(job)), failure(job).sent) == (gn.NoResponseError, True)
            assert len(server.posts) == 1


def test_the_body_of_an_error_is_read_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is beyond it is not waited for."""
    monkeypatch.setattr(bounds, "MAX_ERROR_BYTES", 10_000)
    head = b"HTTP/1.1 400 Bad Request\r\n\r\n"
    with asked(lambda: itertools.chain([head], itertools.repeat(b"Nonsense. " * 100))) as (job, server):
        assert type(failure(job)) is gn.BadRequestError
        assert server.left.wait(10)


_BOMB = """\
import gzip, resource, sys, zlib
sys.path.insert(0, {root!r})
from gradient_notebook.api import bounds
from tests.unit.test_bounds import asked, whole

packing = zlib.compressobj(9, wbits=zlib.MAX_WBITS | 16)
bomb = b"".join(packing.compress(bytes(10_000_000)) for _ in range(60)) + packing.flush()
answers = [
    whole(body, status, f"Content-Encoding: {{label}}\\r\\n")
    for status in ("200 OK", "400 Bad Request")
    for label, body in (("gzip", bomb), ("gzip, gzip", gzip.compress(bomb)), ("gzip", gzip.compress(bomb)))
]
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
with asked([whole(b"{{}}")]) as (job, _):
    before = peak()
for answer in answers:
    with asked([answer]) as (job, server):
        print(type(job.exception()).__name__, len(server.posts))
print(peak() - before)
"""


def test_what_unpacks_to_gigabytes_takes_little_memory() -> None:
    """Packed once or twice, in an answer and in an error: measured as the peak of the process, in MiB."""
    code = _BOMB.format(root=str(ROOT))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    *outcomes, peak = done.stdout.splitlines()
    assert outcomes == ["InvalidResponseError 1"] * 3 + ["BadRequestError 1"] * 3
    assert int(peak) < 2 * bounds.MAX_TEXT_BYTES // 1024**2


def test_a_reason_that_is_packed_twice_is_not_shown_as_words() -> None:
    """It is said to be packed, and by what."""
    body = gzip.compress(gzip.compress(os.urandom(3000)))
    for packed, label in ((body, "gzip, gzip"), (os.urandom(3000), "br")):
        with asked([whole(packed, "400 Bad Request", f"Content-Encoding: {label}\r\n")]) as (job, _):
            assert failure(job).summary == f"The reason is packed in a way that was not asked for ({label})."


# ---------------------------------------------------------------------------------------------- images


def test_the_oldest_partial_images_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many come and however large they are, the finished image does, too; the newest partial ones stay."""
    large = [picture(number) + bytes(30_000) for number in range(28)]
    monkeypatch.setattr(bounds, "MAX_PARTIAL_BYTES", 100_000)
    with asked([HEAD, *(event("partial_image", data) for data in large), event("completed", picture())], **STREAM) as (
        job,
        _,
    ):
        assert job.result().size == (4, 4)
        (slot,) = job._slots
        assert slot.partials == [b""] * 25 + large[25:]
        assert len(job.partials) == 3
    monkeypatch.setattr(bounds, "MAX_PARTIAL_BYTES", 10)
    with asked([HEAD, event("partial_image", large[0])], **STREAM) as (job, _):
        assert job._slots[0].newest == large[0]


def streamed(count: int, **_: Any) -> list[bytes]:
    return [HEAD, *(event("completed", picture(number)) for number in range(count))]


def answered(count: int) -> list[bytes]:
    return [whole(json_of(*map(picture, range(count))))]


@pytest.mark.parametrize(("pieces", "params"), [(streamed, STREAM), (answered, {})], ids=["stream", "answer"])
def test_images_that_nobody_asked_for_go_to_disk(pieces: Any, params: dict[str, Any], tmp_path: Path) -> None:
    """The first is the result; some are in memory, all are on disk and in the record, and one note says where they are."""
    gn.configure(archive_dir=str(tmp_path / "kept"))
    with asked(pieces(60), **params) as (job, server):
        assert job.result().getpixel((0, 0)) == (0, 0, 0)
        assert len(job.images) == 1 + bounds.MAX_EXTRA_IMAGES
        assert (
            sum(slot.image_bytes is not None or bool(slot.event and slot.event.image_bytes) for slot in job._slots)
            == 11
        )
        assert (
            job.notes[-1]
            == "The service sent 59 images more than asked for: job.images has 10, 49 are in the history alone."
        )
        assert len(server.posts) == 1
    archive = get_default()
    assert isinstance(archive, Archive)
    (record,) = archive.records()
    kept = [(archive.originals / str(image.file)).read_bytes() for image in record.images]
    assert kept == [picture(number) for number in range(60)]
    assert [image.byte_count for image in record.images] == list(map(len, kept))
    assert {image.outcome for image in record.images} == {"done"}


def test_without_a_disk_they_are_dropped() -> None:
    """And said to be."""
    gn.configure(archive=False)
    with asked(streamed(30), **STREAM) as (job, _):
        assert len(job.images) == 11
        assert job.notes[-1].endswith("job.images has 10, 19 were dropped, since nothing is kept on disk.")


def test_images_without_end_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk is not filled either."""
    monkeypatch.setattr(bounds, "MAX_IMAGES", 20)
    endless = (event("completed", picture(number)) for number in itertools.count())
    with asked(itertools.chain([HEAD], endless), **STREAM) as (job, server):
        assert (len(job._slots), job.status) == (20, "done")
        assert server.left.wait(10)


def test_a_client_takes_no_more_images_than_may_be_asked_for() -> None:
    """It has no disk to put them on."""
    with Server(streamed(60)) as server:
        answer = gn.Client(settings=server.settings).images.generate(prompt="hills")
        assert [image.b64_json for image in answer.data][:1] == [base64.b64encode(picture(0)).decode()]
        assert len(answer.data) == 1 + bounds.MAX_EXTRA_IMAGES


@pytest.mark.parametrize(("n", "count"), [(1, 1), (2, 2)])
@pytest.mark.parametrize("is_streamed", [True, False], ids=["stream", "answer"])
def test_the_same_bytes_are_the_same_image(*, is_streamed: bool, n: int, count: int) -> None:
    """Sent again beyond what was asked for, an image is no other; each place of an answer has its own all the same."""
    files = [picture(number) for number in range(count)] * 3
    pieces = [HEAD, *(event("completed", data) for data in files)] if is_streamed else [whole(json_of(*files))]
    with asked(pieces, n=n) as (job, _):
        assert [slot.image_bytes for slot in job._slots] == files[:count]
        assert job.notes[1:] == []
    if not is_streamed:
        with asked([whole(json_of(picture(), picture()))], n=2) as (job, _):
            assert len(job.images) == 2


def test_images_before_too_many_of_one_answer_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are whole, and paid for."""
    monkeypatch.setattr(bounds, "MAX_WAITING_BYTES", 500_000)
    files = [picture(number) + bytes(100_000) for number in range(20)]
    with asked([whole(json_of(*files))]) as (job, _):
        assert job._slots[0].image_bytes == files[0]
        assert 1 < len(job._slots) < 6


# ---------------------------------------------------------------------------------------------- time


SAID_AFTER = ["silence", "comments", "events", "partial images", "the same image"]


@pytest.mark.parametrize(
    ("begins", "again"),
    [
        (HEAD + event("completed", picture()), b""),
        (HEAD + event("completed", picture()), b": still here\n\n"),
        (HEAD + event("completed", picture()), b"data: {}\n\n"),
        (HEAD + event("completed", picture()), event("partial_image", picture())),
        (HEAD + event("completed", picture()), event("completed", picture())),
        (b"HTTP/1.1 200 OK\r\n\r\n" + json_of(picture()), b""),
        (b"HTTP/1.1 200 OK\r\n\r\n" + json_of(picture()), b" \n"),
        (b'HTTP/1.1 200 OK\r\n\r\n{"data": [{"url": "data:image/png;base64,%b"}]}' % base64.b64encode(picture()), b" "),
        (b"HTTP/1.1 200 OK\r\n\r\n" + picture(), b""),
        (b"HTTP/1.1 200 OK\r\n\r\n" + picture(kind="JPEG"), b""),
    ],
    ids=[*SAID_AFTER, "JSON", "JSON and spaces", "JSON with an address", "a file", "a JPEG, silence"],
)
def test_an_answer_is_over_soon_after_its_last_image(
    begins: bytes, again: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the other side stays, and whatever it goes on to say."""
    monkeypatch.setattr(bounds, "MAX_AFTER_LAST_S", 0.2)
    with asked(lambda: drip(begins, again)) as (job, server):
        assert len(job.images) == 1
        assert server.left.wait(10) or not again


def test_half_an_answer_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line of JSON that is whole, a partial image, one of two: more is to come."""
    monkeypatch.setattr(bounds, "MAX_AFTER_LAST_S", 0.05)

    def slowly(*pieces: bytes) -> Iterator[bytes]:
        for piece in pieces:
            yield piece
            time.sleep(0.3)

    plain = b"HTTP/1.1 200 OK\r\n\r\n"
    partial = event("partial_image", picture()).removeprefix(b"data: ").strip()
    finished = event("completed", picture(1)).removeprefix(b"data: ").strip()
    for pieces, n in (
        ((plain, b'{"status": "processing"}\n', finished), 1),
        ((plain, partial + b"\n", finished), 1),
        ((HEAD, event("partial_image", picture()), event("completed", picture(1))), 1),
        ((HEAD, event("completed", picture(2)), event("completed", picture(1))), 2),
    ):
        with asked(slowly(*pieces), n=n) as (job, _):
            assert job._slots[n - 1].image_bytes == picture(1)


@pytest.mark.parametrize(
    ("begins", "again"),
    [
        (b"HTTP/1.1 102 Processing\r\n\r\n", b"HTTP/1.1 102 Processing\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x"),
        (HEAD + event("partial_image", picture()), b":"),
        (HEAD + event("partial_image", picture()) + b'data: {"b64_json": "', b"A"),
    ],
    ids=["102", "headers", "comments", "an image"],
)
def test_a_whole_request_has_an_end(begins: bytes, again: bytes) -> None:
    """However busily it is answered; the error says which setting that is, and what came is kept."""
    with asked(lambda: drip(begins, again), settings={"max_request_s": 0.4}, **STREAM) as (job, server):
        assert isinstance(failure(job), gn.APITimeoutError | gn.StreamInterruptedError)
        assert failure(job).suggest == ("allow_longer",)
        assert (failure(job).sent, len(server.posts)) == (True, 1)
        assert len(job.partials) == begins.count(b"partial")
        assert server.left.wait(10)


def test_a_long_silence_that_is_allowed_is_not_cut_short() -> None:
    """Whoever gives a request more time than all of one has, means it."""
    assert discover(key="sk-do-x").replace(timeout=7200).max_request_s == 7200
    assert discover(key="sk-do-x", max_request_s=60).replace(timeout=30).max_request_s == 60


def test_the_reason_of_an_error_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """The status has said what matters."""
    monkeypatch.setattr(bounds, "MAX_ERROR_S", 0.2)
    with asked(lambda: drip(b"HTTP/1.1 400 Bad Request\r\n\r\n", b"x")) as (job, server):
        assert type(failure(job)) is gn.BadRequestError
        assert server.left.wait(10)


# ---------------------------------------------------------------------------------------------- connections, places


def test_addresses_that_nobody_asked_for_are_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond those that would be kept in memory: each may take minutes. They are told of, and recorded."""
    monkeypatch.setattr(bounds, "MAX_EXTRA_IMAGES", 2)
    addresses = [f"data:image/png;base64,{base64.b64encode(picture(0)).decode()}"]
    addresses += [f"/{number}.png" for number in range(5)]
    with asked([whole(json.dumps({"data": [{"url": each} for each in addresses]}).encode())]) as (job, server):
        assert job.result().size == (4, 4)
        assert [head.split()[1] for head in server.gets] == [b"/0.png", b"/1.png"]
        assert [slot.address for slot in job._slots][1:] == addresses[1:]


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts what Linux lists")
def test_settings_that_nobody_uses_leave_nothing_open() -> None:
    """Neither connections nor clients: a process may try many keys."""
    with Server([whole(json_of(picture()))]) as server:
        gn.generate("hills", settings=server.settings)
        before = open_files()
        for number in range(40):
            with contextlib.suppress(gn.InvalidResponseError):  # the server knows one answer, which is no list
                gn.Client(settings=discover(endpoint=server.settings.endpoint, key=f"sk-do-{number}")).models.list()
            gn.generate("hills", settings=server.settings)
        assert open_files() <= before + 4  # a thread of the server may be about to close the last
        assert len(server.posts) == 41
    assert client_for.cache_info().currsize <= bounds.MAX_CLIENTS


def test_a_slow_endpoint_holds_up_no_other() -> None:
    """The places are those of one endpoint."""
    gn.configure(concurrency=2)
    with Server(lambda: drip(b"", b"")) as slow, Server([whole(json_of(picture()))]) as quick:
        stuck = [gn.submit("hills", settings=slow.settings) for _ in range(3)]
        assert gn.generate("hills", settings=quick.settings).size == (4, 4)
        assert sorted(job.status for job in stuck) == ["queued", "running", "running"]
        for job in stuck:
            job.cancel()
            job.exception()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("is_given", [False, True], ids=["ours", "the user's own"])
def test_a_redirect_is_told_and_not_followed(status: int, *, is_given: bool) -> None:
    """Nothing is sent a second time, not even to the same host, nor by a client that follows by itself."""
    import httpx

    with Server([whole(b"", f"{status} Elsewhere", "Location: /v2/images\r\n")]) as server:

        async def ask() -> None:
            own = httpx.AsyncClient(follow_redirects=True)
            async with own, gn.AsyncClient(settings=server.settings, http_client=own if is_given else None) as client:
                await client.images.generate(prompt="hills")

        with pytest.raises(
            gn.APIStatusError, match=f"redirects, which is not followed. \\({status}\\)\nIt points to /v2"
        ):
            asyncio.run(ask())
        assert len(server.posts) == 1
