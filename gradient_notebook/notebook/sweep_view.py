"""A sweep as a cell's value."""

from __future__ import annotations

from typing import Any

from ..sweeps.sweep import Sweep


def show_sweep(sweep: Sweep) -> dict[str, Any]:
    """Return a sweep as something to display: what it is about to do, and where it stands."""
    return {"text/plain": "\n".join([repr(sweep), *map(str, [sweep.plan] if sweep.plan.to_make else []), *sweep.notes])}
