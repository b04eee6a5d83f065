"""The ledger's tables, and what brings those of each earlier version to today's; each record is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import budget, repairing
from .reading import select

if TYPE_CHECKING:
    from sqlite3 import Connection


def _forgetting(change: str, table: str, ids: str, columns: str = "") -> str:
    """Return the trigger by which a record that is changed counts as not seen yet."""
    name = f"{table}_{change.lower()}_text"
    return f"CREATE TRIGGER {name} AFTER {change} {columns}ON {table} BEGIN DELETE FROM texts WHERE id IN ({ids}); END"  # noqa: S608 - our own names


MIGRATIONS: tuple[tuple[str, ...], ...] = (
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
    (  # what is searched, and what is added up, stands in one place each
        "CREATE TABLE texts (id NOT NULL UNIQUE, text)",
        _forgetting("INSERT", "generations", "new.id"),
        _forgetting("UPDATE", "generations", "old.id, new.id"),
        _forgetting("DELETE", "generations", "old.id"),
        _forgetting("INSERT", "images", "new.generation"),
        # All but the small picture, which says nothing that was checked.
        _forgetting(
            "UPDATE",
            "images",
            "old.generation, new.generation",
            "OF generation, position, outcome, file, is_partial, byte_count, request_id, revised_prompt, usage, "
            "reported, error ",
        ),
        _forgetting("DELETE", "images", "old.generation"),
        "DROP INDEX generations_by_time",
        "CREATE INDEX generations_by_time ON generations (started_at, ended_at, outcome, model)",
        "DROP INDEX images_by_file",
        "CREATE INDEX images_by_file ON images (file, byte_count)",
    ),
    (
        "ALTER TABLE generations ADD COLUMN currency",
        "ALTER TABLE generations ADD COLUMN most",
        "ALTER TABLE images ADD COLUMN cost",
        *budget.TABLE,
        budget.FROM_RECORDS,
    ),
    (
        "CREATE TABLE runners (run, process, is_detached, began_at, state, wanted, asked, heard, reused, "  # noqa: ISC004
        "PRIMARY KEY (run)) WITHOUT ROWID",
    ),
    ("CREATE TABLE deleted (run, cell, PRIMARY KEY (run, cell)) WITHOUT ROWID",),
)
"""The statements that bring a ledger from each version to the next. What was released is never changed, only added to."""

VERSION = len(MIGRATIONS)


def migrate(connection: Connection, to: int = VERSION) -> None:
    """Bring the ledger to this version; each record is kept."""
    for statements in MIGRATIONS[version_of(connection) : to]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {to}")


def tables(connection: Connection) -> dict[str, set[str]]:
    """Return the columns of each table of ours that there is."""
    columns = {
        table: {row["name"] for row in select(connection, f"PRAGMA table_info({table})")}
        for table in ("generations", "images", "texts", "spending", *repairing.JUDGED)
    }
    return {table: names for table, names in columns.items() if names}


def version_of(connection: Connection) -> int:
    """Return the version of the ledger, 0 for an empty one."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)
