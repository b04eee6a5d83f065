"""Words as HTML for outputs that stay in a notebook. Prompts, model names and messages are data: everything is escaped."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

from ..api.events import LONGEST_PROMPT
from ..api.params import ImageGenerateParams
from ..api.text import clean
from ..storage.outcome import CellOutcome
from .formatting import DOT, Box

_COLORS: Mapping[CellOutcome, str] = {
    "refused": "--jp-warn-color1,#b58100",
    "cancelled": "--jp-border-color1,#8a8a8a",
    "deleted": "--jp-border-color1,#8a8a8a",
    "failed": "--jp-error-color1,#d32f2f",
    "unknown": "--jp-error-color1,#d32f2f",
}
"""The color that an outcome is marked with, as the inside of `var()`."""
_FONT = "font-family:var(--jp-ui-font-family,system-ui,sans-serif);font-size:13px;line-height:1.45"

# The variables of JupyterLab, then of VS Code, then the system's colors where there is neither theme.
STRONG = "color:var(--jp-ui-font-color1,var(--vscode-foreground,CanvasText))"
QUIET = (
    f"{_FONT};color:var(--jp-ui-font-color2,var(--vscode-descriptionForeground,GrayText));"
    "font-variant-numeric:tabular-nums;overflow-wrap:anywhere"
)


_CAPTION = f"{QUIET};min-height:51.5px"
"""A caption and its image are as high as the card before them, whose words have two lines: nothing below them moves."""


def caption(parts: Sequence[str], more: str = "") -> dict[str, str]:
    """Return the line under finished images as something to display; `more` is HTML at its end."""
    return line(parts, _CAPTION, more)


def line(parts: Sequence[str], style: str = QUIET, more: str = "") -> dict[str, str]:
    """Return a line of facts as something to display; `more` is HTML at its end."""
    parts = [clean(part) for part in parts]
    name, *rest = [html.escape(part) for part in parts]
    strong = f'<b style="{STRONG}">{name}</b>'
    return {"text/html": f'<div style="{style}">{DOT.join([strong, *rest])}{more}</div>', "text/plain": DOT.join(parts)}


_OUTPUT = ":is(.jp-OutputArea-child,.output_area)"
"""What holds one output: in JupyterLab and what is made of it, and in nbclassic."""
_ALONE = (
    f"<style>{_OUTPUT}:not(:has(:is(.gradient-panel:not(.jupyter-widgets-disconnected) .gradient-stage,"
    ":is(.gradient-sweep,.gradient-beside,.gradient-history):not(.jupyter-widgets-disconnected) .gradient-card)))"
    f":has(+ {_OUTPUT} + {_OUTPUT} .gradient-record){{display:none}}</style>"
)
"""Hides what a notebook shows of a widget whose kernel is gone, or without what draws it: an error, or a form alone."""


def record(caption: Sequence[str], params: ImageGenerateParams | None = None, more: str = "") -> dict[str, str]:
    """Return what is known of a panel's last image, to stand under it where there is no panel, and `more` behind it."""
    below = line(caption)
    settings = params.body() if params else {}
    prompt = settings.pop("prompt", "")
    quiet = [prompt, DOT.join(f"{name} {value}" for name, value in settings.items())]
    quiet += ["Run this cell to use the panel.", more]
    quiet = [clean(words, LONGEST_PROMPT, lines=True) for words in quiet]
    rows = "".join(f'<div style="{QUIET}">{html.escape(words)}</div>' for words in quiet if words)
    text = "\n".join([below["text/plain"], *filter(None, quiet)])
    return behind({"text/html": f"{below['text/html']}{rows}", "text/plain": text})


def behind(shown: dict[str, str]) -> dict[str, str]:
    """Return what is shown, so that it stands behind a widget, and in its place where the kernel is gone."""
    return {**shown, "text/html": f'<div class="gradient-record">{shown["text/html"]}{_ALONE}</div>'}


def color_of(outcome: CellOutcome) -> str:
    """Return the color that an outcome is marked with, as the inside of `var()`."""
    return _COLORS.get(outcome, _COLORS["cancelled"])


def box(said: Box) -> dict[str, str]:
    """Return what went wrong as something to display: a refusal is amber, a cancellation gray, a failure red, a note gray and quiet."""
    color, said = color_of(said.kind), said.cleaned
    style = (
        f"{_FONT};{STRONG};padding:8px 14px;"
        f"border-left:3px solid var({color});border-radius:3px;max-width:768px;box-sizing:border-box;"
        f"background:color-mix(in srgb,var({color}) 9%,transparent);overflow-wrap:anywhere"
    )
    quiet = f'<div style="opacity:.75">{html.escape(said.advice)}</div>' if said.advice else ""
    what = html.escape(said.what) if said.kind == "done" else f"<b>{html.escape(said.what)}</b>"
    return {
        "text/html": f'<div style="{style}">{what}{quiet}</div>',
        "text/plain": said.text,
    }


def joined(bundles: Sequence[dict[str, str]]) -> dict[str, str]:
    """Return several things to display as one; of nothing, an empty text."""
    if not bundles:
        return {"text/plain": ""}
    return {
        "text/html": "".join(bundle["text/html"] for bundle in bundles),
        "text/plain": "\n".join(filter(None, (bundle["text/plain"] for bundle in bundles))),
    }
