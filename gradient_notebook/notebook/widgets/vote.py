"""Blind pairs in the browser: two pictures without a word about them, and the ranking at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from traitlets import Dict

from ...api.errors import GradientNotebookError
from ...api.text import clean
from ...imaging import preview
from ...session import session
from ...sweeps.cells import Cells
from ...sweeps.voting import Pair, count_pairs, deleted_words, next_pair
from ..ranking_words import standings
from .esm import joined
from .live import Pictured, styles


class Vote(Pictured):
    """Shows two pictures to choose from, and nothing that says what they are."""

    _esm = joined(Path(__file__).parent / "vote.mjs")
    _css = styles("live.css", "compare.css", "vote.css")

    state: Dict[str, Any] = Dict().tag(sync=True)
    """What is asked, and how far it is: `Ballot.state`."""


class Ballot:
    """Asks for votes, one pair after the other, and keeps each as soon as it is given.

    `told` is called with how many were given, after each.
    """

    def __init__(self, cells: Cells, pairs: int, told: Callable[[int], object]) -> None:
        self._cells, self._pairs, self._told = cells, pairs, told
        self._given = self._number = 0
        self._passed: set[frozenset[int]] = set()
        self._pair: Pair | None = None
        self._error = ""
        self.view = Vote()
        self.view.add_class("gradient-beside")
        self.view.actions |= {"vote": self._on_vote, "end": self._on_end, "go_on": self._on_go_on}
        self._begin()

    def _begin(self) -> None:
        """Ask for as many as were asked for at first, or as there are."""
        self._done = 0
        self._count = count_pairs(self._cells, self._pairs + len(self._passed))
        self._count = min(self._pairs, max(0, self._count - len(self._passed)))
        self._ask()

    def _ask(self) -> None:
        """Show the next pair; where none is left, or enough were answered, the ranking."""
        for place in (0, 1):
            self.view.forget([f"{self._number}.{place}"])
        self._number += 1
        self._pair = next_pair(self._cells, self._passed) if self._done < self._count else None
        why = "" if self._pair else deleted_words(self._cells)
        self._error = f"{why}." if why else ""
        try:
            images = [cell.image for cell in self._pair or ()]
        except (OSError, GradientNotebookError) as error:
            self._error, self._pair, images = f"An image cannot be opened: {error}", None, []
        # Of the higher one: both have room.
        self._shape = min((image.width / image.height for image in images if image), default=1.0)
        for place, image in enumerate(images):
            if image:
                self.view.put(f"{self._number}.{place}", preview(image, session.preview_px))
        self.view.state = self.state(is_over=self._pair is None)

    def state(self, *, is_over: bool) -> dict[str, Any]:
        """Return what is shown; the ranking only at the end, so that nothing is known of the pair before."""
        return {
            "pair": self._number,
            "done": self._done,
            "count": self._count,
            "given": self._given,
            "over": is_over,
            "more": is_over and next_pair(self._cells, self._passed) is not None,
            "error": clean(self._error),
            "shape": self._shape,
            "ranking": standings(self._cells.ranking) if is_over else [],
        }

    def _on_vote(self, content: Mapping[str, Any]) -> None:
        """Keep a vote for the pair in view: one for another was a key that was pressed twice."""
        pair, choice = self._pair, content.get("choice")
        if pair is None or content.get("pair") != self._number or choice not in ("left", "right", "skip"):
            return
        self._error = ""
        try:
            if choice == "skip":
                self._passed.add(frozenset(cell.index for cell in pair))
            else:
                winner, loser = pair if choice == "left" else pair[::-1]
                self._cells.prefer(winner, loser)
                self._given += 1
        except GradientNotebookError as error:
            self._error = str(error)
            self.view.state = self.state(is_over=False)
            return
        self._done += 1
        self._ask()
        self._told(self._given)

    def _on_end(self, _: Mapping[str, Any]) -> None:
        self._pair = None
        self.view.state = self.state(is_over=True)

    def _on_go_on(self, _: Mapping[str, Any]) -> None:
        """Go on where somebody has ended, or ask for as many again."""
        if self._done < self._count:
            self._ask()
        else:
            self._begin()
