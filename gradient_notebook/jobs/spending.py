"""What may be spent: a request is reserved at the most that it may cost before it is sent, and refused where that is too much.

What this process has spent is in memory; what has been spent on a day is in the ledger, for all processes of an archive.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ..api.errors import BudgetExceededError
from ..api.params import ImageGenerateParams
from ..money.currency import SIMULATED, in_words
from ..money.prices import Price
from ..session import session
from ..storage import budget, clock
from ..storage.archive import get_default
from ..storage.budget import Spending, Total, Totals, added
from ..storage.forks import without_forks
from .image_slot import ImageSlot

if TYPE_CHECKING:
    from sqlite3 import Connection

_CHEAPER = "Ask for fewer images, a lower quality or a smaller size, or raise {name}."
_NOT_KNOWN = (
    "Give a size and a quality whose tokens are known (--dry-run shows them), or set prices with per_image for it."
)


class ProcessSpending:
    """What this process has spent and reserved. Used from several threads. What was forked from it begins with nothing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._running: dict[str, Spending] = {}
        self._ended: dict[tuple[dt.date, str | None], Total] = {}

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        # Not while the process forks: the child would inherit a lock that nobody opens.
        with without_forks(), self._lock:
            if self._process != os.getpid():
                self._begin()
            yield

    def hold(self, spending: Spending, check: Callable[[Totals, Totals], None]) -> None:
        """Reserve, unless `check` raises, which gets the totals of this process, and of those the ones of today."""
        with self._alone():
            check(self._totals(), self._totals(_day(clock.now())))
            self._running[spending.id] = spending

    def settle(self, spending: Spending) -> None:
        """Count what is known by now in place of what was reserved."""
        with self._alone():
            if spending.id not in self._running:
                return
            if spending.owner is not None:
                self._running[spending.id] = spending
                return
            del self._running[spending.id]
            key = _day(spending.at), spending.currency
            self._ended[key] = self._ended.get(key, Total()) + _total(spending)

    def release(self, spending_id: str) -> None:
        """Take back what was reserved: nothing of it was sent."""
        with self._alone():
            self._running.pop(spending_id, None)

    def totals(self, day: dt.date | None = None) -> Totals:
        """Return what this process has spent and reserved, in all or on one day."""
        with self._alone():
            return self._totals(day)

    def _totals(self, day: dt.date | None = None) -> Totals:
        ended = ((currency, total) for (on, currency), total in self._ended.items() if day is None or on >= day)
        running = ((one.currency, _total(one)) for one in self._running.values() if day is None or _day(one.at) >= day)
        return added([*ended, *running])


of_process = ProcessSpending()


@contextlib.contextmanager
def reserving(spending_id: str) -> Iterator[None]:
    """Take back what this process has reserved where the ledger refuses it; raise BudgetExceededError then."""
    try:
        yield
    except BudgetExceededError:
        of_process.release(spending_id)
        raise
    except OSError as error:
        of_process.release(spending_id)
        what = f"budget_per_day: what today has cost is not known, since the ledger can't be used ({error})."
        raise BudgetExceededError(what, "Fix that, or set budget_per_day to None.", param="budget_per_day") from error


def _total(spending: Spending) -> Total:
    is_running = spending.owner is not None
    return Total.of(spending.spent, spending.held, spending.unknown, is_running=is_running)


def _day(at: float) -> dt.date:
    return dt.datetime.fromtimestamp(at).astimezone().date()


def today() -> Totals:
    """Return what all processes of the archive have spent today, or this one where nothing is kept."""
    archive = get_default()
    return archive.ledger.totals(day_began()) if archive else of_process.totals(_day(clock.now()))


def day_began(*, months: bool = False) -> float:
    """Return when today began by local time, or this month, in Unix seconds."""
    today = _day(clock.now())
    first = today.replace(day=1) if months else today
    # By the calendar, not 24 hours ago: a local day may have 23 or 25.
    return dt.datetime.combine(first, dt.time()).timestamp()


@dataclass(frozen=True)
class Budgets:
    """The limits that hold for a request, and what it may cost at most."""

    model: str
    currency: str
    most: Decimal | None
    """Of all its images; None where that is not known."""
    max_cost: Decimal | None
    budget: Decimal | None
    budget_per_day: Decimal | None

    @classmethod
    def now(cls, model: str, currency: str, most: Decimal | None, max_cost: float | None) -> Budgets:
        """Return what holds at this moment."""
        limits = (max_cost, session.budget, session.budget_per_day)
        return cls(model, currency, most, *(None if limit is None else Decimal(str(limit)) for limit in limits))

    def check_in_memory(self, totals: Totals, of_today: Totals, *, counts_days: bool) -> None:
        """Raise BudgetExceededError where this process may not spend that much, or where nobody counts the day elsewhere."""
        self._refuse_over("max_cost", self.max_cost, None)
        self._refuse_over("budget", self.budget, totals)
        if counts_days:
            self._refuse_over("budget_per_day", self.budget_per_day, of_today)

    def check_in_ledger(self, connection: Connection) -> None:
        """Raise BudgetExceededError where all processes together may not spend that much today."""
        since, limit = day_began(), self.budget_per_day
        if limit is None or (
            self.most is not None and budget.used(connection, since, self.currency) + self.most <= limit
        ):
            return
        self._refuse_over("budget_per_day", limit, budget.totals(connection, since))

    def note_on_currencies(self) -> str:
        """Return a note, once for a currency, where what this process has spent in another does not count against a budget."""
        if self.budget is None and self.budget_per_day is None:
            return ""
        is_simulated = self.currency.endswith(SIMULATED)
        others = [
            currency
            for currency, total in of_process.totals().items()
            if currency not in (None, self.currency) and currency.endswith(SIMULATED) == is_simulated and total.used
        ]
        if not others:
            return ""
        note = f"The budget counts {self.currency} alone: what was spent in {' and '.join(others)} does not count."
        return note if session.is_first(note) else ""

    def _refuse_over(self, name: str, limit: Decimal | None, totals: Totals | None) -> None:
        if limit is None:
            return
        total = (totals or {}).get(self.currency, Total())
        set_to = f"{name}={in_words(limit, self.currency)}"
        if self.most is None:
            raise self._not_known(name, set_to)
        left = max(Decimal(), limit - total.used)
        if self.most <= left:
            return
        asked = f"this may cost up to {in_words(self.most, self.currency)}"
        used = [f"{in_words(total.spent, self.currency)} spent"] if totals is not None else []
        used += [f"{in_words(total.reserved, self.currency)} reserved for what runs"] if total.reserved else []
        used += [f"{in_words(total.uncertain, self.currency)} that may have been billed"] if total.uncertain else []
        what = f"{set_to}: {asked}"
        if totals is not None:
            today = " today" if name == "budget_per_day" else ""
            what += f", and {in_words(left, self.currency)} is left{today} ({', '.join(used)})"
        facts: dict[str, Any] = {"cost": float(self.most), "left": float(left), "currency": self.currency}
        raise BudgetExceededError(f"{what}.", _CHEAPER.format(name=name), param=name, sent=False, **facts)

    def _not_known(self, name: str, set_to: str) -> BudgetExceededError:
        """Return the error of a request whose most is not known: by what is missing, for that is what to give."""
        what, missing = f"{set_to}: the most that this may cost is not known", session.missing_price(self.model)
        if not missing:
            return BudgetExceededError(f"{what} for {self.model}.", _NOT_KNOWN, param=name, sent=False)
        return BudgetExceededError(f"{what}: {missing}.", suggest=("set_prices",), param=name, sent=False)


def costs_of(params: ImageGenerateParams, slots: Sequence[ImageSlot], price: Price | None) -> list[Decimal | None]:
    """Return what each image costs; None where that is not known, or not yet."""
    costs = [_cost_of(params, slot, price) for slot in slots]
    # Streaming they are n requests. Of one request for all the usage stands with the first image, and counts them all.
    told = [at for at, slot in enumerate(slots) if slot.event and slot.event.usage and costs[at] is not None]
    if told and not params.stream and price and not price.per_image:
        return [costs[at] if at in told else Decimal() for at in range(len(slots))]
    return costs


def _cost_of(params: ImageGenerateParams, slot: ImageSlot, price: Price | None) -> Decimal | None:
    if slot.event is None:
        return Decimal() if slot.has_ended and not slot.may_be_billed else None
    if price is None:
        return None
    if not price.per_image:
        return price.of_usage(slot.event.usage)
    asked = {name: getattr(slot.event, name) or params.effective(name) for name in ("quality", "size")}
    bounds = price.bounds(params.replace(n=1, extra={**params.extra, **asked}))
    return bounds[0] if bounds and bounds[0] == bounds[1] else None
