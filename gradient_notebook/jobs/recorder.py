"""What of a job goes to disk, and when: the request before it is sent, an image before it is opened, the end."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from ..api.errors import GradientNotebookError
from ..api.events import REPORTED
from ..api.identity import identity
from ..api.params import ImageGenerateParams
from ..api.settings import Settings
from ..money.cost import Cost
from ..money.prices import Price
from ..session import session
from ..storage import budget, clock
from ..storage.archive import Archive
from ..storage.ledger import ImageRecord, LedgerError, Record
from ..storage.outcome import Outcome
from ..storage.owner import this_process
from . import spending
from .image_slot import ImageSlot
from .reuse import answers_to, without_reused

if TYPE_CHECKING:
    from sqlite3 import Connection

_logger = logging.getLogger("gradient_notebook")


class Part(NamedTuple):
    """Which cell of which sweep a job makes, or for which panel."""

    run: str
    cell: int | None = None


class Recorder:
    """A job's record on disk. What the disk refuses is a notice, and never costs the image.

    With `archive` None nothing is kept. Used from several threads.
    """

    def __init__(
        self,
        archive: Archive | None,
        params: ImageGenerateParams,
        settings: Settings,
        part: Part | None = None,
        max_cost: float | None = None,
    ) -> None:
        self.notices: list[str] = []
        """What the disk has refused, each reason once."""
        self.is_begun = self.is_recorded = False
        """Whether there is anything to keep by now, and whether the ledger has it."""
        self._archive = archive
        # Images of one job end on several threads: without it an older state could be written over a newer one.
        self._lock = threading.Lock()
        self._has_failed = False
        self._named = ""
        """Id of the record that the images come from, where nothing is made."""
        self._slots: list[ImageSlot] = []
        self._params = params
        self._max_cost = max_cost
        self._price: Price | None = None
        """The one that holds when it begins, and for its record from then on."""
        self._is_billed = settings.is_billed
        self.began_s = time.monotonic()
        """When the first of it was sent, or before that was made (monotonic seconds)."""
        self._record = Record(
            # Not `random`: a notebook that sets a seed would get the same ids again, and overwrite its own records.
            id=os.urandom(6).hex(),
            started_at=clock.now(),
            model=params.model,
            prompt=params.prompt,
            params=params.given(),
            endpoint=settings.endpoint,
            identity=identity(params, settings.known_as),
            run=part and part.run,
            cell=part and part.cell,
        )

    @property
    def id(self) -> str:
        """The record's id in the ledger."""
        return self._named or self._record.id

    def is_answered(self) -> bool:
        """Whether the archive has a finished image of this very request. Raises OSError where it cannot be read."""
        same = self._record.identity
        return bool(self._archive and same and answers_to(self._archive, same))

    def stand_in(self, record: Record) -> None:
        """Note that a record is there already for what was asked for: as long as nothing is made, nothing is written."""
        self._named, self.is_recorded = record.id, True

    @property
    def address(self) -> str:
        """Where its originals go; empty where they stay in a folder of this machine."""
        return self._archive.address if self._archive else ""

    @property
    def cost(self) -> Cost:
        """What its images cost, as far as that is known by now."""
        return budget.cost_of(self.record)

    @property
    def elapsed_s(self) -> float | None:
        """Seconds that its record says from now on; None before its end, and where nothing was made."""
        record = self._record
        return None if record.ended_at is None else record.ended_at - record.started_at

    @property
    def is_priced(self) -> bool:
        """Whether its model had a price when it began."""
        return self._price is not None

    def begin(self, slots: list[ImageSlot]) -> None:
        """Write down what is about to be asked for; raise BudgetExceededError where it may cost more than is left."""
        self._slots = slots
        if self._archive and (problem := self._archive.problem()):
            self._archive = None
            notice = f"Nothing is kept: {problem}. Save the image yourself, or set archive_dir to another folder."
            self.notices += [notice] if session.is_first(notice) else []  # once: it holds for all that follows
        # What came before was a wait for other requests, which is no time of this one.
        self.began_s = time.monotonic()
        self._price = session.price_of(self._params.model, billed=self._is_billed)
        most = self._price.most_of_one(self._params) if self._price else None
        record = dataclasses.replace(
            self._record,
            owner=this_process(),  # from now on until the end the record is not deleted, by whatever process
            started_at=clock.now(),
            currency=self._price.currency if self._price else None,
            most=most,
        )
        self._record = without_reused(record, slots)
        self._reserve()
        # Even if the disk has refused it: the request is sent, and may be billed.
        self._named, self.is_begun = "", True

    def _reserve(self) -> None:
        """Reserve what it may cost in this process and, with the record, in the ledger."""
        most = self._record.most
        limits = spending.Budgets.now(
            self._params.model,
            session.money(billed=self._is_billed),
            None if most is None else most * len(self._made),
            self._max_cost,
        )
        check = partial(limits.check_in_memory, counts_days=self._archive is None)
        self._record = self.record
        spending.of_process.hold(budget.Spending.of(self._record), check)
        self.notices += [note] if (note := limits.note_on_currencies()) else []
        if self._archive is None or limits.budget_per_day is None:
            self.note()
            return
        with spending.reserving(self._record.id), self._lock:
            self._note(limits.check_in_ledger)

    def note(self) -> None:
        """Write down what is known by now."""
        with self._lock, self._record_failures():
            self._note()

    def store(self, slot: ImageSlot, data: bytes, *, is_partial: bool = False) -> None:
        """Write an image's bytes, and then the record that names them."""
        if self._archive is None:
            return
        position = self._slots.index(slot)
        with (
            self._lock,
            self._record_failures(),
            self._archive.storing(data, self.id, position, is_partial=is_partial) as path,
        ):
            # Set only now that the bytes are on disk: where they are not, `end` finds no path, and tries once more.
            slot.path, slot.is_partial = path, is_partial
            if self._has_failed:  # it would be waited for again, and the end tries once more
                raise LedgerError("an earlier write failed")
            self._note()

    def end(self, outcome: Outcome) -> None:
        """Write down what has come of it, with the newest partial image of whatever has not come."""
        for slot in self._slots:
            if slot.path is None and slot.original:
                self.store(slot, slot.original, is_partial=not (slot.image_bytes or slot.received))
        with self._lock, self._record_failures():
            started_at, elapsed_s = self._record.started_at, time.monotonic() - self.began_s
            if started_at < clock.EARLIEST_S:  # the clock was not set when it began, and perhaps is by now
                started_at = max(started_at, clock.now() - elapsed_s)
            ended: dict[str, Any] = {
                "outcome": outcome,
                "started_at": started_at,
                "ended_at": started_at + elapsed_s,
                "owner": None,
            }
            self._record = dataclasses.replace(self._record, **ended)
            try:
                self._note()
            finally:
                self._write_what_is_gone()

    def _write_what_is_gone(self) -> None:
        """Write from memory what somebody has deleted since it was kept: from now on the record says that it is there."""
        for slot in self._slots:
            if self._archive and not slot.is_reused and slot.path and slot.original and not slot.path.exists():
                self._archive.write(slot.path, slot.original)

    @property
    def _made(self) -> list[tuple[int, ImageSlot]]:
        """The images that are not reused, with their positions."""
        return [(position, slot) for position, slot in enumerate(self._slots) if not slot.is_reused]

    @property
    def record(self) -> Record:
        """What is known by now: what the ledger has, or would have if there was one."""
        made = self._made
        costs = spending.costs_of(self._params, [slot for _, slot in made], self._price)
        images = tuple(_image_record(at, slot, cost) for (at, slot), cost in zip(made, costs, strict=True))
        return dataclasses.replace(self._record, images=images)

    def _note(self, check: Callable[[Connection], None] | None = None) -> None:
        self._record = self.record
        spending.of_process.settle(budget.Spending.of(self._record))
        if self._archive is not None:
            if check:
                self._archive.ledger.reserve(self._record, check)
            else:
                self._archive.ledger.put(self._record)
            self.is_recorded, self._has_failed = True, False
            self.notices += [note for note in self._archive.ledger.notes if note not in self.notices]

    @contextlib.contextmanager
    def _record_failures(self) -> Iterator[None]:
        """Make a notice of what the disk refuses."""
        notice = ""
        try:
            yield
        except LedgerError as error:
            if not self._has_failed:
                notice = f"The ledger could not be written ({error}): the history may not show this."
            self._has_failed = True
        except OSError as error:
            notice = f"The original file could not be saved ({error}). Save the image yourself."
        except Exception as error:
            _logger.exception("A bug in keeping record %s", self.id)
            notice = f"The result could not be saved ({type(error).__name__}: {error}). Save the image yourself."
        self.notices += [notice] if notice and notice not in self.notices else []


def _image_record(position: int, slot: ImageSlot, cost: Decimal | None) -> ImageRecord:
    event = slot.event
    reported = {name: getattr(event, name) for name in REPORTED} if event else {}
    kept: dict[str, Any] = (
        {"file": slot.path.name, "byte_count": slot.byte_count or len(slot.original or b"")} if slot.path else {}
    )
    return ImageRecord(
        position=position,
        # What is kept but not opened yet is done: were the process to die now, the image would be there.
        outcome=slot.status if slot.has_ended else "done" if slot.image_bytes else "unknown",
        is_partial=slot.is_partial,
        request_id=slot.request_id,
        revised_prompt=event.revised_prompt if event else None,
        usage=dataclasses.asdict(event.usage) if event and event.usage else None,
        reported=reported | ({"url": slot.address} if slot.address else {}),
        error=_error_record(slot.error) if slot.error else None,
        cost=cost,
        **kept,
    )


_RECORDED = (
    *("status_code", "code", "param", "request_id", "retry_after_s", "sent", "stage", "categories"),
    *("address", "task_id", "task_status"),
)


def _error_record(error: Exception) -> dict[str, Any]:
    """Return the facts of an error: its class, what happened, and what the service says of it."""
    if not isinstance(error, GradientNotebookError):
        return {"type": type(error).__name__, "what": str(error)}
    facts = {name: getattr(error, name, None) for name in _RECORDED}
    known = {name: value for name, value in facts.items() if value not in (None, "", ())}
    return {"type": type(error).__name__, "what": error.summary, **known}
