"""What is measured inside one process: contestants take turns, and only ratios within one turn count."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from statistics import median
from typing import Any

from contestants import CONTESTANTS, Contestant, Floor, there
from server import Server, images, stream_parts
from table import Row

KIB = 1024
MEGABITS = 200
"""The paced link, slower than any contestant."""
TICK_S = 0.001

Run = Callable[[], Awaitable[Any]]


def plain(image: bytes) -> bytes:
    """Take an image without noting when."""
    return image


async def interleaved(runs: Mapping[str, Run], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each run, round by round; the first round only warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds + 1):
        for name, run in runs.items():
            gc.collect()
            begun_s = time.perf_counter()
            await run()
            seconds[name].append(time.perf_counter() - begun_s)
    return {name: measured[1:] for name, measured in seconds.items()}


def ratio(seconds: Mapping[str, list[float]], name: str, over: str) -> float:
    """Return how many times as long `name` takes as `over`: the median of the rounds."""
    return median(mine / theirs for mine, theirs in zip(seconds[name], seconds[over], strict=True))


@asynccontextmanager
async def started(url: str, *names: str) -> Any:
    """Make the contestants that can take part, and hang up at the end."""
    clients: dict[str, Contestant] = {name: CONTESTANTS[name](url) for name in there(*names)}
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
            assert await client.answer(2) == [images()[-1]] * 2, name


async def streams(server: Server, rounds: int) -> Iterator[Row]:
    """Measure three partial images and a finished one, over the floor and against the peers."""
    async with started(server.url(), *CONTESTANTS) as clients:
        seconds = await interleaved({name: partial(client.stream, plain) for name, client in clients.items()}, rounds)
    over_floor = {name: ratio(seconds, name, "floor") for name in seconds if name not in ("floor", "ours")}
    rows = [Row(what="stream, 16 KiB reads, over the floor", reached=ratio(seconds, "ours", "floor"), unit="x", target=4.5, peers=over_floor)]
    targets = {"openai": 2.5, "gradient": 5.0, "httpx-sse": None}
    rows += [_faster(f"stream, faster than {name}", seconds, name, target) for name, target in targets.items() if name in seconds]
    return iter(rows)


def _faster(what: str, seconds: Mapping[str, list[float]], peer: str, target: float | None) -> Row:
    return Row(what=what, reached=ratio(seconds, peer, "ours"), unit="x", target=target, aim="at least")


async def answers(server: Server, rounds: int) -> Iterator[Row]:
    """Measure n images that are not streamed against the peers."""
    rows = []
    async with started(server.url(), "floor", "ours", "openai", "gradient") as clients:
        for n in (1, 4):
            seconds = await interleaved({name: partial(client.answer, n) for name, client in clients.items()}, rounds)
            targets = {"openai": 2.5, "gradient": None}
            named = {name: target for name, target in targets.items() if name in seconds}
            rows += [_faster(f"not streamed, n={n}, faster than {name}", seconds, name, target) for name, target in named.items()]
            peers = {name: ratio(seconds, name, "floor") for name in named}
            what = f"not streamed, n={n}, over the floor"
            rows.append(Row(what=what, reached=ratio(seconds, "ours", "floor"), unit="x", peers=peers))
    return iter(rows)


class Ticker:
    """Notes the longest time (seconds) that the loop had no turn for it, beyond its own tick."""

    async def __aenter__(self) -> Ticker:
        self.worst_s = 0.0
        self._task = asyncio.create_task(self._tick())
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._task.cancel()

    async def _tick(self) -> None:
        before_s = time.perf_counter()
        while True:
            await asyncio.sleep(TICK_S)
            now_s = time.perf_counter()
            self.worst_s = max(self.worst_s, now_s - before_s - TICK_S)
            before_s = now_s


async def _paced_stream(server: Server, client: Contestant) -> tuple[list[float], float]:
    """Return how long after its last byte each image was there, and the loop's worst stall (seconds)."""
    seen_s: list[float] = []

    def seen(image: bytes) -> bytes:
        seen_s.append(time.perf_counter())
        return image

    gc.collect()
    async with Ticker() as ticker:
        await client.stream(seen)
    return [there_s - sent_s for there_s, sent_s in zip(seen_s, server.sent_s(), strict=True)], ticker.worst_s


async def paced(server: Server, rounds: int) -> Iterator[Row]:
    """Measure on a link slower than everybody: how late an image is, and how long the loop stands still."""
    late_ms: dict[str, list[float]] = {}
    worst_ms: dict[str, list[float]] = {}
    async with started(server.url(megabits=MEGABITS), "ours", "openai", "gradient", "httpx-sse") as clients:
        for _ in range(rounds):
            for name, client in clients.items():
                late_s, worst_s = await _paced_stream(server, client)
                late_ms.setdefault(name, []).extend(one * 1e3 for one in late_s)
                worst_ms.setdefault(name, []).append(worst_s * 1e3)
    return iter([_paced("last byte of an event to the image", late_ms, 0.5), _paced("worst stall of the event loop", worst_ms, 3.0)])


def _paced(what: str, measured_ms: Mapping[str, list[float]], target: float) -> Row:
    medians = {name: median(values) for name, values in measured_ms.items()}
    return Row(what=f"{what}, paced", reached=medians.pop("ours"), unit="ms", target=target, peers=medians)


def _decode(chunks: list[bytes]) -> None:
    from gradient_notebook.api.decode import StreamDecoder

    decoder = StreamDecoder(lambda error: ValueError(str(error)))
    for chunk in chunks:
        for _ in decoder.feed(chunk):
            pass


async def small_reads(server: Server, rounds: int) -> Iterator[Row]:
    """Measure a stream in reads of 1 KiB over the same in reads of 64 KiB."""
    body = b"".join(stream_parts())
    cut = {size: [body[start : start + size] for start in range(0, len(body), size)] for size in (KIB, 64 * KIB)}
    decoder = await interleaved({str(size): partial(asyncio.to_thread, _decode, chunks) for size, chunks in cut.items()}, rounds)
    rows = [Row(what="decoder, 1 KiB reads over 64 KiB", reached=ratio(decoder, "1024", "65536"), unit="x", target=4.0)]
    names = ("ours", "floor", "openai", "gradient", "httpx-sse")
    async with started(server.url(write_bytes=KIB), *names) as small, started(server.url(write_bytes=64 * KIB), *names) as large:
        both = {f"{name} {size}": partial(client.stream, plain) for size, clients in (("1", small), ("64", large)) for name, client in clients.items()}
        seconds = await interleaved(both, max(3, rounds // 3))
    times = {name: ratio(seconds, f"{name} 1", f"{name} 64") for name in small}
    rows.append(Row(what="stream, 1 KiB chunks over 64 KiB", reached=times.pop("ours"), unit="x", target=4.0, peers=times))
    return iter(rows)


def time_here(server: Server, rounds: int) -> Iterator[Row]:
    """Yield all that is measured in this process."""
    asyncio.run(check(server.url()))
    for measure, times in ((streams, rounds), (answers, rounds), (paced, max(2, rounds // 3)), (small_reads, rounds)):
        yield from asyncio.run(measure(server, times))
