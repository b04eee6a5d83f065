"""What became of each cell that a broker has leased, from what workers have written beside the originals."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from ..jobs.threads import in_a_thread
from ..storage.archive import Archive
from ..storage.leases import record_named
from ..storage.record import Record
from .claims import Claimant, Claims, Done
from .lease import Order, Report
from .money import Money
from .pace import Pace
from .roster import Roster
from .steering import Stop

_MOST_BACK = 100
"""How often a cell may come back unsent, at least."""


class Table(Protocol):
    """What a broker makes, as a sweep has it. Called on the loop of the package."""

    @property
    def left(self) -> int:
        """How many cells wait to be made."""

    @property
    def stop(self) -> Stop:
        """Whether nothing more is to be sent."""

    @property
    def is_paused(self) -> bool:
        """Whether nothing more is to be sent for now."""

    def order_at(self, index: int) -> Order | None:
        """Return a cell, whatever has become of it; None where there is none."""

    async def take(self, count: int) -> list[Order]:
        """Take so many cells, or fewer, from those that wait."""

    def put_back(self, order: Order) -> None:
        """Let a cell wait again: nothing of it was sent."""

    def show(self, order: Order) -> None:
        """Show that a cell is under way."""

    def settle(self, order: Order, record: Record, data: bytes) -> None:
        """Note what came of a cell, and its image where no disk has it."""

    def give_up(self, why: str, then: str) -> None:
        """Send nothing more of what waits."""

    def note(self, words: str) -> None:
        """Say what is worth knowing, once."""


@dataclass
class _Look:
    """What the folder of the claims has of cells, by the ids of their records."""

    done: dict[str, Done | None]
    claimants: dict[str, Claimant | None]


class Accounts:
    """Accounts for each cell of a run's leases."""

    def __init__(
        self, table: Table, archive: Archive, *, claims: Claims, money: Money, pace: Pace, roster: Roster, retries: int
    ) -> None:
        self._table, self._archive, self._claims, self._money = table, archive, claims, money
        self._pace, self._roster, self._retries = pace, roster, retries
        self.leased: dict[str, Order] = {}
        """In leases that are out."""
        self.doubtful: dict[str, Order] = {}
        """In none that is out, and perhaps claimed."""
        self._unknown: dict[str, Order] = {}
        """Reported as such; what comes of them after all is taken."""
        self._shown: set[str] = set()
        self._back: dict[str, int] = {}
        self._unwritten: list[Record] = []
        self._unsent: list[str] = []
        self._previews: dict[str, bytes] = {}
        self._has_made = False
        self.ended = self.settled = 0
        """How many cells have ended; and with those that came back, for which money may have room again."""

    @property
    def is_complete(self) -> bool:
        """Whether the ledger has all of it, and nothing more can come."""
        return not (self.leased or self.doubtful or self._unknown or self._unwritten or self._unsent)

    @property
    def is_waiting(self) -> bool:
        """Whether anything is out that will come back, and may have cost less than was reserved for it."""
        return bool(self.leased or self.doubtful)

    def lend(self, order: Order) -> None:
        """A cell is in a lease that goes out."""
        self.leased[order.record_id] = order

    def watch(self, order: Order, record: Record) -> None:
        """Take a cell that another broker has leased, and of which nobody has said yet what became of it."""
        self._money.take_over(record)
        (self.doubtful if record.ended_at is None else self._unknown)[record.id] = order

    def reclaim(self, order: Order) -> None:
        """The lease of a cell is over, and has not said what became of it."""
        if self.leased.pop(order.record_id, None):
            self.doubtful[order.record_id] = order

    def take(self, report: Report) -> None:
        """Take what a lease says of a cell."""
        for words in report.notices:
            self._table.note(words)
        if report.ending == "taken" or report.record_id not in self.leased:
            return
        order = self.leased.pop(report.record_id)
        if report.ending == "ended" and report.done:
            self._settle(order, report.done, report.data)
        else:
            self._send_again(order, report.why)

    def _send_again(self, order: Order, why: str = "") -> None:
        """Let a cell wait again. What has come back too often is given up, with all that waits."""
        self._unsent.append(order.record_id)
        self._shown.discard(order.record_id)
        self.settled += 1
        self._table.put_back(order)
        if why:
            self._back[order.record_id] = self._back.get(order.record_id, 0) + 1
            # As long as nothing was made, nothing shows that there is anything to wait for.
            most = max(_MOST_BACK, self._retries) if self._retries and self._has_made else self._retries
            if self._back[order.record_id] > most:
                self._table.give_up(why, "Then retry() makes them.")

    async def look(self) -> None:
        """Take what workers have written by now, and see what becomes of claims whose leases are over."""
        seen = _Look({}, {})
        try:
            await in_a_thread(self._look, seen, dict(self.leased), {**self.doubtful, **self._unknown})
        except OSError as error:
            self._table.note(f"The archive cannot be read ({error}).")
            return
        for one, order in list(self.leased.items()):
            if (done := seen.done.get(one)) and done.record.ended_at is not None:
                del self.leased[one]
                self._settle(order, done)
            elif seen.claimants.get(one) and one not in self._shown:
                self._shown.add(one)
                self._table.show(order)
        for one, order in list(self._unknown.items()):
            if done := seen.done.get(one):
                del self._unknown[one]
                self._settle(order, done)
        dead = [order for order in list(self.doubtful.values()) if self._is_dead(order, seen)]
        if dead:
            await in_a_thread(self._bury, dead)

    def _look(self, seen: _Look, leased: Mapping[str, Order], others: Mapping[str, Order]) -> None:
        for one, order in {**leased, **others}.items():
            # Who has claimed it first: whoever gives a claim back has written nothing.
            if one in others or one not in self._shown:
                seen.claimants[one] = self._claims.claimant(order.name)
            seen.done[one] = self._claims.done(one)

    def _is_dead(self, order: Order, seen: _Look) -> bool:
        """Take what has become of a doubtful cell; return whether nobody will say more of it."""
        one = order.record_id
        if one not in seen.done:
            return False
        done, claimant = seen.done[one], seen.claimants[one]
        if done and done.record.ended_at is not None:
            del self.doubtful[one]
            self._settle(order, done)
            return False
        if claimant is None:
            del self.doubtful[one]
            self._send_again(order)
            return False
        if claimant.record_id not in ("", one):
            self._follow(order, claimant.record_id)
            return False
        return not self._roster.lives(claimant.who)

    def _follow(self, order: Order, record_id: str) -> None:
        """Wait for what an earlier lease has sent, whose worker was taken for dead; this one has sent nothing."""
        del self.doubtful[order.record_id]
        self._unsent.append(order.record_id)
        earlier = dataclasses.replace(order, record_id=record_id)
        self._money.take_over(self._money.record_of(earlier))
        self.doubtful[record_id] = earlier

    def _bury(self, dead: list[Order]) -> None:
        """Take what the dead have left: an image that was kept is one, and of the rest nobody knows."""
        with contextlib.suppress(OSError):
            self._archive.adopt()
        for order in dead:
            del self.doubtful[order.record_id]
            if done := self._claims.done(order.record_id):
                self._settle(order, done)
            elif kept := self._adopted(order):
                self._conclude(order, kept)
            else:
                self._conclude(order, self._money.lost(order))
                self._unknown[order.record_id] = order

    def _adopted(self, order: Order) -> Record | None:
        """Return the record of a cell whose image was stored, and of which nothing more was said."""
        with contextlib.suppress(OSError):
            record = record_named(self._archive.ledger, order.record_id)
            if record and any(image.outcome == "done" for image in record.images):
                return self._money.ended(record)
        return None

    def _settle(self, order: Order, done: Done, data: bytes = b"") -> None:
        record = done.record if done.record.ended_at is not None else self._money.ended(done.record)
        if data:
            record, data = self._stored(record, data)
        if done.preview and (file := next((image.file for image in record.images if image.file), None)):
            self._previews[file] = done.preview
        self._conclude(order, self._money.settled(record), data)

    def _stored(self, record: Record, data: bytes) -> tuple[Record, bytes]:
        """Keep an image that the disk of its worker has refused; return what is left to keep."""
        path = self._archive.path_of(data)
        try:
            self._archive.write(path, data)
        except OSError as error:
            self._table.note(f"An original could not be saved ({error}). Save the image yourself.")
            return record, data
        at = next(at for at, image in enumerate(record.images) if image.outcome == "done" and not image.file)
        images = list(record.images)
        images[at] = dataclasses.replace(images[at], file=path.name, byte_count=len(data))
        return dataclasses.replace(record, images=tuple(images)), b""

    def _conclude(self, order: Order, record: Record, data: bytes = b"") -> None:
        self.ended, self.settled = self.ended + 1, self.settled + 1
        self._shown.discard(order.record_id)
        self._unwritten.append(record)
        self._has_made |= record.outcome == "done"
        if record.outcome != "unknown":
            self._pace.note_answer()
        self._table.settle(order, record, data)

    async def write(self) -> str:
        """Write the ledger: what came, and what certainly was not sent. Return why that failed; nothing where it did not."""
        records, unsent, previews = list(self._unwritten), list(self._unsent), dict(self._previews)
        try:
            if records or unsent:
                await in_a_thread(self._money.write, records, unsent)
                # Where originals lie elsewhere, too: it is the broker that knows where.
                for file in (image.file for record in records for image in record.images if image.file):
                    self._archive.send(file)
                del self._unwritten[: len(records)], self._unsent[: len(unsent)]
            if previews:
                await in_a_thread(self._archive.ledger.put_thumbnails, previews)
                self._previews.clear()
        except OSError as error:
            return str(error)
        return ""
