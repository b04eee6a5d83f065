"""The model access key as a value that shows itself nowhere.

What holds it as text lets go of it before anything can raise: a traceback can show what a function holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, Self

from .errors import InvalidRequestError, InvalidSettingsError

KEY_VARIABLES = ("GRADIENT_MODEL_ACCESS_KEY", "MODEL_ACCESS_KEY")
ENDPOINT_VARIABLE = "GRADIENT_INFERENCE_ENDPOINT"
CONTROL_PLANE_PREFIXES = ("dop_v1_", "doo_v1_", "dor_v1_")
REFRESH_PREFIX = "dor_v1_"
"""Of a token that only gets another one; the service takes the other two in place of a key."""
KEY_PREFIX = "sk-do-"
TOKEN_HINT = f"A personal access token needs full access; or use a model access key, which starts with {KEY_PREFIX}."
"""What to do about a token that the service refuses."""

QUOTES = "\"'`\u00b4\u00ab\u00bb\u2018-\u201f\u2039\u203a\u300c\u300d\uff02\uff07"
"""Quotation marks, as they stand inside of a regular expression's brackets."""
AROUND = r"[\s\x00\ufeff\u200b-\u200f\u2060]+"
"""What comes along when something is copied, and is not seen: white space, a byte order mark."""

ARGUMENT = "argument"
"""The source of a key that was given in a call."""
_SHORTEST_SECRET = 8  # characters: what is shorter is used for a key on this machine only, and stands in many a prompt
_PREFIXES = re.compile(rf"{KEY_PREFIX}|do[por]_v1_")
_BEFORE: Mapping[str, str] = {
    # A name that says what follows; any other only where what follows is a key by its beginning: a server of one's own
    # may take a key with `=` in it.
    r"(?:export|set|setx)\s+\w+|\$env:\w+|\w*(?:key|token|secret)\w*\s*=\s*(?=[^=\s])"
    r"|\w+\s*=\s*(?=sk-do-|do[por]_v1_)": "a name before it, as in NAME=",
    r"(?:[\w-]+\s*:\s*)?(?:bearer|basic|token)\b[\s:]": "`Bearer` before it",
    r"(?:proxy-)?authorization\s*:|[\w-]*(?:key|token)\s*:": "the name of a header before it",
}
_PLACEHOLDER = re.compile(
    r"<.*>|\{.*\}|\[.*\]|\(.*\)|\$\w+|\$\{.*\}|%\w+%|x+|\*+|\.+"
    rf"|(?:{_PREFIXES.pattern})(?:<.*>|\{{.*\}}|x{{3,}}|\*+|\.+|\u2026)",
    re.IGNORECASE | re.DOTALL,
)
_STAND_IN = re.compile(
    rf"none|null|nil|undefined|true|false|todo|changeme|(?:{_PREFIXES.pattern})?(?:your|my|insert|paste|put)[-_ ]?.*"
    r"|(?:(?:api|access|model|secret|gradient|the)[-_ ]?)*(?:key|token|secret)(?:[-_ ]here)?",
    re.IGNORECASE,
)
_PLACEHOLDER_PROBLEM = ("is a placeholder", "Put the key itself in its place.")
_TOKEN = re.compile(r"[\w.~+/=-]+", re.ASCII)
_KEY_WITHIN = re.compile(rf"(?:{_PREFIXES.pattern})(?:(?!{_PREFIXES.pattern})[\w.~+/-])+=*", re.ASCII)
_DASHES = re.compile("[\u2010-\u2015\u2212\ufe58\ufe63\uff0d]")
_UNSEEN = re.compile(rf"{AROUND}|[{QUOTES}\\]")
_BETWEEN = re.compile(rf"[\s{QUOTES}=:,;<>(){{}}\[\]\\\x00\ufeff\u200b-\u200f\u2060]+")
_MERE_NAME = re.compile(r"[a-z]+|\w*(?:key|token|secret)\w*", re.IGNORECASE)


class Key:
    """A model access key that shows itself nowhere: not in a repr, not in a traceback, not in a file.

    Making one never raises, whatever it is made of: `check` does.
    """

    __slots__ = ("_bare", "_reveal", "source")

    _reveal: Callable[[], Any]
    _bare: tuple[Callable[[], str], ...]
    source: str
    """Where it was found."""

    def __init__(self, text: Any, source: str) -> None:
        # A bound method holds the text and does not show it: what prints an object's attributes, as a debugger does,
        # prints `<built-in method strip of str object …>`.
        text = re.sub(rf"^{AROUND}|{AROUND}$", "", text) if isinstance(text, str) else text
        self._reveal = text.strip if isinstance(text, str) else lambda: text
        self._bare = tuple(piece.strip for piece in _bare_keys(text))
        self.source = source

    @classmethod
    def of(cls, key: Any) -> Self:
        """Return what was given as an argument as a key."""
        return key if isinstance(key, cls) else cls(key, ARGUMENT)

    def reveal(self) -> str:
        """Return the key itself, for the one header that it goes into."""
        return self._reveal()  # type: ignore[no-any-return] # text, once it is checked

    @property
    def is_control_plane(self) -> bool:
        """Whether it is a token of the control plane, by its beginning."""
        text = self._reveal()
        return isinstance(text, str) and text.startswith(CONTROL_PLANE_PREFIXES)

    def check(self) -> Self:
        """Return this key; raise InvalidSettingsError if it cannot be one, and never show it."""
        if problem := self._problem():
            raise self._refusal(*problem)
        return self

    def check_for_the_service(self) -> None:
        """Raise InvalidSettingsError if it is a word that stands for a key; a server of one's own may take any."""
        if self._is_stand_in():
            raise self._refusal(*_PLACEHOLDER_PROBLEM)

    def _is_stand_in(self) -> bool:
        return _STAND_IN.fullmatch(self._reveal()) is not None

    def _refusal(self, what: str, advice: str) -> InvalidSettingsError:
        where = f"({self.source})" if self.source == ARGUMENT else f"from {self.source}"
        return InvalidSettingsError(f"The key {where} {what}.", advice)

    def _problem(self) -> tuple[str, str] | None:
        """Return what is wrong with the key, and what to do."""
        # This frame holds the key as text. So the problem is returned, and raised when the frame is gone.
        text: Any = self._reveal()
        if not isinstance(text, str):
            return f"is {type(text).__name__}, not text", "Pass it as a str."
        if not text:
            return "is empty", f"A model access key starts with {KEY_PREFIX}."
        if wrong := _beside_the_key(text):
            return f"has {' and '.join(wrong)}", "Give the key alone, from its first character to its last."
        if text.startswith(REFRESH_PREFIX):
            what = f"starts with {REFRESH_PREFIX}: a refresh token, which can't be used for inference"
            return what, f"Use a model access key; it starts with {KEY_PREFIX}."
        if _PLACEHOLDER.fullmatch(text):
            return _PLACEHOLDER_PROBLEM
        # Of a server of one's own, a key may be any word. Of the service's, it is one as RFC 6750 has it.
        if not (_TOKEN.fullmatch(text) if _PREFIXES.match(text) else re.fullmatch(r"[!-~]+", text)):
            return "contains characters that no key has", "Copy it again, from its first character to its last."
        return None

    def is_in(self, value: Any) -> bool:
        """Whether a value holds the key, in a text at any depth."""
        if isinstance(value, str):
            return any(bare() in value for bare in self._bare)
        if isinstance(value, Mapping):
            return any(self.is_in(part) for pair in value.items() for part in pair)
        return isinstance(value, (list, tuple)) and any(map(self.is_in, value))

    def hidden_in(self, text: str) -> str:
        """Return a text without the key."""
        for bare in self._bare:
            text = text.replace(bare(), "***")
        return text

    def __repr__(self) -> str:
        return "Key(***)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and self.reveal() == other.reveal()

    def __hash__(self) -> int:
        # By value: all clients of a key share one rate limit, however often the key was read.
        return hash(self.reveal())

    def __reduce__(self) -> NoReturn:
        what = (
            "A model access key cannot be pickled: it would end up in a file. Keep it in the environment, and create "
        )
        raise TypeError(what + "settings and clients where they are used.")

    # Without these two a copy would be made by `__reduce__`, which refuses.
    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        return self


def _beside_the_key(text: str) -> list[str]:
    """Return what stands beside a key where only the key belongs, in words."""
    found = [
        *(["more than one key in it"] if len(_PREFIXES.findall(text)) > 1 else []),
        *(["quotation marks"] if re.search(f"[{QUOTES}]", text) else []),
        *(words for before, words in _BEFORE.items() if re.match(rf"[\s{QUOTES}]*(?:{before})", text, re.IGNORECASE)),
        *(["a line break in it"] if re.search(r"[\r\n\v\f\x85\u2028\u2029]", text) else []),
    ]
    if not found and re.search(AROUND, text):
        found = ["spaces in it"]
    begins = _PREFIXES.search(text)
    return found or (["something before it"] if begins and begins.start() else [])


def _bare_keys(text: Any) -> list[str]:
    """Return what must not be shown of a text that should be a key: itself, and the key that stands in it."""
    if not isinstance(text, str):
        return []
    found = [text]
    if _beside_the_key(text) or not _TOKEN.fullmatch(text):
        spelled = _DASHES.sub("-", text)
        for whole in (spelled, _UNSEEN.sub("", spelled)):  # a key may be broken over two lines
            found += _KEY_WITHIN.findall(whole)
        found += [piece for piece in _BETWEEN.split(text) if not _MERE_NAME.fullmatch(piece)]
    # The longest first: it would not be found any more where a part of it has been replaced.
    return sorted({piece for piece in found if len(piece) >= _SHORTEST_SECRET}, key=len, reverse=True)


def first_given(*keys: Any) -> Key | None:
    """Return the first argument that was given, wrapped: the caller drops all of them next."""
    return next((Key.of(key) for key in keys if key is not None), None)


def looks_like_key(text: str) -> bool:
    """Whether a text has the beginning of a key or a token somewhere, so that it must not be shown."""
    return any(prefix in text for prefix in (KEY_PREFIX, *CONTROL_PLANE_PREFIXES))


def refuse_key_in(values: Mapping[str, Any], key: Key) -> None:
    """Raise InvalidRequestError where a request's values, by their names, hold the key that it would be sent with."""
    culprits = (name for name, value in values.items() if key.is_in((name, value)))
    # The name of a field may be the key itself.
    name = next(("extra" if key.is_in(culprit) else culprit for culprit in culprits), None)
    del values, culprits
    if name is not None:
        advice = "Remove it: requests are kept in the history and may be logged."
        error = InvalidRequestError(f"{name} contains your model access key", advice, param=name)
        # The frames of the callers still hold the prompt, and so the key.
        error.is_always_short = True
        raise error
