"""Prompts in notebook cells, pictures as they come, PIL images in variables.

In a notebook: `%load_ext gradient_notebook`, then `%%imagegen NAME` and a prompt; `%%imagegen?` has all options. Without a key
the built-in simulator answers: its images are marked, and nothing is billed.

Making images:
    generate: make images, and wait for them.
    submit: start making images, and go on.
    Job: images being made, to wait for, to watch, to cancel.
    Panel: a form beside the pictures, and all its results.
    ImageGenerateParams: the parameters of a request, checked.

What has been made:
    history: find it, in any session.
    History: what was found, newest first.
    HistoryEntry: one generation: request, outcome, images.
    show: look at images side by side, as previews.
    compare: look at a few over one another, and at what differs in their requests.
    Cost: what images cost together.
    read_recipe: the settings that an image's file has inside.

Many at once:
    sweep: vary what you like, make them all.
    Sweep: what a sweep makes: a grid to look at, a table to go on with.
    Cells: some of its cells.
    Cell: one cell: what was asked for, and what came of it.
    Plan: what a sweep is about to do.
    sweeps: list the sweeps of the archive, also those that another process makes.

What holds for this process:
    configure: set defaults, limits, prices, the archive.
    session: what is set now.
    Session: its class.
    Settings: where requests go, with which key.

As in the SDK:
    Client: `images.generate` and `models`, synchronously.
    AsyncClient: the same, awaited.
    ImageGenerateResponse: an answer.
    ImageGenPartialImageEvent: an image on its way, in a stream.
    ImageGenCompletedEvent: a finished image, in a stream.
    Usage: the tokens of a request.

Errors:
    GradientNotebookError: the root of all.
    InvalidRequestError: a value that cannot be sent.
    InvalidSettingsError: key, endpoint or folder cannot be used.
    BudgetExceededError: it may cost more than is left.
    JobCancelledError: somebody cancelled the job.
    ForkedError: a job or a stream of the process that this one was forked from.
    APIError: what the service and the way to it cause; the root of those below.
    APIConnectionError: no connection, or it broke.
    APITimeoutError: it took too long.
    NoResponseError: sent, and no answer came.
    StreamInterruptedError: the stream stopped before the finished image.
    InvalidResponseError: an answer that is no image.
    APIStatusError: the service answered with an error; the root of those below.
    BadRequestError: 400.
    ContentPolicyError: refused by moderation.
    AuthenticationError: 401.
    PermissionDeniedError: 403.
    NotFoundError: 404, model or endpoint.
    UnprocessableEntityError: 422.
    RateLimitError: 429.
    InternalServerError: 5xx.
"""

from __future__ import annotations

import importlib
import sys
import types
from typing import TYPE_CHECKING, Any

from .display_hooks import register

__version__ = "0.1.0"

__all__ = [
    "APIConnectionError",
    "APIError",
    "APIStatusError",
    "APITimeoutError",
    "AsyncClient",
    "AuthenticationError",
    "BadRequestError",
    "BudgetExceededError",
    "Cell",
    "Cells",
    "Client",
    "ContentPolicyError",
    "Cost",
    "ForkedError",
    "GradientNotebookError",
    "History",
    "HistoryEntry",
    "ImageGenCompletedEvent",
    "ImageGenPartialImageEvent",
    "ImageGenerateParams",
    "ImageGenerateResponse",
    "InternalServerError",
    "InvalidRequestError",
    "InvalidResponseError",
    "InvalidSettingsError",
    "Job",
    "JobCancelledError",
    "NoResponseError",
    "NotFoundError",
    "Panel",
    "PermissionDeniedError",
    "Plan",
    "RateLimitError",
    "Session",
    "Settings",
    "StreamInterruptedError",
    "Sweep",
    "UnprocessableEntityError",
    "Usage",
    "compare",
    "configure",
    "generate",
    "history",
    "read_recipe",
    "session",
    "show",
    "submit",
    "sweep",
    "sweeps",
]

# For type checkers and editors, which do not see what `__getattr__` below loads.
if TYPE_CHECKING:
    from .api.errors import (
        APIConnectionError,
        APIError,
        APIStatusError,
        APITimeoutError,
        AuthenticationError,
        BadRequestError,
        BudgetExceededError,
        ContentPolicyError,
        ForkedError,
        GradientNotebookError,
        InternalServerError,
        InvalidRequestError,
        InvalidResponseError,
        InvalidSettingsError,
        JobCancelledError,
        NoResponseError,
        NotFoundError,
        PermissionDeniedError,
        RateLimitError,
        StreamInterruptedError,
        UnprocessableEntityError,
    )
    from .api.events import ImageGenCompletedEvent, ImageGenerateResponse, ImageGenPartialImageEvent, Usage
    from .api.params import ImageGenerateParams
    from .clients import AsyncClient, Client
    from .connect import Settings
    from .history.entry import HistoryEntry
    from .history.query import History, history
    from .jobs.job import Job
    from .jobs.submit import generate, submit
    from .money.cost import Cost
    from .notebook.compare import compare
    from .notebook.sheet import show
    from .notebook.widgets.panel import Panel
    from .recipes import read_recipe
    from .session import Session, configure, session
    from .sweeps.cell import Cell
    from .sweeps.cells import Cells
    from .sweeps.listing import sweeps
    from .sweeps.plan import Plan
    from .sweeps.start import sweep
    from .sweeps.sweep import Sweep

_MODULES = {
    "AsyncClient": "clients",
    "Cell": "sweeps.cell",
    "Cells": "sweeps.cells",
    "Client": "clients",
    "Cost": "money.cost",
    "History": "history.query",
    "HistoryEntry": "history.entry",
    "ImageGenerateParams": "api.params",
    "Job": "jobs.job",
    "Panel": "notebook.widgets.panel",
    "Plan": "sweeps.plan",
    "Session": "session",
    "Settings": "connect",
    "Sweep": "sweeps.sweep",
    "compare": "notebook.compare",
    "configure": "session",
    "generate": "jobs.submit",
    "history": "history.query",
    "read_recipe": "recipes",
    "session": "session",
    "show": "notebook.sheet",
    "submit": "jobs.submit",
    "sweep": "sweeps.start",
    "sweeps": "sweeps.listing",
    **dict.fromkeys(
        (
            "ImageGenCompletedEvent",
            "ImageGenPartialImageEvent",
            "ImageGenerateResponse",
            "Usage",
        ),
        "api.events",
    ),
}
"""Where a public name lives, if it is no error: importing the package loads nothing else."""


class _Package(types.ModuleType):
    """Python sets a module of ours as an attribute when it is loaded: `history` and `session` stay what users import."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _MODULES and isinstance(value, types.ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name not in __all__:
        if not name.startswith("_"):
            _name_what_to_use(name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f".{_MODULES.get(name, 'api.errors')}", __name__)
    found = globals()[name] = getattr(module, name)
    if isinstance(found, (type, types.FunctionType)):
        found.__module__ = __name__  # as it is imported, so that a repr reads gradient_notebook.Client
    return found


def _name_what_to_use(name: str) -> None:
    """Raise ImportError for a name of the SDK's: of an AttributeError `from … import …` would drop the words."""
    from .api.sdk import RENAMED

    if name in RENAMED:
        raise ImportError(f"gradient_notebook has no {name}: use {RENAMED[name]}.", name=__name__)


def __dir__() -> list[str]:
    return sorted({*__all__, "__version__", "load_ipython_extension", "unload_ipython_extension"})


register("show_history", "gradient_notebook.notebook.history_view:show_history")
register("display_history", "gradient_notebook.notebook.history_shown:display_history")
register("show_job", "gradient_notebook.notebook.job_view:show_job")
register("show_sweep", "gradient_notebook.notebook.sweep_view:show_sweep")
register("show_cell", "gradient_notebook.notebook.sweep_cell:show_cell")
register("display_sweep", "gradient_notebook.notebook.sweep_view:display_sweep")
register("watch_sweep", "gradient_notebook.notebook.sweep_line:watch_sweep")
register("show_sweeps", "gradient_notebook.notebook.sweeps_view:show_sweeps")
register("detach_sweep", "gradient_notebook.sweeps.attached:detach")
register("run_sweep", "gradient_notebook.sweeps.on_cluster:run_on")
register("attach_sweep", "gradient_notebook.sweeps.attached:attach")
register("vote", "gradient_notebook.notebook.vote_view:vote")
register("as_cell", "gradient_notebook.notebook.codegen:as_cell")
register("as_python", "gradient_notebook.notebook.codegen:as_python")


def load_ipython_extension(shell: Any) -> None:
    """Add the magics, their completion and `%config ImageGen`: `%load_ext gradient_notebook`."""
    from .notebook.magics import load

    load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Undo all that loading did: `%unload_ext gradient_notebook`."""
    from .notebook.magics import unload

    unload(shell)
