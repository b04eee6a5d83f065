"""The archive and its ledger as a machine: whatever is done in whatever order, this holds.

1. Each finished image that was kept has a file with its bytes, and a record that names it; until somebody has deleted
   the record, who had seen its end.
2. An image that the ledger could not name is on disk all the same, under a name that says whose it is; or its job says
   that it could not be kept.
3. No record names a file that is not there, or that holds something else.
4. No two records are of one request: posts per image are at most one, whoever dies in between.
5. What runs is deleted by nobody; what has died or ended can be.
6. No operation raises anything but an OSError of ours, and none leaves the ledger unreadable.

Done in any order: a request begins, an image arrives, a request ends or is cancelled, its process dies (in between, or in
the middle of writing), another process looks and adopts, deletes, prunes, forks; the disk is full for the next writes,
or read-only.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import gradient_notebook as gn
from gradient_notebook.api.events import ImageGenCompletedEvent
from gradient_notebook.api.params import ImageGenerateParams
from gradient_notebook.api.settings import Settings
from gradient_notebook.jobs.image_slot import ImageSlot
from gradient_notebook.jobs.recorder import Recorder
from gradient_notebook.storage import archive as archive_module
from gradient_notebook.storage import owner
from gradient_notebook.storage.archive import Archive, damage_of
from gradient_notebook.storage.ledger import Ledger

from .examples import of_full
from .recorded import png

PICTURES = [png(color, (4, 4)) for color in ("red", "green", "blue")]
"""So few that requests share their originals."""
DEAD = f"{owner._machine()} {2**22 + 7} 1"
"""The name of a process that does not live."""


class Request:
    """One request of a process: what it knows itself."""

    def __init__(self, archive: Archive, number: int, n: int) -> None:
        self.params = ImageGenerateParams(prompt=f"picture {number}", n=n)
        self.recorder = Recorder(archive, self.params, Settings(endpoint="http://127.0.0.1", key="k" * 20))
        self.slots = [ImageSlot() for _ in range(n)]
        self.is_over = False
        self.posts = 0

    @property
    def id(self) -> str:
        return self.recorder.id


class Disk:
    """Refuses to write while it is full, in every way in which the package writes."""

    def __init__(self) -> None:
        self.left = -1
        """How many writes it still takes; -1 are any number."""

    def take(self) -> None:
        if self.left == 0:
            raise OSError(28, "No space left on device")
        self.left -= self.left > 0


class StorageMachine(RuleBasedStateMachine):
    """Several processes on one archive: each request has its own Archive object, as jobs have."""

    @initialize()
    def begin(self) -> None:
        self.place = Path(tempfile.mkdtemp())
        self.disk = Disk()
        self.requests: dict[str, Request] = {}
        self.owners: dict[str, str] = {}
        self.gone: set[str] = set()
        """Ids that somebody has deleted."""
        self.patches = contextlib.ExitStack()
        real_fill, real_open = archive_module.fill, Ledger._open

        def fill(descriptor: int, path: Path, data: bytes) -> None:
            try:
                self.disk.take()
            except OSError:
                os.close(descriptor)
                path.unlink()
                raise
            real_fill(descriptor, path, data)

        @contextlib.contextmanager
        def opened(ledger: Ledger, mode: str) -> Iterator[Any]:
            with real_open(ledger, mode) as connection:
                yield _OnDisk(connection, self.disk) if mode == "mode=rw" else connection

        self.patches.enter_context(mock.patch.object(archive_module, "fill", fill))
        self.patches.enter_context(mock.patch("gradient_notebook.storage.files.fill", fill))
        self.patches.enter_context(mock.patch.object(Ledger, "_open", opened))

    def teardown(self) -> None:
        self.patches.close()
        shutil.rmtree(self.place)

    def archive(self) -> Archive:
        """Return the archive as another process opens it."""
        return Archive(self.place / "archive")

    @property
    def running(self) -> list[Request]:
        return [request for request in self.requests.values() if not request.is_over]

    def pick(self, data: st.DataObject) -> Request:
        return data.draw(st.sampled_from(sorted(self.running, key=lambda request: request.params.prompt)))

    # What a process does

    @precondition(lambda self: len(self.running) < 4)
    @rule(n=st.integers(1, 2), is_read_only=st.booleans())
    def submit(self, n: int, is_read_only: bool) -> None:
        """A record is written before anything is posted."""
        request = Request(self.archive(), len(self.requests), n)
        self.requests[request.id] = request
        with read_only() if is_read_only and not self.place.joinpath("archive").exists() else contextlib.nullcontext():
            request.recorder.begin(request.slots)
        request.posts += 1

    @precondition(lambda self: self.running)
    @rule(data=st.data(), picture=st.sampled_from(PICTURES), position=st.integers(0, 1))
    def arrive(self, data: st.DataObject, picture: bytes, position: int) -> None:
        """The image is kept, and then opened."""
        request = self.pick(data)
        slot = request.slots[position % len(request.slots)]
        if slot.has_ended:
            return
        slot.event = ImageGenCompletedEvent(image_bytes=picture)
        slot.image_bytes = picture
        request.recorder.store(slot, picture)
        slot.open()

    @precondition(lambda self: self.running)
    @rule(data=st.data(), picture=st.sampled_from(PICTURES))
    def arrive_in_part(self, data: st.DataObject, picture: bytes) -> None:
        """A partial image waits in memory."""
        slot = self.pick(data).slots[0]
        if not slot.has_ended:
            slot.add_partial(picture)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), is_cancelled=st.booleans())
    def end(self, data: st.DataObject, is_cancelled: bool) -> None:
        """What has not come ends as cancelled, or failed."""
        request = self.pick(data)
        for slot in request.slots:
            if not slot.has_ended:
                slot.advance("cancelled" if is_cancelled else "failed")
        request.recorder.end("done" if any(slot.image for slot in request.slots) else "cancelled")
        request.is_over = True

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def die(self, data: st.DataObject) -> None:
        """The process is gone, with all that it had in memory."""
        request = self.pick(data)
        request.is_over = True
        self.bury(request)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), picture=st.sampled_from(PICTURES), part=st.sampled_from([1.0, 0.5]))
    def die_while_writing(self, data: st.DataObject, picture: bytes, part: float) -> None:
        """The file is there, or a part of it, and the record does not name it yet."""
        request = self.pick(data)
        slot = request.slots[0]
        if slot.has_ended or not (self.place / "archive" / "originals").exists():
            return
        digest = hashlib.sha256(picture).hexdigest()
        name = f".temporary-{request.id}-0-{digest}.png"
        (self.place / "archive" / "originals" / name).write_bytes(picture[: int(len(picture) * part)])
        request.is_over = True
        self.bury(request)

    def bury(self, request: Request) -> None:
        """Let the record's owner be a process that does not live: ours does."""
        path = self.place / "archive" / "ledger.sqlite"
        if path.exists():
            with contextlib.closing(sqlite3.connect(path)) as connection:
                connection.execute(
                    "UPDATE generations SET owner = ? WHERE id = ? AND owner NOT NULL", (DEAD, request.id)
                )
                connection.commit()

    # What others do

    @rule()
    def look(self) -> None:
        """Another process reads, and adopts what it finds."""
        self.archive().records()

    @rule(data=st.data(), is_late=st.booleans())
    def delete(self, data: st.DataObject, is_late: bool) -> None:
        """One record or all, as they are seen now; or as they were seen before an image arrived."""
        found = gn.history(archive_dir=self.place / "archive")
        if not found:
            return
        if is_late and self.running:
            self.arrive(data, PICTURES[0], 0)
            self.end(data, is_cancelled=False)
        chosen = found if data.draw(st.booleans()) else found[:1]
        self.delete_seen(chosen, chosen.delete)

    @rule(max_bytes=st.integers(0, 500))
    def prune(self, max_bytes: int) -> None:
        """The oldest go."""
        found = gn.history(archive_dir=self.place / "archive")
        self.delete_seen(found, lambda: found.prune(max_bytes=max_bytes))

    def delete_seen(self, found: gn.History, delete: Any) -> None:
        before = {entry.id for entry in found}
        with contextlib.suppress(OSError):
            delete()
        left = {record.id for record in self.archive().ledger.records()}
        seen_running = {entry.id for entry in found if entry.record.owner not in (None, DEAD)}
        assert seen_running <= left  # 5.
        self.gone |= before - left

    @rule()
    def fork(self) -> None:
        """A child looks, and is gone without a word."""
        process = os.fork()
        if not process:
            try:
                found = self.archive().ledger.records()
                os._exit(0 if {record.id for record in found} <= self.requests.keys() else 3)
            except BaseException:
                os._exit(4)
        assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0

    @rule(left=st.integers(0, 4))
    def fill_disk(self, left: int) -> None:
        """So many writes are still taken."""
        self.disk.left = left

    @rule()
    def empty_disk(self) -> None:
        """There is room again."""
        self.disk.left = -1

    @rule()
    def look_read_only(self) -> None:
        """Where nothing can be written, the same is seen."""
        ledger = self.archive().ledger
        before = ledger.records()
        with read_only():
            assert self.archive().ledger.records() == before

    # What holds

    @invariant()
    def every_image_that_came_is_kept(self) -> None:
        """1., 2. and 6."""
        if not self.requests:
            return
        records = {record.id: record for record in self.archive().ledger.records()}
        originals = self.place / "archive" / "originals"
        names = {path.name for path in originals.iterdir()} if originals.exists() else set()
        for request in self.requests.values():
            if request.id in self.gone:
                continue
            for position, slot in enumerate(request.slots):
                if slot.image is None:
                    continue
                digest = hashlib.sha256(slot.image_bytes or b"").hexdigest()
                record = records.get(request.id)
                images = {image.position: image for image in record.images} if record else {}
                is_named = position in images and (images[position].file or "").startswith(digest)
                waits = any(name.startswith(f".temporary-{request.id}-{position}-{digest}") for name in names)
                # That nothing at all can be kept is said once in a session.
                is_told = request.recorder._archive is None or any(
                    "original file could not be saved" in notice for notice in request.recorder.notices
                )
                assert is_named or waits or is_told, (request.id, position, names, record)

    @invariant()
    def no_record_names_what_is_not_there(self) -> None:
        """3. A file that still has its first name is there; whoever looks next gives it its own."""
        if not self.requests:
            return
        originals = self.place / "archive" / "originals"
        for record in self.archive().ledger.records():
            for image in record.images:
                if image.file:
                    first = f".temporary-{record.id}-{image.position}"
                    rests = [path for path in originals.iterdir() if path.name.startswith(first)]
                    assert not damage_of(originals / image.file) or rests, (record, list(originals.iterdir()))

    @invariant()
    def every_request_has_one_record_and_one_post(self) -> None:
        """4."""
        if not self.requests:
            return
        found = [record.id for record in self.archive().ledger.records()]
        assert len(found) == len(set(found))
        assert set(found) <= self.requests.keys()
        assert all(request.posts == 1 for request in self.requests.values())


class _OnDisk:
    """A connection whose commits need room."""

    def __init__(self, connection: sqlite3.Connection, disk: Disk) -> None:
        self._connection = connection
        self._disk = disk
        self._writes = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, statement: str, *values: Any) -> Any:
        if statement == "COMMIT":
            try:
                self._disk.take()
            except OSError:
                error = sqlite3.OperationalError("database or disk is full")
                error.sqlite_errorcode = sqlite3.SQLITE_FULL
                raise error from None
        return self._connection.execute(statement, *values)


def read_only() -> Any:
    """Return a context in which nothing seems to be writable."""
    return mock.patch.object(os, "access", return_value=False)


TestStorage = StorageMachine.TestCase
TestStorage.settings = settings(max_examples=of_full(100), stateful_step_count=25)
