"""A sweep that is made on a cluster: its table, as the broker has it."""

from __future__ import annotations

import contextlib
from typing import Any

from ..api.errors import InvalidRequestError
from ..cluster.broker import Broker
from ..cluster.claims import Claims
from ..cluster.lease import Cluster, Order
from ..cluster.steering import Stop
from ..jobs import event_loop
from ..jobs.threads import in_a_thread
from ..session import session
from ..storage import runners
from ..storage.archive import Archive
from ..storage.record import Record
from ..storage.runs import images_of
from .cell import Cell
from .leasing import order_of
from .owning import refusal
from .sweep import Sweep


def run_on(sweep: Sweep, client: Any) -> Sweep:
    """Make a sweep on a user's cluster. Raises InvalidRequestError before anything is sent."""
    from ..cluster.on_dask import cluster_of

    return run_with(sweep, cluster_of(client))


def run_with(sweep: Sweep, engine: Cluster) -> Sweep:
    """Make a sweep on the workers of an engine. Raises InvalidRequestError before anything is sent."""
    if not sweep.done():
        raise InvalidRequestError("run: the sweep runs already", "Wait for it, or cancel it.", sent=None)
    archive = sweep._archive
    if archive is None:
        what = "run(on=...): this session keeps no archive, in which workers could keep what they make"
        raise InvalidRequestError(what, suggest=("keep_history",), sent=False)
    if problem := archive.problem():
        raise InvalidRequestError(f"run(on=...): {problem}", "Set archive_dir to another folder.", sent=False)
    with contextlib.suppress(OSError):
        sweep._join()
    if runners.is_made(archive, sweep.id):
        raise refusal(archive, sweep.id)
    sweep._find_settings()
    table, concurrency = SweepTable(sweep, archive), session.concurrency
    broker = Broker(engine, table, archive, sweep._settings, run=sweep.id, concurrency=concurrency)
    event_loop.run(broker.check())
    sweep._broker = broker
    is_again = sweep.status in ("done", "cancelled")
    started = sweep.retry() if is_again else sweep.start()
    started.notes += [f"{engine.name}: {engine.dashboard}"] if engine.dashboard else []
    return started


class SweepTable:
    """The cells of a sweep for its broker. Called on the package's loop."""

    def __init__(self, sweep: Sweep, archive: Archive) -> None:
        self._sweep, self._archive = sweep, archive
        self._orders: dict[int, Order] = {}
        """Of cells that came back: they keep their records."""

    @property
    def left(self) -> int:
        """How many cells wait to be made."""
        return len(self._sweep._queue)

    @property
    def stop(self) -> Stop:
        """Whether nothing more is to be sent."""
        if self._sweep._unwanted:
            return "cancel"
        return "drain" if self._sweep._is_draining or self._sweep._given_up else ""

    @property
    def is_paused(self) -> bool:
        """Whether nothing more is to be sent for now."""
        return self._sweep._is_paused

    def order_at(self, index: int) -> Order | None:
        """Return a cell, whatever has become of it; None where there is none."""
        return order_of(self._sweep.id, self._sweep[index]) if 0 <= index < len(self._sweep) else None

    async def take(self, count: int) -> list[Order]:
        """Take so many cells, or fewer, from those that wait; what somebody has made meanwhile is not made."""
        queue = self._sweep._queue
        cells = [queue.popleft() for _ in range(min(count, len(queue)))]
        left: list[Cell] = []
        await in_a_thread(self._prepare, cells, left)
        if self.stop:  # it was told so meanwhile
            queue.extendleft(reversed(left))
            self._give_up_again()
            return []
        return [self._order(cell) for cell in left]

    def _give_up_again(self) -> None:
        """What waits again ends as what has waited."""
        if self._sweep._given_up:
            self._sweep._send_no_more(*self._sweep._given_up)

    def _prepare(self, cells: list[Cell], left: list[Cell]) -> None:
        for cell in cells:
            if cell._record is not None and cell.index not in self._orders:
                # It is made once more, because somebody wants it.
                with contextlib.suppress(OSError):
                    Claims(self._archive.folder, self._sweep.id).release(order_of(self._sweep.id, cell).name)
        if self._sweep._run.fresh:
            left += cells
            return
        try:
            kept = images_of(self._archive.ledger, [cell.identity for cell in cells])
        except OSError:
            kept = {}
        for cell in cells:
            whole = [one for one in kept.get(cell.identity, ()) if self._sweep._is_whole(one[1])]
            if len(whole) > cell._number:
                cell._take_kept(*whole[cell._number])
                cell.reused = True
                event_loop.get_loop().call_soon_threadsafe(self._sweep._changed, cell)
            else:
                left.append(cell)

    def _order(self, cell: Cell) -> Order:
        return self._orders.setdefault(cell.index, order_of(self._sweep.id, cell))

    def put_back(self, order: Order) -> None:
        """Let a cell wait again: nothing of it was sent."""
        cell = self._sweep[order.index]
        cell._reset()
        self._sweep._queue.appendleft(cell)
        self._give_up_again()
        self._sweep._changed(cell)

    def show(self, order: Order) -> None:
        """Show that a cell is under way."""
        cell = self._sweep[order.index]
        cell.outcome = "running"
        self._sweep._changed(cell)

    def settle(self, order: Order, record: Record, data: bytes) -> None:
        """Note what came of a cell, and its image where no disk has it."""
        cell = self._sweep[order.index]
        self._orders.pop(order.index, None)
        image = next((one for one in record.images if one.outcome == "done"), record.images[0])
        cell._take_kept(record, image)
        cell._data = (data,) if data else ()
        self._sweep._made += 1
        self._sweep._has_made |= cell.outcome == "done"
        self._sweep._changed(cell)
        if (image.error or {}).get("type") in _OF_ALL:
            self.give_up(cell.error or "", "Then retry() makes them.")

    def give_up(self, why: str, then: str) -> None:
        """Send nothing more of what waits."""
        self._sweep._send_no_more(why, then)

    def note(self, words: str) -> None:
        """Say what is worth knowing, once."""
        if words not in self._sweep.notes:
            self._sweep.notes.append(words)


_OF_ALL = ("AuthenticationError", "PermissionDeniedError")
"""What ends one request so ends all of them."""
