"""Reuse: a request that the archive has answered is served from there, the k-th identical one with the k-th answer."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from gradient_notebook import InvalidRequestError, Job, configure, generate, history, session, submit
from gradient_notebook.jobs.numbering import numbers
from gradient_notebook.simulator import Simulator
from gradient_notebook.storage.archive import Archive


def made(n: int = 1, **options: Any) -> Job:
    job = submit("hills", quality="low", n=n, **{"reuse": True, **options})
    job.exception()
    return job


def files(job: Job) -> list[str]:
    return [slot.path.name for slot in job._slots if slot.path]


def restart() -> None:
    """As for a new kernel, nobody has asked for anything yet."""
    numbers.__init__()  # type: ignore[misc]


@pytest.fixture
def two(configured: Simulator) -> list[str]:
    """The names of two answers to the same request; a new kernel begins."""
    names = [*files(made()), *files(made())]
    assert len(set(names)) == len(configured.posts) == 2
    restart()
    return names


def test_the_kth_identical_request_takes_the_kth_answer(configured: Simulator, two: list[str]) -> None:
    """A notebook that asks twice gets both images again, and nothing is sent for them."""
    jobs = [made(), made()]
    assert [file for job in jobs for file in files(job)] == two
    assert len(configured.posts) == len(history()) == 2
    assert all(job.reused and job.status == "done" and not job.notes for job in jobs)
    assert [job.usage for job in jobs] == [entry.usage for entry in reversed(history())]  # a cell that reads it goes on
    assert [job.id for job in jobs] == [entry.id for entry in reversed(history())]


def test_what_was_not_answered_is_made(configured: Simulator, two: list[str]) -> None:
    """Of three, two are there: one is sent for, recorded by itself, and found the next time."""
    job = made(n=3)
    assert (files(job)[:2], job.reused, len(configured.posts)) == (two, False, 3)
    assert job.notes == ["2 of 3 images are reused, not billed."]
    assert (history()[0].id, history()[0].params.n, len(history()[0].paths)) == (job.id, 1, 1)
    assert job._billed_usage == history()[0].usage
    assert job.usage
    assert job.usage.output_tokens == 3 * history()[0].usage.output_tokens  # type: ignore[union-attr]
    restart()
    assert (files(made(n=3)), len(configured.posts)) == (files(job), 3)


@pytest.mark.parametrize("stream", [False, True])
def test_how_many_come_at_once_and_how_they_come_does_not_matter(configured: Simulator, *, stream: bool) -> None:
    """The same image is the same, streamed or not, alone or as one of several."""
    first = made(n=2, stream=stream, partial_images=1 if stream else None)
    sent = len(configured.posts)
    restart()
    assert [*files(made()), *files(made(stream=True, partial_images=2))] == files(first)
    assert len(configured.posts) == sent


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"other")])
def test_an_original_that_is_gone_is_not_paid_for_again_unasked(configured: Simulator, damage: Any) -> None:
    """It is said what is gone; made again without reuse, it is there from then on."""
    damage(made()._slots[0].path)
    restart()
    lost = made()
    error = lost.exception()
    assert isinstance(error, InvalidRequestError)
    assert "missing or changed" in str(error)
    assert error.record_id == history()[0].id
    assert len(configured.posts) == 1
    again = made(reuse=False)
    restart()
    assert (files(made()), len(configured.posts)) == (files(again), 2)


def test_an_image_whose_process_was_killed_is_found(configured: Simulator) -> None:
    """What a killed process had kept and not yet noted was paid for: it answers, too."""
    code = (
        "import os, sys\n"
        "from gradient_notebook import submit\n"
        "from gradient_notebook.storage import archive\n"
        "archive._commit = lambda *_: os._exit(9)\n"
        "submit('hills', quality='low').result()\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    assert len(configured.posts) == 1
    assert made().reused
    assert len(configured.posts) == 1


def test_another_service_has_not_answered(two: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What one service has made is no answer to a request to another."""
    with Simulator(seconds_per_image=0) as other:
        monkeypatch.setenv("GRADIENT_INFERENCE_ENDPOINT", other.url)
        assert not made().reused
        assert len(other.posts) == 1


def test_a_cell_that_is_run_again_asks_for_the_same(configured: Simulator, two: list[str]) -> None:
    """By its id: run again it takes the same answers, in its order, and another cell takes the next."""
    numbers.begin_cell("a")
    assert [*files(made()), *files(made())] == two
    numbers.begin_cell("a")
    assert files(made()) == two[:1]
    numbers.begin_cell("b")
    assert not made().reused
    assert len(configured.posts) == 3


def test_the_session_says_it_for_all_and_a_call_for_itself(configured: Simulator, two: list[str]) -> None:
    """`session.reuse` is what a call does that does not say."""
    configure(reuse=True)
    generate("hills", quality="low")
    assert len(configured.posts) == 2
    generate("hills", quality="low", reuse=False)
    assert len(configured.posts) == 3


@pytest.mark.parametrize("wrong", ["yes", 1.5, []])
def test_what_is_neither_is_refused(configured: Simulator, wrong: Any) -> None:
    """Before anything is sent."""
    with pytest.raises(InvalidRequestError, match="reuse="):
        submit("hills", reuse=wrong)
    assert configured.posts == []


def test_without_an_archive_there_is_nothing_to_reuse(configured: Simulator) -> None:
    """It is said before anything is sent."""
    session.archive = False
    with pytest.raises(InvalidRequestError, match="keeps no images"):
        submit("hills", reuse=True)
    assert configured.posts == []


def test_a_partial_image_is_no_answer(configured: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was kept of an image that never came does not stand for it."""
    with Simulator(seconds_per_image=0, faults=[{"cut": "between_events"}]) as breaking:
        monkeypatch.setenv("GRADIENT_INFERENCE_ENDPOINT", breaking.url)
        broken = made(stream=True, partial_images=2)
        assert (broken.images, len(history()[0].partial_paths)) == ([], 1)
        assert not made().reused


def test_what_cannot_be_read_is_not_paid_for(configured: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the ledger gives no answer nobody knows whether there is one."""
    made()
    restart()
    monkeypatch.setattr(Archive, "adopt", lambda _: 1 / 0)
    assert [type(error) for error in made(n=2).errors] == [ZeroDivisionError, ZeroDivisionError]
    assert len(configured.posts) == 1
