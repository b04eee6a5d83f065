"""A process that forks while its requests run: each post is made once, by whoever asked, and has its record and its file."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from counted import Figure, some, zero
from forked import AT_ONCE, IN_A_CHILD
from kills import UNLIMITED
from misbehaviour import picture

import gradient_notebook as gn
from gradient_notebook.simulator import Fault, Simulator
from gradient_notebook.storage.archive import damage_of

SCRIPT = Path(__file__).parent / "forked.py"
IMAGE_S = 0.3
PATIENCE_S = 20.0
"""How long a fork and what is made meanwhile take at most, on a busy machine."""


def figures(count: int, seed: int = 1, script: Path = SCRIPT) -> list[Figure]:
    """Fork `count` times, and return what is counted."""
    chance = random.Random(seed)
    faults = [Fault(image_base64=picture(chance)) for _ in range(count * (AT_ONCE + IN_A_CHILD))]
    with (
        tempfile.TemporaryDirectory() as place,
        Simulator(seconds_per_image=IMAGE_S, requests_per_hour=UNLIMITED, faults=faults) as service,
    ):
        lines, status = _run([sys.executable, str(script), service.url, str(count)], place, PATIENCE_S * (count + 1))
        posts = Counter(post.body["prompt"] for post in service.posts)
        return _figures(count, lines, status, posts, Path(place) / "gradient_notebook")


def environment(place: str) -> dict[str, str]:
    """Return the environment of a process of this checkout whose archive lies in a folder."""
    paths = [str(Path(gn.__file__).parents[1]), str(SCRIPT.parent), os.environ.get("PYTHONPATH", "")]
    # Of the end of the default model nothing is to be said.
    chosen = {"PYTHONPATH": os.pathsep.join(paths), "GRADIENT_IMAGE_MODEL": "openai-gpt-image-2"}
    return {**os.environ, "XDG_DATA_HOME": place, "HOME": place, **chosen}


def _run(command: Sequence[str], place: str, patience_s: float) -> tuple[list[tuple[str, str]], int | None]:
    """Return the lines that a process has written, and its exit status; None where it had to be killed."""
    # A file, not a pipe: a child that hangs would keep the pipe open.
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, env=environment(place), stdout=output, start_new_session=True)
        try:
            status: int | None = process.wait(patience_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()
            status = None
        output.seek(0)
        return [(word, what) for word, _, what in (line.strip().partition(" ") for line in output)], status


def _figures(
    count: int, lines: Sequence[tuple[str, str]], status: int | None, posts: Counter[str], archive: Path
) -> list[Figure]:
    told = {
        word: [what for kind, what in lines if kind == word] for word in ("asked", "kept", "failed", "taken", "refused")
    }
    for failure, number in Counter(told["failed"]).most_common(5):
        print(f"{number} x {failure}")
    entries = gn.history(archive_dir=archive)
    of_prompt = Counter(entry.prompt for entry in entries)
    found = {path.stem for entry in entries for path in entry.paths if not damage_of(path)}
    return [
        Figure(what="forks", count=count),
        some("posts received by the service", posts.total()),
        some("finished images that came", len(told["kept"])),
        some("times that a child was refused the parent's running job", len(told["refused"])),
        Figure(what="times that it had ended by then, and was read", count=len(told["taken"])),
        zero("finished images LOST", len(set(told["kept"]) - found)),
        zero("SECOND POSTS", sum(number - 1 for number in posts.values())),
        zero("posts without a record, or with two", sum(of_prompt[prompt] != 1 for prompt in posts)),
        zero("requests that were not done", sum(entry.outcome != "done" for entry in entries)),
        zero("requests that were never posted", len(set(told["asked"]) - set(posts))),
        zero("errors and notices", len(told["failed"])),
        zero("ledgers that were damaged", len(list(archive.glob("*.damaged-*"))) + len(entries.notes)),
        zero("processes that did not end by themselves", int(status != 0)),
    ]
