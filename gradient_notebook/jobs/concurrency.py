"""How many requests run at once at one endpoint, in all jobs of the process together: first come, first served."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

from ..session import session
from ..storage.forks import without_forks

if TYPE_CHECKING:
    from anyio import CapacityLimiter

# By loop, whose waiters a limiter wakes: a child after a fork has another loop, and all places free. A limiter lasts as
# long as somebody holds a place of it, or waits for one.
_limiters: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, weakref.WeakValueDictionary[str, CapacityLimiter]] = (
    weakref.WeakKeyDictionary()
)


def get_limiter(endpoint: str) -> CapacityLimiter:
    """Return the limiter of the running loop for an endpoint: one that is slow holds up no other's requests."""
    with without_forks():
        from anyio import CapacityLimiter  # with httpx, when the first request is made

        of_loop = _limiters.setdefault(asyncio.get_running_loop(), weakref.WeakValueDictionary())
        if (limiter := of_loop.get(endpoint)) is None:
            # In here: what anyio needs for this kind of loop it imports when the first one is made.
            limiter = of_loop[endpoint] = CapacityLimiter(session.concurrency)
        return limiter


@contextlib.asynccontextmanager
async def place(endpoint: str, queued: Callable[[], None]) -> AsyncIterator[None]:
    """Hold one of the places at an endpoint; `queued` is called where it has to wait for one."""
    with without_forks():
        from anyio import WouldBlock

    limiter, holder = get_limiter(endpoint), object()  # not the task: a job's may hold several
    try:
        limiter.acquire_on_behalf_of_nowait(holder)
    except WouldBlock:
        queued()
        await limiter.acquire_on_behalf_of(holder)
    try:
        yield
    finally:
        limiter.release_on_behalf_of(holder)


def _resize(name: str, value: Any) -> None:
    if name == "concurrency":
        for loop, of_loop in list(_limiters.items()):
            for limiter in list(of_loop.values()):
                # On the loop's thread, since a higher bound wakes those who wait there; a closed loop would raise.
                if loop.is_running():
                    loop.call_soon_threadsafe(setattr, limiter, "total_tokens", value)


session.observe(_resize)
