"""A process that makes images until its input ends: `python arriving.py URL NAME`.

A line each: `done ID HASH` when a job with an image has ended; `failed WHAT` for what must not be.
"""

from __future__ import annotations

import hashlib
import sys
import threading

from killed import tell

import gradient_notebook as gn

AT_ONCE = 6


def main() -> None:
    """Make images until there is no more input."""
    url, name = sys.argv[1:]
    settings = gn.Settings.discover(key="sk-do-reliability", endpoint=url)
    gn.configure(concurrency=AT_ONCE)
    is_over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), is_over.set()), daemon=True).start()
    number = 0
    while not is_over.is_set():
        jobs = [gn.submit(f"Hills, {name}, {number + one}", settings=settings, quality="low") for one in range(AT_ONCE)]
        number += AT_ONCE
        for job in jobs:
            end(job)


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
            tell("done", f"{job.id} {hashlib.sha256(slot.image_bytes or b'').hexdigest()}")


if __name__ == "__main__":
    main()
