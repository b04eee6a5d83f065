"""How many requests run at once at one endpoint, in all jobs of all processes of an archive together.

Within a process the first to come is the first served; between processes they take turns. Where nothing is kept on disk, or
nothing can be, each process counts for itself; so do those that the embedded simulator serves, each by its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import weakref
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

from ..session import session
from ..storage.forks import without_forks

if TYPE_CHECKING:
    from anyio import CapacityLimiter

    from ..storage.limits import Limits
    from ..storage.locks import Lock

# By loop, whose waiters a limiter wakes: a child after a fork has another loop, and all places free. A limiter lasts as
# long as somebody holds a place of it, or waits for one.
_limiters: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, weakref.WeakValueDictionary[str, CapacityLimiter]] = (
    weakref.WeakKeyDictionary()
)
_turns: weakref.WeakKeyDictionary[CapacityLimiter, asyncio.Lock] = weakref.WeakKeyDictionary()
"""In which order those look for a shared place that have one of this process."""
_TICK_S, _TICK_PER_PLACE_S, _TURN_TICK_S = 0.05, 0.0025, 0.1
"""How often is looked for a place, by the one of all processes whose turn it is, and for the turn, by the others (seconds)."""


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
async def place(endpoint: str, queued: Callable[[int], None], limits: Limits | None = None) -> AsyncIterator[None]:
    """Hold one of the places at an endpoint, of `limits` where several processes share them.

    `queued` is called where it has to wait for one, with how many others have.
    """
    with without_forks():
        from anyio import WouldBlock

    limiter, holder = get_limiter(endpoint), object()  # not the task: a job's may hold several
    try:
        limiter.acquire_on_behalf_of_nowait(holder)
    except WouldBlock:
        queued(0)
        await limiter.acquire_on_behalf_of(holder)
    shared = None
    try:
        if limits:
            shared = await _shared_place(limits, _turns.setdefault(limiter, asyncio.Lock()), queued)
        yield
    finally:
        if limits and shared:
            limits.leave(shared)
        limiter.release_on_behalf_of(holder)


async def _shared_place(limits: Limits, turn: asyncio.Lock, queued: Callable[[int], None]) -> Lock | None:
    """Return a place that no process of the archive has, once there is one; None where they share none."""
    if turn.locked():
        queued(limits.elsewhere(session.concurrency))
    async with turn:
        try:
            if not limits.is_waited_for() and (found := limits.take(session.concurrency)):
                return found
            return await _wait_for_place(limits, queued)
        except OSError:
            return None


async def _wait_for_place(limits: Limits, queued: Callable[[int], None]) -> Lock:
    """Wait for the turn, then for a place: else a process that has many requests would take each place again itself."""
    turn = None
    try:
        while True:
            turn = turn or limits.take_turn()
            count = session.concurrency
            if turn and (found := limits.take(count)):
                return found
            queued(limits.elsewhere(count))
            # Who has the turn looks at each place; the others look at one file, and less often.
            tick_s = max(_TICK_S, count * _TICK_PER_PLACE_S) if turn else _TURN_TICK_S
            await asyncio.sleep(tick_s * random.uniform(0.5, 1))
    finally:
        if turn:
            limits.end_turn(turn)


def _resize(name: str, value: Any) -> None:
    if name == "concurrency":
        for loop, of_loop in list(_limiters.items()):
            for limiter in list(of_loop.values()):
                # On the loop's thread, since a higher bound wakes those who wait there; a closed loop would raise.
                if loop.is_running():
                    loop.call_soon_threadsafe(setattr, limiter, "total_tokens", value)


session.observe(_resize)
