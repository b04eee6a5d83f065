"""`history()`: what has been made in any session, newest first, and each of it as an image and as code again."""

from __future__ import annotations

import datetime as dt
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from ..api.errors import InvalidRequestError, InvalidSettingsError
from ..api.events import Usage
from ..api.params import PARAMETERS
from ..api.text import clean, nearest
from ..display_hooks import hook
from ..session import session
from ..storage import clock
from ..storage.archive import NOWHERE, Archive, get_default
from ..storage.outcome import ENDED
from .entry import HistoryEntry, unended

if TYPE_CHECKING:
    from pandas import DataFrame

_logger = logging.getLogger("gradient_notebook")

SHOWN = 24
"""How many are shown at once."""

Moment = dt.datetime | dt.date | str


class History(Sequence[HistoryEntry]):
    """What has been made, newest first: a sequence, which a cell shows. `history(words)` makes one, slices select.

    >>> from gradient_notebook import generate, history
    >>> images = [generate(prompt, quality="low") for prompt in ("A red fox", "An otter")]
    >>> [entry.prompt for entry in history()[:2]]
    ['An otter', 'A red fox']
    """

    def __init__(
        self, entries: Sequence[HistoryEntry], archive: Archive, made_by: str = "history()", first: int = 0
    ) -> None:
        self._entries = list(entries)
        self._archive = archive
        self._made_by = made_by
        """What one writes to get it, up to a slice."""
        self._first = first
        """Where its first entry stands in that."""

    def __repr__(self) -> str:
        text = f"<History: {len(self)} generation{'' if len(self) == 1 else 's'}, {self.byte_count / 1e6:,.1f} MB>"
        return "\n".join([text, *self.notes])

    @property
    def notes(self) -> list[str]:
        """What is wrong with the ledger: what was damaged, or cannot be read or written here."""
        return [clean(note) for note in self._archive.ledger.notes]

    def __len__(self) -> int:
        return len(self._entries)

    @overload
    def __getitem__(self, at: int) -> HistoryEntry: ...
    @overload
    def __getitem__(self, at: slice) -> History: ...
    def __getitem__(self, at: int | slice) -> HistoryEntry | History:
        if isinstance(at, slice):
            first, _, step = at.indices(len(self))
            # What is no plain piece of it has no name of its own.
            made_by = self._made_by if step == 1 else "…"
            return History(self._entries[at], self._archive, made_by, self._first + first if step == 1 else 0)
        entry = self._entries[at]
        return HistoryEntry(entry.record, self._archive, self._first + range(len(self))[at])

    def __iter__(self) -> Iterator[HistoryEntry]:
        return iter(self._entries)

    @property
    def byte_count(self) -> int:
        """Bytes of all files on disk."""
        return sum({image.file: image.byte_count for entry in self for image in entry.record.images}.values())

    @property
    def usage(self) -> Usage | None:
        """Tokens of all of these together, as far as the service said; None where it said nothing."""
        used = [usage for entry in self if (usage := entry.usage)]
        return sum(used[1:], used[0]) if used else None

    def to_frame(self) -> DataFrame:
        """Return a pandas DataFrame, a row for each generation.

        Raises:
            ImportError: pandas is not installed.
        """
        import pandas as pd

        return pd.DataFrame([_row(entry) for entry in self])

    def delete(self) -> None:
        """Delete all of these, records and files, for good.

        What runs, in whatever process, is left alone, and so is what has ended since this history was made: it is logged.
        """
        self._archive.delete([entry.id for entry in self], unended(self))

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
        _check_bounds(older_than, max_bytes)
        now = clock.now()
        ages_s = {entry.id: _age_s(entry, now) for entry in self}
        kept = [entry for entry in self if older_than is None or ages_s[entry.id] <= older_than.total_seconds()]
        if max_bytes is not None:
            kept = sorted(kept, key=lambda entry: ages_s[entry.id])
            kept = kept[: _fitting(kept, max_bytes)]
        ids = {entry.id for entry in kept}
        gone = [entry for entry in self if entry.id not in ids]
        ids.update(self._archive.delete([entry.id for entry in gone], unended(gone)))
        return History([entry for entry in self if entry.id in ids], self._archive)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        shown = {"more": len(self) - SHOWN, "made_by": self._made_by, "first": self._first}
        return dict(hook("show_history")(self._entries[:SHOWN], self._archive, **shown))


def _age_s(entry: HistoryEntry, now: float) -> float:
    """Return how old it is, in seconds; 0 where its time says nothing, since the clock was set wrongly."""
    return max(0.0, now - entry.record.started_at) if entry.record.started_at >= clock.EARLIEST_S else 0.0


def _check_bounds(older_than: Any, max_bytes: Any) -> None:
    example = "Give older_than=timedelta(days=90), max_bytes=2_000_000_000, or both. Nothing was deleted."
    if older_than is None and max_bytes is None:
        raise InvalidRequestError("prune() needs older_than= or max_bytes=", example, sent=None)
    if older_than is not None and not (isinstance(older_than, dt.timedelta) and older_than >= dt.timedelta()):
        raise InvalidRequestError(f"older_than={older_than!r}: expected a timedelta, 0 or more", example, sent=None)
    # Not isinstance: True is an int, too, and as one byte it would delete everything.
    if max_bytes is not None and (type(max_bytes) is not int or max_bytes < 0):
        what = f"max_bytes={max_bytes!r}: expected a whole number of bytes, 0 or more"
        raise InvalidRequestError(what, example, sent=None)


def _fitting(entries: Iterable[HistoryEntry], max_bytes: int) -> int:
    """Return how many, from the newest on, have room on disk together; a file that several have counts once."""
    seen: dict[str | None, int] = {}
    total = count = 0
    for entry in entries:
        sizes = {image.file: image.byte_count for image in entry.record.images if image.file not in seen}
        total += sum(sizes.values())
        # The first that has no room ends it: an older one must not stay because it happens to be smaller.
        if total > max_bytes:
            break
        seen |= sizes
        count += 1
    return count


def history(
    words: str = "",
    *,
    since: Moment | None = None,
    until: Moment | None = None,
    model: str | None = None,
    outcome: str | None = None,
    archive_dir: Path | str | None = None,
) -> History:
    """Return what has been made in any session, newest first.

    Args:
        words: all of them stand in the prompt, also as the service rewrote it, or begin the record's id or a file's name.
        since: a date or a time, also as ISO text, or "today", "yesterday", "7d"; local time.
        until: likewise; a day counts whole.
        model: a part of the model's name.
        outcome: one of done, refused, failed, cancelled, unknown, running.
        archive_dir: another archive's folder than this session's.

    Returns:
        The generations that fit, as a sequence.

    Raises:
        InvalidRequestError: a time or an outcome that makes no sense.
        InvalidSettingsError: there is no archive, or it cannot be read.

    >>> from gradient_notebook import generate, history
    >>> fox = generate("A red fox", quality="low", size="1024x1024")
    >>> history("fox")[0].image.size
    (1024, 1024)
    """
    archive = _archive(archive_dir)
    _check_outcome(outcome)
    if not isinstance(words, str):
        advice = "history() without words returns everything."
        raise InvalidRequestError(f"words={words!r}: expected text", advice, param="words", sent=None)
    between = {"since": _time("since", since)} if since is not None else {}
    if until is not None:
        between["until"] = _time("until", until, end=True)
    try:
        records = archive.records(**between)
    except OSError as error:
        raise InvalidSettingsError(
            f"The ledger cannot be read: {error}", "The original files are in the folder beside it."
        ) from error
    for note in archive.ledger.notes:
        if session.is_first(note):
            _logger.warning("%s", clean(note))
    entries = [HistoryEntry(record, archive) for record in records]
    found = [entry for entry in entries if _has(entry, words.split()) and (model or "").lower() in entry.model.lower()]
    # By the entry's outcome, not the ledger's: where a process died with all images kept, the ledger has `unknown`.
    asked = {"since": since, "until": until, "model": model, "outcome": outcome, "archive_dir": archive_dir}
    named = [f"{name}={value!r}" for name, value in asked.items() if value is not None]
    made_by = f"history({', '.join([*([repr(words)] if words else []), *named])})"
    return History([entry for entry in found if outcome in (None, entry.outcome)], archive, made_by)


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


def _check_outcome(outcome: str | None) -> None:
    known = (*ENDED, "running")
    if outcome not in (None, *known):
        what = f"outcome={outcome!r}: expected one of {', '.join(known)}"
        raise InvalidRequestError(what, nearest(str(outcome), known), param="outcome", sent=None)


def _time(name: str, moment: Moment, *, end: bool = False) -> float:
    """Return Unix seconds; the end of a day where a day is the end."""
    try:
        # A datetime is a date for isinstance, too.
        whole_day = len(moment) <= 10 if isinstance(moment, str) else not isinstance(moment, dt.datetime)
        text = _named_day(moment) if isinstance(moment, str) else moment.isoformat()
        found = dt.datetime.fromisoformat(text)
        # Added before it is Unix time: a local day may have 23 or 25 hours.
        return (found + dt.timedelta(days=end and whole_day)).timestamp()
    except (AttributeError, ValueError, OverflowError) as error:
        what = f"{name}={moment!r}: expected a date, 2026-11-21, or a time, 2026-11-21T14:30"
        raise InvalidRequestError(what, "Local time unless an offset is given.", param=name, sent=None) from error


def _named_day(text: str) -> str:
    """Return the day that people name by its distance from today, as ISO text; any other text as it is."""
    days = {"today": 0, "yesterday": 1}.get(text.strip().lower())
    if days is None and (ago := re.fullmatch(r"(\d{1,5})\s*d(?:ays?)?", text.strip().lower())):
        days = int(ago[1])
    return text if days is None else (dt.datetime.now().astimezone().date() - dt.timedelta(days=days)).isoformat()


def _has(entry: HistoryEntry, words: Iterable[str]) -> bool:
    # Not in SQL: SQLite's LIKE ignores case in ASCII only.
    text = f"{entry.prompt}\n{entry.revised_prompt or ''}".casefold()
    names = (entry.id, *(image.file or "" for image in entry.record.images))
    return all(word.casefold() in text or any(name.startswith(word) for name in names) for word in words)


def _settings(entry: HistoryEntry) -> dict[str, Any]:
    """Return a column for each parameter: what the service reported, or else what was asked for."""
    reported = next((image.reported for image in entry.record.images if image.reported), {})
    asked = {name: entry.record.params.get(name) for name in PARAMETERS if name != "extra"}
    return {name: reported.get(name) or value for name, value in asked.items()}


def _row(entry: HistoryEntry) -> dict[str, Any]:
    usage = entry.usage
    return {
        "id": entry.id,
        "started": entry.started,
        "elapsed_s": entry.elapsed_s,
        "outcome": entry.outcome,
        **_settings(entry),
        "revised_prompt": entry.revised_prompt,
        "images": len(entry.paths),
        "input_tokens": usage.input_tokens if usage else None,
        "output_tokens": usage.output_tokens if usage else None,
        "total_tokens": usage.total_tokens if usage else None,
        "request_ids": entry.request_ids,
        "error": " ".join(entry.errors) or None,
        "paths": [str(path) for path in entry.paths],
    }
