"""The prompts as alternative texts, in what nbconvert makes of a notebook.

`jupyter nbconvert --Exporter.preprocessors=gradient_notebook.notebook.alt_text.describe`: the template of JupyterLab's
look, and those for slides and for Markdown, leave out what an image's output has as its `alt`.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

_AS_HTML = (".html", ".md")
"""How the names of those files end that take HTML: what prints has no alternative texts."""


def describe(notebook: Any, resources: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Put HTML with its alternative text in the place of each image that has one: a preprocessor of nbconvert.

    Args:
        notebook: the notebook, as nbformat has it; it is changed.
        resources: what nbconvert knows beside it.

    Returns:
        Both.
    """
    if str(resources.get("output_extension", "")).endswith(_AS_HTML):
        for output in _outputs(notebook):
            for mime, facts in output.get("metadata", {}).items():
                if mime in output.data and isinstance(facts, dict) and facts.get("alt"):
                    output.data = {"text/html": _image(output, mime, facts)}
                    break
    return notebook, resources


def _outputs(notebook: Any) -> Iterator[Any]:
    for cell in notebook.cells:
        yield from (output for output in cell.get("outputs", ()) if "data" in output)


def _image(output: Any, mime: str, facts: dict[str, Any]) -> str:
    """Return the image as HTML, by the name of its file where nbconvert has written one."""
    files = output.metadata.get("filenames", {})
    source = files.get(mime) or f"data:{mime};base64,{''.join(output.data[mime].split())}"
    known: dict[str, Any] = {
        "src": source,
        **{name: facts[name] for name in ("alt", "width", "height") if name in facts},
    }
    written = (f'{name}="{escape(str(value))}"' for name, value in known.items())
    return f"<img {' '.join(written)}>"
