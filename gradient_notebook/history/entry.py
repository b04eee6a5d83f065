"""One generation of the history: what was asked for, what came of it, and its images, read from disk when asked for."""

from __future__ import annotations

import builtins
import contextlib
import datetime as dt
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..api.errors import InvalidRequestError, InvalidResponseError
from ..api.events import Usage
from ..api.params import ImageGenerateParams
from ..api.text import shortened
from ..display_hooks import hook
from ..money.cost import Cost
from ..session import DEFAULT_NAME, session
from ..storage.archive import Archive, read_original
from ..storage.budget import cost_of
from ..storage.deleting import delete
from ..storage.outcome import Outcome
from ..storage.ratings import UNRATED, ImageKey, Rating, ratings
from ..storage.record import ImageRecord, Record, outcome_now
from .rating import UNCHANGED, rate_image

if TYPE_CHECKING:
    from PIL.Image import Image


class HistoryEntry:
    """One generation: what was asked for, what came of it, and its images, read from disk when they are asked for.

    >>> from gradient_notebook import generate, history
    >>> fox = generate("A red fox", quality="low", size="1024x1024")
    >>> entry = history("fox")[0]
    >>> entry.outcome, entry.image.size, entry.params.quality
    ('done', (1024, 1024), 'low')
    """

    def __init__(self, record: Record, archive: Archive, at: int | None = None) -> None:
        # Past `__setattr__`, which takes nothing: what is noted here would be gone with the next search.
        self.__dict__.update(record=record, _archive=archive, _at=at)

    record: Record
    """What the ledger has."""
    _archive: Archive
    _at: int | None
    """Where it stands in the history that it was taken from."""

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"HistoryEntry can't keep {name!r}: it is read from the ledger.")

    def __repr__(self) -> str:
        return f"<HistoryEntry {self.id}: {self.outcome}, {shortened(self.prompt, 60)!r}>"

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
        # Not when the entry is made: what another version has recorded is shown even if this one refuses it.
        return ImageGenerateParams.of(self.record.params)

    @property
    def outcome(self) -> Outcome:
        """`done`, `refused`, `failed`, `cancelled`, `running` in a process that lives, or `unknown`: it may have been billed."""
        return outcome_now(self.record)

    @property
    def started(self) -> dt.datetime:
        """When it began, in local time."""
        return dt.datetime.fromtimestamp(self.record.started_at).astimezone()

    @property
    def elapsed_s(self) -> float | None:
        """Seconds from its beginning to its end, if an end is recorded."""
        if self.record.ended_at is None or self.record.ended_at < self.record.started_at:
            return None  # a clock that was set back in between; what is recorded now goes by one that is not
        return self.record.ended_at - self.record.started_at

    @property
    def usage(self) -> Usage | None:
        """Tokens that it used, if the service said."""
        used = [usage for image in self.record.images if (usage := Usage.of(image.usage))]
        return sum(used[1:], used[0]) if used else None

    @property
    def cost(self) -> Cost:
        """What its images cost, by the prices that held when they were made: later ones change nothing."""
        return cost_of(self.record)

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
        """Where the originals of the finished images lie on this machine; see `addresses` where the archive has an address."""
        return [self._path(image) for image in self._finished]

    @property
    def addresses(self) -> list[str]:
        """Where the originals of the finished images lie for good: at the archive's address, or as `paths`."""
        return [self._archive.address_of(image.file or "") for image in self._finished]

    @property
    def image(self) -> Image | None:
        """The first finished image, decoded on each access; None where none came."""
        return next(_all_opened(self.paths), None)

    @property
    def images(self) -> list[Image]:
        """The finished images, decoded on each access."""
        # Not kept: an image of 1536x1024 takes 4.7 MB when decoded, and a history may have thousands.
        return list(_all_opened(self.paths))

    @property
    def bytes(self) -> bytes | None:
        """The first finished image's file as the service sent it; None where none came."""
        return read_original(self.paths[0]) if self.paths else None

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

    def rate(
        self, *, stars: int | None = UNCHANGED, tags: Iterable[str] = UNCHANGED, note: str = UNCHANGED, image: int = 0
    ) -> None:
        """Keep what you think of an image, beside its record; what is not given stays.

        Args:
            stars: 0 to 5; None takes them away.
            tags: words, in place of those that it has.
            note: text; an empty one takes it away.
            image: which of several images, from 0.

        Raises:
            InvalidRequestError: what cannot be given, or no such image.
            GradientNotebookError: the record was deleted, or the ledger cannot be written.
        """
        rate_image(self._archive, self._key(image), stars=stars, tags=tags, note=note)

    @property
    def rating(self) -> Rating:
        """What you think of its first image: `stars`, `tags`, `note`; `rate` changes it."""
        if not self._finished:
            return UNRATED
        key = self._key(0)
        return ratings(self._archive.ledger, [key]).get(key, UNRATED)

    def _key(self, image: int) -> ImageKey:
        """Return what the ledger knows one of its finished images by."""
        if type(image) is not int or not 0 <= image < len(self._finished):
            what = f"image={image!r}: this generation has {len(self._finished)}"
            raise InvalidRequestError(what, "They count from 0.", param="image", sent=None)
        return self.id, self._finished[image].position

    @property
    def _finished(self) -> list[ImageRecord]:
        return [image for image in self._kept if image.outcome == "done" and not image.is_partial]

    def as_cell(self, name: str = DEFAULT_NAME) -> str:
        """Return the `%%imagegen` cell that asks for the same again.

        Args:
            name: the variable that it assigns to.
        """
        return str(hook("as_cell")(self.params, name, session=session.defaults()))

    def as_python(self, name: str = DEFAULT_NAME) -> str:
        """Return the Python that asks for the same again.

        Args:
            name: the variable that it assigns to.
        """
        return str(hook("as_python")(self.params, name))

    def delete(self) -> None:
        """Delete the record and its files, for good. A file that another record has as well stays.

        What runs is left alone, which is logged.
        """
        delete(self._archive, [self.id], [self.id] if self.record.ended_at is None else [])

    @property
    def _kept(self) -> list[ImageRecord]:
        return [image for image in self.record.images if image.file]

    def _original(self, image: ImageRecord) -> builtins.bytes:
        return read_original(self._path(image))

    def _path(self, image: ImageRecord) -> Path:
        return self._archive.originals / Path(image.file or "").name  # a name, never a way out of the folder

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return dict(hook("show_history")([self], self._archive, first=self._at))

    def _ipython_display_(self) -> None:
        hook("display_history")([self], self._archive, first=self._at)


def _all_opened(paths: Iterable[Path]) -> Iterator[Image]:
    """Yield the images in these files, one after the other; what is no image takes no other along."""
    from ..imaging import open_image

    for path in paths:
        with contextlib.suppress(InvalidResponseError):
            image = open_image(read_original(path))
            image.filename = str(path)
            yield image
