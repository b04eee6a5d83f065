"""Where requests go and with which key: endpoint, key and limits as a value, and where each of them came from."""

from __future__ import annotations

import dataclasses
import functools
import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Protocol, Self, TypeVar, runtime_checkable
from urllib.parse import urlsplit

from .credentials import AROUND, QUOTES, Key, looks_like_key
from .errors import InvalidSettingsError
from .text import SHORT, shortened

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
        max_request_s: seconds allowed for a whole request, however busily it is answered.
        max_retries: how often a request that never reached the model is sent again; no other ever is.
        max_wait_s: seconds of waiting before that, in all.
        service: which service it is, for the identity of a request; the endpoint without its scheme unless given.
        is_billed: whether it bills what it makes; what other services would bill is counted apart.

    Raises:
        InvalidSettingsError: a key or an endpoint that cannot be used; a limit below 0.
    """

    endpoint: str
    key: Key
    endpoint_source: str = field(default="argument", compare=False)
    key_source: str = field(default="argument", compare=False)
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 300.0
    max_request_s: float = 1800.0
    max_retries: int = 4
    max_wait_s: float = 120.0
    service: str = field(default="", compare=False)
    is_billed: bool = field(default=True, compare=False)

    def __post_init__(self) -> None:
        self.key.check()
        # The one way to change what is frozen: the caller need not know how an endpoint is written.
        object.__setattr__(self, "endpoint", tidy_endpoint(self.endpoint))
        if self.key.is_in(self.endpoint):
            raise InvalidSettingsError("The endpoint contains the key.", "Remove it: the key is sent in a header.")
        if problem := _problem(self.endpoint):
            what, advice = problem
            shown = f"endpoint={shown_endpoint(self.endpoint)} from {self.endpoint_source}"
            raise InvalidSettingsError(f"{shown}: {what}", advice or f"The default is {DEFAULT_ENDPOINT}.")
        if urlsplit(self.endpoint).hostname == urlsplit(DEFAULT_ENDPOINT).hostname:
            self.key.check_for_the_service()
        for name in ("connect_timeout_s", "read_timeout_s", "max_request_s"):
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
        if (silence_s := changes.get("read_timeout_s")) is not None:
            # Somebody who allows a long silence does not mean it to be cut short.
            changes["max_request_s"] = max(silence_s, self.max_request_s)
        if max_retries is not None:
            changes["max_retries"] = max_retries
        return dataclasses.replace(self, **changes) if changes else self

    @property
    def known_as(self) -> str:
        """What the service is called in the identity of a request."""
        return self.service or self.endpoint.partition("://")[2].lower()

    @property
    def is_https(self) -> bool:
        """Whether the way there is encrypted; a scheme can be written in capitals, too."""
        return urlsplit(self.endpoint).scheme == "https"

    @property
    def is_loopback(self) -> bool:
        """Whether the endpoint is on this machine."""
        return urlsplit(self.endpoint).hostname in LOOPBACK


_VISIBLE = re.compile(rf"(?:{AROUND})?(.*?)(?:{AROUND})?", re.DOTALL)
_DOCUMENTED_PATH = re.compile(
    r"(?:/+v1(?:/+(?:images(?:/+\w+)?|models|embeddings|(?:chat/+)?completions|responses))?)?/*", re.IGNORECASE
)
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\s\[\]:%\\<>\"'`{}|^*$&+,;=!()~]+)(:[0-9]{1,5})?", re.IGNORECASE)


def tidy_endpoint(endpoint: object) -> str:
    """Return an endpoint without what people copy along: white space, a final slash, `/v1`, the documented paths."""
    found = _VISIBLE.fullmatch("" if endpoint is None else str(endpoint))
    text = found[1] if found else ""
    scheme, separator, rest = text.partition("://")
    # More than once: what is tidy stays as it is, however often settings are copied.
    while (end := _end_of_path(rest)) < len(rest):
        rest = rest[:end]
    return scheme + separator + rest


def _end_of_path(rest: str) -> int:
    """Return where the documented path begins at the end of an address, or its length."""
    places = (match.start() for match in re.finditer("/", rest))
    return next((at for at in places if _DOCUMENTED_PATH.fullmatch(rest, at)), len(rest))


def _problem(endpoint: str) -> tuple[str, str] | None:
    """Return what keeps an endpoint from being one, and what to do if it is known."""
    if re.search(f"[{QUOTES}]", endpoint):
        return "it has quotation marks", "Remove them: in a shell they are right, in a file they are part of the value."
    if re.match(r"(?:export\s+)?\w+\s*=", endpoint):
        return "it has a name before it, as in NAME=", "Give the address alone."
    if re.search(r"\s", endpoint) or not endpoint.isprintable():
        return "it has white space or what cannot be printed in it", "Write it on one line, without spaces."
    scheme, separator, rest = endpoint.partition("://")
    place = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" in place:
        return "it contains a user name or a password", "Remove them: the key is sent instead."
    if "?" in rest or "#" in rest:
        return "it has a query or a fragment", "Remove what follows the path: parameters belong to the request."
    if "%" in place:
        return "its host contains %", "A zone or an escaped character can't be used; write the address without it."
    if not separator or scheme.lower() not in ("http", "https") or not _is_host(place):
        return "expected https://host or https://host:port", ""
    if scheme.lower() == "http" and urlsplit(endpoint).hostname not in LOOPBACK:
        return "http would expose the key", "Use https; http is only for this machine (127.0.0.1)."
    return None


def _is_host(place: str) -> bool:
    """Whether this is a host, and perhaps a port."""
    found = _HOST.fullmatch(place)
    if not found or (found[2] and not 0 < int(found[2][1:]) < 65536):
        return False
    try:
        urlsplit(f"//{place}")  # knows characters that stand for others, `/` among them
        if found[1].startswith("["):
            return bool(ip_address(found[1][1:-1]))
        # What the system asks for it: a part that is empty or too long ends in an error of its own there.
        return bool(found[1].encode("idna"))
    except ValueError:  # UnicodeError is one
        return False


def shown_endpoint(endpoint: object) -> str:
    """Return an endpoint for a message: a key, a password or a query, where secrets stand, is not shown."""
    text = str(endpoint)
    if looks_like_key(text) or "@" in text:
        return "***"
    return repr(shortened(re.sub(r"([?#]).+", r"\1***", text, flags=re.DOTALL), SHORT))
