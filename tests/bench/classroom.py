"""A class on one machine: `make classroom`. Kernels that all make an image, with embedded simulators and with a shared one.

What it prints are figures of the machine that it runs on, and of what else runs there: for a teacher who wants to know whether
it is large enough. `--students N` says how many kernels (30), `--spread S` the seconds over which a class presses Run (60).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import psutil
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import KernelManager

ROOT = Path(__file__).parents[2]
LOAD = "%load_ext gradient_notebook"
CELL = "%%imagegen fox\nA red fox in the snow, seen by {name}"
PATIENCE_S = 300
IDLE_S = 10
MB = 1e6


class Student:
    """A kernel, with a home of its own, and the seconds that its cells took."""

    def __init__(self, number: int, folder: Path, environment: Mapping[str, str]) -> None:
        self.name = f"student {number}"
        home = folder / f"home-{number}"
        home.mkdir()
        unwanted = ("GRADIENT_", "MODEL_ACCESS", "JUPYTER", "IPYTHON", "XDG_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
        self.manager = KernelManager(connection_file=str(home / "kernel.json"))
        self.manager.kernel_spec.argv[0] = sys.executable
        self.manager.start_kernel(
            env=kept | {"HOME": str(home), "PYTHONPATH": str(ROOT), **environment},
            cwd=str(home),
            stderr=subprocess.DEVNULL,
        )
        self.client: BlockingKernelClient = self.manager.blocking_client()
        self.client.start_channels()

    @property
    def process(self) -> psutil.Process:
        """The kernel's process."""
        return psutil.Process(self.manager.provisioner.process.pid)

    def begin(self, code: str) -> None:
        """Start a cell."""
        self._asked = self.client.execute(code)

    def end(self) -> float:
        """Wait for the cell, and return how many seconds it took."""
        while (reply := self.client.get_shell_msg(timeout=PATIENCE_S))["parent_header"]["msg_id"] != self._asked:
            pass
        assert reply["content"]["status"] == "ok", reply["content"]
        started = datetime.fromisoformat(str(reply["metadata"]["started"]))
        return float((reply["header"]["date"] - started).total_seconds())

    def run(self, code: str) -> float:
        """Run a cell."""
        self.begin(code)
        return self.end()

    def stop(self) -> None:
        """End the kernel."""
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


def processor_s(processes: Sequence[psutil.Process]) -> float:
    """Return the processor time that processes have taken so far."""
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def memory(process: psutil.Process) -> float:
    """Return a process's memory in bytes; what several share counts in parts, where the system tells."""
    whole = process.memory_full_info()
    return float(getattr(whole, "pss", 0) or whole.uss)


@contextmanager
def shared_simulator() -> Iterator[tuple[str, psutil.Process]]:
    """Run one simulator for all, and yield its address and its process."""
    command = [sys.executable, "-m", "gradient_notebook.simulator"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield process.stdout.readline().strip(), psutil.Process(process.pid)
        finally:
            process.terminate()


def told(what: str, seconds: Sequence[float], spent_s: float, class_: Sequence[Student]) -> None:
    """Print a row."""
    each = [memory(student.process) / MB for student in class_]
    print(
        f"{what:25} {min(seconds):7.1f} {median(seconds):7.1f} {max(seconds):7.1f}"
        f" {spent_s / len(seconds):8.2f} {median(each):8.0f} {sum(each):8.0f}",
        flush=True,
    )


def measured(what: str, class_: Sequence[Student], others: Sequence[psutil.Process], spread_s: float) -> None:
    """Have each student make an image, all within `spread_s`, and print what it took."""
    processes = [*(student.process for student in class_), *others]
    before = processor_s(processes)
    for student in class_:
        student.begin(CELL.format(name=f"{student.name}, {what}"))
        time.sleep(spread_s / len(class_))
    seconds = [student.end() for student in class_]
    told(what, seconds, processor_s(processes) - before, class_)


@contextmanager
def kernels(count: int, **environment: str) -> Iterator[list[Student]]:
    """Start a class, with the extension loaded."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(ignore_cleanup_errors=True)))
        began = time.monotonic()
        class_ = []
        for number in range(count):
            class_.append(Student(number, folder, environment))
            stack.callback(class_[-1].stop)
        for student in class_:
            student.client.wait_for_ready(timeout=PATIENCE_S)
        load = f"{os.getloadavg()[0]:.1f} of {os.cpu_count()} cores"
        print(f"\n{count} kernels in {time.monotonic() - began:.0f} s; load of the machine: {load}", flush=True)
        print(f"{'':25}{'seconds a cell':^24} {'CPU s':>8} {'MB':>8} {'MB':>8}")
        print(f"{'':25} {'least':>7} {'median':>7} {'most':>7} {'an image':>8} {'each':>8} {'in all':>8}")
        told("bare", [0.0], 0, class_)
        told("with the extension", [student.run(LOAD) for student in class_], 0, class_)
        yield class_


def main() -> None:
    """Measure a class with a simulator each, and one with a simulator for all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--students", type=int, default=30)
    parser.add_argument("--spread", type=float, default=60)
    given = parser.parse_args()
    with kernels(given.students) as class_:
        measured("all together", class_, [], 0)
        before = processor_s([student.process for student in class_])
        time.sleep(IDLE_S)
        idle = processor_s([student.process for student in class_]) - before
        measured(f"within {given.spread:.0f} s", class_, [], given.spread)
        print(f"A simulator each. An idle kernel takes {100 * idle / IDLE_S / len(class_):.2f} % of a core.")
    with (
        shared_simulator() as (url, shared),
        kernels(given.students, GRADIENT_INFERENCE_ENDPOINT=url, GRADIENT_MODEL_ACCESS_KEY="any") as class_,
    ):
        measured("all together", class_, [shared], 0)
        measured(f"within {given.spread:.0f} s", class_, [shared], given.spread)
        print(f"One simulator for all, which takes {memory(shared) / MB:.0f} MB.")


if __name__ == "__main__":
    main()
