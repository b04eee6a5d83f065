"""A sweep on a Dask cluster whose workers are killed one after the other: nothing is sent twice, nothing finished is lost."""

from __future__ import annotations

import logging
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from counted import Figure, some, zero
from kills import UNLIMITED
from runners import Small, archive_in

import gradient_notebook as gn
from gradient_notebook.simulator import Simulator
from gradient_notebook.storage.runs import put_run

IMAGE_S = 0.05
KILL_EVERY = 50
"""Cells that finish between two kills."""
PATIENCE_S = 60.0
KEY = "sk-do-of-clusters-only"


@contextmanager
def cluster(workers: int = 2, **how: Any) -> Iterator[Any]:
    """A client of a cluster of processes on this machine, whose logs nobody reads."""
    from distributed import Client, LocalCluster

    chosen = {"threads_per_worker": 1, "dashboard_address": "127.0.0.1:0", "silence_logs": logging.CRITICAL, **how}
    with LocalCluster(n_workers=workers, **chosen) as local, Client(local) as client:
        yield client


@contextmanager
def scheduler() -> Iterator[Any]:
    """A client of a scheduler in a process of its own, which has no workers."""
    from distributed import Client

    with tempfile.TemporaryDirectory() as place:
        file = Path(place, "scheduler.json")
        command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--scheduler-file", str(file)]
        chosen = [*command, "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
        with subprocess.Popen(chosen, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                while not file.exists():
                    time.sleep(0.05)
                with Client(scheduler_file=str(file), timeout=5, set_as_default=False) as client:
                    client.process = process
                    yield client
            finally:
                process.kill()


class Workers:
    """Workers as processes that nobody starts again by himself: a nanny gives up on those that are killed early."""

    def __init__(self, address: str) -> None:
        self._address = address
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, *more: str) -> None:
        """Start one."""
        command = [sys.executable, "-m", "distributed.cli.dask_worker", self._address]
        chosen = [*command, "--no-nanny", "--no-dashboard", "--nthreads", "1", *more]
        self.processes.append(subprocess.Popen(chosen, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    def kill(self, process: int) -> None:
        """Kill one, and start another."""
        found = next(one for one in self.processes if one.pid == process)
        found.kill()
        found.wait()
        self.processes.remove(found)
        self.start()


@contextmanager
def workers_of(client: Any, count: int) -> Iterator[Workers]:
    """Workers for a cluster that has none."""
    workers = Workers(client.scheduler.address)
    try:
        for _ in range(count):
            workers.start()
        if count:
            client.wait_for_workers(count, timeout=PATIENCE_S)
        yield workers
    finally:
        for process in workers.processes:
            process.kill()
            process.wait()


def processes_of(client: Any) -> list[int]:
    """Return the processes of the workers that can be asked."""
    return [told for told in client.run(os.getpid, on_error="return").values() if isinstance(told, int)]


def figures(cells: int, seed: int = 1, count: int = 2) -> list[Figure]:
    """Make so many cells on workers of which one is killed after every 50 that have finished; return what is counted."""
    chance = random.Random(seed)
    with (
        tempfile.TemporaryDirectory() as place,
        archive_in(place),
        Simulator(seconds_per_image=IMAGE_S, requests_per_hour=UNLIMITED, painter=Small) as service,
        cluster(0) as client,
        workers_of(client, count) as workers,
    ):
        settings = gn.Settings(endpoint=service.url, key=KEY)
        study = gn.sweep("hill {{i}}", i=range(cells), quality="low", yes=True, start=False, settings=settings)
        study.run(on=client)
        finished: set[int] = set()
        killed = lost = 0
        ends_s = time.monotonic() + PATIENCE_S + cells
        while not study.done():
            done = {cell.index for cell in study if cell.outcome == "done"}
            lost, finished = lost + len(finished - done), finished | done
            if len(done) >= KILL_EVERY * (killed + 1) and (there := processes_of(client)):
                workers.kill(chance.choice(there))
                killed += 1
            assert time.monotonic() < ends_s, f"it does not end: {study!r}"
            time.sleep(0.02)
        study.result()
        lost += len(finished - {cell.index for cell in study if cell.outcome == "done"})
        return _figures(service, study, Path(place), killed, lost)


def _figures(service: Simulator, study: gn.Sweep, place: Path, killed: int, lost: int) -> list[Figure]:
    posts = Counter(post.body["prompt"] for post in service.posts)
    by_outcome = {outcome: {cell.prompt for cell in study if cell.outcome == outcome} for outcome in study.outcomes}
    done, unknown = by_outcome.get("done", set()), by_outcome.get("unknown", set())
    missing = [path for cell in study if cell.outcome == "done" for path in cell.paths if not path.exists()]
    again = gn.Sweep.attach(study.id)
    with_key = [path for path in place.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    return [
        Figure(what="workers killed", count=killed),
        some("posts received by the service", posts.total()),
        some("cells done", len(done)),
        Figure(what="cells reported as 'may have been billed'", count=len(unknown)),
        Figure(what="  of which the service had received a request", count=len(unknown & set(posts))),
        zero("second posts of a cell", sum(number - 1 for number in posts.values())),
        zero("cells done, and LOST after a later kill", lost),
        zero("posts that are neither done nor reported", len(set(posts) - done - unknown)),
        zero("cells neither done nor reported at the end", len(study) - len(done) - len(unknown)),
        zero("originals missing", len(missing)),
        zero(
            "cells that the ledger has otherwise",
            sum(a.outcome != b.outcome for a, b in zip(study, again, strict=True)),
        ),
        zero("files of the archive that hold the key", len(with_key)),
    ]


def runner_figures(count: int, seed: int = 1) -> list[Figure]:
    """Kill `count` processes that make one sweep on a cluster, each followed by another; return what is counted."""
    chance = random.Random(seed)
    cells = 16 * count
    with (
        tempfile.TemporaryDirectory() as place,
        archive_in(place),
        Simulator(seconds_per_image=IMAGE_S, requests_per_hour=UNLIMITED, painter=Small) as service,
        cluster() as client,
    ):
        settings = gn.Settings(endpoint=service.url, key=KEY)
        study = gn.sweep("hill {{i}}", i=range(cells), quality="low", yes=True, start=False, settings=settings)
        put_run(study._archive.ledger, study._run)
        finished: set[int] = set()
        lost = killed = 0
        for _ in range(count):
            with _runner(place, study.id, service.url, client.scheduler.address) as process:
                killed += _kill(process, service, chance)
            view = gn.Sweep.attach(study.id, settings=settings)
            done = {cell.index for cell in view if cell.outcome == "done"}
            lost, finished = lost + len(finished - done), finished | done
        last = gn.Sweep.attach(study.id, settings=settings)
        last.run(on=client).result(PATIENCE_S + cells)
        lost += len(finished - {cell.index for cell in last if cell.outcome == "done"})
        return [Figure(what="runners killed", count=killed), *_figures(service, last, Path(place), 0, lost)[1:]]


def _kill(process: subprocess.Popen[str], service: Simulator, chance: random.Random) -> bool:
    """Kill a process after a few more posts; return whether it still ran."""
    posts = len(service.posts) + chance.randint(1, 12)
    ends_s = time.monotonic() + PATIENCE_S
    while len(service.posts) < posts and process.poll() is None and time.monotonic() < ends_s:
        time.sleep(0.02)
    time.sleep(chance.uniform(0, 0.2))
    is_alive = process.poll() is None
    process.kill()
    return is_alive


_RUNNER = """
import sys
import gradient_notebook as gn
from distributed import Client
folder, run, endpoint, scheduler = sys.argv[1:]
gn.session.archive_dir = folder
with Client(scheduler) as client:
    gn.Sweep.attach(run, settings=gn.Settings(endpoint=endpoint, key=sys.stdin.readline().strip())).run(on=client).result()
"""


@contextmanager
def _runner(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([sys.executable, "-c", _RUNNER, *arguments], stdin=subprocess.PIPE, text=True) as process:
        assert process.stdin
        process.stdin.write(f"{KEY}\n")
        process.stdin.flush()
        yield process
