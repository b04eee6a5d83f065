"""Jobs as a cell's value: live cards while they run, then an ordinary image and a line."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..jobs.job import Job
from ..session import session
from . import formatting, html
from .execution import is_executed
from .static_output import image_of, picture_of

if TYPE_CHECKING:
    from .widgets.live import LiveView

_NARROWEST_PX = 240
"""The width of a card beside others, at least."""

Shown = tuple[dict[str, Any], dict[str, Any]]
"""Something to display, with its metadata."""


def show_job(job: Job) -> Shown:
    """Return a job as something to display; one that runs goes on in the output by itself."""
    _wait_if_executed([job])
    data, metadata = _ended(job) if job.done() else _live(_card(job, session.preview_px))
    return {**data, "text/plain": repr(job)}, metadata


def _wait_if_executed(jobs: Sequence[Job]) -> None:
    """Wait for jobs where a program executes the notebook: nothing would go on after the cell."""
    if is_executed():
        from ..jobs import event_loop

        for job in jobs:
            event_loop.wait(job._ended)


def show_jobs(jobs: Sequence[Job]) -> Shown:
    """Return several jobs as one thing to display, without words for where nothing else is shown."""
    _wait_if_executed(jobs)
    if not all(job.done() for job in jobs):
        from ..imaging import tiling
        from .widgets.live import side_by_side

        width = max(_NARROWEST_PX, tiling(len(jobs), 1).width)
        data, metadata = _live(side_by_side([_card(job, width) for job in jobs], width))
        return _without_words(data), metadata
    images = [image for job in jobs for image in job.images]
    prompts = "\n".join(dict.fromkeys(job.params.prompt for job in jobs))
    data, metadata = picture_of(images, prompts, session.preview_px) if images else (_failures(jobs), {})
    return _without_words(data), metadata


def _without_words(data: dict[str, Any]) -> dict[str, Any]:
    """Return what is shown without its text: IPython writes that of a list, or a dict, itself."""
    return {kind: shown for kind, shown in data.items() if kind != "text/plain"}


def _live(widget: Any) -> Shown:
    from .widgets.bundle import view_of

    return view_of(widget), {}


def _card(job: Job, px: int) -> LiveView:
    """Return a card that follows a job, at most `px` pixels wide."""
    from .widgets.live import live_card

    view, shown = live_card(job.params, px)
    view.actions["cancel"] = lambda _: job.cancel()

    lock = threading.Lock()

    def follow(job: Job) -> None:
        with lock:
            shown.take_pictures(job)
            view.running = [shown.state(job)]

    job._observe(follow)
    follow(job)  # after that: an end that came in between is told to nobody any more
    return view


def _ended(job: Job) -> Shown:
    return image_of(job, session.preview_px) or (_failures([job]), {})


def _failures(jobs: Sequence[Job]) -> dict[str, str]:
    failures = [error for job in jobs if (error := job.exception())]
    return html.joined([html.box(formatting.Box.of(error)) for error in failures])
