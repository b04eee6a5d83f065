"""After a broker has died: what its leases have come to, as far as claims and originals say."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..api.settings import Settings
from ..storage import runners
from ..storage.archive import Archive
from ..storage.leases import cells_of, unknown_of
from ..storage.record import Record
from .claims import Claims, is_leased
from .lease import Order
from .money import Money


def reconcile(archive: Archive, settings: Settings, run: str, orders: Sequence[Order], *, owns: bool) -> None:
    """Write down what came of a run's leases whose broker is gone; what nobody has claimed was not sent, and is forgotten.

    With `owns` this process makes the run; otherwise nothing is done while somebody makes it. `orders` gives all its cells,
    by index. Raises OSError.
    """
    claims = Claims(archive.folder, run)
    if not claims.exist():
        return
    lock = None if owns else runners.take(archive, run)
    if not (owns or lock):
        return
    try:
        # First: whoever claims from now on finds that its lease holds no more, and sends nothing.
        claims.begin()
        _settle(archive, Money(archive, settings, run), claims, run, orders)
    finally:
        if lock:
            lock.release()


def _settle(archive: Archive, money: Money, claims: Claims, run: str, orders: Sequence[Order]) -> None:
    claimed = claims.claimed()
    found = _Found()
    for record in unknown_of(archive.ledger, run):
        if record.cell is None or not 0 <= record.cell < len(orders):
            continue
        name = orders[record.cell].name
        if is_leased(record.id, name):  # others were sent by the process that made the run
            _judge(record, name, claims, money, found)
    if claimed:
        recorded = cells_of(archive.ledger, run)
        for order in orders:
            if order.name in claimed and order.index not in recorded:
                _find_unrecorded(order, claims, money, found)
    if found.records or found.unsent:
        money.write(found.records, found.unsent)
    if found.open:
        for name in claimed - found.open:
            claims.release(name)
    else:
        claims.end()


@dataclass
class _Found:
    """What was found of leased cells."""

    records: list[Record] = field(default_factory=list)
    unsent: list[str] = field(default_factory=list)
    open: set[str] = field(default_factory=set)
    """Names of cells of which nobody knows."""


def _judge(record: Record, name: str, claims: Claims, money: Money, found: _Found) -> None:
    if done := claims.done(record.id):
        whole = done.record if done.record.ended_at is not None else money.ended(done.record)
        found.records.append(money.settled(whole, record))
    elif any(image.outcome == "done" for image in record.images):
        found.records.append(money.ended(record))
    elif claims.claimant(name) is not None or record.ended_at is not None:
        found.open.add(name)
    else:
        found.unsent.append(record.id)


def _find_unrecorded(order: Order, claims: Claims, money: Money, found: _Found) -> None:
    """Take what a worker has sent that was taken for dead, and was not: the ledger has forgotten it."""
    claimant = claims.claimant(order.name)
    theirs = dataclasses.replace(order, record_id=claimant.record_id) if claimant and claimant.record_id else order
    if (done := claims.done(theirs.record_id)) and done.record.ended_at is not None:
        found.records.append(money.settled(done.record, money.record_of(theirs)))
    else:
        found.records.append(money.lost(theirs))
        found.open.add(order.name)
