"""The service, embedded: a real HTTP server on loopback that speaks the documented protocol and paints.

It imports nothing of the package but `api.params`, the declaration, `api.models`, what is known of models, and `recording`, the
form of recorded runs, so that it is a second reading of the protocol and not an echo of
the client. It runs in this process (`Simulator`, `shared`) or alone (`python -m gradient_notebook.simulator`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .faults import Fault
    from .records import Received
    from .server import Simulator, shared
    from .validation import IMAGE_MODELS

__all__ = ["IMAGE_MODELS", "Fault", "Received", "Simulator", "shared"]

_HOMES = {
    "Fault": "faults",
    "IMAGE_MODELS": "validation",
    "Received": "records",
    "Simulator": "server",
    "shared": "server",
}


def __getattr__(name: str) -> Any:
    # Tornado and Pillow are loaded when somebody really wants to simulate.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
