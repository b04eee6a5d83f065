"""`history()`: what has been made in any session, newest first, and each of it as an image and as code again."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

from ..api.errors import GradientNotebookError, InvalidRequestError, InvalidSettingsError
from ..api.events import Usage
from ..api.text import clean, nearest
from ..display_hooks import hook
from ..money.cost import Cost
from ..session import session
from ..storage import clock, reading
from ..storage.archive import NOWHERE, Archive, get_default
from ..storage.budget import cost_in_all
from ..storage.deleting import delete
from ..storage.outcome import ENDED, Outcome
from ..storage.record import Record
from ..storage.search import Query
from .costs import cost_by
from .entry import HistoryEntry
from .frame import row_of
from .moments import Moment, seconds_of
from .pruning import age_s, check_bounds, fitting
from .rating import checked_stars

if TYPE_CHECKING:
    from sqlite3 import Connection

    from pandas import DataFrame

T = TypeVar("T")

_logger = logging.getLogger("gradient_notebook")

SHOWN = 24
"""How many are shown at once."""


class History(Sequence[HistoryEntry]):
    """What has been made, newest first: a sequence, which a cell shows. `history(words)` makes one, slices select.

    Which generations these are, and in what order, stays as it was when the history was made. They are read from disk
    when they are asked for, a few at a time; what has been deleted meanwhile is passed over.

    >>> from gradient_notebook import generate, history
    >>> images = [generate(prompt, quality="low") for prompt in ("A red fox", "An otter")]
    >>> [entry.prompt for entry in history()[:2]]
    ['An otter', 'A red fox']
    """

    def __init__(
        self,
        ids: Sequence[str],
        archive: Archive,
        made_by: str = "history()",
        first: int = 0,
        *,
        unended: Collection[str] = (),
        query: Query | None = None,
        known: Iterable[Record] = (),
    ) -> None:
        self._ids = ids
        self._archive = archive
        self._made_by = made_by
        """What one writes to get it, up to a slice."""
        self._first = first
        """Where its first entry stands in that."""
        self._unended = unended
        """Ids of those that had no end when it was made."""
        self._query = query
        """What finds it, if it is no slice."""
        self._known = {record.id: record for record in known}
        """The records that were read last."""

    def __repr__(self) -> str:
        text = f"<History: {len(self)} generation{'' if len(self) == 1 else 's'}, {self.byte_count / 1e6:,.1f} MB>"
        return "\n".join([text, *self.notes])

    @property
    def notes(self) -> list[str]:
        """What is wrong with the ledger: what was damaged, or cannot be read or written here."""
        return [clean(note) for note in self._archive.ledger.notes]

    def __len__(self) -> int:
        return len(self._ids)

    @overload
    def __getitem__(self, at: int) -> HistoryEntry: ...
    @overload
    def __getitem__(self, at: slice) -> History: ...
    def __getitem__(self, at: int | slice) -> HistoryEntry | History:
        if isinstance(at, slice):
            first, _, step = at.indices(len(self))
            # What is no plain piece of it has no name of its own.
            made_by = self._made_by if step == 1 else "…"
            first = self._first + first if step == 1 else 0
            return History(
                self._ids[at], self._archive, made_by, first, unended=self._unended, known=self._known.values()
            )
        place = range(len(self))[at]
        one, page = self._ids[place], place - place % reading.AT_ONCE
        for record in self._records(self._ids[page : page + reading.AT_ONCE]):
            if record.id == one:
                return HistoryEntry(record, self._archive, self._first + place)
        raise GradientNotebookError(
            f"Record {one} was deleted after this history was made.", "Make it again: history()."
        )

    def __iter__(self) -> Iterator[HistoryEntry]:
        ids = self._ids
        for piece in reading.pieces(ids):
            yield from self._entries(piece)
        if ids is not self._ids:  # a ledger that was repaired meanwhile lists what it has lost in other places
            before = set(ids)
            for piece in reading.pieces([one for one in self._ids if one not in before]):
                yield from self._entries(piece)

    def _entries(self, ids: Sequence[str]) -> list[HistoryEntry]:
        return [HistoryEntry(record, self._archive) for record in self._records(ids)]

    def _records(self, ids: Sequence[str]) -> list[Record]:
        """Return those of the records that are there; what is read is kept for the next call, and no more than that."""
        if not all(one in self._known for one in ids):
            ledger, repaired = self._archive.ledger, self._archive.ledger.repaired
            found: list[Record] = self._look(
                lambda connection, pass_over: reading.records(connection, ids, pass_over), []
            )
            self._known = {record.id: record for record in found}
            if ledger.repaired != repaired and self._query:
                with _readable():
                    self._ids = ledger.find(self._query).ids
        return [self._known[one] for one in ids if one in self._known]

    def _read_of(self, ids: Sequence[str], read: Callable[[Connection, Sequence[str]], T], nothing: T) -> T:
        return self._look(lambda connection, _: read(connection, ids), nothing)

    def _look(self, work: Callable[[Connection, reading.PassOver], T], nothing: T) -> T:
        with _readable():
            return self._archive.ledger.look(work, nothing)

    @property
    def byte_count(self) -> int:
        """Bytes of all files on disk."""
        return self._read_of(self._ids, reading.byte_count, 0)

    @property
    def usage(self) -> Usage | None:
        """Tokens of all of these together, as far as the service said; None where it said nothing."""
        return self._read_of(self._ids, _total, None)

    @property
    def cost(self) -> Cost:
        """What all of these cost together, by the prices that held when they were made."""
        return self._read_of(self._ids, cost_in_all, Cost())

    def cost_by(self, what: str) -> dict[str, Cost]:
        """Return what these cost by day, model or outcome, newest first.

        Args:
            what: "day" (local time), "model" or "outcome".

        Raises:
            InvalidRequestError: it is none of these.
        """
        return cost_by(self, what)

    def to_frame(self) -> DataFrame:
        """Return a pandas DataFrame, a row for each generation.

        Raises:
            ImportError: pandas is not installed.
        """
        import pandas as pd

        return pd.DataFrame([row_of(entry) for entry in self])

    def record(self, path: Path | str) -> int:
        """Add their finished images to a recording, for `session.replay`, and return how many; the oldest comes first.

        Args:
            path: the file, which is made where there is none.

        Raises:
            InvalidRequestError: nothing to record, too much, an original that is gone, or a file that is no recording.
        """
        from .recorded import record

        return record(self, path)

    def upload(self) -> int:
        """Send what the archive has on this machine alone to its address now, and return how many originals went up.

        It goes there by itself, too: this says why it does not. All of the archive is sent, not these alone.

        Raises:
            InvalidSettingsError: the archive is a folder, and has no address.
            GradientNotebookError: the address cannot be used; the originals stay on this machine.
        """
        uploads = self._archive.uploads
        if uploads is None:
            what = "This archive is a folder on this machine: there is nowhere to upload to."
            raise InvalidSettingsError(what, "Set archive_dir to an address, as s3://bucket/prefix.")
        with _readable():
            count, failed = uploads.run()
        if failed:
            advice = f"{len(uploads.pending())} originals are on this machine alone; they are kept."
            raise GradientNotebookError(f"{failed[0]}.", advice)
        return count

    def delete(self) -> int:
        """Delete all of these, records and files, for good.

        What runs, in whatever process, is left alone, and so is what has ended since this history was made: it is logged.

        Returns:
            How many were deleted.
        """
        return len(self._ids) - len(delete(self._archive, self._ids, self._unended))

    def prune(self, *, older_than: dt.timedelta | None = None, max_bytes: int | None = None) -> History:
        """Delete what is older, and then the oldest until the rest is small enough. Return the rest.

        What runs is left alone. What seems to be older than this package has the time of a clock that was not set: it
        counts as new.

        Args:
            older_than: the age of what may stay, at most.
            max_bytes: bytes on disk that the rest may take together.

        Raises:
            InvalidRequestError: neither is given, or not clearly; nothing is deleted then.
        """
        check_bounds(older_than, max_bytes)
        now = clock.now()
        began: dict[str, float] = self._read_of(self._ids, reading.beginnings, {})
        ages_s = {one: age_s(began[one], now) for one in self._ids if one in began}
        kept = [one for one, age in ages_s.items() if older_than is None or age <= older_than.total_seconds()]
        if max_bytes is not None:
            kept.sort(key=ages_s.__getitem__)
            kept = kept[: fitting(self._sizes(kept), max_bytes)]
        left = set(kept)
        left.update(delete(self._archive, [one for one in ages_s if one not in left], self._unended))
        return History([one for one in self._ids if one in left], self._archive, unended=self._unended)

    def _sizes(self, ids: Sequence[str]) -> Iterator[Mapping[str, int]]:
        """Yield the bytes of each record's files, by file."""
        for piece in reading.pieces(ids):
            found: Mapping[str, Mapping[str, int]] = self._read_of(piece, reading.sizes, {})
            yield from (found.get(one, {}) for one in piece)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return dict(hook("show_history")(self._entries(self._ids[:SHOWN]), self._archive, **self._told))

    def _ipython_display_(self) -> None:
        hook("display_history")(self._entries(self._ids[:SHOWN]), self._archive, **self._told)

    @property
    def _told(self) -> dict[str, Any]:
        """What is told of those that are shown."""
        return {"more": len(self) - SHOWN, "made_by": self._made_by, "first": self._first}


def history(
    words: str = "",
    *,
    since: Moment | None = None,
    until: Moment | None = None,
    model: str | None = None,
    outcome: str | None = None,
    stars: int | None = None,
    archive_dir: Path | str | None = None,
) -> History:
    """Return what has been made in any session, newest first.

    Args:
        words: all of them stand in the prompt, also as the service rewrote it, or begin the record's id or a file's name.
        since: a date or a time, also as ISO text, or "today", "yesterday", "7d"; local time.
        until: likewise; a day counts whole.
        model: a part of the model's name.
        outcome: one of done, refused, failed, cancelled, unknown, running.
        stars: how many stars one of its images has, at least; `entry.rate(stars=4)` gives some.
        archive_dir: another archive's folder than this session's.

    Returns:
        The generations that fit, as a sequence.

    Raises:
        InvalidRequestError: a time, an outcome or stars that make no sense.
        InvalidSettingsError: there is no archive, or it cannot be read.

    >>> from gradient_notebook import generate, history
    >>> fox = generate("A red fox", quality="low", size="1024x1024")
    >>> history("fox")[0].image.size
    (1024, 1024)
    """
    archive = _archive(archive_dir)
    known_outcome = _known_outcome(outcome)
    if not isinstance(words, str):
        advice = "history() without words returns everything."
        raise InvalidRequestError(f"words={words!r}: expected text", advice, param="words", sent=None)
    between = {"since": seconds_of("since", since)} if since is not None else {}
    if until is not None:
        between["until"] = seconds_of("until", until, end=True)
    facts: dict[str, Any] = {"outcome": known_outcome, "stars": checked_stars(stars), **between}
    query = Query(words=tuple(words.split()), model=model or "", **facts)
    with _readable():
        found = archive.find(query)
    for note in archive.ledger.notes:
        if session.is_first(note):
            _logger.warning("%s", clean(note))
    asked = {
        "since": since,
        "until": until,
        "model": model,
        "outcome": outcome,
        "stars": stars,
        "archive_dir": archive_dir,
    }
    named = [f"{name}={value!r}" for name, value in asked.items() if value is not None]
    made_by = f"history({', '.join([*([repr(words)] if words else []), *named])})"
    return History(found.ids, archive, made_by, unended=found.unended, query=query, known=found.first)


@contextlib.contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InvalidSettingsError(
            f"The ledger cannot be read: {error}", "The original files are in the folder beside it."
        ) from error


def _total(connection: Connection, ids: Sequence[str]) -> Usage | None:
    total: Usage | None = None
    for one in map(_usage, reading.usages(connection, ids)):
        total = total + one if total and one else total or one
    return total


@lru_cache(maxsize=1024)
def _usage(said: str) -> Usage | None:
    """Return the tokens in what the ledger has; many a request used the same."""
    with contextlib.suppress(ValueError, RecursionError):  # damaged
        return Usage.of(json.loads(said))
    return None


def _archive(folder: Path | str | None) -> Archive:
    try:
        archive = Archive(folder) if folder else get_default()
    except RuntimeError as error:  # there is no such user
        raise InvalidRequestError(f"archive_dir={folder!r}: {error}", param="archive_dir", sent=None) from None
    if archive is None:
        raise InvalidSettingsError("This session keeps no history: its archive is off.", suggest=("keep_history",))
    if archive.folder == NOWHERE:
        what = "There is no history: there is no home folder to keep it in."
        raise InvalidSettingsError(what, "Set GRADIENT_IMAGE_ARCHIVE_DIR to a folder.")
    return archive


def _known_outcome(outcome: str | None) -> Outcome | None:
    known: tuple[Outcome, ...] = (*ENDED, "running")
    for one in known:
        if one == outcome:
            return one
    if outcome is None:
        return None
    what = f"outcome={outcome!r}: expected one of {', '.join(known)}"
    raise InvalidRequestError(what, nearest(str(outcome), known), param="outcome", sent=None)
