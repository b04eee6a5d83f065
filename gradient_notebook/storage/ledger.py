"""The ledger: what was asked for and what came of it, in SQLite, for all kernels and processes at once.

Each call opens the file: it costs 2 ms, and no folder that is moved away can break it, nor a fork (`forks`). What is
damaged costs what it touches: a row is passed over, a file is moved aside and read into a new one (`mending`).
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from . import mending, owner
from .files import make_private_folder, move_to_free
from .forks import without_forks
from .record import DamagedRowError, ImageRecord, Record, columns, image_of, record_of, row_of

if TYPE_CHECKING:
    import sqlite3
    from sqlite3 import Connection

__all__ = ["VERSION", "DamagedLedgerError", "ImageRecord", "Ledger", "LedgerError", "Record"]

T = TypeVar("T")
Row = dict[str, Any]

_BUSY_S = 5.0
"""How long others that are writing are waited for, in seconds; each of them takes milliseconds."""
_MENDING_S = 60.0
"""How long another process that mends the ledger is waited for, in seconds."""
_NAMED = 3
"""How many damaged rows are named, one by one."""


class LedgerError(OSError):
    """The ledger cannot be read or written."""


class DamagedLedgerError(LedgerError):
    """The file is no ledger any more."""


_GENERATION = columns(Record)
_IMAGE = columns(ImageRecord)

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
    ("ALTER TABLE generations ADD COLUMN owner",),
    (
        "ALTER TABLE generations ADD COLUMN identity",
        "ALTER TABLE generations ADD COLUMN run",
        "CREATE INDEX generations_by_identity ON generations (identity, started_at)",
        "CREATE INDEX generations_by_run ON generations (run)",
    ),
    (
        "ALTER TABLE generations ADD COLUMN cell",
        "CREATE TABLE runs (id, digest, started_at, fresh, service, plan, PRIMARY KEY (id)) WITHOUT ROWID",
        "CREATE INDEX runs_by_digest ON runs (digest, started_at)",
        "CREATE TABLE ratings (generation, position, stars, tags, note, "  # noqa: ISC004
        "PRIMARY KEY (generation, position)) WITHOUT ROWID",
        "CREATE TABLE votes (run, winner, loser, voted_at)",
        "CREATE TABLE scores (file, name, value, PRIMARY KEY (file, name)) WITHOUT ROWID",
    ),
)
"""The statements that bring a ledger from each version to the next. What was released is never changed, only added to."""

VERSION = len(_MIGRATIONS)
_ADDED = frozenset(re.findall(r"ADD COLUMN (\w+)", str(_MIGRATIONS)))
"""The columns that a ledger of an earlier version may lack."""


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
    """The records of an archive, in one file that only its owner can read. All methods raise LedgerError.

    `originals` is where the files lie that records name: a ledger that had to be mended lists those that it lost.
    """

    def __init__(self, path: Path, originals: Path | None = None) -> None:
        self.path = path
        self.notes: list[str] = []
        """What was found damaged, was mended, or is only read, each once."""
        self._originals = originals
        self._is_a_copy = False

    def put(self, record: Record) -> None:
        """Write a record whole, in place of the one that is there: writing it again repairs what has failed."""
        self.write(lambda connection: _put(connection, record))

    def adopt(
        self,
        record_id: str,
        position: int,
        *,
        file: str,
        byte_count: int,
        is_partial: bool,
        move: Callable[[], None] = lambda: None,
    ) -> bool:
        """Note a file whose process died before it could; return whether its record is there and names it.

        Where it is, `move` gives the file its place while nobody else can write, and so nobody deletes either of them.
        """
        values = {"record": record_id, "position": position, "file": file, "size": byte_count, "partial": is_partial}

        def adopt(connection: Connection) -> bool:
            # A partial image does not say how its request ended: the outcome stays, and that it may have been billed.
            connection.execute(
                "UPDATE images SET file = :file, byte_count = :size, is_partial = :partial, "
                "outcome = CASE WHEN :partial THEN outcome ELSE 'done' END "
                "WHERE generation = :record AND position = :position AND file IS NULL",
                values,
            )
            return is_named(connection)

        def is_named(connection: Connection) -> bool:
            # Asked, not told by the number of changed rows: its own process may live, and have noted it meanwhile.
            named = "SELECT 1 FROM images WHERE generation = :record AND position = :position AND file = :file"
            return connection.execute(named, values).fetchone() is not None

        def move_if_named(connection: Connection) -> bool:
            if there := is_named(connection):
                move()
            return there

        # Its first name says whose it is, and goes only when the record is on disk for good: a full disk may refuse that.
        return self.write(adopt) and self.write(move_if_named)

    def records(self, *, since: float = -math.inf, until: float = math.inf) -> list[Record]:
        """Return the records that began between two times (Unix seconds), newest first; none if there is no ledger."""
        if not self.path.exists():
            return []
        chosen, between = "FROM generations", {"since": since, "until": until}
        if (since, until) != (-math.inf, math.inf):  # without bounds, what has no time at all is found, and named
            chosen += " WHERE started_at >= :since AND started_at < :until"

        def read(connection: Connection) -> tuple[list[Row], list[Row]]:
            if not version_of(connection):
                if select(connection, "SELECT name FROM sqlite_master"):
                    msg = f"{self.path}: no version"
                    raise DamagedLedgerError(msg)
                return [], []  # the process that made it has died before anything was written
            images = f"SELECT * FROM images WHERE generation IN (SELECT id {chosen}) ORDER BY position"  # noqa: S608
            return select(connection, f"SELECT * {chosen} ORDER BY started_at DESC", between), select(
                connection, images, between
            )

        found, damaged = _records(*self.read(read))
        if damaged:
            self._note(f"Damaged rows of the ledger are passed over: {_counted(damaged)}. The originals are kept.")
        return found

    def thumbnails(self, files: Sequence[str]) -> dict[str, bytes]:
        """Return the small pictures of originals, by file, as far as they have been made."""
        # As one value, as in `delete`, which may get thousands: SQLite limits how many a statement takes.
        wanted = json.dumps(list(files))
        chosen = "typeof(thumbnail) = 'blob' AND file IN (SELECT value FROM json_each(?))"
        found = self.read(
            lambda connection: select(connection, f"SELECT file, thumbnail FROM images WHERE {chosen}", wanted)  # noqa: S608
        )
        return {row["file"]: row["thumbnail"] for row in found}

    def put_thumbnails(self, thumbnails: Mapping[str, bytes]) -> None:
        """Keep small pictures, which take some 25 ms to make."""
        rows = [(thumbnail, file) for file, thumbnail in thumbnails.items()]
        self.write(lambda connection: connection.executemany("UPDATE images SET thumbnail = ? WHERE file = ?", rows))

    def delete(
        self, ids: Sequence[str], clear: Callable[[Sequence[str], Sequence[str]], None], unended: Collection[str] = ()
    ) -> list[str]:
        """Delete records, but for those that run, and return the ids of those that are left.

        `clear(ids, files)` is called with what has no record any more, and with the files that none names, while nobody
        else can write: what is being kept at this moment stays. `unended` names those of the ids that had no end when
        they were looked at: where they have one by now, an image came that nobody has seen.
        """

        def delete(connection: Connection) -> tuple[list[str], list[str]]:
            there = select(connection, "SELECT * FROM generations WHERE id IN (SELECT value FROM json_each(?))", given)
            left = [str(row["id"]) for row in there if _is_arriving(row, unended)]
            chosen = (json.dumps([one for one in ids if one not in left]),)
            of_these = "WHERE generation IN (SELECT value FROM json_each(?))"
            named = connection.execute(f"SELECT DISTINCT file FROM images {of_these} AND file IS NOT NULL", chosen)  # noqa: S608
            files = [str(file) for (file,) in named]
            connection.execute(f"DELETE FROM images {of_these}", chosen)  # noqa: S608
            connection.execute(f"DELETE FROM ratings {of_these}", chosen)  # noqa: S608
            connection.execute("DELETE FROM generations WHERE id IN (SELECT value FROM json_each(?))", chosen)
            return left, files

        def sweep(connection: Connection) -> None:
            kept = {str(row["file"]) for row in select(connection, "SELECT file FROM images")}
            there = {str(row["id"]) for row in select(connection, "SELECT id FROM generations")}
            clear([one for one in ids if one not in there], [file for file in files if file not in kept])

        given = json.dumps(list(ids))
        left, files = self.write(delete)
        # Only now that the records are gone for good: a disk that refused that must not have lost their files.
        self.write(sweep)
        return left

    # How it is opened

    def write(self, work: Callable[[Connection], T]) -> T:
        """Do all of it or nothing; a damaged ledger is mended first."""
        try:
            with self._writing() as connection:
                return work(connection)
        except DamagedLedgerError as error:
            self._mend(error)
        with self._writing() as connection:
            return work(connection)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[Connection]:
        """Write all of it or nothing."""
        with without_forks():
            if not self.path.exists():
                self._begin()
            with self._open("mode=rw") as connection:
                # Outside of the transaction, in which it could not be changed.
                connection.execute("PRAGMA journal_mode = WAL").fetchone()
                connection.execute("PRAGMA synchronous = FULL")  # what is paid for outlives a power cut, too
                # IMMEDIATE waits for its turn here. A transaction that reads the version first and writes then is
                # refused without any wait where somebody else has written in between: two kernels that begin a ledger.
                connection.execute("BEGIN IMMEDIATE")
                if (version := version_of(connection)) > VERSION:
                    msg = f"{self.path}: version {version}, of a newer gradient_notebook: it is only read. Update to write."
                    raise LedgerError(msg)
                _migrate(connection)
                yield connection  # closing without COMMIT takes all of it back
                connection.execute("COMMIT")

    def _begin(self) -> None:
        """Make an empty ledger, which has its name only when it is whole.

        Its own file is never opened but by SQLite: closing it would give up the locks of all threads of the process.
        And where two processes began it in place, one would fail.
        """
        new = Ledger(_beside(self.path, f".new-{os.urandom(6).hex()}"))
        try:
            make_private_folder(self.path.parent)
            # SQLite gives its side files the permissions of this one.
            os.close(os.open(new.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            try:
                with new._open("mode=rw") as connection:
                    connection.execute("PRAGMA journal_mode = WAL").fetchone()
                    connection.execute("BEGIN IMMEDIATE")
                    _migrate(connection)
                    connection.execute("COMMIT")
                move_to_free(new.path, self.path)
            finally:
                for ending in ("", "-wal", "-shm", "-journal"):
                    _beside(new.path, ending).unlink(missing_ok=True)
        except FileExistsError:
            return  # somebody else was quicker
        except LedgerError:
            raise
        except OSError as error:
            raise LedgerError(f"{self.path}: {error.strerror}") from error

    def read(self, work: Callable[[Connection], T]) -> T:
        """Return what `work` reads, all of one moment, whatever is deleted or added meanwhile; nothing is left behind."""
        # Where nothing can be written, SQLite must not look for others who write.
        if self._is_a_copy or (os.access(self.path, os.W_OK) and os.access(self.path.parent, os.W_OK)):
            try:
                # Never rwc, which would make a file.
                with self._reading("mode=rw") as connection:
                    return work(connection)
            except DamagedLedgerError as error:
                self._mend(error)
            with self._reading("mode=rw") as connection:
                return work(connection)
        if not _size(_beside(self.path, "-wal")):
            with contextlib.suppress(DamagedLedgerError), self._reading("mode=ro&immutable=1") as connection:
                return work(connection)
        return self._read_copy(work)

    def _read_copy(self, work: Callable[[Connection], T]) -> T:
        """Return what `work` reads in a copy, in which the newest records find their place, and damage is mended."""
        import tempfile  # which brings half of the standard library

        try:
            with tempfile.TemporaryDirectory(prefix="gradient-") as place:
                copy = Ledger(Path(place) / self.path.name, self._originals)
                copy._is_a_copy = True
                with without_forks():
                    _copy(self.path, copy.path)
                read = copy.read(work)
                for note in copy.notes:
                    self._note(note)
                return read
        except LedgerError:
            raise
        except OSError as error:
            self._note(f"The newest records are not shown: the ledger can neither be written nor copied ({error}).")
        with self._reading("mode=ro&immutable=1") as connection:
            return work(connection)

    @contextlib.contextmanager
    def _reading(self, mode: str) -> Iterator[Connection]:
        with without_forks(), self._open(mode) as connection:
            version = version_of(connection)
            if 0 < version < VERSION:
                # The next write brings the file to this version; until then what is read is a copy that is.
                with self._open("mode=memory") as copy:
                    connection.backup(copy)
                    _migrate(copy)
                    yield copy
                return
            if version > VERSION:
                self._note(
                    f"The ledger has version {version}, of a newer gradient_notebook: it is read as far as it is known "
                    "here, and nothing is written. Update gradient_notebook."
                )
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
                # Else one broken character of one row would cost all of them.
                connection.text_factory = lambda data: data.decode("utf-8", "replace")
                yield connection
        except sqlite3.Error as error:
            raise self._error(error) from error

    def _error(self, error: sqlite3.Error) -> LedgerError:
        primary = getattr(error, "sqlite_errorcode", 0) & 0xFF
        is_damaged = primary in (_CORRUPT, _NOT_A_DATABASE) or _OTHER_TABLES.search(str(error))
        return (DamagedLedgerError if is_damaged else LedgerError)(f"{self.path}: {error}")

    def _note(self, words: str) -> None:
        if words not in self.notes:
            self.notes.append(words)

    # What is damaged

    def _mend(self, why: DamagedLedgerError) -> None:
        """Move the file aside, begin a new one, and read into it what can be read. LedgerError where that fails."""
        import sqlite3

        try:
            # Others that find it damaged wait here, and find it mended.
            with without_forks(), _alone(_beside(self.path, ".mending")):
                if self._is_sound():
                    return
                aside = mending.moved_aside(self.path)
                rows = mending.Rows()
                damaged = Ledger(aside)
                with contextlib.suppress(LedgerError), damaged._open("mode=rw") as connection:
                    rows.read(connection, sqlite3.Error)
                rows.scan(aside)
                originals = mending.originals_beside(rows, self._originals) if self._originals else []
                with self._writing() as connection:
                    count = _put_rows(connection, rows)
                    for record in originals:
                        _put(connection, record)
        except LedgerError:
            raise
        except OSError as error:
            raise LedgerError(f"{why}; it could not be mended: {error}") from why
        listed = f" {len(originals)} originals that it does not name are listed by their files." if originals else ""
        self._note(f"The ledger was damaged. It is kept as {aside.name}; {count} records could be read.{listed}")

    def _is_sound(self) -> bool:
        try:
            with self._open("mode=rw") as connection:
                if (version := version_of(connection)) > VERSION:
                    return True  # whatever it is, it is not ours to repair
                there = [
                    {row["name"] for row in select(connection, f"PRAGMA table_info({table})")}
                    for table in ("generations", "images")
                ]
                lacking = _ADDED if version < VERSION else frozenset()
                needed = (
                    [set(_GENERATION) - lacking, {*_IMAGE, "generation", "thumbnail"}] if version else [set(), set()]
                )
                problems = connection.execute("PRAGMA integrity_check(1)").fetchall()
                return all(map(set.issuperset, there, needed)) and bool(version) == any(there) and problems == [("ok",)]
        except DamagedLedgerError:
            return False


_CORRUPT, _NOT_A_DATABASE = 11, 26
"""SQLite's primary codes for a file that is no database, or a broken one."""
_OTHER_TABLES = re.compile(r"no such (?:table: (?:generations|images)\b|column)|has no column|already exists")


def _put(connection: Connection, record: Record) -> None:
    connection.execute(_PUT_GENERATION, row_of(record))
    connection.executemany(_PUT_IMAGE, [{**row_of(image), "generation": record.id} for image in record.images])


def _put_rows(connection: Connection, rows: mending.Rows) -> int:
    """Put what was read of a damaged ledger into this one; what it has itself is newer. Return how many records came."""
    for table, found in (("generations", rows.generations), ("images", rows.images)):
        for row in found.values():
            names = ", ".join(row)
            values = ", ".join(f":{name}" for name in row)
            connection.execute(f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({values})", row)  # noqa: S608 - our own names
    return len(rows.generations)


def select(connection: Connection, statement: str, values: Any = ()) -> list[Row]:
    cursor = connection.execute(statement, (values,) if isinstance(values, str) else values)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def _records(generations: Iterable[Row], images: Iterable[Row]) -> tuple[list[Record], list[str]]:
    """Return the records in rows, and what is damaged of them."""
    damaged = []
    images_of: dict[str, list[ImageRecord]] = {}
    for row in images:
        try:
            images_of.setdefault(row["generation"], []).append(image_of(row))
        except DamagedRowError as error:
            damaged.append(f"image {row['position']} of {row['generation']} ({error})")
    records = []
    for row in generations:
        try:
            # `get`: a folder that cannot be written is read without a lock, and others may add to it meanwhile.
            records.append(record_of(row, tuple(images_of.get(row["id"], ()))))
        except DamagedRowError as error:
            damaged.append(f"record {row['id']} ({error})")
    return records, damaged


def _counted(damaged: Sequence[str]) -> str:
    more = len(damaged) - _NAMED
    return "; ".join([*damaged[:_NAMED], *([f"and {more} more"] if more > 0 else [])])


def _is_arriving(row: Row, unended: Collection[str]) -> bool:
    """Whether the request of a row runs, or has ended since it was looked at."""
    if row["ended_at"] is not None:
        return row["id"] in unended
    name, began = row["owner"], row["started_at"]
    return isinstance(name, str) and isinstance(began, int | float) and owner.is_running(name, began)


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Hold the lock of this name against other processes, on every system. LedgerError where that takes too long."""
    import sqlite3

    os.close(os.open(lock, os.O_CREAT | os.O_RDWR, 0o600))
    try:
        with contextlib.closing(sqlite3.connect(lock, timeout=_MENDING_S, isolation_level=None)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            yield
    except sqlite3.Error as error:
        raise LedgerError(f"{lock}: {error}") from error


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _copy(path: Path, to: Path) -> None:
    """Copy a ledger with what has not found its place in it yet; again where somebody writes meanwhile."""
    import shutil

    log = _beside(path, "-wal")
    for _ in range(3):
        before = [(one.stat().st_mtime_ns, one.stat().st_size) for one in (path, log) if one.exists()]
        shutil.copyfile(path, to)
        if log.exists():
            shutil.copyfile(log, _beside(to, "-wal"))
        if before == [(one.stat().st_mtime_ns, one.stat().st_size) for one in (path, log) if one.exists()]:
            return


def _migrate(connection: Connection) -> None:
    """Bring the ledger to this version; each record is kept."""
    for statements in _MIGRATIONS[version_of(connection) :]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {VERSION}")


def version_of(connection: Connection) -> int:
    """Return the version of the ledger, 0 for an empty one."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)
