"""What is declared of one parameter: its kind, its bounds, the values that are known, its words."""

from __future__ import annotations

import json
import math
import operator
import re
import typing
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from .credentials import looks_like_key
from .errors import InvalidRequestError
from .fixed import fixed
from .text import misspelled, normalized

T = TypeVar("T", int, float)

_BREAKS = ("Cc", "Zl", "Zp")
"""Unicode's categories of control characters and of what ends a line."""


def shown(value: Any) -> str:
    """Return a wrong value for a message: shortened, and without a key that was put in its place."""
    text = repr(value)
    if looks_like_key(text):
        return "***"
    if len(text) <= 60:
        return text
    return f"{text[:50]}… ({len(value):,} characters)" if isinstance(value, str) else f"{text[:50]}…"


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
    acted_on: bool = False
    """The client itself acts on it: in `extra`, too, it counts as if it were given by name."""
    choices: tuple[str, ...] = ()
    """The values that are known. Others are sent as well, where they are no evident misspelling."""
    pattern: re.Pattern[str] | None = None
    """What a value has to look like that is none of the choices."""
    pattern_words: str = ""
    words: str = ""
    """What is allowed, in words, where something else than this declaration knows it."""
    minimum: float | None = None
    maximum: float | None = None
    min_length: int | None = None
    max_length: int | None = None

    # Read from the annotation and the field, never written by hand.
    name: str = ""
    kind: type = str

    @property
    def option(self) -> str:
        """The long option of the magics, `--output-format`."""
        return "--" + self.name.replace("_", "-")

    @property
    def expected(self) -> str:
        """What is allowed, in words."""
        if self.words:
            return self.words
        if self.pattern:
            words = [choice for choice in self.choices if not self.pattern.fullmatch(choice)]
            example = next(choice for choice in self.choices if choice not in words)
            return f"{', '.join(words)} or {self.pattern_words}, such as {example}"
        if self.choices:
            return f"text such as {', '.join(self.choices)}"
        if self.kind is bool:
            return "True or False"
        if self.kind in (int, float):
            return f"a {'whole ' * (self.kind is int)}number, {_bounds(self.minimum, self.maximum)}"
        if self.kind is str:
            text = "text" if self.multiline else "text on one line"
            return f"{text}, {_bounds(self.min_length, self.max_length)} characters"
        return "a mapping of JSON values"

    @property
    def entry(self) -> str:
        """What docstrings say of it."""
        default = "" if self.default in (None, "") else f" Default: {self.default}."
        return f"{self.name}: {self.help} Takes {self.expected}.{default}"

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
        reason = f"expected {self.expected}"
        return InvalidRequestError(f"{self.name}={shown(value)}: {reason}", param=self.name, reason=reason)

    def _check_text(self, value: Any) -> str:
        if not isinstance(value, str):
            raise TypeError
        if self.choices and value not in self.choices:
            self._check_unknown(value)
        value.encode()  # a lone surrogate cannot be sent
        if not self.multiline and any(unicodedata.category(character) in _BREAKS for character in value):
            raise ValueError
        shortest, longest = self.min_length or 0, self.max_length or len(value)
        if not shortest <= len(value) <= longest or (shortest and not value.strip()):
            raise ValueError
        return str(value)

    def _check_unknown(self, value: str) -> None:
        """Refuse what is evidently meant to be a known value, or what cannot be one anywhere."""
        meant = misspelled(value, self.choices)
        if self.pattern and not self.pattern.fullmatch(value):
            meant = meant or next(filter(self.pattern.fullmatch, [normalized(value)]), "")
            if not meant:
                raise ValueError
        if meant:
            reason = f"did you mean {meant}?"
            raise InvalidRequestError(f"{self.name}={shown(value)}: {reason}", param=self.name, reason=reason)
        if not value.strip():
            raise ValueError

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
        return typing.cast("dict[str, Any]", fixed(copy))

    _checks: typing.ClassVar[dict[type, Callable[[Parameter, Any], Any]]] = {
        str: _check_text,
        int: _check_int,
        float: _check_float,
        bool: _check_bool,
        dict: _check_mapping,
    }
