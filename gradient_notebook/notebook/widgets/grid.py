"""The grid of a sweep in the browser: what its cells are and where they stand; pictures only of those in view."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from operator import methodcaller
from pathlib import Path
from typing import Any

from traitlets import Bool, Dict, Unicode

from ...api.errors import GradientNotebookError
from ...api.events import LONGEST_PROMPT
from ...api.images import extension
from ...api.text import clean
from ...imaging import preview
from ...session import session
from ...sweeps.cell import Cell
from ...sweeps.cells import Cells
from ...sweeps.layout import MOST_CELLS, layout_of
from ...sweeps.marks import scored_in, scores_words
from ...sweeps.sweep import Sweep
from .. import sweep_words, thumbnails
from .background import Background
from .esm import joined
from .live import Rated, shape_of, styles
from .rating import Rater

_LETTERS = {
    "queued": "q",
    "running": "r",
    "done": "d",
    "refused": "x",
    "failed": "f",
    "cancelled": "c",
    "unknown": "u",
    "deleted": "g",
}
_FIRST_IN_VIEW = range(48)
"""Sent unasked as they come, until a view has said what it shows: the kernel may be busy by then."""
_MOST_VIEWS = 8
_AT_A_TIME_S = 0.25
"""How long pictures are made before it is looked again what has changed, and what is in view."""
_MOST_SCORES = 4
"""Lines of scores below each picture; the large view has all of them."""
_RETRIED = ("failed", "cancelled")


class Grid(Rated):
    """Shows a sweep as a grid. What its cells came to travels as a letter each; a picture only to who looks at it."""

    _esm = joined(Path(__file__).parent / "grid.mjs")
    _css = styles("live.css", "stars.css", "grid.css")

    plan: Dict[str, Any] = Dict().tag(sync=True)
    """What never changes: `plan_of`."""
    state: Dict[str, Any] = Dict().tag(sync=True)
    """Where it stands: `state_of`."""
    outcomes = Unicode().tag(sync=True)
    """A letter for each cell, by `_LETTERS`."""
    awaited = Bool().tag(sync=True)
    """Whether the cell that runs waits for it: then few kernels hear a click."""


def plan_of(sweep: Cells) -> dict[str, Any]:
    """Return what a grid has to know of a sweep, or of some of its cells, before anything has come."""
    layout = layout_of(sweep._cells, sweep._axes)
    shapes = {shape_of(cell.params) for cell in sweep[: MOST_CELLS : _stride(len(sweep))]}
    return {
        "title": sweep_words.title(sweep),
        "part": sweep_words.is_part(sweep),
        "prompts": list(dict.fromkeys(sweep_words.whole_of(sweep).plan.first)),
        "count": min(len(sweep), MOST_CELLS),
        "whole": len(sweep),
        # 0: it is not known before the first picture. Of several none fits all.
        "shape": (shapes.pop() or 0.0) if len(shapes) == 1 else 1.0,
        "columns": layout.columns,
        "span": layout.span,
        "rows": layout.rows,
        "across": layout.across,
        "captions": layout.captions[:MOST_CELLS],
        "axes": list(layout.axes),
    }


def _stride(count: int) -> int:
    """Sizes are an axis like others: some cells of each part are enough to see several."""
    return max(1, min(count, MOST_CELLS) // 500) | 1


def state_of(sweep: Cells) -> dict[str, Any]:
    """Return where a sweep stands, or some of its cells, in plain values."""
    found = sweep.outcomes
    return {
        "status": sweep_words.status_of(sweep),
        "parts": sweep_words.totals(sweep),
        "left_s": sweep_words.left_s(sweep),
        "elapsed_s": sweep_words.elapsed_s(sweep),
        "ended": sum(count for outcome, count in found.items() if outcome not in ("queued", "running")),
        "again": sum(cell.outcome in _RETRIED and not cell._may_be_billed for cell in sweep),
        "notes": [] if sweep_words.is_part(sweep) else [clean(note) for note in sweep_words.whole_of(sweep).notes],
        "lines_below": 1 + min(len(scored_in(sweep)), _MOST_SCORES),
        "dashboard": sweep_words.whole_of(sweep)._dashboard,
    }


class SweepGrid:
    """Keeps a grid up to date with its sweep, and does what its buttons say.

    It holds the sweep weakly: a widget lives as long as the kernel, and so would all that it holds.
    """

    def __init__(self, sweep: Cells) -> None:
        self._sweep = weakref.ref(sweep)
        self.view = Grid(plan=plan_of(sweep), state=state_of(sweep), outcomes=_letters(sweep))
        self.view.add_class("gradient-sweep")
        self.view.actions |= {"see": self._seen, "large": self._asked_for_large, "do": self._asked_to}
        # In a part a cell has another place than in its sweep.
        self._places = {cell.index: at for at, cell in enumerate(sweep)} if sweep_words.is_part(sweep) else None
        self.rater = Rater(self.view)
        self._lock = threading.Lock()
        self._in_view: dict[str, Collection[int]] = {"": _FIRST_IN_VIEW}
        self._wanted: dict[int, None] = {at: None for at in _FIRST_IN_VIEW if at < len(sweep) and sweep[at].has_ended}
        self._background = Background(self.update)
        sweep_words.whole_of(sweep)._observe(self._changed)
        self._background.ask()

    def update(self) -> None:
        """Show where the sweep stands, and some of the pictures that are looked for; ask again for the others."""
        if (sweep := self._sweep()) is not None:
            self.view.outcomes = _letters(sweep)
            self.view.state = state_of(sweep)
            self._send_cells(sweep)
            if self._wanted:
                self._background.ask()

    def _place(self, index: int) -> int:
        """Return where a cell of the sweep stands here; -1 where it is not among these."""
        return index if self._places is None else self._places.get(index, -1)

    def _changed(self, sweep: Sweep, changed: Collection[int]) -> None:
        with self._lock:
            seen = {at for in_view in self._in_view.values() for at in in_view}
            new = {self._place(index): None for index in changed if _has_picture(sweep, sweep[index])}
            self._wanted |= {at: None for at in new if at in seen}
        self._background.ask()

    def _seen(self, content: Mapping[str, Any]) -> None:
        """Note what a view shows; what it lacks comes before anything that was asked for earlier."""
        sweep = self._sweep()
        lacking, in_view = (
            [at for at in content.get(name, ()) if sweep and isinstance(at, int) and 0 <= at < len(sweep)]
            for name in ("lacking", "at")
        )
        running = [at for at in in_view if sweep and sweep[at].outcome == "running"]
        with self._lock:
            before = set().union(*self._in_view.values())
            self._in_view.pop("", None)
            self._in_view.pop(str(content.get("view")), None)
            self._in_view[str(content.get("view"))] = set(in_view)
            for name in list(self._in_view)[:-_MOST_VIEWS]:
                del self._in_view[name]
            seen = {at for in_view in self._in_view.values() for at in in_view}
            # What somebody has scrolled past is not made: it is asked for when it comes into view again.
            new = [at for at in running if at not in before]
            self._wanted = dict.fromkeys([*lacking, *(at for at in self._wanted if at in seen), *new])
        self._background.ask()

    def _send_cells(self, sweep: Cells) -> None:
        """Send cells with their pictures: all whose picture is kept, and of the others as many as there is time for."""
        with self._lock:
            wanted = [sweep[at] for at in self._wanted]
        archive = sweep_words.whole_of(sweep)._archive
        names = {cell.index: cell.paths[0].name for cell in wanted if cell.outcome == "done" and cell.paths}
        kept = thumbnails.kept(archive, list(names.values())) if archive else {}
        pictures = {at: kept[name] for at, name in names.items() if name in kept}
        self._send(
            [
                (cell, pictures.get(cell.index))
                for cell in wanted
                if cell.has_ended and (cell.outcome != "done" or cell.index in pictures)
            ]
        )
        ends, made = time.monotonic() + _AT_A_TIME_S, dict[str, bytes]()
        shown: list[tuple[Cell, bytes | None]] = []
        for cell in wanted:
            if time.monotonic() >= ends:
                break
            if not cell.has_ended:
                self._send_partial(sweep, cell)
            elif cell.outcome == "done" and cell.index not in pictures:
                small = thumbnails.made_of(cell)
                made |= {names[cell.index]: small} if small and cell.index in names else {}
                shown.append((cell, small))
        if archive:
            thumbnails.keep(archive, made)
        self._send(shown)

    def _send_partial(self, sweep: Cells, cell: Cell) -> None:
        """Send the newest partial image of a cell that runs. It is kept nowhere: the next one takes its place."""
        at = self._place(cell.index)
        with self._lock:
            self._wanted.pop(at, None)  # first: what changes meanwhile is asked for again
        if not (found := sweep_words.whole_of(sweep)._partial_of(cell.index)):
            return
        came, data = found
        note = sweep_words.steps(came, cell)
        if picture := thumbnails.small(data):
            told = {"at": at, "outcome": _LETTERS["running"], "note": note, "reason": "", "mime": _mime(picture)}
            self.view.send({"type": "cells", "cells": [told]}, buffers=[picture])

    def _send(self, cells: Sequence[tuple[Cell, bytes | None]]) -> None:
        if not cells:
            return
        self._look(cell for cell, _ in cells)
        told = [
            {
                "at": self._place(cell.index),
                "outcome": _LETTERS[cell.outcome],
                "note": "\n".join([sweep_words.note(cell), *scores_words(cell)]).strip("\n"),
                "reason": sweep_words.reason(cell) or ("" if picture else "cannot be shown"),
                "mime": _mime(picture) if picture else "",
            }
            for cell, picture in cells
        ]
        self.view.send({"type": "cells", "cells": told}, buffers=[picture for _, picture in cells if picture])
        with self._lock:
            for cell, _ in cells:
                self._wanted.pop(self._place(cell.index), None)

    def _look(self, cells: Iterable[Cell]) -> None:
        """Show what is thought of these cells, whose images can be rated from now on."""
        sweep = self._sweep()
        archive = sweep_words.whole_of(sweep)._archive if sweep is not None else None
        self.rater.look(archive, {str(self._place(cell.index)): cell._key() for cell in cells})

    def _asked_for_large(self, content: Mapping[str, Any]) -> None:
        sweep, at = self._sweep(), content.get("at")
        if sweep is None or not isinstance(at, int) or not 0 <= at < len(sweep):
            self.view.answer(content, error="The sweep is gone.")
            return
        cell = sweep[at]
        self._look([cell])
        error, image = "", None
        try:
            image = cell.image
        except (OSError, GradientNotebookError) as failure:
            error = f"The original file is not available: {failure}"
        shown = preview(image, session.preview_px) if image else None
        about = {
            "prompt": clean(cell.prompt, LONGEST_PROMPT, lines=True),
            "facts": sweep_words.facts(cell),
            "reason": clean(cell.error or error, 2_000, lines=True),
        }
        self.view.answer(content, [shown.data] if shown else [], cell=about, mime=shown.mime if shown else "")

    def _asked_to(self, content: Mapping[str, Any]) -> None:
        action = _ACTIONS.get(str(content.get("what")))
        if (cells := self._sweep()) is not None and action and not sweep_words.is_part(cells):
            sweep = sweep_words.whole_of(cells)
            try:
                action(sweep)
            except GradientNotebookError as error:
                sweep.notes = [*sweep.notes, str(error)]
            self._background.ask()


# By name: a sweep that another process makes does each in its own way.
_ACTIONS: Mapping[str, Callable[[Sweep], Any]] = {
    name: methodcaller(name) for name in ("start", "pause", "resume", "cancel", "retry")
}


def _letters(sweep: Cells) -> str:
    return "".join([_LETTERS[cell.outcome] for cell in sweep._cells[:MOST_CELLS]])


def _has_picture(sweep: Sweep, cell: Cell) -> bool:
    """Whether there may be something to see of a cell."""
    return cell.has_ended or sweep._partial_of(cell.index) is not None


def _mime(picture: bytes) -> str:
    return f"image/{extension(picture)[1:]}"
