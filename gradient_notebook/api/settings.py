"""Where requests go and with which key: endpoint, key and timeouts, and where each of them came from."""

from __future__ import annotations

import dataclasses
import importlib.util
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from .errors import InvalidSettings

KEY_VARIABLES = ("GRADIENT_MODEL_ACCESS_KEY", "MODEL_ACCESS_KEY")
ENDPOINT_VARIABLE = "GRADIENT_INFERENCE_ENDPOINT"
DEFAULT_ENDPOINT = "https://inference.do-ai.run"
CONTROL_PLANE_PREFIXES = ("dop_v1_", "doo_v1_", "dor_v1_")
LOOPBACK = ("127.0.0.1", "::1", "localhost")

SIMULATOR_NOTICE = (
    "gradient_notebook: no key is set, so the embedded simulator paints (its images are marked, nothing is billed). "
    f"For the real service, set {KEY_VARIABLES[0]}."
)

_logger = logging.getLogger("gradient_notebook")


class Key:
    """A model access key that shows itself nowhere: not in a repr, not in a traceback."""

    __slots__ = ("_reveal",)

    _reveal: Callable[[], str]

    def __init__(self, text: str, source: str) -> None:
        problem = _problem_of(text.strip())
        self._reveal = text.strip
        del text  # a traceback can show what a function holds
        if problem:
            raise InvalidSettings(f"The key from {source} {problem[0]}.", problem[1])

    def reveal(self) -> str:
        """Return the key itself, for the one header that it goes into."""
        return self._reveal()

    def __repr__(self) -> str:
        return "Key(***)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and self.reveal() == other.reveal()

    def __hash__(self) -> int:
        return hash(self.reveal())


def _problem_of(key: str) -> tuple[str, str] | None:
    """Return what is wrong with a key, and what to do."""
    if prefix := next(filter(key.startswith, CONTROL_PLANE_PREFIXES), None):
        make_one = "Make a model access key in the control panel; it starts with sk-do-."
        return f"starts with {prefix}: a control-plane token, which does not paint", make_one
    if not re.fullmatch(r"[!-~]+", key):
        return "is empty or has characters that no key has", "Copy it again, without quotes, spaces or line ends."
    return None


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where requests go, with which key, and how long they may take (seconds).

    `connect_timeout_s` bounds the way to the service, `read_timeout_s` the silence between two pieces of an answer:
    an image can take a minute and more. A request that surely never reached the model is sent again, at most
    `max_retries` times and waiting `max_wait_s` in all.
    """

    endpoint: str
    key: Key
    endpoint_source: str = field(default="argument", compare=False)
    key_source: str = field(default="argument", compare=False)
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 300.0
    max_retries: int = 4
    max_wait_s: float = 120.0

    def __post_init__(self) -> None:
        url = _address(self.endpoint)
        if url is None:
            what = f"endpoint={self.endpoint!r} from {self.endpoint_source}: expected https://host or https://host:port"
            raise InvalidSettings(what, f"The service's own is {DEFAULT_ENDPOINT}.")
        if url.username or url.password:
            raise InvalidSettings("The endpoint holds a user name or a password.", "Leave them out: the key is sent.")
        if url.scheme == "http" and not self.is_loopback:
            what = f"endpoint={self.endpoint!r} from {self.endpoint_source}: http would show the key to everybody"
            raise InvalidSettings(what, "Use https, or http on this machine (127.0.0.1) only.")
        for name in ("connect_timeout_s", "read_timeout_s"):
            if not getattr(self, name) > 0:
                raise InvalidSettings(f"{name}={getattr(self, name)!r}: expected seconds, more than 0")
        for name in ("max_retries", "max_wait_s"):
            if not getattr(self, name) >= 0:
                raise InvalidSettings(f"{name}={getattr(self, name)!r}: expected 0 or more")

    @property
    def is_loopback(self) -> bool:
        """Whether the endpoint is on this machine."""
        return urlsplit(self.endpoint).hostname in LOOPBACK

    @classmethod
    def discover(
        cls,
        *,
        key: str | None = None,
        endpoint: str | None = None,
        connect_timeout_s: float | None = None,
        read_timeout_s: float | None = None,
        max_retries: int | None = None,
        max_wait_s: float | None = None,
    ) -> Settings:
        """Return the settings from the arguments, the environment, Colab's userdata or a `.env` file.

        Without a key and an endpoint they are the embedded simulator's, which starts, and one line says so.
        Raises InvalidSettings: a key of the wrong kind, an endpoint without a key.
        """
        limits = {
            "connect_timeout_s": connect_timeout_s,
            "read_timeout_s": read_timeout_s,
            "max_retries": max_retries,
            "max_wait_s": max_wait_s,
        }
        given: dict[str, Any] = {name: value for name, value in limits.items() if value is not None}
        found = _found_key(key)
        del key  # a traceback can show what a function holds
        place, where = _found_endpoint(endpoint, found)
        if found is None and place is None:
            return dataclasses.replace(_simulated(), **given)
        if found is None:
            what = f"There is no key for the endpoint {place!r} from {where}."
            raise InvalidSettings(what, f"Set {KEY_VARIABLES[0]}, or unset {ENDPOINT_VARIABLE} for the simulator.")
        return cls(
            endpoint=(place or DEFAULT_ENDPOINT).rstrip("/"),
            key=Key(found.text(), found.source),
            endpoint_source=where,
            key_source=found.source,
            **given,
        )


def _address(endpoint: str) -> SplitResult | None:
    """Return the parts of an endpoint that can be one."""
    try:
        url = urlsplit(endpoint)
        usable = url.scheme in ("http", "https") and url.hostname and (url.port is None or url.port)
    except ValueError:
        return None
    return url if usable else None


@dataclass(frozen=True)
class _Found:
    text: Callable[[], str]  # a closure, so that no repr and no traceback with locals shows it
    source: str
    beside: Mapping[str, str | None] = field(default_factory=dict, repr=False)


def _found_key(argument: str | None) -> _Found | None:
    if argument is not None:
        return _Found(lambda: argument, "argument")
    return next(_places(), None)


def _places() -> Iterator[_Found]:
    """Yield the keys that there are, from the nearest place on."""
    yield from _in(os.environ, "{}")
    if userdata := _colab_userdata():
        yield from _in(userdata, "Colab's secret {}")
    dotenv = _dotenv()
    yield from _in(dotenv, "{} in .env", beside=dotenv)


def _in(
    variables: Mapping[str, str | None], source: str, beside: Mapping[str, str | None] | None = None
) -> Iterator[_Found]:
    for name in KEY_VARIABLES:
        if variables.get(name):
            yield _Found(lambda name=name: variables.get(name) or "", source.format(name), beside or {})  # type: ignore[misc]


def _colab_userdata() -> Mapping[str, str | None]:
    if "google.colab" not in sys.modules:
        return {}
    from google.colab import userdata  # type: ignore[import-not-found, unused-ignore]

    found: dict[str, str | None] = {}
    for name in KEY_VARIABLES:
        try:
            found[name] = userdata.get(name)
        except Exception as error:  # noqa: BLE001 - Colab's own classes: no such secret, or access not granted
            _logger.debug("Colab gives no %s: %s", name, type(error).__name__)
    return found


def _dotenv() -> Mapping[str, str | None]:
    if not importlib.util.find_spec("dotenv"):
        return {}
    folders = [Path.cwd(), *Path.cwd().parents]
    nearest = next((folder / ".env" for folder in folders if (folder / ".env").is_file()), None)
    if nearest is None:
        return {}
    from dotenv import dotenv_values

    try:
        return dotenv_values(nearest)
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSettings(f"{nearest} cannot be read: {error}", "Mend it, or move it away.") from error


def _found_endpoint(argument: str | None, key: _Found | None) -> tuple[str | None, str]:
    if argument:
        return argument, "argument"
    if place := os.environ.get(ENDPOINT_VARIABLE):
        return place, ENDPOINT_VARIABLE
    # A .env file may send its own key elsewhere, never a key from another place.
    beside = key.beside if key else _dotenv()
    if place := beside.get(ENDPOINT_VARIABLE):
        return place, f"{ENDPOINT_VARIABLE} in .env"
    return None, "default"


def without_key() -> bool:
    """Whether neither a key nor an endpoint is configured, so that the simulator paints."""
    key = _found_key(None)
    return key is None and _found_endpoint(None, key)[0] is None


def simulator_notice() -> str:
    """Return the one line that says that the simulator paints, for somebody who says it now."""
    global _announced
    _announced = True
    return SIMULATOR_NOTICE


_announced = False


def _simulated() -> Settings:
    """Start the embedded simulator on first use: the one place that chooses it, and says so."""
    from .. import simulator

    if not _announced:
        _logger.warning(simulator_notice())
    return Settings(
        endpoint=simulator.shared().url,
        key=Key("simulated", "the simulator"),
        endpoint_source="the simulator",
        key_source="the simulator",
    )
