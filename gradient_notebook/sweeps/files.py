"""The cells of a sweep as a folder: originals by readable names, tables, and a page that shows them all."""

from __future__ import annotations

import contextlib
import csv
import importlib.util
import io
import json
import os
import re
import shutil
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..api.errors import GradientNotebookError, InvalidRequestError
from ..api.images import extension
from ..api.text import SHORT, clean
from ..recipes import with_recipe
from ..storage.archive import bytes_of, is_intact
from ..storage.files import move_to_free
from .axes import Axes
from .cell import Cell
from .frame import rows_of
from .page import page

RECIPES = "recipes"
"""The folder of the copies with the settings inside."""
_LONGEST_NAME = 80
"""Bytes of a name, beside its number: what a folder takes within another one on every system."""
_AT_A_TIME = 20
"""Images that are held in memory together."""
_NOT_IN_NAMES = re.compile(r"[^\w.]+")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, kw_only=True)
class Saved:
    """What was saved, and where.

    Attributes:
        folder: the folder.
        images: the originals in it, in the order of their cells.
        notes: what could not be saved, and why.
    """

    folder: Path
    images: tuple[Path, ...]
    notes: tuple[str, ...] = ()
    _given: Path | None = field(default=None, compare=False)

    def __str__(self) -> str:
        # As it was given: what a person shares must not tell where the person's home is.
        folder = self._given or self.folder
        count = f"{len(self.images):,} image{'' if len(self.images) == 1 else 's'}"
        return "\n".join([f"{count} in {folder}; {folder / 'index.html'} shows them.", *self.notes])

    __repr__ = __str__

    def __fspath__(self) -> str:
        return str(self.folder)


def save(cells: Sequence[Cell], axes: Axes, directory: Path | str, *, overwrite: bool, recipes: bool) -> Saved:
    """Write all of it, or nothing: what was begun is put into place only when it is whole.

    Raises:
        InvalidRequestError: files are there already, or the folder cannot be written.
    """
    folder = _folder(directory)
    staged = folder.parent / f".gradient-{os.urandom(6).hex()}"
    try:
        staged.mkdir()
        saved = _Saving(cells, staged, recipes=recipes).saved(axes)
        _put_in_place(staged, folder, overwrite=overwrite)
    except OSError as error:
        raise InvalidRequestError(f"directory={str(directory)!r}: {error}", param="directory", sent=None) from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    images = tuple(folder / path.relative_to(staged) for path in saved.images)
    return replace(saved, folder=folder, images=images, _given=Path(directory))


def _folder(directory: Path | str) -> Path:
    if not isinstance(directory, (str, os.PathLike)) or not str(directory) or "\0" in str(directory):
        raise InvalidRequestError(f"directory={directory!r}: expected a path", param="directory", sent=None)
    try:
        folder = _looked_up(Path(directory).expanduser().absolute())
    except (RuntimeError, OSError, ValueError) as error:  # no such user, a loop of links, no name of a folder
        named = f"directory={clean(repr(str(directory)), SHORT)}"
        why = getattr(error, "strerror", None) or clean(str(error), 300)
        raise InvalidRequestError(f"{named}: {why}", param="directory", sent=None) from None
    if folder.exists() and not folder.is_dir():
        advice = "Choose another path."
        raise InvalidRequestError(f"directory={str(directory)!r} is a file", advice, param="directory", sent=None)
    if not folder.parent.is_dir():
        what = f"directory={str(directory)!r}: the folder {str(folder.parent)!r} does not exist"
        raise InvalidRequestError(what, "Choose another path.", param="directory", sent=None)
    return folder


def _looked_up(folder: Path) -> Path:
    """Return where a folder is, or would be; OSError, RuntimeError or ValueError where none can be there."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        folder.stat()
    return folder.resolve()  # a link stays one: files go where it leads


def _put_in_place(staged: Path, folder: Path, *, overwrite: bool) -> None:
    if not folder.exists():
        staged.rename(folder)  # at once
        return
    names = [path.relative_to(staged) for path in sorted(staged.rglob("*")) if path.is_file()]
    there = [name for name in names if os.path.lexists(folder / name)]
    if there and not overwrite:
        more = f" and {len(there) - 1} more" if len(there) > 1 else ""
        what = f"directory={str(folder)!r}: {str(there[0])!r}{more} exists"
        advice = "Choose another folder, or pass overwrite=True."
        raise InvalidRequestError(what, advice, param="directory", sent=None)
    # The page last: where it is there, all that it shows is.
    for name in sorted(names, key=lambda name: name.name == "index.html"):
        (folder / name).parent.mkdir(exist_ok=True)
        if overwrite:
            (staged / name).replace(folder / name)
        else:
            move_to_free(staged / name, folder / name)


class _Saving:
    """One folder while it is filled."""

    def __init__(self, cells: Sequence[Cell], folder: Path, *, recipes: bool) -> None:
        self.cells, self.folder, self.recipes = cells, folder, recipes
        self.notes: list[str] = []
        self.images: list[Path] = []
        self.files: list[str | None] = []
        """The name of each row's file."""

    def saved(self, axes: Axes) -> Saved:
        width = len(str(max((cell.index for cell in self.cells), default=0)))
        for cell in self.cells:
            self.files += list(self._originals(cell, f"{cell.index:0{width}d}"))
        rows = [
            {**{name: value for name, value in row.items() if name != "path"}, "file": file}
            for row, file in zip(rows_of(self.cells), self.files, strict=True)
        ]
        self._write("cells.jsonl", "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows))
        self._write("cells.csv", _csv(rows))
        if importlib.util.find_spec("pyarrow"):
            self._parquet(rows)
        self._write("index.html", page(self.cells, axes, self._files_of_cells()))
        return Saved(folder=self.folder, images=tuple(self.images), notes=tuple(self.notes))

    def _originals(self, cell: Cell, number: str) -> Iterator[str | None]:
        """Yield the name of each row's file, which has been written."""
        count = max(1, len(cell._images), len(cell._data))
        for at in range(count):
            data = self._data(cell, at)
            if data is None:
                yield None
                continue
            name = _name(number, cell, f"-{at + 1}" if count > 1 else "", extension(data))
            path = self.folder / name
            self._write_bytes(path, data)
            self.images.append(path)
            if self.recipes:
                self._write_recipe(name, data, cell)
            yield name

    def _data(self, cell: Cell, at: int) -> bytes | None:
        if cell.outcome != "done":
            return None
        if cell._data:
            return cell._data[at]
        path = cell.paths[at]
        try:
            data = bytes_of(path)
        except OSError as error:
            self.notes.append(f"Cell {cell.index}: its original cannot be read ({error.strerror or error}): {path}")
            return None
        if not is_intact(path, data):
            self.notes.append(f"Cell {cell.index}: its original was changed: {path}")
        return data

    def _write_recipe(self, name: str, data: bytes, cell: Cell) -> None:
        try:
            copy = with_recipe(data, cell.params)
        except GradientNotebookError as error:
            self.notes.append(f"Cell {cell.index}: no copy with its recipe. {error}")
            return
        (self.folder / RECIPES).mkdir(exist_ok=True)
        self._write_bytes(self.folder / RECIPES / name, copy)

    def _files_of_cells(self) -> dict[int, str]:
        rows = (cell.index for cell in self.cells for _ in range(max(1, len(cell._images), len(cell._data))))
        found: dict[int, str] = {}
        for index, file in zip(rows, self.files, strict=True):
            if file:
                found.setdefault(index, file)
        return found

    def _parquet(self, rows: Sequence[dict[str, Any]]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        from .frame import to_frame

        table = to_frame(self.cells, "pyarrow", images=False).drop_columns(["path"])
        # As Hugging Face's datasets have images: what opens one opens these.
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        path = self.folder / "cells.parquet"
        with pq.ParquetWriter(path, table.schema.append(pa.field("image", kind))) as writer:
            # Piece by piece: all images at once may be gigabytes.
            for at in range(0, len(rows), _AT_A_TIME):
                files = [row["file"] for row in rows[at : at + _AT_A_TIME]]
                held = [{"bytes": (self.folder / name).read_bytes(), "path": name} if name else None for name in files]
                writer.write_table(table.slice(at, _AT_A_TIME).append_column("image", pa.array(held, kind)))

    def _write(self, name: str, text: str) -> None:
        self._write_bytes(self.folder / name, text.encode("utf-8", "replace"))

    def _write_bytes(self, path: Path, data: bytes) -> None:
        with path.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())


def _name(number: str, cell: Cell, which: str, ending: str) -> str:
    """Return a file's name: its cell's number, which makes it unique, and its labels, as far as they have room."""
    words = [_word(label if isinstance(label, str) else f"{name}-{label}") for name, label in cell.axes.items()]
    told = "-".join(filter(None, words)).encode()[:_LONGEST_NAME].decode("utf-8", "ignore").strip("-._")
    return "-".join(filter(None, [number, told])) + which + ending


def _word(text: str) -> str:
    # What is left are letters, digits, _ and -: no folder, no way out of one, nothing that a system or an address reads.
    plain = _NOT_IN_NAMES.sub("-", unicodedata.normalize("NFC", text.encode("utf-8", "replace").decode()))
    return plain.replace("..", ".").strip("-._")


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows({_field(name): _field(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def _field(value: Any) -> Any:
    """Return a value as a spreadsheet shows it, and does not run it."""
    if isinstance(value, list):
        value = "; ".join(value)
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
