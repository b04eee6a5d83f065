"""Every finished image goes to disk before anything else: the service keeps no copy of what was paid for."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..address import checked_address, is_address
from ..api.errors import GradientNotebookError
from ..api.images import extension
from ..session import session
from .files import default_file_mode, fill, hash_of, make_private_folder, write_atomic
from .ledger import Ledger, Record
from .remote import Remote, RemoteError
from .search import Found, Query
from .uploads import Uploads, wake

__all__ = [
    "Archive",
    "bytes_of",
    "damage_of",
    "default_file_mode",
    "default_folder",
    "get_default",
    "is_intact",
    "read_original",
    "store_original",
    "write_atomic",
]

_logger = logging.getLogger("gradient_notebook")

_TEMPORARY = re.compile(
    r"\.temporary-(?P<record>\w+)-(?P<position>\d+)(?P<partial>-partial)?-(?P<file>(?P<hash>[0-9a-f]{64})\.\w+)"
)
_HASH = re.compile(r"[0-9a-f]{64}")


NOWHERE = Path(os.devnull, "gradient_notebook")
"""Where the archive is if there is no home folder: nothing can be written there, and nothing is found."""
_MAY_PASS = (errno.ENOSPC, errno.EDQUOT)
"""Why a folder cannot be made just now: there may be room again by the time when an image comes."""


def default_folder() -> Path:
    """Return where the archive is unless told otherwise: the system's place for a user's data."""
    import platformdirs  # which brings half of the standard library

    try:
        folder = Path(platformdirs.user_data_dir("gradient_notebook", appauthor=False))
    except RuntimeError:
        return NOWHERE
    # Older platformdirs give `~` itself: it would be a folder of that name, wherever the process is.
    return folder if folder.is_absolute() else NOWHERE


def folder_for(address: str) -> Path:
    """Return where the ledger of an address is, and what of its originals is here: a folder for each, by its name."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", address)[:40].strip("-")
    return default_folder() / "archives" / f"{readable}-{hash_of(address.encode())[:12]}"


_elsewhere: dict[Path, Uploads] = {}
"""Of the folders of originals whose originals lie at an address as well, what goes up there."""


class Archive:
    """A folder with original bytes, named by their content, and the ledger; only their owner can read them.

    Of an address, `s3://bucket/prefix`, it is the folder on this machine: originals are here first and go up in the
    background; what is not here is fetched when it is opened. The ledger stays here.

    Methods raise OSError: a full disk, a folder that cannot be written.
    """

    def __init__(self, place: Path | str | None = None) -> None:
        self.address = checked_address(place) if isinstance(place, str) and is_address(place) else ""
        """Where the originals lie, where that is not this folder."""
        if self.address:
            place = folder_for(self.address)
        self.folder = Path(place).expanduser().absolute() if place else default_folder()
        self.originals = self.folder / "originals"
        if self.address and self.originals not in _elsewhere:
            _elsewhere[self.originals] = Uploads(self.folder, Remote(self.address))
        self.ledger = Ledger(self.folder / "ledger.sqlite", self.originals)

    @property
    def place(self) -> str:
        """What another process makes this archive of."""
        return self.address or str(self.folder)

    @property
    def uploads(self) -> Uploads | None:
        """What goes up to its address, if it has one."""
        return _elsewhere.get(self.originals)

    def send(self, *names: str) -> None:
        """Have these originals go to its address, or all that are not there yet, in the background."""
        if (uploads := self.uploads) and self.folder.exists():
            wake(uploads, *names)

    def address_of(self, file: str) -> str:
        """Return where an original lies, as its address or path."""
        uploads = self.uploads
        return uploads.remote.url_of(Path(file).name) if uploads else str(self.originals / Path(file).name)

    def has(self, file: str, byte_count: int) -> bool:
        """Whether an original is here in its length, or may be fetched; its hash is looked at when it is opened."""
        try:
            return (self.originals / Path(file).name).stat().st_size == byte_count
        except OSError:
            return self.uploads is not None

    def problem(self) -> str:
        """Return why nothing can be kept here, in words; nothing where something can. Makes the folder."""
        if self.folder == NOWHERE:
            return "there is no home folder"
        try:
            make_private_folder(self.folder)
            is_writable = os.access(self.folder, os.W_OK | os.X_OK)
            code = 0 if is_writable else errno.EROFS if os.statvfs(self.folder).f_flag & os.ST_RDONLY else errno.EACCES
        except OSError as error:
            code = 0 if error.errno in _MAY_PASS else error.errno or errno.EIO
        return f"{self.folder} cannot be written ({os.strerror(code)})" if code else ""

    def path_of(self, data: bytes) -> Path:
        """Return where an original lies, or will."""
        return self.originals / f"{hash_of(data)}{extension(data)}"

    @contextlib.contextmanager
    def storing(self, data: bytes, record_id: str, position: int, *, is_partial: bool = False) -> Iterator[Path]:
        """Write the bytes as they are; note inside of the `with` where they will lie when it is left.

        Until that is done the file's name says whose it is: were the process to die before, or were what is inside to
        fail, `records` finds it all the same.
        """
        path = self.path_of(data)
        make_private_folder(self.originals)
        temporary = path.with_name(f".temporary-{record_id}-{position}{'-partial' * is_partial}-{path.name}")
        fill(os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), temporary, data)
        try:
            yield path
        except BaseException:
            # It keeps the name by which `records` adopts it, beside the one that messages show by now.
            _give_a_second_name(temporary, path)
            raise
        try:
            _commit(temporary, path)
        except FileNotFoundError:  # somebody has adopted it meanwhile, and deleted it: the record names it from now on
            self.write(path, data)
        self.send(path.name)

    def write(self, path: Path, data: bytes) -> None:
        """Write an original that a record names already."""
        make_private_folder(self.originals)
        write_atomic(path, data)
        self.send(path.name)

    def records(self, **between: float) -> list[Record]:
        """Return the records as `Ledger.records` does, with what a killed process had left half noted."""
        self.adopt()
        return self.ledger.records(**between)

    def find(self, query: Query) -> Found:
        """Return what a query finds, as `Ledger.find` does, with what a killed process had left half noted."""
        self.adopt()
        return self.ledger.find(query)

    def adopt(self) -> None:
        """Note what killed processes had left half noted."""
        for path, found in self._arriving():
            with contextlib.suppress(OSError):  # its process lives, and was quicker; or nothing can be written here
                self._adopt(path, found)
        self.send()

    def _arriving(self) -> Iterator[tuple[Path, re.Match[str]]]:
        """Yield the files whose names still say whose they are."""
        names: list[str] = []
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(self.originals) as there:
            # Not `glob`: of 100,000 originals that takes half as long again.
            names = [entry.name for entry in there if entry.name.startswith(".temporary-")]
        yield from ((self.originals / name, found) for name in names if (found := _TEMPORARY.fullmatch(name)))

    def _adopt(self, path: Path, found: re.Match[str]) -> None:
        """Note an original under the record that its name says; a file that is not whole is none."""
        data = path.read_bytes()
        kept: dict[str, Any] = {"file": found["file"], "byte_count": len(data), "is_partial": bool(found["partial"])}
        # A process that was killed while writing leaves a part, which must not become an image.
        if hash_of(data) == found["hash"]:
            place = self.originals / found["file"]
            self.ledger.adopt(found["record"], int(found["position"]), **kept, move=lambda: _commit(path, place))

    def delete(self, ids: Sequence[str], unended: Collection[str] = ()) -> list[str]:
        """Delete records, and the originals that no other record names; return the ids of those that are left.

        What runs is left, in whatever process, and what has ended since it was looked at (`unended`).
        """
        left = self.ledger.delete(ids, self._clear, unended) if ids else []
        self.send()
        if left:
            names = ", ".join(left[:3]) + (f" and {len(left) - 3} more" if len(left) > 3 else "")
            _logger.warning("Not deleted, since they run or have just ended: %s.", names)
        return left

    def _clear(self, ids: Sequence[str], files: Sequence[str]) -> None:
        """Remove the files of records that are gone."""
        gone = set(ids)
        # Without its record nothing would ever adopt, or delete, such a file.
        rests = [path for path, found in self._arriving() if found["record"] in gone]
        # A name only: a ledger that somebody has changed must not delete what lies elsewhere.
        for path in [*rests, *(self.originals / Path(file).name for file in files)]:
            with contextlib.suppress(OSError):  # missing already, or a folder
                path.unlink()
        if uploads := self.uploads:  # here only noted: nobody else can write now, and a network takes its time
            uploads.forget([Path(file).name for file in files])


def is_intact(path: Path, data: bytes) -> bool:
    """Whether an original holds what it was written with: its name is its hash."""
    return not _HASH.fullmatch(path.stem) or hash_of(data) == path.stem


def bytes_of(path: Path) -> bytes:
    """Return what an original's file holds, from the archive's address where it is not on this machine. Raises OSError."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        uploads = _elsewhere.get(path.parent)
        data = uploads.fetch(path.name) if uploads else None
        if data is None:
            raise
        return data


def read_original(path: Path) -> bytes:
    """Return an original, as it was written; raise GradientNotebookError where it is not that any more."""
    try:
        data = bytes_of(path)
    except FileNotFoundError as error:
        uploads = _elsewhere.get(path.parent)
        where = uploads.remote.url_of(path.name) if uploads else path
        raise GradientNotebookError(f"The original file is missing: {where}", "Only its record is left.") from error
    except RemoteError as error:
        what = f"The original file is not on this machine, and {error}."
        raise GradientNotebookError(what, "It opens when that can be read.") from None
    except OSError as error:
        raise GradientNotebookError(f"The original file cannot be read: {path} ({error.strerror}).") from error
    if not is_intact(path, data):
        now = f"{len(data):,} bytes are there now." if data else "It is empty."
        raise GradientNotebookError(f"The original file was changed: {path}", f"It is not what was received. {now}")
    return data


def damage_of(path: Path) -> str:
    """Return what has become of an original, as `missing` or `changed`; empty where nothing has, as far as is seen from here."""
    try:
        now = path.stat()
        return _damage_of(path, now.st_mtime_ns, now.st_ctime_ns, now.st_size)
    except FileNotFoundError:
        return "" if path.parent in _elsewhere else "missing"  # it is fetched when it is opened
    except OSError:
        return "unreadable"


@lru_cache(maxsize=4096)
def _damage_of(path: Path, *_now: int) -> str:
    # Again only when the file has been touched: a history shows dozens of megabytes.
    return "" if is_intact(path, path.read_bytes()) else "changed"


def _commit(temporary: Path, path: Path) -> None:
    try:
        temporary.replace(path)
        temporary.unlink(missing_ok=True)  # where both were names of one file, replacing has done nothing
    except FileNotFoundError:  # another process has adopted it meanwhile
        if not path.exists():
            raise


def _give_a_second_name(temporary: Path, path: Path) -> None:
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        return
    except OSError:  # a disk without such names: the file's own is what can be found by hand
        temporary.replace(path)


def store_original(place: str, data: bytes) -> str:
    """Put an original where an archive has them, without a record, and return its name; twice is the same as once.

    `place` is what `Archive.place` says, an address or a folder: for a process that writes no ledger, and tells whoever does.
    Raises OSError.
    """
    archive = Archive(place)
    path = archive.path_of(data)
    if uploads := archive.uploads:
        if not uploads.remote.create(path.name, data):
            raise RemoteError(f"{uploads.remote.url_of(path.name)} has another content, and is not replaced")
    elif not path.exists():
        archive.write(path, data)
    return path.name


def get_default() -> Archive | None:
    """Return where this process keeps what it makes, as the session says, or None."""
    return Archive(session.archive_dir or None) if session.archive else None
