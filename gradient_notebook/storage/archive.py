"""Every finished image goes to disk before anything else: the service keeps no copy of what was paid for."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..api.images import extension
from ..session import session
from .ledger import Ledger, Record

_TEMPORARY = re.compile(
    r"\.temporary-(?P<record>\w+)-(?P<position>\d+)(?P<partial>-partial)?-(?P<file>(?P<hash>[0-9a-f]{64})\.\w+)"
)


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


class Archive:
    """A folder with original bytes, named by their content, and the ledger; only their owner can read them.

    Methods raise OSError: a full disk, a folder that cannot be written.
    """

    def __init__(self, folder: Path | str | None = None) -> None:
        self.folder = Path(folder).expanduser().absolute() if folder else default_folder()
        self.originals = self.folder / "originals"
        self.ledger = Ledger(self.folder / "ledger.sqlite")

    def problem(self) -> str:
        """Return why nothing can be kept here, in words; nothing where something can. Makes the folder."""
        if self.folder == NOWHERE:
            return "there is no home folder"
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            is_writable = os.access(self.folder, os.W_OK | os.X_OK)
            code = 0 if is_writable else errno.EROFS if os.statvfs(self.folder).f_flag & os.ST_RDONLY else errno.EACCES
        except OSError as error:
            code = 0 if error.errno in _MAY_PASS else error.errno or errno.EIO
        return f"{self.folder} cannot be written ({os.strerror(code)})" if code else ""

    def path_of(self, data: bytes) -> Path:
        """Return where an original lies, or will."""
        return self.originals / f"{hashlib.sha256(data).hexdigest()}{extension(data)}"

    @contextlib.contextmanager
    def storing(self, data: bytes, record_id: str, position: int, *, is_partial: bool = False) -> Iterator[Path]:
        """Write the bytes as they are; note inside of the `with` where they will lie when it is left.

        Until that is done the file's name says whose it is: were the process to die before, or were what is inside to
        fail, `records` finds it all the same.
        """
        path = self.path_of(data)
        for place in (self.folder, self.originals):  # `parents` would give the first what the umask allows
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = path.with_name(f".temporary-{record_id}-{position}{'-partial' * is_partial}-{path.name}")
        _fill(os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), temporary, data)
        try:
            yield path
        except BaseException:
            # It keeps the name by which `records` adopts it, beside the one that messages show by now.
            _give_a_second_name(temporary, path)
            raise
        _commit(temporary, path)

    def records(self, **between: float) -> list[Record]:
        """Return the records as `Ledger.records` does, with what a killed process had left half noted."""
        for path in self.originals.glob(".temporary-*"):
            found = _TEMPORARY.fullmatch(path.name)
            with contextlib.suppress(OSError):  # its process lives, and was quicker; or nothing can be written here
                if found and self._adopts(path, found):
                    _commit(path, self.originals / found["file"])
        return self.ledger.records(**between)

    def _adopts(self, path: Path, found: re.Match[str]) -> bool:
        """Note an original under the record that its name says; a file that is not whole is none."""
        data = path.read_bytes()
        kept: dict[str, Any] = {"file": found["file"], "byte_count": len(data), "is_partial": bool(found["partial"])}
        # A process that was killed while writing leaves a part, which must not become an image.
        is_whole = hashlib.sha256(data).hexdigest() == found["hash"]
        return is_whole and self.ledger.adopt(found["record"], int(found["position"]), **kept)

    def delete(self, ids: Sequence[str]) -> None:
        """Delete records, and the originals that no other record names."""
        for record_id in ids:
            # Without its record nothing would ever adopt, or delete, such a file.
            for rest in self.originals.glob(f".temporary-{record_id}-*"):
                rest.unlink(missing_ok=True)
        # A name only: a ledger that somebody has changed must not delete what lies elsewhere.
        self.ledger.delete(ids, lambda file: (self.originals / Path(file).name).unlink(missing_ok=True))


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


def write_atomic(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write a file that is there whole or not at all, whatever happens meanwhile. A link stays a link."""
    import tempfile  # as does this

    path = path.resolve()
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".gradient-")
    _fill(descriptor, Path(name), data)
    Path(name).chmod(mode)
    Path(name).replace(path)


def _fill(descriptor: int, path: Path, data: bytes) -> None:
    """Write an open file to the disk itself; leave nothing where that fails."""
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            # Before the ledger names it: after a power cut no record may name a file without its bytes.
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def default_file_mode() -> int:
    """Return the permissions that a new file of the user's own gets."""
    # The system tells the mask only to those who set it.
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def get_default() -> Archive | None:
    """Return where this process keeps what it makes, as the session says, or None."""
    return Archive(session.archive_dir or None) if session.archive else None
