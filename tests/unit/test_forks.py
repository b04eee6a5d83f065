"""Forks: what is the parent's stays the parent's, the child works, and neither breaks the ledger of the other."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import forks as bench
import pytest

import gradient_notebook as gn
from gradient_notebook.simulator import Simulator
from gradient_notebook.storage import ledger
from gradient_notebook.storage.archive import Archive
from gradient_notebook.storage.forks import without_forks

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system forks nothing")

_BEGIN = """\
import asyncio, os, sys
import gradient_notebook as gn
settings = gn.Settings.discover(key="k", endpoint=sys.argv[1])
def in_a_child(work):
    process = os.fork()
    if not process:
        try:
            work()
        except BaseException as error:
            print(type(error).__name__, isinstance(error, RuntimeError), str(error).partition("\\n")[0], sep="|", flush=True)
        os._exit(0)
    os.waitpid(process, 0)
"""


def run(service: Simulator, code: str) -> list[str]:
    """Run a script that forks, and return its lines."""
    command = [sys.executable, "-c", _BEGIN + textwrap.dedent(code), service.url]
    environment = {**os.environ, "GRADIENT_IMAGE_MODEL": "openai-gpt-image-2"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.parametrize("count", [8, pytest.param(60, marks=pytest.mark.slow)])
def test_forks_beside_running_requests_lose_nothing_and_post_nothing_twice(count: int) -> None:
    """20 jobs run while children are forked that make images of their own: each has its record, and nobody hangs."""
    assert [figure for figure in bench.figures(count) if figure.is_defect] == []


ATTEMPTS = (
    "job.result()",
    "job.result(timeout=5)",
    "job.exception()",
    "job.cancel()",
    "job.done()",
    "job.cancelled()",
    "job.status",
    "job.add_done_callback(print)",
    "job._start()",
    "asyncio.run(job._wait_async())",
)


def test_a_job_belongs_to_its_process(service: Simulator) -> None:
    """A child that asks for the parent's job is told so; nothing is posted again, and the parent gets its image."""
    service.seconds_per_image = 2
    *told, repeated, size = run(
        service,
        f"""\
        job = gn.submit("hills", quality="low", settings=settings)
        for attempt in {ATTEMPTS}:
            in_a_child(lambda: eval(attempt))
        in_a_child(lambda: print(repr(job) == f"<Job of process {{os.getppid()}}>", flush=True))
        print(job.result().size)
        """,
    )
    for attempt, words in zip(ATTEMPTS, told, strict=True):
        assert words.startswith("ForkedError|True|This job belongs to process "), attempt
    assert (repeated, size) == ("True", "(1024, 1024)")
    assert len(service.posts) == 1
    (entry,) = gn.history()
    assert entry.outcome == "done"


def test_a_job_that_had_ended_is_there_in_a_child(service: Simulator) -> None:
    """Its image is a value like any other."""
    lines = run(
        service,
        """\
        job = gn.submit("hills", quality="low", settings=settings)
        job.result()
        in_a_child(lambda: print(job.result().size, job.status, job.cancel(), job.exception(), flush=True))
        in_a_child(lambda: job.add_done_callback(lambda job: print("called", flush=True)))
        """,
    )
    assert lines == ["(1024, 1024) done False None", "called"]


def test_a_stream_belongs_to_its_process(service: Simulator) -> None:
    """What a child read of it would be missing in the parent; closing it there leaves the connection alone."""
    told, *kinds = run(
        service,
        """\
        with gn.Client(model_access_key="k", inference_endpoint=sys.argv[1]).images.generate(
            prompt="hills", stream=True, partial_images=2, model="openai-gpt-image-2", quality="low"
        ) as stream:
            def child():
                stream.close()
                next(stream)
            in_a_child(child)
            for event in stream:
                print(event.type)
        """,
    )
    assert told.startswith("ForkedError|True|This stream belongs to process ")
    assert kinds == ["image_generation.partial_image"] * 2 + ["image_generation.completed"]


@pytest.fixture
def waiting() -> Callable[[threading.Event], threading.Thread]:
    """Start a thread that keeps the ledger open until an event, and return it when it has."""

    def start(release: threading.Event) -> threading.Thread:
        is_open = threading.Event()

        def hold() -> None:
            with without_forks():
                is_open.set()
                release.wait(10)
                time.sleep(0.05)

        thread = threading.Thread(target=hold)
        thread.start()
        assert is_open.wait(10)
        return thread

    return start


def fork() -> int:
    """Fork, and return the exit status of a child that opens what its parent had open."""
    process = os.fork()
    if not process:
        with without_forks():
            os._exit(7)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def test_a_fork_waits_until_the_ledger_is_closed(waiting: Callable[[threading.Event], threading.Thread]) -> None:
    """The child finds it closed, and can open it at once."""
    release = threading.Event()
    thread = waiting(release)
    threading.Timer(0.1, release.set).start()
    assert fork() == 7
    assert not thread.is_alive() or release.is_set()
    thread.join()


def test_who_has_the_ledger_open_can_fork_himself() -> None:
    """He would wait for himself for ever."""
    with without_forks(), without_forks():
        assert fork() == 7
    assert fork() == 7


_LOCKED = """\
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None)
try:  # what needs the file for itself alone
    connection.execute("PRAGMA journal_mode = DELETE")
except sqlite3.OperationalError as error:
    print(error)
"""


def test_one_thread_does_not_give_up_the_locks_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system takes all locks of a process away when it closes any of its files of that name: nobody does but SQLite."""
    archive = Archive(tmp_path)
    monkeypatch.setattr(ledger, "_BUSY_S", 0.01)

    def put() -> None:
        with contextlib.suppress(ledger.LedgerError):  # it has to wait too long
            archive.ledger.put(ledger.Record(id="a", started_at=1, model="m", prompt="p", params={}, endpoint="e"))

    put()
    with archive.ledger._writing():
        archive.records()
        thread = threading.Thread(target=put)
        thread.start()
        thread.join()
        other = [sys.executable, "-c", _LOCKED, str(archive.ledger.path)]
        assert subprocess.run(other, capture_output=True, text=True, check=True).stdout == "database is locked\n"
