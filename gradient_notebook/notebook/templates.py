"""`{{expression}}` in a prompt: the value of a Python expression, inserted once. Nothing else is special."""

from __future__ import annotations

import builtins
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..api.errors import InvalidRequestError
from ..api.text import clean, nearest

_RAW = "To send the braces as they are, add --raw."


def interpolate(text: str, namespace: Mapping[str, Any], *, advice: str = _RAW) -> str:
    """Return `text` with each `{{expression}}` replaced by its value.

    What a value contains is data: it is not looked at again. Raises InvalidRequestError for a name that does not exist,
    with the nearest one, and for what is no expression or fails; `advice` is how to send the braces instead.
    """
    pieces, position = [], 0
    for begin, end, source in expressions(text):
        pieces += [text[position:begin], _value(source, namespace, advice)]
        position = end
    return "".join([*pieces, text[position:]])


def expressions(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield where each `{{expression}}` begins and ends, and its source."""
    end = 0
    while (begin := text.find("{{", end)) >= 0:
        source, end = _expression(text, begin)
        if end < 0:
            return
        yield begin, end, source


def _expression(text: str, begin: int) -> tuple[str, int]:
    """Return the expression that opens at `begin` and where it ends, or -1 where it never closes.

    The first `}}` that leaves a whole expression closes it, so that `{{ {"a": {"b": 1}}["a"] }}` works.
    """
    ends = [match.start() for match in re.finditer(r"(?=\}\})", text[begin + 2 :])]
    sources = [text[begin + 2 : begin + 2 + end].strip() for end in ends]
    for source, end in zip(sources, ends, strict=True):
        if _is_expression(source):
            return source, begin + 2 + end + 2
    return (sources[0], begin + 2 + ends[0] + 2) if ends else ("", -1)


def _is_expression(source: str) -> bool:
    try:
        compile(source, "<prompt>", "eval")
    except (SyntaxError, ValueError):
        # ValueError: a lone surrogate, which cannot be encoded as source.
        return False
    return True


def _value(source: str, namespace: Mapping[str, Any], advice: str) -> str:
    return str(value_of(source, namespace, f"{{{{{clean(source)}}}}}", advice, to=str))


def value_of(
    source: str,
    namespace: Mapping[str, Any],
    shown: str,
    advice: str,
    *,
    to: Callable[[Any], Any] = lambda value: value,
) -> Any:
    """Return the value of an expression, as `to` makes it; `shown` is how an error calls it, and `advice` what else to do."""
    if not _is_expression(source):
        raise InvalidRequestError(f"{shown}: not a Python expression", advice, param="prompt")
    try:
        # In a copy: `eval` adds __builtins__, and a := in an expression would assign.
        return to(eval(source, dict(namespace)))  # noqa: S307 - the author's own cell, as any other line of it
    except NameError as error:
        name = error.name or source
        hint = nearest(name, [*namespace, *dir(builtins)])
        raise InvalidRequestError(
            f"{shown}: {name!r} is not defined", f"{hint} {advice}".strip(), param="prompt"
        ) from error
    except Exception as error:
        what = f"{shown}: {type(error).__name__}: {error}"
        raise InvalidRequestError(what, advice, param="prompt") from error
