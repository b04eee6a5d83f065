"""An engine without a cluster: its workers are tasks of this process, so that a test sees and breaks what it wants."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gradient_notebook.cluster import worker
from gradient_notebook.cluster.lease import Lease, Returned


class Here:
    """An engine whose workers all live in this process."""

    name, dashboard = "The workers of a test", ""

    def __init__(self, count: int = 2) -> None:
        self.there = [f"worker-{number}" for number in range(count)]
        self.is_private = self.is_local = True
        self.connected, self.closed = True, False
        self.leases: list[tuple[str, Lease]] = []
        self.said: list[dict[str, Any]] = []
        """What workers were told of their pace."""
        self.answers: dict[str, Any] = {}
        """What workers answer that are not equipped, by address."""
        self.failures = 0
        """How many of the next leases fail."""
        self._heard: Any = None

    def is_connected(self) -> bool:
        return self.connected

    def is_closed(self) -> bool:
        return self.closed

    async def workers(self) -> list[str]:
        return list(self.there)

    async def call(self, function: Callable[..., Any], *arguments: Any, workers: list[str]) -> dict[str, Any]:
        if function is worker.steer:
            self.said.append(arguments[-1])
        return {
            one: self.answers[one] if one in self.answers and function is worker.equip else function(*arguments)
            for one in workers
        }

    async def lease(self, lease: Lease, worker: str) -> Returned:
        self.leases.append((worker, lease))
        if self.failures:
            self.failures -= 1
            raise RuntimeError("the worker has died")
        return await make(lease, worker, self._heard or (lambda _: None), lambda: None)

    async def listen(self, run: str, heard: Callable[[Mapping[str, Any]], None] | None) -> None:
        self._heard = heard


make = worker.make
