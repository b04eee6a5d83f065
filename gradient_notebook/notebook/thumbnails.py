"""Small pictures of originals; what is made once is kept in the ledger for the next time."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..api.errors import GradientNotebookError, InvalidResponseError
from ..storage.archive import Archive, read_original
from ..sweeps.cell import Cell

THUMBNAIL_PX = 320
"""Long edge of a small picture, in pixels: twice what it is shown at."""


def kept(archive: Archive, names: Sequence[str]) -> dict[str, bytes]:
    """Return the small pictures that the ledger has of these originals, by the names of the files."""
    if not names:
        return {}
    with contextlib.suppress(OSError):  # they can be made again
        return archive.ledger.thumbnails(names)
    return {}


def keep(archive: Archive, made: Mapping[str, bytes]) -> None:
    """Keep small pictures in the ledger."""
    with contextlib.suppress(OSError):
        archive.ledger.put_thumbnails(made) if made else None


def made(path: Path) -> bytes | None:
    """Return a small picture of an original; None where that is damaged or gone."""
    try:
        return small(read_original(path))
    except GradientNotebookError:
        return None


def small(data: bytes) -> bytes | None:
    """Return a small picture of an image; None where it cannot be opened."""
    from ..imaging import open_image, preview

    try:
        return preview(open_image(data), THUMBNAIL_PX).data
    except InvalidResponseError:
        return None


def made_of(cell: Cell) -> bytes | None:
    """Return a small picture of a sweep's cell; None where it has no image that can be shown."""
    if cell.paths:
        return made(cell.paths[0])
    return small(cell.bytes) if cell.bytes else None  # without an archive


def of(archive: Archive, path: Path) -> bytes | None:
    """Return the small picture of an original, which is kept for the next time; None where it cannot be shown."""
    data = kept(archive, [path.name]).get(path.name)
    if data is None and (data := made(path)):
        keep(archive, {path.name: data})
    return data
