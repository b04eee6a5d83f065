"""Many answers that come at the same moment are taken in a few at a time, and whoever stands still keeps nobody waiting."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import socket
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pytest

import gradient_notebook as gn
from gradient_notebook.api import turns as module
from gradient_notebook.api.turns import AT_ONCE, Turns

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Reader:
    """Somebody who takes in an answer."""


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody counts as standing still."""
    monkeypatch.setattr(module, "STALLED_S", 600)
    monkeypatch.setattr(module, "LONGEST_S", 600)


def full() -> tuple[Turns, list[Reader]]:
    """Return turns that are all taken, and who has them."""
    turns, readers = Turns(), [Reader() for _ in range(AT_ONCE)]
    assert all(turns.is_on(reader) for reader in readers)
    return turns, readers


@pytest.mark.usefixtures("patient")
async def test_the_next_has_its_turn_when_one_ends() -> None:
    """More than the bound wait, in the order in which they came; whoever has a turn keeps it."""
    turns, readers = full()
    first, second = Reader(), Reader()
    assert not turns.is_on(first)
    waiting = [asyncio.create_task(turns.wait(one)) for one in (first, second)]
    await asyncio.sleep(0)
    assert turns.is_on(readers[0])
    turns.end(readers[0])
    await waiting[0]
    assert turns.is_on(first)
    assert not waiting[1].done()
    turns.end(first)
    await waiting[1]


@pytest.mark.usefixtures("patient")
async def test_nobody_overtakes_who_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where those who have a turn stand still by now, whoever has waited for it comes first."""
    turns, readers = full()
    waiting = asyncio.create_task(turns.wait(waiter := Reader()))
    await asyncio.sleep(0)
    monkeypatch.setattr(module, "STALLED_S", -1)
    assert not turns.is_on(Reader())
    turns.end(readers[0])
    await waiting
    assert turns.is_on(waiter)


@pytest.mark.usefixtures("patient")
async def test_whoever_gives_up_waiting_leaves_no_gap() -> None:
    """Cancelled before its turn, or in the moment in which it comes, it holds up none of those behind it."""
    turns, readers = full()
    waiting = [asyncio.create_task(turns.wait(Reader())) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    turns.end(readers[0])  # the second has it by now, and does not know yet
    waiting[1].cancel()
    await waiting[2]
    assert [one.cancelled() for one in waiting] == [True, True, False]


@pytest.mark.parametrize("bound", ["STALLED_S", "LONGEST_S"])
async def test_whoever_stands_still_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch, bound: str) -> None:
    """Nor does whoever receives for too long: nothing ends here, and those who wait have their turn."""
    for name in ("STALLED_S", "LONGEST_S"):
        monkeypatch.setattr(module, name, 0.001 if name in (bound, "STALLED_S") else 600)
    turns, readers = full()
    if bound == "LONGEST_S":
        keep = asyncio.create_task(_goes_on(turns, readers))
    async with asyncio.timeout(30):
        await turns.wait(Reader())
    if bound == "LONGEST_S":
        keep.cancel()


async def _goes_on(turns: Turns, readers: list[Reader]) -> None:
    while True:
        for reader in readers:
            turns.received(reader)
        await asyncio.sleep(0)


@pytest.mark.usefixtures("patient")
def test_many_images_that_come_together_are_not_all_in_memory() -> None:
    """What 60 answers of the same moment take is less than half of their images."""
    count, image = 60, b"\x89PNG\r\n\x1a\n" + bytes(2_000_000)
    body = json.dumps({"created": 1, "data": [{"b64_json": base64.b64encode(image).decode()}]}).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    all_are_here = threading.Barrier(count)

    def answer(connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as incoming:
            headers = http.client.parse_headers(incoming) if incoming.readline() else {}
            incoming.read(int(headers["content-length"]))
            all_are_here.wait(60)
            connection.sendall(head)
            connection.sendall(body)

    async def sizes(url: str) -> list[int]:
        client = gn.AsyncClient(model_access_key="sk-do-for-these-tests-only", inference_endpoint=url)

        async def size() -> int:
            return len((await client.images.generate(prompt="a fox")).data[0].image_bytes)

        return await asyncio.gather(*(size() for _ in range(count)))

    with socket.create_server(("127.0.0.1", 0), backlog=count) as listener, ThreadPoolExecutor(count + 1) as threads:
        threads.submit(lambda: [threads.submit(answer, listener.accept()[0]) for _ in range(count)])
        tracemalloc.start()
        try:
            came = asyncio.run(sizes(f"http://127.0.0.1:{listener.getsockname()[1]}"))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert came == [len(image)] * count
    assert peak < count * len(image) / 2
