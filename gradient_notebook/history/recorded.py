"""A recording made from the ledger: the final images of requests that were made at any time, to be played again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from ..api.errors import GradientNotebookError, InvalidRequestError
from ..recording import COMPLETED, SAID, RecordedEvent, RecordedRequest, append, path_of, request_of
from .entry import HistoryEntry

_MOST = 500
"""More images would fill the memory of the process that plays them."""


def record(entries: Iterable[HistoryEntry], path: Path | str) -> int:
    """Add the finished images of some entries to a recording, the oldest first; return how many."""
    where = path_of(path)
    found: list[RecordedRequest] = []
    for entry in sorted(entries, key=lambda entry: entry.record.started_at):
        found += _requests(entry)
        if len(found) > _MOST:
            what = f"These are more than {_MOST} images"
            raise InvalidRequestError(what, "Record a part of them: history('fox')[:20].record(…)", sent=None)
    if not found:
        raise InvalidRequestError("None of these has a finished image: there is nothing to record.", sent=None)
    append(where, found)
    return len(found)


def _requests(entry: HistoryEntry) -> Iterator[RecordedRequest]:
    for image in entry.record.images:
        if image.outcome != "done" or image.is_partial or not image.file:
            continue
        said = {**image.reported, "usage": image.usage, "revised_prompt": image.revised_prompt}
        known = {name: value for name, value in said.items() if name in SAID and value is not None}
        try:
            event = RecordedEvent(at_s=entry.elapsed_s or 0.0, type=COMPLETED, image=entry._original(image), said=known)
        except GradientNotebookError as error:
            raise InvalidRequestError(f"Nothing was recorded: {error.summary}", error.hint, sent=None) from error
        yield request_of(entry.params, [event])
