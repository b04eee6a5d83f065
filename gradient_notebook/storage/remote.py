"""Originals at an address, by fsspec: each under its own name, which is its content's hash, and never replaced by another.

What goes wrong is said in words of our own: the libraries' may hold an address with a signature.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from ..address import WITHOUT_BUCKET

_WITH_FOLDERS = (*WITHOUT_BUCKET, "sftp", "ssh", "ftp", "smb", "hdfs", "webhdfs")
"""Where folders have to be made, and a file that is half written has its name already."""


class RemoteError(OSError):
    """What is at an address cannot be reached, read or written."""


class Remote:
    """The originals at one address. All methods raise RemoteError, but for what is said of FileNotFoundError."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.protocol = address.partition("://")[0]

    def url_of(self, name: str) -> str:
        """Return the address of an original."""
        return f"{self.address.rstrip('/')}/originals/{name}"

    def create(self, name: str, data: bytes) -> bool:
        """Write an original, and return whether it is there now with this content: what was there before stays as it is.

        S3 itself refuses to replace anything (`If-None-Match: *`). A service that does not know that is asked before.
        """
        with self._in_words():
            files, path = self._at(name)
            if self.protocol in _WITH_FOLDERS:
                return self._create_whole(files, path, data)
            try:
                files.pipe_file(path, data, mode="create")
            except FileExistsError:
                return bool(files.cat_file(path) == data)
            except Exception as error:
                if not _knows_no_condition(error):
                    raise
                if files.exists(path):
                    return bool(files.cat_file(path) == data)
                files.pipe_file(path, data)
            return True

    def _create_whole(self, files: Any, path: str, data: bytes) -> bool:
        if files.exists(path):
            return bool(files.cat_file(path) == data)
        half = f"{path}.{os.urandom(4).hex()}"
        files.makedirs(path.rpartition("/")[0], exist_ok=True)
        files.pipe_file(half, data)
        files.mv(half, path)
        return True

    def read(self, name: str) -> bytes:
        """Return an original; raise FileNotFoundError where there is none."""
        with self._in_words(missing_is_told=True):
            files, path = self._at(name)
            return bytes(files.cat_file(path))

    def delete(self, names: Sequence[str]) -> None:
        """Delete originals, as far as they are there."""
        with self._in_words():
            for files, path in map(self._at, names):
                with contextlib.suppress(FileNotFoundError):
                    files.rm_file(path)

    def _at(self, name: str) -> tuple[Any, str]:
        """Return what reads and writes an original, and its path there."""
        files, place = _files(self.address, os.getpid())
        return files, f"{place.rstrip('/')}/originals/{name}"

    @contextlib.contextmanager
    def _in_words(self, *, missing_is_told: bool = False) -> Iterator[None]:
        words = ""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - of whatever library; its words may hold a signature
            if missing_is_told and isinstance(error, FileNotFoundError):
                raise FileNotFoundError(self.address) from None
            words = _words(error)
        if words:  # here, where the library's own error is not shown beside it
            raise RemoteError(f"{self.address} {words}")


@lru_cache(maxsize=8)
def _files(address: str, _process: int) -> tuple[Any, str]:
    """Return what reads and writes at an address, and the path there; a process that was forked makes its own."""
    import fsspec

    files, place = fsspec.url_to_fs(address, skip_instance_cache=True)
    return files, str(place)


def _knows_no_condition(error: Exception) -> bool:
    """Whether a service, or what speaks to it, takes no `If-None-Match`."""
    told = getattr(error.__cause__, "response", None) or {}
    return isinstance(error, NotImplementedError) or told.get("Error", {}).get("Code") == "NotImplemented"


def _words(error: Exception) -> str:
    """Return what has gone wrong at an address, without any word of a library's."""
    names = {kind.__name__ for one in (error, error.__cause__, error.__context__) for kind in type(one).__mro__}
    if isinstance(error, ImportError):
        return "needs a package that is not installed: pip install 'gradient-notebook[s3]'"
    if names & {"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "TokenRetrievalError"}:
        return "cannot be used: no credentials were found"
    if isinstance(error, PermissionError):
        return "refuses access (403)"
    if isinstance(error, FileNotFoundError):
        return "does not exist: there is no such bucket or folder"
    # By name: botocore has classes of its own.
    if names & {"ConnectionError", "TimeoutError", "HTTPClientError", "ClientConnectorError"}:
        return "cannot be reached"
    return f"cannot be used ({type(error).__name__})"
