"""The parameters as keyword arguments: for type checkers, and as a signature that completion and `help()` show."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypedDict, TypeVar

from .docstrings import with_entries
from .params import PARAMETERS
from .settings import Timeout


class ImageOptions(TypedDict, total=False):
    """The parameters as keyword arguments, for type checkers; held against the declaration by a test."""

    model: str | None
    size: str | None
    quality: str | None
    background: str | None
    moderation: str | None
    output_format: str | None
    output_compression: int | None
    partial_images: int | None
    user: str | None
    extra: Mapping[str, Any]


class CallOptions(ImageOptions, total=False):
    """The same for one call of a client, with what the SDK takes beside the parameters."""

    timeout: float | Timeout | None
    extra_headers: Mapping[str, str] | None
    extra_query: Mapping[str, Any] | None
    extra_body: Mapping[str, Any] | None


class StreamableOptions(ImageOptions, total=False):
    """The same with `stream`, where that does not change what is returned."""

    stream: bool | None


class GenerateOptions(StreamableOptions, total=False):
    """All of them."""

    n: int | None


F = TypeVar("F", bound=Callable[..., Any])


def with_parameters_in_sight(function: F) -> F:
    """Give a function that takes `**options` the signature that completion and `help()` show: one made of the declaration."""
    own = inspect.signature(function)
    kept = [one for one in own.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_annotation(name))
        for name in PARAMETERS
        if name not in own.parameters
    ]
    required = [one for one in options if one.name == "prompt"]
    if required:
        options = [
            required[0].replace(default=inspect.Parameter.empty),
            *(one for one in options if one.name != "prompt"),
        ]
    function.__doc__ = with_entries(function.__doc__, [PARAMETERS[one.name].entry for one in options])
    function.__signature__ = own.replace(parameters=[*kept, *options])  # type: ignore[attr-defined]
    return function


def _annotation(name: str) -> Any:
    parameter = PARAMETERS[name]
    kind = Mapping[str, Any] if parameter.kind is dict else parameter.kind
    return kind if name == "prompt" else kind | None
