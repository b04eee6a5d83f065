"""From the bytes of a request to an order with every `auto` resolved, or to the documented refusal.

The checks are made from `api.params`, the declaration; what stands here is how the service words them.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from ..api.models import AUTO, DEFAULT_MODEL, FAMILIES, PARTIAL_IMAGE_TOKENS, Family, family_of, pixels
from ..api.parameter import Parameter
from ..api.params import ALWAYS_SENT, LOSSLESS, PARAMETERS

PROVIDER = DEFAULT_MODEL.partition("gpt")[0]
"""What the provider puts before the ids of the models' maker."""
IMAGE_MODELS = tuple(f"{PROVIDER}{family.name}" for family in FAMILIES)
MOST_PARTIAL_IMAGES = 3
"""The upstream provider sends no more, however many are asked for."""

_NULLABLE = PARAMETERS.keys() - ALWAYS_SENT - {"size"}  # as in the provider's OpenAPI description
_TOKENS_PER_MEGAPIXEL = {"low": 260, "medium": 1_010, "high": 3_970, "xhigh": 8_000, "max": 16_000}
"""Made up in the proportion of gpt-image-1's, where nothing is known of a model."""
_REFUSED_WORDS = re.compile(r"\b(gore|gory|violence|violent)\b", re.IGNORECASE)
_SHAPES = {
    "1536x1024": re.compile(r"\b(wide|wide-angle|landscape|panorama|panoramic|horizontal|banner)\b", re.IGNORECASE),
    "1024x1536": re.compile(r"\b(portrait|tall|vertical|poster|upright)\b", re.IGNORECASE),
}


class RequestRefusedError(Exception):
    """The answer is an error: its HTTP `status` and JSON `body`."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body


def error_body(name: str, message: str, error: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return an error in both documented forms at once: the provider's at the top, the upstream one inside."""
    upstream = {"message": message, "type": name, "code": None, "param": None}
    return {"id": name, "message": message, "error": upstream | (error or {})}


def invalid(message: str, parameter: str | None, code: str | None, status: int = 400) -> RequestRefusedError:
    """Return the error of a wrong request."""
    error = {"type": "invalid_request_error", "code": code, "param": parameter}
    name = "not_found" if status == 404 else "bad_request"
    return RequestRefusedError(status, error_body(name, message, error))


@dataclass(frozen=True, kw_only=True)
class ResolvedRequest:
    """What a request asks for, with every default filled in and every `auto` resolved."""

    prompt: str
    model: str
    n: int
    size: str
    quality: str
    background: str
    moderation: str
    output_format: str
    output_compression: int | None
    stream: bool
    partial_images: int

    @property
    def pixels(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return pixels(self.size)

    @property
    def look(self) -> dict[str, str]:
        """The fields that every answer and event reports."""
        names = ("size", "quality", "background", "output_format")
        return {name: getattr(self, name) for name in names}

    def usage(self) -> dict[str, Any]:
        """Return the token counts: known figures for output where there are any, about four characters a token for input."""
        family = family_of(self.model)
        known = family.tokens_of_one(self.quality, self.size) if family else None
        width, height = self.pixels
        of_one = known[0] if known else round(width * height / 1e6 * _TOKENS_PER_MEGAPIXEL[self.quality])
        text = -(-len(self.prompt) // 4)
        output = self.n * (of_one + PARTIAL_IMAGE_TOKENS * self.partial_images)
        return {
            "input_tokens": text,
            "output_tokens": output,
            "total_tokens": text + output,
            "input_tokens_details": {"text_tokens": text, "image_tokens": 0},
        }


def resolve_request(body: bytes, *, strict: bool = False) -> ResolvedRequest:
    """Return what `body` orders, or raise RequestRefusedError.

    What is left out gets its documented default; where `strict`, what the description requires has to be there.
    """
    given = _given(_object(body), strict=strict)
    model = given.setdefault("model", DEFAULT_MODEL)
    family = family_of(model) if model in IMAGE_MODELS else None
    if family is None:
        message = f"The model {model[:80]!r} does not exist, or it makes no images."
        raise invalid(message, "model", "model_not_found", 404)
    for name in family.known.keys() & given.keys():
        if not family.takes(name, given[name]):
            raise _unsupported(name, given[name], family)
    _check_combinations(given, family, strict=strict)
    asked = _resolved(given)
    if refuses(asked, "input"):
        raise moderation_blocked("input")
    return asked


def refuses(asked: ResolvedRequest, stage: str) -> bool:
    """Return whether the prompt is refused at the `stage`, `input` or `output`: by a mark, or by a word."""
    mark = "[refuse]" if stage == "input" else "[refuse-output]"
    by_word = stage == "input" and asked.moderation != "low" and _REFUSED_WORDS.search(asked.prompt)
    return mark in asked.prompt.lower() or bool(by_word)


def moderation_blocked(stage: str) -> RequestRefusedError:
    """Return the refusal of the safety system at the `stage`, `input` or `output`."""
    categories = ["violence"]
    message = f"Your request was rejected by the safety system. safety_violations=[{', '.join(categories)}]."
    refused = invalid(message, None, "moderation_blocked")
    refused.body["error"] |= {
        "type": "image_generation_user_error",
        "moderation_details": {"moderation_stage": stage, "categories": categories},
        "safety_violations": categories,
    }
    return refused


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise invalid("We could not parse the JSON body of your request.", None, None) from None
    if not isinstance(value, dict):
        raise invalid(f"The body must be a JSON object, not {type(value).__name__}.", None, None)
    return value


def _given(values: dict[str, Any], *, strict: bool) -> dict[str, Any]:
    """Check `values` in the order of the declaration; fields that nobody declared are ignored, as servers do."""
    known = [parameter for parameter in PARAMETERS.values() if parameter.name != "extra"]
    for parameter in known:
        name = parameter.name
        if name in ALWAYS_SENT and name not in values and (strict or parameter.default is None):
            raise invalid(f"Missing required parameter: '{name}'.", name, "missing_required_parameter")
        if name in values and values[name] is None and name not in _NULLABLE:
            raise invalid(f"Invalid type for '{name}': null. Expected {parameter.expected}.", name, "invalid_type")
    return {one.name: _checked(one, values[one.name]) for one in known if values.get(one.name) is not None}


def _checked(parameter: Parameter, value: Any) -> Any:
    try:
        return parameter.check(value)
    except ValueError:
        raise _wrong_value(parameter.name, value, parameter.expected) from None


def _wrong_value(name: str, value: Any, expected: str) -> RequestRefusedError:
    shown = json.dumps(value)
    shown = shown if len(shown) <= 60 else f"{shown[:60]}…"
    return invalid(f"Invalid value for '{name}': {shown}. Expected {expected}.", name, "invalid_value")


def _unsupported(name: str, value: str, family: Family) -> RequestRefusedError:
    taken = f"{AUTO}, or {family.grid.value}" if name == "size" and family.grid else ", ".join(family.known[name])
    return _wrong_value(name, value, f"{taken} for {family.name}")


def _check_combinations(given: dict[str, Any], family: Family, *, strict: bool) -> None:
    for name in ("background", "moderation"):
        if given.get(name, AUTO) not in (choices := PARAMETERS[name].choices):
            raise _wrong_value(name, given[name], f"one of {', '.join(choices)}")
    file_format = given.get("output_format", PARAMETERS["output_format"].default)
    if given.get("background") == "transparent" and file_format == "jpeg":
        raise invalid("A transparent background needs output_format png or webp.", "background", "invalid_value")
    if given.get("output_compression", LOSSLESS) < LOSSLESS and file_format == "png":
        raise invalid("Compression less than 100 is not supported for png.", "output_compression", "invalid_value")
    if not given.get("stream"):
        return
    if given.get("n", 1) > 1:
        raise invalid("Streaming is only supported with n=1", "n", "invalid_value")
    if file_format in family.whole_only.value:
        raise invalid(f"Streaming is not supported for {file_format}.", "stream", "invalid_value")
    if strict and not given.get("partial_images"):
        raise invalid("partial_images has to be more than 0 where stream is true.", "stream", "invalid_value")


def _resolved(given: dict[str, Any]) -> ResolvedRequest:
    fitting = (size for size, words in _SHAPES.items() if words.search(given["prompt"]))
    automatic = {"size": next(fitting, "1024x1024"), "quality": "medium", "background": "opaque"}
    values = {name: given.get(name, PARAMETERS[name].default) for name in ResolvedRequest.__dataclass_fields__}
    resolved = {name: automatic.get(name, value) if value == AUTO else value for name, value in values.items()}
    partials = min(resolved["partial_images"], MOST_PARTIAL_IMAGES) if resolved["stream"] else 0
    return ResolvedRequest(**resolved | {"partial_images": partials})
