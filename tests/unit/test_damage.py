"""Damage costs what it touches and is named: rows, pages and files of the ledger, originals, clocks, copies elsewhere."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import random
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import gradient_notebook as gn
from gradient_notebook.jobs import recorder as recorder_module
from gradient_notebook.storage import clock
from gradient_notebook.storage.archive import Archive, default_file_mode
from gradient_notebook.storage.ledger import ImageRecord, Ledger, Record
from gradient_notebook.storage.runs import Run, put_run, runs

from .recorded import png, put

PAGE = 4096


@contextlib.contextmanager
def raw(archive: Archive) -> Iterator[sqlite3.Connection]:
    """Open the ledger as somebody does who changes it by hand."""
    with contextlib.closing(sqlite3.connect(archive.ledger.path)) as connection:
        yield connection
        connection.commit()


def prompts(found: gn.History) -> list[str]:
    return sorted(entry.prompt for entry in found)


# Rows


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("UPDATE generations SET params = '{\"a\"' WHERE id = 'id1'", "record id1 (params: "),
        ("UPDATE generations SET params = '[]' WHERE id = 'id1'", "record id1 (params: "),
        (f"UPDATE generations SET params = '{'[' * 20_000}' WHERE id = 'id1'", "record id1 (params: "),
        ("UPDATE generations SET started_at = 1e20 WHERE id = 'id1'", "record id1 (started_at: 1e+20)"),
        ("UPDATE generations SET started_at = -1e20 WHERE id = 'id1'", "record id1 (started_at: -1e+20)"),
        ("UPDATE generations SET started_at = 9e999 WHERE id = 'id1'", "record id1 (started_at: inf)"),
        ("UPDATE generations SET started_at = NULL WHERE id = 'id1'", "record id1 (started_at: None)"),
        ("UPDATE generations SET started_at = 'noon' WHERE id = 'id1'", "record id1 (started_at: 'noon')"),
        ("UPDATE generations SET ended_at = x'00' WHERE id = 'id1'", "record id1 (ended_at: "),
        ("UPDATE generations SET prompt = 7 WHERE id = 'id1'", "record id1 (prompt: 7)"),
        ("UPDATE generations SET model = NULL WHERE id = 'id1'", "record id1 (model: None)"),
        ("UPDATE images SET file = '..' WHERE generation = 'id1'", "image 0 of id1 (file: '..')"),
        ("UPDATE images SET file = '' WHERE generation = 'id1'", "image 0 of id1 (file: '')"),
        ("UPDATE images SET file = x'ff' WHERE generation = 'id1'", "image 0 of id1 (file: "),
        ("UPDATE images SET usage = 'x' WHERE generation = 'id1'", "image 0 of id1 (usage: "),
        ("UPDATE images SET reported = '7' WHERE generation = 'id1'", "image 0 of id1 (reported: "),
        ("UPDATE images SET error = '{}' WHERE generation = 'id1'", "image 0 of id1 (error: "),
        ("UPDATE images SET byte_count = 1e15 WHERE generation = 'id1'", "image 0 of id1 (byte_count: "),
        ("UPDATE images SET byte_count = 1000000000000000 WHERE generation = 'id1'", "image 0 of id1 (byte_count: "),
        ("UPDATE images SET position = -1 WHERE generation = 'id1'", "image -1 of id1 (position: -1)"),
    ],
)
def test_a_row_that_makes_no_sense_is_passed_over_and_named(change: str, named: str) -> None:
    """All others are there, can be shown, pruned and deleted; the note names the row and the value."""
    for number in range(3):
        put(f"picture {number}", png("red", (8 + number, 8)))
    with raw(Archive()) as connection:
        connection.execute(change)
    found = gn.history()
    assert {"picture 0", "picture 2"} <= set(prompts(found))
    (note,) = found.notes
    assert named in note
    shown = found._repr_mimebundle_()
    assert "Damaged rows of the ledger" in shown["text/plain"]
    assert "Damaged rows of the ledger" in shown["text/html"]
    assert "Damaged rows of the ledger" in repr(found)
    assert sum(len(entry.images) for entry in found) == 2
    found.to_frame()
    rest = found.prune(max_bytes=1_000_000)
    assert len(rest) == len(found)
    originals = set(Archive().originals.iterdir())
    found.delete()
    assert Archive().originals.is_dir()
    assert len(originals) == 3


def test_many_broken_rows_are_counted_and_text_that_is_none_is_read(archive: Archive) -> None:
    """A note stays a line; one broken character costs no row."""
    for number in range(9):
        put(f"picture {number}", archive=archive)
    with raw(archive) as connection:
        connection.execute("UPDATE generations SET params = 'x' WHERE id != 'id0'")
        connection.execute("UPDATE generations SET prompt = CAST(x'61ff62' AS TEXT) WHERE id = 'id0'")
    found = gn.history(archive_dir=archive.folder)
    assert prompts(found) == ["a\ufffdb"]
    assert found.notes[0].count("record id") == 3
    assert "and 5 more" in found.notes[0]


# The file


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path / "archive")


@pytest.fixture
def full(archive: Archive) -> Archive:
    """An archive with 120 records, a small picture each, on dozens of pages, all of them in the ledger's own file."""
    for number in range(120):
        data = png("red", (8 + number, 8))
        with archive.storing(data, f"id{number}", 0) as path:
            image = ImageRecord(position=0, outcome="done", file=path.name, byte_count=len(data))
            known: dict[str, Any] = {"started_at": 1.7e9 + number, "ended_at": 1.7e9 + number + 5, "outcome": "done"}
            prompt = f"picture {number}" + " and more" * 40
            whole = {"model": "m", "prompt": prompt, "params": {"prompt": prompt}, "endpoint": "e", "images": (image,)}
            archive.ledger.put(Record(id=f"id{number}", **known, **whole))
        archive.ledger.put_thumbnails({path.name: os.urandom(6_000)})
    with raw(archive) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return archive


def overwrite(archive: Archive, *pages: int) -> None:
    chance = random.Random(7)
    with archive.ledger.path.open("r+b") as file:
        for page in pages:
            file.seek((page - 1) * PAGE)
            file.write(chance.randbytes(PAGE))


def test_a_ledger_with_broken_pages_is_mended(full: Archive) -> None:
    """Moved aside, as it was; what can be read is in the new one; every original is listed; and it is said, once."""
    before = full.ledger.path.read_bytes()
    overwrite(full, 2, 3)
    broken = full.ledger.path.read_bytes()
    assert broken != before
    found = gn.history(archive_dir=full.folder)
    (note,) = found.notes
    assert "The ledger was damaged. It is kept as ledger.damaged-1.sqlite" in note
    assert (full.folder / "ledger.damaged-1.sqlite").read_bytes() == broken
    # Page 2 is the way to all of them: only the rows that stood on it are lost.
    known = [entry for entry in found if entry.prompt.startswith("picture ")]
    assert len(known) > 100
    assert {path for entry in found for path in entry.paths} == set(full.originals.iterdir())
    assert all(entry.image for entry in found)
    again = gn.history(archive_dir=full.folder)
    assert ([entry.record for entry in again], again.notes) == ([entry.record for entry in found], [])
    put("afterwards", archive=full)
    assert "afterwards" in prompts(gn.history(archive_dir=full.folder))


@pytest.mark.parametrize("seed", range(6))
def test_wherever_a_ledger_is_broken_all_originals_are_found(full: Archive, seed: int) -> None:
    """Random pages, the first among them: the history shows every image, and never a bare error of SQLite's."""
    chance = random.Random(seed)
    pages = full.ledger.path.stat().st_size // PAGE
    overwrite(full, *(chance.sample(range(2, pages + 1), 3) if seed else [1]))
    found = gn.history(archive_dir=full.folder)
    assert {path for entry in found for path in entry.paths} == set(full.originals.iterdir())
    gn.history(archive_dir=full.folder)._repr_mimebundle_()
    found[0].delete()
    assert len(gn.history(archive_dir=full.folder)) == len(found) - 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b"no database" * 1_000),
        lambda path: path.write_bytes(path.read_bytes()[: 3 * PAGE + 77]),
        lambda path: path.write_bytes(b"\0" * path.stat().st_size),
        lambda path: _run(path, "DROP TABLE generations"),
        lambda path: _run(path, "DROP TABLE images"),
        lambda path: _run(path, "PRAGMA user_version = 0"),
        lambda path: _run(path, "ALTER TABLE images DROP COLUMN usage"),
    ],
    ids=["no database", "cut", "zeros", "no generations", "no images", "no version", "no column"],
)
def test_a_request_is_recorded_though_the_ledger_is_none(full: Archive, damage: Callable[[Path], object]) -> None:
    """Who writes repairs it as who reads does; the job's notes say so, and no original is lost."""
    damage(full.ledger.path)
    put("afterwards", png("blue"), archive=full)
    found = gn.history(archive_dir=full.folder)
    assert "afterwards" in prompts(found)
    assert {path for entry in found for path in entry.paths} == set(full.originals.iterdir())
    assert len(list(full.folder.glob("ledger.damaged-*.sqlite"))) == 1


def _run(path: Path, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
        connection.commit()


def test_what_is_mended_is_told_to_who_makes_an_image(configured: Any, archive: Archive) -> None:
    """In the job's notes, without a word of SQLite's."""
    archive.folder.mkdir()
    archive.ledger.path.write_bytes(b"no database" * 100)
    job = gn.submit("hills", quality="low")
    assert job.result()
    gn.configure(archive_dir=str(archive.folder))
    job = gn.submit("hills", quality="low")
    assert job.result()
    assert any("The ledger was damaged. It is kept as ledger.damaged-1.sqlite" in note for note in job.notes)
    assert [entry.outcome for entry in gn.history()] == ["done"]


def test_what_somebody_has_deleted_does_not_come_back(full: Archive) -> None:
    """The pages of deleted records may still hold them: a person who deleted a prompt does not want it repaired."""
    full.delete([f"id{number}" for number in range(10, 110)])
    with raw(full) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    overwrite(full, 2)
    found = gn.history(archive_dir=full.folder)
    assert not {f"id{number}" for number in range(10, 110)} & {entry.id for entry in found}


def test_a_damaged_ledger_that_cannot_be_written_is_read(full: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is repaired in a copy, and stays as it is."""
    overwrite(full, 2, 3)
    broken = full.ledger.path.read_bytes()
    monkeypatch.setattr(os, "access", lambda *_: False)
    found = gn.history(archive_dir=full.folder)
    assert {path for entry in found for path in entry.paths} == set(full.originals.iterdir())
    assert full.ledger.path.read_bytes() == broken
    assert [path.name for path in full.folder.glob("ledger*")] == ["ledger.sqlite"]


# A copy elsewhere


@pytest.fixture
def copied(archive: Archive, tmp_path: Path) -> Archive:
    """An archive that was copied while a kernel had its ledger open: the newest record is in the file beside it."""
    put("first", png("red"), archive=archive)
    with contextlib.closing(sqlite3.connect(archive.ledger.path)) as other:
        other.execute("SELECT * FROM generations").fetchall()
        put("second", png("blue"), archive=archive)
        copy = Archive(tmp_path / "copy")
        shutil.copytree(archive.folder, copy.folder, ignore=shutil.ignore_patterns("*-shm"))
    assert Path(f"{copy.ledger.path}-wal").stat().st_size
    return copy


def test_all_records_of_a_copy_on_a_read_only_disk_are_read(copied: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those that had not found their place in the ledger's own file; and nothing of it is changed."""
    before = {path: path.read_bytes() for path in copied.folder.rglob("*") if path.is_file()}
    monkeypatch.setattr(os, "access", lambda *_: False)
    found = gn.history(archive_dir=copied.folder)
    assert (prompts(found), found.notes) == (["first", "second"], [])
    assert len(found.prune(max_bytes=10**9)) == 2
    assert {path: path.read_bytes() for path in copied.folder.rglob("*") if path.is_file()} == before


def test_a_ledger_on_a_read_only_disk_is_copied_once(copied: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is read of it, piece by piece and again; and once more when it has changed."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    copies: list[object] = []
    real = shutil.copyfile
    monkeypatch.setattr(shutil, "copyfile", lambda one, to: (copies.append(to), real(one, to)))
    for _ in range(2):
        found = gn.history(archive_dir=copied.folder)
        assert [found[at].prompt for at in range(2)] == [entry.prompt for entry in found]
        assert found.byte_count
    assert len(copies) == 2  # the ledger, and the file beside it
    assert not Path(copies[0]).is_relative_to(copied.folder)
    os.utime(copied.ledger.path, (1e9, 1e9))
    assert len(gn.history(archive_dir=copied.folder)) == 2
    assert len(copies) == 4
    assert not Path(copies[0]).exists()


def test_records_that_cannot_be_read_for_want_of_room_are_named(
    copied: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no copy can be made, what the file itself holds is shown, and that it is not all."""
    monkeypatch.setattr(os, "access", lambda *_: False)

    def copyfile(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", copyfile)
    found = gn.history(archive_dir=copied.folder)
    assert "second" not in prompts(found)
    assert "The newest records are not shown" in found.notes[0]


# Originals


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (b"", "changed"),
        (png("green"), "changed"),
        (png("red")[:-3], "changed"),
        (None, "missing"),
    ],
    ids=["cut to nothing", "another image", "cut", "gone"],
)
@pytest.mark.parametrize("is_known", [False, True], ids=["new", "shown before"])
def test_an_original_that_is_not_what_came_is_noticed(now: bytes | None, words: str, is_known: bool) -> None:
    """Its name is its hash: nobody takes another picture for it, with or without a small picture that is kept."""
    put("hills", png("red"))
    put("sea", png("blue"))
    if is_known:
        gn.history()._repr_mimebundle_()
    (entry,) = gn.history("hills")
    if now is None:
        entry.paths[0].unlink()
    else:
        entry.paths[0].write_bytes(now)
    for look in (lambda: entry.image, lambda: entry.images, lambda: entry.bytes):
        with pytest.raises(gn.GradientNotebookError, match=f"The original file (was|is) {words}"):
            look()
    shown = gn.history()._repr_mimebundle_()
    assert shown["text/plain"].count(f"original file {words}") == 1
    assert f"original\u00a0file\u00a0{words}" in shown["text/html"] or f"original file {words}" in shown["text/html"]
    assert gn.history("sea")[0].image.size == (64, 48)


# Clocks


def test_a_clock_that_is_set_back_makes_no_duration_negative(
    configured: Any, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Durations go by a clock that nobody sets; a record that an earlier version has written so says no duration."""
    gn.configure(archive_dir=str(archive.folder))
    begin = recorder_module.Recorder.begin

    def begin_and_set_back(self: Any, *arguments: Any) -> None:
        begin(self, *arguments)
        monkeypatch.setattr(time, "time", lambda: 1.7e9)

    monkeypatch.setattr(recorder_module.Recorder, "begin", begin_and_set_back)
    gn.generate("hills", quality="low")
    (entry,) = gn.history()
    assert 0 < entry.elapsed_s < 60
    put("by an earlier version", archive=archive, ended_at=1e9)
    assert gn.history("earlier")[0].elapsed_s is None


def test_prune_keeps_what_a_wrong_clock_makes_look_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that was not set says 1970; one that was set back says the future; what is made after that is the newest."""
    put("of 1970", png("red"), started_at=60.0, ended_at=65.0)
    put("of a clock that was ahead", png("blue"), started_at=time.time() + 3_600)
    put("really old", png("green"), days_ago=400)
    rest = gn.history().prune(older_than=dt.timedelta(days=90))
    assert prompts(rest) == prompts(gn.history()) == ["of 1970", "of a clock that was ahead"]
    assert len(gn.history().prune(max_bytes=0)) == 0


def test_the_clock_of_records_never_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """And follows one that is set forward."""
    now = time.time()
    monkeypatch.setattr(clock, "_wall_s", now)
    monkeypatch.setattr(clock, "_monotonic_s", time.monotonic())
    monkeypatch.setattr(time, "time", lambda: now - 3_600)
    first = clock.now()
    assert now <= first <= clock.now() < now + 60
    monkeypatch.setattr(time, "time", lambda: now + 3_600)
    assert clock.now() == now + 3_600
    monkeypatch.setattr(time, "time", lambda: now)
    assert now + 3_600 <= clock.now() < now + 3_660


# Folders


def test_folders_are_their_owners_though_the_umask_is_0(tmp_path: Path) -> None:
    """Those above them that are made with them as well; those that were there keep what they have."""
    (tmp_path / "open").mkdir(mode=0o755)
    (tmp_path / "open").chmod(0o755)
    before = os.umask(0)
    try:
        archive = Archive(tmp_path / "open" / "a" / "b" / "archive")
        with archive.storing(png("red"), "id", 0):
            archive.ledger.put(Record(id="id", started_at=1, model="m", prompt="p", params={}, endpoint="e"))
        Ledger(tmp_path / "c" / "d" / "ledger.sqlite").put(archive.records()[0])
        assert default_file_mode() == 0o666
    finally:
        os.umask(before)
    made = [
        path for path in tmp_path.rglob("*") if path.is_relative_to(tmp_path / "open" / "a") or "c" in path.parts[-3:]
    ]
    assert {path.name for path in made} >= {"a", "b", "archive", "originals", "ledger.sqlite", "c", "d"}
    assert [path for path in made if path.stat().st_mode & 0o077] == []
    assert (tmp_path / "open").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize(("column", "value"), [("plan", "x"), ("plan", b"\xff"), ("started_at", 1e300)])
def test_a_damaged_run_is_passed_over_and_named(tmp_path: Path, column: str, value: Any) -> None:
    """The others are there."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    for name in ("good", "bad"):
        put_run(ledger, Run(id=name, digest=name, started_at=1e9, fresh=False, service="x", plan={}))
    with contextlib.closing(sqlite3.connect(ledger.path, isolation_level=None)) as connection:
        connection.execute(f"UPDATE runs SET {column} = ? WHERE id = 'bad'", (value,))
    assert [run.id for run in runs(ledger)] == ["good"]
    assert ledger.notes == ["Damaged rows of the ledger are passed over: run bad. The originals are kept."]
