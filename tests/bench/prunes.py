"""Prunes and deletions in one process while images arrive in others: what arrives stays until somebody has seen it."""

from __future__ import annotations

import datetime as dt
import logging
import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from counted import Figure, some, zero
from forks import environment
from kills import UNLIMITED
from misbehaviour import picture

import gradient_notebook as gn
from gradient_notebook.simulator import Fault, Simulator
from gradient_notebook.storage.archive import damage_of

SCRIPT = Path(__file__).parent / "arriving.py"
PROCESSES = 2
BETWEEN = 3
PICTURES = 12
"""So few that records share their files: what is deleted with one arrives with another."""
IMAGE_S = 0.01
PATIENCE_S = 60.0


def figures(count: int, seed: int = 1) -> list[Figure]:
    """Prune `count` times, and return what is counted."""
    chance = random.Random(seed)
    pictures = [picture(chance) for _ in range(PICTURES)]
    faults = [Fault(image_base64=chance.choice(pictures)) for _ in range(2_000 + 100 * count)]
    with (
        tempfile.TemporaryDirectory() as place,
        tempfile.TemporaryFile("w+") as output,
        Simulator(seconds_per_image=IMAGE_S, requests_per_hour=UNLIMITED, faults=faults) as service,
    ):
        commands = [[sys.executable, str(SCRIPT), service.url, str(number)] for number in range(PROCESSES)]
        processes = [
            subprocess.Popen(command, env=environment(place), stdin=subprocess.PIPE, stdout=output)
            for command in commands
        ]
        archive = Path(place) / "gradient_notebook"
        logger = logging.getLogger("gradient_notebook")
        logger.addFilter(_is_loud)
        seen_ended: set[str] = set()
        try:
            for number in range(count):
                # So many arrive between two prunes, at the least; a process that has failed holds up nothing for ever.
                posted = len(service.posts)
                service.wait_for(lambda posted=posted: len(service.posts) >= posted + BETWEEN, 10)
                _prune(archive, number, chance, seen_ended)
        finally:
            logger.removeFilter(_is_loud)
            for process in processes:
                process.stdin.close()
            statuses = [process.wait(PATIENCE_S) for process in processes]
        output.seek(0)
        lines = [line.split(maxsplit=1) for line in output]
        told = {word: [what.strip() for kind, what in lines if kind == word] for word in ("done", "failed")}
        posts = Counter(post.body["prompt"] for post in service.posts)
        return _figures(count, told, statuses, posts, archive, seen_ended)


def _is_loud(record: logging.LogRecord) -> bool:
    return not record.msg.startswith("Not deleted")  # what runs is left alone each time


def _prune(archive: Path, number: int, chance: random.Random, seen_ended: set[str]) -> None:
    """Delete in one of the ways that there are, and note what was seen to have ended before."""
    found = gn.history(archive_dir=archive)
    seen_ended |= {entry.id for entry in found if entry.record.ended_at is not None}
    if number % 3 == 0:
        found.prune(max_bytes=chance.randrange(2_000))
    elif number % 3 == 1:
        found.prune(older_than=dt.timedelta(seconds=chance.choice((0, 0.1, 0.5))))
    elif found:
        found[chance.randrange(len(found))].delete()
        found.delete()


def _figures(  # noqa: PLR0917
    count: int,
    told: Mapping[str, Sequence[str]],
    statuses: Sequence[int],
    posts: Counter[str],
    archive: Path,
    seen_ended: set[str],
) -> list[Figure]:
    for failure, number in Counter(told["failed"]).most_common(5):
        print(f"{number} x {failure}")
    entries = {entry.id: entry for entry in gn.history(archive_dir=archive)}
    done = dict(line.split() for line in told["done"])
    there = {record_id: digest for record_id, digest in done.items() if record_id in entries}
    without_record = done.keys() - entries.keys()
    lost = [
        record_id
        for record_id, digest in there.items()
        if not any(path.stem == digest and not damage_of(path) for path in entries[record_id].paths)
    ]
    return [
        Figure(what="prunes and deletions", count=count),
        some("posts received by the service", posts.total()),
        some("finished images that came", len(done)),
        some("  deleted after their end, as somebody had seen it", len(without_record & seen_ended)),
        zero("finished images LOST with their records", len(without_record - seen_ended)),
        zero("finished images LOST, of which the record says that they are there", len(lost)),
        zero("records that name a file that is not there", sum(map(_misses, entries.values()))),
        zero("SECOND POSTS", sum(number - 1 for number in posts.values())),
        zero("errors and notices", len(told["failed"])),
        zero("processes that failed", sum(status != 0 for status in statuses)),
    ]


def _misses(entry: gn.HistoryEntry) -> int:
    return sum(bool(damage_of(path)) for path in (*entry.paths, *entry.partial_paths))
