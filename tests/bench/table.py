"""One line of the result: what was measured, what came out, what is aimed at, how the peers do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table."""

    what: str
    reached: float
    unit: str
    target: float | None = None
    aim: Literal["at most", "at least"] = "at most"
    peers: Mapping[str, float] = field(default_factory=dict)
    note: str = ""

    @property
    def missed(self) -> bool:
        """Whether the target is missed."""
        if self.target is None:
            return False
        return self.reached > self.target if self.aim == "at most" else self.reached < self.target

    def cells(self) -> tuple[str, str, str, str]:
        """Return the line as texts."""
        target = "" if self.target is None else f"{'<=' if self.aim == 'at most' else '>='} {self.target:g} {self.unit}"
        peers = ", ".join(f"{name} {_short(value)}" for name, value in self.peers.items())
        reached = f"{_short(self.reached)} {self.unit}{' (missed)' if self.missed else ''}"
        return self.what, reached, target, "; ".join(filter(None, [peers, self.note]))


HEADINGS = ("what", "reached", "target", "peers")


def draw(rows: Iterable[Row]) -> str:
    """Return the table as Markdown."""
    return drawn([HEADINGS, *(row.cells() for row in rows)])


def drawn(lines: Sequence[Sequence[str]]) -> str:
    """Return lines of equal length as a table in Markdown; the first has the headings."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    table = [" | ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
    table.insert(1, "-|-".join("-" * width for width in widths))
    return "\n".join(table)


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 1 else f"{value:.2f}"
