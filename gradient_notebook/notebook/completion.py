"""Tab completion of the magics' options, their values, and the variables in `{{ }}`."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import Any

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher
from IPython.core.interactiveshell import InteractiveShell

from ..api.models import DEFAULT_MODEL
from ..api.params import PARAMETERS, choices_of
from ..session import session
from .magic_args import PARSER

_MAGIC_LINE = re.compile(r"^(?:.*[\s=])?%{1,2}imagegen(?:_panel)?\s+(?P<options>.*)$")
_OPEN_BRACES = re.compile(r"\{\{\s*(?P<word>[\w.]*)$")

_ACTIONS = {option: action for action in PARSER._actions for option in action.option_strings}
_MODEL_OPTIONS = {option for option, action in _ACTIONS.items() if action.dest == "model"}


def make_matcher(shell: InteractiveShell) -> Any:
    """Return a matcher for `Completer.custom_matchers` that answers in our cells only."""

    @context_matcher()  # type: ignore[untyped-decorator] # as IPython has it
    def imagegen_matcher(context: CompletionContext) -> SimpleMatcherResult:
        found = _matches(shell, context)
        if found is None:
            return {"completions": []}
        kind, fragment, words = found
        completions = [SimpleCompletion(text=word, type=kind) for word in words]
        # Without `suppress` Jedi's keywords are mixed in; with no completions IPython ignores it.
        # `ordered` keeps the order of the declaration, where IPython would sort.
        return {"completions": completions, "matched_fragment": fragment, "suppress": True, "ordered": True}

    return imagegen_matcher


def _matches(shell: InteractiveShell, context: CompletionContext) -> tuple[str, str, list[str]] | None:
    """Return the kind, the word that is being written, and what it may become; None outside of our cells."""
    lines = context.full_text.splitlines() or [""]
    before = lines[context.cursor_line][: context.cursor_position] if context.cursor_line < len(lines) else ""
    in_body = any(one.lstrip().startswith("%%imagegen") for one in lines[: context.cursor_line])
    line = _MAGIC_LINE.match(before)
    if not (line or in_body):
        return None
    if braces := _OPEN_BRACES.search(before):
        return "variable", braces["word"], _names(shell, braces["word"])
    if not line or " -- " in before:
        return None
    return _option_matches(line["options"])


def _option_matches(options: str) -> tuple[str, str, list[str]] | None:
    *earlier, word = re.split(r"\s+", options) if options else [""]
    option, equals, begun = word.partition("=")
    if earlier and earlier[-1] == "--vary":
        return _axis_matches(option, begun, earlier) if equals else ("axis", word, _axes(word))
    if equals:
        return "value", begun, _values(option, begun, earlier)
    if earlier and _takes_value(earlier[-1]):
        values = _values(earlier[-1], word, earlier)
        # No known values, as after --save: IPython's own matchers may answer, with names of files.
        return ("value", word, values) if values else None
    if word.startswith("-") or not word:
        return "option", word, [name for name in _ACTIONS if name.startswith(word) and name.startswith("--")]
    return None


def _axes(begun: str) -> list[str]:
    """Return the parameters that can be varied: names in the prompt are not known before it is written."""
    return [f"{name}=" for name in PARAMETERS if name.startswith(begun) and name not in ("prompt", "n")]


def _axis_matches(name: str, written: str, earlier: Sequence[str]) -> tuple[str, str, list[str]]:
    *_, begun = written.split(",")
    return "value", begun, _values(f"--{name.replace('_', '-')}", begun, earlier)


def _takes_value(option: str) -> bool:
    action = _ACTIONS.get(option.replace("_", "-"))
    return action is not None and action.nargs != 0


def _values(option: str, begun: str, earlier: Sequence[str]) -> list[str]:
    parameter = PARAMETERS.get(getattr(_ACTIONS.get(option.replace("_", "-")), "dest", ""))
    offered = choices_of(parameter, _model(earlier)) if parameter else ()
    return [choice for choice in offered if choice.startswith(begun)]


def _model(earlier: Sequence[str]) -> str:
    """Return the model that the options so far ask for."""
    words = [word for option in earlier for word in option.split("=", 1)]
    asked = [value for name, value in itertools.pairwise(words) if name in _MODEL_OPTIONS]
    return asked[-1] if asked else session.defaults().get("model", DEFAULT_MODEL)


def _names(shell: InteractiveShell, word: str) -> list[str]:
    if "." in word:
        return [match for match in shell.Completer.attr_matches(word) if "._" not in match]
    names = set(shell.user_ns) - set(shell.user_ns_hidden)
    return sorted(name for name in names if name.startswith(word) and not name.startswith("_"))
