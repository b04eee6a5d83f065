"""Whose certificates are trusted: those of certifi, or of the file or folder that the environment names."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from stat import S_ISDIR

from .errors import InvalidSettingsError

FILE, FOLDERS = "SSL_CERT_FILE", "SSL_CERT_DIR"
VARIABLES = (FILE, FOLDERS, "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Which variables name them, in order. The first that is set counts; OpenSSL takes its own two together."""


def named() -> Mapping[str, str]:
    """Return the variables that count, and what they name; empty where none is set."""
    found = {name: value for name in VARIABLES if (value := os.environ.get(name, "").strip())}
    own = {name: found[name] for name in (FILE, FOLDERS) if name in found}
    return own or dict(list(found.items())[:1])


def own_context() -> ssl.SSLContext | None:
    """Return what trusts those that the environment names, and nobody else; None where it names none.

    Raises InvalidSettingsError, which names the variable, for what cannot be read.
    """
    places: list[tuple[str, bool, int]] = []
    for variable, value in named().items():
        try:
            found = _places(variable, value)
            _context(found)
        except OSError as error:  # ssl.SSLError is one
            problem = "no certificate can be read in it" if isinstance(error, ssl.SSLError) else error.strerror
            what = f"{variable}={value!r}: {problem}"
            raise InvalidSettingsError(what, f"Name a file of certificates (PEM), or unset {variable}.") from None
        places += found
    return _context(tuple(places)) if places else None


_Places = tuple[tuple[str, bool, int], ...]
"""Paths, whether each is a folder, and when it was changed: somebody may fix a file while this process runs."""


def _places(variable: str, value: str) -> _Places:
    """Return what a variable names. SSL_CERT_DIR may name several folders, of which some may be missing."""
    parts = value.split(os.pathsep) if variable == FOLDERS else [value]
    present = [part for part in parts if os.access(part, os.R_OK)] or parts[:1]
    found = [(part, Path(part).stat()) for part in present]
    return tuple((part, S_ISDIR(state.st_mode), state.st_mtime_ns) for part, state in found)


@cache
def _context(places: _Places) -> ssl.SSLContext:
    (first, is_folder, _), *others = places
    # With the first at once: a context without any would trust the system's own as well.
    context = ssl.create_default_context(cafile=None if is_folder else first, capath=first if is_folder else None)
    for place, is_folder, _ in others:
        context.load_verify_locations(cafile=None if is_folder else place, capath=place if is_folder else None)
    return context


def advice() -> str:
    """Return what to do about a certificate that is not trusted."""
    if not (places := named()):
        return f"If this network has an authority of its own, set {FILE} to the file with its certificate (PEM)."
    shown = " and ".join(f"{variable}={value!r}" for variable, value in places.items())
    others = " or ".join(name for name in VARIABLES if name not in places and os.environ.get(name, "").strip())
    alone = f", and not what {others} names" if others else ""
    return f"Trusted is what {shown} names{alone}: the authority of this network belongs there."
