"""Processes that are killed while they make images: what was kept or shown is found again, byte for byte."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from counted import Figure, some, zero

import gradient_notebook as gn
from gradient_notebook.simulator import Fault, Simulator
from gradient_notebook.simulator.generations import TINY_PICTURE

CHILD = Path(__file__).parent / "killed.py"
IMAGE_S = 0.2
PATIENCE_S = 60.0
UNLIMITED = 10**9  # requests an hour
RESTS = (".gradient-*", ".temporary-*")
"""Names of files that were being written."""


@dataclass(frozen=True)
class Moment:
    """When to kill: at most `spread_s` after the n-th line with a word, n being 1 to `last`; no word is the start."""

    word: str
    last: int
    spread_s: float


STARTING = Moment("", 0, 1.5)
ASKED = Moment("asked", 3, 0.03)
"""Around the record of the request, and its sending."""
ANY_TIME = Moment("asked", 2, 4 * IMAGE_S)
CAME = Moment("came", 3, 0.03)
"""Between the last byte and the disk."""
KEPT = Moment("kept", 3, 0.02)
"""Between the disk and the end."""
MOMENTS = (CAME, ANY_TIME, CAME, ASKED, KEPT, CAME, ANY_TIME, CAME, STARTING, CAME, ANY_TIME, CAME)


class Child:
    """The process, and the lines that it has written so far."""

    def __init__(self, script: Path, url: str, name: str, folder: Path) -> None:
        self.lines: list[tuple[str, str]] = []
        self._changed = threading.Condition()
        environment = {**os.environ, "XDG_DATA_HOME": str(folder), "HOME": str(folder)}
        paths = [str(Path(gn.__file__).parents[1]), str(CHILD.parent)]
        environment["PYTHONPATH"] = os.pathsep.join([*paths, environment.get("PYTHONPATH", "")])
        command = [sys.executable, str(script), url, name]
        self._process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        """Kill it, and read what it had still written."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        self._process.stdout.close()

    def _read(self) -> None:
        for line in self._process.stdout:
            word, _, what = line.strip().partition(" ")
            with self._changed:
                self.lines.append((word, what))
                self._changed.notify_all()

    def wait_for(self, moment: Moment, chance: random.Random) -> None:
        """Wait until the process is to be killed."""
        nth = chance.randint(1, moment.last) if moment.word else 0
        with self._changed:
            is_there = self._changed.wait_for(lambda: len(self.told(moment.word)) >= nth, PATIENCE_S)
        assert is_there, f"not {nth} lines of {moment.word!r} in {self.lines}"
        with suppress(subprocess.TimeoutExpired):
            status = self._process.wait(chance.uniform(0, moment.spread_s))
            raise AssertionError(f"the process has ended by itself, with {status}")

    def told(self, *words: str) -> set[str]:
        """Return all that has been told with these words."""
        return {what for word, what in self.lines if word in words}


@dataclass
class Seen:
    """What has been counted so far."""

    killed: int = 0
    posts: int = 0
    came: set[str] = field(default_factory=set)
    kept: set[str] = field(default_factory=set)
    """What has been told to be kept, or shown."""
    found: set[str] = field(default_factory=set)
    """What was found in the history after the kill of its process."""
    outcomes: Counter[str] = field(default_factory=Counter)
    misses: Counter[str] = field(default_factory=Counter)


def figures(count: int, seed: int = 1, script: Path = CHILD, moments: Sequence[Moment] = MOMENTS) -> list[Figure]:
    """Kill `count` processes of one archive, and return what is counted."""
    chance, seen = random.Random(seed), Seen()
    with tempfile.TemporaryDirectory() as place, _service(count) as service:
        folder = Path(place)
        for number in range(count):
            with Child(script, service.url, f"run {number}", folder) as child:
                child.wait_for(moments[number % len(moments)], chance)
            _look(seen, service, child, folder / "gradient_notebook")
        _look_at_all(seen, service, folder / "gradient_notebook")
        return _figures(seen, folder / "gradient_notebook")


def _service(count: int) -> Simulator:
    """Return a simulator whose partial images have one pixel, and cost nothing."""
    small = Fault(partial_base64=TINY_PICTURE.decode())
    return Simulator(seconds_per_image=IMAGE_S, requests_per_hour=UNLIMITED, faults=[small] * 100 * count)


def _look(seen: Seen, service: Simulator, child: Child, archive: Path) -> None:
    """Look at the archive after a kill: at what its process had asked for, and at what that had become."""
    seen.killed += 1
    entries = _history(seen, archive)
    mine = [entry for entry in entries if entry.prompt in child.told("asked")]
    seen.outcomes.update(entry.outcome for entry in mine)
    found = {digest for entry in mine for digest in _digests(seen, entry)}
    came, kept = child.told("came"), child.told("kept", "shown")
    seen.came |= came
    seen.kept |= kept
    seen.found |= found & (came | kept)
    seen.misses["kept or shown"] += len(kept - found)
    seen.misses["posts"] += len(_prompts(service) - {entry.prompt for entry in entries})
    seen.misses["outcomes"] += sum(entry.outcome not in ("unknown", "done") for entry in mine)


def _look_at_all(seen: Seen, service: Simulator, archive: Path) -> None:
    """Look at everything once more, after all kills."""
    entries = _history(seen, archive)
    found = {digest for entry in entries for digest in _digests(seen, entry)}
    seen.posts = len(service.posts)
    seen.misses["at the end"] = len((seen.kept | seen.found) - found)


def _history(seen: Seen, archive: Path) -> Sequence[gn.HistoryEntry]:
    try:
        return gn.history(archive_dir=archive)
    except gn.GradientNotebookError:
        seen.misses["unreadable"] += 1
        return ()


def _prompts(service: Simulator) -> set[str]:
    return {post.body["prompt"] for post in service.posts}


def _digests(seen: Seen, entry: gn.HistoryEntry) -> set[str]:
    """Return the sha256 of the finished images of an entry, and count the files that are not what their names say."""
    digests = {}
    for path in {*entry.paths, *entry.partial_paths}:
        digests[path] = _digest(path)
        seen.misses["files"] += digests[path] != path.stem
    return {digests[path] for path in entry.paths}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""


def _figures(seen: Seen, archive: Path) -> list[Figure]:
    in_memory = seen.came - seen.kept
    rests = [path for pattern in RESTS for path in archive.rglob(pattern)]
    return [
        Figure(what="processes killed", count=seen.killed),
        some("posts received by the service", seen.posts),
        some("finished images that had come", len(seen.came)),
        some("  kept on disk or shown, as the process had said", len(seen.kept)),
        Figure(what="  neither yet: killed between the last byte and the record", count=len(in_memory)),
        Figure(what="    and found all the same", count=len(in_memory & seen.found)),
        Figure(what="    not found: only in memory, or in a file without its name", count=len(in_memory - seen.found)),
        *(Figure(what=f"records that stand as {name}", count=number) for name, number in seen.outcomes.most_common()),
        Figure(what="half-written files left behind", count=len(rests)),
        Figure(what="  of so many MB", count=sum(path.stat().st_size for path in rests) / 1e6),
        Figure(what="  whole finished images among them", count=sum(_digest(path) in seen.came for path in rests)),
        zero("kept or shown, and LOST", seen.misses["kept or shown"]),
        zero("found after the kill, and lost later", seen.misses["at the end"]),
        zero("ledgers that could not be read", seen.misses["unreadable"]),
        zero("posts without a record", seen.misses["posts"]),
        zero("files missing, or not what their names say", seen.misses["files"]),
        zero("records of killed requests that stand as something else", seen.misses["outcomes"]),
    ]
