"""Leases on a cluster of Dask's: the one importer of `distributed`.

A lease is one task, for one worker, of which Dask keeps no other copy: where its worker dies, the broker accounts for it.
Everything is asked of the client on the client's own loop, where it answers asynchronously, however it was made.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import threading
from collections.abc import Callable, Coroutine, Mapping
from ipaddress import ip_address
from typing import Any, TypeVar
from urllib.parse import urlsplit

from ..api.errors import InvalidRequestError
from ..api.text import SHORT, clean
from . import worker
from .lease import Lease, Returned

T = TypeVar("T")
_TOPIC = "gradient-notebook-{run}"
_MISSING = re.compile(r"No module named '([\w.]+)'")


def cluster_of(client: Any) -> DaskCluster:
    """Return the engine that a user's client is.

    Raises:
        InvalidRequestError: it is none, or is closed, or Dask is not installed.
    """
    try:
        from distributed import Client
    except ImportError as error:
        what = "run(on=...): Dask is not installed"
        raise InvalidRequestError(what, "pip install 'gradient-notebook[dask]'", param="on", sent=False) from error
    if not isinstance(client, Client):
        what = f"on={clean(type(client).__name__, SHORT)}: expected a dask.distributed.Client"
        raise InvalidRequestError(what, "from dask.distributed import Client; run(on=Client())", param="on", sent=False)
    if client.status != "running":
        what = f"on=: the Client is {clean(client.status, SHORT)}"
        raise InvalidRequestError(what, "Pass one that is connected: Client(cluster).", param="on", sent=False)
    return DaskCluster(client)


class DaskCluster:
    """A cluster of Dask's."""

    name = "The Dask cluster"

    def __init__(self, client: Any) -> None:
        self._client = client  # half of its methods have no types
        self.dashboard = clean(client.dashboard_link or "", SHORT)
        self._addresses = [str(self._client.scheduler.address)]
        """Of the scheduler and, as soon as they were asked for, of the workers."""

    @property
    def is_local(self) -> bool:
        """Whether all of it is on this machine."""
        return all(map(_is_loopback, self._addresses))

    @property
    def is_private(self) -> bool:
        """Whether nobody else can read what goes to its workers: over TLS, or on this machine."""
        return all(_is_loopback(address) or address.startswith("tls://") for address in self._addresses)

    def is_connected(self) -> bool:
        """Whether anything can be asked of it."""
        return bool(self._client.status == "running")

    def is_closed(self) -> bool:
        """Whether nothing ever can be again."""
        return self._client.status in ("closed", "closing")

    async def _there(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Do work on the client's loop. Raises OSError where that has ended."""
        loop = self._client.loop.asyncio_loop

        async def do() -> T:
            return await work()

        doing = do()
        try:
            future = asyncio.run_coroutine_threadsafe(doing, loop)
        except RuntimeError as error:
            doing.close()
            raise OSError(f"{self.name} is gone") from error
        return await asyncio.wrap_future(future)

    async def workers(self) -> list[str]:
        """Return the addresses of those that live."""

        async def ask() -> Any:
            return await self._client.nthreads()

        found = list(await self._there(ask))
        self._addresses = [self._addresses[0], *found]
        return found

    async def call(self, function: Callable[..., Any], *arguments: Any, workers: list[str]) -> dict[str, Any]:
        """Call a function in each of these workers; return what it returns, or its exception, by address."""

        async def ask() -> Any:
            return await self._client.run(function, *arguments, workers=workers, on_error="return")

        found = await self._there(ask)
        return {address: _as_raised(told) for address, told in found.items()}

    async def lease(self, lease: Lease, worker: str) -> Returned:
        """Have a worker make a lease. Cancelled, nobody waits for it any more."""

        async def work() -> Returned:
            future = self._client.submit(
                make_lease,
                lease,
                key=f"gradient-notebook-{lease.run}-{lease.number}-{os.urandom(3).hex()}",
                workers=[worker],
                allow_other_workers=False,
                retries=0,
                pure=False,
            )
            try:
                returned: Returned = await future
            finally:
                future.release()
            return returned

        return await self._there(work)

    async def listen(self, run: str, heard: Callable[[Mapping[str, Any]], None] | None) -> None:
        """Have `heard` called in this loop with what workers tell of a run; None ends that."""
        here, topic = asyncio.get_running_loop(), _TOPIC.format(run=run)

        async def subscribe() -> None:
            if heard is None:
                self._client.unsubscribe_topic(topic)
            else:
                self._client.subscribe_topic(topic, lambda event: here.call_soon_threadsafe(heard, event[1]))

        with contextlib.suppress(OSError, ValueError):
            if self.is_connected():
                await self._there(subscribe)


def make_lease(lease: Lease) -> Returned:
    """Make a lease, as the task of a worker: its thread waits, and the work is done on the package's own loop."""
    from distributed import get_worker, secede

    from ..jobs import event_loop

    here = get_worker()
    sent, ended = threading.Event(), threading.Event()
    kept: list[Any] = []

    def tell(message: Mapping[str, Any]) -> None:
        here.loop.add_callback(here.log_event, _TOPIC.format(run=lease.run), dict(message))

    def keep(done: Any) -> None:
        kept.append(done)
        sent.set()
        ended.set()

    future = asyncio.run_coroutine_threadsafe(worker.make(lease, here.address, tell, sent.set), event_loop.get_loop())
    future.add_done_callback(keep)
    sent.wait()
    if not ended.is_set():
        secede()  # type: ignore[no-untyped-call] # none of it waits to be sent any more: the next lease may begin
        ended.wait()
    return future.result()


def _as_raised(told: Any) -> Any:
    """Return what a worker has answered; of an error that it could not even unpack a call, Dask tells the text alone."""
    missing = _MISSING.search(str(told)) if isinstance(told, Exception) else None
    return ModuleNotFoundError(str(told), name=missing[1]) if missing else told


def _is_loopback(address: str) -> bool:
    """Whether an address of Dask's is on this machine and nowhere else."""
    if address.startswith("inproc://"):
        return True
    host = urlsplit(address).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
