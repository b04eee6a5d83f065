"""The broker of a run: it owns money, pace and ledger, hands out leases, and accounts for each cell of them.

It runs in the process that makes the run, and nobody else writes the ledger. What a lease may cost is reserved before it
goes out. What came is read from what workers have written beside the originals; their reports only say so sooner.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..api.errors import BudgetExceededError
from ..api.settings import Settings
from ..jobs.threads import in_a_thread
from ..storage.archive import Archive
from ..storage.leases import unknown_of
from .accounts import Accounts, Table
from .claims import Claims, is_leased
from .lease import Cluster, Lease, Order, Returned
from .money import Money
from .pace import Pace
from .roster import Roster

_logger = logging.getLogger("gradient_notebook")

MOST_CELLS = 50
"""Cells of a lease; fewer where there are fewer for each worker."""
LEASES_EACH = 2
TICK_S = 0.25
_LOOKS_A_SECOND = 10_000
AWAY_S, NOBODY_S = 15.0, 120.0
"""How long a cluster may be away, or have nobody who can make images, before what waits is given up."""
_MOST_FAILURES = 5


@dataclass(eq=False)
class _Out:
    """A lease that is out."""

    lease: Lease
    worker: str
    task: asyncio.Task[Returned]
    is_told: bool = False
    """Whether it was taken what it has come to."""


class Broker:
    """Makes a table's cells on the workers of an engine."""

    def __init__(
        self, engine: Cluster, table: Table, archive: Archive, settings: Settings, *, run: str, concurrency: int
    ) -> None:
        self._engine, self._table, self._archive = engine, table, archive
        self._run, self._concurrency = run, concurrency
        self._claims = Claims(archive.folder, run)
        self._money = Money(archive, settings, run)
        self.pace = Pace()
        self._roster = Roster(engine, archive, settings, run=run, pace=self.pace, concurrency=concurrency)
        self._accounts = Accounts(
            table,
            archive,
            claims=self._claims,
            money=self._money,
            pace=self.pace,
            roster=self._roster,
            retries=settings.max_retries,
        )
        self._out: list[_Out] = []
        self._numbers = self._failures = 0
        self._settled_before = -1
        """How many cells had ended when a budget had no room."""
        self._ended_before = -1
        """How many cells had ended when a lease failed."""
        self._away_since_s: float | None = None
        self._epoch = ""

    @property
    def dashboard(self) -> str:
        """Where one sees the cluster work, as an address that a browser opens; empty where there is none."""
        address = self._engine.dashboard
        return address if address.startswith(("http://", "https://")) else ""

    async def check(self) -> None:
        """Raise InvalidRequestError where a worker cannot make images."""
        await self._roster.check()

    async def make_all(self, awake: asyncio.Event) -> None:
        """Make all cells of the table; `awake` is set when the table has changed."""
        await in_a_thread(self._begin)
        self._roster.begin(self._epoch)
        await self._engine.listen(self._run, self._heard)
        try:
            while self._out or self._accounts.doubtful or (self._table.left and not self._table.stop):
                awake.clear()
                await self._turn()
                await self._wait(awake)
        finally:
            for out in list(self._out):
                await self._take_back(out)
            await self._end()

    def _begin(self) -> None:
        self._epoch = self._claims.begin()
        for record in unknown_of(self._archive.ledger, self._run):
            order = None if record.cell is None else self._table.order_at(record.cell)
            if order is None or not is_leased(record.id, order.name):
                continue
            # Its worker may be about to end it, or may have given it back: what comes of it is taken.
            if record.ended_at is None or self._claims.claimant(order.name) is not None:
                self._accounts.watch(dataclasses.replace(order, record_id=record.id), record)

    async def _turn(self) -> None:
        """Look at all that may have changed, and hand out what can be."""
        await self._look_at_workers()
        for out in list(self._out):
            if out.task.done() or out.worker not in self._roster.known:
                await self._take_back(out)
        await self._accounts.look()
        self.pace.probe()
        self._roster.say(self._table.stop, is_paused=self._table.is_paused)
        for words in [*self._roster.notes, *self._money.notes]:
            self._table.note(words)
        # Before anything goes out: what is taken back is not counted twice, and not forgotten once it is out again.
        if problem := await self._accounts.write():
            self._table.note(f"The ledger cannot be written ({problem}).")
            if not self._out:
                self._table.give_up("The ledger cannot be written.", "Then run(on=...) makes them.")
        else:
            await self._hand_out()

    async def _look_at_workers(self) -> None:
        now, is_connected = time.monotonic(), self._engine.is_connected()
        away_s = now - self._away_since_s if self._away_since_s is not None else 0.0
        is_lost = self._engine.is_closed() or away_s > (NOBODY_S if is_connected else AWAY_S)
        if is_connected:
            with contextlib.suppress(OSError, TimeoutError):  # it may go in this very moment
                await self._roster.look()
        else:
            self._roster.lose(for_good=is_lost)
        if self._roster.fit:
            self._away_since_s = None
            return
        self._away_since_s = self._away_since_s or now
        if self._table.left and is_lost:
            why = "has nobody who can make images" if is_connected else "is gone"
            self._table.give_up(f"{self._engine.name} {why}", "run(on=...) makes them.")

    async def _wait(self, awake: asyncio.Event) -> None:
        waking = asyncio.ensure_future(awake.wait())
        tick_s = max(TICK_S, len(self._accounts.leased) / _LOOKS_A_SECOND)
        tasks = [out.task for out in self._out]
        await asyncio.wait({*tasks, waking}, timeout=tick_s, return_when=asyncio.FIRST_COMPLETED)
        waking.cancel()

    def _heard(self, message: Mapping[str, Any]) -> None:
        """Take what a worker tells immediately: the service has refused a request that it did not begin."""
        demanded_s, sent = (
            float(told) if isinstance(told := message.get(name), int | float) else None
            for name in ("retry_after_s", "sent")
        )
        self.pace.trouble(demanded_s, (sent or 1.0) * self._roster.processes)
        self._roster.say(self._table.stop, is_paused=self._table.is_paused)

    async def _hand_out(self) -> None:
        while not (self._table.stop or self._table.is_paused or self.pace.hold_s):
            free = [worker for worker in self._roster.fit if self._has_room(worker)]
            has_no_money = self._settled_before == self._accounts.settled and self._accounts.is_waiting
            if not free or not self._table.left or has_no_money:
                return
            await self._hand_to(min(free, key=self._cells_at))

    def _cells_at(self, worker: str) -> int:
        ids = (order.record_id for out in self._out if out.worker == worker for order in out.lease.orders)
        return sum(one in self._accounts.leased for one in ids)

    def _has_room(self, worker: str) -> bool:
        leases = sum(out.worker == worker for out in self._out)
        return leases < LEASES_EACH or self._cells_at(worker) < self._concurrency

    async def _hand_to(self, worker: str) -> None:
        """Hand a lease to a worker, as large as the budgets allow."""
        share = math.ceil(self._table.left / (LEASES_EACH * len(self._roster.fit)))
        orders = await self._table.take(max(1, min(MOST_CELLS, share)))
        if not orders:
            return
        count, refusal = 0, None
        reserved: list[tuple[int, BudgetExceededError | None]] = []
        try:
            await in_a_thread(lambda: reserved.append(self._money.reserve(orders)))
            count, refusal = reserved[0]
        except OSError as error:
            # Without the ledger nobody counts the money, and nothing would be found again.
            self._table.give_up(f"The ledger cannot be written ({error})", "Then run(on=...) makes them.")
        for order in reversed(orders[count:]):
            self._table.put_back(order)
        if count:
            self._send(worker, tuple(orders[:count]))
        if refusal:
            self._settled_before = self._accounts.settled
            if not self._accounts.is_waiting:
                self._table.give_up(refusal.summary, "Raise it, and retry() makes them.")

    def _send(self, worker: str, orders: tuple[Order, ...]) -> None:
        self._numbers += 1
        lease = Lease(self._run, self._epoch, self._numbers, orders)
        for order in orders:
            self._accounts.lend(order)
        self._out.append(_Out(lease, worker, asyncio.ensure_future(self._lease(lease, worker))))

    async def _lease(self, lease: Lease, worker: str) -> Returned:
        await in_a_thread(self._claims.open, lease.name)
        return await self._engine.lease(lease, worker)

    async def _take_back(self, out: _Out) -> None:
        """Take what a lease has come to, and account for what is open of it, whatever has become of its worker."""
        if not out.is_told and out.task.done():
            self._take_reports(out)
        out.is_told = True
        if not out.task.done():
            out.task.cancel()
        try:
            await in_a_thread(self._claims.close, out.lease.name)
        except OSError as error:  # until it is closed, its worker may send
            self._table.note(f"The archive cannot be written ({error}).")
            return
        self._out.remove(out)
        for order in out.lease.orders:
            self._accounts.reclaim(order)

    def _take_reports(self, out: _Out) -> None:
        error = asyncio.CancelledError() if out.task.cancelled() else out.task.exception()
        if error:
            is_stuck = self._accounts.ended == self._ended_before
            self._failures = self._failures + 1 if is_stuck else 1
            self._ended_before = self._accounts.ended
            _logger.warning("A lease of run %s failed: %r", self._run, error)
            if self._failures >= _MOST_FAILURES:
                self._table.give_up(f"Workers fail: {error!r}", "Then retry() makes them.")
            return
        returned = out.task.result()
        for report in returned.reports:
            self._accounts.take(report)
        if returned.problem:
            self._roster.set_aside(out.worker, for_now=returned.problem == "disk")
        if returned.problem == "disk":
            self._table.note(f"The disk is full where {out.worker} writes: it gets nothing more for now.")

    async def _end(self) -> None:
        await self._accounts.look()
        if problem := await self._accounts.write():
            self._table.note(f"The ledger cannot be written ({problem}): continue the run when it can be.")
        await self._engine.listen(self._run, None)
        await self._roster.end()
        if self._accounts.is_complete:
            await in_a_thread(self._claims.end)
