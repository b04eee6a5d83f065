"""The parameters of an image generation: THE declaration.

Name, type, allowed values, bounds, default and help text of each parameter stand here once. Validation, the JSON
body, the magic's options and help, tab completion, the panel's controls and the README's table are made from it:
adding a parameter is one line in `ImageGenerateParams`.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import math
import operator
import types
import typing
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NoReturn, TypedDict, TypeVar

from .credentials import looks_like_key
from .errors import InvalidRequestError
from .text import nearest

# The documented id. The upstream provider has announced the end of this model, so nothing else may depend on it.
DEFAULT_MODEL = "openai-gpt-image-1"


T = TypeVar("T", int, float)

_BREAKS = ("Cc", "Zl", "Zp")
"""Unicode's categories of control characters and of what ends a line."""


def _shown(value: Any) -> str:
    """Return a wrong value for a message: shortened, and without a key that was put in its place."""
    shown = repr(value)
    if looks_like_key(shown):
        return "***"
    if len(shown) <= 60:
        return shown
    return f"{shown[:50]}… ({len(value):,} characters)" if isinstance(value, str) else f"{shown[:50]}…"


def _bounds(low: float | None, high: float | None) -> str:
    return f"{low or 0:,} or more" if high is None else f"{low or 0:,} to {high:,}"


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """What is known of one parameter beside its type: every front end is made from it."""

    help: str
    default: Any = None
    """What the service does when the parameter is not given (it is then left out of the request)."""
    label: str = ""
    """What it is called beside its control; made from the name where none is given."""
    short: str = ""
    often: bool = False
    """Changed often: a panel keeps it in view, and folds the others away."""
    listed: bool = False
    """The service lists what it takes."""
    only_with: str = ""
    """Another parameter, without which this one has no effect."""
    multiline: bool = False
    """A text of several lines, where others stand on one."""
    minimum: float | None = None
    maximum: float | None = None
    min_length: int | None = None
    max_length: int | None = None

    # Read from the annotation and the field, never written by hand.
    name: str = ""
    kind: type = str
    choices: tuple[str, ...] = ()

    @property
    def option(self) -> str:
        """The long option of the magics, `--output-format`."""
        return "--" + self.name.replace("_", "-")

    @property
    def expected(self) -> str:
        """What is allowed, in words."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.kind is bool:
            return "True or False"
        if self.kind in (int, float):
            return f"a {'whole ' * (self.kind is int)}number, {_bounds(self.minimum, self.maximum)}"
        if self.kind is str:
            text = "text" if self.multiline else "text on one line"
            return f"{text}, {_bounds(self.min_length, self.max_length)} characters"
        return "a mapping of JSON values"

    def check(self, value: Any) -> Any:
        """Return `value` in its plain type, or raise InvalidRequestError."""
        try:
            return self._checks[self.kind](self, value)
        except InvalidRequestError:
            raise
        except (TypeError, ValueError) as error:
            raise self._invalid(value) from error

    def parse(self, text: str) -> Any:
        """Return the value that `text` writes, as an option of a magic does, or raise InvalidRequestError."""
        try:
            value = text if self.kind is str else json.loads(text)
        except ValueError as error:
            raise self._invalid(text) from error
        return self.check(value)

    def _invalid(self, value: Any) -> InvalidRequestError:
        shown = _shown(value)
        reason = f"expected {self.expected}"
        return InvalidRequestError(f"{self.name}={shown}: {reason}", param=self.name, reason=reason)

    def _check_text(self, value: Any) -> str:
        if not isinstance(value, str) or (self.choices and value not in self.choices):
            raise TypeError
        value.encode()  # a lone surrogate cannot be sent
        if not self.multiline and any(unicodedata.category(character) in _BREAKS for character in value):
            raise ValueError
        shortest, longest = self.min_length or 0, self.max_length or len(value)
        if not shortest <= len(value) <= longest or (shortest and not value.strip()):
            raise ValueError
        return str(value)

    def _check_int(self, value: Any) -> int:
        if isinstance(value, bool):
            raise TypeError
        # Takes the whole numbers of NumPy, and refuses 2.0 and '1'.
        return self._within(operator.index(value))

    def _check_float(self, value: Any) -> float:
        if isinstance(value, (bool, str)):
            raise TypeError
        return self._within(float(value))

    def _within(self, number: T) -> T:
        lowest = -math.inf if self.minimum is None else self.minimum
        highest = math.inf if self.maximum is None else self.maximum
        if not lowest <= number <= highest:
            raise ValueError
        return number

    def _check_bool(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise TypeError
        return value

    def _check_mapping(self, value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            raise TypeError
        # There and back: proof that it can be sent, and a copy that the caller's later changes do not reach.
        text = json.dumps(dict(value), allow_nan=False, ensure_ascii=False)
        copy = json.loads(text.encode())  # a lone surrogate cannot be sent
        # `extra` goes over the parameters in the body: an n in it would be billed, and nobody would have checked it.
        if known := copy.keys() & PARAMETERS.keys():
            name = min(known)
            advice = f"Pass {name} as its own parameter, or rename the field."
            what = f"{self.name}={_shown(value)}: {name} is a parameter of its own"
            raise InvalidRequestError(what, advice, param=self.name)
        return typing.cast("dict[str, Any]", _fixed(copy))

    _checks: typing.ClassVar[dict[type, Callable[[Parameter, Any], Any]]] = {
        str: _check_text,
        int: _check_int,
        float: _check_float,
        bool: _check_bool,
        dict: _check_mapping,
    }


def _refuse(*_: Any, **__: Any) -> NoReturn:
    raise TypeError("The parameters of a request can't be changed: use replace(extra={...}).")


class FixedDict(dict[str, Any]):
    """A mapping that stays as it is: the parameters of a request are a value, `extra` included."""

    # A dict and no MappingProxyType, which neither json nor pickle takes.
    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __hash__(self) -> int:  # type: ignore[override]
        # Sorted: mappings are equal in any order, and then have to have one hash.
        return hash(json.dumps(self, sort_keys=True))

    def __reduce__(self) -> tuple[Any, ...]:
        # By default pickle fills in a subclass of dict item by item, through what refuses here.
        return FixedDict, (dict(self),)


class FixedList(list[Any]):
    """A list in it, which stays as it is, too."""

    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = clear = extend = insert = pop = remove = reverse = sort = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        return FixedList, (list(self),)


def _fixed(value: Any) -> Any:
    if isinstance(value, dict):
        return FixedDict({name: _fixed(each) for name, each in value.items()})
    return FixedList(_fixed(each) for each in value) if isinstance(value, list) else value


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageGenerateParams:
    """The parameters of one `POST /v1/images/generations`, checked when made.

    What is None is not given, and left out of the request. Raises InvalidRequestError before anything is sent.
    """

    # fmt: off
    prompt: Annotated[str, Parameter(often=True, multiline=True, min_length=1, max_length=32_000, help="Text description of the image.")]
    model: Annotated[str, Parameter(short="m", listed=True, min_length=1, help="Image model, by its id.")] = DEFAULT_MODEL
    n: Annotated[int, Parameter(label="Images", short="n", often=True, minimum=1, maximum=10, help="Number of images; each one is billed.")] = 1
    size: Annotated[Literal["auto", "1024x1024", "1536x1024", "1024x1536"] | None, Parameter(short="s", often=True, default="auto", help="Width x height in pixels; auto lets the service choose.")] = None
    quality: Annotated[Literal["auto", "high", "medium", "low"] | None, Parameter(short="q", often=True, default="auto", help="Higher quality takes more time and more tokens.")] = None
    background: Annotated[Literal["auto", "transparent", "opaque"] | None, Parameter(short="b", default="auto", help="Background of the image; transparent needs png or webp.")] = None
    moderation: Annotated[Literal["auto", "low"] | None, Parameter(default="auto", help="How strictly content is filtered.")] = None
    output_format: Annotated[Literal["png", "webp", "jpeg"] | None, Parameter(label="Format", short="f", often=True, default="png", help="File format of the image.")] = None
    output_compression: Annotated[int | None, Parameter(label="Compression", often=True, minimum=0, maximum=100, help="Compression quality in percent, for webp and jpeg only.")] = None
    stream: Annotated[bool | None, Parameter(default=False, help="Send partial images while the image is being generated.")] = None
    partial_images: Annotated[int | None, Parameter(short="p", often=True, only_with="stream", default=0, minimum=0, help="Number of partial images in a stream; about 100 tokens each.")] = None
    user: Annotated[str | None, Parameter(max_length=256, help="ID of your end user, for the service's abuse monitoring.")] = None
    extra: Annotated[dict[str, Any], Parameter(help="Additional fields that another server understands; sent as they are.")] = field(default_factory=FixedDict)
    # fmt: on

    def __post_init__(self) -> None:
        for name, parameter in PARAMETERS.items():
            value = getattr(self, name)
            if value is not None or name in ALWAYS_SENT:
                object.__setattr__(self, name, parameter.check(value))
        values = self.given()
        if rule := broken_rule(values):
            raise rule.error(values)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> ImageGenerateParams:
        """Return the parameters that `values` names; an unknown name raises InvalidRequestError with the nearest one."""
        for name, value in values.items():
            if name not in PARAMETERS:
                hint = nearest(name, PARAMETERS) or f"Known parameters: {', '.join(PARAMETERS)}."
                advice = f"{hint} A field for another server goes into extra={{{name!r}: {_shown(value)}}}."
                raise InvalidRequestError(f"{name}={_shown(value)}: no such parameter", advice, param=name)
        # A prompt that is missing is refused in our words, not by a TypeError of Python's.
        return cls(**{"prompt": "", **{name: value for name, value in values.items() if value is not None}})

    def replace(self, **changes: Any) -> ImageGenerateParams:
        """Return a copy with `changes`, checked again."""
        return ImageGenerateParams.of({**self.given(), **changes})

    def given(self) -> dict[str, Any]:
        """Return what was given, by name, as plain values."""
        every = {name: getattr(self, name) for name in PARAMETERS}
        return {name: value for name, value in every.items() if value is not None and (value or name != "extra")}

    def effective(self, name: str) -> Any:
        """Return the value of `name`, or the service's default where it was not given."""
        value = getattr(self, name)
        return PARAMETERS[name].default if value is None else value

    def body(self) -> dict[str, Any]:
        """Return the JSON body of the request: what was given, and `extra` beside it."""
        given = self.given()
        extra = given.pop("extra", {})
        return {**given, **extra}


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

    timeout: float | None
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
    function.__signature__ = own.replace(parameters=[*kept, *options])  # type: ignore[attr-defined]
    return function


def _annotation(name: str) -> Any:
    parameter = PARAMETERS[name]
    kind = Mapping[str, Any] if parameter.kind is dict else parameter.kind
    return kind if name == "prompt" else kind | None


def _declared() -> dict[str, Parameter]:
    hints = typing.get_type_hints(ImageGenerateParams, include_extras=True)
    return {f.name: _complete(f, hints[f.name]) for f in dataclasses.fields(ImageGenerateParams)}


def _complete(declared: dataclasses.Field[Any], hint: Any) -> Parameter:
    """Fill in what the annotation and the field already say of the parameter."""
    annotation, parameter = typing.get_args(hint)
    optional = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    members = typing.get_args(annotation) if optional else (annotation,)
    kind = next(member for member in members if member is not type(None))
    choices = typing.get_args(kind) if typing.get_origin(kind) is Literal else ()
    learned: dict[str, Any] = {
        "name": declared.name,
        "kind": str if choices else typing.get_origin(kind) or kind,
        "choices": choices,
        "label": parameter.label or declared.name.replace("_", " ").capitalize(),
    }
    if declared.default not in (None, dataclasses.MISSING):
        learned["default"] = declared.default
    return dataclasses.replace(typing.cast("Parameter", parameter), **learned)


PARAMETERS: Mapping[str, Parameter] = types.MappingProxyType(_declared())

# Required on the wire, though two of them have a default.
ALWAYS_SENT = frozenset({"prompt", "model", "n"})


@dataclass(frozen=True)
class Rule:
    """A rule between parameters, on the given values by name: what `parameter` needs, when it is broken, what to do."""

    parameter: str
    broken: Callable[[Mapping[str, Any]], bool]
    needs: str
    advice: str

    def error(self, values: Mapping[str, Any]) -> InvalidRequestError:
        """Return what to raise where `values` break the rule."""
        what = f"{self.parameter}={values[self.parameter]!r}: {self.needs}"
        return InvalidRequestError(what, self.advice, param=self.parameter, reason=self.needs)


RULES = (
    Rule(
        "stream",
        lambda given: bool(given.get("stream")) and not given.get("partial_images"),
        "needs partial_images of 1 or more",
        "Add partial_images=2, or leave stream out.",
    ),
    Rule(
        "background",
        lambda given: given.get("background") == "transparent" and given.get("output_format") == "jpeg",
        "needs output_format png or webp (jpeg has no transparency)",
        "Use output_format='png' or 'webp', or background='opaque'.",
    ),
    Rule(
        "output_compression",
        lambda given: (
            given.get("output_compression") is not None
            and (given.get("output_format") or PARAMETERS["output_format"].default) == "png"
        ),
        "needs output_format webp or jpeg (png is always lossless)",
        "Use output_format='webp' or 'jpeg', or leave output_compression out.",
    ),
)


def broken_rule(values: Mapping[str, Any]) -> Rule | None:
    """Return the first rule that the given values break, or None."""
    return next((rule for rule in RULES if rule.broken(values)), None)


PARTIAL_IMAGE_TOKENS = 100
OUTPUT_TOKENS: Mapping[str, Mapping[str, int]] = {
    "low": {"1024x1024": 272, "1024x1536": 408, "1536x1024": 400},
    "medium": {"1024x1024": 1056, "1024x1536": 1584, "1536x1024": 1568},
    "high": {"1024x1024": 4160, "1024x1536": 6240, "1536x1024": 6208},
}
"""Output tokens of one image by quality and size: the upstream provider's figures, for estimates only."""


def estimated_output_tokens(params: ImageGenerateParams) -> tuple[int, int]:
    """Return the least and the most output tokens that the request may cost; they are equal unless it says auto."""
    quality, size = params.effective("quality"), params.effective("size")
    rows = OUTPUT_TOKENS.values() if quality == "auto" else [OUTPUT_TOKENS[quality]]
    tokens = [count for row in rows for name, count in row.items() if size in ("auto", name)]
    partials = PARTIAL_IMAGE_TOKENS * (params.partial_images or 0) if params.stream else 0
    return params.n * (min(tokens) + partials), params.n * (max(tokens) + partials)
