"""Cells as a table: to index, to select by label, to look at. A sweep is one, and so is each part of it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, overload

from ..api.errors import InvalidRequestError
from ..api.events import Usage
from ..api.text import SHORT, clean, nearest
from ..display_hooks import hook
from ..money.cost import Cost
from .axes import Axes
from .cell import Cell
from .marks import scored_in

if TYPE_CHECKING:
    from PIL.Image import Image

    from .files import Saved
    from .sheet import Sheet
    from .voting import Standing

_logger = logging.getLogger("gradient_notebook")


class Cells(Sequence[Cell]):
    """Cells of a sweep, in order: index, slice, iterate, or select by label.

    >>> from gradient_notebook import sweep
    >>> study = sweep("A red fox in {{style}}", style=["ink", "oil"], quality="low", repeat=2).result()
    >>> len(study.sel(style="ink")), study[-1].axes
    (2, {'style': 'oil'})
    """

    def __init__(self, cells: Sequence[Cell], axes: Axes, whole: Cells | None = None) -> None:
        self._cells = list(cells)
        self._axes = axes
        self._labels = axes.labels
        self._of = whole

    @property
    def _whole(self) -> Cells:
        """The sweep that they are of."""
        return self if self._of is None else self._of

    def _part(self, cells: Sequence[Cell]) -> Cells:
        return Cells(cells, self._axes, self._whole)

    def __getstate__(self) -> Any:
        raise TypeError("A sweep and its parts belong to this process. Pickle list(...) of them: cells go anywhere.")

    def __len__(self) -> int:
        return len(self._cells)

    @overload
    def __getitem__(self, at: int) -> Cell: ...
    @overload
    def __getitem__(self, at: slice) -> Cells: ...
    def __getitem__(self, at: int | slice) -> Cell | Cells:
        return self._part(self._cells[at]) if isinstance(at, slice) else self._cells[at]

    def __iter__(self) -> Iterator[Cell]:
        return iter(self._cells)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self._count_words}>"

    def _repr_mimebundle_(self, **_: Any) -> Any:
        """It shows itself where a front end asks for one output."""
        return hook("show_sweep")(self)

    def _ipython_display_(self) -> None:
        """It shows itself: a grid, live while something runs, and what stays in a notebook in its place."""
        hook("display_sweep")(self)

    @property
    def axes(self) -> dict[str, tuple[Any, ...]]:
        """The labels of each axis, by its name."""
        return dict(self._labels)

    @property
    def outcomes(self) -> dict[str, int]:
        """How many cells stand how: `{"done": 5, "refused": 1}`."""
        return dict(Counter(cell.outcome for cell in self._cells))

    @property
    def images(self) -> list[Image]:
        """The finished images in order, as PIL images at full size, decoded on each access."""
        return [image for cell in self._cells for image in cell.images]

    @property
    def usage(self) -> Usage | None:
        """Tokens of all of these together, as far as the service said; what is reused was billed before."""
        used = [usage for cell in self._cells if not cell.reused and (usage := cell.usage)]
        return sum(used[1:], used[0]) if used else None

    @property
    def cost(self) -> Cost:
        """What all of these cost together; what is reused was billed before."""
        return Cost.total(cell.cost for cell in self._cells if not cell.reused)

    def sel(self, **labels: Any) -> Cells:
        """Return the cells that have these labels, in order.

        Args:
            **labels: for each axis that is named, a label, or a list of labels.

        Raises:
            InvalidRequestError: an axis or a label that is not there, with the nearest that is.
        """
        chosen = self._cells
        for name, wanted in labels.items():
            if name not in self._labels:
                hint = nearest(name, self._labels) or f"The axes are {', '.join(self._labels) or 'none'}."
                raise InvalidRequestError(f"{name}: no such axis", hint, param=name, sent=None)
            some = wanted if isinstance(wanted, (list, tuple, set, range)) else [wanted]
            for label in some:
                if label not in self._labels[name]:
                    hint = nearest(str(label), map(str, self._labels[name]))
                    known = ", ".join(clean(repr(one), SHORT) for one in self._labels[name][:_NAMED])
                    what = f"{name}={clean(repr(label), SHORT)}: no such label"
                    raise InvalidRequestError(what, hint or f"It has {known}.", param=name, sent=None)
            chosen = [cell for cell in chosen if cell.axes[name] in some]
        return self._part(chosen)

    # What is done with the results

    def to_frame(self, library: str = "pandas", *, images: bool = False) -> Any:
        """Return a DataFrame, a row for each image, and for each cell that has none.

        Columns are the cell's number, its axes, the prompt as it was sent, `revised_prompt`, `outcome`, `reason`, tokens,
        `cost` and `currency` (empty where it is not known), `seconds`, `reused`, `path`, `stars`, `tags`, `note`, and what
        `score` has measured. An axis
        that is called like one of these has its labels in `NAME_label`.

        Args:
            library: "pandas", "polars" or "pyarrow".
            images: add a column of PIL images at full size, which take some 5 MB each. `path` is always there.

        Raises:
            ImportError: the library is not installed.
            InvalidRequestError: it is none of these, or holds no images.

        >>> from gradient_notebook import sweep
        >>> study = sweep("A red fox in {{style}}", style=["ink", "oil"], quality="low").result()
        >>> study.to_frame()[["style", "outcome"]].values.tolist()
        [['ink', 'done'], ['oil', 'done']]
        """
        from .frame import to_frame

        return to_frame(self._cells, library, images=images)

    def grid(self, px: int = 256) -> Sheet:
        """Return all of it as one picture: a line and a column for each label, the images small, failures with their reasons.

        Args:
            px: the long edge of each image, in pixels; less where all of them together would be too much.
        """
        from .sheet import grid

        return grid(self._cells, self._axes, px)

    def save(self, directory: Path | str, *, overwrite: bool = False, recipes: bool = False) -> Saved:
        """Save all of it in a folder, and return where: originals by readable names, and what is known of them.

        There are `cells.csv`, `cells.jsonl`, an `index.html` that needs no server, and, where pyarrow is installed,
        `cells.parquet` with the images in it. In the CSV, text that a spreadsheet would take for a formula begins with `'`.

        Args:
            directory: a folder, which is made if it is not there.
            overwrite: replace files of the same names; otherwise nothing is written if there are any.
            recipes: also write a copy of each image with the settings inside, for `read_recipe`, into the folder `recipes`.

        Raises:
            InvalidRequestError: a file is there already, or the folder cannot be written.

        >>> from gradient_notebook import sweep
        >>> study = sweep("A red fox in {{style}}", style=["ink", "oil"], quality="low").result()
        >>> sorted(path.name for path in study.save("foxes").images)
        ['0-ink.png', '1-oil.png']
        """
        from .files import save

        return save(self._cells, self._axes, directory, overwrite=overwrite, recipes=recipes)

    def score(self, *measures: Any, name: str | None = None, reference: Any = None) -> Self:
        """Measure the originals, in threads, and return the cells: each measure is a column of `to_frame`, and stands under the pictures.

        Known are "sharpness" (variance of the Laplacian), "colorfulness" (Hasler and Süsstrunk), "phash" (what it looks like;
        `to_frame` says then which looks like an earlier one, in `duplicate_of`) and "ssim" (how alike it is to a
        reference). They need `pip install 'gradient-notebook[analysis]'`. What was measured is kept by the images' content,
        so that nothing is measured twice; of a function only where you give a name. Where a function raises, its cell has
        no value, and a warning says why.

        Args:
            *measures: functions of a PIL image that return a number or text; or names. None shows what has been measured.
            name: the column of a function; by this name what it returns is kept, also for other sweeps.
            reference: what "ssim" compares with: an image, a cell, or a path.

        Raises:
            InvalidRequestError: a measure that is none.
            ImportError: a library is missing.

        >>> from gradient_notebook import sweep
        >>> study = sweep("A red fox in {{style}}", style=["ink", "oil"], quality="low", size="1024x1024").result()
        >>> [cell.scores["width"] for cell in study.score(lambda image: image.width, name="width")]
        [1024, 1024]
        """
        from .scores import score_all

        if not measures and scored_in(self._cells):
            return self  # which says what has been measured
        for problem in score_all(self._cells, measures, name=name, reference=reference):
            _logger.warning("%s", problem)
        self._whole._marked([cell.index for cell in self._cells])
        return self

    def _marked(self, changed: Sequence[int]) -> None:
        """Let those who show these cells know that something stands under their pictures now."""

    @property
    def best(self) -> Cells:
        """The cells with the most stars, in order; none where nobody has given any."""
        from .rating import most_stars

        return self._part(most_stars(self._cells))

    def top(self, score: str, count: int = 5) -> Cells:
        """Return the cells that score highest, the highest first.

        Args:
            score: what was measured, by its name.
            count: how many, at most.

        Raises:
            InvalidRequestError: it was not measured.
        """
        from .rating import highest

        return self._part(highest(self._cells, score, count))

    def pair(self) -> tuple[Cell, Cell] | None:
        """Return two cells to choose the better of without looking at their labels, or None where all pairs were."""
        from .voting import next_pair

        return next_pair(self._cells)

    def prefer(self, winner: Cell, loser: Cell) -> None:
        """Keep that one of two cells is better than the other; `ranking` counts it.

        Args:
            winner: the better one.
            loser: the other one.

        Raises:
            InvalidRequestError: they are no two cells of these with images.
        """
        from .voting import prefer

        prefer(self._cells, winner, loser, getattr(self, "id", None))

    def vote(self, pairs: int = 30) -> None:
        """Show pairs to choose the better of by key or click, without their labels; then the ranking of each axis's labels.

        Left and right arrow choose, down passes a pair over, Escape ends. Each vote is kept as soon as it is given.

        Args:
            pairs: how many are asked for, at most.

        Raises:
            InvalidRequestError: there are no two cells with images that the archive keeps.
        """
        hook("vote")(self, pairs)

    @property
    def ranking(self) -> dict[str, list[Standing]]:
        """The labels of each axis, the most preferred first, with how often they won and lost (Bradley-Terry)."""
        from .voting import ranking

        return ranking(self._cells, self._labels)

    @property
    def _count_words(self) -> str:
        outcomes = ", ".join(f"{count:,} {outcome}" for outcome, count in self.outcomes.items()) or "none"
        scored = ", ".join(clean(name, SHORT) for name in scored_in(self._cells))
        told = f", scored by {scored}" if scored else ""
        return f"{len(self):,} cell{'' if len(self) == 1 else 's'}, {outcomes}{told}"


_NAMED = 12
"""How many labels a message names."""
