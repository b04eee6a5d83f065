"""A `Job` as a cell's value: a live card while it runs, then an ordinary image and a line."""

from __future__ import annotations

import threading
from typing import Any

from ..jobs.job import Job
from ..session import session
from . import formatting, html
from .static_output import image_of


def show_job(job: Job) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a job as something to display, with its metadata; one that runs goes on in the output by itself."""
    return _ended(job) if job.done() else (_live(job), {})


def _live(job: Job) -> dict[str, Any]:
    from .widgets.live import live_card

    view, shown = live_card(job.params, session.preview_px)
    view.actions["cancel"] = lambda _: job.cancel()

    lock = threading.Lock()

    def follow(job: Job) -> None:
        with lock:
            shown.take_pictures(job)
            view.running = [shown.state(job)]

    job._observe(follow)
    follow(job)  # after that: an end that came in between is told to nobody any more
    bundle, *_ = view._repr_mimebundle_() or ({},)
    return {**bundle, "text/plain": repr(job)}


def _ended(job: Job) -> tuple[dict[str, Any], dict[str, Any]]:
    if picture := image_of(job, session.preview_px):
        data, metadata = picture
        return {**data, "text/plain": repr(job)}, metadata
    error = job.exception()
    said = html.box(formatting.Box.of(error)) if error else {}
    return {**said, "text/plain": repr(job)}, {}
