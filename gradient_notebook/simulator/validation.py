"""From the bytes of a request to an order with every `auto` resolved, or to the documented refusal.

The checks are made from `api.params`, the declaration; what stands here is how the service words them.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from ..api.params import (
    ALWAYS_SENT,
    DEFAULT_MODEL,
    OUTPUT_TOKENS,
    PARAMETERS,
    PARTIAL_IMAGE_TOKENS,
    ImageGenerateParams,
)

IMAGE_MODELS = tuple(dict.fromkeys((DEFAULT_MODEL, "openai-gpt-image-1.5", "openai-gpt-image-2")))
MOST_PARTIAL_IMAGES = 3
"""The upstream provider sends no more, however many are asked for."""

_NULLABLE = PARAMETERS.keys() - ALWAYS_SENT - {"size"}  # as in the provider's OpenAPI description
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


def invalid(message: str, parameter: str | None, code: str | None, status: int = 400) -> RequestRefusedError:
    """Return the error of a wrong request in the upstream provider's form."""
    error = {"message": message, "type": "invalid_request_error", "code": code, "param": parameter}
    return RequestRefusedError(status, {"error": error})


@dataclass(frozen=True, kw_only=True)
class ResolvedRequest:
    """What a request asks for, with every `auto` resolved."""

    params: ImageGenerateParams
    size: str
    quality: str
    background: str
    output_format: str

    @property
    def pixels(self) -> tuple[int, int]:
        """Width and height in pixels."""
        width, height = self.size.split("x")
        return int(width), int(height)

    @property
    def partial_images(self) -> int:
        """How many partial images are sent: upstream sends three at most."""
        return min(self.params.partial_images or 0, MOST_PARTIAL_IMAGES) if self.params.stream else 0

    @property
    def look(self) -> dict[str, str]:
        """The fields that every answer and event reports."""
        names = ("size", "quality", "background", "output_format")
        return {name: getattr(self, name) for name in names}

    def usage(self) -> dict[str, Any]:
        """Return the token counts: documented figures for output, about four characters a token for input."""
        text = -(-len(self.params.prompt) // 4)
        output = self.params.n * (OUTPUT_TOKENS[self.quality][self.size] + PARTIAL_IMAGE_TOKENS * self.partial_images)
        return {
            "input_tokens": text,
            "output_tokens": output,
            "total_tokens": text + output,
            "input_tokens_details": {"text_tokens": text, "image_tokens": 0},
        }


def resolve_request(body: bytes) -> ResolvedRequest:
    """Return what `body` orders, or raise RequestRefusedError."""
    params = _params(_object(body))
    if params.model not in IMAGE_MODELS:
        message = f"The model {params.model[:80]!r} does not exist, or it makes no images."
        raise invalid(message, "model", "model_not_found", 404)
    if params.stream and params.n > 1:
        raise invalid("Streaming is only supported with n=1", "n", "invalid_value")
    if refuses(params, "input"):
        raise moderation_blocked("input")
    return _resolved(params)


def refuses(params: ImageGenerateParams, stage: str) -> bool:
    """Return whether the prompt is refused at the `stage`, `input` or `output`: by a mark, or by a word."""
    mark = "[refuse]" if stage == "input" else "[refuse-output]"
    by_word = stage == "input" and params.moderation != "low" and _REFUSED_WORDS.search(params.prompt)
    return mark in params.prompt.lower() or bool(by_word)


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


def _params(values: dict[str, Any]) -> ImageGenerateParams:
    """Check `values` in the order of the declaration; fields that nobody declared are ignored, as servers do."""
    known = [name for name in PARAMETERS if name != "extra"]
    for name in known:
        if name in ALWAYS_SENT and name not in values:
            raise invalid(f"Missing required parameter: '{name}'.", name, "missing_required_parameter")
        if name in values and values[name] is None and name not in _NULLABLE:
            raise invalid(f"Invalid type for '{name}': null. {_expected(name)}", name, "invalid_type")
    given = {name: _checked(name, values[name]) for name in known if values.get(name) is not None}
    try:
        return ImageGenerateParams.of(given)
    except ValueError as error:  # a rule between parameters; the error names the culprit
        raise invalid(str(error.args[0]), getattr(error, "param", None), "invalid_value") from None


def _checked(name: str, value: Any) -> Any:
    try:
        return PARAMETERS[name].check(value)
    except ValueError:
        shown = json.dumps(value)
        shown = shown if len(shown) <= 60 else f"{shown[:60]}…"
        raise invalid(f"Invalid value for '{name}': {shown}. {_expected(name)}", name, "invalid_value") from None


def _expected(name: str) -> str:
    return f"Expected {PARAMETERS[name].expected}."


def _resolved(params: ImageGenerateParams) -> ResolvedRequest:
    def chosen(name: str, automatic: str) -> str:
        value = str(params.effective(name))
        return automatic if value == "auto" else value

    fitting = (size for size, words in _SHAPES.items() if words.search(params.prompt))
    return ResolvedRequest(
        params=params,
        size=chosen("size", next(fitting, "1024x1024")),
        quality=chosen("quality", "medium"),
        background=chosen("background", "opaque"),
        output_format=chosen("output_format", "png"),
    )
