"""`history()`: what has been made in any session, newest first, and each of it as an image and as code again."""

from __future__ import annotations

import contextlib
import datetime as dt
import shlex
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from IPython.core.getipython import get_ipython

from ..api.errors import GradientNotebookError, InvalidRequestError, InvalidResponseError, InvalidSettingsError, nearest
from ..api.events import Usage
from ..api.params import ImageGenerateParams
from ..storage.archive import Archive, get_default
from ..storage.ledger import OUTCOMES, ImageRecord, Outcome, Record
from . import codegen, formatting
from .config import session_config
from .history_view import contacts
from .magic_args import DEFAULT_NAME, HISTORY_PARSER

if TYPE_CHECKING:
    from pandas import DataFrame
    from PIL.Image import Image

SHOWN = 24
"""How many are shown at once."""

Moment = dt.datetime | dt.date | str


class HistoryEntry:
    """One generation: what was asked for, what came of it, and its images, read from disk when they are asked for."""

    def __init__(self, record: Record, archive: Archive) -> None:
        self.record = record
        self._archive = archive

    def __repr__(self) -> str:
        return f"<HistoryEntry {self.id}: {self.outcome}, {formatting.shortened(self.prompt, 60)!r}>"

    @property
    def id(self) -> str:
        """The record's id: `history(id)` finds it."""
        return self.record.id

    @property
    def prompt(self) -> str:
        """The prompt as it was sent."""
        return self.record.prompt

    @property
    def revised_prompt(self) -> str | None:
        """The prompt as the service rewrote it, if it says so."""
        return next((image.revised_prompt for image in self.record.images if image.revised_prompt), None)

    @property
    def model(self) -> str:
        """The model that was asked for."""
        return self.record.model

    @cached_property
    def params(self) -> ImageGenerateParams:
        """All that was asked for, to be sent again: `submit(**entry.params.given())`."""
        return ImageGenerateParams.of(self.record.params)

    @property
    def outcome(self) -> Outcome:
        """`done`, `refused`, `failed`, `cancelled`, or `unfinished`: no end is recorded, and it may have been billed."""
        images = self.record.images
        if self.record.outcome == "unfinished" and images and all(image.outcome == "done" for image in images):
            return "done"  # its process died after the last image was kept
        return self.record.outcome

    @property
    def started(self) -> dt.datetime:
        """When it began, in local time."""
        return dt.datetime.fromtimestamp(self.record.started_at).astimezone()

    @property
    def elapsed_s(self) -> float | None:
        """Seconds from its beginning to its end, if an end is recorded."""
        return None if self.record.ended_at is None else self.record.ended_at - self.record.started_at

    @property
    def usage(self) -> Usage | None:
        """Tokens that it used, if the service said."""
        used = [usage for image in self.record.images if (usage := Usage.of(image.usage))]
        return sum(used[1:], used[0]) if used else None

    @property
    def request_ids(self) -> list[str]:
        """What the service's support asks for."""
        return list(dict.fromkeys(image.request_id for image in self.record.images if image.request_id))

    @property
    def errors(self) -> list[str]:
        """Why images did not come, each reason once."""
        return list(dict.fromkeys(image.error["what"] for image in self.record.images if image.error))

    @property
    def paths(self) -> list[Path]:
        """Where the originals of the finished images lie."""
        return [self._path(image) for image in self._finished]

    @property
    def image(self) -> Image | None:
        """The first finished image, decoded anew; None where none came."""
        return next(_all_opened(self.paths), None)

    @property
    def images(self) -> list[Image]:
        """The finished images, decoded anew."""
        return list(_all_opened(self.paths))

    @property
    def bytes(self) -> bytes | None:
        """The first finished image's file as the service sent it; None where none came."""
        return _read(self.paths[0]) if self.paths else None

    @property
    def partials(self) -> list[Image]:
        """The newest partial image of each image that never came, as far as there is one."""
        return list(_all_opened(self.partial_paths))

    @property
    def partial_paths(self) -> list[Path]:
        """Where the partial images lie."""
        return [self._path(image) for image in self._kept if image.is_partial]

    @property
    def byte_count(self) -> int:
        """Bytes of its files on disk."""
        return sum(image.byte_count for image in self._kept)

    def as_cell(self, name: str = DEFAULT_NAME) -> str:
        """Return the `%%imagegen` cell that asks for the same again."""
        return codegen.as_cell(self.params, name, session=session_config(get_ipython()).defaults())

    def as_python(self, name: str = DEFAULT_NAME) -> str:
        """Return the Python that asks for the same again."""
        return codegen.as_python(self.params, name)

    def delete(self) -> None:
        """Delete the record and its files, for good. A file that another record has as well stays."""
        self._archive.delete([self.id])

    @property
    def _kept(self) -> list[ImageRecord]:
        return [image for image in self.record.images if image.file]

    @property
    def _finished(self) -> list[ImageRecord]:
        return [image for image in self._kept if image.outcome == "done" and not image.is_partial]

    def _path(self, image: ImageRecord) -> Path:
        return self._archive.originals / Path(image.file or "").name  # a name, never a way out of the folder

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return contacts([self], self._archive)


class History(Sequence[HistoryEntry]):
    """What has been made, newest first. A cell that ends with one shows it; slices and `history(words)` select."""

    def __init__(self, entries: Sequence[HistoryEntry], archive: Archive) -> None:
        self._entries = list(entries)
        self._archive = archive

    def __repr__(self) -> str:
        return f"<History: {len(self)} generation{'' if len(self) == 1 else 's'}, {self.byte_count / 1e6:,.1f} MB>"

    def __len__(self) -> int:
        return len(self._entries)

    @overload
    def __getitem__(self, at: int) -> HistoryEntry: ...
    @overload
    def __getitem__(self, at: slice) -> History: ...
    def __getitem__(self, at: int | slice) -> HistoryEntry | History:
        if isinstance(at, slice):
            return History(self._entries[at], self._archive)
        return self._entries[at]

    def __iter__(self) -> Iterator[HistoryEntry]:
        return iter(self._entries)

    @property
    def byte_count(self) -> int:
        """Bytes of all files on disk."""
        return sum({image.file: image.byte_count for entry in self for image in entry.record.images}.values())

    def to_frame(self) -> DataFrame:
        """Return a pandas DataFrame, a row for each generation; raises ImportError where pandas is not installed."""
        import pandas as pd

        return pd.DataFrame([_row(entry) for entry in self])

    def delete(self) -> None:
        """Delete all of these, records and files, for good."""
        self._archive.delete([entry.id for entry in self])

    def prune(self, *, older_than: dt.timedelta | None = None, max_bytes: int | None = None) -> History:
        """Delete what is older, and then the oldest until the rest has at most `max_bytes` on disk. Return the rest.

        Raises InvalidRequestError, and deletes nothing, where that is not said clearly.
        """
        _check_bounds(older_than, max_bytes)
        now = dt.datetime.now().astimezone()
        kept = [entry for entry in self if older_than is None or now - entry.started <= older_than]
        if max_bytes is not None:
            kept = kept[: _fitting(kept, max_bytes)]
        ids = {entry.id for entry in kept}
        self._archive.delete([entry.id for entry in self if entry.id not in ids])
        return History(kept, self._archive)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return contacts(self._entries[:SHOWN], self._archive, more=len(self) - SHOWN)


def _check_bounds(older_than: Any, max_bytes: Any) -> None:
    example = "Give older_than=timedelta(days=90), max_bytes=2_000_000_000, or both. Nothing was deleted."
    if older_than is None and max_bytes is None:
        raise InvalidRequestError("prune(): nothing says what is to go", example)
    if older_than is not None and not (isinstance(older_than, dt.timedelta) and older_than >= dt.timedelta()):
        raise InvalidRequestError(f"older_than={older_than!r}: expected a timedelta, 0 or more", example)
    if max_bytes is not None and (type(max_bytes) is not int or max_bytes < 0):
        raise InvalidRequestError(f"max_bytes={max_bytes!r}: expected a whole number of bytes, 0 or more", example)


def _fitting(entries: Iterable[HistoryEntry], max_bytes: int) -> int:
    """Return how many, from the newest on, have room on disk together; a file that several have counts once."""
    seen: dict[str | None, int] = {}
    total = count = 0
    for entry in entries:
        sizes = {image.file: image.byte_count for image in entry.record.images if image.file not in seen}
        total += sum(sizes.values())
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
        words: all of them stand in the prompt, also as the service rewrote it, or are the record's id.
        since: a date or a time, also as ISO text; local time.
        until: likewise; a day counts whole.
        model: a part of the model's name.
        outcome: one of done, refused, failed, cancelled, unfinished.
        archive_dir: another archive's folder than this session's.

    Raises InvalidRequestError for what makes no sense, InvalidSettingsError where there is no archive or it cannot be read.
    """
    try:
        archive = _archive(archive_dir)
    except RuntimeError as error:  # there is no such user
        raise InvalidRequestError(f"archive_dir={archive_dir!r}: {error}", parameter="archive_dir") from None
    _check_outcome(outcome)
    if not isinstance(words, str):
        raise InvalidRequestError(f"words={words!r}: expected text", "Nothing for all: history().", parameter="words")
    between = {"since": _time("since", since)} if since is not None else {}
    if until is not None:
        between["until"] = _time("until", until, end=True)
    try:
        records = archive.records(**between)
    except OSError as error:
        raise InvalidSettingsError(f"The ledger cannot be read: {error}", "The originals lie beside it.") from error
    entries = [HistoryEntry(record, archive) for record in records]
    found = [entry for entry in entries if _has(entry, words.split()) and (model or "").lower() in entry.model.lower()]
    return History([entry for entry in found if outcome in (None, entry.outcome)], archive)


def _archive(folder: Path | str | None) -> Archive:
    if archive := Archive(folder) if folder else get_default():
        return archive
    raise InvalidSettingsError(
        "This session keeps nothing: ImageGen.archive is off.",
        "Set %config ImageGen.archive = True, or give archive_dir=.",
    )


def _check_outcome(outcome: str | None) -> None:
    if outcome not in (None, *OUTCOMES):
        what = f"outcome={outcome!r}: expected one of {', '.join(OUTCOMES)}"
        raise InvalidRequestError(what, nearest(str(outcome), OUTCOMES), parameter="outcome")


def _time(name: str, moment: Moment, *, end: bool = False) -> float:
    """Return Unix seconds; the end of a day where a day is the end."""
    try:
        whole_day = len(moment) <= 10 if isinstance(moment, str) else not isinstance(moment, dt.datetime)
        found = dt.datetime.fromisoformat(moment if isinstance(moment, str) else moment.isoformat())
        return (found + dt.timedelta(days=end and whole_day)).timestamp()
    except (AttributeError, ValueError, OverflowError) as error:
        what = f"{name}={moment!r}: expected a date, 2026-11-21, or a time, 2026-11-21T14:30"
        raise InvalidRequestError(what, "Local time, unless an offset is given.", parameter=name) from error


def _has(entry: HistoryEntry, words: Iterable[str]) -> bool:
    text = f"{entry.id}\n{entry.prompt}\n{entry.revised_prompt or ''}".casefold()
    return all(word.casefold() in text for word in words)


def _all_opened(paths: Iterable[Path]) -> Iterator[Image]:
    """Yield the images in these files, one after the other; what is no image takes no other along."""
    from ..imaging import open_image

    for path in paths:
        with contextlib.suppress(InvalidResponseError):
            image = open_image(_read(path))
            image.filename = str(path)
            yield image


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise GradientNotebookError(f"The original is gone: {path}", "The record of it is what is left.") from error


def _row(entry: HistoryEntry) -> dict[str, Any]:
    usage = entry.usage
    return {
        "id": entry.id,
        "started": entry.started,
        "elapsed_s": entry.elapsed_s,
        "outcome": entry.outcome,
        **{name: value for name, value in entry.record.params.items() if name != "extra"},
        "revised_prompt": entry.revised_prompt,
        "images": len(entry.paths),
        "input_tokens": usage.input_tokens if usage else None,
        "output_tokens": usage.output_tokens if usage else None,
        "total_tokens": usage.total_tokens if usage else None,
        "request_ids": entry.request_ids,
        "error": " ".join(entry.errors) or None,
        "paths": [str(path) for path in entry.paths],
    }


def history_from_line(line: str) -> History:
    """Return what a line of `%imagegen_history` asks for."""
    try:
        values = vars(HISTORY_PARSER.parse_args(shlex.split(line)))
    except ValueError as error:
        raise InvalidRequestError(f"%imagegen_history: {error} in {line!r}", "Close the quotation mark.") from error
    return history(" ".join(values.pop("words")), **values)
