"""Deleting never meets what is arriving: what runs is left alone, in whatever process, and nothing is lost with it."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import prunes
import pytest

import gradient_notebook as gn
from gradient_notebook.jobs.recorder import Recorder
from gradient_notebook.simulator import Simulator
from gradient_notebook.storage import ledger as ledger_module
from gradient_notebook.storage import owner
from gradient_notebook.storage.archive import Archive
from gradient_notebook.storage.ledger import ImageRecord, LedgerError

from .recorded import png, put

WAYS: dict[str, Callable[[gn.History], object]] = {
    "all": lambda found: found.delete(),
    "one by one": lambda found: [entry.delete() for entry in found],
    "too old": lambda found: found.prune(older_than=dt.timedelta()),
    "too large": lambda found: found.prune(max_bytes=0),
}

_JOB = """\
import sys
from gradient_notebook import Settings, submit
job = submit("hills", quality="low", settings=Settings.discover(key="k", endpoint=sys.argv[1]))
print(job.result().size, job.notes)
"""


@pytest.fixture
def other_kernel(service: Simulator) -> Iterator[subprocess.Popen[str]]:
    """Another process that waits for an image of some seconds; `.communicate()` gives what it has said."""
    service.seconds_per_image = 3
    environment = {**os.environ, "GRADIENT_IMAGE_MODEL": "openai-gpt-image-2"}
    command = [sys.executable, "-c", _JOB, service.url]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert service.wait_for(lambda: len(service.posts) == 1, 30)
        yield process
        process.kill()


@pytest.mark.parametrize("count", [40, pytest.param(300, marks=pytest.mark.slow)])
def test_prunes_beside_arrivals_lose_nothing(count: int) -> None:
    """Images arrive in two processes while a third deletes in every way: what nobody has seen ended stays."""
    assert [figure for figure in prunes.figures(count) if figure.is_defect] == []


def test_what_runs_in_another_kernel_is_left_alone(
    other_kernel: subprocess.Popen[str], caplog: pytest.LogCaptureFixture
) -> None:
    """In every way to delete; what has ended goes; it is said; and the image arrives."""
    for name, delete in WAYS.items():
        put(f"ended {name}", png("red"))
        found = gn.history()
        assert len(found) == 2
        delete(found)
        (left,) = gn.history()
        assert left.prompt == "hills"
        # Without an image it takes no room, so that nobody has wanted to delete it for that.
        is_told = f"Not deleted, since they run or have just ended: {left.id}." in caplog.text
        assert is_told is (name != "too large")
        caplog.clear()
    assert next(iter(gn.history().prune(max_bytes=0))).prompt == "hills"
    seen_running = gn.history()
    assert other_kernel.communicate(timeout=60)[0] == "(1024, 1024) []\n"
    # It has ended since it was looked at: nobody who deletes it knows of the image.
    seen_running.delete()
    (entry,) = gn.history()
    assert (entry.outcome, entry.image.size) == ("done", (1024, 1024))
    entry.delete()
    assert (len(gn.history()), list(Archive().originals.iterdir())) == (0, [])


def test_what_died_in_another_kernel_can_be_deleted(other_kernel: subprocess.Popen[str]) -> None:
    """Its process is gone, though nobody has noticed yet: it does not run any more."""
    other_kernel.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, other_kernel.pid, os.WEXITED | os.WNOWAIT)  # dead, and still in the system's list
    gn.history().delete()
    assert len(gn.history()) == 0


@pytest.mark.parametrize(
    ("name", "is_running"),
    [
        (owner.this_process, True),
        (lambda: None, False),
        (lambda: owner.this_process().rpartition(" ")[0] + " 1", False),  # its number was used again
        (lambda: owner.this_process().rpartition(" ")[0] + " -", True),  # of a system that does not say when
        (lambda: f"elsewhere {os.getpid()} 1", True),
        (lambda: "nonsense", True),
        (lambda: "", True),
        (lambda: f"{owner._machine()} {2**22 + 5} 1", False),
        (lambda: f"{owner._machine()} {10**30} 1", False),
        (lambda: f"{owner._machine()} 1 -", True),
    ],
)
def test_whether_a_process_lives(name: Callable[[], str | None], is_running: bool) -> None:
    """As far as it can be known from here; what cannot be known is trusted for a day, and not for ever."""
    assert owner.is_running(name(), time.time()) is is_running
    if name() in ("nonsense", "") or str(name()).startswith("elsewhere"):
        assert not owner.is_running(name(), time.time() - 90_000)


def test_a_file_that_somebody_has_deleted_meanwhile_is_written_again(
    configured: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its arrival and the end of its request: the record says that it is there, and so it is."""
    store = Recorder.store

    def store_and_lose(self: Recorder, slot: Any, data: bytes, **more: Any) -> None:
        store(self, slot, data, **more)
        for path in Archive().originals.iterdir():
            path.unlink()
        Archive().originals.rmdir()

    monkeypatch.setattr(Recorder, "store", store_and_lose)
    job = gn.submit("hills", quality="low")
    assert job.result()
    assert job.notes == []
    (entry,) = gn.history()
    assert entry.bytes == job._slots[0].image_bytes
    assert entry.record.owner is None


def test_a_file_that_is_adopted_and_deleted_while_it_is_noted_is_written_again() -> None:
    """Both names are gone when the record names it."""
    archive = Archive()
    put("hills", ImageRecord(position=0))
    with archive.storing(png("red"), "id0", 0) as path:
        for one in archive.originals.iterdir():
            one.unlink()
    assert path.read_bytes() == png("red")


def test_files_go_only_after_their_records(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that refuses the deletion has lost no file of a record that stays."""
    put("hills", png("red"))
    (entry,) = gn.history()

    class Full:
        def __init__(self, connection: Any) -> None:
            self._connection = connection

        def __getattr__(self, name: str) -> Any:
            return getattr(self._connection, name)

        def execute(self, statement: str, *values: Any) -> Any:
            if statement == "COMMIT":
                raise LedgerError("database or disk is full")
            return self._connection.execute(statement, *values)

    real = ledger_module.Ledger._open

    def opened(self: Any, mode: str) -> Any:
        manager = real(self, mode)
        return _Wrapped(manager, Full)

    class _Wrapped:
        def __init__(self, manager: Any, kind: Any) -> None:
            self._manager, self._kind = manager, kind

        def __enter__(self) -> Any:
            return self._kind(self._manager.__enter__())

        def __exit__(self, *exc: object) -> Any:
            return self._manager.__exit__(*exc)

    with monkeypatch.context() as patch:
        patch.setattr(ledger_module.Ledger, "_open", opened)
        with pytest.raises(LedgerError, match="full"):
            entry.delete()
    (left,) = gn.history()
    assert left.bytes == png("red")


def test_a_failed_adoption_moves_nothing(tmp_path: Path) -> None:
    """A file is given its own name in the moment in which the record names it, and not before."""
    archive = Archive()
    put("hills", ImageRecord(position=0, file="other.png"))
    moved: list[str] = []
    kept = {"file": "a.png", "byte_count": 1, "is_partial": False}
    assert not archive.ledger.adopt("id0", 0, **kept, move=lambda: moved.append("moved"))
    assert moved == []


def test_prunes_of_what_runs_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where what runs, or has just ended, is deleted like anything else, images are lost that nobody has seen."""
    monkeypatch.setattr(ledger_module, "_is_arriving", lambda *_: False)
    assert any(figure.count for figure in prunes.figures(30) if "LOST" in figure.what)
