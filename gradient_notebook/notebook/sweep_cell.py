"""One cell of a sweep as a cell's value: its picture with what it is, or why there is none."""

from __future__ import annotations

from html import escape

from ..api.errors import GradientNotebookError
from ..api.events import LONGEST_PROMPT
from ..api.text import clean
from ..session import session
from ..sweeps.cell import Cell
from ..sweeps.labels import alt_words, cell_words
from ..sweeps.marks import marks_of
from . import formatting, html, sweep_words
from .sweep_sheet import address_of


def show_cell(cell: Cell) -> dict[str, str]:
    """Return a cell as something to display: an image and text, which need no kernel."""
    picture, problem = _picture(cell)
    prompt = clean(cell.prompt, LONGEST_PROMPT, lines=True)
    name = cell_words(cell.axes) or f"cell {cell.index}"
    caption = html.line([name, *filter(None, sweep_words.facts(cell)), *marks_of([cell]).get(cell.index, ())])
    below = f'<div style="{html.QUIET}">{escape(prompt)}</div>'
    why = html.box(problem) if problem else {"text/html": "", "text/plain": ""}
    return {
        "text/html": f"<div>{picture}{why['text/html']}{caption['text/html']}{below}</div>",
        "text/plain": "\n".join(filter(None, [repr(cell), why["text/plain"], caption["text/plain"], prompt])),
    }


def _picture(cell: Cell) -> tuple[str, formatting.Box | None]:
    """Return the picture of a cell as HTML, or what there is to say in its place."""
    if cell.outcome in ("queued", "running"):
        return "", None
    if cell.outcome != "done":
        return "", formatting.Box(sweep_words.reason(cell), kind=cell.outcome)
    from ..imaging import preview, tiling

    try:
        image = cell.image
    except (OSError, GradientNotebookError) as error:
        return "", formatting.Box(f"The original file is not available: {error}")
    if image is None:
        return "", formatting.Box("The original file is not available.")
    small = preview(image, session.preview_px)
    width, _ = tiling(1, image.width / image.height).whole
    style = f"width:{width}px;max-width:100%;height:auto;display:block;margin:0 0 6px"
    return f'<img src="{address_of(small.data)}" alt="{escape(alt_words(cell))}" style="{style}">', None
