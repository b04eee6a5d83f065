"""Who makes a run, how it stands, and what others want of it; and what the ledger has of it by now.

A run has one runner at a time: the process that holds its lock. Others write what they want into the runner's row.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from . import clock
from .archive import Archive
from .files import make_private_folder
from .ledger import Ledger
from .locks import Lock, is_held
from .owner import this_process
from .reading import Row, select
from .record import DamagedRowError, Record, image_of, record_of
from .runs import Kept
from .schema import version_of

if TYPE_CHECKING:
    from sqlite3 import Connection

State = Literal["running", "paused", "done", "cancelled", "stopped"]
"""`stopped`: it was told to end, and has left the rest unmade."""
Wish = Literal["pause", "resume", "cancel"]


@dataclass(frozen=True, kw_only=True)
class Runner:
    """The process that makes a run, or the last one that did."""

    run: str
    process: str
    """Its machine, its number, and when it began."""
    is_detached: bool
    began_at: float
    """Unix seconds."""
    state: State
    wanted: Wish | None
    asked: int
    """How often somebody wanted something."""
    heard: int
    """How much of that it has heard."""
    reused: int
    """Cells that were there already, made by others."""

    @property
    def is_paused(self) -> bool:
        """Whether it is paused, or will be as soon as it hears so."""
        return self.wanted == "pause" if self.asked > self.heard else self.state == "paused"

    @property
    def place(self) -> str:
        """Where it runs, for people."""
        machine, number, _ = ([*self.process.rsplit(" ", 2), "", ""])[:3]
        return f"process {number} on {machine}"


def folder_of(archive: Archive) -> Path:
    """Return where locks and logs of runs lie."""
    return archive.folder / "runs"


def take(archive: Archive, run: str) -> Lock | None:
    """Make this process the one that makes a run; None where another does. Raises OSError where nothing can be written."""
    make_private_folder(folder_of(archive))
    return Lock.take(_lock_of(archive, run))


def is_made(archive: Archive, run: str) -> bool:
    """Whether a living process makes a run."""
    return is_held(_lock_of(archive, run))


def _lock_of(archive: Archive, run: str) -> Path:
    return folder_of(archive) / f"{run}.lock"


def begin(ledger: Ledger, run: str, *, is_detached: bool, done: int, again: Collection[int] = ()) -> None:
    """Write down that this process makes a run, of which so many cells are done already, and `again` are to be made."""

    def begin(connection: Connection) -> None:
        _forget_deleted(connection, run, again)
        own = "SELECT count(DISTINCT cell) FROM generations WHERE run = ? AND outcome = 'done'"
        (made,) = connection.execute(own, (run,)).fetchone()
        values = (run, this_process(), is_detached, clock.now(), "running", None, 0, 0, max(0, done - made))
        connection.execute("INSERT OR REPLACE INTO runners VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)

    ledger.write(begin)


def note(ledger: Ledger, run: str, state: State, heard: int) -> None:
    """Write down how a run stands, and what its runner has heard."""
    statement = "UPDATE runners SET state = ?, heard = ? WHERE run = ?"
    ledger.write(lambda connection: connection.execute(statement, (state, heard, run)))


def ask(ledger: Ledger, run: str, wish: Wish) -> None:
    """Write down what somebody wants of a run's runner; after `cancel` nothing else is heard."""
    statement = "UPDATE runners SET wanted = ?, asked = asked + 1 WHERE run = ? AND wanted IS NOT 'cancel'"
    ledger.write(lambda connection: connection.execute(statement, (wish, run)))


def runners(ledger: Ledger, run: str | None = None) -> dict[str, Runner]:
    """Return the runner of each run, or of one, as far as there was any."""

    def read(connection: Connection) -> list[Row]:
        if not version_of(connection):
            return []
        return select(connection, "SELECT * FROM runners WHERE ? IS NULL OR run = ?", (run, run))

    found = ledger.read(read) if ledger.path.exists() else []
    return {row["run"]: runner for row in found if (runner := _runner_of(row))}


def _runner_of(row: Row) -> Runner | None:
    """Return the runner in a row; None where the row is damaged."""
    try:
        numbers: dict[str, Any] = {name: int(row[name]) for name in ("asked", "heard", "reused")}
        process, began_at = str(row["process"]), float(row["began_at"])
        return Runner(
            **{**row, **numbers, "process": process, "began_at": began_at, "is_detached": bool(row["is_detached"])}
        )
    except (ValueError, TypeError):
        return None


def count_of(ledger: Ledger, run: str) -> int:
    """Return how many requests a run has made."""

    def read(connection: Connection) -> int:
        if not version_of(connection):
            return 0
        (count,) = connection.execute("SELECT count(*) FROM generations WHERE run = ?", (run,)).fetchone()
        return int(count)

    return ledger.read(read) if ledger.path.exists() else 0


def kept_since(ledger: Ledger, run: str, since: float) -> list[Kept]:
    """Return what a run's requests have become that began from a time on (Unix seconds), the oldest first."""

    def read(connection: Connection) -> tuple[list[Row], list[Row]]:
        # `+`: of a large run only what is new is looked at.
        chosen = (
            "FROM generations WHERE +run = ? AND started_at >= ?" if since > 0 else "FROM generations WHERE run = ?"
        )
        values: tuple[Any, ...] = (run, since) if since > 0 else (run,)
        images = f"SELECT * FROM images WHERE generation IN (SELECT id {chosen}) ORDER BY generation, position"  # noqa: S608 - our own words
        generations = f"SELECT * {chosen} ORDER BY started_at, id"
        return select(connection, generations, values), select(connection, images, values)

    generations, images = ledger.read(read)
    of: dict[str, list[Row]] = defaultdict(list)
    for row in images:
        of[row["generation"]].append(row)
    return [kept for row in generations for kept in _kept(row, of[row["id"]])]


def _kept(row: Row, images: list[Row]) -> list[Kept]:
    try:
        whole = tuple(image_of(image) for image in images)
        record: Record = record_of(row, whole)
    except DamagedRowError:  # `history` names it
        return []
    # One for each cell: more may come than was asked for.
    done = [image for image in whole if image.outcome == "done" and not image.is_partial]
    return [(record, (done or whole)[0])] if whole else []


def outcomes(ledger: Ledger) -> dict[str, Counter[str]]:
    """Return how the newest request of each cell has ended, counted by run; `unknown` while it runs, `deleted` without any."""

    def read(connection: Connection) -> list[Row]:
        if not version_of(connection):
            return []
        gone = f"SELECT run, 'deleted' AS outcome, count(*) AS number {_DELETED} GROUP BY run"
        newest = (
            "SELECT g.run AS run, i.outcome AS outcome, max(g.started_at) FROM generations g "
            "JOIN images i ON i.generation = g.id AND i.position = 0 WHERE g.run IS NOT NULL GROUP BY g.run, g.cell"
        )
        ended = f"SELECT run, outcome, count(*) AS number FROM ({newest}) GROUP BY run, outcome"  # noqa: S608 - our own words
        return select(connection, f"{ended} UNION ALL {gone}")

    found: dict[str, Counter[str]] = defaultdict(Counter)
    for row in ledger.read(read) if ledger.path.exists() else []:
        found[row["run"]][row["outcome"]] += row["number"]
    return found


def deleted(ledger: Ledger, run: str) -> set[int]:
    """Return the cells of a run whose records were deleted, and which nobody has asked for since."""

    def read(connection: Connection) -> list[Row]:
        return select(connection, f"SELECT cell {_DELETED} AND run = ?", (run,)) if version_of(connection) else []

    return {row["cell"] for row in ledger.read(read)} if ledger.path.exists() else set()


_DELETED = (
    "FROM deleted WHERE (run, cell) NOT IN "
    "(SELECT run, cell FROM generations WHERE run IN (SELECT run FROM deleted) AND cell IS NOT NULL)"
)


def ask_again(ledger: Ledger, run: str, cells: Collection[int]) -> None:
    """Write down that cells are to be made, also where their records were deleted."""
    ledger.write(lambda connection: _forget_deleted(connection, run, cells))


def _forget_deleted(connection: Connection, run: str, cells: Collection[int]) -> None:
    of_these = "WHERE run = ? AND cell IN (SELECT value FROM json_each(?))"
    connection.execute(f"DELETE FROM deleted {of_these}", (run, json.dumps(list(cells))))  # noqa: S608 - our own words


def stamp(ledger: Ledger) -> tuple[Any, ...]:
    """Return what changes when somebody writes the ledger: asking costs no opening of it."""
    files = (ledger.path, ledger.path.with_name(f"{ledger.path.name}-wal"))
    found: list[Any] = []
    for path in files:
        try:
            stat = path.stat()
        except OSError:
            found.append(None)
        else:
            found.append((stat.st_mtime_ns, stat.st_size))
    return tuple(found)
