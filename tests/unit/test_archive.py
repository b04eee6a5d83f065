"""The archive: what is on disk, when, and that nothing which happens meanwhile costs an image or its record."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import gradient_notebook as gn
from gradient_notebook import imaging
from gradient_notebook.api.error_words import describe
from gradient_notebook.api.params import ImageGenerateParams
from gradient_notebook.connect import discover
from gradient_notebook.jobs.job import Job, new_job
from gradient_notebook.simulator import Simulator
from gradient_notebook.storage import ledger as ledger_module
from gradient_notebook.storage import schema
from gradient_notebook.storage.archive import Archive
from gradient_notebook.storage.ledger import VERSION, ImageRecord, Ledger, LedgerError, Record

STREAMED = {"stream": True, "partial_images": 2, "quality": "low"}


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path / "archive")


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    """A simulator that takes longer than any test."""
    with Simulator(seconds_per_image=600) as service:
        monkeypatch.setenv("GRADIENT_INFERENCE_ENDPOINT", service.url)
        monkeypatch.setenv("GRADIENT_MODEL_ACCESS_KEY", "sk-do-for-tests-only")
        yield service


def launch(archive: Archive | None, **params: Any) -> Job:
    checked = ImageGenerateParams.of({"prompt": "hills", "quality": "low", **params})
    job = new_job(checked, discover(max_retries=0), archive)
    job._start()
    return job


def made(archive: Archive, **params: Any) -> Job:
    job = launch(archive, **params)
    job._wait()
    return job


def record(number: int = 0, **values: Any) -> Record:
    known = {"model": "m", "prompt": "p", "params": {"prompt": "p"}, "endpoint": "http://e", "started_at": 1e9 + number}
    return Record(**{"id": f"record{number}", **known, **values})


def the_only(archive: Archive) -> tuple[Record, ImageRecord]:
    (found,) = archive.records()
    (image,) = found.images
    return found, image


def files(archive: Archive) -> list[str]:
    return sorted(path.name for path in archive.originals.iterdir())


def in_another_process(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    environment = {**os.environ, "GRADIENT_IMAGE_MODEL": "openai-gpt-image-2"}  # of whose end nothing is to be said
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


# What is written, and when


def test_a_request_is_in_the_ledger_before_it_is_sent(slow: Simulator, archive: Archive) -> None:
    """Whatever happens after the service has it, what was asked for is on disk."""
    job = launch(archive, size="1536x1024", **STREAMED)
    assert slow.wait_for(lambda: len(slow.posts) == 1)
    found, image = the_only(archive)
    assert (found.id, found.outcome, found.ended_at, found.prompt) == (job.id, "unknown", None, "hills")
    assert ImageGenerateParams.of(found.params) == job.params
    assert image.outcome == "unknown"
    job.cancel()


def test_an_image_and_its_record_are_on_disk_before_it_is_opened(
    configured: Simulator, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When Pillow gets the bytes, they lie on disk, and the ledger says where and what they cost."""
    seen: list[ImageRecord] = []

    def open_image(data: bytes) -> Any:
        _, image = the_only(archive)
        assert (archive.originals / str(image.file)).read_bytes() == data
        seen.append(image)
        return real(data)

    real = imaging.open_image
    monkeypatch.setattr(imaging, "open_image", open_image)
    made(archive)
    (image,) = seen
    assert (image.outcome, image.usage["output_tokens"]) == ("done", 272)


def test_a_record_has_all_that_is_known(configured: Simulator, archive: Archive) -> None:
    """Settings, the revised prompt, tokens, the service's own settings, its request id, times and outcome."""
    job = made(archive, size="1024x1536", extra={"seed": 7}, user="u")
    found, image = the_only(archive)
    assert found.params == {"prompt": "hills", "model": found.model, "n": 1, "size": "1024x1536", "quality": "low"} | {
        "extra": {"seed": 7},
        "user": "u",
    }
    assert found.endpoint == configured.url
    assert found.outcome == image.outcome == "done"
    assert 0 < found.ended_at - found.started_at < 3600
    assert image.revised_prompt.startswith("hills.")
    assert image.usage["output_tokens"] == job.usage.output_tokens == 408
    assert image.reported["size"] == "1024x1536"
    assert len(image.request_id) == 36
    assert image.byte_count == len(job._slots[0].image_bytes)
    assert image.file == f"{hashlib.sha256(job._slots[0].image_bytes).hexdigest()}.png"


def test_each_of_n_images_has_its_own_outcome(configured: Simulator, archive: Archive) -> None:
    """One refused, one that failed, one done: the ledger says so of each, and calls the whole done."""
    refusal = {"message": "No.", "code": "moderation_blocked", "moderation_details": {"moderation_stage": "output"}}
    configured.script([{"error_event": refusal | {"safety_violations": ["violence"]}}, {"status": 500}, None])
    made(archive, n=3, **STREAMED)
    (found,) = archive.records()
    assert found.outcome == "done"
    assert sorted(image.outcome for image in found.images) == ["done", "failed", "refused"]
    (refused,) = (image for image in found.images if image.outcome == "refused")
    assert (refused.error["type"], refused.error["stage"], refused.error["categories"]) == (
        "ContentPolicyError",
        "output",
        ["violence"],
    )


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        ({"status": 500}, "failed"),
        ({"status": 400, "body": {"error": {"message": "no", "code": "moderation_blocked"}}}, "refused"),
        ({"cut": "before_headers"}, "unknown"),
    ],
)
def test_what_came_of_nothing_is_recorded_too(
    configured: Simulator, archive: Archive, fault: dict[str, Any], outcome: str
) -> None:
    """A request that failed, was refused or was never answered stands in the ledger with the reason and its facts."""
    configured.script([fault])
    job = made(archive)
    found, image = the_only(archive)
    assert found.outcome == image.outcome == outcome
    assert (image.error["type"], image.error["what"]) == (type(job._failure).__name__, job._failure.summary)
    assert (image.error["sent"], image.error.get("status_code")) == (True, fault.get("status"))
    assert found.ended_at


def test_what_may_have_been_billed_names_its_record(configured: Simulator, archive: Archive) -> None:
    """The error knows its record, and a script is told how to look it up."""
    configured.script([{"cut": "before_headers"}])
    job = made(archive)
    assert job._failure.record_id == job.id
    assert f"history('{job.id}')" in describe(job._failure)[1]


def test_a_broken_streams_newest_partial_image_is_kept_and_marked(configured: Simulator, archive: Archive) -> None:
    """What had come of a stream that broke is on disk, and nobody takes it for a finished image."""
    configured.script([{"cut": "in_final"}])
    job = made(archive, **STREAMED)
    found, image = the_only(archive)
    assert (found.outcome, image.outcome, image.is_partial) == ("unknown", "unknown", True)
    assert (archive.originals / image.file).read_bytes() == job._slots[0].partials[-1]
    assert len(job._slots[0].partials) == 2
    assert image.request_id
    assert files(archive) == [image.file]


def test_a_cancelled_streams_newest_partial_image_is_kept_and_marked(
    configured: Simulator, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What had come of a stream before somebody cancelled it is on disk."""
    job = new_job(ImageGenerateParams.of({"prompt": "x", **STREAMED}), discover(), archive)
    job._observe(lambda job: job.cancel() if job.partials and job.status == "running" else None)
    configured.script([{"cut": "in_final", "silence": True}])
    job._wait()
    found, image = the_only(archive)
    assert (job.status, found.outcome, image.outcome, image.is_partial) == ("cancelled",) * 3 + (True,)
    assert (archive.originals / image.file).read_bytes() == job._slots[0].partials[-1]


def test_what_was_never_begun_is_not_recorded(configured: Simulator, archive: Archive) -> None:
    """A job that is cancelled before its first step has asked for nothing."""
    job = new_job(ImageGenerateParams.of({"prompt": "x"}), discover(), archive)
    job.cancel()
    with pytest.raises(gn.JobCancelledError):
        job.result()
    assert len(configured.posts) == len(archive.records()) == 0


def test_nothing_is_kept_where_nothing_is_to_be(configured: Simulator, tmp_path: Path) -> None:
    """With `archive` None, and where the session keeps nothing, no file is left."""
    gn.configure(archive=False)
    made(None)
    gn.generate("x", quality="low")
    assert list((tmp_path / "data").rglob("*")) == []


def test_only_the_owner_can_read_it(configured: Simulator, archive: Archive) -> None:
    """Folders, originals, the ledger and what SQLite puts beside it."""
    made(archive)
    with archive.ledger._writing():
        everything = [archive.folder, *archive.folder.rglob("*")]
        assert "ledger.sqlite-wal" in [path.name for path in everything]
        assert [path for path in everything if path.stat().st_mode & 0o077] == []


# Ledgers of earlier versions

_VERSION_1 = """\
CREATE TABLE generations (id, started_at, ended_at, outcome, model, prompt, params, endpoint, PRIMARY KEY (id))
  WITHOUT ROWID;
CREATE INDEX generations_by_time ON generations (started_at);
CREATE TABLE images (generation, position, outcome, file, is_partial, byte_count, request_id, revised_prompt, usage,
  reported, error, thumbnail BLOB, PRIMARY KEY (generation, position)) WITHOUT ROWID;
CREATE INDEX images_by_file ON images (file);
PRAGMA user_version = 1;
"""
_OUTCOMES_1 = ("done", "refused", "failed", "cancelled", "unfinished")


@pytest.fixture
def of_version_1(archive: Archive) -> list[Record]:
    """A ledger as version 1 wrote it, with a record of each outcome. Return what it holds, newest first."""
    archive.folder.mkdir()
    held = []
    with contextlib.closing(sqlite3.connect(archive.ledger.path, isolation_level=None)) as connection:
        connection.executescript(_VERSION_1)
        for number, outcome in enumerate(_OUTCOMES_1):
            row = (f"id{number}", 1e9 + number, 2e9, outcome, "m", "p", '{"prompt": "p"}', "http://e")
            connection.execute("INSERT INTO generations VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
            image = (row[0], 0, outcome, f"{number}.png", False, 5, "r", "q", '{"output_tokens": 3}')
            connection.execute(
                "INSERT INTO images VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*image, '{"size": "1x1"}', '{"type": "E", "what": "w"}', b"small"),
            )
            now = "unknown" if outcome == "unfinished" else outcome
            kept = ImageRecord(
                position=0,
                outcome=now,
                file=f"{number}.png",
                byte_count=5,
                request_id="r",
                revised_prompt="q",
                usage={"output_tokens": 3},
                reported={"size": "1x1"},
                error={"type": "E", "what": "w"},
            )
            held.append(record(number, id=row[0], ended_at=2e9, outcome=now, images=(kept,)))
    return held[::-1]


def version_of(archive: Archive) -> int:
    with contextlib.closing(sqlite3.connect(archive.ledger.path)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def test_a_ledger_of_version_1_keeps_every_record(archive: Archive, of_version_1: list[Record]) -> None:
    """Looking changes nothing of it, and shows it in today's words; the next write brings it to this version."""
    assert archive.records() == of_version_1
    assert version_of(archive) == 1
    newest = record(99)
    archive.ledger.put(newest)
    assert version_of(archive) == VERSION
    assert archive.records() == [newest, *of_version_1]
    assert archive.ledger.thumbnails(["0.png", "4.png"]) == {"0.png": b"small", "4.png": b"small"}


def test_a_ledger_of_version_1_can_be_looked_at_where_nothing_can_be_written(
    archive: Archive, of_version_1: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An old archive on a read-only disk is still a history, small pictures and all."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert archive.records() == of_version_1
    assert archive.ledger.thumbnails(["2.png"]) == {"2.png": b"small"}
    assert [entry.outcome for entry in gn.history(archive_dir=archive.folder, outcome="unknown")] == ["unknown"]
    assert version_of(archive) == 1


def test_a_migration_that_fails_leaves_the_ledger_as_it_was(
    archive: Archive, of_version_1: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of it or nothing: the disk fills up in the middle, and no record is lost."""
    broken = (*schema.MIGRATIONS[1], "UPDATE nowhere SET nothing = 1")
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", (schema.MIGRATIONS[0], broken))
        with pytest.raises(LedgerError):
            archive.ledger.put(record(99))
    assert version_of(archive) == 1
    assert archive.records() == of_version_1


# Disks that fail


def test_a_ledger_that_cannot_be_written_costs_neither_the_image_nor_its_file(
    configured: Simulator, archive: Archive
) -> None:
    """A folder in its place is told; the image comes, and lies on disk, with its record's name as well."""
    archive.ledger.path.mkdir(parents=True)
    job = made(archive)
    assert job.images
    name = job._slots[0].path.name
    assert files(archive) == [f".temporary-{job.id}-0-{name}", name]
    (notice,) = job.notes
    assert "The ledger could not be written" in notice
    assert archive.ledger.path.is_dir()


def test_a_ledger_of_a_newer_version_is_only_read(configured: Simulator, archive: Archive) -> None:
    """What a newer version has written is shown as far as it is known, and not changed by this one, which says why."""
    made(archive)
    with contextlib.closing(sqlite3.connect(archive.ledger.path)) as connection:
        connection.execute("ALTER TABLE generations ADD COLUMN rating")
        connection.execute("UPDATE generations SET outcome = 'admired'")
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
        connection.commit()
    (before,) = archive.records()
    job = made(archive)
    assert job.images
    assert "newer gradient_notebook: it is only read" in job.notes[0]
    (entry,) = gn.history(archive_dir=archive.folder)
    # A word that is not known here is no reason to hide the image.
    assert (entry.record, entry.outcome, entry.image.size) == (before, "done", (1024, 1024))
    shown = entry._repr_mimebundle_()
    assert all("newer gradient_notebook" in shown[kind] for kind in ("text/plain", "text/html"))
    with pytest.raises(LedgerError, match="only read"):
        entry.delete()
    assert archive.records() == [before]
    assert version_of(archive) == VERSION + 1


def test_a_disk_that_is_full_for_the_end_only_leaves_the_rest(configured: Simulator, archive: Archive) -> None:
    """Each record is written whole each time: what could not be written first is there with the next."""
    real, calls = Ledger.put, []

    def put(self: Ledger, record: Record) -> None:
        calls.append(record)
        if len(calls) == 1:
            raise OSError(28, "No space left on device")
        real(self, record)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ledger, "put", put)
        job = made(archive)
    assert len(job.notes) == 1
    found, image = the_only(archive)
    assert (found.outcome, image.outcome) == ("done", "done")


def test_an_image_that_the_ledger_refused_to_the_end_is_found_under_its_record(
    configured: Simulator, archive: Archive
) -> None:
    """Refused when it was kept and again at the end: a later session finds it where it belongs, by its own name."""
    real, calls = Ledger.put, []

    def put(self: Ledger, record: Record) -> None:
        calls.append(record)
        if len(calls) > 1:
            raise LedgerError("disk I/O error")
        real(self, record)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ledger, "put", put)
        job = made(archive)
    assert len(calls) > 2
    found, image = the_only(archive)
    assert (found.id, image.outcome, image.is_partial) == (job.id, "done", False)
    assert files(archive) == [image.file]
    assert (archive.originals / image.file).read_bytes() == job._slots[0].image_bytes
    assert gn.history(archive_dir=archive.folder)[0].image.size == (1024, 1024)


@pytest.mark.parametrize(("refusals", "kept"), [(1, True), (2, False)])
def test_a_finished_image_that_has_no_room_is_tried_again_and_replaced_by_no_partial_one(
    configured: Simulator, archive: Archive, refusals: int, kept: bool
) -> None:
    """The end tries the finished bytes once more; a partial image is never kept as the original of a finished one."""
    tried: list[tuple[bytes, bool]] = []

    class Full(Archive):
        @contextlib.contextmanager
        def storing(self, data: bytes, record_id: str, position: int, *, is_partial: bool = False) -> Iterator[Path]:
            tried.append((data, is_partial))
            if len(tried) <= refusals:
                raise OSError(28, "No space left on device")
            with super().storing(data, record_id, position, is_partial=is_partial) as path:
                yield path

    job = made(Full(archive.folder), **STREAMED)
    (slot,) = job._slots
    assert (job.status, len(slot.partials)) == ("done", 2)
    assert tried == [(slot.image_bytes, False)] * 2
    found, image = the_only(archive)
    assert (found.outcome, image.outcome, image.is_partial) == ("done", "done", False)
    assert image.file == (archive.path_of(slot.image_bytes).name if kept else None)
    assert not archive.originals.exists() or files(archive) == [image.file] * kept
    assert len(job.notes) == 1


def test_a_ledger_that_others_hold_is_waited_for_at_the_beginning_and_at_the_end_only(
    configured: Simulator, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that writes for longer than the ledger waits holds up no image, however many there are."""
    archive.ledger.put(record())
    monkeypatch.setattr(ledger_module, "_BUSY_S", 0.01)
    real, waits = Ledger.put, []

    def put(self: Ledger, record: Record) -> None:
        waits.append(record)
        real(self, record)

    monkeypatch.setattr(Ledger, "put", put)
    with contextlib.closing(sqlite3.connect(archive.ledger.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        job = made(archive, n=4)
    assert len(job.images) == 4
    assert len(waits) == 2
    (notice,) = job.notes
    assert "The ledger could not be written" in notice
    assert all(slot.path.read_bytes() == slot.image_bytes for slot in job._slots)


_LIMITED = """\
import resource, sys
from gradient_notebook import Settings, submit
resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))
settings = Settings.discover(key="k", endpoint=sys.argv[1])
job = submit("hills", quality="low", settings=settings)
print(job.result().size, *job.notes, sep="\\n")
"""


@pytest.mark.painted  # for a file of real size
def test_a_disk_with_no_room_for_the_original_costs_no_image(configured: Simulator, tmp_path: Path) -> None:
    """Where a file of that size cannot be written, the image comes, the ledger has it, and no rest is left over."""
    process = in_another_process(_LIMITED, configured.url)
    output, errors = process.communicate(timeout=60)
    size, *notices = output.splitlines()
    assert size == "(1024, 1024)", errors
    assert len(notices) == 1
    assert "The original file could not be saved" in notices[0]
    archive = Archive()
    found, image = the_only(archive)
    assert (found.outcome, image.file) == ("done", None)
    assert files(archive) == []


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only an administrator can mount a small disk")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.painted  # for a file of real size
@pytest.mark.parametrize("left", [400_000, 0])
def test_a_full_disk_costs_no_image(configured: Simulator, tiny_disk: Path, left: int) -> None:
    """A disk with too little space for the original, and one with none at all: told, and the image comes."""
    size = os.statvfs(tiny_disk).f_bavail * os.statvfs(tiny_disk).f_frsize
    (tiny_disk / "filler").write_bytes(b"x" * (size - left))
    archive = Archive(tiny_disk / "archive")
    job = made(archive)
    assert job.images[0].size == (1024, 1024)
    assert any("No space left on device" in notice for notice in job.notes)
    (tiny_disk / "filler").unlink()
    assert [found.outcome for found in archive.records()] == (["done"] if left else [])
    assert not archive.originals.exists() or files(archive) == []


def test_a_disk_that_cannot_be_written_can_be_read(configured: Simulator, tiny_disk: Path) -> None:
    """An archive on a read-only disk is still a history."""
    archive = Archive(tiny_disk / "archive")
    archive.ledger.put(record())
    subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=True)
    assert [found.id for found in archive.records()] == ["record0"]
    job = made(archive)
    assert job.images
    assert "Read-only file system" in job.notes[0]


# Several processes, and their deaths

_WRITER = """\
import sys
from gradient_notebook.storage.ledger import Ledger, Record
from pathlib import Path
ledger, name = Ledger(Path(sys.argv[1])), sys.argv[2]
sys.stdin.readline()
for number in range(25):
    ledger.put(Record(id=f"{name}{number}", started_at=number, model="m", prompt="p", params={}, endpoint="e"))
"""


def test_several_processes_write_one_ledger_at_once(tmp_path: Path) -> None:
    """Four kernels that begin a new ledger at the same moment lose no record."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    command = [sys.executable, "-c", _WRITER, str(ledger.path)]
    writers = [subprocess.Popen([*command, name], stdin=subprocess.PIPE, text=True) for name in "abcd"]
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    assert [writer.wait(60) for writer in writers] == [0] * 4
    for writer in writers:
        writer.stdin.close()
    assert {found.id for found in ledger.records()} == {f"{name}{number}" for name in "abcd" for number in range(25)}


_STREAMING = """\
import sys
from gradient_notebook import Settings, submit
job = submit("hills", stream=True, partial_images=2, settings=Settings.discover(key="k", endpoint=sys.argv[1]))
job._observe(lambda job: print(len(job._slots[0].partials), flush=True))
if sys.argv[2] == "wait":
    job._wait()
else:
    while not job._slots[0].partials:
        pass
"""


def test_a_killed_kernel_leaves_a_request_whose_outcome_is_unknown(
    configured: Simulator, slow: Simulator, tmp_path: Path
) -> None:
    """SIGKILL in mid-stream: the ledger is readable, and has the request as it was asked for."""
    process = in_another_process(_STREAMING, slow.url, "wait")
    assert slow.wait_for(lambda: len(slow.posts) == 1)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    found, image = the_only(Archive())
    assert (found.outcome, found.prompt, found.ended_at, image.file) == ("unknown", "hills", None, None)
    assert gn.history()[0].outcome == "unknown"


def test_a_process_that_does_not_wait_keeps_what_has_come(
    configured: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What runs is cancelled at its end; the partial image and the end are kept all the same."""
    monkeypatch.setenv("GRADIENT_IMAGE_EXIT_WAIT_S", "0")
    configured.script([{"cut": "between_events", "silence": True}])
    process = in_another_process(_STREAMING, configured.url, "leave")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert errors.splitlines()[-1].startswith("gradient_notebook: 1 running job given up at the end of the process.")
    found, image = the_only(Archive())
    assert (found.outcome, image.outcome, image.is_partial) == ("cancelled", "cancelled", True)
    assert (Archive().originals / image.file).exists()


@pytest.fixture
def orphan(configured: Simulator, archive: Archive, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """The bytes of an image whose process was killed after it was written, and before the ledger said so."""
    archive.ledger.put(record(images=(ImageRecord(position=0), ImageRecord(position=1))))
    data = b"\x89PNG\r\n\x1a\n the image"
    with archive.storing(data, "record0", 1):
        (arriving,) = archive.originals.iterdir()
        copy = arriving.read_bytes()
    archive.path_of(data).unlink()
    arriving.write_bytes(copy)
    return data


def test_an_image_whose_process_died_before_it_was_noted_is_found(archive: Archive, orphan: bytes) -> None:
    """The history adopts it: the record names it, and it has its own name."""
    (found,) = archive.records()
    assert [image.outcome for image in found.images] == ["unknown", "done"]
    assert found.images[1].file == archive.path_of(orphan).name
    assert files(archive) == [found.images[1].file]
    assert archive.path_of(orphan).read_bytes() == orphan


_DYING = """\
import os, signal, sys
from gradient_notebook.storage.archive import Archive
with Archive(sys.argv[1]).storing(b"\\xff\\xd8\\xff so far", "record0", 0, is_partial=True):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_partial_image_whose_process_died_before_it_was_noted_is_found_as_partial(archive: Archive) -> None:
    """The history adopts it, and nobody takes it for a finished image."""
    archive.ledger.put(record(images=(ImageRecord(position=0),)))
    in_another_process(_DYING, archive.folder).communicate(timeout=60)
    found, image = the_only(archive)
    assert (image.is_partial, image.outcome, found.outcome) == (True, "unknown", "unknown")
    assert files(archive) == [image.file]
    (entry,) = gn.history(archive_dir=archive.folder)
    assert ([path.name for path in entry.partial_paths], entry.paths) == ([image.file], [])


def test_an_image_whose_record_was_never_written_keeps_its_records_name(archive: Archive) -> None:
    """A ledger that was refused from the beginning: looking at the history does not make the image nobody's."""
    archive.ledger.put(record(1))
    with pytest.raises(LedgerError), archive.storing(b"\xff\xd8\xff image", "record0", 0):
        raise LedgerError("database is locked")
    archive.records()
    assert [name for name in files(archive) if name.startswith(".temporary-record0-0-")]


def test_half_an_image_is_not_adopted(archive: Archive, orphan: bytes) -> None:
    """What does not have the content that its name says is no original."""
    (arriving,) = archive.originals.iterdir()
    arriving.write_bytes(orphan[:10])
    (found,) = archive.records()
    assert [image.file for image in found.images] == [None, None]


def test_an_image_that_is_adopted_while_it_is_being_noted_is_no_loss(archive: Archive) -> None:
    """Somebody looks at the history in the very moment: both find it in its place."""
    archive.ledger.put(record(images=(ImageRecord(position=0),)))
    with archive.storing(b"\xff\xd8\xff image", "record0", 0) as path:
        assert archive.records()[0].images[0].file == path.name
    assert path.read_bytes() == b"\xff\xd8\xff image"
    assert files(archive) == [path.name]


# What the ledger does


def test_records_come_newest_first_and_by_time(archive: Archive) -> None:
    """`since` counts, `until` does not any more."""
    for number in (1, 3, 2):
        archive.ledger.put(record(number))
    assert [found.id for found in archive.records()] == ["record3", "record2", "record1"]
    assert [found.id for found in archive.records(since=1e9 + 2, until=1e9 + 3)] == ["record2"]


def test_no_ledger_is_an_empty_one_and_stays_none(archive: Archive) -> None:
    """Looking at a history makes no file."""
    assert archive.records() == []
    assert not archive.folder.exists()


def test_a_record_comes_back_as_it_was(archive: Archive) -> None:
    """Each field of a record and of its images survives the file."""
    image = ImageRecord(
        position=3,
        outcome="failed",
        file="f.png",
        is_partial=True,
        byte_count=5,
        request_id="r",
        revised_prompt="\u00e9\0",
        usage={"output_tokens": 3},
        reported={"size": "1x1"},
        error={"type": "E", "what": "w"},
        cost=Decimal("0.04229"),
    )
    whole = record(
        currency="$",
        most=Decimal("0.1"),
        ended_at=2e9,
        outcome="done",
        prompt="'; DROP TABLE images; --",
        images=(image,),
    )
    defaults = ImageRecord(position=3)
    assert [f.name for f in dataclasses.fields(image) if getattr(image, f.name) == getattr(defaults, f.name)] == [
        "position"
    ]
    archive.ledger.put(whole)
    assert archive.records() == [whole]


def test_half_a_surrogate_pair_is_no_reason_to_lose_a_record(archive: Archive) -> None:
    """A service may send text that no file can hold."""
    archive.ledger.put(record(images=(ImageRecord(position=0, revised_prompt="a\ud800"),)))
    _, image = the_only(archive)
    assert image.revised_prompt == "a?"


def test_deleting_takes_the_files_that_nobody_else_names(archive: Archive) -> None:
    """Two records of one image: its file goes with the second."""
    for number in (0, 1):
        archive.ledger.put(record(number, images=(ImageRecord(position=0),)))
        with archive.storing(b"same", f"record{number}", 0) as path:
            archive.ledger.put(record(number, images=(ImageRecord(position=0, file=path.name),)))
    archive.delete(["record0"])
    assert ([found.id for found in archive.records()], path.exists()) == (["record1"], True)
    archive.delete(["record1"])
    assert (archive.records(), path.exists()) == ([], False)


def test_deleting_takes_what_is_half_written_of_it(archive: Archive, orphan: bytes) -> None:
    """The rest of an image whose process died goes with its record; that of another record stays."""
    (rest,) = archive.originals.iterdir()
    rest.write_bytes(orphan[:10])
    others = rest.with_name(rest.name.replace("record0", "record1"))
    others.write_bytes(orphan[:10])
    archive.delete([found.id for found in archive.records()])
    assert files(archive) == [others.name]


def test_what_is_half_written_is_not_there(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record whose writing fails in the middle leaves the one before it."""
    archive.ledger.put(record(outcome="done"))
    broken = record(outcome="failed", images=(ImageRecord(position=0, byte_count=2**70),))
    with pytest.raises(OverflowError):
        archive.ledger.put(broken)
    assert archive.records() == [record(outcome="done")]


@pytest.mark.parametrize("broken", ["archive", "ledger"])
def test_a_bug_in_keeping_costs_neither_the_image_nor_the_end(
    configured: Simulator,
    archive: Archive,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    broken: str,
) -> None:
    """What nobody has thought of is logged and told, and the image is there."""
    if broken == "archive":
        monkeypatch.setattr(Archive, "path_of", lambda *_: 1 / 0)
    else:
        monkeypatch.setattr(Ledger, "put", lambda *_: 1 / 0)
    job = made(archive)
    assert job.result() is job.images[0]
    assert any("ZeroDivisionError" in notice for notice in job.notes)
    assert "A bug in keeping" in caplog.text


def test_an_end_that_cannot_be_recorded_is_an_end(
    configured: Simulator, archive: Archive, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Waiting for a job ends, whatever goes wrong after its work."""
    monkeypatch.setattr("gradient_notebook.jobs.recorder.Recorder.end", lambda *_: 1 / 0)
    assert made(archive).images
    assert "could not be recorded" in caplog.text


# No home, or one that is nobody's

_TWO = "import gradient_notebook as g\nfor _ in '12': print(g.generate('an otter', quality='low').size)"


@pytest.mark.parametrize("home", [None, "/", "/nonexistent"])
def test_without_a_place_to_keep_it_the_image_comes(configured: Simulator, home: str | None) -> None:
    """A container runs as a user whom nobody knows: one note says that nothing is kept, and why."""
    if os.getuid() or not (setpriv := shutil.which("setpriv")):
        pytest.skip("only an administrator can be somebody else")
    kept = {name: value for name, value in os.environ.items() if name != "HOME" and not name.startswith("XDG_")}
    environment = {**kept, **({"HOME": home} if home else {}), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [setpriv, "--reuid=54321", "--regid=0", "--clear-groups", sys.executable, "-c", _TWO]
    done = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, check=False)
    assert done.stdout == "(1024, 1024)\n" * 2, done.stderr
    assert done.stderr.count("Nothing is kept: ") == 1, done.stderr
    assert ("there is no home folder" if home is None else home) in done.stderr


def test_without_a_home_a_folder_that_is_named_keeps(
    configured: Simulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And where none is, the history says so."""

    def homeless(*_: object, **__: object) -> str:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.setattr("platformdirs.user_data_dir", homeless)
    monkeypatch.setattr("platformdirs.user_config_dir", homeless)
    with pytest.raises(gn.InvalidSettingsError, match=r"no home folder.*\nSet GRADIENT_IMAGE_ARCHIVE_DIR"):
        gn.history()
    gn.configure(archive_dir=str(tmp_path / "kept"))
    assert gn.generate("hills", quality="low")
    assert len(gn.history()) == 1
