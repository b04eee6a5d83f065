"""Votes between two images that nobody knew the settings of, and the ranking of each axis's labels that follows."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from ..api.errors import GradientNotebookError, InvalidRequestError
from ..storage.ratings import Vote, put_vote, votes
from .cell import Cell, with_record

_ROUNDS = 200
"""Of the fit, which has converged long before with any number of votes that a person gives."""
_ENOUGH = 1e-9
DELETED = "These images were deleted from the history"


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How one label of an axis stands: how often its images were preferred to those of other labels.

    Attributes:
        label: the label.
        won: how often an image of it was preferred to one of another label.
        lost: how often one of another label was preferred.
        strength: the chance to be preferred to an average one, by the model of Bradley and Terry; 0.5 without votes.
    """

    label: Any
    won: int
    lost: int
    strength: float


Pair = tuple[Cell, Cell]


def next_pair(cells: Sequence[Cell], passed: Collection[frozenset[int]] = ()) -> Pair | None:
    """Return two cells to choose from, those that were shown least first, in any order; None where none is left.

    `passed` are the pairs, by the cells' numbers, that somebody did not want to decide.
    """
    pair = next(_open_pairs(cells, passed), None)
    return None if pair is None else random.choice([pair, pair[::-1]])


def count_pairs(cells: Sequence[Cell], at_most: int) -> int:
    """Return how many pairs are left to choose from, as far as they are counted."""
    return sum(1 for _ in islice(_open_pairs(cells, ()), at_most))


def _open_pairs(cells: Sequence[Cell], passed: Collection[frozenset[int]]) -> Iterator[Pair]:
    there = with_record(cells)
    cast = _cast(cells)
    shown = Counter(cell.index for vote in cast for cell in vote)
    done = {frozenset(cell.index for cell in vote) for vote in cast}.union(passed)
    random.shuffle(there)
    there.sort(key=lambda cell: shown[cell.index])
    for at, first in enumerate(there):
        for second in there[at + 1 :]:
            if first.axes != second.axes and frozenset((first.index, second.index)) not in done:
                yield first, second


def deleted_words(cells: Sequence[Cell]) -> str:
    """Return why there is no pair any more, where images were deleted of which there was one."""
    had = [cell for cell in cells if cell._key()]
    return DELETED if len(had) > 1 and len(with_record(had)) < 2 else ""


def prefer(cells: Sequence[Cell], winner: Cell, loser: Cell, run: str | None) -> None:
    """Keep that one of two cells is better."""
    for name, cell in (("winner", winner), ("loser", loser)):
        if not isinstance(cell, Cell) or not any(cell is one for one in cells):
            raise InvalidRequestError(
                f"{name}: expected a cell of these", "study.prefer(study[0], study[1])", sent=None
            )
    first, second = winner._key(), loser._key()
    if winner is loser or first is None or second is None or winner._archive is None:
        raise InvalidRequestError("A vote needs two images that the archive has", sent=None)
    try:
        put_vote(winner._archive.ledger, Vote(winner=first, loser=second), run)
    except OSError as error:
        raise GradientNotebookError(f"The vote could not be kept: {error}") from error


def _cast(cells: Sequence[Cell]) -> list[tuple[Cell, Cell]]:
    """Return the votes between these, the better one first."""
    archive = next((cell._archive for cell in cells if cell._archive), None)
    by_key = {key: cell for cell in cells for key in cell._keys}
    found = votes(archive.ledger, list(by_key)) if archive else []
    return [(by_key[vote.winner], by_key[vote.loser]) for vote in found]


def ranking(cells: Sequence[Cell], labels: Mapping[str, Sequence[Any]]) -> dict[str, list[Standing]]:
    """Return the labels of each axis, the most preferred first. Votes between images of one label say nothing of it."""
    cast = _cast(cells)
    found = {}
    for name, its in labels.items():
        known = [label for label in its if any(cell.axes[name] == label for cell in cells)]
        if len(known) > 1:
            found[name] = _standings(known, [(won.axes[name], lost.axes[name]) for won, lost in cast])
    return found


def _standings(labels: Sequence[Any], cast: Sequence[tuple[Any, Any]]) -> list[Standing]:
    votes = Counter(pair for pair in cast if pair[0] != pair[1])
    won, lost = Counter[Any](), Counter[Any]()
    for (better, worse), count in votes.items():
        won[better] += count
        lost[worse] += count
    strengths = _strengths(labels, votes, won)
    standings = [
        Standing(label=label, won=won[label], lost=lost[label], strength=strengths[label] / (1 + strengths[label]))
        for label in labels
    ]
    return sorted(standings, key=lambda standing: -standing.strength)


def _strengths(labels: Sequence[Any], votes: Mapping[tuple[Any, Any], int], won: Mapping[Any, int]) -> dict[Any, float]:
    """Return the strength of each label, 1 being average (Hunter 2004, MM algorithm).

    Each has half a win and half a defeat against an average one beside its votes: with a handful of votes one that always won
    would be infinitely better.
    """
    strengths = dict.fromkeys(labels, 1.0)
    for _ in range(_ROUNDS):
        before = dict(strengths)
        for label in labels:
            against = 1 / (before[label] + 1)
            for (better, worse), count in votes.items():
                if label in (better, worse):
                    against += count / (before[better] + before[worse])
            strengths[label] = (won.get(label, 0) + 0.5) / against
        if max(abs(strengths[label] - before[label]) for label in labels) < _ENOUGH:
            break
    return strengths
