"""How what it takes grows with how much there is: `make growth`, and a part of `make bench`.

Each line is measured in a process of its own, at sizes that double: processor time, which other work on the machine hardly
changes, and resident memory. The exponent is the slope of the one against the other, both as logarithms: 1 is linear.
"""

from __future__ import annotations

import asyncio
import gc
import io
import json
import math
import os
import platform
import random
import socket
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from table import drawn, load, put, short

ROOT = Path(__file__).parents[2]
KEY = "sk-do-growth"
WORSE = 1.2
"""An exponent above this is worse than linear, whatever the noise."""
IN_MEMORY = Path("/dev/shm")
README = Path(__file__).parent / "README.md"
BEGIN, END = "<!-- These lines are written by `growth.py --write`. -->\n", "<!-- The end of these lines. -->\n"
KERNELS_RECORD = 40
"""Images that each of several kernels keeps."""

Point = tuple[int, float, float]
"""How many there are, the processor seconds for all of them, and the resident MiB with them."""


def images_of_a_request() -> Iterator[Point]:
    """Return a job's whole way for 1 to 10 images, a real service beside it."""
    import gradient_notebook as gn

    with _process("--service") as service:
        os.environ |= {"GRADIENT_INFERENCE_ENDPOINT": str(service.readline()).strip(), "MODEL_ACCESS_KEY": KEY}
        gn.generate("a fox", n=1)
        for n in (1, 2, 5, 10):
            begun_s = time.process_time()
            for turn in range(3):
                gn.generate(f"a fox, {turn}", n=n, quality="low", size="1024x1024")
            yield n, (time.process_time() - begun_s) / 3, _resident_mib()


def pixels_of_an_image() -> Iterator[Point]:
    """Return what an image costs from its event to its preview, by its thousands of pixels."""
    from gradient_notebook.api.decoders import StreamDecoder
    from gradient_notebook.imaging import open_image, preview

    for width, height in ((480, 270), (960, 540), (1920, 1080), (3840, 2160)):
        event = _event(_png(width, height))
        begun_s = time.process_time()
        for _ in range(5):
            decoder = StreamDecoder(_no_error)
            found = [each for piece in _pieces(event, 64) for each in decoder.feed(piece)]
            preview(open_image(found[0].image_bytes))
        yield width * height // 1000, (time.process_time() - begun_s) / 5, _resident_mib()


def reads_of_an_event() -> Iterator[Point]:
    """Return what an event of 3 MB costs in reads of 64 KiB to 1 KiB, by their number."""
    from gradient_notebook.api.decoders import StreamDecoder

    event = _event(random.Random(0).randbytes(3_000_000))
    for kib in (64, 16, 4, 1):
        pieces = list(_pieces(event, kib))
        begun_s = time.process_time()
        for _ in range(20):
            decoder = StreamDecoder(_no_error)
            for piece in pieces:
                assert len(list(decoder.feed(piece))) == (piece is pieces[-1])
        yield len(pieces), (time.process_time() - begun_s) / 20, _resident_mib()


def images_of_a_session() -> Iterator[Point]:
    """Return what it costs to keep so many images on disk and in the ledger, one after the other."""
    yield from _growing(_keeper(), (625, 1250, 2500, 5000))


def first_page_of_a_history() -> Iterator[Point]:
    """Return what the newest 24 of so many cost to find and read."""
    import gradient_notebook as gn

    keep = _keeper()
    for count, since in ((250, 0), (500, 250), (1000, 500), (2000, 1000)):
        for number in range(since, count):
            keep(number)
        begun_s = time.process_time()
        for _ in range(5):
            found = gn.history()
            assert len(found) == count
            assert len([entry.prompt for entry in found[:24]]) == 24
        yield count, (time.process_time() - begun_s) / 5, _resident_mib()


def panels_open() -> Iterator[Point]:
    """Return what so many open panels cost."""
    import comm
    from comm.base_comm import BaseComm
    from IPython.core.interactiveshell import InteractiveShell

    from gradient_notebook import Panel

    class Silent(BaseComm):
        def publish_msg(self, *_: Any, **__: Any) -> None:
            pass

    comm.create_comm = Silent
    InteractiveShell.instance()
    kept = [Panel("image", prompt="a fox")]
    yield from _growing(lambda number: kept.append(Panel(f"image_{number}", prompt="a fox")), (6, 12, 25, 50))


def cells_of_a_sweep() -> Iterator[Point]:
    """Return what a sweep of so many cells costs until its plan is there and it can be shown."""
    import gradient_notebook as gn

    _point_nowhere()
    gn.sweep("{{a}}", a=["x"], start=False)
    for side in (25, 50, 71, 100):
        begun_s = time.process_time()
        study = gn.sweep(
            "a {{a}} in {{b}}",
            a=[f"a{at}" for at in range(side)],
            b=[f"b{at}" for at in range(side)],
            start=False,
            yes=True,
        )
        assert study.plan.to_make == side**2
        assert repr(study)
        yield side**2, time.process_time() - begun_s, _resident_mib()


def cells_made() -> Iterator[Point]:
    """Return what a sweep of so many cells costs until all of them are made, a real service beside it."""
    import gradient_notebook as gn

    with _process("--service") as service:
        os.environ |= {"GRADIENT_INFERENCE_ENDPOINT": str(service.readline()).strip(), "MODEL_ACCESS_KEY": KEY}
        gn.generate("a fox")
        gn.configure(concurrency=8)
        for count in (200, 400, 800, 1600):
            begun_s = time.process_time()
            names = [f"{count} {at}" for at in range(count)]
            study = gn.sweep("a {{a}}", a=names, quality="low", size="1024x1024", yes=True).result()
            assert study.outcomes == {"done": count}
            yield count, time.process_time() - begun_s, _resident_mib()


def jobs_waiting() -> Iterator[Point]:
    """Return what so many jobs cost that wait for their turn; the service never answers."""
    import gradient_notebook as gn

    with socket.create_server(("127.0.0.1", 0)) as listener:
        os.environ |= {
            "GRADIENT_INFERENCE_ENDPOINT": f"http://127.0.0.1:{listener.getsockname()[1]}",
            "MODEL_ACCESS_KEY": KEY,
        }
        gn.configure(concurrency=1)
        jobs = [gn.submit("a fox")]

        def submit(number: int) -> None:
            jobs.append(gn.submit(f"a fox, {number}"))
            if number % 100 == 99:
                _let_the_loop_come_here()

        yield from _growing(submit, (1250, 2500, 5000, 10_000))
        os._exit(0)  # its end would wait for them


def kernels_on_one_ledger() -> Iterator[Point]:
    """Return what so many processes cost together that keep images in one archive, at the same time."""
    for count in (1, 2, 5, 10):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, __file__, "--keep", folder]
            children = [
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
                for _ in range(count)
            ]
            for child in children:
                assert child.stdout
                child.stdout.readline()  # that it is ready
            for child in children:
                assert child.stdin
                child.stdin.write("go\n")
                child.stdin.flush()
            told = [child.communicate()[0] for child in children]
        yield count * KERNELS_RECORD, sum(map(float, told)), _resident_mib()


@dataclass(frozen=True)
class Line:
    """One line: what grows, what one of it is called, and what measures it."""

    what: str
    one: str
    measure: Callable[[], Iterator[Point]]


LINES = (
    Line("images of one request", "image", images_of_a_request),
    Line("size of an image, from its event to its preview", "1,000 pixels", pixels_of_an_image),
    Line("an event of 4 MB in reads of 64 KiB to 1 KiB", "read", reads_of_an_event),
    Line("images kept in a session", "image", images_of_a_session),
    Line("first page of a history", "image", first_page_of_a_history),
    Line("panels open", "panel", panels_open),
    Line("cells of a sweep, planned", "cell", cells_of_a_sweep),
    Line("cells of a sweep, made", "cell", cells_made),
    Line("jobs that wait", "job", jobs_waiting),
    Line("images kept by 1 to 10 kernels in one ledger", "image", kernels_on_one_ledger),
)


def exponent(points: Sequence[tuple[float, float]]) -> float:
    """Return the slope of a straight line through the logarithms, by least squares."""
    logs = [(math.log(at), math.log(max(value, 1e-9))) for at, value in points]
    middle = [sum(axis) / len(logs) for axis in zip(*logs, strict=True)]
    along = sum((at - middle[0]) ** 2 for at, _ in logs)
    return sum((at - middle[0]) * (value - middle[1]) for at, value in logs) / along


def measured(line: Line) -> list[Point]:
    """Return the points of a line, from a process of its own with a home of its own."""
    # In memory where that is a folder: what a disk makes wait is no processor time, and takes minutes.
    with tempfile.TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None) as home:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GRADIENT_", "MODEL_ACCESS"))}
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        own = {"TMPDIR": home, "HOME": home, "XDG_DATA_HOME": home, "IPYTHONDIR": home, "PYTHONPATH": path}
        command = [sys.executable, __file__, "--line", line.measure.__name__]
        told = subprocess.run(command, env={**kept, **own}, cwd=home, stdout=subprocess.PIPE, text=True, check=True)
    return [(point[0], point[1], point[2]) for point in map(json.loads, told.stdout.splitlines())]


def table(found: Mapping[str, Sequence[Point]]) -> str:
    """Return the lines as Markdown."""
    headings = (
        "what grows",
        "from to",
        "CPU for one, µs: least",
        "most",
        "exponent of all",
        "memory for one more, KiB",
    )
    return drawn([headings, *(_cells(line, found[line.what]) for line in LINES if line.what in found)])


def _cells(line: Line, points: Sequence[Point]) -> tuple[str, ...]:
    slope = exponent([(count, cpu_s) for count, cpu_s, _ in points])
    (first, first_s, _), (last, last_s, last_mib) = points[0], points[-1]
    before, _, before_mib = points[-2]
    more_kib = max(0.0, last_mib - before_mib) * 1024 / (last - before)
    return (
        line.what,
        f"{first:,} to {last:,} ({line.one})",
        short(1e6 * first_s / first),
        short(1e6 * last_s / last),
        f"{slope:.2f}{' (worse than linear)' if slope > WORSE else ''}",
        short(more_kib),
    )


def measure_all(progress: Callable[[str], None]) -> dict[str, list[Point]]:
    """Measure each line."""
    found = {}
    for line in LINES:
        progress(f"growth: {line.what}")
        found[line.what] = measured(line)
    return found


def _growing(add: Callable[[int], object], counts: Sequence[int]) -> Iterator[Point]:
    """Yield what all so far have cost, each time when so many are there."""
    begun_s, made = time.process_time(), 0
    for count in counts:
        for number in range(made, count):
            add(number)
        made = count
        _let_the_loop_come_here()
        yield count, time.process_time() - begun_s, _resident_mib()


def _let_the_loop_come_here() -> None:
    """Wait until the package's thread has done what has been handed over so far."""
    from gradient_notebook.jobs import event_loop

    event_loop.run(asyncio.sleep(0))


def _keeper() -> Callable[[int], object]:
    """Return what keeps one more small image, as a job does."""
    from gradient_notebook.api.params import ImageGenerateParams
    from gradient_notebook.connect import discover
    from gradient_notebook.jobs.image_slot import ImageSlot
    from gradient_notebook.jobs.recorder import Recorder
    from gradient_notebook.storage.archive import get_default

    _point_nowhere()
    settings, chance = discover(), random.Random(os.getpid())

    def keep(number: int) -> None:
        slot = ImageSlot()
        recorder = Recorder(get_default(), ImageGenerateParams(prompt=f"a fox, {number}"), settings)
        recorder.begin([slot])
        slot.image_bytes = b"\x89PNG\r\n\x1a\n" + chance.randbytes(2_000)
        recorder.store(slot, slot.image_bytes)
        slot.advance("done")
        recorder.end("done")

    return keep


def _point_nowhere() -> None:
    os.environ |= {"GRADIENT_INFERENCE_ENDPOINT": "http://127.0.0.1:9", "MODEL_ACCESS_KEY": KEY}


def _png(width: int, height: int) -> bytes:
    from PIL import Image

    small = (width // 16, height // 16)
    noise = Image.frombytes("RGB", small, random.Random(0).randbytes(3 * small[0] * small[1]))
    buffer = io.BytesIO()
    noise.resize((width, height), Image.Resampling.BICUBIC).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _event(image: bytes) -> bytes:
    message = json.dumps({"type": "image_generation.completed", "b64_json": b64encode(image).decode()})
    return f"event: image_generation.completed\ndata: {message}\n\n".encode()


def _pieces(data: bytes, kib: int) -> Iterator[bytes]:
    return (data[at : at + kib * 1024] for at in range(0, len(data), kib * 1024))


def _no_error(*_: Any, **__: Any) -> Exception:
    return AssertionError("the event is no error")


def _resident_mib() -> float:
    gc.collect()
    status = Path("/proc/self/status")
    if not status.exists():
        return 0.0
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmRSS")) / 1024


class _process:  # noqa: N801 - a context manager, used as the functions of contextlib are
    """This file as another process, which ends with its input; its output."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, __file__, *arguments]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Any:
        return self._process.stdout

    def __exit__(self, *exc: object) -> None:
        self._process.communicate()


def _serve() -> None:
    """Be the service, with pictures that cost it little, until the standard input is closed."""
    from gradient_notebook.simulator import Simulator
    from gradient_notebook.simulator.painter.noise import Noise

    with Simulator(seconds_per_image=0, painter=Noise) as service:
        print(service.url, flush=True)
        sys.stdin.read()


def _keep(folder: str) -> None:
    """Be one of several kernels: keep images in this archive when told to, and print the processor time."""
    import gradient_notebook as gn

    gn.configure(archive_dir=folder)
    keep = _keeper()
    print("ready", flush=True)
    sys.stdin.readline()
    begun_s = time.process_time()
    for number in range(KERNELS_RECORD):
        keep(number)
    print(time.process_time() - begun_s)


def main() -> None:
    """Measure all lines and print the table; or be one of the processes that this takes."""
    what, *arguments = [*sys.argv[1:], ""]
    if what == "--line":
        for point in {line.measure.__name__: line.measure for line in LINES}[arguments[0]]():
            print(json.dumps(point), flush=True)
    elif what == "--service":
        _serve()
    elif what == "--keep":
        _keep(arguments[0])
    else:
        begun_s = time.perf_counter()
        told = table(measure_all(lambda line: print(line, file=sys.stderr)))
        told += f"\n\nPython {platform.python_version()}, {os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}.{load()}"
        print(f"\n{told}\n\n{time.perf_counter() - begun_s:.0f} s")
        if what == "--write":
            put(README, told, BEGIN, END)


if __name__ == "__main__":
    main()
