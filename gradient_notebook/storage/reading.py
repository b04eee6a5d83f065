"""Records and images as they are read from the ledger's tables, a few at a time; what is damaged is named, and left out."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ..api import bounds
from .record import DamagedRowError, ImageRecord, Record, image_of, record_of

if TYPE_CHECKING:
    from sqlite3 import Connection

Row = dict[str, Any]
PassOver = Callable[[str], None]
"""Takes the description of a damaged row that is left out."""

AT_ONCE = 500
"""How many records are read at a time: some 2 MB."""
_FEW = 2_000
"""So many records are looked up one by one; of more, the whole table is gone through."""


def select(connection: Connection, statement: str, values: Any = ()) -> list[Row]:
    """Return what a statement gives, by the columns' names."""
    cursor = connection.execute(statement, values)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def checked(
    connection: Connection, condition: str, pass_over: PassOver, values: Mapping[str, Any] = MappingProxyType({})
) -> Iterator[tuple[Record, bool]]:
    """Yield records, a few at a time, and whether each is whole: an image that is damaged is left out of it."""
    cursor = connection.execute(f"SELECT * FROM generations WHERE {condition}", {**values})  # noqa: S608 - our own words
    names = [column[0] for column in cursor.description]
    while batch := cursor.fetchmany(AT_ONCE):
        yield from _joined(connection, [dict(zip(names, row, strict=True)) for row in batch], pass_over)


def checked_of(connection: Connection, ids: Sequence[str], pass_over: PassOver) -> Iterator[tuple[Record, bool]]:
    """Yield the records of these ids that are there, in any order, and whether each is whole."""
    for piece in pieces(ids):
        chosen = json.dumps(list(piece))
        there = select(connection, "SELECT * FROM generations WHERE id IN (SELECT value FROM json_each(?))", (chosen,))
        yield from _joined(connection, there, pass_over)


def records(connection: Connection, ids: Sequence[str], pass_over: PassOver) -> list[Record]:
    """Return the records of these ids, in their order, without those that are gone or damaged."""
    found = {record.id: record for record, _ in checked_of(connection, ids, pass_over)}
    return [found[one] for one in ids if one in found]


def _joined(connection: Connection, generations: Sequence[Row], pass_over: PassOver) -> Iterator[tuple[Record, bool]]:
    """Yield the records in rows, with their images, and whether each is whole."""
    chosen = json.dumps([row["id"] for row in generations if isinstance(row["id"], str)])
    of_these = "SELECT * FROM images WHERE generation IN (SELECT value FROM json_each(?)) ORDER BY position"
    images_of: dict[str, list[ImageRecord]] = {}
    broken = set()
    for row in select(connection, of_these, (chosen,)):
        try:
            images_of.setdefault(row["generation"], []).append(image_of(row))
        except DamagedRowError as error:
            pass_over(f"image {row['position']} of {row['generation']} ({error})")
            broken.add(row["generation"])
    for row in generations:
        try:
            # `get`: a folder that cannot be written is read without a lock, and others may add to it meanwhile.
            yield record_of(row, tuple(images_of.get(row["id"], ()))), row["id"] not in broken
        except DamagedRowError as error:
            pass_over(f"record {row['id']} ({error})")


# What many records have together

_SOUND = f"file NOT NULL AND typeof(byte_count) = 'integer' AND byte_count BETWEEN 0 AND {bounds.MAX_IMAGE_BYTES}"
"""Whether an image has a file whose size can be one."""


def _of_these(connection: Connection, ids: Sequence[str]) -> tuple[str, str]:
    """Return the condition on an image that it is of these records, and the value `ids` that it needs."""
    if len(ids) <= _FEW:
        return "generation IN (SELECT value FROM json_each(:ids))", json.dumps(list(ids))
    if _are_all(connection, ids):
        return "TRUE", ""
    # Quicker to go through than to look up, one by one.
    return "+generation IN (SELECT value FROM json_each(:ids))", json.dumps(list(ids))


def _are_all(connection: Connection, ids: Sequence[str]) -> bool:
    """Whether these, newest first, are the records that there are."""
    if connection.execute("SELECT count(*) FROM generations").fetchone() != (len(ids),):
        return False
    there = connection.execute("SELECT id FROM generations ORDER BY started_at DESC")
    return all(map(operator.eq, ids, (one for (one,) in there)))


def byte_count(connection: Connection, ids: Sequence[str]) -> int:
    """Return the bytes of the files of these records; a file that several have counts once."""
    of_these, value = _of_these(connection, ids)
    each = f"SELECT max(byte_count) AS size FROM images WHERE {_SOUND} AND {of_these} GROUP BY file"  # noqa: S608 - our own words
    (total,) = connection.execute(f"SELECT sum(size) FROM ({each})", {"ids": value}).fetchone()  # noqa: S608 - our own words
    return total or 0


def usages(connection: Connection, ids: Sequence[str]) -> Iterator[str]:
    """Yield what the service said of the tokens of each image of these records, as JSON."""
    of_these, value = _of_these(connection, ids)
    read = f"SELECT usage FROM images WHERE typeof(usage) = 'text' AND {of_these}"  # noqa: S608 - our own words
    yield from (usage for (usage,) in connection.execute(read, {"ids": value}))


def costs(connection: Connection, ids: Sequence[str]) -> tuple[list[tuple[str, int]], list[tuple[Any, Any]]]:
    """Return what is known of what these records cost, by currency; and how those images ended whose cost is not known."""
    of_these, value = _of_these(connection, ids)
    known = (
        "SELECT currency, sum(cost) FROM images JOIN generations ON id = generation "  # noqa: S608 - our own words
        f"WHERE typeof(cost) = 'integer' AND typeof(currency) = 'text' AND {of_these} GROUP BY currency"
    )
    unknown = f"SELECT outcome, error FROM images WHERE cost IS NULL AND {of_these}"  # noqa: S608 - our own words
    return connection.execute(known, {"ids": value}).fetchall(), connection.execute(unknown, {"ids": value}).fetchall()


def beginnings(connection: Connection, ids: Sequence[str]) -> dict[str, float]:
    """Return when those of these records that are there began."""
    found = connection.execute(
        "SELECT id, started_at FROM generations WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(list(ids)),)
    )
    return dict(found.fetchall())


def sizes(connection: Connection, ids: Sequence[str]) -> Mapping[str, Mapping[str, int]]:
    """Return the bytes of each file of these records, by record."""
    found: dict[str, dict[str, int]] = {}
    of_these = "generation IN (SELECT value FROM json_each(?))"
    read = f"SELECT generation, file, byte_count FROM images WHERE {_SOUND} AND {of_these}"  # noqa: S608 - our own words
    for generation, file, size in connection.execute(read, (json.dumps(list(ids)),)):
        found.setdefault(generation, {})[file] = size
    return found


def pieces(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield as many at a time as are read at once."""
    for at in range(0, len(ids), AT_ONCE):
        yield ids[at : at + AT_ONCE]
