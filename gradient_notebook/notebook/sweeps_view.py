"""The runs of the archive as a table in a notebook."""

from __future__ import annotations

from html import escape

from ..sweeps.listing import HEAD, SweepList
from . import html

_NUMBERS = ("cells", "done", "left", "failed", "unknown", "deleted")


def show_sweeps(found: SweepList) -> dict[str, str]:
    """Return the runs as something to display."""
    plain = repr(found)
    if not found:
        return {"text/html": f"<div style={html.QUIET!r}>{escape(plain)}</div>", "text/plain": plain}
    head = "".join(f"<th style='text-align:{_side(name)}'>{name.capitalize()}</th>" for name in HEAD)
    rows = "".join(
        "<tr>"
        + "".join(
            f"<td style='text-align:{_side(name)}'>{escape(text)}</td>"
            for name, text in zip(HEAD, entry.row, strict=True)
        )
        + "</tr>"
        for entry in found
    )
    table = f"<table style={html.QUIET!r}><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return {"text/html": table, "text/plain": plain}


def _side(name: str) -> str:
    return "right" if name in _NUMBERS else "left"
