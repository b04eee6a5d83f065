"""Prompts in notebook cells, pictures as they come, PIL images in variables."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = [
    "APIConnectionError",
    "APIError",
    "AsyncClient",
    "AuthenticationError",
    "BadRequestError",
    "Client",
    "ContentPolicyError",
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
    "RateLimitError",
    "Settings",
    "StreamInterruptedError",
    "Usage",
    "generate",
    "history",
    "submit",
]

if TYPE_CHECKING:
    from .api.client import AsyncClient
    from .api.errors import (
        APIConnectionError,
        APIError,
        AuthenticationError,
        BadRequestError,
        ContentPolicyError,
        GradientNotebookError,
        InternalServerError,
        InvalidRequestError,
        InvalidResponseError,
        InvalidSettingsError,
        JobCancelledError,
        NoResponseError,
        NotFoundError,
        RateLimitError,
        StreamInterruptedError,
    )
    from .api.events import ImageGenCompletedEvent, ImageGenerateResponse, ImageGenPartialImageEvent, Usage
    from .api.params import ImageGenerateParams
    from .api.settings import Settings
    from .jobs.job import Job, generate, submit
    from .jobs.sync_client import Client
    from .notebook.history import History, HistoryEntry, history
    from .notebook.widgets.panel import Panel

# Where a name lives is asked for at its first use, in this order: importing the package loads nothing else.
_MODULES = (
    "api.errors",
    "api.params",
    "api.events",
    "api.settings",
    "api.client",
    "jobs.job",
    "jobs.sync_client",
    "notebook.history",
    "notebook.widgets.panel",
)


def __getattr__(name: str) -> Any:
    if name not in __all__:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    for module in _MODULES:
        found = vars(importlib.import_module(f".{module}", __name__))
        if name in found:
            globals()[name] = found[name]
            return found[name]
    raise AttributeError(name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def load_ipython_extension(shell: Any) -> None:
    """Add the magics, their completion and `%config ImageGen`: `%load_ext gradient_notebook`."""
    from .notebook.magics import load

    load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Undo all that loading did: `%unload_ext gradient_notebook`."""
    from .notebook.magics import unload

    unload(shell)
