"""Records and originals as jobs leave them, without jobs."""

from __future__ import annotations

import datetime as dt
import io
from typing import Any

from PIL import Image

from gradient_notebook.storage.archive import Archive
from gradient_notebook.storage.ledger import ImageRecord, Record

DAY_S = 86_400
NOON = dt.datetime(2026, 11, 20, 12).astimezone()


def png(color: str, size: tuple[int, int] = (64, 48)) -> bytes:
    """Return a picture of one color, as a file."""
    file = io.BytesIO()
    Image.new("RGB", size, color).save(file, "PNG")
    return file.getvalue()


def put(
    prompt: str, *images: ImageRecord | bytes, archive: Archive | None = None, days_ago: int = 0, **values: Any
) -> str:
    """Write a record, and the files of those images that are given as bytes. Return its id."""
    archive = archive or Archive()
    record_id = f"id{len(archive.records())}"
    known: dict[str, Any] = {"started_at": NOON.timestamp() - days_ago * DAY_S, "outcome": "done", "model": "painter"}
    given = {"prompt": prompt, "model": "painter", "n": max(1, len(images))}
    whole = Record(**{"id": record_id, "prompt": prompt, "params": given, "endpoint": "e", **known, **values})
    kept = []
    for position, image in enumerate(images):
        if isinstance(image, bytes):
            with archive.storing(image, record_id, position) as path:
                found = ImageRecord(position=position, outcome="done", file=path.name, byte_count=len(image))
        else:
            found = image
        kept.append(found)
    archive.ledger.put(Record(**{**vars(whole), "images": tuple(kept)}))
    return record_id
