"""One cell of a sweep: what was asked for, and what came of it. Its image is opened when it is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..api.errors import GradientNotebookError, InvalidRequestError
from ..api.events import Usage
from ..api.params import ImageGenerateParams
from ..api.text import shortened
from ..display_hooks import hook
from ..history.rating import rate_image
from ..jobs.job import Job
from ..money.cost import Cost
from ..storage.archive import Archive, read_original
from ..storage.budget import cost_of
from ..storage.outcome import ENDED, CellOutcome
from ..storage.ratings import UNRATED, ImageKey, Rating, Score, ratings
from ..storage.record import ImageRecord, Record
from ..storage.runs import recorded

if TYPE_CHECKING:
    import builtins

    from PIL.Image import Image


class Cell:
    """One cell of a sweep: what it is on each axis, what was asked for, and what came of it.

    Its image is opened from the archive when it is asked for, so that thousands of cells take little memory.

    >>> from gradient_notebook import sweep
    >>> study = sweep("A red fox in {{style}}", style=["ink", "oil"], quality="low", size="1024x1024").result()
    >>> cell = study[0]
    >>> cell.axes, cell.prompt, cell.outcome, cell.image.size
    ({'style': 'ink'}, 'A red fox in ink', 'done', (1024, 1024))
    """

    # Many thousands of them: no dictionary for each.
    __slots__ = (
        "_archive",
        "_data",
        "_earlier",
        "_images",
        "_may_be_billed",
        "_number",
        "_record",
        "_scores",
        "_values",
        "axes",
        "cost",
        "elapsed_s",
        "error",
        "identity",
        "index",
        "outcome",
        "prompt",
        "reused",
        "sent",
    )

    axes: Mapping[str, Any]
    """Its label on each axis."""
    index: int
    """Where it stands in the sweep, from 0."""
    prompt: str
    """The prompt as it is sent."""
    identity: str
    """What it asks for, in whatever run."""
    outcome: CellOutcome
    """`queued`, `running`, `done`, `refused`, `failed`, `cancelled`, `unknown`: it may have been billed; or `deleted`."""
    error: str | None
    """Why there is no image."""
    sent: bool | None
    """Where there is no image: whether the request may have reached the model; None where nobody knows."""
    reused: bool
    """Whether the archive had its image before this run."""
    cost: Cost
    """What it cost, by the prices that held when it was made; nothing before that."""
    elapsed_s: float | None
    """Seconds that its request took, without its time in the queue."""

    def __init__(
        self, index: int, axes: Mapping[str, Any], params: ImageGenerateParams, identity: str, archive: Archive | None
    ) -> None:
        self.index, self.axes, self.prompt, self.identity = index, axes, params.prompt, identity
        # Not the parameters themselves, which hold all of them, given or not.
        self._values = params.given()
        self._archive = archive
        self._images: tuple[ImageRecord, ...] = ()
        self._data: tuple[bytes, ...] = ()
        self._record: str | None = None
        self._scores: Mapping[str, Sequence[Score | None]] = {}
        self.reused, self._number = False, 0
        self.cost = Cost()
        self._reset()

    def _reset(self) -> None:
        """Make it as if it had not been asked for."""
        self._scores = {}
        self.outcome, self.error, self.elapsed_s, self.sent = "queued", None, None, None
        self._may_be_billed = False
        self._earlier = self.cost  # of attempts that gave no image, and were billed all the same

    def __repr__(self) -> str:
        told = ", ".join(f"{name}={value!r}" for name, value in self.axes.items())
        return f"<Cell {self.index}: {self.outcome}, {told or repr(shortened(self.prompt, 40))}>"

    def _repr_mimebundle_(self, **_: Any) -> Any:
        """It shows itself: its picture, or why there is none, with what it is."""
        return hook("show_cell")(self)

    @property
    def params(self) -> ImageGenerateParams:
        """All that is asked for."""
        return ImageGenerateParams.of(self._values)

    @property
    def has_ended(self) -> bool:
        """Whether nothing more comes."""
        return self.outcome in ENDED or self.outcome == "deleted"

    @property
    def record_id(self) -> str | None:
        """The id of its record: `history(id)` finds it."""
        return self._record

    @property
    def paths(self) -> list[Path]:
        """Where its originals lie."""
        if self._archive is None:
            return []
        return [self._archive.originals / Path(image.file).name for image in self._images if image.file]

    @property
    def image(self) -> Image | None:
        """The PIL image at full size, decoded on each access; None where none came."""
        return next(iter(self.images), None)

    @property
    def images(self) -> list[Image]:
        """All its images: services may send more than was asked for."""
        from ..imaging import open_image

        if self._data:
            return [open_image(data) for data in self._data]
        if self.outcome != "done":
            return []
        opened: list[Image] = [open_image(self._original(path), of=path) for path in self.paths]
        for image, path in zip(opened, self.paths, strict=True):
            image.filename = str(path)  # type: ignore[attr-defined]
        return opened

    @property
    def bytes(self) -> bytes | None:
        """The original as the service sent it; None where none came."""
        if self._data:
            return self._data[0]
        return self._original(self.paths[0]) if self.paths and self.outcome == "done" else None

    def _original(self, path: Path) -> builtins.bytes:
        try:
            return read_original(path)
        except GradientNotebookError:
            if not with_record([self]):
                raise GradientNotebookError("The image was deleted from the history.") from None
            raise

    @property
    def byte_count(self) -> int:
        """Bytes of its originals."""
        return sum(map(len, self._data)) or sum(image.byte_count for image in self._images)

    @property
    def revised_prompt(self) -> str | None:
        """The prompt as the service rewrote it, if it says so."""
        return next((image.revised_prompt for image in self._images if image.revised_prompt), None)

    @property
    def usage(self) -> Usage | None:
        """Tokens that it used, if the service said; those of a reused one were billed by an earlier run."""
        used = [usage for image in self._images if (usage := Usage.of(image.usage))]
        return sum(used[1:], used[0]) if used else None

    @property
    def scores(self) -> dict[str, Score | None]:
        """What `score` has measured of its image, by name; None where that failed."""
        return {name: values[0] for name, values in self._scores.items() if values}

    def _note_scores(self, name: str, values: Sequence[Score | None]) -> None:
        # A new one: most cells share the empty one, and a thread may look at it.
        self._scores = {**self._scores, name: tuple(values)}

    @property
    def stars(self) -> int | None:
        """What you think of its image, 0 to 5: assign it, `cell.stars = 4`; None where nobody has said."""
        return self._rating.stars

    @stars.setter
    def stars(self, value: int | None) -> None:
        self._rate(stars=value)

    @property
    def tags(self) -> tuple[str, ...]:
        """Words that you keep beside its image: `cell.tags = ["cover"]`."""
        return self._rating.tags

    @tags.setter
    def tags(self, value: Iterable[str]) -> None:
        self._rate(tags=value)

    @property
    def note(self) -> str:
        """Text that you keep beside its image."""
        return self._rating.note

    @note.setter
    def note(self, value: str) -> None:
        self._rate(note=value)

    def _key(self, number: int = 0) -> ImageKey | None:
        """Return what the ledger knows one of its images by; None where it does not."""
        there = self.outcome == "done" and self._record is not None and number < len(self._images)
        return (self._record, self._images[number].position) if there and self._record else None

    @property
    def _keys(self) -> list[ImageKey]:
        return [key for number in range(len(self._images)) if (key := self._key(number))]

    @property
    def _rating(self) -> Rating:
        key = self._key()
        return ratings(self._archive.ledger, [key]).get(key, UNRATED) if key and self._archive else UNRATED

    def _rate(self, **changes: Any) -> None:
        key = self._key()
        if key is None or self._archive is None:
            what = f"Cell {self.index} has no image that the archive keeps"
            raise InvalidRequestError(what, "Ratings are kept beside images.", sent=None)
        rate_image(self._archive, key, **changes)

    def _take(self, job: Job) -> None:
        """Note what came of its job, and let the job go with all that it holds."""
        record = job._recorder.record
        self._record = job.id if job._recorder.is_recorded else None
        self.elapsed_s, self.cost = job._working_s, self._earlier + job.cost
        self.reused = job.reused
        self._may_be_billed = any(image.may_be_billed for image in record.images if image.outcome != "done")
        self._images = tuple(image for image in record.images if image.outcome == "done" and not image.is_partial)
        if failure := job._failure:
            self.error, self.sent = str(getattr(failure, "summary", failure)), getattr(failure, "sent", None)
        if self._archive is None or not all(image.file for image in self._images):
            # As files: decoded they would take twice as much, and more.
            self._data = tuple(slot.image_bytes for slot in job._slots if slot.image and slot.image_bytes)
        self.outcome = job.status

    def _take_kept(self, record: Record, image: ImageRecord) -> None:
        """Note what the archive has of it."""
        self._record = record.id
        self.elapsed_s = max(0.0, record.ended_at - record.started_at) if record.ended_at else None
        self.cost = cost_of(record, [image])
        self._images = (image,)
        self.outcome = image.outcome
        self._may_be_billed = image.outcome != "done" and image.may_be_billed
        if image.error:
            self.error, self.sent = image.error["what"], image.error.get("sent")


def with_record(cells: Iterable[Cell]) -> list[Cell]:
    """Return the cells whose images the archive has a record of; that of others was deleted. Raises OSError."""
    known = [cell for cell in cells if cell._archive and cell._key()]
    archive = next((cell._archive for cell in known), None)
    there = recorded(archive.ledger, [cell._record for cell in known if cell._record]) if archive else set()
    return [cell for cell in known if cell._record in there]
