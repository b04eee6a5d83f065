"""A sweep's cells as a broker leases them, and what its leases have come to where their broker is gone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..api.settings import Settings
from ..storage.archive import Archive
from ..storage.leases import folder_of
from .cell import Cell

if TYPE_CHECKING:
    from ..cluster.lease import Order


def order_of(run: str, cell: Cell) -> Order:
    """Return a cell as a worker gets it."""
    from ..cluster.claims import cell_name, new_record
    from ..cluster.lease import Order

    name = cell_name(run, cell.identity, cell._number)
    return Order(cell.index, name, new_record(name), cell._values)


def is_leased(archive: Archive, run: str) -> bool:
    """Whether leases of a run are not accounted for."""
    return folder_of(archive.folder, run).is_dir()


def reconcile(archive: Archive, settings: Settings, run: str, cells: Sequence[Cell], *, owns: bool) -> list[Cell]:
    """Write down what came of a run's leases whose broker is gone; return the cells that may stand otherwise now.

    Raises OSError.
    """
    if not is_leased(archive, run):
        return []
    from ..cluster import claims, reconciling

    orders = [order_of(run, cell) for cell in cells]
    reconciling.reconcile(archive, settings, run, orders, owns=owns)
    return [
        cell
        for cell, order in zip(cells, orders, strict=True)
        if cell.outcome == "running"
        or (cell.outcome == "unknown" and cell._record and claims.is_leased(cell._record, order.name))
    ]
