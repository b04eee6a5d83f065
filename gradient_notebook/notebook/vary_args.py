"""`--vary` and what goes with it: the axes of a sweep from a line of options, and the prompt that they are for."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..api.errors import InvalidRequestError
from ..api.params import PARAMETERS
from ..api.text import SHORT, clean, nearest
from ..sweeps.axes import MAX_IMAGES, RESERVED, names_in
from .templates import expressions, interpolate, value_of

_FLAGS: Mapping[str, str] = {
    "pair": "With --vary: take the first values of all axes together, then the second, instead of all combinations.",
    "yes": f"With --vary: agree to more than {MAX_IMAGES} images.",
    "fresh": "With --vary: make all images again, whatever the archive has.",
}
_NUMBERS: Mapping[str, str] = {
    "repeat": "With --vary: how many images of each combination.",
    "max-images": f"With --vary: how many images may be made without --yes ({MAX_IMAGES} by default).",
}
_VARY = (
    "Make an image for each of several values, and for each combination with those of other --vary: quality=low,high for "
    "a parameter, style=ink,oil for {{style}} in the prompt, style=@styles for a Python list or dict. NAME holds the sweep."
)
OPTIONS = ("vary", "repeat", "pair", "yes", "fresh", "max_images")
_EXPECTED = "Write --vary quality=low,high, or --vary style=@styles for a Python list."


@dataclass(frozen=True, kw_only=True)
class Vary:
    """What a line says of a sweep. `axes` has the values as they are written: texts, or one that begins with `@`."""

    axes: tuple[tuple[str, tuple[str, ...]], ...]
    repeat: int = 1
    pair: bool = False
    yes: bool = False
    fresh: bool = False
    max_images: int = MAX_IMAGES


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a sweep to those of a magic."""
    parser.add_argument("--vary", action="append", metavar="NAME=VALUES", help=_VARY)
    for name, text in _NUMBERS.items():
        parser.add_argument(f"--{name}", type=int, metavar="N", help=text)
    for name, text in _FLAGS.items():
        parser.add_argument(f"--{name}", action="store_true", help=text)


def vary_of(found: Mapping[str, Any], restored: Callable[[str], str]) -> Vary | None:
    """Return what a line says of a sweep, None where it makes none; `restored` gives each value its `{{ }}` back."""
    given = {name: found[name] for name in OPTIONS if found.get(name) is not None and found[name] is not False}
    if given and "vary" not in given:
        option = f"--{min(given).replace('_', '-')}"
        advice = "-n 3 makes three of one prompt." if option == "--repeat" else "Add --vary quality=low,high."
        raise InvalidRequestError(f"{option} works with --vary only", advice, param=min(given), sent=False)
    if not given:
        return None
    axes = [_written(text, restored) for text in given.pop("vary")]
    for at, (name, _) in enumerate(axes):
        if name in dict(axes[:at]):
            what = f"{clean(name, SHORT)} is varied twice"
            raise InvalidRequestError(what, "Give all its values in one --vary.", param=name, sent=False)
    return Vary(axes=tuple(axes), **given)


def _written(text: str, restored: Callable[[str], str]) -> tuple[str, tuple[str, ...]]:
    name, equals, values = text.partition("=")
    name = name.strip().replace("-", "_")
    if not equals or not name.isidentifier():
        raise InvalidRequestError(
            f"--vary {clean(restored(text), SHORT)!r}: no axis", _EXPECTED, param="vary", sent=False
        )
    if values.startswith("@"):
        return name, (restored(values),)
    # Split first: a comma in an inserted value is a part of it.
    pieces = tuple(restored(piece.strip()) for piece in values.split(","))
    if pieces == ("",):
        raise InvalidRequestError(f"{name} has no values", _EXPECTED, param=name, sent=False)
    if "" in pieces:
        what = f"{name}: value {pieces.index('') + 1} is empty"
        raise InvalidRequestError(what, f"{name}=@values takes a list that has one.", param=name, sent=False)
    return name, pieces


def axes_of(vary: Vary, text: str, given: Collection[str], names: Mapping[str, Any], *, raw: bool) -> dict[str, Any]:
    """Return the values of each axis; raise InvalidRequestError for an axis that makes no sense.

    `given` are the parameters that the line has as options; `names` is where `@` looks.
    """
    words = [] if raw else names_in(text)
    axes = {}
    for name, written in vary.axes:
        _check(name, words, given)
        axes[name] = _object(name, written[0][1:], names) if written[0].startswith("@") else _parsed(name, written)
    return axes


def _check(name: str, words: Sequence[str], given: Collection[str]) -> None:
    shown = clean(name, SHORT)
    if name in given:
        what = f"{shown} is given twice: as --{shown.replace('_', '-')} and in --vary"
        raise InvalidRequestError(what, "Leave one of them out.", param=name, sent=False)
    if name == "n":
        raise InvalidRequestError("n can't be varied", "--repeat 3 makes three of each.", param=name, sent=False)
    if name == "prompt":
        advice = "Write {{wording}} below %%imagegen, and --vary wording=@wordings."
        raise InvalidRequestError("prompt can't be varied as a whole", advice, param=name, sent=False)
    if name in PARAMETERS:
        return
    if name in RESERVED:
        what = f"{shown} can't be varied: it is the name of an argument of sweep()"
        raise InvalidRequestError(
            what, f"Rename it: {{{{my_{shown}}}}} and --vary my_{shown}=…", param=name, sent=False
        )
    if name not in words:
        listed = ", ".join(clean(word, SHORT) for word in words) or "none"
        hint = nearest(name, [*words, *PARAMETERS]) or f"The prompt has {listed}."
        what = f"--vary {shown}: no parameter, and no {{{{{shown}}}}} in the prompt"
        raise InvalidRequestError(what, hint, param=name, sent=False)


def _object(name: str, source: str, names: Mapping[str, Any]) -> Any:
    shown = f"--vary {name}=@{clean(source, SHORT)}"
    value = value_of(source, names, shown, "Define it in a cell above.")
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        what = f"{shown} is {clean(type(value).__name__, SHORT)}, no list of values"
        raise InvalidRequestError(what, "Give a list, or a dict whose keys are labels.", param=name, sent=False)
    return value


def _parsed(name: str, values: Iterable[str]) -> list[Any]:
    return [PARAMETERS[name].parse(value) for value in values] if name in PARAMETERS else list(values)


def filled(text: str, axes: Collection[str], names: Mapping[str, Any], *, raw: bool) -> tuple[str, dict[str, str]]:
    """Return the prompt of a sweep, in which `{{ }}` stands for axes and for words that are given with it.

    What stands in `{{ }}` and is no axis is replaced by its value. A value with braces becomes such a word: it is data,
    and not looked at again.
    """
    template, words, position = "", dict[str, str](), 0
    for begin, end, source in expressions(text):
        template += text[position:begin]
        position = end
        if source in axes and not raw:
            template += f"{{{{{source}}}}}"
            continue
        value = text[begin:end] if raw else interpolate(text[begin:end], names)
        if "{" not in value and "}" not in value:
            template += value
            continue
        word = f"inserted_{begin}"
        words[word] = value
        template += f"{{{{{word}}}}}"
    return template + text[position:], words
