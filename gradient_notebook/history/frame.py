"""A generation as a row of a table."""

from __future__ import annotations

from typing import Any

from ..api.params import PARAMETERS
from .costs import cost_columns
from .entry import HistoryEntry


def _settings(entry: HistoryEntry) -> dict[str, Any]:
    """Return a column for each parameter: what the service reported, or else what was asked for."""
    reported = next((image.reported for image in entry.record.images if image.reported), {})
    asked = {name: entry.record.params.get(name) for name in PARAMETERS if name != "extra"}
    return {name: reported.get(name) or value for name, value in asked.items()}


def row_of(entry: HistoryEntry) -> dict[str, Any]:
    """Return what is known of a generation, by column."""
    usage = entry.usage
    return {
        "id": entry.id,
        "started": entry.started,
        "elapsed_s": entry.elapsed_s,
        "outcome": entry.outcome,
        **_settings(entry),
        "revised_prompt": entry.revised_prompt,
        "images": len(entry.paths),
        "input_tokens": usage.input_tokens if usage else None,
        "output_tokens": usage.output_tokens if usage else None,
        "total_tokens": usage.total_tokens if usage else None,
        **cost_columns(entry),
        "request_ids": entry.request_ids,
        "error": " ".join(entry.errors) or None,
        "paths": [str(path) for path in entry.paths],
    }
