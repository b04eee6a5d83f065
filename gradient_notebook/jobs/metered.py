"""Clients within the session's budgets: what `images.generate` sends is reserved and counted, though it has no record."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
from functools import partial
from typing import TYPE_CHECKING

from ..api import client as api_client
from ..api.events import ImageGenCompletedEvent, ImageGenStreamEvent
from ..api.params import ImageGenerateParams
from ..api.settings import Settings
from ..session import session
from ..storage import clock
from ..storage.archive import Archive, get_default
from ..storage.budget import Spending
from ..storage.ledger import Ledger
from ..storage.limits import Limits
from ..storage.owner import this_process
from . import spending
from .image_slot import ImageSlot, goes_out
from .limits import limits_for
from .threads import finish_despite_cancel, in_a_thread

if TYPE_CHECKING:
    from ..api.retry import Wait


class MeteredClient(api_client.AsyncClient):
    """A client that spends no more than the session allows."""

    def meter(self, params: ImageGenerateParams) -> SessionMeter:
        """Return what counts the cost of a request of this client."""
        return SessionMeter(params, self.settings)

    def store(self) -> Limits | None:
        """Return what all processes of the archive know of the rate limit."""
        return limits_for(self.settings)


class SessionMeter:
    """What one request counts for: in this process always, in the ledger where there is a budget of a day."""

    def __init__(self, params: ImageGenerateParams, settings: Settings) -> None:
        self._params = params
        self._price = session.price_of(params.model, billed=settings.is_billed)
        self._most = self._price.most_of_one(params) if self._price else None
        most = None if self._most is None else self._most * params.n
        self._limits = spending.Budgets.now(params.model, session.money(billed=settings.is_billed), most, None)
        self._archive: Archive | None = get_default() if self._limits.budget_per_day is not None else None
        if self._archive and self._archive.problem():
            self._archive = None  # as for a job: nothing is kept, and this process counts its own days
        self._slots = [ImageSlot() for _ in range(params.n)]
        self._has_ended = False
        self._spending = Spending(
            id=os.urandom(6).hex(),
            at=clock.now(),
            currency=self._price.currency if self._price else None,
            owner=this_process(),
        )

    async def reserve(self) -> None:
        """Reserve the most that it may cost; raise BudgetExceededError where that is more than is left."""
        self._spending = self._counted()
        check = partial(self._limits.check_in_memory, counts_days=self._archive is None)
        spending.of_process.hold(self._spending, check)
        if self._archive is not None:
            try:
                await finish_despite_cancel(in_a_thread(self._reserve, self._archive.ledger))
            except asyncio.CancelledError:
                await self.end(None)  # nothing was sent
                raise
        for slot in self._slots:
            slot.is_sent = True

    def wait(self, wait: Wait | None) -> None:
        """Know that it waits before it is sent (again), or that it does not wait any more."""
        for slot in self._slots:
            slot.is_sent = goes_out(wait)

    def _reserve(self, ledger: Ledger) -> None:
        with spending.reserving(self._spending.id):
            ledger.count(self._spending, self._limits.check_in_ledger)

    async def count(self, event: ImageGenStreamEvent) -> None:
        """Count a finished image; with the last one all is known."""
        free = [slot for slot in self._slots if slot.event is None]
        if not free:
            self._slots.append(ImageSlot(is_sent=True))
        if isinstance(event, ImageGenCompletedEvent):
            (free or self._slots)[0 if free else -1].event = dataclasses.replace(event, image_bytes=b"")
        if len(free) <= 1:
            await self._settle()

    async def end(self, error: BaseException | None) -> None:
        """Settle: what has not come, and may have been billed, stays counted."""
        if self._has_ended:
            return
        self._has_ended = True
        for slot in self._slots:
            if slot.event is None:
                slot.error = error if isinstance(error, Exception) else None
                slot.advance("failed")
        self._spending = dataclasses.replace(self._spending, owner=None)
        await self._settle()

    async def _settle(self) -> None:
        self._spending = self._counted()
        spending.of_process.settle(self._spending)
        if self._archive is not None:
            await finish_despite_cancel(in_a_thread(_write, self._archive.ledger, self._spending))

    def _counted(self) -> Spending:
        return self._spending.with_costs(spending.costs_of(self._params, self._slots, self._price), self._most)


def _write(ledger: Ledger, counted: Spending) -> None:
    # What the disk refuses stays counted as it was reserved.
    with contextlib.suppress(OSError):
        ledger.count(counted)
