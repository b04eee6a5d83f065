"""Runs in the ledger: which sweeps there were, what each was to make, and what the archive has of it by now."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..api.text import SHORT, clean
from .ledger import Ledger
from .reading import Row, select
from .record import DamagedRowError, ImageRecord, Record, image_of, record_of
from .schema import version_of

if TYPE_CHECKING:
    from sqlite3 import Connection

_AT_A_TIME = 500
"""How many identities one look asks for."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A sweep as the ledger has it; `digest` is the same for whatever asks for the same."""

    id: str
    digest: str
    started_at: float
    """Unix seconds."""
    fresh: bool
    """Whether it was to make all of it, whatever there was already."""
    service: str
    plan: Mapping[str, Any]


def put_run(ledger: Ledger, run: Run) -> None:
    """Write down a run before any of it is sent."""
    # `str`: dates and the like, which a prompt has as text.
    values = (run.id, run.digest, run.started_at, run.fresh, run.service, json.dumps(run.plan, default=str))
    ledger.write(lambda connection: connection.execute("INSERT OR IGNORE INTO runs VALUES (?, ?, ?, ?, ?, ?)", values))


def runs(ledger: Ledger, where: str = "", *values: Any) -> list[Run]:
    """Return the runs, newest first."""

    def read(connection: Connection) -> list[Row]:
        if not version_of(connection):
            return []
        statement = f"SELECT * FROM runs {where} ORDER BY started_at DESC"  # noqa: S608 - our own words
        return select(connection, statement, values)

    found = ledger.read(read) if ledger.path.exists() else []
    read_rows = [(row, _run_of(row)) for row in found]
    ledger.note_damage(f"run {clean(str(row['id']), SHORT)}" for row, run in read_rows if run is None)
    return [run for _, run in read_rows if run]


def _run_of(row: Row) -> Run | None:
    """Return the run in a row; None where the row is damaged."""
    try:
        values = {**row, "started_at": float(row["started_at"]), "plan": json.loads(row["plan"])}
        dt.datetime.fromtimestamp(values["started_at"]).astimezone()  # a moment that a list can show
        return Run(**{**values, "id": str(row["id"]), "fresh": bool(row["fresh"])})
    except (ValueError, TypeError, RecursionError, OverflowError, OSError):
        return None


def newest_run(ledger: Ledger, digest: str) -> Run | None:
    """Return the newest run that asked for the same."""
    return next(iter(runs(ledger, "WHERE digest = ?", digest)), None)


Kept = tuple[Record, ImageRecord]
"""One image that there is, or is not: its request and itself."""


def images_of(ledger: Ledger, identities: Collection[str], since: float = 0.0) -> dict[str, list[Kept]]:
    """Return all images that were asked for, by identity, the oldest first; those that never came, too."""
    found: dict[str, list[Kept]] = defaultdict(list)
    if not ledger.path.exists():
        return found
    distinct = list(dict.fromkeys(identities))
    for at in range(0, len(distinct), _AT_A_TIME):
        some = json.dumps(distinct[at : at + _AT_A_TIME])
        for record, image in _some(ledger, _OF_IDENTITIES, (some, since)):
            found[record.identity or ""].append((record, image))
    return {same: _in_order(images) for same, images in found.items()}


def _in_order(images: list[Kept]) -> list[Kept]:
    """Return images of one identity run by run, each in the order of its cells: they may have come in another."""
    began: dict[str, float] = {}
    for record, _ in images:
        began.setdefault(record.run or record.id, record.started_at)
    return sorted(images, key=lambda kept: (began[kept[0].run or kept[0].id], kept[0].cell or 0))


def newest_of(ledger: Ledger, run: str, count: int) -> list[Record]:
    """Return the newest requests of a run that have an image, with their images, the oldest first."""
    if not ledger.path.exists():
        return []
    found: dict[str, Record] = {}
    for record, image in _some(ledger, _NEWEST, (run, count)):
        whole = found.get(record.id, record)
        found[record.id] = dataclasses.replace(whole, images=(*whole.images, image))
    return list(found.values())


def with_file(ledger: Ledger, file: str) -> Record | None:
    """Return the newest request whose image lies in this file of the archive, with all its images; None where there is none."""
    if not ledger.path.exists():
        return None
    kept = list(_some(ledger, _WITH_FILE, (file,)))
    return dataclasses.replace(kept[0][0], images=tuple(image for _, image in kept)) if kept else None


def recorded(ledger: Ledger, ids: Collection[str]) -> set[str]:
    """Return those of these ids that have a record: others were deleted."""
    wanted = json.dumps(list(ids))

    def read(connection: Connection) -> list[Row]:
        if not version_of(connection):
            return []
        return select(connection, "SELECT id FROM generations WHERE id IN (SELECT value FROM json_each(?))", (wanted,))

    return {row["id"] for row in ledger.read(read)} if ids and ledger.path.exists() else set()


_WITH_FILE = (
    "FROM generations WHERE id = (SELECT id FROM generations WHERE id IN "
    "(SELECT generation FROM images WHERE file = ?) ORDER BY started_at DESC LIMIT 1)"
)
_OF_IDENTITIES = "FROM generations WHERE identity IN (SELECT value FROM json_each(?)) AND started_at >= ?"
_NEWEST = (
    "FROM generations WHERE id IN (SELECT id FROM generations WHERE run = ? AND id IN "
    "(SELECT generation FROM images WHERE outcome = 'done') ORDER BY started_at DESC LIMIT ?)"
)


def _some(ledger: Ledger, chosen: str, values: tuple[Any, ...]) -> Iterator[Kept]:
    def read(connection: Connection) -> tuple[list[Row], list[Row]]:
        if not version_of(connection):
            return [], []
        images = f"SELECT * FROM images WHERE generation IN (SELECT id {chosen}) ORDER BY generation, position"  # noqa: S608
        return select(connection, f"SELECT * {chosen} ORDER BY started_at, id", values), select(
            connection, images, values
        )

    generations, images = ledger.read(read)
    of: dict[str, list[Row]] = defaultdict(list)
    for row in images:
        of[row["generation"]].append(row)
    for row in generations:
        try:
            record = record_of(row, ())
            yield from ((record, image_of(image)) for image in of[row["id"]])
        except DamagedRowError:  # `history` names it
            continue


def typical(ledger: Ledger, model: str, quality: str | None) -> tuple[float, int] | None:
    """Return how long an image took lately, in seconds, and its bytes; None where there was none."""
    if not ledger.path.exists():
        return None

    def read(connection: Connection) -> list[Row]:
        if not version_of(connection):
            return []
        lately = (
            "SELECT g.ended_at - g.started_at AS took, i.byte_count AS size FROM generations g JOIN images i "
            "ON i.generation = g.id WHERE g.model = ? AND g.outcome = 'done' AND i.outcome = 'done' "
            "AND json_valid(g.params) AND json_extract(g.params, '$.quality') IS ? ORDER BY g.started_at DESC LIMIT 20"
        )
        average = f"SELECT avg(took) AS took, avg(size) AS size FROM ({lately}) WHERE took >= 0"  # noqa: S608
        return select(connection, average, (model, quality))

    found = ledger.read(read)
    return (found[0]["took"], round(found[0]["size"])) if found and found[0]["took"] is not None else None
