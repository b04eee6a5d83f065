"""Cells as a table: to index, to select by label, to look at. A sweep is one, and so is each part of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

from ..api.errors import InvalidRequestError
from ..api.events import Usage
from ..api.text import SHORT, clean, nearest
from ..money.cost import Cost
from .cell import Cell

if TYPE_CHECKING:
    from PIL.Image import Image


class Cells(Sequence[Cell]):
    """Cells of a sweep, in order: index, slice, iterate, or select by label.

    >>> from gradient_notebook import sweep
    >>> study = sweep("A red fox in {{style}}", style=["ink", "oil"], quality="low", repeat=2).result()
    >>> len(study.sel(style="ink")), study[-1].axes
    (2, {'style': 'oil'})
    """

    def __init__(self, cells: Sequence[Cell], labels: dict[str, tuple[Any, ...]]) -> None:
        self._cells = list(cells)
        self._labels = labels

    def __len__(self) -> int:
        return len(self._cells)

    @overload
    def __getitem__(self, at: int) -> Cell: ...
    @overload
    def __getitem__(self, at: slice) -> Cells: ...
    def __getitem__(self, at: int | slice) -> Cell | Cells:
        return Cells(self._cells[at], self._labels) if isinstance(at, slice) else self._cells[at]

    def __iter__(self) -> Iterator[Cell]:
        return iter(self._cells)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self):,} cell{'' if len(self) == 1 else 's'}, {self._outcome_words}>"

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
        return Cells(chosen, self._labels)

    @property
    def _outcome_words(self) -> str:
        return ", ".join(f"{count:,} {outcome}" for outcome, count in self.outcomes.items()) or "none"


_NAMED = 12
"""How many labels a message names."""
