"""The ranking that follows from votes, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from ..api.text import SHORT, clean
from . import html

if TYPE_CHECKING:
    from ..sweeps.voting import Standing


def ranking_lines(ranking: Mapping[str, Sequence[Standing]]) -> list[str]:
    """Return a ranking as lines of text."""
    told = []
    for axis, its in _voted_on(ranking):
        each = [f"{_words(one.label)} {one.strength:.0%} ({one.won} won, {one.lost} lost)" for one in its]
        told.append(f"{clean(axis)}: {', '.join(each)}")
    return told


def result(ranking: Mapping[str, Sequence[Standing]], given: int) -> dict[str, str]:
    """Return a ranking, and how many votes were given, as something to display."""
    head = html.line(["Ranking", *([f"{given} vote{'' if given == 1 else 's'} given here"] if given else [])])
    lines = ranking_lines(ranking) or ([] if given else ["No votes yet."])
    below = "".join(f'<div style="{html.QUIET}">{escape(line)}</div>' for line in lines)
    return {"text/html": head["text/html"] + below, "text/plain": "\n".join([head["text/plain"], *lines])}


def standings(ranking: Mapping[str, Sequence[Standing]]) -> list[dict[str, Any]]:
    """Return a ranking as plain values, for a browser."""
    return [
        {
            "axis": clean(axis),
            "labels": [
                {"label": _words(one.label), "won": one.won, "lost": one.lost, "strength": one.strength} for one in its
            ],
        }
        for axis, its in _voted_on(ranking)
    ]


def _voted_on(ranking: Mapping[str, Sequence[Standing]]) -> Iterator[tuple[str, Sequence[Standing]]]:
    """Yield the axes of which a vote says anything: without any, each label would seem as good as the others."""
    yield from ((axis, its) for axis, its in ranking.items() if any(one.won for one in its))


def _words(label: Any) -> str:
    return clean(label if isinstance(label, str) else str(label), SHORT)
