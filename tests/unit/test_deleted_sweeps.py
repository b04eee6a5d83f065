"""A sweep whose images were deleted: with the last of them it goes itself, and until then it says how many were."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import gradient_notebook as gn
from gradient_notebook import Sweep, sweep, sweeps
from gradient_notebook.notebook import sweep_words
from gradient_notebook.simulator import Simulator
from gradient_notebook.storage import leases, runners
from gradient_notebook.storage.archive import Archive
from gradient_notebook.storage.locks import Lock

from .test_deleting import WAYS
from .test_sweeps import misbehaving

__all__ = ["misbehaving"]

SECRET = "Nobody-shall-read-this"


def made(count: int = 3) -> Sweep:
    return sweep(f"{SECRET} {{{{i}}}}", i=range(count), quality="low").result()


def traces(of: str) -> list[str]:
    """Return the files of the archive that hold a text, or are called by it."""
    paths = [path for path in Archive().folder.rglob("*") if path.is_file()]
    return [path.name for path in paths if of in str(path) or of.encode() in path.read_bytes()]


@pytest.mark.parametrize("way", WAYS)
def test_with_its_last_record_a_sweep_goes(configured: Simulator, way: str) -> None:
    """In every way to delete: its row, its lock, its log, what its leases have left; its prompt can be read nowhere."""
    study = made()
    folder = runners.folder_of(Archive())
    for name in ("log", "log.1"):
        (folder / f"{study.id}.{name}").write_text(SECRET)
    leases.leases_in(leases.folder_of(Archive().folder, study.id)).mkdir(parents=True)
    assert SECRET in str(Archive().ledger.path.read_bytes())
    WAYS[way](gn.history())
    assert (len(gn.history()), len(sweeps())) == (0, 0)
    assert (traces(study.id), traces(SECRET)) == ([], [])
    assert not (Archive().folder / "cluster").exists()
    assert made().outcomes == {"done": 3}
    assert len(configured.posts) == 6


def test_what_is_made_or_leased_just_now_stays(configured: Simulator) -> None:
    """Whoever makes it goes on; it goes with the next deletion that takes its last record."""
    study = made(1)
    lock = runners.take(Archive(), study.id)
    assert lock
    gn.history().delete()
    assert [entry.id for entry in sweeps()] == [study.id]
    lock.release()
    assert made(1).id == study.id
    lease = leases.leases_in(leases.folder_of(Archive().folder, study.id)) / "one"
    lease.parent.mkdir(parents=True)
    lease.write_text("open")
    gn.history().delete()
    assert ([entry.id for entry in sweeps()], lease.exists()) == ([study.id], True)


def test_deleted_images_are_counted_as_deleted(configured: Simulator) -> None:
    """Not as failed: nothing went wrong, and nobody wants them made again who has not said so."""
    study = made()
    gn.history(study[1].record_id or "").delete()
    (entry,) = sweeps()
    assert (entry.count, entry.done, entry.left, entry.failed, entry.deleted, entry.state) == (3, 2, 0, 0, 1, "done")
    assert "deleted" in repr(sweeps()).splitlines()[0]
    view = Sweep.attach(study.id)
    assert view.outcomes == {"done": 2, "deleted": 1}
    assert "1 deleted" in sweep_words.totals(view)
    assert (view[1].has_ended, sweep_words.reason(view[1])) == (True, "deleted")
    assert view.retry().result().outcomes == {"done": 2, "deleted": 1}
    assert len(configured.posts) == 3


def test_who_asks_for_the_sweep_again_wants_them_again(configured: Simulator) -> None:
    """Here or in a process of its own, which otherwise leaves alone what was deleted."""
    study = made()
    gn.history(study[0].record_id or "").delete()
    assert made().outcomes == {"done": 3}
    assert [(entry.done, entry.deleted) for entry in sweeps()] == [(3, 0)]
    gn.history(made()[0].record_id or "").delete()
    again = sweep(f"{SECRET} {{{{i}}}}", i=range(3), quality="low", start=False).detach().result()
    assert again.outcomes == {"done": 3}
    assert [(entry.id, entry.done, entry.deleted) for entry in sweeps()] == [(study.id, 3, 0)]


def test_what_was_wanted_again_and_not_sent_has_failed(misbehaving: Any) -> None:
    """It has no record either, and nobody deleted that."""
    misbehaving([*[{}] * 6, *[{"status": 401}] * 6])
    gn.configure(concurrency=1)
    study = made(6)
    lock = runners.take(Archive(), study.id)
    assert lock
    gn.history().delete()
    lock.release()
    assert [(entry.failed, entry.deleted) for entry in sweeps()] == [(0, 6)]
    assert made(6).outcomes == {"failed": 6}
    assert [(entry.failed, entry.deleted) for entry in sweeps()] == [(6, 0)]


def test_a_process_that_goes_on_makes_nothing_that_was_deleted(misbehaving: Any) -> None:
    """It would be billed again, though nobody wants it."""
    service = misbehaving([{}, {"status": 400}, {}])
    gn.configure(concurrency=1)
    study = sweep("A {{i}}", i=range(3), quality="low", start=False).detach().result()
    failed = [cell.index for cell in study if cell.outcome == "failed"]
    gone = next(cell for cell in study if cell.outcome == "done")
    gn.history(gone.record_id or "").delete()
    view = Sweep.attach(study.id)
    assert [view[at].outcome for at in (*failed, gone.index)] == ["failed", "deleted"]
    assert view.retry().result().outcomes == {"done": 2, "deleted": 1}
    assert len(service.posts) == 4


def test_a_lock_whose_file_is_removed_keeps_others_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has waited for it meanwhile takes the lock of the new file: that of the old one nobody would see."""
    path = tmp_path / "run.lock"
    first = Lock.take(path)
    assert first
    first.release()
    take = Lock._take.__func__  # type: ignore[attr-defined]
    removed: list[Path] = []

    def take_what_is_gone(kind: type[Lock], path: Path, patience_s: float) -> Lock | None:
        lock: Lock | None = take(kind, path, patience_s)
        if not removed:
            removed.append(path)
            path.unlink()
        return lock

    monkeypatch.setattr(Lock, "_take", classmethod(take_what_is_gone))
    held = Lock.take(path)
    assert (held is not None, removed, Lock.take(path)) == (True, [path], None)
