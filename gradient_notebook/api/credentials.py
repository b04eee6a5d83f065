"""The model access key: where it is found and kept, and that it shows itself nowhere.

What holds it as text lets go of it before anything can raise: a traceback can show what a function holds.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, Self

from .errors import InvalidRequestError, InvalidSettingsError

KEY_VARIABLES = ("GRADIENT_MODEL_ACCESS_KEY", "MODEL_ACCESS_KEY")
ENDPOINT_VARIABLE = "GRADIENT_INFERENCE_ENDPOINT"
CONTROL_PLANE_PREFIXES = ("dop_v1_", "doo_v1_", "dor_v1_")
LOGIN = "%imagegen_login"
"""Where a key that was typed comes from."""

_SHORTEST_SECRET = 8  # characters: what is shorter stands in for a key on this machine, and in many a prompt
_KEYRING_ENTRY = ("gradient_notebook", "model access key")

_logger = logging.getLogger("gradient_notebook")


class Key:
    """A model access key that shows itself nowhere: not in a repr, not in a traceback, not in a file.

    Making one never raises, whatever it is made of: `check` does.
    """

    __slots__ = ("_reveal", "source")

    _reveal: Callable[[], Any]
    source: str
    """Where it was found."""

    def __init__(self, text: Any, source: str) -> None:
        self._reveal = text.strip if isinstance(text, str) else lambda: text
        self.source = source

    @classmethod
    def of(cls, key: Any) -> Self:
        """Return what was given as an argument as a key."""
        return key if isinstance(key, cls) else cls(key, "argument")

    def reveal(self) -> str:
        """Return the key itself, for the one header that it goes into."""
        return self._reveal()  # type: ignore[no-any-return] # text, once it is checked

    def check(self) -> Self:
        """Return this key; raise InvalidSettingsError if it cannot be one, and never show it."""
        if problem := self._problem():
            raise InvalidSettingsError(f"The key from {self.source} {problem[0]}.", problem[1])
        return self

    def _problem(self) -> tuple[str, str] | None:
        """Return what is wrong with the key, and what to do."""
        text: Any = self._reveal()
        if not isinstance(text, str):
            return f"is no text but {type(text).__name__}", "Give it as a str."
        if prefix := next(filter(text.startswith, CONTROL_PLANE_PREFIXES), None):
            make_one = "Make a model access key in the control panel; it starts with sk-do-."
            return f"starts with {prefix}: a control-plane token, which does not paint", make_one
        if not re.fullmatch(r"[!-~]+", text):
            return "is empty or has characters that no key has", "Copy it again, without quotes, spaces or line ends."
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
        return hash(self.reveal())

    def __reduce__(self) -> NoReturn:
        what = "A model access key cannot be pickled: it would lie in a file. Keep it in the environment, and make "
        raise TypeError(what + "settings and clients anew where they are used.")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        return self


def first_given(*keys: Any) -> Key | None:
    """Return the first argument that was given, wrapped: whoever calls lets go of all of them next."""
    return next((Key.of(key) for key in keys if key is not None), None)


def looks_like_key(text: str) -> bool:
    """Whether a text has the beginning of a key or a token somewhere, so that it must not be shown."""
    return any(prefix in text for prefix in ("sk-do-", *CONTROL_PLANE_PREFIXES))


def refuse_key_in(values: Mapping[str, Any], key: Key) -> None:
    """Raise InvalidRequestError where a request's values, by their names, hold the key that it would be sent with."""
    culprits = (name for name, value in values.items() if key.is_in((name, value)))
    name = next(("extra" if key.is_in(culprit) else culprit for culprit in culprits), None)
    del values, culprits
    if name is not None:
        advice = "Take it out: what is sent is kept in the ledger and may be logged. Nothing was sent."
        error = InvalidRequestError(f"{name}: it holds your model access key", advice, parameter=name)
        error.is_always_short = True
        raise error


class Found(NamedTuple):
    """A key, if there is one, and the endpoint that stands in the same `.env` file."""

    key: Key | None
    endpoint: str | None = None


def find_key() -> Found:
    """Return the key from the nearest place that has one; only the `.env` file's own may go where the file says."""
    if key := _remembered or _first(os.getenv, "{}") or _in_colab():
        return Found(key)
    beside = _in_dotenv()
    if beside.key is None and (key := _in_keyring()):
        return Found(key)
    return beside


def has_key() -> bool:
    """Whether a key is configured. The keyring is not asked: it may ask back."""
    return bool(_remembered or _first(os.getenv, "{}") or _in_colab() or _in_dotenv().key or _marker().exists())


def _first(get: Callable[[str], Any], source: str) -> Key | None:
    for name in KEY_VARIABLES:
        if text := get(name):
            return Key(text, source.format(name))
    return None


def _in_colab() -> Key | None:
    return _first(_colab_secret, "Colab's secret {}") if "google.colab" in sys.modules else None


def _colab_secret(name: str) -> Any:
    from google.colab import userdata  # type: ignore[import-not-found, unused-ignore]

    try:
        return userdata.get(name)
    except Exception as error:  # noqa: BLE001 - Colab's own classes: no such secret, or access not granted
        _logger.debug("Colab gives no %s: %s", name, type(error).__name__)
        return None


def _in_dotenv() -> Found:
    folders = [Path.cwd(), *Path.cwd().parents]
    nearest = next((folder / ".env" for folder in folders if (folder / ".env").is_file()), None)
    if nearest is None or not importlib.util.find_spec("dotenv"):
        return Found(None)
    from dotenv import dotenv_values

    try:
        values = dotenv_values(nearest)
        return Found(_first(values.get, "{} in .env"), values.get(ENDPOINT_VARIABLE))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
    # Out here, without the first error: it holds what stands in the file.
    raise InvalidSettingsError(f"{nearest} cannot be read: {reason}", "Mend it, or move it away.")


_remembered: Key | None = None


def remember(key: Key) -> None:
    """Keep a key in this process's memory; it comes before those of other places."""
    global _remembered
    _remembered = key


def forget() -> bool:
    """Forget the key in this process's memory. Return whether there was one."""
    global _remembered
    before, _remembered = _remembered, None
    return before is not None


def get_keyring() -> Any:
    """Return the optional package `keyring`; raise InvalidSettingsError where it is not installed."""
    try:
        import keyring  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        what = "The package keyring is not installed, through which the key is kept in the system's keyring."
        raise InvalidSettingsError(
            what, f"Install it (pip install keyring), or run {LOGIN} without --keyring."
        ) from None
    return keyring


def store(key: Key) -> None:
    """Put a key into the system's keyring, and note that it is there. Raises InvalidSettingsError."""

    def put() -> bool:
        get_keyring().set_password(*_KEYRING_ENTRY, key.reveal())
        return bool(get_keyring().get_password(*_KEYRING_ENTRY) == key.reveal())

    if not _ask_keyring(put, _WITHOUT_KEYRING):
        raise InvalidSettingsError("The system's keyring does not keep the key.", _WITHOUT_KEYRING)
    try:
        _marker().parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _marker().write_text(f"{LOGIN} --keyring has put the key into the system's keyring.\n", encoding="utf-8")
    except OSError as error:
        what = f"The key is in the system's keyring, but {_marker()} cannot say so: {error.strerror}."
        raise InvalidSettingsError(what, _WITHOUT_KEYRING) from error


def remove() -> bool:
    """Take the key out of the system's keyring, if it was noted to be there. Return whether it was."""

    def take_out() -> None:
        if get_keyring().get_password(*_KEYRING_ENTRY) is not None:
            get_keyring().delete_password(*_KEYRING_ENTRY)

    noted = _marker().exists()
    _marker().unlink(missing_ok=True)
    if noted:
        _ask_keyring(take_out, f"Take its entry {_KEYRING_ENTRY[0]!r} out of it yourself: it is not used any more.")
    return noted


_WITHOUT_KEYRING = f"{LOGIN} without --keyring keeps it in this kernel's memory only."


def _in_keyring() -> Key | None:
    if not _marker().exists():
        return None
    advice = f"Run {LOGIN} again, or {LOGIN} --forget to do without it."
    key: Key = _ask_keyring(lambda: Key(get_keyring().get_password(*_KEYRING_ENTRY), "the system's keyring"), advice)
    if key.reveal() is None:
        raise InvalidSettingsError(f"{_marker()} says that the key is in the system's keyring, and it is not.", advice)
    return key


def _ask_keyring(question: Callable[[], Any], advice: str) -> Any:
    """Return the keyring's answer. Its own errors are not passed on: their frames may hold the key."""
    try:
        return question()
    except InvalidSettingsError:
        raise
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - whatever a system's own backend raises
        reason = type(error).__name__
    if reason == KeyboardInterrupt.__name__:
        raise KeyboardInterrupt
    raise InvalidSettingsError(f"The system's keyring cannot be used ({reason}).", advice)


def _marker() -> Path:
    """Return the file that says that the key is in the keyring. It holds no secret."""
    import platformdirs

    return Path(platformdirs.user_config_dir("gradient_notebook", appauthor=False)) / "key-in-keyring"
