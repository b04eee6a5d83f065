"""What can still be read of a damaged ledger: row by row from both ends, and then page by page."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import pages
from .record import DamagedRowError, ImageRecord, Record, image_of, record_of

if TYPE_CHECKING:
    from sqlite3 import Connection

Row = dict[str, Any]

_ORIGINAL = re.compile(r"(?P<hash>[0-9a-f]{64})\.\w+")
_LOST = "(unknown: the ledger was damaged)"


class Rows:
    """The rows of a damaged ledger that make sense, by their keys."""

    def __init__(self) -> None:
        self.generations: dict[str, Row] = {}
        self.images: dict[tuple[str, int], Row] = {}
        self.spending: list[tuple[Any, ...]] = []
        """What was counted, also of records that were deleted since."""
        self.judged: dict[str, list[tuple[Any, ...]]] = {}
        """What people thought of images, by table."""

    def read(self, connection: Connection, broken: type[Exception]) -> None:
        """Take what SQLite still reads: from the beginning to the damage, where it raises `broken`, and from the end."""
        for table, key in (("generations", "id"), ("images", "generation, position")):
            for order in (key, ", ".join(f"{name} DESC" for name in key.split(", "))):
                with contextlib.suppress(broken):
                    cursor = connection.execute(f"SELECT * FROM {table} NOT INDEXED ORDER BY {order}")  # noqa: S608
                    names = [column[0] for column in cursor.description]
                    for values in cursor:
                        self._take(dict(zip(names, values, strict=True)))
        with contextlib.suppress(broken):
            for row in connection.execute(f"SELECT {', '.join(SPENDING)} FROM spending NOT INDEXED"):  # noqa: S608
                if isinstance(row[0], str) and all(isinstance(value, int | float) and value >= 0 for value in row[1:5]):
                    self.spending.append(row)
        for table, columns in JUDGED.items():
            with contextlib.suppress(broken):
                for row in connection.execute(f"SELECT {', '.join(columns)} FROM {table} NOT INDEXED"):  # noqa: S608
                    self.judged.setdefault(table, []).append(row)

    def scan(self, path: Path) -> None:
        """Take what stands on whole pages that no way leads to any more."""
        for values in pages.rows(path):
            for names in (_GENERATION, _IMAGE):
                # A row that was written before a column was added is shorter.
                self._take(dict(zip(names, values, strict=False)))

    def _take(self, row: Row) -> None:
        names = _IMAGE if "generation" in row else _GENERATION
        row = {**_MISSING, **row}  # of an earlier version, or without a column that somebody has taken away
        with contextlib.suppress(DamagedRowError, KeyError, TypeError):
            if "generation" in row:
                image_of(row)
                if isinstance(row["generation"], str) and isinstance(row["thumbnail"], bytes | None):
                    self.images.setdefault((row["generation"], row["position"]), _known(row, names))
            else:
                record_of(row, ())
                self.generations.setdefault(row["id"], _known(row, names))


_GENERATION = (
    *("id", "started_at", "ended_at", "outcome", "model", "prompt", "params", "endpoint", "owner"),
    *("identity", "run", "cell", "currency", "most"),
)
_IMAGE = (
    *("generation", "position", "outcome", "file", "is_partial", "byte_count", "request_id", "revised_prompt"),
    *("usage", "reported", "error", "thumbnail", "cost"),
)
SPENDING = ("id", "at", "spent", "held", "unknown", "currency", "owner")
"""The columns of the tables, in the order in which they stand on disk."""
JUDGED = {
    "ratings": ("generation", "position", "stars", "tags", "note"),
    "votes": ("run", "winner", "loser", "voted_at"),
    "runs": ("id", "digest", "started_at", "fresh", "service", "plan"),
    "deleted": ("run", "cell"),
    "runners": ("run", "process", "is_detached", "began_at", "state", "wanted", "asked", "heard", "reused"),
}
"""Tables of what nobody can make again, by name; what reads them passes over what makes no sense."""


_MISSING: Row = {
    **dict.fromkeys(
        (
            "ended_at",
            "outcome",
            "owner",
            "identity",
            "run",
            "cell",
            "currency",
            "most",
            "cost",
            "request_id",
            "revised_prompt",
            "usage",
            "error",
            "thumbnail",
        )
    ),
    "reported": "{}",
}
"""What stands for a column that is not there; a row without any of the others is none."""


def _known(row: Row, names: tuple[str, ...]) -> Row:
    return {name: row[name] for name in names}


def originals_beside(rows: Rows, originals: Path) -> list[Record]:
    """Return a record for each image that has lost its own, so that the history still shows it."""
    lost: dict[str, list[ImageRecord]] = {}
    for (generation, _), row in rows.images.items():
        if generation not in rows.generations:
            lost.setdefault(generation, []).append(image_of(row))
    named = {row["file"] for row in rows.images.values()}
    for path, digest in _files(originals):
        if path.name not in named:
            kept = ImageRecord(position=0, outcome="done", file=path.name, byte_count=path.stat().st_size)
            lost[digest[:12]] = [kept]
    return [_stand_in(generation, images, originals) for generation, images in lost.items()]


def _files(originals: Path) -> Iterator[tuple[Path, str]]:
    for path in sorted(originals.iterdir()) if originals.is_dir() else ():
        if (found := _ORIGINAL.fullmatch(path.name)) and path.is_file():
            yield path, found["hash"]


def _stand_in(generation: str, images: list[ImageRecord], originals: Path) -> Record:
    """Return what can be said of a generation whose record is lost: when its file was written, and how it ended."""
    times = [
        path.stat().st_mtime for image in images if image.file and (path := originals / Path(image.file).name).exists()
    ]
    return Record(
        id=generation,
        started_at=max(0.0, min(times, default=0.0)),
        outcome="done" if any(image.outcome == "done" for image in images) else "unknown",
        model="unknown",
        prompt=_LOST,
        params={},
        endpoint="",
        images=tuple(images),
    )


def moved_aside(path: Path) -> Path:
    """Move a ledger and its side files to a name that is free, and return it."""
    number = 1
    while (aside := path.with_name(f"{path.stem}.damaged-{number}{path.suffix}")).exists():
        number += 1
    # Its side files first: beside a new ledger they would be taken for that one's.
    for ending in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + ending).rename(aside.with_name(aside.name + ending))
    path.rename(aside)
    return aside
