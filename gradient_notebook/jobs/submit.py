"""`submit` and `generate`: a job from keyword arguments, with what this process has for the rest."""

from __future__ import annotations

import concurrent.futures.thread  # noqa: F401 - loaded now: in a thread that outlives the main one it could not be
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack, overload

from ..api.credentials import refuse_key_in
from ..api.errors import InvalidRequestError
from ..api.options import GenerateOptions, StreamableOptions, with_parameters_in_sight
from ..api.params import ImageGenerateParams
from ..api.settings import Settings
from ..connect import discover
from ..session import MAX_COST, session

if TYPE_CHECKING:
    from PIL.Image import Image

    from .job import Job


@with_parameters_in_sight
def submit(
    prompt: str,
    *,
    settings: Settings | None = None,
    reuse: bool | None = None,
    max_cost: float | None = None,
    record: str | Path | None = None,
    **options: Unpack[GenerateOptions],
) -> Job:
    """Start making images in the background, and return at once. Each image costs.

    Args:
        prompt: description of the image, 1 to 32,000 characters.
        settings: where requests go, with which key, and their limits; `Settings.discover()` unless given.
        reuse: serve what the archive has answered before from there; `session.reuse` unless given. The k-th identical
            request of a process takes the k-th answer.
        max_cost: the most that it may cost, at the session's prices; what may cost more is not sent.
        record: a file to which what comes is added, for `session.replay`; it has the prompts and images, and no key.
        **options: the parameters of the API, as `n=3`, `size="1536x1024"` (width x height, pixels), `quality="low"`.

    Returns:
        The job: `await job` and `job.result()` give the images.

    Raises:
        InvalidRequestError: a value that cannot be sent, before anything is.
        InvalidSettingsError: a key or an endpoint that cannot be used.

    >>> from gradient_notebook import submit
    >>> job = submit("A red fox", quality="low", size="1024x1024")
    >>> job.result().size
    (1024, 1024)
    """
    job = _job(prompt, settings, options, reuse=reuse, max_cost=max_cost, record=record)
    job._start()
    return job


@overload
def generate(
    prompt: str,
    *,
    settings: Settings | None = None,
    reuse: bool | None = None,
    max_cost: float | None = None,
    record: str | Path | None = None,
    n: Literal[1] | None = None,
    **options: Unpack[StreamableOptions],
) -> Image: ...
@overload
def generate(
    prompt: str,
    *,
    settings: Settings | None = None,
    reuse: bool | None = None,
    max_cost: float | None = None,
    record: str | Path | None = None,
    n: int,
    **options: Unpack[StreamableOptions],
) -> Image | list[Image]: ...
@with_parameters_in_sight
def generate(
    prompt: str,
    *,
    settings: Settings | None = None,
    reuse: bool | None = None,
    max_cost: float | None = None,
    record: str | Path | None = None,
    **options: Unpack[GenerateOptions],
) -> Any:
    """Make images and return them: `submit` and `Job.result` in one. Each image costs.

    Works in a cell, in a script and in a thread; interrupting it cancels the request.

    Args:
        prompt: description of the image, 1 to 32,000 characters.
        settings: where requests go, with which key, and their limits; `Settings.discover()` unless given.
        reuse: serve what the archive has answered before from there; `session.reuse` unless given. The k-th identical
            request of a process takes the k-th answer.
        max_cost: the most that it may cost, at the session's prices; what may cost more is not sent.
        record: a file to which what comes is added, for `session.replay`; it has the prompts and images, and no key.
        **options: the parameters of the API, as `n=3`, `size="1536x1024"` (width x height, pixels), `quality="low"`.

    Returns:
        The PIL image at full size, decoded from the bytes that the service sent; with n > 1 the list of those that came.

    Raises:
        InvalidRequestError: a value that cannot be sent, before anything is.
        InvalidSettingsError: a key or an endpoint that cannot be used.
        BudgetExceededError: it may cost more than `max_cost` or a budget leaves.
        APIError: what the service and the way to it cause, if no image came.

    >>> from gradient_notebook import generate
    >>> generate("A red fox", quality="low", size="1536x1024").size
    (1536, 1024)
    """
    job = _job(prompt, settings, options, reuse=reuse, max_cost=max_cost, record=record)
    from . import event_loop

    with event_loop.interrupts_told():  # here, too: then Ctrl-C shows the caller's line, and none of the package
        return job.result()


def _job(
    prompt: str,
    settings: Settings | None,
    options: Mapping[str, Any],
    *,
    reuse: bool | None,
    max_cost: float | None,
    record: Any = None,
) -> Job:
    # Here: a job with its disk is half of all there is to load, and whoever imports `generate` may call it much later.
    from ..recording import path_of
    from ..storage.archive import get_default
    from .job import new_job

    if reuse not in (None, True, False):
        raise InvalidRequestError(f"reuse={reuse!r}: expected True or False", param="reuse", sent=False)
    limit = None if max_cost is None else MAX_COST.check(max_cost)
    checked, where = ImageGenerateParams.of({"prompt": prompt, **session.with_model(options)}), settings or discover()
    # Before there is a job: its record would put the key on disk.
    refuse_key_in(checked.given(), where.key)
    where_to = None if record is None else path_of(record)
    serves = session.reuse if reuse is None else reuse
    return new_job(checked, where, get_default(), reuse=serves, max_cost=limit, record=where_to)
