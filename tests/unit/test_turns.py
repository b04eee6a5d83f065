"""Many answers that come at the same moment are taken in a few at a time, and whoever stands still keeps nobody waiting."""

from __future__ import annotations

import asyncio
import base64
import gc
import http.client
import json
import socket
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pytest

import gradient_notebook as gn
from gradient_notebook.api import turns as module
from gradient_notebook.api.turns import AT_ONCE, Turn, Turns

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody counts as standing still."""
    monkeypatch.setattr(module, "STALLED_S", 600)
    monkeypatch.setattr(module, "LONGEST_S", 600)


async def full() -> tuple[Turns, list[Turn]]:
    """Return turns of which as many as are allowed are on."""
    turns, on = Turns(), [Turn() for _ in range(AT_ONCE)]
    for turn in on:
        await turns.begin(turn)
    return turns, on


async def begun(turns: Turns, *waiting: Turn) -> list[asyncio.Task[None]]:
    """Return the tasks of some that wait by now."""
    tasks = [asyncio.create_task(turns.begin(turn)) for turn in waiting]
    await asyncio.sleep(0)
    return tasks


@pytest.mark.usefixtures("patient")
async def test_the_next_has_its_turn_when_one_ends() -> None:
    """More than the bound wait, in the order in which they came; whoever has a turn keeps it."""
    turns, on = await full()
    first, second = Turn(), Turn()
    waiting = await begun(turns, first, second)
    assert not first.is_on
    turns.end(on[0])
    await waiting[0]
    assert (on[1].is_on, first.is_on, second.is_on) == (True, True, False)
    turns.end(first)
    await waiting[1]


@pytest.mark.usefixtures("patient")
async def test_nobody_overtakes_who_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where those who have a turn stand still by now, whoever has waited for it comes first."""
    turns, on = await full()
    first, second = Turn(), Turn()
    (waiting,) = await begun(turns, first)
    monkeypatch.setattr(module, "STALLED_S", -1)
    (overtaking,) = await begun(turns, second)
    assert not second.is_on
    turns.end(on[0])
    await waiting
    await overtaking


@pytest.mark.usefixtures("patient")
async def test_whoever_gives_up_waiting_leaves_no_gap() -> None:
    """Cancelled before its turn, or in the moment in which it comes, it holds up none of those behind it."""
    turns, on = await full()
    waiting = await begun(turns, Turn(), Turn(), Turn())
    waiting[0].cancel()
    turns.end(on[0])  # the second has it by now, and does not know yet
    waiting[1].cancel()
    await waiting[2]
    assert [one.cancelled() for one in waiting] == [True, True, False]


@pytest.mark.usefixtures("patient")
async def test_whoever_is_forgotten_has_no_turn_any_more() -> None:
    """An answer that nobody closes, and nobody has any more, keeps nobody waiting."""
    turns, on = await full()
    on.clear()
    gc.collect()
    await turns.begin(Turn())


@pytest.mark.parametrize("bound", ["STALLED_S", "LONGEST_S"])
async def test_whoever_stands_still_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch, bound: str) -> None:
    """Nor does whoever receives for too long: nothing ends here, and those who wait have their turn."""
    monkeypatch.setattr(module, "STALLED_S", 0.001)
    monkeypatch.setattr(module, "LONGEST_S", 600 if bound == "STALLED_S" else 0.001)
    turns, on = await full()
    for turn in on if bound == "LONGEST_S" else ():
        turn.last_s += 600  # it receives all the time
    async with asyncio.timeout(30):
        await turns.begin(Turn())


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
