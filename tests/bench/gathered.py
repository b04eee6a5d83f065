"""A thousand images, eight at a time: this package's `sweep` beside what one would write by hand, `asyncio.gather` over openai's client.

`python tests/bench/gathered.py [--cells N] [--peers PYTHON]`. The service is a simulator in a process of its own, which takes
0.4 s for a small image. Each contestant is a process of its own, too, and what counts is its wall time over the ideal (cells
times seconds, over the images at a time), its peak of resident memory, and how many posts the service has seen.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PEERS = ROOT / ".venv-bench" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
KEY = "sk-do-benchmark"
MODEL = "openai-gpt-image-1"
PX = 64
AT_A_TIME = 8
IMAGE_S = 0.4
EARLY = 0.2
"""The part of the images after which memory is looked at first: from there on it should not grow."""
POLL_S = 0.05
CONTESTANTS = {
    "ours": "sweep, each image and its record on disk",
    "gather": "openai, asyncio.gather, images in memory",
    "gather to files": "openai, asyncio.gather, each image written to a file",
}

Figures = dict[str, float]


class Peaks:
    """The peak of this process's resident memory when some images were there, and at the end."""

    def __init__(self, cells: int) -> None:
        self._early, self._first = round(cells * EARLY), 0.0

    def look(self, done: int) -> None:
        """Note the peak as soon as so many images are there."""
        if not self._first and done >= self._early:
            self._first = _peak_mib()

    def figures(self) -> Figures:
        """Return both, and the processor time so far."""
        return {"early_mib": self._first or _peak_mib(), "end_mib": _peak_mib(), "cpu_s": time.process_time()}


def _peak_mib() -> float:
    import resource  # which Windows has not

    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kib / 1024 / (1024 if sys.platform == "darwin" else 1)


# What each process does


def ours(url: str, cells: int) -> Figures:
    """Make a sweep of so many cells, and keep it."""
    began_s = time.perf_counter()  # each imports its client first
    os.environ |= {"GRADIENT_INFERENCE_ENDPOINT": url, "GRADIENT_MODEL_ACCESS_KEY": KEY}
    import gradient_notebook as gn

    gn.configure(concurrency=AT_A_TIME, model=MODEL)
    peaks = Peaks(cells)
    study = gn.sweep("A hill, number {{i}}", i=range(cells), size="1024x1024", yes=True)
    while not study.done():
        time.sleep(POLL_S)
        peaks.look(study.outcomes.get("done", 0))
    wall_s = time.perf_counter() - began_s
    return {"wall_s": wall_s, "done": study.outcomes.get("done", 0), **peaks.figures()}


def gathered(url: str, cells: int, folder: Path | None) -> Figures:
    """Ask for as many images by openai's client; keep them in memory, or write each to a file."""
    began_s = time.perf_counter()
    from openai import AsyncOpenAI

    async def all_of_them() -> Figures:
        client = AsyncOpenAI(api_key=KEY, base_url=f"{url}/v1", max_retries=0)
        places, peaks, there = asyncio.Semaphore(AT_A_TIME), Peaks(cells), 0

        async def one(number: int) -> bytes | None:
            nonlocal there
            async with places:
                prompt = f"A hill, number {number}"
                answer = await client.images.generate(model=MODEL, prompt=prompt, size="1024x1024", n=1)
            data = base64.b64decode(answer.data[0].b64_json)
            there += 1
            peaks.look(there)
            if folder is None:
                return data
            (folder / f"{number}.png").write_bytes(data)
            return None

        kept: list[bytes | None] = await asyncio.gather(*(one(number) for number in range(cells)))
        return {"wall_s": time.perf_counter() - began_s, "done": len(kept), **peaks.figures()}

    return asyncio.run(all_of_them())


def serve(seconds: float) -> None:
    """Answer with small images until the standard input ends; say for each of its lines how many posts there were."""
    from gradient_notebook.simulator import Simulator
    from gradient_notebook.simulator.painter.noise import Noise

    class Small(Noise):
        def __init__(self, prompt: str, *, size: Any, **how: Any) -> None:
            del size
            super().__init__(prompt, size=(PX, PX), **how)

    Simulator.default_painter = Small
    with Simulator(seconds_per_image=seconds) as simulator:
        print(simulator.url, flush=True)
        for _ in sys.stdin:
            print(len(simulator.posts), flush=True)


# What starts them


@contextmanager
def service(seconds: float) -> Iterator[tuple[str, Callable[[], int]]]:
    """Run the service; yield its address, and what tells its posts."""
    command = [sys.executable, __file__, "--do", "serve", "--seconds", str(seconds)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": environment}
    with subprocess.Popen(command, **pipes) as process:
        assert process.stdin
        assert process.stdout
        answers = process.stdout

        def posts(asked: Any = process.stdin) -> int:
            asked.write("posts\n")
            asked.flush()
            return int(answers.readline())

        yield answers.readline().strip(), posts
        process.stdin.close()


def measured(name: str, cells: int, seconds: float, peers: Path = PEERS) -> Figures | None:
    """Return the figures of one contestant; None where its client is not installed."""
    is_ours = name == "ours"
    if not is_ours and not peers.exists():
        return None
    unwanted = ("GRADIENT_", "MODEL_ACCESS", "XDG_", "PYTHONPATH")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(unwanted)}
    environment |= {"NO_PROXY": "127.0.0.1", **({"PYTHONPATH": str(ROOT)} if is_ours else {})}
    with tempfile.TemporaryDirectory() as folder, service(seconds) as (url, posts):
        environment |= {"HOME": folder, "XDG_DATA_HOME": folder}
        command = [sys.executable if is_ours else str(peers), __file__, "--do", name, "--url", url]
        command += ["--cells", str(cells), "--folder", folder]
        told = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
        if told.returncode:
            raise RuntimeError(told.stderr)
        return {**json.loads(told.stdout), "posts": posts(), "ideal_s": cells * seconds / AT_A_TIME}


def row(name: str, cells: int, figures: Figures | None) -> str:
    """Return one line of the table."""
    what = CONTESTANTS[name]
    if figures is None:
        return f"{what:<55} | not installed"
    over = figures["wall_s"] / figures["ideal_s"]
    numbers = [
        f"{figures['wall_s']:.1f} s",
        f"{over:.2f}",
        f"{figures['cpu_s']:.1f} s",
        f"{figures['early_mib']:.0f}",
        f"{figures['end_mib']:.0f}",
    ]
    numbers += [f"{figures['posts']:,.0f}", f"{figures['done']:,.0f} of {cells:,}"]
    return " | ".join([f"{what:<55}", *(f"{number:>14}" for number in numbers)])


def main() -> None:
    """Measure each in its turn, or be one of the processes."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--cells", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=IMAGE_S)
    parser.add_argument("--peers", type=Path, default=PEERS)
    parser.add_argument("--do", help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.do == "serve":
        serve(given.seconds)
    elif given.do == "ours":
        print(json.dumps(ours(given.url, given.cells)))
    elif given.do:
        print(json.dumps(gathered(given.url, given.cells, given.folder if "files" in given.do else None)))
    else:
        early = round(given.cells * EARLY)
        print(f"{given.cells:,} images of {given.seconds:g} s, {AT_A_TIME} at a time:")
        heads = ["wall", "over the ideal", "CPU", f"MiB at {early:,}", "MiB at the end", "posts", "done"]
        print(" | ".join([f"{'':<55}", *(f"{head:>14}" for head in heads)]))
        for name in CONTESTANTS:
            print(row(name, given.cells, measured(name, given.cells, given.seconds, given.peers)), flush=True)
        print(
            f"Load of the machine at the end, other work included: {os.getloadavg()[0]:.1f} of {os.cpu_count()} cores."
        )


if __name__ == "__main__":
    main()
