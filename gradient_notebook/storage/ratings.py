"""What people think of images: stars, tags and notes, and which of two was better. The ledger keeps it beside the records."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from . import clock
from .ledger import Ledger
from .reading import Row, select
from .schema import version_of

if TYPE_CHECKING:
    from sqlite3 import Connection

ImageKey = tuple[str, int]
"""An image: the id of its record, and its position in that."""


@dataclass(frozen=True, kw_only=True)
class Rating:
    """What somebody thinks of one image.

    Attributes:
        stars: 0 to 5; None where nobody has given any.
        tags: words that are kept beside it.
        note: text that is kept beside it.
    """

    stars: int | None = None
    tags: tuple[str, ...] = ()
    note: str = ""


UNRATED = Rating()
"""What nobody has rated."""


def ratings(ledger: Ledger, images: Collection[ImageKey]) -> dict[ImageKey, Rating]:
    """Return the ratings of these images, as far as there are any."""
    if not images or not ledger.path.exists():
        return {}
    ids = json.dumps(list(dict.fromkeys(record for record, _ in images)))

    def read(connection: Connection) -> list[Row]:
        if not version_of(connection):
            return []
        return select(connection, "SELECT * FROM ratings WHERE generation IN (SELECT value FROM json_each(?))", (ids,))

    wanted = set(images)
    found = {(row["generation"], row["position"]): _rating(row) for row in ledger.read(read)}
    return {image: rating for image, rating in found.items() if image in wanted}


def rate(ledger: Ledger, image: ImageKey, **changes: Any) -> bool:
    """Change what is thought of an image, and return whether there is one: its record may have been deleted."""

    def change(connection: Connection) -> bool:
        there = "SELECT 1 FROM images WHERE generation = ? AND position = ?"
        if connection.execute(there, image).fetchone() is None:
            return False
        # Read in here: two kernels that change two things of one image keep both.
        rows = select(connection, "SELECT * FROM ratings WHERE generation = ? AND position = ?", image)
        rating = replace(_rating(rows[0]) if rows else UNRATED, **changes)
        connection.execute("DELETE FROM ratings WHERE generation = ? AND position = ?", image)
        if rating != UNRATED:
            values = (*image, rating.stars, json.dumps(rating.tags), rating.note)
            connection.execute("INSERT INTO ratings VALUES (?, ?, ?, ?, ?)", values)
        return True

    return ledger.write(change)


def _rating(row: Mapping[str, Any]) -> Rating:
    """Return a row's rating; of what no version of this package has written, as much as can be read."""
    stars, tags, note = row["stars"], row["tags"], row["note"]
    try:
        tags = json.loads(tags or "[]")
    except (TypeError, ValueError):
        tags = []
    return Rating(
        stars=stars if type(stars) is int and 0 <= stars <= MOST_STARS else None,
        tags=tuple(tag for tag in tags if isinstance(tag, str)) if isinstance(tags, list) else (),
        note=note if isinstance(note, str) else "",
    )


MOST_STARS = 5
"""The best that there is."""


@dataclass(frozen=True, kw_only=True)
class Vote:
    """Which of two images somebody found better."""

    winner: ImageKey
    loser: ImageKey


def put_vote(ledger: Ledger, vote: Vote, run: str | None = None) -> None:
    """Keep a vote; `run` is the sweep that it was asked in."""
    values = (run, json.dumps(vote.winner), json.dumps(vote.loser), clock.now())
    ledger.write(lambda connection: connection.execute("INSERT INTO votes VALUES (?, ?, ?, ?)", values))


def votes(ledger: Ledger, images: Collection[ImageKey]) -> list[Vote]:
    """Return the votes between two of these images, oldest first, in whatever sweep they were asked."""
    if not images or not ledger.path.exists():
        return []
    names = {json.dumps(image): image for image in images}

    def read(connection: Connection) -> list[Row]:
        if not version_of(connection):
            return []
        among = "(SELECT value FROM json_each(?))"
        statement = f"SELECT * FROM votes WHERE winner IN {among} AND loser IN {among} ORDER BY voted_at"  # noqa: S608
        return select(connection, statement, (wanted, wanted))

    wanted = json.dumps(list(names))
    return [Vote(winner=names[row["winner"]], loser=names[row["loser"]]) for row in ledger.read(read)]


Score = float | str
"""What was measured of an image: a number, or text such as a hash."""


def scores(ledger: Ledger, name: str, files: Collection[str]) -> dict[str, Score]:
    """Return what was measured by this name, by the originals' files, which are named by their content."""
    if not files or not ledger.path.exists():
        return {}

    def read(connection: Connection) -> list[Row]:
        if not version_of(connection):
            return []
        chosen = "name = ? AND file IN (SELECT value FROM json_each(?))"
        return select(connection, f"SELECT file, value FROM scores WHERE {chosen}", (name, json.dumps(list(files))))  # noqa: S608

    found = ledger.read(read)
    return {row["file"]: row["value"] for row in found if isinstance(row["value"], (int, float, str))}


def put_scores(ledger: Ledger, name: str, found: Mapping[str, Score]) -> None:
    """Keep what was measured: measuring the same again takes its time."""
    rows = [(file, name, value) for file, value in found.items()]
    ledger.write(lambda connection: connection.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?, ?)", rows))
