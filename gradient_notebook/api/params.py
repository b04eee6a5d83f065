"""The parameters of an image generation: THE declaration.

Name, type, known values, bounds, default and help text of each parameter stand here once. Validation, the JSON
body, the magic's options and help, tab completion, the panel's controls and the README's table are made from it:
adding a parameter is one line in `ImageGenerateParams`.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from .docstrings import with_entries
from .errors import InvalidRequestError
from .fixed import FixedDict
from .models import AUTO, DEFAULT_MODEL, SIZE, family_of, known_values
from .parameter import Parameter, shown
from .text import SHORT, clean, nearest


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageGenerateParams:
    """The parameters of one `POST /v1/images/generations`, checked when made: a value, which stays as it is.

    What is None is not given, and left out of the request: the service then takes its default.

    Args:
        **parameters: a line for each.

    Raises:
        InvalidRequestError: a value that cannot be sent.

    >>> from gradient_notebook import ImageGenerateParams
    >>> params = ImageGenerateParams(prompt="A red fox", model="openai-gpt-image-1", quality="low")
    >>> params.replace(n=2).body()
    {'prompt': 'A red fox', 'model': 'openai-gpt-image-1', 'n': 2, 'quality': 'low'}
    """

    # fmt: off
    prompt: Annotated[str, Parameter(often=True, acted_on=True, multiline=True, min_length=1, max_length=32_000, help="Text description of the image.")]
    model: Annotated[str, Parameter(short="m", acted_on=True, listed=True, min_length=1, help="Image model, by its id.")] = DEFAULT_MODEL
    n: Annotated[int, Parameter(label="Images", short="n", acted_on=True, often=True, minimum=1, maximum=10, help="Number of images; each one is billed.")] = 1
    size: Annotated[str | None, Parameter(short="s", often=True, choices=known_values("size"), pattern=SIZE, pattern_words="WIDTHxHEIGHT in pixels", default=AUTO, help="Width x height in pixels; auto lets the service choose.")] = None
    quality: Annotated[str | None, Parameter(short="q", often=True, choices=known_values("quality"), default=AUTO, help="Higher quality takes more time and more tokens.")] = None
    background: Annotated[str | None, Parameter(short="b", choices=(AUTO, "transparent", "opaque"), default=AUTO, help="Background of the image; transparent needs png or webp.")] = None
    moderation: Annotated[str | None, Parameter(choices=(AUTO, "low"), default=AUTO, help="How strictly content is filtered.")] = None
    output_format: Annotated[str | None, Parameter(label="Format", short="f", choices=known_values("output_format"), default="png", help="File format of the image.")] = None
    output_compression: Annotated[int | None, Parameter(label="Compression", minimum=0, maximum=100, help="Compression quality in percent, for webp and jpeg only.")] = None
    stream: Annotated[bool | None, Parameter(acted_on=True, default=False, help="Send partial images while the image is being generated.")] = None
    partial_images: Annotated[int | None, Parameter(short="p", acted_on=True, only_with="stream", default=0, minimum=0, help="Number of partial images in a stream; about 100 tokens each.")] = None
    user: Annotated[str | None, Parameter(max_length=256, help="ID of your end user, for the service's abuse monitoring.")] = None
    extra: Annotated[dict[str, Any], Parameter(help="Additional fields, sent as they are; they overrule the parameters.")] = field(default_factory=FixedDict)
    # fmt: on

    def __post_init__(self) -> None:
        values = acting({name: getattr(self, name) for name in PARAMETERS})
        for name, parameter in PARAMETERS.items():
            value = values[name]
            checked = parameter.check(value) if value is not None or name in ALWAYS_SENT else None
            object.__setattr__(self, name, checked)
        if rule := broken_rule(given := self.given()):
            raise rule.error(given)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> ImageGenerateParams:
        """Return the parameters with these values.

        Args:
            values: by name; None is not given.

        Raises:
            InvalidRequestError: a value that cannot be sent; an unknown name, with the nearest known one.
        """
        for name, value in values.items():
            if name not in PARAMETERS:
                hint = nearest(name, PARAMETERS) or f"Known parameters: {', '.join(PARAMETERS)}."
                advice = f"{hint} A field for another server goes into extra={{{name!r}: {shown(value)}}}."
                raise InvalidRequestError(f"{name}={shown(value)}: no such parameter", advice, param=name)
        # A prompt that is missing is refused in our words, not by a TypeError of Python's.
        return cls(**{"prompt": "", **{name: value for name, value in values.items() if value is not None}})

    def replace(self, **changes: Any) -> ImageGenerateParams:
        """Return a copy with changes, checked again.

        Args:
            **changes: new values, by name.

        Raises:
            InvalidRequestError: a value that cannot be sent.
        """
        return ImageGenerateParams.of({**self.given(), **changes})

    def given(self) -> dict[str, Any]:
        """Return what was given, by name, as plain values."""
        every = {name: getattr(self, name) for name in PARAMETERS}
        return {name: value for name, value in every.items() if value is not None and (value or name != "extra")}

    def effective(self, name: str) -> Any:
        """Return what is asked for: in `extra`, or by the parameter, or else the service's default.

        Args:
            name: the parameter's name.
        """
        value = self.extra.get(name, getattr(self, name))
        return PARAMETERS[name].default if value is None else value

    def text(self, name: str) -> str:
        """Return `effective` as text to be shown: what stands in `extra` may be anything.

        Args:
            name: a parameter.
        """
        value = self.effective(name)
        return clean(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), SHORT)

    def body(self) -> dict[str, Any]:
        """Return the JSON body of the request: what was given, and over it what `extra` says."""
        given = self.given()
        extra = given.pop("extra", {})
        if given.get("stream") is False:
            del given["stream"]  # the default; some servers know no such field
        return {**given, **extra}


def choices_of(parameter: Parameter, model: str) -> tuple[str, ...]:
    """Return the known values of a parameter that a model takes; all that are known where nothing is known of it."""
    family = family_of(model)
    return family.known.get(parameter.name, parameter.choices) if family else parameter.choices


def acting(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return `values` with what the client acts on taken out of `extra`, as if it were given by name."""
    if not values.get("extra"):
        return dict(values)
    extra = PARAMETERS["extra"].check(values["extra"])
    named = {name: value for name, value in extra.items() if name in PARAMETERS and PARAMETERS[name].acted_on}
    return {**values, **named, "extra": {name: value for name, value in extra.items() if name not in named}}


def _declared() -> dict[str, Parameter]:
    hints = typing.get_type_hints(ImageGenerateParams, include_extras=True)
    return {f.name: _complete(f, hints[f.name]) for f in dataclasses.fields(ImageGenerateParams)}


def _complete(declared: dataclasses.Field[Any], hint: Any) -> Parameter:
    """Fill in what the annotation and the field already say of the parameter."""
    annotation, parameter = typing.get_args(hint)
    optional = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    members = typing.get_args(annotation) if optional else (annotation,)
    kind = next(member for member in members if member is not type(None))
    learned: dict[str, Any] = {
        "name": declared.name,
        "kind": typing.get_origin(kind) or kind,
        "label": parameter.label or declared.name.replace("_", " ").capitalize(),
    }
    if declared.default not in (None, dataclasses.MISSING):
        learned["default"] = declared.default
    return dataclasses.replace(typing.cast("Parameter", parameter), **learned)


PARAMETERS: Mapping[str, Parameter] = types.MappingProxyType(_declared())
ImageGenerateParams.__doc__ = with_entries(ImageGenerateParams.__doc__, [one.entry for one in PARAMETERS.values()])

# Required on the wire, though two of them have a default.
ALWAYS_SENT = frozenset({"prompt", "model", "n"})


@dataclass(frozen=True)
class Rule:
    """A rule between two parameters, on the given values by name: what `parameter` needs, when it is broken, what to do."""

    parameter: str
    other: str
    broken: Callable[[Mapping[str, Any]], bool]
    needs: str
    advice: str

    def error(self, values: Mapping[str, Any]) -> InvalidRequestError:
        """Return what to raise where `values` break the rule."""
        what = f"{self.parameter}={values[self.parameter]!r}: {self.needs}"
        return InvalidRequestError(what, self.advice, param=self.parameter, reason=self.needs)


LOSSLESS = 100
"""The compression, in percent, that means none."""

RULES = (
    Rule(
        "stream",
        "partial_images",
        lambda given: bool(given.get("stream")) and not given.get("partial_images"),
        "needs partial_images of 1 or more",
        "Add partial_images=2, or leave stream out.",
    ),
    Rule(
        "background",
        "output_format",
        lambda given: given.get("background") == "transparent" and given.get("output_format") == "jpeg",
        "needs output_format png or webp (jpeg has no transparency)",
        "Use output_format='png' or 'webp', or background='opaque'.",
    ),
    Rule(
        "output_compression",
        "output_format",
        lambda given: (
            isinstance(percent := given.get("output_compression"), int)
            and percent < LOSSLESS
            and (given.get("output_format") or PARAMETERS["output_format"].default) == "png"
        ),
        "needs output_format webp or jpeg (png is always lossless)",
        "Use output_format='webp' or 'jpeg', or leave output_compression out.",
    ),
)


def broken_rule(values: Mapping[str, Any]) -> Rule | None:
    """Return the first rule that the given values break, or None. Who writes a parameter into `extra` knows better."""
    overruled = values.get("extra") or {}
    rules = (rule for rule in RULES if not {rule.parameter, rule.other} & overruled.keys())
    return next((rule for rule in rules if rule.broken(values)), None)
