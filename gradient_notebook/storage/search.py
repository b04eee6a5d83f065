"""What is found in the ledger, and in what order; the records themselves are read piece by piece.

What was ever sent or answered can be 100,000 records of a kilobyte each. Only their ids are held, some 7 MB, so that
places in a history stay what they are; everything else is asked for by ids, a few at a time. The words stand in a table
of their own, folded as Python folds them (SQLite ignores case in ASCII only), and are searched by GLOB: 0.1 s for 100,000
records. An index of word pieces (FTS5) takes 0.05 s, twice the disk, and leaves a ledger that a Python whose SQLite lacks
it cannot write.

A row of `texts` says that its record was seen whole since it was last changed: whatever else changes a record, or an
image, takes that row away (triggers), and such a record is read, checked, and asked in Python.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import reading
from .outcome import ENDED, Outcome
from .reading import PassOver, checked, checked_of, records, select
from .record import Record, outcome_now

if TYPE_CHECKING:
    from sqlite3 import Connection

_LONGEST_PATTERN = 1_000
"""Characters of a word that GLOB is asked for; SQLite takes 50,000 bytes."""
_MOST_CONDITIONS = 20
"""Words that SQLite is asked for at once, the longest; somebody may search for a whole prompt."""
_FEW = 2_000
"""So many texts are asked for one by one; more are gone through."""
_SETTLED = tuple(outcome for outcome in ENDED if outcome != "unknown")
"""Outcomes that stay what the ledger says; the others depend on whether a process lives."""


@dataclass(frozen=True, kw_only=True)
class Query:
    """What is looked for; times are Unix seconds, `until` does not count any more."""

    words: tuple[str, ...] = ()
    """Each stands in the prompt, or the revised one, in whatever case, or begins the id or a file's name."""
    since: float = -math.inf
    until: float = math.inf
    model: str = ""
    """A part of the model's name, in whatever case."""
    outcome: Outcome | None = None
    stars: int | None = None
    """How many stars one of its images has at least; `fits` does not look at that, which no record has."""

    def fits(self, record: Record) -> bool:
        """Whether a record is what is looked for: the rule that `find` follows in SQL."""
        text = text_of(record)
        names = (record.id, *(image.file or "" for image in record.images))
        return (
            self.since <= record.started_at < self.until
            and self.fits_model(record.model)
            and self.outcome in (None, outcome_now(record))
            and all(folded(word) in text or any(name.startswith(word) for name in names) for word in self.words)
        )

    def fits_model(self, model: str) -> bool:
        """Whether a model's name is what is looked for."""
        return self.model.lower() in model.lower()


@dataclass(frozen=True)
class Found:
    """What a search found, as of one moment."""

    ids: Sequence[str] = ()
    """Newest first."""
    unended: Collection[str] = frozenset()
    """Those that had no end."""
    first: Sequence[Record] = ()
    """The newest of the records, which are looked at next."""
    unseen: Sequence[str] = ()
    """Ids of whole records, found or not, that `keep_texts` makes quicker to find the next time."""


def folded(text: str) -> str:
    """Return text as it is compared."""
    # SQLite's patterns end at a zero.
    return text.casefold().replace("\0", "\uffff").encode("utf-8", "replace").decode()


def text_of(record: Record) -> str:
    """Return the text in which words are looked for."""
    revised = next((image.revised_prompt for image in record.images if image.revised_prompt), "")
    return folded(f"{record.prompt}\n{revised}")


def put_text(connection: Connection, record: Record) -> None:
    """Note that a record was seen whole, and its text."""
    connection.execute("INSERT OR REPLACE INTO texts (id, text) VALUES (?, ?)", (record.id, text_of(record)))


def find(connection: Connection, query: Query, pass_over: PassOver) -> Found:
    """Return what a query finds: by SQL what was seen whole, by its own rule what was not."""
    has_texts = bool(select(connection, "PRAGMA table_info(texts)"))  # a newer version may have another way
    facts, values = _facts(connection, query)
    fitting, unseen = _by_the_rule(connection, query, facts, values, pass_over, has_texts=has_texts)
    having: set[str] | None = None
    if query.words and not facts:  # nothing narrows it down but the words
        having = _with_words(connection, query) if has_texts else set()
        if not having and not fitting:
            return Found(unseen=unseen)
    ids, unended = _in_order(connection, facts, values, fitting)
    if query.words and having is None:
        having = _with_words(connection, query, ids if len(ids) <= _FEW else None) if has_texts else set()
    if having is not None:
        ids = [one for one in ids if one in having or one in fitting]
    if query.stars is not None:
        rated = _rated(connection, query.stars)
        ids = [one for one in ids if one in rated]
    return Found(ids, unended, records(connection, ids[: reading.AT_ONCE], pass_over), unseen)


def _by_the_rule(
    connection: Connection,
    query: Query,
    facts: list[str],
    values: Mapping[str, Any],
    pass_over: PassOver,
    *,
    has_texts: bool,
) -> tuple[set[str], list[str]]:
    """Return what fits of that which SQL cannot tell, and what was not seen whole before; add to the facts that of all else."""
    fitting: set[str] = set()
    unseen: list[str] = []
    if _count(connection, "generations") != (_count(connection, "texts") if has_texts else 0):
        is_seen = "+id IN (SELECT id FROM texts)" if has_texts else "FALSE"
        for record, is_whole in checked(connection, f"NOT {is_seen}", pass_over):
            unseen += [record.id] if is_whole else []
            fitting.update([record.id] if query.fits(record) else [])
        facts.append(is_seen)
    if query.outcome:
        is_open = f"(outcome IS NULL OR outcome NOT IN {_SETTLED})"
        for record, _ in checked(connection, " AND ".join([is_open, *facts]), pass_over, values):
            fitting.update([record.id] if query.fits(record) else [])
        facts += [f"NOT {is_open}", "outcome = :outcome"]
    return fitting, unseen


def _facts(connection: Connection, query: Query) -> tuple[list[str], dict[str, Any]]:
    """Return the conditions of time and model, and the values that they and that of the outcome need."""
    conditions: list[str] = []
    values: dict[str, Any] = {"since": query.since, "until": query.until, "outcome": query.outcome}
    if (query.since, query.until) != (-math.inf, math.inf):
        conditions.append("started_at >= :since AND started_at < :until")
    if query.model:
        models = connection.execute("SELECT DISTINCT model FROM generations WHERE typeof(model) = 'text'")
        values["models"] = json.dumps([model for (model,) in models if query.fits_model(model)])
        conditions.append("model IN (SELECT value FROM json_each(:models))")
    return conditions, values


def _in_order(
    connection: Connection, facts: Sequence[str], values: Mapping[str, Any], fitting: Collection[str]
) -> tuple[list[str], set[str]]:
    """Return the ids, newest first, of which all facts are true, and `fitting`; and which of them have no end."""
    chosen = f"({' AND '.join(facts) or 'TRUE'}) OR +id IN (SELECT value FROM json_each(:fitting))"  # noqa: S608 - our own words
    # All from the index, which has each of these columns.
    found = connection.execute(
        f"SELECT id, ended_at IS NULL FROM generations {f'WHERE {chosen}' if facts else ''} ORDER BY started_at DESC",  # noqa: S608 - our own words
        {**values, "fitting": json.dumps(list(fitting))},
    )
    ids, unended = [], set()
    for one, is_unended in found:
        ids.append(one)
        if is_unended:
            unended.add(one)
    return ids, unended


def _with_words(connection: Connection, query: Query, ids: Sequence[str] | None = None) -> set[str]:
    """Return which, of the ids or of all, have all the words, as far as they were seen whole."""
    words = sorted(set(query.words), key=len, reverse=True)
    conditions, values = [], {}
    if ids is not None:
        conditions.append("id IN (SELECT value FROM json_each(:ids))")
        values["ids"] = json.dumps(ids)
    for number, word in enumerate(words[:_MOST_CONDITIONS]):
        has, values[f"word{number}"] = _has_word(word, f":word{number}")
        if named := _named(connection, word):
            values[f"named{number}"] = json.dumps(named)
            has = f"({has} OR id IN (SELECT value FROM json_each(:named{number})))"  # noqa: S608 - our own words
        conditions.append(has)
    read = f"SELECT id FROM texts WHERE {' AND '.join(conditions)}"  # noqa: S608 - our own words
    found = {one for (one,) in connection.execute(read, values)}
    if len(words) > _MOST_CONDITIONS:
        there = checked_of(connection, list(found), lambda _: None)
        return {record.id for record, _ in there if query.fits(record)}
    return found


def _rated(connection: Connection, stars: int) -> set[str]:
    """Return the ids of the records of which an image has so many stars, or more."""
    found = connection.execute(
        "SELECT generation FROM ratings WHERE typeof(stars) = 'integer' AND stars >= ?", (stars,)
    )
    return {one for (one,) in found}


def _has_word(word: str, value: str) -> tuple[str, str]:
    """Return the condition that a text has a word, and the value that it needs."""
    word = folded(word)
    if len(word) > _LONGEST_PATTERN:
        return f"instr(text, {value})", word
    pattern = "".join(f"[{character}]" if character in "*?[" else character for character in word)
    return f"text GLOB {value}", f"*{pattern}*"


def _named(connection: Connection, word: str) -> list[str]:
    """Return the ids of the records whose id, or a file's name, begins with a word."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return []  # half a surrogate pair: in no name
    between = {"first": word, "last": f"{word}\U0010ffff"}
    found = connection.execute(
        "SELECT id FROM generations WHERE id >= :first AND id < :last "
        "UNION SELECT generation FROM images WHERE file >= :first AND file < :last",
        between,
    )
    return [one for (one,) in found if isinstance(one, str)]


def keep_texts(connection: Connection, ids: Sequence[str]) -> None:
    """Note that these records, where they are whole, were seen so, and their texts."""
    for record, is_whole in checked_of(connection, ids, lambda _: None):
        if is_whole:
            put_text(connection, record)


def _count(connection: Connection, table: str) -> int:
    (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 - our own names
    return int(count)
