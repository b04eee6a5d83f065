"""How low objects show themselves: they ask here for what only a front end knows, by name.

`notebook/` is registered in `__init__` as text, so that nothing of it is loaded before somebody looks.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

_targets: dict[str, str] = {}


def register(name: str, target: str) -> None:
    """Say what does `name`: `target` is `module:function`."""
    _targets[name] = target


def hook(name: str) -> Callable[..., Any]:
    """Return the function that is registered for `name`; raise LookupError if there is none."""
    module, _, function = _targets[name].partition(":")
    found: Callable[..., Any] = getattr(import_module(module), function)
    return found
