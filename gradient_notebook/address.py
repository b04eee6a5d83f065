"""The address of an archive whose originals lie elsewhere, `s3://bucket/prefix`: what it may be, in words where it may not."""

from __future__ import annotations

import importlib.util
import re

from .api.credentials import looks_like_key
from .api.errors import InvalidSettingsError
from .api.text import SHORT, clean

EXPECTED = "a folder, or an address as s3://bucket/prefix"
WITHOUT_BUCKET = ("file", "local", "memory")
"""Protocols whose addresses begin with a path, and not with a bucket or a machine."""
_READ_ONLY = ("http", "https", "data", "github", "zip", "tar")
_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*)://(.*)", re.IGNORECASE | re.DOTALL)


def is_address(text: str) -> bool:
    """Whether this is an address, and no folder."""
    return "://" in text


def looks_like_address(text: str) -> bool:
    """Whether this is meant as an address, `s3:/bucket` included; `C:/folder` is none."""
    return is_address(text) or re.match(r"[a-z][a-z0-9+.-]+:/", text, re.IGNORECASE) is not None


def checked_address(text: str) -> str:
    """Return an address as it is written from now on; raise InvalidSettingsError where it cannot be one.

    What could be a secret in it is not shown.
    """
    found = _ADDRESS.fullmatch(text.strip())
    protocol, rest = (found[1].lower(), found[2]) if found else ("", "")
    place = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" in rest or looks_like_key(text) or ":" in place:
        what = f"archive_dir={protocol or '***'}://***: it contains a user name, a password or a key"
        advice = "Give the bucket alone. Credentials belong in the environment, as AWS_ACCESS_KEY_ID, or in ~/.aws."
        raise InvalidSettingsError(what, advice, param="archive_dir")
    shown = f"archive_dir={clean(re.sub(r'[?#].*', '?***', text.strip(), flags=re.DOTALL), SHORT)!r}"
    if "?" in rest or "#" in rest or "::" in text:
        what = f"{shown}: it has more than a place"
        raise InvalidSettingsError(what, "Give protocol, bucket and prefix alone.", param="archive_dir")
    if protocol in _READ_ONLY:
        what = f"{shown}: nothing can be kept at a {protocol} address"
        raise InvalidSettingsError(what, "Expected s3://bucket/prefix.", param="archive_dir")
    if not found or not rest.isprintable():
        raise InvalidSettingsError(f"{shown}: expected {EXPECTED}", param="archive_dir")
    if protocol not in WITHOUT_BUCKET and not place:
        what = f"{shown}: it names no bucket"
        raise InvalidSettingsError(what, f"Write {protocol}://bucket/prefix.", param="archive_dir")
    if protocol in WITHOUT_BUCKET and not (rest.startswith("/") or protocol == "memory"):
        what = f"{shown}: its path is not absolute"
        raise InvalidSettingsError(what, f"Write {protocol}:///{rest}.", param="archive_dir")
    _check_library(protocol, shown)
    return f"{protocol}://{rest.rstrip('/') or '/' * rest.startswith('/')}"


def _check_library(protocol: str, shown: str) -> None:
    """Raise InvalidSettingsError where nothing is installed that knows the protocol."""
    if importlib.util.find_spec("fsspec") is None:
        raise _missing(shown, "fsspec")
    from fsspec.registry import known_implementations, registry

    if protocol in registry:
        return
    if protocol not in known_implementations:
        what = f"{shown}: {protocol}:// is not known"
        raise InvalidSettingsError(
            what, "Expected s3://bucket/prefix, or another protocol of fsspec.", param="archive_dir"
        )
    library = str(known_implementations[protocol]["class"]).partition(".")[0]
    if importlib.util.find_spec(library) is None:
        raise _missing(shown, library)


def _missing(shown: str, library: str) -> InvalidSettingsError:
    extra = "gradient-notebook[s3]" if library in ("fsspec", "s3fs") else library
    return InvalidSettingsError(f"{shown}: {library} is not installed", f"pip install {extra!r}", param="archive_dir")
