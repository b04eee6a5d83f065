"""The ledger: what was asked for and what came of it, in SQLite, for all kernels and processes at once.

Each call opens the file: it costs 2 ms, and neither a fork nor a folder that is moved away can break it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .outcome import Outcome

if TYPE_CHECKING:
    from sqlite3 import Connection, Row

_BUSY_S = 5.0
"""How long others that are writing are waited for, in seconds; each of them takes milliseconds."""


class LedgerError(OSError):
    """The ledger cannot be read or written."""


@dataclass(frozen=True, kw_only=True)
class ImageRecord:
    """One of a generation's images, by its position from 0."""

    position: int
    outcome: Outcome = "unknown"
    file: str | None = None
    """Name of the original, in the archive's folder."""
    is_partial: bool = False
    """Whether `file` is only the newest partial image: the finished one never came."""
    byte_count: int = 0
    request_id: str | None = None
    revised_prompt: str | None = None
    usage: dict[str, Any] | None = None
    reported: dict[str, Any] = field(default_factory=dict)
    """The settings that the service says it has used, and the image's `url` if it says one."""
    error: dict[str, Any] | None = None
    """Why it did not come: `type`, `what`, and what the service says of it."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """One generation: what was asked for, when (Unix seconds), and its images. `ended_at` None: no end was recorded."""

    id: str
    started_at: float
    ended_at: float | None = None
    outcome: Outcome = "unknown"
    model: str
    prompt: str
    params: dict[str, Any]
    """What was given, by name, as `ImageGenerateParams.of` takes it."""
    endpoint: str
    images: tuple[ImageRecord, ...] = ()


def _columns(kind: type) -> tuple[str, ...]:
    return tuple(declared.name for declared in dataclasses.fields(kind) if declared.name != "images")


_GENERATION = _columns(Record)
_IMAGE = _columns(ImageRecord)
_IN_JSON = ("params", "usage", "reported", "error")

_MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE generations (id, started_at, ended_at, outcome, model, prompt, params, endpoint, "  # noqa: ISC004
        "PRIMARY KEY (id)) WITHOUT ROWID",
        "CREATE INDEX generations_by_time ON generations (started_at)",
        "CREATE TABLE images (generation, position, outcome, file, is_partial, byte_count, request_id, "  # noqa: ISC004
        "revised_prompt, usage, reported, error, thumbnail BLOB, PRIMARY KEY (generation, position)) WITHOUT ROWID",
        "CREATE INDEX images_by_file ON images (file)",
    ),
    (  # version 1 called it unfinished
        "UPDATE generations SET outcome = 'unknown' WHERE outcome = 'unfinished'",
        "UPDATE images SET outcome = 'unknown' WHERE outcome = 'unfinished'",
    ),
)
"""The statements that bring a ledger from each version to the next. What was released is never changed, only added to."""

VERSION = len(_MIGRATIONS)


def _upsert(table: str, columns: Sequence[str], key: Sequence[str]) -> str:
    values = ", ".join(f":{name}" for name in columns)
    # Not INSERT OR REPLACE: it deletes the row first, and with it the thumbnail, which no record has.
    changes = ", ".join(f"{name} = excluded.{name}" for name in columns if name not in key)
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({values}) "  # noqa: S608 - our own names
        f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changes}"
    )


_PUT_GENERATION = _upsert("generations", _GENERATION, ["id"])
_PUT_IMAGE = _upsert("images", ["generation", *_IMAGE], ["generation", "position"])


class Ledger:
    """The records of an archive, in one file that only its owner can read. All methods raise LedgerError."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def put(self, record: Record) -> None:
        """Write a record whole, in place of the one that is there: writing it again repairs what has failed."""
        with self._writing() as connection:
            connection.execute(_PUT_GENERATION, _row(record))
            connection.executemany(_PUT_IMAGE, [{**_row(image), "generation": record.id} for image in record.images])

    def adopt(self, record_id: str, position: int, *, file: str, byte_count: int, is_partial: bool) -> bool:
        """Note a file whose process died before it could; return whether its record is there and names it."""
        values = {"record": record_id, "position": position, "file": file, "size": byte_count, "partial": is_partial}
        with self._writing() as connection:
            # A partial image does not say how its request ended: the outcome stays, and that it may have been billed.
            connection.execute(
                "UPDATE images SET file = :file, byte_count = :size, is_partial = :partial, "
                "outcome = CASE WHEN :partial THEN outcome ELSE 'done' END "
                "WHERE generation = :record AND position = :position AND file IS NULL",
                values,
            )
            # Asked, not told by the number of changed rows: its own process may live, and have noted it meanwhile.
            named = "SELECT 1 FROM images WHERE generation = :record AND position = :position AND file = :file"
            return connection.execute(named, values).fetchone() is not None

    def records(self, *, since: float = 0, until: float = math.inf) -> list[Record]:
        """Return the records that began between two times (Unix seconds), newest first; none if there is no ledger."""
        if not self.path.exists():
            return []
        chosen = "FROM generations WHERE started_at >= ? AND started_at < ?"
        with self._reading() as connection:
            if not _version(connection):
                return []  # the process that made it has died before anything was written
            generations = connection.execute(f"SELECT * {chosen} ORDER BY started_at DESC", (since, until)).fetchall()
            images = connection.execute(
                f"SELECT * FROM images WHERE generation IN (SELECT id {chosen}) ORDER BY position",  # noqa: S608
                (since, until),
            ).fetchall()
        images_of: dict[str, list[ImageRecord]] = {row["id"]: [] for row in generations}
        for row in images:
            values = _values(row, _IMAGE)
            values["is_partial"] = bool(values["is_partial"])
            # `get`: a folder that cannot be written is read without a lock, and others may add to it meanwhile.
            images_of.get(row["generation"], []).append(ImageRecord(**values))
        return [Record(**_values(row, _GENERATION), images=tuple(images_of[row["id"]])) for row in generations]

    def thumbnails(self, files: Sequence[str]) -> dict[str, bytes]:
        """Return the small pictures of originals, by file, as far as they have been made."""
        # As one value, as in `delete`, which may get thousands: SQLite limits how many a statement takes.
        wanted = (json.dumps(list(files)),)
        chosen = "thumbnail IS NOT NULL AND file IN (SELECT value FROM json_each(?))"
        with self._reading() as connection:
            return dict(map(tuple, connection.execute(f"SELECT file, thumbnail FROM images WHERE {chosen}", wanted)))  # noqa: S608

    def put_thumbnails(self, thumbnails: Mapping[str, bytes]) -> None:
        """Keep small pictures, which take some 25 ms to make."""
        with self._writing() as connection:
            connection.executemany(
                "UPDATE images SET thumbnail = ? WHERE file = ?",
                [(thumbnail, file) for file, thumbnail in thumbnails.items()],
            )

    def delete(self, ids: Sequence[str], unlink: Callable[[str], None]) -> None:
        """Delete records, and call `unlink(file)` for each file that no other record names.

        The files go while nobody else can write: an original that is being kept at this moment stays.
        """
        chosen = (json.dumps(list(ids)),)
        with self._writing() as connection:
            files = connection.execute(
                "SELECT DISTINCT file FROM images WHERE file IS NOT NULL "
                "AND generation IN (SELECT value FROM json_each(?1)) AND file NOT IN (SELECT file FROM images "
                "WHERE file IS NOT NULL AND generation NOT IN (SELECT value FROM json_each(?1)))",
                chosen,
            ).fetchall()
            connection.execute("DELETE FROM images WHERE generation IN (SELECT value FROM json_each(?))", chosen)
            connection.execute("DELETE FROM generations WHERE id IN (SELECT value FROM json_each(?))", chosen)
            for (file,) in files:
                unlink(file)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[Connection]:
        """Write all of it or nothing."""
        try:
            # SQLite gives its side files the permissions of this one.
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        except OSError as error:
            raise LedgerError(f"{self.path}: {error.strerror}") from error
        with self._open("mode=rw") as connection:
            # Outside of the transaction, in which it could not be changed.
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
            connection.execute("PRAGMA synchronous = FULL")  # what is paid for outlives a power cut, too
            # IMMEDIATE waits for its turn here. A transaction that reads the version first and writes then is refused
            # without any wait where somebody else has written in between: two kernels that begin a ledger, for one.
            connection.execute("BEGIN IMMEDIATE")
            _migrate(connection)
            yield connection  # closing without COMMIT takes all of it back
            connection.execute("COMMIT")

    @contextlib.contextmanager
    def _reading(self) -> Iterator[Connection]:
        # Where nothing can be written, SQLite must not look for others who write.
        writable = os.access(self.path, os.W_OK) and os.access(self.path.parent, os.W_OK)
        # Never rwc, which would make a file: looking leaves nothing behind.
        with self._open("mode=rw" if writable else "mode=ro&immutable=1") as connection:
            if 0 < _version(connection) < VERSION:
                # The next write brings the file to this version; until then what is read is a copy that is.
                with self._open("mode=memory") as copy:
                    connection.backup(copy)
                    _migrate(copy)
                    yield copy
                return
            # All that is read is of one moment, whatever is deleted or added meanwhile.
            connection.execute("BEGIN")
            yield connection

    @contextlib.contextmanager
    def _open(self, mode: str) -> Iterator[Connection]:
        import sqlite3

        address = f"{self.path.as_uri()}?{mode}"
        try:
            # A connection's own `with` does not close it. Without an isolation level BEGIN and COMMIT are ours alone.
            with contextlib.closing(
                sqlite3.connect(address, uri=True, timeout=_BUSY_S, isolation_level=None)
            ) as connection:
                connection.row_factory = sqlite3.Row
                yield connection
        except sqlite3.Error as error:
            raise LedgerError(f"{self.path}: {error}") from error


def _migrate(connection: Connection) -> None:
    """Bring the ledger to this version; each record is kept."""
    for statements in _MIGRATIONS[_version(connection) :]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {VERSION}")


def _version(connection: Connection) -> int:
    """Return the version of the ledger, 0 for an empty one."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        msg = f"the ledger has version {version}, written by a newer gradient_notebook"
        raise LedgerError(msg)
    return int(version)


def _row(record: Record | ImageRecord) -> dict[str, Any]:
    stored = {name: getattr(record, name) for name in _columns(type(record))}
    for name, value in stored.items():
        if name in _IN_JSON and value is not None:
            stored[name] = json.dumps(value)
        elif isinstance(value, str):
            # A service may send half a surrogate pair, which no file can hold.
            stored[name] = value.encode("utf-8", "replace").decode()
    return stored


def _values(row: Row, columns: Sequence[str]) -> dict[str, Any]:
    stored = {name: row[name] for name in columns}
    return {name: json.loads(it) if it is not None and name in _IN_JSON else it for name, it in stored.items()}
