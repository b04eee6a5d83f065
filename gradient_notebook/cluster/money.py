"""The money of leases: the most that they may cost is reserved before they go out, and settled by what came of them."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Collection, Iterable, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

from ..api.errors import BudgetExceededError
from ..api.events import REPORTED, ImageGenCompletedEvent, Usage
from ..api.identity import identity
from ..api.params import ImageGenerateParams
from ..api.settings import Settings
from ..jobs import spending
from ..jobs.image_slot import ImageSlot
from ..money.prices import Price
from ..session import session
from ..storage import clock
from ..storage.archive import Archive
from ..storage.budget import Spending
from ..storage.outcome import Outcome
from ..storage.owner import this_process
from ..storage.record import ImageRecord, Record
from .lease import Order


class Money:
    """What the leases of a run may cost, and have cost. Methods wait for the disk, and raise OSError."""

    def __init__(self, archive: Archive, settings: Settings, run: str) -> None:
        self._archive, self._settings, self._run = archive, settings, run
        self._reserved: dict[str, Record] = {}
        self.notes: list[str] = []

    def reserve(self, orders: Sequence[Order]) -> tuple[int, BudgetExceededError | None]:
        """Reserve the most that cells may cost, as many as the budgets allow; return how many, and what stopped it."""
        records: list[Record] = []
        checks: list[Any] = []
        refusal = None
        for record in map(self.record_of, orders):
            limits = self._limits(record)
            check = partial(limits.check_in_memory, counts_days=False)
            try:
                spending.of_process.hold(Spending.of(record), check)
            except BudgetExceededError as error:
                refusal = error
                break
            records.append(record)
            checks.append(limits.check_in_ledger)
            self.notes += [note] if (note := limits.note_on_currencies()) else []
        count = 0
        try:
            count = self._archive.ledger.reserve_all(records, checks) if records else 0
        finally:
            for record in records[count:]:
                spending.of_process.release(record.id)
        for record in records[:count]:
            self._reserved[record.id] = record
        return count, self._refusal(records[count]) if count < len(records) else refusal

    def _refusal(self, record: Record) -> BudgetExceededError | None:
        """Return in words why a record is more than the day's budget allows."""
        with contextlib.suppress(OSError):
            try:
                self._archive.ledger.read(self._limits(record).check_in_ledger)
            except BudgetExceededError as error:
                return error
        return BudgetExceededError("The budget of today is used up", param="budget_per_day", sent=False)

    def _limits(self, record: Record) -> spending.Budgets:
        return spending.Budgets.now(
            record.model, session.money(billed=self._settings.is_billed), record.most, max_cost=None
        )

    def record_of(self, order: Order) -> Record:
        """Return the record of a cell that is about to be made, with the most that it may cost."""
        params = ImageGenerateParams.of(order.params)
        price = self._price(params)
        return Record(
            id=order.record_id,
            started_at=clock.now(),
            model=params.model,
            prompt=params.prompt,
            params=params.given(),
            endpoint=self._settings.endpoint,
            owner=this_process(),
            identity=identity(params, self._settings.known_as),
            run=self._run,
            cell=order.index,
            currency=price.currency if price else None,
            most=price.most_of_one(params) if price else None,
            images=(ImageRecord(position=0),),
        )

    def _price(self, params: ImageGenerateParams) -> Price | None:
        return session.price_of(params.model, billed=self._settings.is_billed)

    def settled(self, record: Record, reserved: Record | None = None) -> Record:
        """Return what a worker says of a cell with what it costs, in the place of what was reserved for it."""
        reserved = self._reserved.get(record.id) or reserved
        params = ImageGenerateParams.of(record.params)
        price = self._price(params)
        if reserved and price and price.currency != reserved.currency:
            price = None  # it was reserved by another session, which had other prices
        costs = costs_of(params, record.images, price)
        images = tuple(dataclasses.replace(image, cost=cost) for image, cost in zip(record.images, costs, strict=True))
        known = (reserved.currency, reserved.most) if reserved else (None, None)
        return dataclasses.replace(record, images=images, currency=known[0], most=known[1], owner=None)

    def take_over(self, record: Record) -> None:
        """Settle later what another broker has reserved."""
        self._reserved[record.id] = record

    def ended(self, record: Record) -> Record:
        """Return a record whose process died after it had stored an image, and before it could say more."""
        outcome: Outcome = "done" if any(image.outcome == "done" for image in record.images) else "unknown"
        return dataclasses.replace(record, owner=None, ended_at=clock.now(), outcome=outcome)

    def lost(self, order: Order) -> Record:
        """Return the record of a cell that was claimed, and of which nobody will say more: it may have been billed."""
        record = self._reserved.get(order.record_id) or self.record_of(order)
        error = {"type": "NoResponseError", "what": "Its worker died: it may have been billed.", "sent": True}
        image = ImageRecord(position=0, outcome="unknown", error=error)
        return dataclasses.replace(record, owner=None, ended_at=clock.now(), outcome="unknown", images=(image,))

    def write(self, records: Collection[Record], unsent: Iterable[str] = ()) -> None:
        """Count what has come, and take back what was reserved for what certainly was not sent."""
        gone = list(unsent)
        self._archive.ledger.put_all(records, gone)
        for record in records:
            spending.of_process.settle(Spending.of(record))
            self._reserved.pop(record.id, None)
        for one in gone:
            spending.of_process.release(one)
            self._reserved.pop(one, None)


def costs_of(params: ImageGenerateParams, images: Sequence[ImageRecord], price: Price | None) -> list[Decimal | None]:
    """Return what the images of one request cost by a price; None where that is not known."""
    costs = [image.cost for image in images]
    came = [at for at, image in enumerate(images) if image.cost is None and (image.usage or image.outcome == "done")]
    slots = [ImageSlot(event=_event_of(images[at]), status="done") for at in came]
    for at, cost in zip(came, spending.costs_of(params, slots, price), strict=True):
        costs[at] = cost
    return costs


def _event_of(image: ImageRecord) -> ImageGenCompletedEvent:
    known: dict[str, Any] = {name: image.reported.get(name) for name in REPORTED}
    return ImageGenCompletedEvent(image_bytes=b"", usage=Usage.of(image.usage), **known)
