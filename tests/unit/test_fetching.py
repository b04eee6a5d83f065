"""Images at addresses: fetched from where they may be, never from where they must not, and bounded in every way."""

from __future__ import annotations

import base64
import contextlib
import gzip
import io
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import httpx
import pytest
from PIL import Image

import gradient_notebook as gn
from gradient_notebook.api import bounds, fetching
from gradient_notebook.connect import discover
from gradient_notebook.simulator import Simulator

KEY = "sk-do-for-tests-only"


def png(pixels: int = 64) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (pixels, pixels), "teal").save(buffer, "PNG")
    return buffer.getvalue()


PICTURE = png()
Answer = Callable[[str], Iterator[bytes]]


def http(body: bytes = b"", status: int = 200, **headers: Any) -> bytes:
    lines = [f"HTTP/1.1 {status} x", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Host:
    """A server that answers each request as it is told, and keeps what it was asked."""

    def __init__(self, answer: Callable[[str], bytes | Iterator[bytes] | None]) -> None:
        self._answer = answer
        self.asked: list[str] = []
        self.reached = threading.Event()
        self.left = threading.Event()
        """Whether somebody has hung up before the end."""
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection: socket.socket) -> None:
        with connection:
            head = b""
            while b"\r\n\r\n" not in head and (data := connection.recv(65536)):
                head += data
            self.asked.append(head.decode())
            self.reached.set()
            answer = self._answer(head.decode())
            try:
                for piece in [answer] if isinstance(answer, bytes) else answer or ():
                    connection.sendall(piece)
                if answer is None:
                    connection.recv(1)  # until the client leaves
                    self.left.set()
            except OSError:
                self.left.set()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


@pytest.fixture
def host() -> Iterator[Callable[..., Host]]:
    """Start hosts that give a fixed answer, or what a function returns."""
    started: list[Host] = []

    def start(answer: Any) -> Host:
        started.append(Host(answer if callable(answer) else lambda _: answer))
        return started[-1]

    yield start
    for each in started:
        each.close()


def sent(configured: Simulator, address: str, **limits: Any) -> gn.Job:
    """Return an ended job whose image the service has at this address."""
    configured.script([{"body": {"created": 1, "data": [{"url": address}]}}])
    job = gn.submit("hills", settings=discover(max_retries=0, **{"read_timeout_s": 20, **limits}), quality="low")
    job._wait()
    assert len(configured.posts) == 1
    return job


def reason_of(job: gn.Job, address: str) -> str:
    """Return why nothing was fetched: address and reason stand in the message and in the record."""
    with pytest.raises(gn.InvalidResponseError) as caught:
        job.result()
    error = caught.value
    assert (error.address, error.may_be_billed) == (address, True)
    assert address in str(error)
    (image,) = gn.history(job.id)[0].record.images
    assert (image.reported["url"], image.error["address"]) == (address, address)
    assert KEY not in str(error)
    return error.summary


def test_a_picture_comes_from_the_endpoints_own_host(configured: Simulator, host: Callable[..., Host]) -> None:
    """Over http, from another port, under another of this machine's names: without key, cookie or a second request."""
    other = host(http(PICTURE, set_cookie="a=b"))
    for name in ("127.0.0.1", "localhost", "0.0.0.0"):
        address = other.url.replace("127.0.0.1", name)
        configured.script([{"body": {"data": [{"url": address}]}}])
        image = gn.Client().images.generate(prompt="x").data[0]
        assert (image.image_bytes, image.url) == (PICTURE, address)
    assert [word for head in other.asked for word in ("uthorization", "ookie", KEY) if word in head] == []
    assert [head.split()[0] for head in other.asked] == ["GET"] * 3


def test_a_place_without_a_host_is_the_endpoints(configured: Simulator) -> None:
    """An address may be only a path."""
    configured.script([{"by_address": "alone", "image_base64": base64.b64encode(PICTURE).decode()}])
    address = gn.Client().images.generate(prompt="x").data[0].url
    assert sent_again(configured, address.removeprefix(configured.url)) == PICTURE


def sent_again(configured: Simulator, address: str) -> bytes:
    configured.script([{"body": {"data": [{"url": address}]}}])
    data: bytes = gn.Client().images.generate(prompt="x").data[0].image_bytes
    return data


def test_a_picture_is_on_disk_and_its_address_before_it(configured: Simulator, host: Callable[..., Host]) -> None:
    """While it is being fetched the record has the address already: a process that dies here loses nothing."""
    seen: list[Any] = []

    def look(_: str) -> bytes:
        seen.extend(gn.history()[0].record.images)
        return http(PICTURE)

    job = sent(configured, host(look).url)
    assert job._slots[0].path.read_bytes() == PICTURE
    assert seen[0].reported["url"] == gn.history()[0].record.images[0].reported["url"]
    assert (seen[0].file, seen[0].outcome) == (None, "unknown")


def test_a_redirect_is_followed_where_it_may_lead(configured: Simulator, host: Callable[..., Host]) -> None:
    """To the endpoint's own host, for one."""
    there = host(http(PICTURE))
    job = sent(configured, host(http(status=302, location=f"{there.url}/x")).url)
    assert job._slots[0].image_bytes == PICTURE


NOT_ALLOWED = [
    "http://10.1.2.3/x",
    "http://files.example/x",
    "https://10.1.2.3/x",
    "https://169.254.169.254/latest/meta-data",
    "https://192.168.0.1:8443/x",
    "https://[::ffff:10.0.0.1]/x",
    "https://[fe80::1]/x",
    "https://[fd00::1]/x",
    "https://[64:ff9b::a00:1]/x",
    "https://224.0.0.1/x",
    "https://2130706434/x",
    "https://0x0a.1/x",
    "file:///etc/passwd",
    "https:///x",
    "ftp://files.example/x",
]


@pytest.mark.parametrize("address", NOT_ALLOWED)
@pytest.mark.parametrize("redirected", [False, True], ids=["sent", "redirected"])
def test_nothing_is_fetched_from_a_private_network(
    configured: Simulator,
    host: Callable[..., Host],
    monkeypatch: pytest.MonkeyPatch,
    address: str,
    redirected: bool,
) -> None:
    """Neither directly nor by a redirect, however it is written; http is for the endpoint's own host."""
    at = host(http(status=307, location=address)).url if redirected else address
    connected: list[str] = []
    connect = anyio.connect_tcp

    async def connect_tcp(remote_host: str, *rest: Any, **more: Any) -> Any:
        connected.append(remote_host)
        return await connect(remote_host, *rest, **more)

    monkeypatch.setattr(anyio, "connect_tcp", connect_tcp)
    told = reason_of(sent(configured, at), at)
    assert any(why in told for why in ("private network", "neither encrypted", "no address of the web"))
    assert connected == ["127.0.0.1"] * (1 + redirected), "the service, and who redirects; nobody else was asked"


def test_a_name_that_leads_into_a_private_network_is_left_before_anything_is_sent(
    configured: Simulator, host: Callable[..., Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What counts is what the connection is made to: names are looked up there, and may say now this, now that."""
    listening = host(http(PICTURE))
    port = int(listening.url.rpartition(":")[2])
    found = socket.getaddrinfo

    def getaddrinfo(name: Any, *rest: Any, **more: Any) -> Any:
        return found("127.0.0.1" if name in ("files.example", b"files.example") else name, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    address = f"https://files.example:{port}/x"
    assert "files.example is in a private network" in reason_of(sent(configured, address), address)
    assert "".join(listening.asked) == ""


PUBLIC = {"8.8.8.8": True, "1.1.1.1": True, "2606:4700::1111": True, "64:ff9b::808:808": True, "::ffff:8.8.8.8": True}
PRIVATE = ("127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.1.1", "100.64.0.1", "0.0.0.0", "224.0.0.1")
PRIVATE += ("::1", "::", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::")
PRIVATE += ("255.255.255.255", "nonsense")


@pytest.mark.parametrize(("address", "is_public"), [*PUBLIC.items(), *[(each, False) for each in PRIVATE]])
def test_public_is_what_is_reached_over_the_public_network(address: str, is_public: bool) -> None:
    """Loopback, private, link-local, multicast and reserved addresses are not, in any disguise."""
    assert fetching._is_public(address) is is_public


def test_a_proxy_is_asked_by_name(
    configured: Simulator, host: Callable[..., Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a proxy nobody sees where it leads: public names are asked for, private ones are not."""
    proxy = host(http(status=502))
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    reason_of(sent(configured, "https://files.example/x"), "https://files.example/x")
    assert [head.split("\r\n")[0] for head in proxy.asked[:1]] == ["CONNECT files.example:443 HTTP/1.1"]
    proxy.asked.clear()
    for name in ("10.0.0.1", "intranet", "printer.local", "db.internal", "2130706433"):
        configured.script([{"body": {"data": [{"url": f"https://{name}/x"}]}}])
        with pytest.raises(gn.InvalidResponseError, match="private network"):
            gn.Client().images.generate(prompt="x")
    assert "".join(proxy.asked) == ""


def test_a_redirect_loop_is_left(configured: Simulator, host: Callable[..., Host]) -> None:
    """After a bounded number of steps."""
    round_and_round = host(http(status=302, location="/again"))
    assert f"more than {bounds.MAX_REDIRECTS} redirects" in reason_of(
        sent(configured, round_and_round.url), round_and_round.url
    )
    assert len(round_and_round.asked) == 6


def test_what_has_no_end_is_left(configured: Simulator, host: Callable[..., Host], monkeypatch: Any) -> None:
    """At the bound of one image, plain or packed."""
    monkeypatch.setattr(bounds, "MAX_IMAGE_BYTES", 3_000_000)

    def endless(_: str) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n" + PICTURE
        while True:
            yield bytes(100_000)

    server = host(endless)
    assert "more than 3,000,000 bytes" in reason_of(sent(configured, server.url), server.url)
    assert server.left.wait(10)
    bomb = host(http(gzip.compress(bytes(50_000_000)), content_type="image/png", content_encoding="gzip"))
    assert "more than 3,000,000 bytes" in reason_of_next(configured, bomb.url)


def reason_of_next(configured: Simulator, address: str) -> str:
    configured.script([{"body": {"data": [{"url": address}]}}])
    with pytest.raises(gn.InvalidResponseError) as caught:
        gn.Client().images.generate(prompt="x")
    assert caught.value.address == address
    return caught.value.summary


@pytest.mark.slow
def test_ten_gigabytes_are_not_read(configured: Simulator, host: Callable[..., Host]) -> None:
    """With the bound as it is."""
    piece = bytes(1_000_000)

    def large(_: str) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n"
        for _ in range(10_000):
            yield piece

    server = host(large)
    assert f"more than {bounds.MAX_IMAGE_BYTES:,} bytes" in reason_of(sent(configured, server.url), server.url)


def test_a_bomb_is_not_opened(configured: Simulator, host: Callable[..., Host]) -> None:
    """A file that is small and unpacks to much is kept and named; the error has its address, too."""
    data = bytearray(png(9))
    data[16:24] = (60_000).to_bytes(4) * 2  # width and height
    job = sent(configured, host(http(bytes(data))).url)
    with pytest.raises(gn.InvalidResponseError, match="cannot be opened") as caught:
        job.result()
    assert job._slots[0].path.read_bytes() == data
    assert caught.value.address.startswith("http://127.0.0.1")


def test_a_silent_address_is_left_in_time(configured: Simulator, host: Callable[..., Host]) -> None:
    """The record stands, with the address."""
    silent = host(lambda _: None)
    assert "no answer within 0.5 s" in reason_of(sent(configured, silent.url, read_timeout_s=0.5), silent.url)
    assert silent.left.wait(10)


def test_an_address_that_never_ends_is_not_followed(configured: Simulator) -> None:
    """What is shown and kept of it is bounded, too."""
    job = sent(configured, configured.url + "/" + "x" * bounds.MAX_ADDRESS_CHARACTERS)
    with pytest.raises(gn.InvalidResponseError, match="it has more than 8,000 characters") as caught:
        job.result()
    assert len(caught.value.address) == bounds.MAX_ADDRESS_CHARACTERS


def test_silence_at_an_address_is_waited_for_less_than_for_an_image(
    configured: Simulator, host: Callable[..., Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is made already."""
    monkeypatch.setattr(bounds, "MAX_FETCH_SILENCE_S", 0.3)
    silent = host(lambda _: None)
    assert "no answer within 0.3 s" in reason_of(sent(configured, silent.url), silent.url)


def test_a_slow_address_is_left_in_time(
    configured: Simulator, host: Callable[..., Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it sends a byte."""
    monkeypatch.setattr(bounds, "MAX_FETCH_S", 1.0)
    pause = threading.Event()

    def drip(_: str) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\n\r\n"
        while not pause.wait(0.05):
            yield b"\0"

    slow = host(drip)
    assert "more than 1 s" in reason_of(sent(configured, slow.url), slow.url)
    assert slow.left.wait(10)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (http(b"<title>Sign in</title>", content_type="text/html"), "there is text/html, not an image"),
        (http(b'{"error": "expired"}', 403), "HTTP status 403, expired"),
        (http(b""), "there is nothing"),
    ],
)
def test_what_is_no_image_is_told(configured: Simulator, host: Callable[..., Host], answer: bytes, told: str) -> None:
    """A page, an error, nothing: with the reason that is given there."""
    server = host(answer)
    assert told in reason_of(sent(configured, server.url), server.url)


def test_an_address_that_is_not_ready_is_asked_again(
    configured: Simulator, host: Callable[..., Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It costs nothing; and it is only ever the address that is asked again."""
    monkeypatch.setattr(fetching, "PAUSES_S", (0, 0))
    answers = iter([http(status=404), http(status=503), http(PICTURE)])
    assert sent(configured, host(lambda _: next(answers)).url)._slots[0].image_bytes == PICTURE


def test_cancelling_leaves_the_address(configured: Simulator, host: Callable[..., Host]) -> None:
    """Who gives up while the image is on its way finds in the record where it is."""
    silent = host(lambda _: None)
    configured.script([{"body": {"data": [{"url": silent.url}, {"url": f"{silent.url}/2"}]}}])
    job = gn.submit("hills", settings=discover(), n=2)
    assert silent.reached.wait(10)
    job.cancel()
    job._wait()
    assert [image.reported["url"] for image in gn.history()[0].record.images] == [silent.url, f"{silent.url}/2"]
    assert silent.left.wait(10)


def test_a_client_of_the_users_own_takes_nothing_along(configured: Simulator, host: Callable[..., Host]) -> None:
    """Its connections are used; its headers, cookies and passwords are for the endpoint."""
    import asyncio

    other = host(http(PICTURE))
    configured.script([{"body": {"data": [{"url": other.url.replace("//", "//me:secret@")}]}}])

    async def ask() -> bytes:
        own = httpx.AsyncClient(headers={"x-secret": "a"}, cookies={"c": "d"}, auth=("user", "word"))
        async with own, gn.AsyncClient(http_client=own) as client:
            data: bytes = (await client.images.generate(prompt="x")).data[0].image_bytes
            return data

    assert asyncio.run(ask()) == PICTURE
    assert [word for word in ("secret", "ookie", "uthorization") if word in other.asked[0]] == []
