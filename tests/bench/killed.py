"""A process that makes images until it is killed, and says how far each has come: `python killed.py URL NAME`.

A line each: `asked PROMPT` before a request is made; `came HASH` when a finished image has been decoded; `kept HASH`
when it is on disk; `shown HASH` when an observer has been told of it.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import sys
from typing import Any

import gradient_notebook as gn
from gradient_notebook.jobs.recorder import Recorder
from gradient_notebook.jobs.runner import Runner

STREAMED: dict[str, Any] = {"stream": True, "partial_images": 2}
ROUNDS: tuple[tuple[dict[str, Any], ...], ...] = (
    (STREAMED,),
    (STREAMED, STREAMED),
    ({**STREAMED, "n": 2},),
    ({"n": 2}, STREAMED),
)
"""What is asked for at once."""


def tell(word: str, what: str) -> None:
    """Write a line immediately, whole: what has been written is not lost with the process."""
    os.write(1, f"{word} {what}\n".encode())


def tell_of(word: str, data: bytes) -> None:
    """Write a line about a file."""
    tell(word, hashlib.sha256(data).hexdigest())


def watch() -> None:
    """Tell when an image has come, and when it is kept."""
    finish, store = Runner._finish, Recorder.store

    def finish_and_tell(self: Runner, slot: Any, event: Any) -> None:
        tell_of("came", event.image_bytes)
        finish(self, slot, event)

    def store_and_tell(self: Recorder, slot: Any, data: bytes, *, is_partial: bool = False) -> None:
        store(self, slot, data, is_partial=is_partial)
        if slot.path is not None and not is_partial:
            tell_of("kept", data)

    Runner._finish, Recorder.store = finish_and_tell, store_and_tell  # type: ignore[method-assign]


def shown(job: gn.Job) -> None:
    """Tell of what is done; an image is told of more than once."""
    for slot in job._slots:
        if slot.image is not None:
            tell_of("shown", slot.image_bytes or b"")


def main() -> None:
    """Make images until there is nobody to tell."""
    url, name = sys.argv[1:]
    settings = gn.Settings.discover(key="sk-do-reliability", endpoint=url)
    watch()
    for number in itertools.count():
        jobs = []
        for which, how in enumerate(ROUNDS[number % len(ROUNDS)]):
            prompt = f"Hills, {name}, {number}, {which}"
            tell("asked", prompt)
            jobs.append(gn.submit(prompt, settings=settings, quality="low", **how))
            jobs[-1]._observe(shown)
        for job in jobs:
            job._wait()


if __name__ == "__main__":
    main()
