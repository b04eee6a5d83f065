"""Processes that make a sweep of their own, killed at random moments: nothing is sent twice, nothing finished is lost."""

from __future__ import annotations

import os
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from counted import Figure, some, zero
from kills import UNLIMITED

import gradient_notebook as gn
from gradient_notebook.simulator import Simulator
from gradient_notebook.simulator.painter.noise import Noise
from gradient_notebook.storage import runners as owners
from gradient_notebook.sweeps import launching

IMAGE_S = 0.05
MOST_BETWEEN = 6
"""How many posts there are between two kills, at most."""
CELLS_A_KILL = 12
SPREAD_S = 0.1
PATIENCE_S = 60.0
KEY = "sk-do-of-runners-only"


class Small(Noise):
    """Paints 32x32 pixels, whatever was asked for."""

    def __init__(self, prompt: str, *, size: Any, **how: Any) -> None:
        del size
        super().__init__(prompt, size=(32, 32), **how)


@dataclass
class Seen:
    """What has been counted so far."""

    killed: int = 0
    finished: set[str] = field(default_factory=set)
    """Prompts that were seen as done after a kill."""
    unknown: set[str] = field(default_factory=set)
    misses: Counter[str] = field(default_factory=Counter)


def figures(count: int, seed: int = 1, *, unknown: bool = False) -> list[Figure]:
    """Kill `count` processes that make one sweep, and return what is counted.

    With `unknown` they make also what was sent without an answer: who does not look first is found out.
    """
    chance, seen = random.Random(seed), Seen()
    with (
        tempfile.TemporaryDirectory() as place,
        archive_in(place),
        Simulator(seconds_per_image=IMAGE_S, requests_per_hour=UNLIMITED, painter=Small) as service,
    ):
        settings = gn.Settings(endpoint=service.url, key=KEY)
        cells = CELLS_A_KILL * count
        study = gn.sweep("hill {{i}}", i=range(cells), quality="low", yes=True, start=False, settings=settings)
        view = study.detach()
        for _ in range(count):
            _kill(view, service, chance, unknown=unknown)
            seen.killed += 1
            view = gn.Sweep.attach(study.id, settings=settings)
            _look(seen, service, view)
        last = view.detach().result(timeout=PATIENCE_S + cells * IMAGE_S)
        _look(seen, service, last)
        return _figures(seen, service, last, _files_with_key(Path(place)))


@contextmanager
def archive_in(place: str) -> Iterator[None]:
    """Keep what is made in this folder."""
    before = gn.session.archive_dir
    gn.session.archive_dir = place
    try:
        yield
    finally:
        gn.session.archive_dir = before


def _kill(study: gn.Sweep, service: Simulator, chance: random.Random, *, unknown: bool) -> None:
    """Have a process make some, and kill it in the middle of it."""
    archive = study._archive
    if owners.is_made(archive, study.id):
        process = int(owners.runners(archive.ledger, study.id)[study.id].process.split()[-2])
    else:
        process = launching.launch(archive, study.id, study._settings, unknown=unknown)
    posts, left = len(service.posts), study.outcomes.get("queued", 0)
    more = min(chance.randint(0, MOST_BETWEEN), left)
    assert service.wait_for(lambda: len(service.posts) >= posts + more, PATIENCE_S), "no posts come"
    time.sleep(chance.uniform(0, SPREAD_S))
    with suppress(ProcessLookupError):  # it has come to its end
        os.kill(process, signal.SIGKILL)
    ends_s = time.monotonic() + PATIENCE_S
    while owners.is_made(archive, study.id):
        assert time.monotonic() < ends_s, "it lives on"
        time.sleep(0.01)


def _look(seen: Seen, service: Simulator, study: gn.Sweep) -> None:
    """Look at the sweep after a kill: what was sent is done, or may have been billed, and what was done still is."""
    by_outcome = {outcome: {cell.prompt for cell in study if cell.outcome == outcome} for outcome in study.outcomes}
    done, seen.unknown = by_outcome.get("done", set()), by_outcome.get("unknown", set())
    posted = {post.body["prompt"] for post in service.posts}
    seen.misses["lost"] += len(seen.finished - done)
    seen.misses["silent"] += len(posted - done - seen.unknown)
    seen.misses["files"] += sum(not path.exists() for cell in study if cell.outcome == "done" for path in cell.paths)
    seen.finished |= done


def _files_with_key(place: Path) -> Sequence[Path]:
    return [path for path in place.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]


def _figures(seen: Seen, service: Simulator, last: gn.Sweep, with_key: Sequence[Path]) -> list[Figure]:
    posts = Counter(post.body["prompt"] for post in service.posts)
    ends = Counter(cell.outcome for cell in last)
    return [
        Figure(what="processes killed", count=seen.killed),
        some("posts received by the service", posts.total()),
        some("cells done", ends["done"]),
        Figure(what="cells reported as 'may have been billed'", count=len(seen.unknown)),
        Figure(what="  of which the service had received a request", count=len(seen.unknown & set(posts))),
        zero("second posts of a cell", sum(number - 1 for number in posts.values())),
        zero("cells done, and LOST after a later kill", seen.misses["lost"]),
        zero("posts that are neither done nor reported", seen.misses["silent"]),
        zero("originals missing", seen.misses["files"]),
        zero("cells neither done nor reported at the end", len(last) - ends["done"] - ends["unknown"]),
        zero("files of the archive that hold the key", len(with_key)),
    ]
