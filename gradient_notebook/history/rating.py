"""What can be given as stars, tags and a note, and how it is kept: for images of the history and of sweeps alike."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable
from typing import Any, Protocol

from ..api.credentials import looks_like_key
from ..api.errors import GradientNotebookError, InvalidRequestError
from ..api.text import SHORT, clean
from ..storage.archive import Archive
from ..storage.ratings import MOST_STARS, ImageKey, rate

_LONGEST_TAG = 80
_LONGEST_NOTE = 10_000
UNCHANGED: Any = object()
"""Stands for what is not given."""


class Watcher(Protocol):
    """What shows ratings, and is told when one was given in this process."""

    def rated(self, image: ImageKey) -> None:
        """Show what is thought of this image by now; called from any thread."""


_watchers: weakref.WeakSet[Watcher] = weakref.WeakSet()
_lock = threading.Lock()


def watch(watcher: Watcher) -> None:
    """Tell this one of ratings from now on, for as long as somebody else holds it."""
    with _lock:
        _watchers.add(watcher)


def rate_image(
    archive: Archive, image: ImageKey, *, stars: Any = UNCHANGED, tags: Any = UNCHANGED, note: Any = UNCHANGED
) -> None:
    """Keep what somebody thinks of an image; what is not given stays.

    Raises:
        InvalidRequestError: what cannot be given.
        GradientNotebookError: its record is gone, or the ledger cannot be written.
    """
    changes: dict[str, Any] = {}
    if stars is not UNCHANGED:
        changes["stars"] = checked_stars(stars)
    if tags is not UNCHANGED:
        changes["tags"] = _tags(tags)
    if note is not UNCHANGED:
        changes["note"] = _note(note)
    try:
        there = rate(archive.ledger, image, **changes)
    except OSError as error:
        raise GradientNotebookError(f"The rating could not be kept: {error}") from error
    if not there:
        raise GradientNotebookError("There is no record of this image any more", "It was deleted, and ratings with it.")
    with _lock:
        watchers = list(_watchers)
    for watcher in watchers:
        watcher.rated(image)


def stars_words(stars: int | None) -> str:
    """Return stars as they are shown where they cannot be given, and read aloud: `★★★ 3 stars`."""
    return "" if stars is None else f"{'★' * stars} {stars} star{'s' * (stars != 1)}".strip()


def checked_stars(value: Any) -> int | None:
    """Return a number of stars; raise InvalidRequestError for what is none."""
    if value is None or (type(value) is int and 0 <= value <= MOST_STARS):
        return value
    if hasattr(value, "item"):  # NumPy's own numbers, as a DataFrame has them
        return checked_stars(value.item())
    what = f"stars={clean(repr(value), SHORT)}: expected 0 to {MOST_STARS}, or None"
    raise InvalidRequestError(what, param="stars", sent=None)


def _tags(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str) or not isinstance(value, Iterable):
        what = f"tags={clean(repr(value), SHORT)}: expected a list of words"
        raise InvalidRequestError(what, "entry.rate(tags=['cover', 'print'])", param="tags", sent=None)
    tags = list(value)
    _refuse_keys("tags", tags)
    for tag in tags:
        if not isinstance(tag, str) or not clean(tag) or len(tag) > _LONGEST_TAG:
            what = f"tag {clean(repr(tag), SHORT)}: expected 1 to {_LONGEST_TAG} characters"
            raise InvalidRequestError(what, param="tags", sent=None)
    return tuple(dict.fromkeys(clean(tag) for tag in tags))


def _note(value: Any) -> str:
    if value is None:
        return ""
    _refuse_keys("note", [value])
    if not isinstance(value, str) or len(value) > _LONGEST_NOTE:
        what = f"note={clean(repr(value), SHORT)}: expected text of at most {_LONGEST_NOTE:,} characters"
        raise InvalidRequestError(what, param="note", sent=None)
    return value.encode("utf-8", "replace").decode()


def _refuse_keys(name: str, texts: Iterable[Any]) -> None:
    """Raise InvalidRequestError where a key or a token is in what would be kept, and shown in saved notebooks."""
    if any(isinstance(text, str) and looks_like_key(text) for text in texts):
        what, advice = f"{name} contains what looks like a key", "Remove it: what is kept is shown in saved notebooks."
        error = InvalidRequestError(what, advice, param=name, sent=None)
        error.is_always_short = True  # the frames of the callers hold it
        raise error
