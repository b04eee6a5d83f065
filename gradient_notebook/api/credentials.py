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

_SHORTEST_SECRET = 8  # characters: what is shorter is used for a key on this machine only, and stands in many a prompt


class Key:
    """A model access key that shows itself nowhere: not in a repr, not in a traceback, not in a file.

    Making one never raises, whatever it is made of: `check` does.
    """

    __slots__ = ("_reveal", "source")

    _reveal: Callable[[], Any]
    source: str
    """Where it was found."""

    def __init__(self, text: Any, source: str) -> None:
        # A bound method holds the text and does not show it: what prints an object's attributes, as a debugger does,
        # prints `<built-in method strip of str object …>`.
        self._reveal = text.strip if isinstance(text, str) else lambda: text
        self.source = source

    @classmethod
    def of(cls, key: Any) -> Self:
        """Return what was given as an argument as a key."""
        return key if isinstance(key, cls) else cls(key, "argument")

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
            raise InvalidSettingsError(f"The key from {self.source} {problem[0]}.", problem[1])
        return self

    def _problem(self) -> tuple[str, str] | None:
        """Return what is wrong with the key, and what to do."""
        # This frame holds the key as text. So the problem is returned, and raised when the frame is gone.
        text: Any = self._reveal()
        if not isinstance(text, str):
            return f"is {type(text).__name__}, not text", "Pass it as a str."
        if prefix := next(filter(text.startswith, CONTROL_PLANE_PREFIXES), None):
            make_one = "Create a model access key in the control panel; it starts with sk-do-."
            return f"starts with {prefix}: a control-plane token, which can't be used for inference", make_one
        if not re.fullmatch(r"[!-~]+", text):
            return (
                "is empty or contains characters that no key has",
                "Copy it again, without quotes, spaces or line breaks.",
            )
        return None

    def is_in(self, value: Any) -> bool:
        """Whether a value holds the key, in a text at any depth."""
        if isinstance(value, str):
            return len(self.reveal()) >= _SHORTEST_SECRET and self.reveal() in value
        if isinstance(value, Mapping):
            return any(self.is_in(part) for pair in value.items() for part in pair)
        return isinstance(value, (list, tuple)) and any(map(self.is_in, value))

    def hidden_in(self, text: str) -> str:
        """Return a text without the key."""
        return text.replace(self.reveal(), "***") if self.is_in(text) else text

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


def first_given(*keys: Any) -> Key | None:
    """Return the first argument that was given, wrapped: the caller drops all of them next."""
    return next((Key.of(key) for key in keys if key is not None), None)


def looks_like_key(text: str) -> bool:
    """Whether a text has the beginning of a key or a token somewhere, so that it must not be shown."""
    return any(prefix in text for prefix in ("sk-do-", *CONTROL_PLANE_PREFIXES))


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
