"""Where requests go and with which key: endpoint, key and limits as a value, and where each of them came from."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass, field
from typing import Any, Protocol, Self, TypeVar, runtime_checkable
from urllib.parse import SplitResult, urlsplit

from .credentials import Key, looks_like_key
from .errors import InvalidSettingsError

DEFAULT_ENDPOINT = "https://inference.do-ai.run"
LOOPBACK = ("127.0.0.1", "::1", "localhost")

T = TypeVar("T")


@runtime_checkable
class Timeout(Protocol):
    """What is used of an `httpx.Timeout`, in seconds; None is no other than before."""

    read: float | None
    connect: float | None


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
    """Where requests go, with which key, and how long they may take.

    Args:
        endpoint: `https://host` or `https://host:port`.
        key: the model access key.
        endpoint_source, key_source: where they come from, for messages.
        connect_timeout_s: seconds allowed for connecting.
        read_timeout_s: seconds of silence allowed within an answer: an image can take a minute and more.
        max_retries: how often a request that never reached the model is sent again; no other ever is.
        max_wait_s: seconds of waiting before that, in all.

    Raises:
        InvalidSettingsError: a key or an endpoint that cannot be used; a limit below 0.
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
            what = f"endpoint={shown_endpoint(self.endpoint)} from {self.endpoint_source}: expected https://host or https://host:port"
            raise InvalidSettingsError(what, f"The default is {DEFAULT_ENDPOINT}.")
        if url.username or url.password:
            raise InvalidSettingsError(
                "The endpoint contains a user name or a password.", "Remove them: the key is sent instead."
            )
        if self.key.is_in(self.endpoint):
            raise InvalidSettingsError("The endpoint contains the key.", "Remove it: the key is sent in a header.")
        if url.scheme == "http" and not self.is_loopback:
            what = f"endpoint={shown_endpoint(self.endpoint)} from {self.endpoint_source}: http would expose the key"
            raise InvalidSettingsError(what, "Use https; http is only for this machine (127.0.0.1).")
        for name in ("connect_timeout_s", "read_timeout_s"):
            # Not `<= 0`, which lets nan through: it compares with nothing.
            if not getattr(self, name) > 0:
                raise InvalidSettingsError(f"{name}={getattr(self, name)!r}: expected more than 0 seconds")
        for name in ("max_retries", "max_wait_s"):
            if not getattr(self, name) >= 0:
                raise InvalidSettingsError(f"{name}={getattr(self, name)!r}: expected 0 or more")

    def replace(self, *, timeout: float | Timeout | None = None, max_retries: int | None = None) -> Self:
        """Return settings with another time allowed for an answer, or another number of retries.

        Args:
            timeout: seconds of silence allowed, also for connecting; an `httpx.Timeout` says both. None changes nothing.
            max_retries: how often a request that never reached the model is sent again.
        """
        changes: dict[str, Any] = {}
        if isinstance(timeout, Timeout):
            given = {"read_timeout_s": timeout.read, "connect_timeout_s": timeout.connect}
            changes = {name: seconds for name, seconds in given.items() if seconds is not None}
        elif timeout is not None:
            changes = {"read_timeout_s": timeout, "connect_timeout_s": min(timeout, self.connect_timeout_s)}
        if max_retries is not None:
            changes["max_retries"] = max_retries
        return dataclasses.replace(self, **changes) if changes else self

    @property
    def is_https(self) -> bool:
        """Whether the way there is encrypted; a scheme can be written in capitals, too."""
        return urlsplit(self.endpoint).scheme == "https"

    @property
    def is_loopback(self) -> bool:
        """Whether the endpoint is on this machine."""
        return urlsplit(self.endpoint).hostname in LOOPBACK


def _address(endpoint: str) -> SplitResult | None:
    """Return the parts of an endpoint that can be one."""
    try:
        url = urlsplit(endpoint)
        usable = url.scheme in ("http", "https") and url.hostname and (url.port is None or url.port)
    except ValueError:
        return None
    return url if usable else None


def shown_endpoint(endpoint: object) -> str:
    """Return an endpoint for a message: a key or a password that got there by mistake is not shown."""
    return "***" if looks_like_key(str(endpoint)) or "@" in str(endpoint) else repr(endpoint)
