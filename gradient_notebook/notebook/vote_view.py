"""`study.vote()`: blind pairs in a notebook, and the ranking that follows, which stays in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..api.errors import InvalidRequestError
from ..api.text import SHORT, clean
from ..sweeps.voting import count_pairs, deleted_words
from . import html
from .ranking_words import ranking_lines, result

if TYPE_CHECKING:
    from ..sweeps.cells import Cells


def vote(cells: Cells, pairs: int) -> None:
    """Show pairs to choose from, or, where nobody can, the ranking that there is."""
    from IPython.core.getipython import get_ipython
    from IPython.display import display

    from .execution import is_executed, shows_pictures

    if type(pairs) is not int or pairs < 1:
        raise InvalidRequestError(f"pairs={clean(repr(pairs), SHORT)}: expected 1 or more", param="pairs", sent=None)
    ranking = cells.ranking
    left = count_pairs(cells, pairs)
    if not left and not any(standing.won for its in ranking.values() for standing in its):
        advice = "A vote needs two cells with images that the archive keeps."
        what = deleted_words(cells) or "There are no two images to choose from"
        raise InvalidRequestError(what, advice, sent=None)
    shell = get_ipython()
    if not shows_pictures() or (shell and not hasattr(shell, "kernel")):
        print("\n".join([*ranking_lines(ranking), _ELSEWHERE]))  # noqa: T201 - a terminal has no place for pictures
    elif shell is None or is_executed() or not left:
        display(result(ranking, 0), raw=True)
    else:
        from .static_output import StaticFallback
        from .widgets.bundle import view_of
        from .widgets.vote import Ballot

        place = StaticFallback(html.behind(result(ranking, 0)))
        ballot = Ballot(cells, pairs, lambda given: place.update_line(html.behind(result(cells.ranking, given))))
        place.show(view_of(ballot.view))


_ELSEWHERE = "Voting needs a notebook. In Python: study.prefer(*study.pair()), the better one first."
