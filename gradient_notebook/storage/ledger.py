"""The ledger: what was asked for and what came of it, in SQLite, for all kernels and processes at once.

Each call opens the file: it costs 2 ms, and no folder that is moved away can break it, nor a fork (`forks`). What is
damaged costs what it touches: a row is passed over, a file is moved aside and read into a new one (`repairing`).
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..api.errors import BudgetExceededError
from . import budget, owner, reading, repairing, search
from .files import make_private_folder, move_to_free
from .forks import without_forks
from .reading import PassOver, select
from .record import ImageRecord, Record, columns, row_of
from .schema import VERSION, migrate, tables, version_of

if TYPE_CHECKING:
    import sqlite3
    from sqlite3 import Connection

__all__ = ["VERSION", "DamagedLedgerError", "ImageRecord", "Ledger", "LedgerError", "Record"]

T = TypeVar("T")

_BUSY_S = 5.0
"""How long others that are writing are waited for, in seconds; each of them takes milliseconds."""
_MENDING_S = 60.0
"""How long another process that repairs the ledger is waited for, in seconds."""
_NAMED = 3
"""How many damaged rows are named, one by one."""


class LedgerError(OSError):
    """The ledger cannot be read or written."""


class DamagedLedgerError(LedgerError):
    """The file is no ledger any more."""


_GENERATION = columns(Record)
_IMAGE = columns(ImageRecord)


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

    `originals` is where the files lie that records name: a ledger that had to be repaired lists those that it lost.
    """

    def __init__(self, path: Path, originals: Path | None = None) -> None:
        self.path = path
        self.notes: list[str] = []
        """What was found damaged, was repaired, or is only read, each once."""
        self.repaired = 0
        """How often it had to be repaired: what was known of its records before may be lost, or new."""
        self._damaged: list[str] = []
        self._originals = originals
        self._is_a_copy = self._is_read_in_a_copy = False

    def put(self, record: Record) -> None:
        """Write a record whole, in place of the one that is there: writing it again repairs what has failed."""
        self.write(lambda connection: _put(connection, record))

    def reserve(self, record: Record, check: Callable[[Connection], None]) -> None:
        """Write a record, and what it may cost, unless `check` raises; nobody else writes between the two."""

        def reserve(connection: Connection) -> None:
            check(connection)
            _put(connection, record)

        self.write(reserve)

    def put_all(self, records: Iterable[Record], unsent: Iterable[str] = ()) -> None:
        """Write several records; forget those of which certainly nothing was sent, and what was reserved for them."""

        def put(connection: Connection) -> None:
            for record in records:
                _put(connection, record)
            for one in unsent:
                for table, key in (("images", "generation"), ("generations", "id"), ("spending", "id")):
                    connection.execute(f"DELETE FROM {table} WHERE {key} = ?", (one,))  # noqa: S608 - our own names

        self.write(put)

    def reserve_all(self, records: Sequence[Record], checks: Sequence[Callable[[Connection], None]]) -> int:
        """Write records, and what they may cost, until a check raises; return how many. Nobody else writes meanwhile."""

        def reserve(connection: Connection) -> int:
            for at, (record, check) in enumerate(zip(records, checks, strict=True)):
                try:
                    check(connection)
                except BudgetExceededError:
                    return at
                _put(connection, record)
            return len(records)

        return self.write(reserve)

    def count(self, spending: budget.Spending, check: Callable[[Connection], None] = lambda _: None) -> None:
        """Count what has no record, unless `check` raises, as `reserve` does."""

        def count(connection: Connection) -> None:
            check(connection)
            budget.put(connection, spending)

        self.write(count)

    def totals(self, since: float) -> budget.Totals:
        """Return what has been spent, and is reserved, from a time on (Unix seconds)."""
        if not self.path.exists():
            return {}
        return self.read(lambda connection: budget.totals(connection, since) if version_of(connection) else {})

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

    def look(self, work: Callable[[Connection, PassOver], T], nothing: T) -> T:
        """Return what `work` reads, all of one moment, and note what it passes over; `nothing` if there is no ledger."""
        if not self.path.exists():
            return nothing

        def read(connection: Connection) -> tuple[T, list[str]]:
            if not version_of(connection):
                if select(connection, "SELECT name FROM sqlite_master"):
                    msg = f"{self.path}: no version"
                    raise DamagedLedgerError(msg)
                return nothing, []  # the process that made it has died before anything was written
            damaged: list[str] = []
            return work(connection, damaged.append), damaged

        found, damaged = self.read(read)
        self.note_damage(damaged)
        return found

    def records(self, *, since: float = -math.inf, until: float = math.inf) -> list[Record]:
        """Return the records that began between two times (Unix seconds), newest first; none if there is no ledger."""
        query = search.Query(since=since, until=until)

        def read(connection: Connection, pass_over: PassOver) -> list[Record]:
            return reading.records(connection, search.find(connection, query, pass_over).ids, pass_over)

        return self.look(read, [])

    def find(self, query: search.Query) -> search.Found:
        """Return what a query finds. What had to be looked at one by one is found more quickly the next time."""
        found = self.look(lambda connection, pass_over: search.find(connection, query, pass_over), search.Found())
        if found.unseen and self._can_be_written:
            with contextlib.suppress(LedgerError):  # they can be looked at again
                self._keep_texts(found.unseen)
        return found

    def _keep_texts(self, ids: Sequence[str]) -> None:
        with without_forks(), self._open("mode=rw") as connection:
            if version_of(connection) != VERSION:
                return  # looking changes nothing of an earlier version's
        for piece in reading.pieces(ids):  # nobody has to wait for all of them
            self.write(partial(search.keep_texts, ids=piece))

    def thumbnails(self, files: Sequence[str]) -> dict[str, bytes]:
        """Return the small pictures of originals, by file, as far as they have been made."""
        # As one value, as in `delete`, which may get thousands: SQLite limits how many a statement takes.
        wanted = json.dumps(list(files))
        chosen = "typeof(thumbnail) = 'blob' AND file IN (SELECT value FROM json_each(?))"
        found = self.read(
            lambda connection: select(connection, f"SELECT file, thumbnail FROM images WHERE {chosen}", (wanted,))  # noqa: S608
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
            asked = (
                "SELECT id, ended_at, owner, started_at FROM generations WHERE id IN (SELECT value FROM json_each(?))"
            )
            left = [
                str(one)
                for one, ended_at, name, began in connection.execute(asked, (given,))
                if _is_arriving(ended_at, name, began, one in unended)
            ]
            chosen = (json.dumps(list(set(ids).difference(left))),)
            of_these = "WHERE generation IN (SELECT value FROM json_each(?))"
            named = connection.execute(f"SELECT DISTINCT file FROM images {of_these} AND file IS NOT NULL", chosen)  # noqa: S608
            files = [str(file) for (file,) in named]
            noted = (
                "SELECT run, cell FROM generations WHERE id IN (SELECT value FROM json_each(?)) AND cell IS NOT NULL"
            )
            connection.execute(f"INSERT OR IGNORE INTO deleted {noted}", chosen)
            connection.execute(f"DELETE FROM images {of_these}", chosen)  # noqa: S608
            connection.execute(f"DELETE FROM ratings {of_these}", chosen)  # noqa: S608
            connection.execute("DELETE FROM generations WHERE id IN (SELECT value FROM json_each(?))", chosen)
            return left, files

        def sweep(connection: Connection) -> None:
            kept = _those_in(connection, "images", "file", files)
            there = _those_in(connection, "generations", "id", ids)
            clear([one for one in ids if one not in there], [file for file in files if file not in kept])

        given = json.dumps(list(ids))
        left, files = self.write(delete)
        # Only now that the records are gone for good: a disk that refused that must not have lost their files.
        self.write(sweep)
        return left

    # How it is opened

    def write(self, work: Callable[[Connection], T]) -> T:
        """Do all of it or nothing; a damaged ledger is repaired first."""
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
                connection.execute("PRAGMA secure_delete = ON")  # what is deleted can be read by nobody, on every build
                connection.execute("PRAGMA synchronous = FULL")  # what is paid for outlives a power cut, too
                # IMMEDIATE waits for its turn here. A transaction that reads the version first and writes then is
                # refused without any wait where somebody else has written in between: two kernels that begin a ledger.
                connection.execute("BEGIN IMMEDIATE")
                if (version := version_of(connection)) > VERSION:
                    msg = f"{self.path}: version {version}, of a newer gradient_notebook: it is only read. Update to write."
                    raise LedgerError(msg)
                migrate(connection)
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
                    migrate(connection)
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

    @property
    def _can_be_written(self) -> bool:
        return self._is_a_copy or (os.access(self.path, os.W_OK) and os.access(self.path.parent, os.W_OK))

    def read(self, work: Callable[[Connection], T]) -> T:
        """Return what `work` reads, all of one moment, whatever is deleted or added meanwhile; nothing is left behind."""
        # Where nothing can be written, SQLite must not look for others who write.
        if self._can_be_written:
            try:
                # Never rwc, which would make a file.
                with self._reading("mode=rw") as connection:
                    return work(connection)
            except DamagedLedgerError as error:
                self._mend(error)
            with self._reading("mode=rw") as connection:
                return work(connection)
        if not self._is_read_in_a_copy and not _size(_beside(self.path, "-wal")):
            with contextlib.suppress(DamagedLedgerError), self._reading("mode=ro&immutable=1") as connection:
                return work(connection)
        return self._read_copy(work)

    def _read_copy(self, work: Callable[[Connection], T]) -> T:
        """Return what `work` reads in a copy, in which the newest records find their place, and damage is repaired."""
        try:
            with without_forks():
                copy = _copy_of(self.path, self._originals)
            # From now on always, so that what is read piece by piece is all of one ledger.
            self._is_read_in_a_copy, repaired = True, copy.repaired
            read = copy.read(work)
            self.repaired += copy.repaired - repaired
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
                    migrate(copy)
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

    def note_damage(self, found: Iterable[str]) -> None:
        """Name damaged rows, all that were found by now in one note."""
        if new := [one for one in dict.fromkeys(found) if one not in self._damaged]:
            if self._damaged:
                self.notes.remove(_damage_note(self._damaged))
            self._damaged += new
            self._note(_damage_note(self._damaged))

    # What is damaged

    def _mend(self, why: DamagedLedgerError) -> None:
        """Move the file aside, begin a new one, and read into it what can be read. LedgerError where that fails."""
        import sqlite3

        try:
            # Others that find it damaged wait here, and find it repaired.
            with without_forks(), _alone(_beside(self.path, ".repairing")):
                self.repaired += 1
                if self._is_sound():
                    return
                aside = repairing.moved_aside(self.path)
                kept = repairing.Rows()
                damaged = Ledger(aside)
                with contextlib.suppress(LedgerError), damaged._open("mode=rw") as connection:
                    kept.read(connection, sqlite3.Error)
                kept.scan(aside)
                originals = repairing.originals_beside(kept, self._originals) if self._originals else []
                with self._writing() as connection:
                    count = _put_rows(connection, kept)
                    for record in originals:
                        _put(connection, record)
        except LedgerError:
            raise
        except OSError as error:
            raise LedgerError(f"{why}; it could not be repaired: {error}") from why
        listed = f" {len(originals)} originals that it does not name are listed by their files." if originals else ""
        self._note(f"The ledger was damaged. It is kept as {aside.name}; {count} records could be read.{listed}")

    def _is_sound(self) -> bool:
        try:
            with self._open("mode=rw") as connection:
                if (version := version_of(connection)) > VERSION:
                    return True  # whatever it is, it is not ours to repair
                with self._open("mode=memory") as new:
                    migrate(new, version)
                    needed = tables(new)
                there = tables(connection)
                problems = connection.execute("PRAGMA integrity_check(1)").fetchall()
                is_whole = all(there.get(table, set()) >= columns for table, columns in needed.items())
                return is_whole and bool(version) == bool(there) and problems == [("ok",)]
        except DamagedLedgerError:
            return False


_CORRUPT, _NOT_A_DATABASE = 11, 26
"""SQLite's primary codes for a file that is no database, or a broken one."""
_OTHER_TABLES = re.compile(
    r"no such (?:table: (?:main\.)?(?:generations|images|texts|spending|ratings|votes|runs|runners|deleted)\b|column)|has no column|already exists"
)


def _put(connection: Connection, record: Record) -> None:
    connection.execute(_PUT_GENERATION, row_of(record))
    connection.executemany(_PUT_IMAGE, [{**row_of(image), "generation": record.id} for image in record.images])
    budget.put(connection, budget.Spending.of(record))
    search.put_text(connection, record)  # last: each of the others takes it away


def _put_rows(connection: Connection, kept: repairing.Rows) -> int:
    """Put what was read of a damaged ledger into this one; what it has itself is newer. Return how many records came."""
    connection.executemany("INSERT OR IGNORE INTO spending VALUES (?, ?, ?, ?, ?, ?, ?)", kept.spending)
    for table, judged in kept.judged.items():
        places = ", ".join("?" * len(repairing.JUDGED[table]))
        connection.executemany(f"INSERT OR IGNORE INTO {table} VALUES ({places})", judged)  # noqa: S608 - our own names
    for table, found in (("generations", kept.generations), ("images", kept.images)):
        for row in found.values():
            names = ", ".join(row)
            values = ", ".join(f":{name}" for name in row)
            connection.execute(f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({values})", row)  # noqa: S608 - our own names
    connection.execute(budget.FROM_RECORDS)
    return len(kept.generations)


def _damage_note(damaged: Sequence[str]) -> str:
    more = len(damaged) - _NAMED
    named = "; ".join([*damaged[:_NAMED], *([f"and {more} more"] if more > 0 else [])])
    return f"Damaged rows of the ledger are passed over: {named}. The originals are kept."


def _those_in(connection: Connection, table: str, column: str, values: Sequence[str]) -> set[str]:
    """Return those of the values that a column has."""
    chosen = f"SELECT {column} FROM {table} WHERE {column} IN (SELECT value FROM json_each(?))"  # noqa: S608 - our own names
    return {value for (value,) in connection.execute(chosen, (json.dumps(list(values)),))}


def _is_arriving(ended_at: Any, name: Any, began: Any, was_unended: bool) -> bool:
    """Whether a request runs, or has ended since it was looked at."""
    if ended_at is not None:
        return was_unended
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


def _copy_of(path: Path, originals: Path | None) -> Ledger:
    """Return a copy of a ledger as it is now, with what has not found its place in it yet."""
    for _ in range(3):  # again where somebody writes meanwhile
        before = _stamp(path)
        copy = _copy(path, originals, before)
        if not copy.path.exists():  # somebody has tidied up
            _copy.cache_clear()
        elif before == _stamp(path):
            break
    return copy


def _stamp(path: Path) -> tuple[tuple[int, int], ...]:
    there = (one for one in (path, _beside(path, "-wal")) if one.exists())
    return tuple((one.stat().st_mtime_ns, one.stat().st_size) for one in there)


@lru_cache(maxsize=1)  # of what is read piece by piece; it may be large
def _copy(path: Path, originals: Path | None, _stamp: tuple[tuple[int, int], ...]) -> Ledger:
    """Return a copy that is gone when nobody has it any more."""
    import shutil
    import tempfile  # which brings half of the standard library

    place = Path(tempfile.mkdtemp(prefix="gradient-"))
    copy = Ledger(place / path.name, originals)
    copy._is_a_copy = True
    weakref.finalize(copy, _remove, place, os.getpid())
    shutil.copyfile(path, copy.path)
    if (log := _beside(path, "-wal")).exists():
        shutil.copyfile(log, _beside(copy.path, "-wal"))
    return copy


def _remove(place: Path, process: int) -> None:
    import shutil

    if process == os.getpid():  # a child that was forked has it from its parent
        shutil.rmtree(place, ignore_errors=True)
