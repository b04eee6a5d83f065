"""What goes from the broker to workers and back, as plain values; the key is never in a lease."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from .claims import Done


def version() -> str:
    """Return this package's version, which broker and workers have in common."""
    return str(sys.modules[__name__.partition(".")[0]].__version__)


@dataclass(frozen=True)
class Order:
    """A cell that is to be made."""

    index: int
    """Of the cell in its sweep."""
    name: str
    """As `claims` knows it."""
    record_id: str
    params: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Lease:
    """Cells that one worker makes; what they may cost at most is reserved."""

    run: str
    epoch: str
    number: int
    orders: tuple[Order, ...] = field(repr=False)

    @property
    def name(self) -> str:
        """As `claims` knows it."""
        return f"{self.epoch}-{self.number}"


Ending = Literal["ended", "back", "taken"]
"""`ended`: it is done, or will never be. `back`: nothing was sent. `taken`: somebody else has claimed it."""


@dataclass(frozen=True)
class Report:
    """How a cell of a lease has ended."""

    record_id: str
    ending: Ending
    done: Done | None = field(default=None, repr=False)
    data: bytes = field(default=b"", repr=False)
    """The image, where the worker's disk has refused it."""
    notices: tuple[str, ...] = ()
    why: str = ""
    """Of what went back: the error in words."""


@dataclass(frozen=True)
class Returned:
    """What a lease has come to."""

    reports: tuple[Report, ...] = ()
    problem: str = ""
    """Why the worker can make no more of this run now: `unequipped` or `disk`."""


class Sealed:
    """A key on its way to a worker's memory: no text shows it."""

    def __init__(self, reveal: Callable[[], str]) -> None:
        self._reveal = reveal

    def __repr__(self) -> str:
        return "Sealed(***)"

    def __reduce__(self) -> tuple[Any, ...]:
        return _sealed, (self._reveal(),)

    def reveal(self) -> str:
        """Return it."""
        return self._reveal()


def _sealed(text: str) -> Sealed:
    return Sealed(lambda: text)


@dataclass(frozen=True)
class Worker:
    """A worker as the broker knows it."""

    address: str
    process: int
    host: str


class Cluster(Protocol):
    """What moves leases to workers: a cluster, or the threads of a test. All of it is called from one loop."""

    name: str
    """For people."""
    dashboard: str
    """Where one sees it work; empty where nowhere."""

    @property
    def is_private(self) -> bool:
        """Whether nobody else can read what goes to its workers."""

    @property
    def is_local(self) -> bool:
        """Whether all of it is on this machine."""

    def is_connected(self) -> bool:
        """Whether anything can be asked of it."""

    def is_closed(self) -> bool:
        """Whether nothing ever can be again."""

    async def workers(self) -> list[str]:
        """Return the addresses of those that live."""

    async def call(self, function: Callable[..., Any], *arguments: Any, workers: list[str]) -> dict[str, Any]:
        """Call a function in each of these workers; return what it returns, or its exception, by address."""

    async def lease(self, lease: Lease, worker: str) -> Returned:
        """Have a worker make a lease. Cancelled, nobody waits for it any more."""

    async def listen(self, run: str, heard: Callable[[Mapping[str, Any]], None] | None) -> None:
        """Have `heard` called in this loop with what workers tell of a run; None ends that."""
