"""Generations by the thousand in one real kernel: what it holds at the end, it held near the beginning."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from counted import Figure, some, zero

if TYPE_CHECKING:
    from kernel import Kernel

KERNELS = Path(__file__).parents[1] / "kernel"
SERVICE = Path(__file__).parent / "canned.py"
IN_A_CELL = 50
WARM = 200
"""What is held after so many generations is what everything later is compared with."""
LOOKS = 9
BETWEEN_LOOKS = 4
"""Memory is up and down by some 10 MiB from one generation to the next."""
CELL_S = 600.0
GROWTH = 5.0  # percent
HELD = (
    ("resident memory", "resident", " MiB"),
    ("threads", "threads", ""),
    ("open sockets", "sockets", ""),
    ("open files, sockets among them", "files", ""),
)

_CELL = """\
for _ in range({count}):
    get_ipython().run_cell_magic("imagegen", "otter --size 1536x1024 --partial-images 1", "An otter")
    assert otter.size == (1536, 1024)
"""
_HELD = """\
import ctypes, gc, json, os, threading
gc.collect()
if hasattr(ctypes.CDLL(None), "malloc_trim"):
    ctypes.CDLL(None).malloc_trim(0)
with open("/proc/self/status") as status:
    resident = next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
links = []
for name in os.listdir("/proc/self/fd"):
    try:
        links.append(os.readlink("/proc/self/fd/" + name))
    except OSError:
        pass
sockets = sum(link.startswith("socket:") for link in links)
print(json.dumps({"resident": resident / 1024, "threads": threading.active_count(), "sockets": sockets, "files": len(links)}))
"""


class Service:
    """The service in a process of its own, so that the kernel's memory is the kernel's."""

    def __enter__(self) -> Self:
        command = [sys.executable, str(SERVICE)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url = self._process.stdout.readline().strip()
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.communicate()


def figures(count: int) -> list[Figure]:
    """Make `count` images in a kernel, and return what it held near the beginning and at the end."""
    warm = min(WARM, max(1, count // 4))
    with tempfile.TemporaryDirectory() as folder, Service() as service:
        kernel = _started(Path(folder), service.url)
        try:
            first = _held_after(kernel, warm)
            last = _held_after(kernel, count - warm)
            recorded = kernel.value("len(__import__('gradient_notebook').history(outcome='done'))")
        finally:
            kernel.stop()
    return _figures(first, last, count, warm, recorded)


def _started(folder: Path, url: str) -> Kernel:
    if str(KERNELS) not in sys.path:
        sys.path.append(str(KERNELS))
    from kernel import Kernel

    where = {"GRADIENT_INFERENCE_ENDPOINT": url, "GRADIENT_MODEL_ACCESS_KEY": "sk-do-reliability"}
    kernel = Kernel(folder, where)
    kernel.run("%load_ext gradient_notebook")
    return kernel


def _held_after(kernel: Kernel, count: int) -> dict[str, Any]:
    """Make `count` images, and return what is held after them: the median of looks among the last."""
    between = min(BETWEEN_LOOKS, count // LOOKS)
    _generate(kernel, count - between * LOOKS)
    looks = []
    for _ in range(LOOKS):
        _generate(kernel, between)
        looks.append(_held(kernel))
    return sorted(looks, key=lambda held: held["resident"])[LOOKS // 2]


def _generate(kernel: Kernel, count: int) -> None:
    for begun in range(0, count, IN_A_CELL):
        cell = kernel.start(_CELL.format(count=min(IN_A_CELL, count - begun)))
        kernel.wait(cell, CELL_S)
        assert cell.status == "ok", cell
        _forget(kernel)


def _forget(kernel: Kernel) -> None:
    """Drop what the front end has seen: it is not what is measured."""
    kernel.cells.clear()
    kernel.replies.clear()
    kernel._displays.clear()
    kernel.comms = {name: comm for name, comm in kernel.comms.items() if not comm.closed}


def _held(kernel: Kernel) -> dict[str, Any]:
    cell = kernel.run(_HELD)
    assert cell.status == "ok", cell
    held: dict[str, Any] = json.loads(cell.printed)
    held["widgets"] = len(kernel.comms)
    return held


def _figures(first: dict[str, Any], last: dict[str, Any], count: int, warm: int, recorded: int) -> list[Figure]:
    growth = 100 * (last["resident"] / first["resident"] - 1)
    return [
        some("generations in one kernel", count),
        *(
            Figure(what=f"{what}, {when}", count=held[name], unit=unit)
            for what, name, unit in HELD
            for when, held in ((f"after {warm:,}", first), ("at the end", last))
        ),
        Figure(what="growth of resident memory", count=growth, reach=GROWTH, unit=" %"),
        zero("widgets that stay open", last["widgets"]),
        zero("generations that the history does not have", count - recorded),
    ]
