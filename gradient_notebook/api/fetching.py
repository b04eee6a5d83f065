"""An image that a service sends as an address: fetched at once, since such addresses soon lead nowhere.

The address comes from the service, and so may lead anywhere: to other programs of this machine, or of its network. It is
followed to the endpoint's own host, and to what is public where the connection is made.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import SplitResult, urljoin, urlsplit

from . import bounds
from .errors import InvalidResponseError, InvalidSettingsError
from .images import format_of
from .reasons import reason_in
from .settings import LOOPBACK, Settings
from .text import clean

PAUSES_S = (0.5, 1.5)
"""An address that cannot be read is asked again after these: it costs nothing, and some are not ready at once (seconds)."""
_NOT_READY = (404, 408, 425, 429, 500, 502, 503, 504)
_THIS_MACHINE = (*LOOPBACK, "0.0.0.0")  # noqa: S104 - what servers call themselves that listen everywhere
_PRIVATE_ENDINGS = (".localhost", ".local", ".internal", ".lan", ".home.arpa")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


ConnectionCheck = Callable[[str, str], None]
"""Is called with the host that a connection is made to and its address there, and raises where it must not be."""


@dataclass(frozen=True)
class Fetched:
    """What was at an address."""

    status: int
    headers: Mapping[str, str]
    data: bytes
    is_whole: bool
    """Whether that is all of it: there is a bound."""


class FetchError(Exception):
    """Nothing could be fetched from an address; `is_passing` says whether it may be different in a moment."""

    def __init__(self, reason: str, *, is_passing: bool = False) -> None:
        super().__init__(reason)
        self.is_passing = is_passing


class Fetcher(Protocol):
    """What fetches: the transport."""

    async def fetch(self, url: str, check: ConnectionCheck, at_most: int) -> Fetched:
        """Return what is at an address, up to a bound. Raises FetchError, and what `check` raises."""


class _RefusedError(Exception):
    """An address must not be followed."""


async def fetch_image(transport: Fetcher, settings: Settings, address: str) -> bytes:
    """Return the image at an address that a service has sent; raises InvalidResponseError, which has the address."""
    own_host = urlsplit(settings.endpoint).hostname or ""
    reason, received = "", b""
    try:
        async with asyncio.timeout(bounds.MAX_FETCH_S):
            fetched = await _patiently(transport, urljoin(f"{settings.endpoint}/", address), own_host)
        if _is_there(fetched) and _is_picture(fetched):
            return fetched.data
        reason, received = _reason(fetched), fetched.data if _is_there(fetched) else b""
    except TimeoutError:
        reason = f"it took more than {bounds.MAX_FETCH_S:g} s"
    except (FetchError, _RefusedError, InvalidSettingsError, ValueError) as error:
        reason = clean(settings.key.hidden_in(str(error)), 300).rstrip(".")
    what = f"The service sent the address of the image, and it could not be fetched: {reason}."
    # Not `from` what was caught: its frames hold what came.
    raise InvalidResponseError(what, address=clean(address, bounds.MAX_ADDRESS_CHARACTERS), received=received)


async def _patiently(transport: Fetcher, url: str, own_host: str) -> Fetched:
    for pause_s in PAUSES_S:
        try:
            fetched = await _followed(transport, url, own_host)
        except FetchError as error:
            if not error.is_passing:
                raise
        else:
            if fetched.status not in _NOT_READY:
                return fetched
        await asyncio.sleep(pause_s)
    return await _followed(transport, url, own_host)


async def _followed(transport: Fetcher, url: str, own_host: str) -> Fetched:
    for _ in range(bounds.MAX_REDIRECTS + 1):
        fetched = await transport.fetch(url, _check_for(_checked(url, own_host), own_host), bounds.MAX_IMAGE_BYTES)
        location = fetched.headers.get("location", "")
        if fetched.status not in range(300, 400) or not location:
            return fetched
        url = urljoin(url, location)
    raise _RefusedError(f"more than {bounds.MAX_REDIRECTS} redirects")


def _checked(url: str, own_host: str) -> SplitResult:
    """Return the parts of an address that may be followed, as far as it tells by itself."""
    if len(url) > bounds.MAX_ADDRESS_CHARACTERS:
        raise _RefusedError(f"it has more than {bounds.MAX_ADDRESS_CHARACTERS:,} characters")
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    if parts.scheme not in ("http", "https") or not host:
        raise _RefusedError("it is no address of the web")
    if not _is_own(host, own_host) and parts.scheme != "https":
        raise _RefusedError(f"http to {clean(host, 100)} is neither encrypted nor the endpoint's own host")
    return parts


def _check_for(parts: SplitResult, own_host: str) -> ConnectionCheck:
    """Return what looks at the connections that are made on the way to an address."""
    host = (parts.hostname or "").lower()

    def check(connected_to: str, peer: str) -> None:
        if _is_own(host, own_host):
            return
        # A proxy stands in between: what it connects to is seen by nobody here, and only the name tells.
        is_direct = connected_to.lower().strip("[]") == host
        if not (_is_public(peer) if is_direct else _is_public_name(host)):
            raise _RefusedError(f"{clean(host, 100)} is in a private network")

    # A connection that the user's own client makes may not be seen at all.
    if not _is_own(host, own_host) and not _may_be_public(host):
        raise _RefusedError(f"{clean(host, 100)} is in a private network")
    return check


def _is_own(host: str, own_host: str) -> bool:
    return host == own_host.lower() or (own_host in LOOPBACK and host in _THIS_MACHINE)


def _may_be_public(host: str) -> bool:
    """Whether a name may be that of a public host: names are looked up where the connection is made."""
    try:
        # As the system reads it, which takes 127.1 and 0x7f000001 as well.
        return _is_public(socket.inet_ntoa(socket.inet_aton(host)))
    except OSError:
        pass
    if ":" in host:
        return _is_public(host)
    return host != "localhost" and not host.endswith((".localhost",))


def _is_public_name(host: str) -> bool:
    return _may_be_public(host) and "." in host.strip(".") and not host.rstrip(".").endswith(_PRIVATE_ENDINGS)


def _is_public(address: str) -> bool:
    """Whether an address is reached over the public network."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        embedded = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if ip in _NAT64:
            embedded = ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
        ip = embedded or ip
    return ip.is_global and not ip.is_multicast


def _is_there(fetched: Fetched) -> bool:
    return fetched.status in range(200, 300) and fetched.is_whole


def _is_picture(fetched: Fetched) -> bool:
    """Whether bytes are an image, or something that the other side calls one."""
    return bool(format_of(fetched.data)) or (
        bool(fetched.data) and fetched.headers.get("content-type", "").startswith("image/")
    )


def _reason(fetched: Fetched) -> str:
    if not fetched.is_whole:
        return f"it has more than {bounds.MAX_IMAGE_BYTES:,} bytes"
    if not _is_there(fetched):
        said = clean(reason_in(fetched.data), 200)
        return f"HTTP status {fetched.status}{f', {said}' if said else ''}"
    if not fetched.data:
        return "there is nothing"
    return f"there is {clean(fetched.headers.get('content-type', '') or 'something', 100)}, not an image"
