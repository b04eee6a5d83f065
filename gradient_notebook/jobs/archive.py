"""Every finished image goes to disk before anything else: the service keeps no copy of what was paid for."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import platformdirs

_FORMATS = ((b"\x89PNG\r\n\x1a\n", ".png"), (b"\xff\xd8\xff", ".jpeg"), (b"RIFF", ".webp"))


def default_folder() -> Path:
    """Return where originals are kept unless told otherwise: the system's place for a user's data."""
    return Path(platformdirs.user_data_dir("gradient_notebook", appauthor=False)) / "originals"


class Archive:
    """A folder of original bytes, named by their content; only their owner can read them."""

    def __init__(self, folder: Path | str | None = None) -> None:
        self.folder = Path(folder).expanduser().absolute() if folder else default_folder()

    def keep(self, data: bytes) -> Path:
        """Write the bytes as they are, and return where they lie. Raises OSError: full or read-only disk."""
        path = self.folder / f"{hashlib.sha256(data).hexdigest()}{extension(data)}"
        if not path.exists():
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(path, data)
        return path


def extension(data: bytes) -> str:
    """Return the file extension for what the bytes are, `.bin` for what is no known image."""
    return next((suffix for magic, suffix in _FORMATS if data.startswith(magic)), ".bin")


def write_whole(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write a file that is there whole or not at all, whatever happens meanwhile. A link stays a link."""
    path = path.resolve()
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".gradient-", delete=False) as file:
        try:
            os.fchmod(file.fileno(), mode) if hasattr(os, "fchmod") else None
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            Path(file.name).unlink()
            raise
    Path(file.name).replace(path)  # after closing: an open file cannot be moved on every system


def usual_mode() -> int:
    """Return the permissions that a new file of the user's own gets."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
