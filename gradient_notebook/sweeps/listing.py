"""`sweeps`: the runs of the archive, with what has come of each, and whether a process makes it."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

from ..api.errors import InvalidRequestError
from ..api.text import clean, shortened
from ..display_hooks import hook
from ..storage import runners
from ..storage.archive import Archive, get_default
from ..storage.runners import Runner
from ..storage.runs import Run, runs
from .axes import Axes

HEAD = ("run", "prompt", "started", "cells", "done", "left", "failed", "unknown", "deleted", "state")
_PROMPT_CHARACTERS = 40


@dataclass(frozen=True, kw_only=True)
class SweepEntry:
    """A run of the archive, in numbers."""

    id: str
    """For `Sweep.attach`."""
    prompt: str
    """The first of its prompts, with the names of its axes; what holds for all cells has its value there."""
    started: dt.datetime
    """When it was planned, in local time."""
    count: int
    """Its cells."""
    done: int
    left: int
    failed: int
    """Cells that failed or were refused."""
    unknown: int
    """Cells that were sent and have no answer: they may have been billed."""
    deleted: int
    """Cells whose images were deleted from the history, and which nobody has asked for since."""
    state: str
    """`running` or `paused` while a living process makes it; else `done`, `cancelled`, `stopped` or `interrupted`."""
    process: str | None
    """The living process that makes it."""

    @property
    def row(self) -> tuple[str, ...]:
        """It as texts, as the table has them."""
        numbers = (self.count, self.done, self.left, self.failed, self.unknown, self.deleted)
        state = f"{self.state}, {self.process}" if self.process else self.state
        return self.id, self.prompt, f"{self.started:%Y-%m-%d %H:%M}", *(f"{number:,}" for number in numbers), state


class SweepList(Sequence[SweepEntry]):
    """Runs of the archive, newest first, as a table that shows itself."""

    def __init__(self, entries: Sequence[SweepEntry]) -> None:
        self._entries = tuple(entries)

    def __len__(self) -> int:
        return len(self._entries)

    @overload
    def __getitem__(self, at: int) -> SweepEntry: ...
    @overload
    def __getitem__(self, at: slice) -> SweepList: ...
    def __getitem__(self, at: int | slice) -> SweepEntry | SweepList:
        return SweepList(self._entries[at]) if isinstance(at, slice) else self._entries[at]

    def __iter__(self) -> Iterator[SweepEntry]:
        return iter(self._entries)

    def __repr__(self) -> str:
        if not self:
            return "No sweeps yet."
        rows = [HEAD, *(entry.row for entry in self)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(
                cell.rjust(width) if 3 <= at <= 8 else cell.ljust(width) for at, (cell, width) in enumerate(each)
            ).rstrip()
            for each in (list(zip(row, widths, strict=True)) for row in rows)
        )

    def _repr_mimebundle_(self, **_: Any) -> Any:
        """It shows itself as a table."""
        return hook("show_sweeps")(self)


def sweeps() -> SweepList:
    """Return the sweeps of the archive, newest first, made by whatever process: a table that shows itself.

    Raises:
        InvalidRequestError: the session keeps no archive, or it cannot be read.

    >>> from gradient_notebook import sweep, sweeps
    >>> study = sweep("A red fox in {{style}}", style=["ink", "oil"], quality="low").result()
    >>> (entry,) = sweeps()
    >>> entry.id == study.id, entry.prompt, entry.done, entry.left, entry.state
    (True, 'A red fox in {{style}}', 2, 0, 'done')
    """
    archive = get_default()
    if archive is None:
        what = "sweeps: this session keeps no archive, and so has no runs"
        raise InvalidRequestError(what, suggest=("keep_history",), sent=None)
    try:
        there, by_run = runs(archive.ledger), runners.runners(archive.ledger)
        counted = runners.outcomes(archive.ledger)
    except OSError as error:
        raise InvalidRequestError(f"The archive cannot be read: {error}", sent=None) from error
    return SweepList([_entry(archive, run, by_run.get(run.id), counted.get(run.id, Counter())) for run in there])


def _entry(archive: Archive, run: Run, runner: Runner | None, counted: Counter[str]) -> SweepEntry:
    prompt, count = _planned(run)
    is_made = runners.is_made(archive, run.id)
    done = min(count, counted["done"] + (runner.reused if runner else 0))
    failed = counted["failed"] + counted["refused"]
    unknown = 0 if is_made else counted["unknown"]
    deleted = min(counted["deleted"], count - done)
    left = max(0, count - done - failed - unknown - deleted)
    if runner and runner.state == "done" and not is_made:  # what was not sent has no record
        failed, left = failed + left, 0
    return SweepEntry(
        id=run.id,
        prompt=shortened(clean(prompt), _PROMPT_CHARACTERS),
        started=dt.datetime.fromtimestamp(run.started_at).astimezone(),
        count=count,
        done=done,
        left=left,
        failed=failed,
        unknown=unknown,
        deleted=deleted,
        state=_state(runner, left, is_made=is_made),
        process=runner.place if runner and is_made else None,
    )


def _planned(run: Run) -> tuple[str, int]:
    """Return the first prompt of a run and how many cells it has; nothing of a plan that cannot be read."""
    try:
        axes = Axes.of_json(run.plan)
        return axes.templates[0], axes.count
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        return "?", 0


def _state(runner: Runner | None, left: int, *, is_made: bool) -> str:
    if is_made:
        return "paused" if runner and runner.is_paused else "running"
    if runner and runner.state in ("cancelled", "stopped") and left:
        return runner.state
    return "interrupted" if left else "done"
