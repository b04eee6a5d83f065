"""What generations cost: by day, model or outcome, and as columns of a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..api.errors import InvalidRequestError
from ..api.text import nearest
from ..money.cost import Cost
from .entry import HistoryEntry

_GROUPS: Mapping[str, Callable[[HistoryEntry], str]] = {
    "day": lambda entry: f"{entry.started:%Y-%m-%d}",
    "model": lambda entry: entry.model,
    "outcome": lambda entry: entry.outcome,
}


def cost_by(entries: Iterable[HistoryEntry], what: str) -> dict[str, Cost]:
    """Return what entries cost by one of `_GROUPS`, in the order in which the groups appear."""
    if what not in _GROUPS:
        raise InvalidRequestError(
            f"cost_by({what!r}): expected one of {', '.join(_GROUPS)}", nearest(str(what), _GROUPS), sent=None
        )
    groups: dict[str, list[Cost]] = {}
    for entry in entries:
        groups.setdefault(_GROUPS[what](entry), []).append(entry.cost)
    return {name: Cost.total(costs) for name, costs in groups.items()}


def cost_columns(entry: HistoryEntry) -> dict[str, Any]:
    """Return a row's cost as numbers: what is known of it, its currency, and how many images are beside that."""
    cost = entry.cost
    # Where nothing is known there is no number: 0 would be one.
    known = None if cost.amount is None or (cost.unknown and not cost.amount) else float(cost.amount)
    return {"cost": known, "currency": cost.currency, "images_of_unknown_cost": cost.unknown}
