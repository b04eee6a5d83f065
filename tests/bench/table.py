"""Tables in Markdown."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path


def drawn(lines: Sequence[Sequence[str]]) -> str:
    """Return lines of equal length as a table in Markdown; the first has the headings."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    table = [" | ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
    table.insert(1, "-|-".join("-" * width for width in widths))
    return "\n".join(table)


def short(value: float) -> str:
    """Return a figure with as many digits as mean something."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 1 else f"{value:.2f}"


def put(readme: Path, table: str, begin: str, end: str) -> None:
    """Put a table between the two marks of a file."""
    before, rest = readme.read_text(encoding="utf-8").split(begin)
    _, after = rest.split(end)
    readme.write_text(f"{before}{begin}\n{table}\n\n{end}{after}", encoding="utf-8")


def load() -> str:
    """Return how busy the machine is, as a sentence; nothing where the system does not say."""
    if not hasattr(os, "getloadavg"):
        return ""
    return f" Load of the machine at the end, other work included: {os.getloadavg()[0]:.1f}."
