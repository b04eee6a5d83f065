"""What has been spent and what is reserved, in the ledger: shared by all processes of an archive, in one transaction each.

A request is counted at the most that it may cost from before it is sent. What is known replaces that image by image, in the
transaction that writes it into the record: whenever a process dies, what counts is what its record says.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ..money.cost import Cost
from . import owner, reading
from .record import ImageRecord, Record, billionths, from_billionths, may_be_billed

if TYPE_CHECKING:
    from sqlite3 import Connection

TABLE = (
    "CREATE TABLE spending (id, at, spent, held, unknown, currency, owner, PRIMARY KEY (id)) WITHOUT ROWID",
    "CREATE INDEX spending_by_time ON spending (at, currency, owner, spent, held, unknown)",  # a day is summed from it alone
)
FROM_RECORDS = (
    "INSERT OR IGNORE INTO spending SELECT id, started_at, COALESCE(SUM(cost), 0), "
    "COALESCE(most, 0) * COUNT(open), COUNT(open), currency, owner FROM generations LEFT JOIN "
    "(SELECT generation, cost, CASE WHEN cost IS NULL AND outcome NOT IN ('refused', 'failed') THEN 1 END AS open "
    "FROM images) ON generation = id GROUP BY id"
)
"""Counts what is not counted: what an earlier version has recorded, of which the cost is not known, or what was lost."""


@dataclass(frozen=True, kw_only=True)
class Spending:
    """What one generation counts for."""

    id: str
    at: float
    """When it began, in Unix seconds."""
    spent: Decimal = Decimal()
    held: Decimal = Decimal()
    """The most that those of its images may cost whose cost is not known (yet)."""
    unknown: int = 0
    """How many of them there are."""
    currency: str | None = None
    owner: str | None = None
    """The process that it runs in; None where it does not run any more."""

    @classmethod
    def of(cls, record: Record) -> Spending:
        """Return what a record counts for, at each moment of its life."""
        begun = cls(id=record.id, at=record.started_at, currency=record.currency, owner=record.owner)
        return begun.with_costs([image.cost for image in record.images], record.most)

    def with_costs(self, costs: Sequence[Decimal | None], most: Decimal | None) -> Spending:
        """Return what it counts for by what its images cost; one whose cost is not known (yet) counts at its most."""
        known = [cost for cost in costs if cost is not None]
        unknown = len(costs) - len(known)
        held = unknown * (most or Decimal())
        return dataclasses.replace(self, spent=sum(known, Decimal()), held=held, unknown=unknown)


@dataclass(frozen=True, kw_only=True)
class Total:
    """What several generations count for together, in one currency."""

    spent: Decimal = Decimal()
    reserved: Decimal = Decimal()
    """For what runs."""
    uncertain: Decimal = Decimal()
    """For what may have been billed: sent, and no cost came back."""
    unknown: int = 0
    """Images of unknown cost that nothing is counted for."""
    uncertain_images: int = 0

    @property
    def used(self) -> Decimal:
        """What counts against a budget."""
        return self.spent + self.reserved + self.uncertain

    def __add__(self, other: Total) -> Total:
        names = [declared.name for declared in dataclasses.fields(self)]
        return Total(**{name: getattr(self, name) + getattr(other, name) for name in names})

    @classmethod
    def of(cls, spent: Decimal, held: Decimal, unknown: int, *, is_running: bool) -> Total:
        """Return the total of what runs, or of what does not."""
        if not held:
            return cls(spent=spent, unknown=0 if is_running else unknown)
        if is_running:
            return cls(spent=spent, reserved=held)
        return cls(spent=spent, uncertain=held, uncertain_images=unknown)


Totals = Mapping[str | None, Total]
"""By currency; None for what was made without a price."""


def added(totals: Iterable[tuple[str | None, Total]]) -> dict[str | None, Total]:
    """Return the sum for each currency."""
    sums: dict[str | None, Total] = {}
    for currency, total in totals:
        sums[currency] = sums.get(currency, Total()) + total
    return sums


def put(connection: Connection, spending: Spending) -> None:
    """Count a generation again; the time when it began stays."""
    row: dict[str, Any] = dataclasses.asdict(spending)
    row |= {name: billionths(row[name]) for name in ("spent", "held")}
    connection.execute(
        "INSERT INTO spending (id, at, spent, held, unknown, currency, owner) "
        "VALUES (:id, :at, :spent, :held, :unknown, :currency, :owner) ON CONFLICT (id) DO UPDATE SET "
        "spent = excluded.spent, held = excluded.held, unknown = excluded.unknown, owner = excluded.owner",
        row,
    )


def used(connection: Connection, since: float, currency: str) -> Decimal:
    """Return what counts against a budget in a currency, from a time on: `totals` without its parts, in a tenth of the time."""
    chosen = "SELECT COALESCE(SUM(spent + held), 0) FROM spending WHERE at >= ? AND currency = ?"
    return from_billionths(connection.execute(chosen, (since, currency)).fetchone()[0])


def totals(connection: Connection, since: float) -> Totals:
    """Return what counts from a time on, in Unix seconds.

    There is no end: what another process has dated later, by a clock that was set back since, counts as well.
    """
    # By what is held for one, since of images without a known most nothing is held, and that is said.
    found = connection.execute(
        "SELECT currency, owner, held > 0, SUM(spent), SUM(held), SUM(unknown), MAX(at) FROM spending "
        "WHERE at >= ? GROUP BY currency, owner, held > 0",
        (since,),
    )
    return added(
        (
            currency,
            Total.of(
                from_billionths(spent),
                from_billionths(held),
                unknown,
                is_running=name is not None and owner.is_running(name, at),
            ),
        )
        for currency, name, _, spent, held, unknown, at in found.fetchall()
    )


def cost_in_all(connection: Connection, ids: Sequence[str]) -> Cost:
    """Return what records cost together: `cost_of` each, summed where they lie."""
    known, unknown = reading.costs(connection, ids)
    amounts = Cost.total(Cost.of(from_billionths(amount), currency) for currency, amount in known)
    return amounts + Cost(unknown=sum(may_be_billed(outcome, _facts(error)) for outcome, error in unknown))


def _facts(stored: Any) -> Mapping[str, Any] | None:
    try:
        facts = json.loads(stored or "null")
    except (TypeError, ValueError, RecursionError):  # damaged
        return None
    return facts if isinstance(facts, dict) else None


def cost_of(record: Record, images: Sequence[ImageRecord] | None = None) -> Cost:
    """Return what the images of a record cost, or some of them, as it was known when they were made."""
    counted = record.images if images is None else images
    known = [image.cost for image in counted if image.cost is not None]
    unknown = sum(image.cost is None and image.may_be_billed for image in counted)
    return Cost(unknown=unknown) + Cost.total(Cost.of(cost, record.currency) for cost in known if record.currency)
