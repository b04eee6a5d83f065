"""Which proxy stands before an address, as the environment says: HTTPS_PROXY and its like, and NO_PROXY in any form.

Each request is looked at by itself, so that a variable that is not meant for its address cannot stand in its way.
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit
from urllib.request import getproxies

from .credentials import QUOTES
from .errors import InvalidSettingsError

SCHEMES = ("http", "https", "socks5", "socks5h")
_PORTS: Mapping[str, int] = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Proxy:
    """A proxy, and the variable that names it."""

    variable: str
    url: str

    @property
    def shown(self) -> str:
        """The variable and its value, without the password that it may have."""
        scheme, separator, rest = self.url.rpartition("://")
        account, _, place = rest.rpartition("@")
        return f"{self.variable}={scheme + separator + ('***@' if account else '') + place!r}"

    def check(self) -> None:
        """Raise InvalidSettingsError where it cannot be used."""
        scheme = self.url.partition("://")[0].lower()
        if not scheme.isalnum() or not _is_place(self.url):
            raise self.refusal()
        if scheme not in SCHEMES:
            advice = "Write socks5://host:port." if scheme.startswith("socks") else "Write http://host:port."
            raise InvalidSettingsError(f"{self.shown}: there is no proxy of the kind {scheme!r}", advice)
        if scheme.startswith("socks") and importlib.util.find_spec("socksio") is None:
            what = f"{self.shown}: a SOCKS proxy needs the package socksio, which is not installed"
            raise InvalidSettingsError(what, f"Install it: pip install 'httpx[socks]'; or unset {self.variable}.")

    def refusal(self) -> InvalidSettingsError:
        """Return the error for what is no address of a proxy."""
        advice = "Write http://host:port; what is special in a password is escaped, @ as %40."
        return InvalidSettingsError(f"{self.shown}: expected the address of a proxy", advice)


@dataclass(frozen=True)
class Proxies:
    """What the environment says of proxies."""

    by_scheme: tuple[tuple[str, Proxy], ...] = ()
    exceptions: str = ""

    @classmethod
    def of_environment(cls) -> Proxies:
        """Return what holds now; on macOS and Windows the system's own settings count as well."""
        found = getproxies()
        schemes = [scheme for scheme in ("http", "https", "all") if found.get(scheme, "").strip()]
        return cls(tuple((scheme, _proxy(scheme, found[scheme])) for scheme in schemes), found.get("no", ""))

    def for_address(self, scheme: str, host: str, port: int | None = None) -> Proxy | None:
        """Return the proxy before an address, if there is one. Raises InvalidSettingsError for one that can't be used."""
        known = dict(self.by_scheme)
        proxy = known.get(scheme) or known.get("all")
        if proxy is None or is_excepted(self.exceptions, host, port or _PORTS.get(scheme, 0)):
            return None
        proxy.check()
        return proxy


def _proxy(scheme: str, value: str) -> Proxy:
    text = value.strip()
    names = (name for name, held in os.environ.items() if name.lower() == f"{scheme}_proxy" and held == value)
    # Lower case goes first where both are set, as for everybody who reads them.
    variable = max(names, key=str.islower, default=f"The system's {scheme} proxy")
    return Proxy(variable, text if "://" in text else f"http://{text}")


def _is_place(url: str) -> bool:
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
    return usable and url.isprintable() and not re.search(rf"[\s{QUOTES}]", url)


def is_excepted(exceptions: str, host: str, port: int) -> bool:
    """Whether NO_PROXY names a host: by name, domain, address, network or pattern, with or without a port.

    An entry that says nothing in any of these forms excepts nothing.
    """
    host = host.lower().strip("[]").rstrip(".")
    entries = re.split(rf"[,;\s{QUOTES}]+", exceptions.lower())
    return any(_names(entry, host, port) for entry in entries if entry)


def _names(entry: str, host: str, port: int) -> bool:
    entry = re.sub(r"%[^\]/]*", "", entry.rpartition("://")[2])  # without the zone of an address
    if entry == "<local>" and "." not in host:
        return True
    if "/" in entry:
        try:
            return ip_address(host) in ip_network(re.sub(r"[\[\]]", "", entry), strict=False)
        except ValueError:
            entry = entry.partition("/")[0]
    # More colons than one, and no brackets: an address without a port.
    found = re.fullmatch(r"\[?([^\[\]]*?)\]?(?::(\d+|\*))?", entry) if "[" in entry or entry.count(":") == 1 else None
    name, only = found.groups() if found else (entry, None)
    if only and only not in ("*", str(port)):
        return False
    return _is_address(name, host) if _address(host) else _is_domain(name, host)


def _is_address(name: str, host: str) -> bool:
    known = _address(name)
    # `10.` and `10.*` are ways to write a network.
    pattern = f"{name}*" if name.endswith(".") else name
    return known == _address(host) if known else bool(name) and fnmatch(host, pattern)


def _address(text: str) -> object | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _is_domain(name: str, host: str) -> bool:
    # A domain means what is below it as well, with or without the dot before it.
    domain = name.removeprefix("*.").strip(".")
    if "*" in domain or "?" in domain:
        return fnmatch(host, domain)
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))
