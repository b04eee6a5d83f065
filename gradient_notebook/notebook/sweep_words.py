"""What front ends say of a sweep, in words."""

from __future__ import annotations

import math
from typing import Any

from ..api.params import PARAMETERS
from ..api.text import clean, shortened
from ..sweeps.axes import PROMPT, ROW, names_in
from ..sweeps.cell import Cell
from ..sweeps.sweep import Sweep
from . import formatting

_TITLE_CHARACTERS = 160
_REASON_CHARACTERS = 200
_LABELS_TOLD = 4
_MINUTE_S, _HOUR_S = 60, 3600
_COUNTED = {
    "refused": "{} refused",
    "failed": "{} failed",
    "unknown": "{} without an answer",
    "cancelled": "{} cancelled",
    "running": "{} running",
}


def title(sweep: Sweep) -> str:
    """Return what the sweep is, as `a {{place}} at {{time}} · quality low, high`."""
    axes = sweep._axes
    known = {f"{{{{{name}}}}}": str(value) for name, value in axes.words.items()}
    template = str(axes.prompts.values[0]) if len(axes.prompts) == 1 else f"{len(axes.prompts):,} prompts"
    for name in names_in(template):
        template = template.replace(f"{{{{{name}}}}}", known.get(f"{{{{{name}}}}}", f"{{{{{name}}}}}"))
    varied = [axis for axis in axes.axes if axis.name != ROW and axis.name in PARAMETERS]
    return formatting.DOT.join([shortened(clean(template), _TITLE_CHARACTERS), *map(_axis, varied)])


def _axis(axis: Any) -> str:
    labels = [clean(label, 40) for label in axis.labels[:_LABELS_TOLD]]
    more = f" and {len(axis) - _LABELS_TOLD:,} more" if len(axis) > _LABELS_TOLD else ""
    return f"{axis.name} {', '.join(labels)}{more}"


def totals(sweep: Sweep) -> list[str]:
    """Return where the sweep stands, part by part, without the time that is left."""
    status, found = sweep.status, sweep.outcomes
    if status == "planned":
        return ["Not started", *sweep.plan.facts]
    counted = [words.format(f"{found[name]:,}") for name, words in _COUNTED.items() if found.get(name)]
    reused = sum(cell.reused for cell in sweep)
    return [
        *(["paused"] if status == "paused" else []),
        f"{found.get('done', 0):,} of {len(sweep):,} done",
        *counted,
        *([f"{reused:,} reused, not billed"] if reused else []),
        *_spent(sweep),
    ]


def _spent(sweep: Sweep) -> list[str]:
    """Return tokens and cost so far, and the most that it may cost where it runs; what has no price has none here."""
    usage, bounds = sweep.usage, sweep.plan.cost
    is_bounded = bounds and not bounds[1].unknown and sweep.plan.to_make and sweep.status in ("running", "paused")
    most = bounds[1] if bounds and is_bounded else None
    tokens = [f"{usage.total_tokens:,} tokens"] if usage and usage.total_tokens is not None else []
    if not (cost := sweep.cost).amounts:
        return [*tokens, *([f"at most {most}"] if most else [])]
    return [*tokens, f"{cost} of at most {most}" if most else str(cost)]


def left_s(sweep: Sweep) -> float | None:
    """Return the seconds that a running sweep will take yet, about; None where that is not known, or nothing runs."""
    if sweep.status != "running":
        return None
    if (left := sweep.left_s) is not None:
        return left
    return max(0.0, sweep.plan.seconds - sweep.elapsed_s) if sweep.plan.seconds is not None else None


def roughly(seconds: float) -> str:
    """Return a time that is an estimate, as `25 s`, `4 min` or `1.5 h`."""
    if seconds < 1.5 * _MINUTE_S:
        return f"{math.ceil(seconds)} s"
    return f"{seconds / _MINUTE_S:.0f} min" if seconds < 1.5 * _HOUR_S else f"{seconds / _HOUR_S:.1f} h"


def line(sweep: Sweep) -> list[str]:
    """Return all that is to say of where the sweep stands, the time included, part by part."""
    left = left_s(sweep)
    if left is not None:
        return [*totals(sweep), f"{roughly(left)} left"]
    ended = sweep.elapsed_s and sweep.status in ("done", "cancelled")
    return [*totals(sweep), *([formatting.seconds(sweep.elapsed_s)] if ended else [])]


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


def row_label(sweep: Sweep, at: int) -> str:
    """Return what a row of a table is called: by the words that the prompt takes of it, or else by its number."""
    axes = sweep._axes
    values = next(axis for axis in axes.axes if axis.name == ROW).values[at]
    named = [name for template in axes.prompts.values for name in names_in(template) if name in values]
    return ", ".join(clean(values[name], 60) for name in dict.fromkeys(named)) or f"row {at}"


def label(sweep: Sweep, name: str, at: int) -> str:
    """Return the label of an axis's value `at`, as it is shown."""
    if name == ROW:
        return row_label(sweep, at)
    value = sweep.axes[name][at]
    bare = isinstance(value, (bool, int, float)) or value is None
    return f"{name} {value}" if bare and name != PROMPT else clean(value, 120)
