"""The history as a cell's value: pictures to rate while the kernel is there, and behind them what stays in the notebook."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from IPython.core.getipython import get_ipython

from ..api.text import clean
from ..history.rating import watch
from ..storage.archive import Archive
from ..storage.ratings import ImageKey
from . import history_view, html
from .execution import is_executed
from .static_output import StaticFallback

if TYPE_CHECKING:
    from ..history.entry import HistoryEntry

_MOST_PLACES = 8
"""Cells behind whose widgets the page is kept up to date: nobody says which of them have been run again since."""


def display_history(entries: Sequence[HistoryEntry], archive: Archive, **words: Any) -> None:
    """Show entries as the cell's output; `words` are those of `show_history`.

    Raises:
        NotImplementedError: a page that needs no kernel is all that can be shown, which IPython makes then.
    """
    shell = get_ipython()
    if not entries or shell is None or not hasattr(shell, "kernel") or is_executed():
        raise NotImplementedError
    try:
        HistoryShown(entries, archive, words).show()
    except Exception as error:  # whatever a front end's libraries raise: the page has all but the stars to give
        print(f"Stars cannot be given here ({type(error).__name__}: {error}).")  # noqa: T201
        raise NotImplementedError from error


class HistoryShown:
    """Some of the history in one cell: the widget, and behind it the page, which follows what is given."""

    def __init__(self, entries: Sequence[HistoryEntry], archive: Archive, words: dict[str, Any]) -> None:
        from .widgets.background import Background
        from .widgets.history import HistoryCards

        self._entries, self._archive, self._words = entries, archive, words
        first = words.get("first", 0)
        below = history_view.older_words(entries, words.get("more", 0), words.get("made_by", ""), first)
        self._cards = HistoryCards(entries, archive, first, [*below, *map(clean, archive.ledger.notes)])
        self._ids = {entry.id for entry in entries}
        self._place = StaticFallback(_NOTHING)
        self._background = Background(self._refresh)
        # The widget lives as long as the kernel, and holds what is told by it.
        self._cards.view.shown = self
        _newest.append(self)
        watch(self)

    def show(self) -> None:
        """Show it in the cell that runs."""
        from .widgets.bundle import view_of

        self._refresh()
        self._place.show(view_of(self._cards.view))
        self._cards.send(history_view.small_pictures(self._entries, self._archive))

    def rated(self, image: ImageKey) -> None:
        """Have what was given to an image stand behind the widget, too."""
        if image[0] in self._ids and self in _newest:
            self._background.ask()

    def _refresh(self) -> None:
        page = history_view.show_history(self._entries, self._archive, **self._words)
        self._place.update((page, {}), _NOTHING)


_newest: deque[HistoryShown] = deque(maxlen=_MOST_PLACES)
_NOTHING = html.behind({"text/html": "", "text/plain": ""})
