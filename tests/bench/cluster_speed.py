"""What a cluster adds to a sweep: `PYTHONPATH=. python tests/bench/cluster_speed.py [overhead|wall|memory] ...`.

`overhead`: milliseconds a cell, here and on Dask, of a service that answers as fast as it can. `wall`: seconds over the ideal
schedule for 1, 2 and 4 workers. `memory`: of scheduler and broker over 100,000 cells that workers claim, and do not send.
"""

from __future__ import annotations

import math
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clusters import cluster, scheduler, workers_of
from kills import UNLIMITED
from runners import Small, archive_in

import gradient_notebook as gn
from gradient_notebook.simulator import Simulator

CONCURRENCY = 4


@contextmanager
def service(image_s: float) -> Iterator[gn.Settings]:
    with (
        tempfile.TemporaryDirectory() as place,
        archive_in(place),
        Simulator(seconds_per_image=image_s, requests_per_hour=UNLIMITED, painter=Small) as found,
    ):
        gn.configure(concurrency=CONCURRENCY)
        yield gn.Settings(endpoint=found.url, key="sk-do-of-speed-only")


def planned(count: int, settings: gn.Settings) -> gn.Sweep:
    template = f"hill {time.time()} {{{{i}}}}"
    return gn.sweep(template, i=range(count), quality="low", yes=True, start=False, settings=settings)


def overhead(count: int = 400) -> None:
    """Print milliseconds a cell."""
    with service(0) as settings, cluster(2) as client:
        for _ in range(3):
            for name in ("here", "Dask"):
                study = planned(count, settings)
                began_s = time.perf_counter()
                (study.start() if name == "here" else study.run(on=client)).result()
                took_s = time.perf_counter() - began_s
                print(f"{name}: {took_s / count * 1000:.1f} ms a cell, {study.outcomes}", flush=True)


def wall(image_s: float = 2.0, each: int = 80) -> None:
    """Print seconds, and the ideal ones."""
    for workers in (1, 2, 4):
        with service(image_s) as settings, cluster(workers) as client:
            study = planned(each * workers, settings)
            began_s = time.perf_counter()
            study.run(on=client)
            checked_s = time.perf_counter() - began_s
            study.result()
            took_s = time.perf_counter() - began_s
            ideal_s = math.ceil(each / CONCURRENCY) * image_s
            words = f"{took_s:.1f} s, ideal {ideal_s:.0f} s: x{took_s / ideal_s:.2f}; {checked_s:.1f} s before the first post"
            print(f"{workers} workers: {words}, {study.outcomes}", flush=True)


def memory(count: int = 100_000) -> None:
    """Print megabytes of this process, and of the scheduler in one of its own."""
    with service(0) as settings, scheduler() as client, workers_of(client, 2):
        _watch(client, count, settings)


def _watch(client: Any, count: int, settings: gn.Settings) -> None:
    print(f"before: broker {_megabytes():.0f} MB, scheduler {client.run_on_scheduler(_megabytes):.0f} MB", flush=True)
    study = planned(count, settings)
    print(f"planned: broker {_megabytes():.0f} MB", flush=True)
    client.run(_send_nothing)
    began_s = time.perf_counter()
    study.run(on=client)
    told_s = 0.0
    while not study.done():
        time.sleep(1)
        if time.perf_counter() - told_s > 20:
            told_s = time.perf_counter()
            where = f"broker {_megabytes():.0f} MB, scheduler {client.run_on_scheduler(_megabytes):.0f} MB"
            print(f"{study.outcomes.get('done', 0):,} done: {where}, {told_s - began_s:.0f} s", flush=True)
    where = f"broker {_megabytes():.0f} MB, scheduler {client.run_on_scheduler(_megabytes):.0f} MB"
    print(f"{study.outcomes}: {where}, {time.perf_counter() - began_s:.0f} s", flush=True)


def _megabytes() -> float:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096 / 1e6


def _send_nothing() -> None:
    """Have this worker claim cells and wait 10 ms for each, as if a service had answered."""
    import asyncio
    import dataclasses

    from gradient_notebook.cluster import money, worker
    from gradient_notebook.cluster.claims import Done
    from gradient_notebook.cluster.lease import Report
    from gradient_notebook.storage import clock

    async def make(self: Any, order: Any) -> Report:
        claimed: list[Any] = []
        await worker.in_a_thread(self._claim, order, claimed)
        if claimed != ["mine"]:
            return Report(order.record_id, "back")
        await asyncio.sleep(0.01)
        record = money.Money(None, self._kit.settings, self._lease.run).record_of(order)  # type: ignore[arg-type]
        images = (dataclasses.replace(record.images[0], outcome="done", file=f"{order.name * 2}.png", byte_count=1000),)
        ended = dataclasses.replace(record, images=images, outcome="done", ended_at=clock.now())
        return Report(order.record_id, "ended", Done(ended, b"x" * 10_000))

    worker._Lease._make = make  # type: ignore[method-assign]


if __name__ == "__main__":
    for part in sys.argv[1:] or ("overhead", "wall", "memory"):
        print(f"\n## {part}\n", flush=True)
        globals()[part]()
