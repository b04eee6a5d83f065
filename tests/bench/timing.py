"""What is measured inside one process: contestants take turns, and only ratios within one turn count."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from statistics import median
from typing import Self

from contestants import CONTESTANTS, Contestant, there
from server import Server, images, pieces, stream_events
from table import Row

KIB = 1024
MEGABITS = 200
"""The paced link, slower than any contestant."""
TICK_S = 0.001
FASTER_THAN = {"openai": 2.5, "gradient": 5.0, "httpx-sse": None}
NOT_STREAMED_FASTER_THAN = {"openai": 2.5, "gradient": None}

Run = Callable[[], Awaitable[object]]
Seconds = Mapping[str, list[float]]


def time_here(server: Server, rounds: int, small_for: Sequence[str]) -> Iterator[Row]:
    """Yield all that is measured in this process; small reads only for `small_for`."""
    asyncio.run(check(server.url()))
    yield from asyncio.run(streams(server, rounds))
    yield from asyncio.run(answers(server, rounds))
    yield from asyncio.run(paced(server, max(1, rounds // 3)))
    yield from asyncio.run(decoder(rounds))
    yield from asyncio.run(small_reads(server, 3, small_for))


def plain(image: bytes) -> bytes:
    """Take an image without noting when."""
    return image


@asynccontextmanager
async def started(url: str, *names: str) -> AsyncIterator[dict[str, Contestant]]:
    """Make the contestants that can take part, and hang up at the end."""
    clients = {name: CONTESTANTS[name](url) for name in there(*names)}
    try:
        yield clients
    finally:
        for client in clients.values():
            await client.close()


async def check(url: str) -> None:
    """Hold that everybody delivers the same images: else there is nothing to compare."""
    async with started(url, *CONTESTANTS) as clients:
        for name, client in clients.items():
            assert tuple(await client.stream(plain)) == images(), name
            if name != "floor":
                assert await client.answer(2) == [images()[-1]] * 2, name


async def interleaved(runs: Mapping[str, Run], rounds: int) -> Seconds:
    """Return the seconds of each run, round by round; a first round only warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds + 1):
        for name, run in runs.items():
            empty_heap()
            begun_s = time.perf_counter()
            await run()
            seconds[name].append(time.perf_counter() - begun_s)
    return {name: measured[1:] for name, measured in seconds.items()}


def empty_heap() -> None:
    """Give free memory back to the system: who keeps images pays for new memory, and so shall everybody each time."""
    gc.collect()
    with suppress(AttributeError, OSError, TypeError):  # glibc's own
        ctypes.CDLL(None).malloc_trim(0)


def ratio(seconds: Seconds, name: str, over: str) -> float:
    """Return how many times as long `name` takes as `over`: the median of the rounds."""
    return median(mine / theirs for mine, theirs in zip(seconds[name], seconds[over], strict=True))


async def streams(server: Server, rounds: int) -> list[Row]:
    """Measure three partial images and a finished one, over the floor and against the peers."""
    async with started(server.url(), *CONTESTANTS) as clients:
        seconds = await interleaved({name: partial(client.stream, plain) for name, client in clients.items()}, rounds)
    over_floor = {name: ratio(seconds, name, "floor") for name in seconds if name != "floor"}
    what = "stream, 16 KiB reads, over the floor"
    first = Row(what=what, reached=over_floor.pop("ours"), unit="x", target=4.5, peers=over_floor)
    return [first, *_faster("stream", seconds, FASTER_THAN)]


async def answers(server: Server, rounds: int) -> list[Row]:
    """Measure n images that are not streamed against the peers."""
    rows = []
    async with started(server.url(), "ours", *NOT_STREAMED_FASTER_THAN) as clients:
        for n in (1, 4):
            runs = {name: partial(client.answer, n) for name, client in clients.items()}
            seconds = await interleaved(runs, 2 * rounds)
            rows += _faster(f"not streamed, n={n}", seconds, NOT_STREAMED_FASTER_THAN)
    return rows


def _faster(what: str, seconds: Seconds, targets: Mapping[str, float | None]) -> Iterator[Row]:
    for peer in there(*targets):
        times = ratio(seconds, peer, "ours")
        yield Row(what=f"{what}, faster than {peer}", reached=times, unit="x", target=targets[peer], aim="at least")


class Ticker:
    """Notes the longest time that a loop had no turn for it: late by the clock, and busy by the thread's own.

    The lesser of the two counts, so that other work on the machine is not taken for a stall. Good to 1 ms.
    """

    worst_s = 0.0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._tick())
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._task.cancel()

    async def _tick(self) -> None:
        while True:
            begun_s, busy_s = time.perf_counter(), time.thread_time()
            await asyncio.sleep(TICK_S)
            late_s = time.perf_counter() - begun_s - TICK_S
            self.worst_s = max(self.worst_s, min(late_s, time.thread_time() - busy_s))


async def paced(server: Server, rounds: int) -> list[Row]:
    """Measure on a link slower than everybody: how late an image is, and how long the loop stands still."""
    late_s: dict[str, list[float]] = {}
    worst_s: dict[str, list[float]] = {}
    async with started(server.url(megabits=MEGABITS), *CONTESTANTS.keys() - {"floor"}) as clients:
        for name, client in list(clients.items()) * rounds:
            late, worst = await _paced_stream(server, client)
            late_s.setdefault(name, []).extend(late)
            worst_s.setdefault(name, []).append(worst)
    return [
        _milliseconds("last byte of an event to the image, paced", late_s, target=0.5),
        _milliseconds("worst stall of the event loop, paced", worst_s, target=3),
    ]


async def _paced_stream(server: Server, client: Contestant) -> tuple[list[float], float]:
    """Return how long after its last byte each image was there, and the loop's worst stall (seconds)."""
    seen_s: list[float] = []

    def seen(image: bytes) -> bytes:
        seen_s.append(time.perf_counter())
        return image

    empty_heap()
    async with Ticker() as ticker:
        await client.stream(seen)
    return [there_s - sent_s for there_s, sent_s in zip(seen_s, server.sent_s(), strict=True)], ticker.worst_s


def _milliseconds(what: str, seconds: Seconds, target: float) -> Row:
    medians = {name: 1e3 * median(measured) for name, measured in seconds.items()}
    return Row(what=what, reached=medians.pop("ours"), unit="ms", target=target, peers=medians)


async def decoder(rounds: int) -> list[Row]:
    """Measure the decoder alone on a stream in reads of 1 KiB, over the same in reads of 64 KiB."""
    body = b"".join(stream_events())
    runs = {str(size): partial(_decode, list(pieces(body, size * KIB))) for size in (1, 64)}
    times = ratio(await interleaved(runs, rounds), "1", over="64")
    return [Row(what="decoder alone, 1 KiB reads over 64 KiB", reached=times, unit="x", target=4)]


async def _decode(chunks: list[bytes]) -> int:
    from gradient_notebook.api.decode import StreamDecoder

    decoder = StreamDecoder(lambda error: ValueError(str(error)))
    return sum(len(event.image_bytes) for chunk in chunks for event in decoder.feed(chunk))


async def small_reads(server: Server, rounds: int, names: Sequence[str]) -> list[Row]:
    """Measure a stream in http chunks of 1 KiB, over the same in chunks of 64 KiB."""
    small, large = (started(server.url(write_bytes=size * KIB), *names) for size in (1, 64))
    async with small as small_clients, large as large_clients:
        runs = {f"{name} 1": partial(client.stream, plain) for name, client in small_clients.items()}
        runs |= {f"{name} 64": partial(client.stream, plain) for name, client in large_clients.items()}
        seconds = await interleaved(runs, rounds)
    times = {name: ratio(seconds, f"{name} 1", f"{name} 64") for name in small_clients}
    what = "stream, 1 KiB http chunks over 64 KiB"
    return [Row(what=what, reached=times.pop("ours"), unit="x", target=4, peers=times)]
