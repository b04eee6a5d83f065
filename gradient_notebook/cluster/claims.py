"""Claim before post, in a folder that all workers see: who claims a cell sends it, and nobody else ever does.

    cluster/RUN/leases/LEASE   a lease that holds: without its file nothing more is sent for it
    cluster/RUN/claims/CELL    who sends it; made by exclusive create, before anything is sent
    cluster/RUN/done/RECORD    what came of it; written when its original is stored

A cell is named by its run, by what it asks for, and by its number among those that ask for the same; its records have
the beginning of that name. Methods raise OSError.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ..storage.files import make_private_folder, write_atomic
from ..storage.leases import folder_of, leases_in
from ..storage.record import DamagedRowError, Record, image_of, record_of, row_of

Claimed = Literal["mine", "taken", "over"]
"""`taken`: somebody has it. `over`: the lease holds no more."""
_NAME_LENGTH, _OF_NAME = 32, 16
"""Hexadecimal digits of a name, and of those that the ids of its records begin with."""


def cell_name(run: str, identity: str, number: int) -> str:
    """Return what a cell is called everywhere: the `number`-th of those of a run that ask for the same."""
    return hashlib.sha256(f"{run} {identity} {number}".encode()).hexdigest()[:_NAME_LENGTH]


def new_record(name: str) -> str:
    """Return an id for a record of a leased cell, which says whose it is."""
    return f"{name[:_OF_NAME]}{os.urandom(2).hex()}"


def is_leased(record_id: str, name: str) -> bool:
    """Whether a record was made for a lease of this cell: others have ids without any meaning."""
    return len(record_id) == _OF_NAME + 4 and record_id.startswith(name[:_OF_NAME])


def probe_of(archive_folder: Path, word: str) -> Path:
    """Return the file that a worker has to find if it sees the folder of the archive."""
    return archive_folder / "cluster" / f"probe-{word}"


@dataclass(frozen=True)
class Done:
    """What came of a cell."""

    record: Record
    preview: bytes = b""
    """A small picture of its image."""


class Claimant(NamedTuple):
    """Who has claimed a cell, and for which record; both are empty for a moment, and after a death in it."""

    record_id: str
    who: str


def as_text(done: Done) -> str:
    """Return what came of a cell as text."""
    values: dict[str, Any] = {"record": row_of(done.record), "images": [row_of(image) for image in done.record.images]}
    if done.preview:
        values["preview"] = base64.b64encode(done.preview).decode()
    return json.dumps(values)


def from_text(text: str | bytes) -> Done | None:
    """Return what came of a cell; None where the text does not say it."""
    try:
        values: Mapping[str, Any] = json.loads(text)
        images = tuple(image_of(row) for row in values["images"])
        return Done(record_of(values["record"], images), base64.b64decode(values.get("preview", "")))
    except (ValueError, KeyError, TypeError, RecursionError, DamagedRowError):
        return None


class Claims:
    """The claims of a run, as broker and workers see them."""

    def __init__(self, archive_folder: Path, run: str) -> None:
        self.folder = folder_of(archive_folder, run)
        self._claims, self._done, self._leases = self.folder / "claims", self.folder / "done", leases_in(self.folder)

    def begin(self) -> str:
        """Let no earlier lease hold any more; return a word for those that will."""
        for folder in (self._claims, self._done, self._leases):
            make_private_folder(folder)
        for path in self._leases.iterdir():
            path.unlink(missing_ok=True)
        return os.urandom(8).hex()

    def exist(self) -> bool:
        """Whether there are any."""
        return self._claims.is_dir()

    def open(self, lease: str) -> None:
        """Let a lease hold from now on."""
        write_atomic(self._leases / lease, b"open")

    def close(self, lease: str) -> None:
        """Let a lease hold no more. Who has claimed by now has a claim that is seen from now on, and nobody else sends."""
        (self._leases / lease).unlink(missing_ok=True)

    def _holds(self, lease: str) -> bool:
        try:
            # Read, not looked for: what a network's file system remembers of names may be old.
            return (self._leases / lease).read_bytes() == b"open"
        except FileNotFoundError:
            return False

    def claim(self, name: str, record_id: str, lease: str, who: str) -> Claimed:
        """Claim a cell for a record: from now on nobody else sends it. Where the disk refuses, nothing is claimed."""
        path = self._claims / name
        if not self._holds(lease):
            return "over"  # without a claim that somebody might see before it is taken back
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        except FileExistsError:
            return "taken"
        except FileNotFoundError:  # the run has ended, and its folder is gone
            return "over"
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(f"{record_id} {who}")
                file.flush()
                os.fsync(file.fileno())
            # After the claim, as a broker first ends the lease and then looks for claims: one of both sees the other.
            if self._holds(lease):
                return "mine"
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        path.unlink(missing_ok=True)
        return "over"

    def release(self, name: str) -> None:
        """Give a claim back: nothing was sent."""
        (self._claims / name).unlink(missing_ok=True)

    def claimed(self) -> set[str]:
        """Return the names of the cells that are claimed."""
        return {path.name for path in self._claims.iterdir()}

    def claimant(self, name: str) -> Claimant | None:
        """Return who has claimed a cell; None where nobody has."""
        try:
            text = (self._claims / name).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return None
        record_id, _, who = text.partition(" ")
        return Claimant(record_id, who)

    def finish(self, done: Done) -> None:
        """Write what came of a cell."""
        write_atomic(self._done / done.record.id, as_text(done).encode())

    def done(self, record_id: str) -> Done | None:
        """Return what came of a cell; None where nothing has yet."""
        try:
            return from_text((self._done / record_id).read_bytes())
        except FileNotFoundError:
            return None

    def end(self) -> None:
        """Remove all of it: nothing is open."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.folder.parent.rmdir()
