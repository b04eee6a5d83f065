"""The models of a service as a table: what is known of each, when it ends, and which one is used, and why."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from html import escape
from typing import NamedTuple

from ..api.advice import shutdown_of
from ..api.errors import GradientNotebookError
from ..api.events import ModelListResponse
from ..api.models import DEFAULT_MODEL, family_of
from ..session import PREFIX, session
from . import html

_HEAD = ("Model", "Family", "Sizes", "Qualities", "Formats", "Ends", "Used")
_WRAPPED = ("sizes", "qualities", "formats")
_UNKNOWN = "unknown"
_VARIABLE = f"{PREFIX}MODEL"


class _Row(NamedTuple):
    model: str
    family: str
    sizes: str
    qualities: str
    formats: str
    ends: str
    used: str


def show_models(listed: ModelListResponse, endpoint: str) -> dict[str, str]:
    """Return a service's models as something to display: those that make images, or all where no name says so."""
    chosen = session.defaults().get("model", DEFAULT_MODEL)
    names = listed.image_models or [model.id for model in listed.data]
    rows = [_row(name, endpoint, chosen) for name in names]
    below = list(_remarks(listed, chosen))
    plain = _columns([(row.model, row.family, row.ends, row.used) for row in (_Row(*_HEAD), *rows)]) if rows else []
    return {
        "text/html": f"{_table(rows)}{''.join(f'<div style={html.QUIET!r}>{escape(words)}</div>' for words in below)}",
        "text/plain": "\n".join([*plain, *below]),
    }


def _row(name: str, endpoint: str, chosen: str) -> _Row:
    family = family_of(name)
    ends = shutdown_of(name, endpoint)
    known = family.known if family else {}
    sizes = f"any in {family.grid.value}" if family and family.grid else ", ".join(known.get("size", (_UNKNOWN,)))
    return _Row(
        name,
        family.name if family else _UNKNOWN,
        sizes,
        ", ".join(known.get("quality", (_UNKNOWN,))),
        ", ".join(known.get("output_format", (_UNKNOWN,))),
        f"{ends}" if ends else "",
        f"yes: {_why()}" if name == chosen else "",
    )


def _why() -> str:
    """Return where the id of the model that is used comes from."""
    if session.model is None:
        return "the documented default"
    return _VARIABLE if session.model == os.environ.get(_VARIABLE) else "%config ImageGen.model"


def _remarks(listed: ModelListResponse, chosen: str) -> Iterator[str]:
    if not listed.data:
        yield "The service lists no models."
    elif not listed.image_models:
        yield "No image models found: these are all models."
    if chosen not in [model.id for model in listed.data]:
        yield f"The service does not list {chosen} ({_why()})."
        if listed.image_models:
            yield GradientNotebookError.phrases["set_model"].format(model=listed.image_models[-1])


def _table(rows: Sequence[_Row]) -> str:
    if not rows:
        return ""
    cell = "padding:3px 14px 3px 0;text-align:left;vertical-align:top"
    head = "".join(f'<th style="{cell};white-space:nowrap">{escape(words)}</th>' for words in _HEAD)
    styles = [f"{cell};min-width:150px" if name in _WRAPPED else f"{cell};white-space:nowrap" for name in _Row._fields]
    lines = [
        [f'<td style="{style}">{escape(words)}</td>' for style, words in zip(styles, row, strict=True)] for row in rows
    ]
    body = "".join(
        f"<tr{_STRONG if row.used else ''}>{''.join(cells)}</tr>" for row, cells in zip(rows, lines, strict=True)
    )
    return f'<div style="overflow-x:auto"><table style="{html.QUIET};border-collapse:collapse"><tr>{head}</tr>{body}</table></div>'


_STRONG = f' style="{html.STRONG};font-weight:600"'


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
