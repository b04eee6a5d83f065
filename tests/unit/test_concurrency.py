"""The limiter: so many requests at once and no more, in the order of their coming, whatever is cancelled meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

import gradient_notebook as gn
from gradient_notebook.jobs import event_loop
from gradient_notebook.jobs.concurrency import get_limiter, place
from gradient_notebook.notebook import formatting
from gradient_notebook.simulator import Simulator


class Holders:
    """Tasks that take a place and keep it until they are told to leave."""

    def __init__(self) -> None:
        self.inside: list[str] = []
        self.queued: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.leave: dict[str, asyncio.Event] = {}

    async def come(self, *names: str) -> None:
        for name in names:
            self.leave[name] = asyncio.Event()
            self.tasks[name] = asyncio.create_task(self._hold(name))
        await self.settle()

    async def _hold(self, name: str) -> None:
        async with place("https://one.example", lambda _: self.queued.append(name)):
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
    """The third waits until one of two has left, and is told so; a lower bound lets those inside finish."""

    async def play() -> None:
        gn.configure(concurrency=2)
        holders = Holders()
        await holders.come(*"abcd")
        assert (holders.inside, holders.queued) == (["a", "b"], ["c", "d"])
        await holders.go("b")
        assert holders.inside == ["a", "c"]
        gn.configure(concurrency=1)
        await holders.go("a")
        assert holders.inside == ["c"]
        await holders.go("c")
        assert holders.inside == ["d"]
        await holders.go("d")

    asyncio.run(play())


def test_a_cancelled_one_holds_up_nobody() -> None:
    """In the queue and inside; and nobody overtakes those in the queue."""

    async def play() -> None:
        gn.configure(concurrency=1)
        holders = Holders()
        await holders.come(*"abcd")
        await holders.cancel("b")
        await holders.go("a")
        assert (holders.inside, holders.queued) == (["c"], ["b", "c", "d"])
        await holders.come("e")
        await holders.cancel("c")
        assert holders.inside == ["d"]
        await holders.go("d")
        assert holders.inside == ["e"]
        await holders.go("e")
        await holders.come("f")
        assert (holders.inside, "f" in holders.queued) == (["f"], False)
        await holders.cancel("f")

    asyncio.run(play())


@pytest.mark.parametrize("turns", range(5))
def test_let_in_and_cancelled_at_the_same_moment(turns: int) -> None:
    """The place of one that is let in and cancelled before it has taken a step is the next one's."""

    async def play() -> None:
        gn.configure(concurrency=1)
        holders = Holders()
        await holders.come(*"abc")
        holders.leave["a"].set()
        for _ in range(turns):
            await asyncio.sleep(0)
        holders.tasks["b"].cancel()
        await holders.settle()
        assert holders.inside == ["c"]
        await holders.cancel("c")

    asyncio.run(play())


async def waiting(endpoint: str) -> int:
    return get_limiter(endpoint).statistics().tasks_waiting


def wait_until_queued(at: Simulator, count: int) -> None:
    """Return when so many requests wait for a place at an endpoint, on the package's loop."""
    while event_loop.run(waiting(at.url)) < count:
        pass


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    """A simulator that takes longer than any test."""
    with Simulator(seconds_per_image=600) as service:
        monkeypatch.setenv("GRADIENT_INFERENCE_ENDPOINT", service.url)
        monkeypatch.setenv("GRADIENT_MODEL_ACCESS_KEY", "sk-do-for-tests-only")
        yield service


STREAM: dict[str, Any] = {"stream": True, "partial_images": 1, "quality": "low"}


def statuses(*jobs: gn.Job) -> list[list[str]]:
    return [[slot.status for slot in job._slots] for job in jobs]


def test_all_jobs_of_a_process_share_it(slow: Simulator) -> None:
    """Of five requests of three jobs two are under way; the others are queued, and come in their turn."""
    gn.configure(concurrency=2)
    jobs = [gn.submit("a", **STREAM), gn.submit("b", n=3, **STREAM)]
    assert slow.wait_for(lambda: len(slow.posts) == 2)
    jobs.append(gn.submit("c", **STREAM))
    wait_until_queued(slow, 3)
    assert statuses(*jobs) == [["running"], ["running", "queued", "queued"], ["queued"]]
    assert [job.status for job in jobs] == ["running", "running", "queued"]
    words, seconds = formatting.waiting(jobs[2])
    assert (words.split()[0], seconds) == ("Queued", 0.0)
    jobs[0].cancel()
    assert slow.wait_for(lambda: len(slow.posts) == 3)
    jobs[2].cancel()
    with pytest.raises(gn.JobCancelledError) as caught:
        jobs[2].result()
    assert (statuses(jobs[2]), caught.value.sent) == ([["cancelled"]], False)
    jobs[1].cancel()
    with pytest.raises(gn.JobCancelledError) as caught:
        jobs[1].result()
    assert caught.value.sent
    assert len(slow.posts) <= 4


def test_a_higher_bound_lets_those_in_that_are_queued(slow: Simulator) -> None:
    """Immediately, from whatever thread it is raised: nobody has to leave first."""
    gn.configure(concurrency=1)
    job = gn.submit("a", n=4, **STREAM)
    assert slow.wait_for(lambda: len(slow.posts) == 1)
    wait_until_queued(slow, 3)
    gn.configure(concurrency=3)
    assert slow.wait_for(lambda: len(slow.posts) == 3)
    assert statuses(job) == [["running", "running", "running", "queued"]]
    job.cancel()
    with pytest.raises(gn.JobCancelledError):
        job.result()
    assert len(slow.posts) == 3
