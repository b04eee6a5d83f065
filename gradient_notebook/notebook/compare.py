"""`compare`: a few images over one another or side by side, and what differs between their requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from ..api.errors import InvalidRequestError
from ..sweeps.cell import Cell
from ..sweeps.cells import Cells
from . import html
from .labeled import Labeled, labeled

FEWEST, MOST = 2, 6
"""How many images are compared at a time."""


def compare(*images: Any) -> None:
    """Compare two to six images: a slider, side by side, their difference; zoom and pan in step; what differs in the requests.

    A saved notebook shows them side by side.

    Args:
        *images: PIL images, jobs, history entries, cells of a sweep, or lists or dicts of them; a dict's keys are the labels.

    Raises:
        InvalidRequestError: fewer than two images, more than six, or something that has none.

    >>> from gradient_notebook import compare, generate
    >>> fox = generate("A red fox", quality="low", size="1024x1024")
    >>> owl = generate("A gray owl", quality="low", size="1024x1024")
    >>> compare({"fox": fox, "owl": owl})
    fox: 1024x1024
    owl: 1024x1024
    prompt: A [red fox] | A [gray owl]
    """
    from IPython.core.getipython import get_ipython
    from IPython.display import display

    from .differences import differences
    from .execution import is_executed, shows_pictures
    from .sheet import sheet

    found = _chosen(images)
    differ = differences(found)
    lines = [f"{one.label}: {one.image.width}x{one.image.height}" for one in found]
    text = "\n".join([*lines, *differ.lines])
    shell = get_ipython()
    if not shows_pictures() or (shell and not hasattr(shell, "kernel")):
        print(text)  # noqa: T201 - a terminal has no place for pictures
        return
    pictures = {"text/html": sheet(found), "text/plain": text}
    table = {"text/html": differ.html([one.label for one in found]), "text/plain": ""}
    if shell is None or is_executed():
        display(html.joined([pictures, table]), raw=True)
        return
    from .static_output import StaticFallback
    from .widgets.bundle import view_of
    from .widgets.compare import compared

    place = StaticFallback(html.behind(table))
    place.update((pictures, {}), html.behind(table))
    place.show(view_of(compared(found, differ)))


def _chosen(values: Sequence[Any]) -> list[Labeled]:
    """Return the images with labels that tell them apart."""
    several = len(values) > 1
    found: list[Labeled] = []
    for number, value in enumerate(values, 1):
        # Cells and dicts have labels of their own.
        label = "" if not several or isinstance(value, (Mapping, Cells, Cell)) else str(number)
        found += islice(labeled(value, label), MOST + 1 - len(found))
    if not FEWEST <= len(found) <= MOST:
        count = f"more than {MOST}" if len(found) > MOST else str(len(found)) if found else "none"
        what = f"compare() takes {FEWEST} to {MOST} images, and there {'is' if len(found) == 1 else 'are'} {count}"
        hint = "compare(a, b). A job that runs has no image yet." if len(found) < FEWEST else "show() takes any number."
        raise InvalidRequestError(what, hint, sent=None)
    labels = [one.label for one in found]
    if len(set(labels)) == len(labels) and all(labels):
        return found
    return [one._replace(label=" · ".join(filter(None, [str(at), one.label]))) for at, one in enumerate(found, 1)]
