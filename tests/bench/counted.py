"""A figure of the count of faults and kills: what was counted, and what is to be reached."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from table import drawn

HEADINGS = ("what", "count", "to reach", "")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure; `reach` None is told and has no target, 0 is what must not happen."""

    what: str
    count: float
    reach: float | None = None
    unit: str = ""
    at_least: bool = False
    """Whether `reach` is the least and not the most: a harness that has done nothing has found nothing."""

    @property
    def missed(self) -> bool:
        """Whether the target is missed."""
        if self.reach is None:
            return False
        return self.count < self.reach if self.at_least else self.count > self.reach

    @property
    def is_defect(self) -> bool:
        """Whether something has happened that must not."""
        return self.missed and (self.reach == 0 or self.at_least)

    def cells(self) -> tuple[str, str, str, str]:
        """Return the figure as texts."""
        bound = ">= " if self.at_least else "<= " if self.reach else ""
        reach = "" if self.reach is None else f"{bound}{_written(self.reach)}{self.unit}"
        verdict = "" if self.reach is None else "MISSED" if self.missed else "reached"
        return self.what, f"{_written(self.count)}{self.unit}", reach, verdict


def zero(what: str, count: int) -> Figure:
    """Return the figure of what must not happen."""
    return Figure(what=what, count=count, reach=0)


def some(what: str, count: int) -> Figure:
    """Return the figure of what has to happen now and then, so that the zeros mean something."""
    return Figure(what=what, count=count, reach=1, at_least=True)


def draw(figures: Iterable[Figure]) -> str:
    """Return the table as Markdown."""
    return drawn([HEADINGS, *(figure.cells() for figure in figures)])


def _written(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"
