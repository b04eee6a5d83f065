"""Which limits this process shares with the other processes of its archive."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from ..api import bounds
from ..api.settings import Settings
from ..storage.archive import get_default
from ..storage.limits import Limits


def limits_for(settings: Settings) -> Limits | None:
    """Return what all processes of the archive share of an endpoint's limits; None where this process is by itself.

    So it is where nothing is kept on disk, and with the embedded simulator, which is a process's own. An archive that
    cannot be written is found out by those who use it.
    """
    archive = get_default() if settings.is_billed else None
    return _limits(archive.folder, settings) if archive else None


@lru_cache(maxsize=bounds.MAX_CLIENTS)
def _limits(folder: Path, settings: Settings) -> Limits:
    return Limits(folder, settings.endpoint, settings.key)
