"""Parameters as code: the cell, and the line of Python, that ask for the same again."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..api.params import ALWAYS_SENT, PARAMETERS, ImageGenerateParams
from ..api.text import HIDDEN
from ..session import SHOWN_DEFAULTS
from .magic_args import complete_given
from .templates import expressions

_WIDTH = 88

_UNASKED = {name: PARAMETERS[name].default for name in ALWAYS_SENT if PARAMETERS[name].default is not None}
"""What is sent where nothing is said."""

# Controls and what else ends a line; lines of spaces, which IPython dedents; and prompts, which it strips.
_CHANGED_IN_A_BODY = re.compile(
    rf"[\0-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029{HIDDEN}]|^[^\S\n]+$|^[^\S\n]*>>>|\A(?:\.\.\.|(?:\[\w+\] )?In \[)",
    re.MULTILINE,
)
_PLAIN_KEY = re.compile(r"[A-Za-z_][\w.-]*", re.ASCII)
# An indent of 4, two quotes and a comma take 7 columns; a space at the end takes one more, and \n two.
_PIECE = re.compile(rf"[^\n]{{0,{_WIDTH - 9}}}\n|[^\n]{{1,{_WIDTH - 8}}}(?: |\Z)|[^\n]{{1,{_WIDTH - 7}}}")


def as_cell(
    params: ImageGenerateParams,
    name: str = "image",
    *,
    session: Mapping[str, Any] = SHOWN_DEFAULTS,
    raw: bool = True,
) -> str:
    """Return the `%%imagegen` cell that sends what `params` sends, in this session and in a new notebook.

    With `raw` the prompt arrives as it is; without, it is a template as its author typed it into a body. What
    `params` leaves open and a session would fill in is said to be the service's default, the nearest to silence;
    where the service has none (`user`), the session's value remains.
    """
    options = [option for item in _needed(params, session).items() for option in _options(*item)]
    flags, body = _body(params.prompt) if raw else ([], _template(params.prompt.strip()))
    return " ".join(["%%imagegen", name, *options, *flags]) + "\n" + body


def as_python(params: ImageGenerateParams, name: str = "image") -> str:
    """Return the Python that asks for what `params` asks for; the session's defaults are the magics' alone."""
    given = {key: value for key, value in params.given().items() if (key, value) not in _UNASKED.items()}
    prompt = given.pop("prompt")
    named = [f"{key}={_literal(value)}" for key, value in given.items()]
    line = f"{name} = generate({', '.join([_literal(prompt), *named])})"
    if len(line) > _WIDTH or "\n" in prompt:
        pieces = "\n    ".join(map(_literal, _PIECE.findall(prompt)))
        line = "\n    ".join([f"{name} = generate(", *(f"{argument}," for argument in [pieces, *named])]) + "\n)"
    return f"from gradient_notebook import generate\n\n{line}"


def _needed(params: ImageGenerateParams, session: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the options have to say; what follows without them from both sessions is left out."""
    sessions = (SHOWN_DEFAULTS, session)
    told = {name: value for name, value in params.given().items() if name != "prompt"}
    # One at a time: what is said of one may keep a session from filling in another (a rule, or `only_with`).
    while name := _filled_in(told, sessions):
        told[name] = PARAMETERS[name].default
    for name in list(told):
        rest = {other: value for other, value in told.items() if other != name}
        if all(_sent(rest, defaults) == _sent(told, defaults) for defaults in sessions):
            told = rest
    return told


def _filled_in(told: Mapping[str, Any], sessions: Iterable[Mapping[str, Any]]) -> str:
    """Return a parameter that a session would fill in, and that has a default of the service's to say instead."""
    found = {name for defaults in sessions for name in complete_given(told, defaults).keys() - told.keys()}
    return next((name for name, parameter in PARAMETERS.items() if name in found and parameter.default is not None), "")


def _sent(told: Mapping[str, Any], session: Mapping[str, Any]) -> dict[str, Any]:
    return _UNASKED | complete_given(told, session)


def _options(name: str, value: Any) -> Iterator[str]:
    parameter = PARAMETERS[name]
    if parameter.kind is bool:
        yield parameter.option if value else f"--no-{parameter.option[2:]}"
        return
    for text in map(_pair, value, value.values()) if parameter.kind is dict else [str(value)]:
        between = "=" if text.startswith("-") else " "  # a word of its own would be an option
        quoted = re.sub(r"\{(?=\{)", "{''", shlex.quote(text))  # two braces would begin an expression
        yield f"{parameter.option}{between}{quoted}"


def _pair(key: str, value: Any) -> str:
    return f"{key}={json.dumps(value)}" if _PLAIN_KEY.fullmatch(key) else json.dumps({key: value})


def _body(prompt: str) -> tuple[list[str], str]:
    """Return the flags and the body that carry a prompt as it is; what a body cannot hold is an expression."""
    # The magic strips its body: spaces and line ends around a prompt survive in an expression only.
    if prompt == prompt.strip() and not _CHANGED_IN_A_BODY.search(prompt):
        return (["--raw"] if "{{" in prompt else []), prompt
    text = re.sub(r"\}(?=\})", r"\\x7d", repr(prompt))  # each }} would be tried as the expression's end
    return [], f"{{{{{text}}}}}"


def _template(text: str) -> str:
    """Return the body that carries a template: outside of its expressions, what a body cannot hold becomes one."""
    inside = [range(begin, end) for begin, end, _ in expressions(text)]

    def carried(found: re.Match[str]) -> str:
        return found[0] if any(found.start() in span for span in inside) else f"{{{{{found[0]!r}}}}}"

    return _CHANGED_IN_A_BODY.sub(carried, text)


def _literal(value: Any) -> str:
    """Return the `repr`, in double quotes wherever that takes no backslash more."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_literal(key)}: {_literal(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_literal, value)) + "]"
    text = repr(value)
    return f'"{text[1:-1]}"' if isinstance(value, str) and '"' not in text else text
