"""Files and folders that only their owner can read, and files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def make_private_folder(folder: Path) -> None:
    """Make a folder that only its owner can read, and those above it that are missing; those that are there stay."""
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for one in reversed(missing):  # not `parents=True`: it gives those above what the umask allows
        one.mkdir(mode=0o700, exist_ok=True)


def hash_of(data: bytes) -> str:
    """Return what an original is named by."""
    import hashlib  # here: it loads OpenSSL, which nobody needs who reads the history

    return hashlib.sha256(data).hexdigest()


def fill(descriptor: int, path: Path, data: bytes) -> None:
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


def write_atomic(path: Path, data: bytes, mode: int = 0o600, *, replaces: bool = True) -> None:
    """Write a file that is there whole or not at all, whatever happens meanwhile. A link stays a link.

    Without `replaces` a file that is there is kept, and FileExistsError raised.
    """
    import tempfile  # which brings half of the standard library

    path = path.resolve()
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".gradient-")
    temporary = Path(name)
    fill(descriptor, temporary, data)
    temporary.chmod(mode)
    if replaces:
        temporary.replace(path)
        return
    try:
        move_to_free(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def move_to_free(temporary: Path, path: Path) -> None:
    """Give a file another name; raise FileExistsError where there is one of that name. The old one may be left."""
    try:
        path.hardlink_to(temporary)  # refused where there is a file, without a moment in between
    except FileExistsError:
        raise
    except OSError:  # a disk without such names
        with contextlib.closing(path.open("xb")):
            temporary.replace(path)


def default_file_mode() -> int:
    """Return the permissions that a new file of the user's own gets."""
    return 0o666 & ~_umask()


def _umask() -> int:
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return int(next(line for line in lines if line.startswith("Umask:")).split()[1], 8)
    # Elsewhere the system tells the mask only to those who set it.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
