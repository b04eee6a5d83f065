"""Requests of a run of which it is not known what became of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from . import reading
from .ledger import Ledger
from .record import Record

if TYPE_CHECKING:
    from sqlite3 import Connection


def folder_of(archive_folder: Path, run: str) -> Path:
    """Return where the leases of a run lie, with what was claimed and what came of it."""
    return archive_folder / "cluster" / run


def leases_in(folder: Path) -> Path:
    """Return where a run has a file for each lease that holds."""
    return folder / "leases"


def record_named(ledger: Ledger, record_id: str) -> Record | None:
    """Return the record of this id; None where there is none. Raises OSError."""
    found: list[Record] = ledger.look(lambda connection, odd: reading.records(connection, [record_id], odd), [])
    return found[0] if found else None


def unknown_of(ledger: Ledger, run: str) -> list[Record]:
    """Return the requests of a run that have no end, or that may have been billed without an answer. Raises OSError."""

    def read(connection: Connection, odd: reading.PassOver) -> list[Record]:
        rows = connection.execute("SELECT id FROM generations WHERE run = ? AND outcome = 'unknown'", (run,))
        return reading.records(connection, [str(one) for (one,) in rows], odd)

    return ledger.look(read, [])


def cells_of(ledger: Ledger, run: str) -> set[int]:
    """Return the cells of a run that have a request. Raises OSError."""

    def read(connection: Connection, _: reading.PassOver) -> set[int]:
        rows = connection.execute("SELECT DISTINCT cell FROM generations WHERE run = ?", (run,))
        return {cell for (cell,) in rows if isinstance(cell, int)}

    return ledger.look(read, set())
