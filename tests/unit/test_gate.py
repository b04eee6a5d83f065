"""The gate: so many requests at once and no more, in the order of their coming, whatever is cancelled meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

import gradient_notebook as gn
from gradient_notebook.jobs import event_loop
from gradient_notebook.jobs.concurrency import place
from gradient_notebook.notebook import formatting
from gradient_notebook.simulator import Simulator


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    gn.session.reset()


class Visitors:
    """Tasks that go through a gate and stay inside until they are let go."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.inside: list[str] = []
        self.queued: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.leave: dict[str, asyncio.Event] = {}

    async def come(self, *names: str) -> None:
        for name in names:
            self.leave[name] = asyncio.Event()
            self.tasks[name] = asyncio.create_task(self._visit(name))
        await self.settle()

    async def _visit(self, name: str) -> None:
        def queued(is_queued: bool) -> None:
            self.queued.append(name) if is_queued else self.queued.remove(name)

        async with self.gate.passed(queued):
            self.inside.append(name)
            try:
                await self.leave[name].wait()
            finally:
                self.inside.remove(name)

    async def go(self, name: str) -> None:
        self.leave[name].set()
        await self.settle()

    async def cancel(self, *names: str) -> None:
        for name in names:
            self.tasks[name].cancel()
        await self.settle()

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)


def test_so_many_at_once_and_in_order() -> None:
    """The third waits until one of two has left, and says so."""

    async def play() -> None:
        bound(2)
        visitors = Visitors(Gate())
        await visitors.come(*"abcd")
        assert (visitors.inside, visitors.queued) == (["a", "b"], ["c", "d"])
        await visitors.go("b")
        assert (visitors.inside, visitors.queued) == (["a", "c"], ["d"])
        bound(1)
        await visitors.go("a")
        assert (visitors.inside, visitors.queued) == (["c"], ["d"])
        await visitors.go("c")
        assert visitors.inside == ["d"]
        await visitors.go("d")

    asyncio.run(play())


def test_who_is_cancelled_holds_up_nobody() -> None:
    """In the queue, inside, and in the very moment of being let in."""

    async def play() -> None:
        bound(1)
        visitors = Visitors(Gate())
        await visitors.come(*"abcd")
        await visitors.cancel("b")
        assert visitors.queued == ["c", "d"]
        visitors.leave["a"].set()
        await asyncio.wait({visitors.tasks["a"]})
        await visitors.cancel("c")
        assert (visitors.inside, visitors.queued) == (["d"], [])
        await visitors.come("e")
        await visitors.cancel("d")
        assert visitors.inside == ["e"]
        await visitors.go("e")
        await visitors.come("f")
        assert visitors.inside == ["f"]
        await visitors.cancel("f")

    asyncio.run(play())


def test_let_in_and_cancelled_at_the_same_moment() -> None:
    """The place of somebody who is called and cancelled before they move is the next one's."""

    async def play() -> None:
        bound(1)
        gate = Gate()
        visitors = Visitors(gate)
        await visitors.come(*"abc")
        gate._inside -= 1
        gate.admit()  # b is called
        visitors.tasks["b"].cancel()  # and does not come any more
        await visitors.settle()
        assert visitors.inside == ["a", "c"]
        gate._inside += 1
        await visitors.cancel("a", "c")

    asyncio.run(play())


def test_all_jobs_of_a_process_share_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of five requests of three jobs two are under way; the others are queued, and come in their turn."""
    bound(2)
    with Simulator(seconds_per_image=600) as slow:
        monkeypatch.setenv("GRADIENT_INFERENCE_ENDPOINT", slow.url)
        monkeypatch.setenv("GRADIENT_MODEL_ACCESS_KEY", "sk-do-for-tests-only")
        how: dict[str, Any] = {"stream": True, "partial_images": 1, "quality": "low"}
        jobs = [gn.submit("a", **how), gn.submit("b", n=3, **how)]
        assert slow.wait_for(lambda: len(slow.posts) == 2)
        jobs.append(gn.submit("c", **how))
        while not jobs[2].slots[0].is_queued:
            event_loop.run(asyncio.sleep(0))
        assert [[tile.is_queued for tile in job.slots] for job in jobs] == [[False], [False, True, True], [True]]
        assert formatting.waiting(jobs[2]) == ("Queued until another request has ended", 0.0)
        jobs[0].cancel()
        assert slow.wait_for(lambda: len(slow.posts) == 3)
        jobs[2].cancel()
        with pytest.raises(gn.JobCancelledError):
            jobs[2].result()
        assert not jobs[2].slots[0].is_queued
        jobs[1].cancel()
        with pytest.raises(gn.JobCancelledError):
            jobs[1].result()
        assert len(slow.posts) <= 4


def test_a_higher_bound_lets_those_in_who_are_queued(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, from whatever thread it is raised: nobody has to leave first."""
    bound(1)
    with Simulator(seconds_per_image=600) as slow:
        monkeypatch.setenv("GRADIENT_INFERENCE_ENDPOINT", slow.url)
        monkeypatch.setenv("GRADIENT_MODEL_ACCESS_KEY", "sk-do-for-tests-only")
        job = gn.submit("a", n=4, stream=True, partial_images=1, quality="low")
        assert slow.wait_for(lambda: len(slow.posts) == 1)
        while not all(tile.is_queued for tile in job.slots[1:]):
            event_loop.run(asyncio.sleep(0))
        bound(3)
        assert slow.wait_for(lambda: len(slow.posts) == 3)
        assert [tile.is_queued for tile in job.slots] == [False, False, False, True]
        job.cancel()
        with pytest.raises(gn.JobCancelledError):
            job.result()
        assert len(slow.posts) == 3
