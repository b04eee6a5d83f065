"""One contestant in a process of its own: `python worker.py CONTESTANT`.

Each line of the standard input is a JSON object: what to do (`do`), and with what. Each is answered by a line of JSON
on the standard output: figures, or `{"error": ...}`. The process ends with its input.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import hashlib
import inspect
import json
import os
import resource
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Self

from contestants import CONTESTANTS, Contestant, decode
from server import TINY, pieces, stream_events

MIB = 1024 * 1024
STATUS, CLEAR_PEAK = Path("/proc/self/status"), Path("/proc/self/clear_refs")
TICK_S = 0.001
Figures = dict[str, Any]


def kept(image: bytes) -> bytes:
    """Keep an image as it is."""
    return image


class Worker:
    """Does what is asked for, each method by its name."""

    def __init__(self, name: str) -> None:
        self._entry = CONTESTANTS[name]
        self._clients: dict[str, Contestant] = {}
        self._loop = asyncio.new_event_loop()

    def hashes(self, url: str, counts: Iterable[int]) -> Figures:
        """Return the sha256 of each image, streamed and not."""
        client = self._client(url)
        answers = {str(n): _hashes(self._call(client.answer, n)) for n in counts}
        return {"stream": _hashes(self._call(client.stream, kept)), "answers": answers}

    def stream(self, url: str, *, watch_loop: bool = False) -> Figures:
        """Time a stream; tell when each image was there, and how long the event loop stood still."""
        seen_s: list[float] = []

        def seen(image: bytes) -> bytes:
            seen_s.append(time.perf_counter())
            return image

        client = self._warm(url)
        if not (watch_loop and self._entry.is_async):
            return {**self._timed(client.stream, seen), "seen_s": seen_s}
        ticker = Ticker()
        return {**self._timed(ticker.beside, client.stream, seen), "seen_s": seen_s, "stall_s": ticker.worst_s}

    def answer(self, url: str, n: int) -> Figures:
        """Time n images that are not streamed."""
        return self._timed(self._warm(url).answer, n)

    def at_once(self, url: str, count: int) -> Figures:
        """Time `count` images at once, which are dropped; tell the peak of the process so far."""
        figures = {**self._timed(self._warm(url).at_once, count), "peak_mib": _resident_peak()}
        _empty_heap()  # others take their turns beside it
        return figures

    def memory(self, url: str) -> Figures:
        """Return what a stream takes beyond its images, which are kept, everything being imported and warm."""
        client = self._client(url)
        self._call(client.stream, kept)
        self._call(client.answer, 1, TINY)  # what a client holds of its last answer is small now
        resident_mib = None
        if CLEAR_PEAK.exists():
            _empty_heap()
            CLEAR_PEAK.write_text("5")
            before_mib = _status("VmRSS")
            images_mib = sum(map(len, self._call(client.stream, kept))) / MIB
            resident_mib = _status("VmHWM") - before_mib - images_mib
        gc.collect()
        tracemalloc.start()
        images_mib = sum(map(len, self._call(client.stream, kept))) / MIB
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return {"resident_mib": resident_mib, "allocated_mib": peak / MIB - images_mib}

    def decode(self, read_bytes: int) -> Figures:
        """Time the decoder alone on a stream that is read in pieces of one size."""
        return self._timed(decode, list(pieces(b"".join(stream_events()), read_bytes)))

    def _client(self, url: str) -> Contestant:
        if url not in self._clients:
            self._clients[url] = self._entry.make(url)
        return self._clients[url]

    def _warm(self, url: str) -> Contestant:
        """Return a client whose connection is there: a pool closes one that has waited for its turn too long."""
        client = self._client(url)
        self._call(client.answer, 1, TINY)
        return client

    def _timed(self, function: Callable[..., Any], *arguments: Any) -> Figures:
        _empty_heap()
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        result = self._call(function, *arguments)
        wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
        sizes = list(map(len, result)) if isinstance(result, list) else result
        return {"wall_s": wall_s, "cpu_s": cpu_s, "sizes": sizes}

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        result = function(*arguments)
        return self._loop.run_until_complete(result) if inspect.iscoroutine(result) else result


class Ticker:
    """Notes the longest time that a loop had no turn for it: late by the clock, and busy by the thread's own.

    The lesser of the two counts, so that other work on the machine is not taken for a stall. Good to 1 ms.
    """

    worst_s = 0.0

    async def beside(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Tick while a coroutine function is at work; return its result."""
        async with self:
            return await function(*arguments)

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


def _hashes(images: Iterable[bytes]) -> list[str]:
    return [hashlib.sha256(image).hexdigest() for image in images]


def _empty_heap() -> None:
    """Give free memory back to the system: who keeps images pays for new memory, and so shall everybody each time."""
    gc.collect()
    with contextlib.suppress(AttributeError, OSError, TypeError):  # glibc's own
        ctypes.CDLL(None).malloc_trim(0)


def _resident_peak() -> float:
    """Return the peak of this program's resident memory; where Linux's /proc is missing, of its process's."""
    if STATUS.exists():
        return _status("VmHWM")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (MIB if sys.platform == "darwin" else 1024)


def _status(name: str) -> float:
    """Return a figure of Linux's about this process, in MiB."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) / 1024


def main() -> None:
    """Answer line by line. What else is printed goes to the standard error."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    worker = Worker(sys.argv[1])
    for line in sys.stdin:
        arguments = json.loads(line)
        try:
            figures = getattr(worker, arguments.pop("do"))(**arguments)
        except Exception as error:
            figures = {"error": f"{type(error).__name__}: {error}"[:300]}
        print(json.dumps(figures), file=answers, flush=True)


if __name__ == "__main__":
    main()
