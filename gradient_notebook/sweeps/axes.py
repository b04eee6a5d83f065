"""What a sweep varies: axes of parameters and of words in the prompt, as a product or in pairs, or the rows of a table."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..api.errors import InvalidRequestError
from ..api.params import PARAMETERS
from ..api.text import SHORT, clean, nearest, shortened

MAX_IMAGES = 50
"""How many images a sweep makes that nobody has agreed to. Here: the magic's options name it, and load nothing else."""
PROMPT = "prompt"
ROW = "row"
"""The axis of a table's rows; its labels are their numbers, from 0."""
_NAME = re.compile(r"\{\{\s*([^\W\d]\w*)\s*\}\}")
_NO_AXES = {
    "n": "Use repeat=3 to make several of each.",
    "prompt": "The first argument has the prompt, or a list of prompts.",
}
_LONGEST_LABEL = 80
RESERVED = (
    *("repeat", "pair", "columns", "start", "yes", "fresh", "max_images", "max_cost", "settings"),
    *(PROMPT, ROW),
)
"""What is no word of a prompt, since `sweep` has an argument, or a table a column, of that name."""


@dataclass(frozen=True)
class Axis:
    """One thing that varies: its values, and a label for each, which is unique."""

    name: str
    labels: tuple[Any, ...]
    values: tuple[Any, ...]

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class Case:
    """One request of a sweep before it is checked: what it is by its labels, its prompt, its parameters."""

    labels: Mapping[str, Any]
    prompt: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Axes:
    """All that a sweep varies, and what it does not; `cases` yields its requests in order, the last axis fastest.

    `words` are the axes whose values go into the prompt, where a row of a table is a mapping of them.
    """

    prompts: Axis
    axes: tuple[Axis, ...]
    fixed: Mapping[str, Any]
    words: Mapping[str, Any]
    columns: Mapping[str, str]
    repeat: int = 1
    pair: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The axes that vary, by name, as a table has them as columns."""
        return tuple(axis.name for axis in self._all if len(axis) > 1 or axis.name != PROMPT)

    @property
    def labels(self) -> dict[str, tuple[Any, ...]]:
        """The labels of each axis that varies."""
        return {axis.name: axis.labels for axis in self._all if axis.name in self.names}

    @property
    def templates(self) -> list[str]:
        """Its prompts as they are read: what varies is in `{{ }}`, and what holds for all has its value."""
        templates = map(str, self.prompts.values)
        return [_filled(one, {name: f"{{{{{name}}}}}" for name in names_in(one)} | {**self.words}) for one in templates]

    @property
    def _all(self) -> tuple[Axis, ...]:
        return (self.prompts, *self.axes)

    @property
    def count(self) -> int:
        """How many requests there are, without making any."""
        of_axes = max(map(len, self._all)) if self.pair else math.prod(map(len, self._all))
        return of_axes * self.repeat

    def cases(self) -> Iterator[Case]:
        """Yield each request, repeated ones one after the other."""
        places = [range(len(axis)) for axis in self._all]
        if self.pair:
            longest = max(map(len, self._all))
            chosen: Iterable[tuple[int, ...]] = (tuple(min(at, len(p) - 1) for p in places) for at in range(longest))
        else:
            chosen = itertools.product(*places)
        for at in chosen:
            yield from itertools.repeat(self._case(at), self.repeat)

    def _case(self, at: Sequence[int]) -> Case:
        chosen = {axis.name: (axis.labels[i], axis.values[i]) for axis, i in zip(self._all, at, strict=True)}
        labels = {name: label for name, (label, _) in chosen.items() if name in self.names}
        template = chosen.pop(PROMPT)[1]
        words, values = dict(self.words), dict(self.fixed)
        if ROW in chosen:
            row = chosen.pop(ROW)[1]
            words.update(row)
            values.update({name: row[column] for name, column in self.columns.items() if row[column] is not None})
        for name, (_, value) in chosen.items():
            (values if name in PARAMETERS else words)[name] = value
        return Case(labels, _filled(template, words), values)

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON has it, for `of_json`."""
        return {
            "axes": [[axis.name, axis.labels, axis.values] for axis in self._all],
            **{name: getattr(self, name) for name in ("fixed", "words", "columns", "repeat", "pair")},
        }

    @classmethod
    def of_json(cls, kept: Mapping[str, Any]) -> Axes:
        """Return what `as_json` has kept."""
        prompts, *axes = (Axis(name, tuple(labels), tuple(values)) for name, labels, values in kept["axes"])
        return cls(
            prompts, tuple(axes), **{name: kept[name] for name in ("fixed", "words", "columns", "repeat", "pair")}
        )


def names_in(template: str) -> list[str]:
    """Return the names that a prompt has in `{{ }}`, each once."""
    return list(dict.fromkeys(_NAME.findall(template)))


def _filled(template: str, words: Mapping[str, Any]) -> str:
    # What a value holds is data: it is not looked at again.
    return _NAME.sub(lambda found: str(words[found[1]]), template)


def axes_of(
    prompt: Any,
    given: Mapping[str, Any],
    *,
    rows: Sequence[Mapping[str, Any]] | None = None,
    columns: Mapping[str, str] | None = None,
    repeat: int = 1,
    pair: bool = False,
) -> Axes:
    """Return what a sweep varies; raise InvalidRequestError for what makes no sense, before anything is made of it.

    A parameter with a list of values is an axis, and so is a name of the prompt; a single value holds for all. A dict
    labels its values. `rows` are those of a table, whose columns the prompt names, or `columns` maps to parameters.
    """
    prompts = _prompts(prompt)
    named = list(dict.fromkeys(name for template in prompts.values for name in names_in(template)))
    for name in named:
        if name in PARAMETERS or name in RESERVED:
            advice = f"Rename it: {{{{my_{name}}}}} and my_{name}=[…]."
            raise _refused(f"{{{{{name}}}}} in the prompt is the name of an argument", advice, name)
    columns = dict(columns or {})
    there = set(rows[0]) if rows else set()
    # What nobody uses is not kept with the run.
    used = [name for name in (*named, *columns.values()) if name in there]
    kept = tuple({name: row[name] for name in used} for row in rows or ())
    axes: list[Axis] = [Axis(ROW, tuple(range(len(kept))), kept)] if rows is not None else []
    fixed: dict[str, Any] = {}
    words: dict[str, Any] = {}
    for name, value in given.items():
        _check_name(name, named, columns)
        if (values := _listed(name, value)) is not None:
            axes.append(_axis(name, values))
        elif name in named:
            words[name] = value
        else:
            fixed[name] = value
    known = {*there, *(axis.name for axis in axes), *words}
    for name in named:
        if name not in known:
            raise _no_values(name, known - {ROW}, given)
    _check_columns(columns, there)
    _check_rows(rows or (), [name for name in named if name not in given])
    found = Axes(prompts, tuple(axes), fixed, words, columns, _repeat(repeat), bool(pair))
    if pair:
        _check_lengths(found)
    return found


def _prompts(prompt: Any) -> Axis:
    values = {str(label): text for label, text in prompt.items()} if isinstance(prompt, Mapping) else prompt
    if isinstance(prompt, str):
        return Axis(PROMPT, (prompt,), (prompt,))
    if not isinstance(prompt, Iterable) or isinstance(prompt, bytes):
        what = f"prompt={clean(repr(prompt), SHORT)}: expected text, a list of texts, or a table and then the prompt"
        raise _refused(what, "sweep('a {{animal}}', animal=['fox', 'otter'])", PROMPT)
    axis = _axis(PROMPT, values)
    for text in axis.values:
        if not isinstance(text, str):
            raise _refused(f"prompt={clean(repr(text), SHORT)}: expected text", "", PROMPT)
    return axis


def _listed(name: str, value: Any) -> Any:
    """Return the values of an axis; None for a single value, which holds for all."""
    if isinstance(value, Mapping):
        return None if name == "extra" else dict(value)
    if isinstance(value, (set, frozenset)):
        raise _refused(f"{name}={clean(repr(value), SHORT)}: a set has no order", "Give a list.", name)
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        return None
    # NumPy's own numbers are none that a request can hold.
    return value.tolist() if hasattr(value, "tolist") else list(value)


def _axis(name: str, values: Any) -> Axis:
    labels: tuple[Any, ...] = tuple(values) if isinstance(values, Mapping) else ()
    found = tuple(values.values() if isinstance(values, Mapping) else values)
    if not found:
        raise _refused(f"{name} has no values", "Give one at least, or leave it out.", name)
    labels = labels or tuple(_label(value) for value in found)
    if len(set(labels)) < len(labels) and all(isinstance(value, str) for value in found):
        labels = found  # texts that begin alike
    twice = (
        next((label for at, label in enumerate(labels) if label in labels[:at]), None) if len(labels) < 5000 else None
    )
    if twice is not None or len(set(labels)) < len(labels):
        what = f"{name} has {clean(repr(twice), SHORT)} twice"
        raise _refused(
            what, "repeat=2 makes two of each; a dict gives other labels to values that look the same.", name
        )
    return Axis(name, labels, found)


def _label(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return shortened(str(value), _LONGEST_LABEL)


def _check_name(name: str, named: Collection[str], columns: Mapping[str, str]) -> None:
    if name in columns:
        raise _refused(f"{name} is given twice: by itself and by the column {columns[name]!r}", "", name)
    if name in _NO_AXES:
        raise _refused(f"{name} can't be an axis", _NO_AXES[name], name)
    if name in PARAMETERS or name in named:
        return
    hint = nearest(name, [*named, *PARAMETERS])
    what = f"{name}: no parameter, and no {{{{{name}}}}} in the prompt"
    raise _refused(what, hint or f"The prompt has {_listing(named)}.", name)


def _no_values(name: str, known: Collection[str], given: Mapping[str, Any]) -> InvalidRequestError:
    what = f"{{{{{name}}}}} in the prompt has no axis and no column"
    hint = nearest(name, [*known, *given])
    return _refused(what, hint or f"Give {name}=[…], its values. There are {_listing(sorted(known))}.", name)


def _check_columns(columns: Mapping[str, str], there: Collection[str]) -> None:
    for name, column in columns.items():
        if name not in PARAMETERS or name in _NO_AXES:
            raise _refused(f"columns={{{name!r}: …}}: no such parameter", nearest(name, PARAMETERS), "columns")
        if column not in there:
            hint = nearest(str(column), there) or f"The table has {_listing(sorted(there))}."
            raise _refused(f"columns={{{name!r}: {column!r}}}: no such column", hint, "columns")


def _check_rows(rows: Sequence[Mapping[str, Any]], named: Collection[str]) -> None:
    lacking = [(at, name) for at, row in enumerate(rows) for name in named if name in row and row[name] is None]
    if lacking:
        at, name = lacking[0]
        more = f", and {len(lacking) - 1} more are missing" if len(lacking) > 1 else ""
        raise _refused(f"Row {at} has no {name}{more}", f"Fill or drop these rows: {{{{{name}}}}} needs a value.", name)


def _check_lengths(axes: Axes) -> None:
    lengths = {axis.name: len(axis) for axis in (axes.prompts, *axes.axes) if len(axis) > 1}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} has {count}" for name, count in lengths.items())
        raise _refused(f"pair=True needs axes of one length: {told}", "Without pair every combination is made.", "pair")


def _repeat(repeat: Any) -> int:
    if type(repeat) is not int or repeat < 1:
        raise _refused(f"repeat={clean(repr(repeat), SHORT)}: expected a whole number, 1 or more", "", "repeat")
    return repeat


def _listing(names: Iterable[str]) -> str:
    return ", ".join(clean(name, SHORT) for name in names) or "none"


def _refused(what: str, advice: str, name: str) -> InvalidRequestError:
    return InvalidRequestError(what, advice, param=name, sent=False)
