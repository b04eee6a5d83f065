"""What is said where a card or a panel should stand, and the front end cannot show it.

The environment of Jupyter itself decides what renders, and the kernel may have one of its own. Nothing tells the kernel
that something is missing there: so the words are shown each time, until a view has answered, and style hides them where
there is a view.
"""

from __future__ import annotations

import html
from importlib.metadata import version

from .html import QUIET

INSTALL = "pip install -U ipywidgets anywidget"

WORDS = (
    f"This front end cannot show it live: run `{INSTALL}` in the environment that Jupyter itself runs in "
    "(this kernel has another one), then reload the page."
)
"""For a card."""

_OLD_WIDGETS = (
    "This kernel has ipywidgets 7, which today's front ends show no more: run `pip install -U ipywidgets` in its "
    "environment and restart it."
)


def panel_words() -> str:
    """Return what a panel lacks, which is not in a saved notebook either: there the cell has not run."""
    is_old = int(version("ipywidgets").partition(".")[0]) < 8
    return f"No panel, although the cell has just run? {_OLD_WIDGETS if is_old else WORDS}"


# Not at once: a view takes some tenths of a second to appear. nbclassic calls an output by the other name.
_OUTPUT = ":is(.jp-OutputArea-child,.output_area)"
_STYLE = (
    "<style>"
    "@keyframes gradient-missing{from{max-height:0}}"
    ".gradient-missing{overflow:hidden;animation:gradient-missing 0s 2s backwards}"
    f"{_OUTPUT}:has(.gradient-card) + {_OUTPUT} .gradient-missing,"
    f"{_OUTPUT}:has(.gradient-card) + {_OUTPUT}:has(.gradient-missing:only-child),"
    f"{_OUTPUT}:has(+ {_OUTPUT} .gradient-missing) .jupyter-widgets-error-widget{{display:none}}"
    "</style>"
)


def below_a_card() -> dict[str, str]:
    """Return what stands below a card until a view has answered; where there is only text, no words are missing."""
    words = html.escape(WORDS)
    return {"text/html": f'<div class="gradient-missing" style="{QUIET}">{words}{_STYLE}</div>', "text/plain": ""}
