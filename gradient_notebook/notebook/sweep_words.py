"""What front ends say of a sweep, in words."""

from __future__ import annotations

import math
from typing import cast

from ..api.text import clean, shortened
from ..sweeps.cell import Cell
from ..sweeps.cells import Cells
from ..sweeps.labels import shared_words, title_of
from ..sweeps.marks import scored_in
from ..sweeps.sweep import Sweep
from . import formatting

_REASON_CHARACTERS = 200
_MINUTE_S, _HOUR_S = 60, 3600
_COUNTED = {
    "refused": "{} refused",
    "failed": "{} failed",
    "unknown": "{} without an answer",
    "cancelled": "{} cancelled",
    "deleted": "{} deleted",
    "running": "{} running",
}


def whole_of(cells: Cells) -> Sweep:
    """Return the sweep that cells are of; a sweep is of itself."""
    return cast("Sweep", cells._whole)


def is_part(cells: Cells) -> bool:
    """Whether these are some cells of a sweep."""
    return cells._whole is not cells


def title(cells: Cells) -> str:
    """Return what a sweep is, and of a part of it what its cells have in common."""
    common = shared_words(cells, cells._axes) if is_part(cells) else ""
    return formatting.DOT.join(filter(None, [title_of(cells._axes), common]))


def status_of(cells: Cells) -> str:
    """Return where a sweep stands; some of its cells are done when all of them have ended."""
    is_done = is_part(cells) and all(cell.has_ended for cell in cells)
    return "done" if is_done else whole_of(cells).status


def totals(cells: Cells) -> list[str]:
    """Return where a sweep stands, or some of its cells, part by part, without the time that is left."""
    status, found = status_of(cells), cells.outcomes
    if status == "planned":
        return ["Not started", *([f"{len(cells):,} cells"] if is_part(cells) else whole_of(cells).plan.facts)]
    counted = [words.format(f"{found[name]:,}") for name, words in _COUNTED.items() if found.get(name)]
    reused = sum(cell.reused for cell in cells)
    return [
        *(["paused"] if status == "paused" else []),
        f"{found.get('done', 0):,} of {len(cells):,} done",
        *counted,
        *([f"{reused:,} reused, not billed"] if reused else []),
        *_spent(cells, status),
        *_scored(cells),
    ]


def _spent(cells: Cells, status: str) -> list[str]:
    """Return tokens and cost so far, and the most that a sweep may cost where it runs; what has no price has none here."""
    usage, plan = cells.usage, whole_of(cells).plan
    is_bounded = not is_part(cells) and plan.to_make and status in ("running", "paused")
    most = plan.cost[1] if is_bounded and plan.cost and not plan.cost[1].unknown else None
    tokens = [f"{usage.total_tokens:,} tokens"] if usage and usage.total_tokens is not None else []
    if not (cost := cells.cost).amounts:
        return [*tokens, *([f"at most {most}"] if most else [])]
    return [*tokens, f"{cost} of at most {most}" if most else str(cost)]


def _scored(cells: Cells) -> list[str]:
    names = [clean(name) for name in scored_in(cells)]
    return [f"score{'' if len(names) == 1 else 's'} {', '.join(names)}"] if names else []


def left_s(cells: Cells) -> float | None:
    """Return the seconds that a running sweep will take yet, about; None where that is not known, or nothing runs."""
    sweep = whole_of(cells)
    if is_part(cells) or sweep.status != "running":
        return None
    if (left := sweep.left_s) is not None:
        return left
    return max(0.0, sweep.plan.seconds - sweep.elapsed_s) if sweep.plan.seconds is not None else None


def roughly(seconds: float) -> str:
    """Return a time that is an estimate, as `25 s`, `4 min` or `1.5 h`."""
    if seconds < 1.5 * _MINUTE_S:
        return f"{math.ceil(seconds)} s"
    return f"{seconds / _MINUTE_S:.0f} min" if seconds < 1.5 * _HOUR_S else f"{seconds / _HOUR_S:.1f} h"


def elapsed_s(cells: Cells) -> float:
    """Return the seconds that a sweep has run; of some of its cells nobody counts them."""
    return 0.0 if is_part(cells) else whole_of(cells).elapsed_s


def line(cells: Cells) -> list[str]:
    """Return all that is to say of where a sweep stands, or some of its cells, the time included, part by part."""
    left = left_s(cells)
    if left is not None:
        return [*totals(cells), f"{roughly(left)} left"]
    ended = elapsed_s(cells) and status_of(cells) in ("done", "cancelled")
    return [*totals(cells), *([formatting.seconds(elapsed_s(cells))] if ended else [])]


def notes(cells: Cells) -> list[str]:
    """Return what else there is to say of a sweep: before it starts its first requests. Of some cells there is nothing."""
    if is_part(cells):
        return []
    sweep = whole_of(cells)
    return [*dict.fromkeys(sweep.plan.first if sweep.status == "planned" else ()), *sweep.notes]


def note(cell: Cell) -> str:
    """Return what stands under a cell that has ended, as `8.1 s · 500 tok`."""
    if cell.outcome == "unknown":
        return formatting.DOT.join(["may be billed", *_record(cell)])
    if cell.outcome != "done":
        return formatting.seconds(cell.elapsed_s) if cell.elapsed_s else ""
    if cell.reused:
        return "reused, not billed"
    usage = cell.usage
    tokens = f"{usage.total_tokens:,} tok" if usage and usage.total_tokens is not None else ""
    seconds = formatting.seconds(cell.elapsed_s) if cell.elapsed_s is not None else ""
    return formatting.DOT.join(filter(None, [seconds, tokens]))


def steps(came: int, cell: Cell) -> str:
    """Return how many of a cell's partial images have come, as `●○`."""
    return "●" * came + "○" * ((cell.params.partial_images or 0) - came)


def reason(cell: Cell) -> str:
    """Return what stands in the place of an image that did not come."""
    if cell.outcome in ("queued", "running", "done"):
        return ""
    if cell.outcome == "unknown":
        return "no answer"
    # Of a cancelled one the error says the same again.
    said = shortened(clean(cell.error), _REASON_CHARACTERS) if cell.error and cell.outcome != "cancelled" else ""
    return ": ".join(filter(None, [cell.outcome, said]))


def facts(cell: Cell) -> list[str]:
    """Return what there is to know of one cell, beside its prompt and why there is no image: settings, numbers, record."""
    settings = [f"{name} {value}" for name, value in cell.params.given().items() if name not in ("prompt", "n")]
    cost = str(cell.cost) if cell.cost.amounts else ""
    size = f"{cell.byte_count / 1e6:.1f} MB" if cell.byte_count else ""
    numbers = formatting.DOT.join(filter(None, [cell.outcome, note(cell), cost, size]))
    return [clean(formatting.DOT.join(settings), 1_000), numbers, *_record(cell)]


def _record(cell: Cell) -> list[str]:
    return [f"record {clean(cell.record_id)[: formatting.RECORD_CHARACTERS]}"] if cell.record_id else []
