"""A process with requests under way that forks again and again: `python forked.py URL FORKS`.

A line each: `asked PROMPT` before a request is made, `kept HASH` for a finished image, `failed WHAT` for what must not be.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterator
from typing import Any

from killed import tell, tell_of

import gradient_notebook as gn

AT_ONCE = 20
IN_A_CHILD = 2


def ask(settings: gn.Settings, prompt: str) -> gn.Job:
    """Start a request, and say so."""
    tell("asked", prompt)
    return gn.submit(prompt, settings=settings, quality="low")


def end(job: gn.Job) -> None:
    """Wait for a job, and tell what came."""
    try:
        job.result(timeout=60)
    except Exception as error:
        tell("failed", f"{type(error).__name__} {error}".replace("\n", " "))
    for notice in job.notes:
        tell("failed", notice)
    for slot in job._slots:
        if slot.image is not None:
            tell_of("kept", slot.image_bytes or b"")


def child(settings: gn.Settings, name: str, inherited: gn.Job) -> None:
    """Make images in a fork, and try to take what is the parent's."""
    for attempt in (inherited.result, inherited.cancel, inherited.exception):
        try:
            attempt()
        except gn.ForkedError:
            tell("refused", name)
        except Exception as error:
            tell("failed", f"{type(error).__name__} {error}".replace("\n", " "))
        else:
            tell("taken", name)  # it had ended by then, and is there as it was
    for number in range(IN_A_CHILD):
        end(ask(settings, f"Hills, {name}, {number}"))


def main() -> None:
    """Keep requests under way, and fork in between."""
    url, forks = sys.argv[1:]
    settings = gn.Settings.discover(key="sk-do-reliability", endpoint=url)
    gn.configure(concurrency=AT_ONCE)
    names: Iterator[int] = itertools.count()
    under_way: list[gn.Job] = []
    for fork in range(int(forks)):
        for job in [job for job in under_way if job.done()]:
            under_way.remove(job)
            end(job)
        under_way += [ask(settings, f"Hills, {next(names)}") for _ in range(AT_ONCE - len(under_way))]
        process = os.fork()
        if not process:
            run_and_exit(settings, f"fork {fork}", under_way[-1])
        if status := os.waitpid(process, 0)[1]:
            tell("failed", f"a child ended with {status}")
    for job in under_way:
        end(job)


def run_and_exit(*arguments: Any) -> None:
    """Be the child, and nothing else."""
    try:
        child(*arguments)
    finally:
        os._exit(0)


if __name__ == "__main__":
    main()
