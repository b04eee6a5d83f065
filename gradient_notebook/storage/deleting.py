"""Deleting records with all that is of them alone: their originals, and sweeps of which no record is left."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from . import leases, runners
from .archive import Archive
from .schema import version_of

if TYPE_CHECKING:
    from sqlite3 import Connection

_RUN = re.compile(r"\w+")
"""What names files here: a ledger that somebody has changed must not delete what lies elsewhere."""


def delete(archive: Archive, ids: Sequence[str], unended: Collection[str] = ()) -> list[str]:
    """Delete records as `Archive.delete` does, and the sweeps that have none any more; return the ids of those that are left.

    A sweep that a process makes, or that a cluster has leases of, stays.
    """
    touched = _runs_of(archive, ids)
    left = archive.delete(ids, unended)
    for run in touched:
        _forget(archive, run)
    return left


def _runs_of(archive: Archive, ids: Sequence[str]) -> list[str]:
    """Return the sweeps that records are of."""

    def read(connection: Connection) -> list[str]:
        if not version_of(connection):
            return []
        of_these = "WHERE id IN (SELECT value FROM json_each(?)) AND run IS NOT NULL"
        found = connection.execute(f"SELECT DISTINCT run FROM generations {of_these}", (json.dumps(list(ids)),))  # noqa: S608
        return [str(run) for (run,) in found]

    return archive.ledger.read(read) if ids and archive.ledger.path.exists() else []


def _forget(archive: Archive, run: str) -> None:
    """Delete what there is of a sweep, unless it has a record, or somebody makes it."""
    if not _RUN.fullmatch(run) or runners.count_of(archive.ledger, run):
        return
    lock = runners.take(archive, run)
    if lock is None:
        return
    try:
        folder = leases.folder_of(archive.folder, run)
        # Of a broker that has died: its workers may send yet, and `Sweep.attach` finds what came of it.
        if any(leases.leases_in(folder).glob("*")):
            return
        if archive.ledger.write(lambda connection: _delete_rows(connection, run)):
            # Only now that the rows are gone for good.
            _delete_files(archive, run, folder)
    finally:
        lock.release()


def _delete_rows(connection: Connection, run: str) -> bool:
    if connection.execute("SELECT 1 FROM generations WHERE run = ?", (run,)).fetchone():
        return False  # it was made again meanwhile
    for table, column in (("runs", "id"), ("runners", "run"), ("deleted", "run")):
        connection.execute(f"DELETE FROM {table} WHERE {column} = ?", (run,))  # noqa: S608 - our own names
    return True


def _delete_files(archive: Archive, run: str, folder: Path) -> None:
    """Remove the log of a sweep, what its leases have left, and its lock at last."""
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        folder.parent.rmdir()
    for path in sorted(runners.folder_of(archive).glob(f"{run}.*"), key=lambda path: path.suffix == ".lock"):
        with contextlib.suppress(OSError):
            path.unlink()
