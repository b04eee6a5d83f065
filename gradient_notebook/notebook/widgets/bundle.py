"""What differs between the versions of ipywidgets: Colab has 7."""

from __future__ import annotations

from typing import Any

import ipywidgets

TOOLTIP = "tooltip" if "tooltip" in ipywidgets.Text.class_trait_names() else "description_tooltip"
"""The trait of a control that has its tooltip; a button's is `tooltip` in each version."""


def view_of(widget: ipywidgets.DOMWidget) -> dict[str, Any]:
    """Return what shows a widget, as something to display."""
    if not hasattr(widget, "_repr_mimebundle_"):  # one of ipywidgets 7 displays itself
        view = {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}
        return {"application/vnd.jupyter.widget-view+json": view, "text/plain": repr(widget)}
    bundle = widget._repr_mimebundle_() or {}
    return dict(bundle[0] if isinstance(bundle, tuple) else bundle)  # anywidget's has metadata, ipywidgets' has none
