"""What is worth knowing of a request before it is sent: values that its model may not take, its cost, its model's end."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Mapping
from typing import Any

from .errors import GradientNotebookError
from .models import AUTO, DEFAULT_MODEL, PARTIAL_IMAGE_TOKENS, WARNING_DAYS, Family, family_of
from .parameter import Parameter
from .params import PARAMETERS, ImageGenerateParams
from .text import SHORT, clean

_WITH_CHOICES = {name for name, parameter in PARAMETERS.items() if parameter.choices}


def value_notes(values: Mapping[str, Any]) -> dict[str, str]:
    """Return a note for each of the given values that the request's model is not known to take, by parameter."""
    family = family_of(str(values.get("model", DEFAULT_MODEL)))
    chosen = {name: str(values[name]) for name in _WITH_CHOICES & values.keys() if values[name] is not None}
    notes = {name: _value_note(PARAMETERS[name], value, family) for name, value in chosen.items()}
    if values.get("stream") and (reason := not_streamed(values)):
        notes["output_format"] = f"{reason}."
    return {name: notes[name] for name in PARAMETERS if notes.get(name)}


def not_streamed(values: Mapping[str, Any]) -> str:
    """Return why the format that the values ask for is not streamed by their model; empty where nothing speaks against it."""
    family, file_format = family_of(str(values.get("model") or DEFAULT_MODEL)), values.get("output_format")
    whole = family is not None and file_format in family.whole_only.value
    return f"{family.name} sends {file_format} without streaming only" if family and whole else ""


def _value_note(parameter: Parameter, value: str, family: Family | None) -> str:
    name = parameter.name
    if family is None or name not in family.known:
        unheard_of = value not in parameter.choices and not parameter.pattern
        return f"{name}={clean(value, SHORT)} is not a documented value; it is sent as it is." if unheard_of else ""
    if family.takes(name, value):
        return ""
    grid = f"{AUTO} and {family.grid.value}" if name == "size" and family.grid else ""
    note = f"{family.name} is documented for {grid or ', '.join(family.known[name])}; {clean(value, SHORT)} is sent as it is."
    is_size = parameter.pattern is not None and parameter.pattern.fullmatch(value)
    return f"{note} The nearest size that it takes is {family.nearest_size(value)}." if is_size else note


def estimated_output_tokens(params: ImageGenerateParams) -> tuple[int, int] | None:
    """Return the least and the most output tokens that the request may cost; None where that is not known.

    They are equal unless the request says auto.
    """
    family = family_of(params.model)
    of_one = family.tokens_of_one(str(params.effective("quality")), str(params.effective("size"))) if family else None
    if of_one is None:
        return None
    partials = PARTIAL_IMAGE_TOKENS * (params.partial_images or 0) if params.stream else 0
    return params.n * (of_one[0] + partials), params.n * (of_one[1] + partials)


_heard: dict[tuple[str, str], dt.date | None] = {}


def hear(endpoint: str, model: str, shutdown_date: object) -> None:
    """Remember what a service's list says of a model's end, YYYY-MM-DD or nothing: it goes before what is known here."""
    if shutdown_date is None:
        _heard[endpoint, model] = None
        return
    with contextlib.suppress(ValueError):  # what cannot be read says nothing
        _heard[endpoint, model] = dt.date.fromisoformat(str(shutdown_date)[:_DAY])


_DAY = len("YYYY-MM-DD")  # a time of day may follow


def shutdown_of(model: str, endpoint: str = "") -> dt.date | None:
    """Return the day on which a model ends, or has ended, if that is known: by the endpoint's own list, or by ours."""
    if (endpoint, model) in _heard:
        return _heard[endpoint, model]
    family = family_of(model)
    return family.shutdown.value if family else None


def retirement_note(model: str, endpoint: str = "", today: dt.date | None = None) -> str:
    """Return what to say of a model that ends soon, or has ended; empty where nothing is known or it is long to go."""
    ends = shutdown_of(model, endpoint)
    left = (ends - (today or dt.date.today())).days if ends else WARNING_DAYS + 1  # noqa: DTZ011 - a person's day
    if left > WARNING_DAYS:
        return ""
    what = f"{model} ends on {ends}." if left > 0 else f"{model} was announced to end on {ends}, and may fail."
    return f"{what} {GradientNotebookError.phrases['choose_model']}"
