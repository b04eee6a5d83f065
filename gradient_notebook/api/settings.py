"""Where requests go and with which key: endpoint, key and timeouts, and where each of them came from."""

from __future__ import annotations

import dataclasses
import functools
import logging
import os
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import SplitResult, urlsplit

from . import credentials
from .credentials import ENDPOINT_VARIABLE, KEY_VARIABLES, Found, Key
from .errors import InvalidSettingsError

DEFAULT_ENDPOINT = "https://inference.do-ai.run"
LOOPBACK = ("127.0.0.1", "::1", "localhost")

SIMULATOR_NOTICE = (
    "gradient_notebook: no key is set, so the embedded simulator paints (its images are marked, nothing is billed). "
    f"For the real service, set {KEY_VARIABLES[0]} or run {credentials.LOGIN}."
)

_logger = logging.getLogger("gradient_notebook")

T = TypeVar("T")


def _masks_key(kind: type[T]) -> type[T]:
    """Wrap the key that a class is made with, so that no frame of its making holds it as text."""
    make = getattr(kind, "__init__")  # noqa: B009 - what a dataclass has generated

    @functools.wraps(make)
    def masked(self: T, *, key: Key | str, **others: Any) -> None:
        wrapped = Key.of(key)
        del key
        make(self, key=wrapped, **others)

    setattr(kind, "__init__", masked)
    return kind


@_masks_key
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
        self.key.check()
        url = _address(self.endpoint)
        if url is None:
            what = f"endpoint={_shown(self.endpoint)} from {self.endpoint_source}: expected https://host or https://host:port"
            raise InvalidSettingsError(what, f"The service's own is {DEFAULT_ENDPOINT}.")
        if url.username or url.password:
            raise InvalidSettingsError(
                "The endpoint holds a user name or a password.", "Leave them out: the key is sent."
            )
        if self.key.is_in(self.endpoint):
            raise InvalidSettingsError("The endpoint holds the key.", "Leave it out: it goes into a header.")
        if url.scheme == "http" and not self.is_loopback:
            what = f"endpoint={_shown(self.endpoint)} from {self.endpoint_source}: http would show the key to everybody"
            raise InvalidSettingsError(what, "Use https, or http on this machine (127.0.0.1) only.")
        for name in ("connect_timeout_s", "read_timeout_s"):
            if not getattr(self, name) > 0:
                raise InvalidSettingsError(f"{name}={getattr(self, name)!r}: expected seconds, more than 0")
        for name in ("max_retries", "max_wait_s"):
            if not getattr(self, name) >= 0:
                raise InvalidSettingsError(f"{name}={getattr(self, name)!r}: expected 0 or more")

    @property
    def is_loopback(self) -> bool:
        """Whether the endpoint is on this machine."""
        return urlsplit(self.endpoint).hostname in LOOPBACK

    @classmethod
    def discover(
        cls,
        *,
        key: Key | str | None = None,
        endpoint: str | None = None,
        connect_timeout_s: float | None = None,
        read_timeout_s: float | None = None,
        max_retries: int | None = None,
        max_wait_s: float | None = None,
    ) -> Settings:
        """Return the settings from the arguments, what was logged in with, the environment, Colab or a `.env` file.

        The system's keyring comes last, if `%imagegen_login --keyring` was run once. Without a key and an endpoint
        they are the embedded simulator's, which starts, and one line says so. Raises InvalidSettingsError: a key of the wrong
        kind, an endpoint without a key.
        """
        limits = {
            "connect_timeout_s": connect_timeout_s,
            "read_timeout_s": read_timeout_s,
            "max_retries": max_retries,
            "max_wait_s": max_wait_s,
        }
        given: dict[str, Any] = {name: value for name, value in limits.items() if value is not None}
        argument = credentials.first_given(key)
        del key
        found = Found(argument) if argument else credentials.find_key()
        place, where = _found_endpoint(endpoint, found)
        if found.key is None and place is None:
            return dataclasses.replace(_simulated(), **given)
        if found.key is None:
            what = f"There is no key for the endpoint {_shown(place)} from {where}."
            raise InvalidSettingsError(what, f"Set {KEY_VARIABLES[0]}, or unset {ENDPOINT_VARIABLE} for the simulator.")
        return cls(
            endpoint=(place or DEFAULT_ENDPOINT).rstrip("/"),
            key=found.key,
            endpoint_source=where,
            key_source=found.key.source,
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


def _shown(endpoint: object) -> str:
    """Return an endpoint for a message: a key or a password that got there by mistake is not shown."""
    return "***" if credentials.looks_like_key(str(endpoint)) or "@" in str(endpoint) else repr(endpoint)


def _found_endpoint(argument: str | None, found: Found) -> tuple[str | None, str]:
    if argument:
        return argument, "argument"
    if place := os.environ.get(ENDPOINT_VARIABLE):
        return place, ENDPOINT_VARIABLE
    if found.endpoint:
        return found.endpoint, f"{ENDPOINT_VARIABLE} in .env"
    return None, "default"


def without_key() -> bool:
    """Whether neither a key nor an endpoint is configured, so that the simulator paints."""
    return not credentials.has_key() and _found_endpoint(None, credentials.find_key())[0] is None


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
        key=Key("the-simulator-takes-any-key", "the simulator"),
        endpoint_source="the simulator",
        key_source="the simulator",
    )
