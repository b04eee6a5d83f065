"""The endpoint and key of this process: from arguments, the environment, `.env`, keyring, Colab, login; or the simulator.

The one place that knows of the simulator: it chooses it where there is neither key nor endpoint, and says so.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from .api import settings as api_settings
from .api.advice import hear
from .api.credentials import ENDPOINT_VARIABLE, KEY_VARIABLES, Key, first_given
from .api.errors import GradientNotebookError, InvalidSettingsError
from .api.settings import DEFAULT_ENDPOINT, shown_endpoint
from .session import session

SIMULATOR_NOTICE = "No key is set: using the built-in simulator (images are marked, nothing is billed)."
SIMULATOR = "the simulator"
_RECORDING = "the recording"
"""What the embedded simulator is called as a service: nothing that it makes is billed."""
UNBILLED: set[str] = set()
"""Endpoints of the environment that are simulators of this process, as exercises have them: nor is what they make."""
_KEYRING_ENTRY = ("gradient_notebook", "model access key")

_logger = logging.getLogger("gradient_notebook")


class Settings(api_settings.Settings):
    """Where requests go, with which key, and how long they may take; `Settings.discover()` finds all of it.

    Args:
        endpoint: `https://host` or `https://host:port`; the service's is https://inference.do-ai.run.
        key: the model access key.
        endpoint_source, key_source: where they come from, for messages.
        connect_timeout_s: seconds allowed for connecting, 10 unless given.
        read_timeout_s: seconds of silence allowed within an answer, 300 unless given: an image can take a minute.
        max_request_s: seconds allowed for a whole request, however busily it is answered; 1800 unless given.
        max_retries: how often a request that never reached the model is sent again, 4 unless given; no other ever is.
        max_wait_s: seconds of waiting before that, in all; 120 unless given.
        service: which service it is, for the identity of a request; the endpoint without its scheme unless given.
        is_billed: whether it bills what it makes; what other services would bill is counted apart.

    Raises:
        InvalidSettingsError: a key or an endpoint that cannot be used; a limit below 0.

    >>> from gradient_notebook import Settings
    >>> settings = Settings(endpoint="https://inference.do-ai.run", key="sk-do-example-key", read_timeout_s=60)
    >>> settings.key
    Key(***)
    """

    @classmethod
    def discover(
        cls, *, key: Key | str | None = None, endpoint: str | None = None, found: Found | None = None, **limits: Any
    ) -> Settings:
        """Return the settings from the arguments, what was logged in with, the environment, Colab or a `.env` file.

        The system's keyring comes last, if the key was put there. Without a key and an endpoint they are the embedded
        simulator's, which starts, and one line says so.

        Args:
            key: the model access key.
            endpoint: where requests go.
            found: what `find_key` has returned, which is then not looked up again.
            **limits: fields of `Settings`; the session's where they are not given.

        Raises:
            InvalidSettingsError: a key of the wrong kind, an endpoint without a key.
        """
        given = {**session.limits(), **{name: value for name, value in limits.items() if value is not None}}
        argument = first_given(key)
        # Before anything else can raise: a traceback can show locals, and from here on the key is wrapped.
        del key
        if session.replay and argument is None and endpoint is None:
            return cls(**_replayed(), **given)
        found = Found(argument) if argument else found or find_key()
        place, where = _found_endpoint(endpoint, found)
        if found.key is None and place is None:
            return cls(**_simulated(), **given)
        if found.key is None:
            what = f"There is no key for the endpoint {shown_endpoint(place)} from {where}."
            hint = f"Set {KEY_VARIABLES[0]}, or unset {ENDPOINT_VARIABLE} for the simulator."
            raise InvalidSettingsError(what, hint)
        return cls(
            endpoint=place or DEFAULT_ENDPOINT,
            key=found.key,
            endpoint_source=where,
            key_source=found.key.source,
            is_billed=place not in UNBILLED,
            **given,
        )


discover = Settings.discover


def ends_with_this_process(settings: api_settings.Settings) -> bool:
    """Whether a service of this process answers: the simulator, or a recording."""
    return settings.endpoint_source.startswith((SIMULATOR, _RECORDING))


def _found_endpoint(argument: str | None, found: Found) -> tuple[str | None, str]:
    # What holds nothing but white space is not set: in a file of settings a name often stands without its value.
    if argument and str(argument).strip():
        return argument, "argument"
    if (place := os.environ.get(ENDPOINT_VARIABLE, "")).strip():
        return place, ENDPOINT_VARIABLE
    if found.endpoint and found.endpoint.strip():
        return found.endpoint, f"{ENDPOINT_VARIABLE} in .env"
    return None, "default"


def without_key() -> bool:
    """Whether neither a key nor an endpoint is configured, so that the simulator is used."""
    if session.replay:
        return False
    # The keyring's marker is enough: the keyring itself may ask back.
    if _remembered or _first(os.getenv, "{}") or _in_colab() or _in_dotenv().key or _is_noted():
        return False
    return _found_endpoint(None, find_key())[0] is None


def is_billed() -> bool:
    """Whether what is made now costs money: neither the simulator nor a recording answers."""
    return not session.replay and not without_key() and _found_endpoint(None, find_key())[0] not in UNBILLED


def simulator_notice() -> str:
    """Return the one line that says that the simulator is used, for somebody who says it now."""
    global _is_announced
    _is_announced = True
    return f"{SIMULATOR_NOTICE} {GradientNotebookError.phrases['log_in']}"


_is_announced = False


def _simulated() -> dict[str, Any]:
    """Start the embedded simulator on first use, and return its endpoint and key as fields of `Settings`."""
    from . import simulator

    if not _is_announced:
        _logger.warning("gradient_notebook: %s", simulator_notice())
    embedded = simulator.shared()
    embedded.seconds_per_image = session.seconds_per_image
    for model in simulator.IMAGE_MODELS:
        hear(embedded.url, model, None)  # as its list says; before that is asked for, too
    return {
        "endpoint": embedded.url,
        # Words that no text has by chance: a key is masked in messages, and refused in prompts.
        "key": Key("the-simulator-takes-any-key", SIMULATOR),
        "endpoint_source": SIMULATOR,
        "key_source": SIMULATOR,
        "is_billed": False,
        "service": "simulator",  # whatever its port is this time: what it has painted answers the same request again
    }


def replay_notice() -> str:
    """Return the one line that says that a recording answers, for somebody who says it now."""
    global _told_of_replaying
    _told_of_replaying = session.replay
    return f"Replaying {Path(session.replay).name}: nothing is sent to the service, nothing is billed."


_told_of_replaying = ""
_replaying: tuple[tuple[str, int, float], Any] | None = None


def _replayed() -> dict[str, Any]:
    """Start what plays the session's recording, and return its endpoint and key as fields of `Settings`."""
    global _replaying
    path = Path(session.replay)
    changed = path.stat().st_mtime_ns if path.exists() else 0
    which = (session.replay, changed, session.replay_speed)
    if _replaying is None or _replaying[0] != which:
        from . import recording, simulator

        requests = recording.read(path)
        _replaying = which, simulator.Simulator(replay=requests, speed=session.replay_speed).start()
        for request in requests:
            hear(_replaying[1].url, str(request.body.get("model", "")), None)
        if _told_of_replaying != session.replay:
            _logger.warning("gradient_notebook: %s", replay_notice())
    where = f"{_RECORDING} {path.name}"
    key = Key("the-recording-takes-any-key", where)
    return {
        "endpoint": _replaying[1].url,
        "key": key,
        "endpoint_source": where,
        "key_source": where,
        "is_billed": False,
        "service": "a recording",
    }


class Found(NamedTuple):
    """A key, if there is one, and the endpoint that stands in the same `.env` file."""

    key: Key | None
    endpoint: str | None = None


def find_key() -> Found:
    """Return the key from the nearest place that has one; only the `.env` file's own may go where the file says."""
    if key := _remembered or _first(os.getenv, "{}") or _in_colab():
        # Without the file's endpoint: a notebook's folder may come from somebody else, who would get this user's key.
        return Found(key)
    beside = _in_dotenv()
    if beside.key is None and (key := _in_keyring()):
        return Found(key)
    return beside


def key_for_inference(model_access_key: Key | None, access_token: Key | None) -> Key | None:
    """Return the key that a client is given; a control-plane token gives way to a key of the environment, as in the SDK."""
    if model_access_key is None and access_token is not None and access_token.is_control_plane:
        return _first(os.getenv, "{}") or access_token
    return model_access_key or access_token


def _first(get: Callable[[str], Any], source: str) -> Key | None:
    for name in KEY_VARIABLES:
        if (text := get(name)) and str(text).strip():
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
    nearest = _dotenv_file()
    if nearest is None or not importlib.util.find_spec("dotenv"):
        return Found(None)
    from dotenv import dotenv_values

    try:
        # Older versions would take a byte order mark, as Windows writes it, for a part of the first name.
        values = dotenv_values(nearest, encoding="utf-8-sig")
        lost = _unread_line(nearest, values)
        found = Found(_first(values.get, "{} in .env"), values.get(ENDPOINT_VARIABLE))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
    else:
        if not lost:
            return found
        reason = f"line {lost} has no name=value, or a quotation mark that is not closed"
    # Out here, without the first error: it holds what stands in the file.
    raise InvalidSettingsError(f"{nearest} cannot be read: {reason}", "Fix or remove it.")


def _dotenv_file() -> Path | None:
    """Return the nearest `.env` file from here upwards; none where nobody may look."""
    try:
        folders = [Path.cwd(), *Path.cwd().parents]
        return next((folder / ".env" for folder in folders if (folder / ".env").is_file()), None)
    except OSError:
        return None


def _unread_line(path: Path, values: Mapping[str, str | None]) -> int:
    """Return the first line, from 1, that names a key or the endpoint in a way that `.env` files do not have; else 0."""
    names = "|".join((*KEY_VARIABLES, ENDPOINT_VARIABLE))
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        named = re.match(rf"\s*(?:export\s+|set\s+|\$env:)?({names})\b", line)
        if named and values.get(named[1]) is None:
            return number
    return 0


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
        what = "The package keyring, which stores keys in the system's keyring, is not installed."
        raise InvalidSettingsError(what, "Install it: pip install keyring.", suggest=_KEEP_IN_MEMORY) from None
    return keyring


def store(key: Key) -> None:
    """Put a key into the system's keyring, and note that it is there. Raises InvalidSettingsError."""

    def put() -> bool:
        get_keyring().set_password(*_KEYRING_ENTRY, key.reveal())
        # Read back: some systems have a keyring that takes everything and holds nothing.
        return bool(get_keyring().get_password(*_KEYRING_ENTRY) == key.reveal())

    if not _ask_keyring(put, suggest=_KEEP_IN_MEMORY):
        raise InvalidSettingsError("The system's keyring did not store the key.", suggest=_KEEP_IN_MEMORY)
    marker = _marker()
    try:
        if marker is None:
            what = "The key is in the system's keyring, but there is no home folder to note that in."
            raise InvalidSettingsError(what, suggest=_KEEP_IN_MEMORY)
        marker.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        marker.write_text("gradient_notebook has put the key into the system's keyring.\n", encoding="utf-8")
    except OSError as error:
        what = f"The key is in the system's keyring, but {marker} could not be written: {error.strerror}."
        raise InvalidSettingsError(what, suggest=_KEEP_IN_MEMORY) from error


def remove() -> bool:
    """Take the key out of the system's keyring, if it was noted to be there. Return whether it was."""

    def take_out() -> None:
        if get_keyring().get_password(*_KEYRING_ENTRY) is not None:
            get_keyring().delete_password(*_KEYRING_ENTRY)

    noted = _marker() if _is_noted() else None
    if noted:
        # First of all: even where the keyring then fails, its key is no longer used.
        noted.unlink(missing_ok=True)
        _ask_keyring(take_out, f"Remove its entry {_KEYRING_ENTRY[0]!r} yourself: it is no longer used.")
    return noted is not None


_KEEP_IN_MEMORY = ("keep_in_memory",)


def _in_keyring() -> Key | None:
    # Asking a keyring may open a dialog: nobody who has put nothing there should see one.
    if not _is_noted():
        return None
    again = ("log_in_again",)
    key: Key = _ask_keyring(
        lambda: Key(get_keyring().get_password(*_KEYRING_ENTRY), "the system's keyring"), suggest=again
    )
    if key.reveal() is None:
        what = f"{_marker()} says that the key is in the system's keyring, but it is not there."
        raise InvalidSettingsError(what, suggest=again)
    return key


def _ask_keyring(question: Callable[[], Any], hint: str = "", *, suggest: tuple[str, ...] = ()) -> Any:
    """Return the keyring's answer. Its own errors are not passed on: their frames may hold the key."""
    try:
        return question()
    except InvalidSettingsError:
        raise
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - whatever a system's own backend raises
        reason = type(error).__name__
    # Out here, and a new one: raised above, both would have the keyring's error as their context.
    if reason == KeyboardInterrupt.__name__:
        raise KeyboardInterrupt
    raise InvalidSettingsError(f"The system's keyring cannot be used ({reason}).", hint, suggest=suggest)


def _is_noted() -> bool:
    marker = _marker()
    return marker is not None and os.access(marker, os.F_OK)  # Path.exists raises where nobody may look


def _marker() -> Path | None:
    """Return the file that says that the key is in the keyring, which holds no secret; None without a home folder."""
    import platformdirs

    try:
        folder = Path(platformdirs.user_config_dir("gradient_notebook", appauthor=False))
    except RuntimeError:
        return None
    return folder / "key-in-keyring" if folder.is_absolute() else None
