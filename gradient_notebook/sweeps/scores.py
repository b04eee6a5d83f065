"""Scores: what is measured of the originals, in threads, and kept by their content, so that it is measured once."""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..api.errors import InvalidRequestError
from ..api.text import SHORT, clean, nearest
from ..storage.archive import bytes_of
from ..storage.ratings import Score, put_scores
from ..storage.ratings import scores as kept_scores
from .cell import Cell
from .frame import COLUMNS
from .measures import NEEDED, PLAIN, SSIM, Measure, ssim_to

if TYPE_CHECKING:
    from PIL.Image import Image

_logger = logging.getLogger("gradient_notebook")
_MOST_THREADS = 8
"""Each holds one decoded image, of 5 to 75 MB."""
_LARGEST = 2**63
"""What SQLite holds as a whole number is less than this."""


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    """What to measure: the column that it becomes, and the name that it is kept by, if it is kept."""

    column: str
    kept_as: str | None
    measure: Measure


def score_all(cells: Sequence[Cell], measures: Sequence[Any], *, name: str | None, reference: Any) -> list[str]:
    """Measure all images, and return what could not be measured, in words, each cause once.

    Raises:
        InvalidRequestError: a measure that is none.
        ImportError: a library is missing; the message names the extra.
    """
    if not measures:
        what = "Nothing to measure was given"
        raise InvalidRequestError(what, f"A function of an image, or one of {', '.join(NEEDED)}.", sent=None)
    if name is not None and len(measures) > 1:
        raise InvalidRequestError("name= is for one function", "Call score once for each.", param="name", sent=None)
    # All of them are checked before any takes its time.
    wanted = [_wanted(cells, measure, name, reference) for measure in measures]
    return [said for one in wanted for said in _score(cells, one)]


def _wanted(cells: Sequence[Cell], measure: Any, name: str | None, reference: Any) -> _Wanted:
    if isinstance(measure, str):
        return _known(measure, name, reference)
    if not callable(measure):
        what = f"{clean(repr(measure), SHORT)}: expected a function of an image, or one of {', '.join(NEEDED)}"
        raise InvalidRequestError(what, param="measures", sent=None)
    column = name or getattr(measure, "__name__", "")
    if not column or column == "<lambda>":
        advice = "study.score(lambda image: …, name='brightness')"
        raise InvalidRequestError("The function has no name", advice, param="name", sent=None)
    if (
        not isinstance(column, str)
        or column in NEEDED
        or column in COLUMNS
        or any(column in cell.axes for cell in cells)
    ):
        what = f"name={clean(repr(column), SHORT)}: the table has another column of that name"
        raise InvalidRequestError(what, "Give another one: name='…'.", param="name", sent=None)
    # What a function does may change while its own name stays: only who gives a name says that it is the same.
    return _Wanted(column=column, kept_as=f"function:{name}" if name else None, measure=measure)


def _known(measure: str, name: str | None, reference: Any) -> _Wanted:
    if measure not in NEEDED:
        hint = nearest(measure, NEEDED) or f"Known are {', '.join(NEEDED)}; or give a function of an image."
        raise InvalidRequestError(f"{clean(repr(measure), SHORT)}: no such measure", hint, param="measures", sent=None)
    if name is not None:
        raise InvalidRequestError(f"name= is for functions: {measure} has its own", param="name", sent=None)
    if importlib.util.find_spec(NEEDED[measure]) is None:
        what = f"{measure!r} needs {NEEDED[measure]}: pip install 'gradient-notebook[analysis]'"
        raise ImportError(what, name=NEEDED[measure])
    if measure != SSIM:
        return _Wanted(column=measure, kept_as=measure, measure=PLAIN[measure])
    image = _reference(reference)
    content = hashlib.sha256(f"{image.size}".encode() + image.convert("RGB").tobytes()).hexdigest()[:32]
    return _Wanted(column=SSIM, kept_as=f"{SSIM}:{content}", measure=ssim_to(image))


def _reference(given: Any) -> Image:
    """Return the image that others are compared with: itself, or a cell's, or a file's."""
    image: Any = given.image if isinstance(given, Cell) else given
    if isinstance(image, (str, Path)):
        image = _read(Path(image))
    if not hasattr(image, "getbbox"):
        advice = "An image, a cell that has one, or a path: study.score('ssim', reference=study[0])"
        raise InvalidRequestError("ssim needs a reference", advice, param="reference", sent=None)
    found: Image = image
    return found


def _read(path: Path) -> Image:
    from ..imaging import open_image

    try:
        file = path.expanduser()
        if file.exists() and not file.is_file():
            raise ValueError("it is no file")  # a device has no end
        return open_image(file.read_bytes(), of=file)
    except (OSError, ValueError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or clean(str(error), SHORT)
        what = f"reference={clean(repr(str(path)), SHORT)}: {why}"
        raise InvalidRequestError(
            what, "An image, a cell that has one, or a path.", param="reference", sent=None
        ) from None


def _score(cells: Sequence[Cell], wanted: _Wanted) -> list[str]:
    archive = next((cell._archive for cell in cells if cell._archive), None)
    kept: dict[str, Score] = {}
    if archive and wanted.kept_as:
        files = [image.file for cell in cells for image in cell._images if image.file]
        kept = _told(lambda: kept_scores(archive.ledger, wanted.kept_as or "", files)) or {}
    work = [cell for cell in cells if cell.outcome == "done"]
    new: dict[str, Score] = {}
    problems: dict[str, list[int]] = {}

    def one(cell: Cell) -> None:
        values, found, problem = _of_cell(cell, wanted.measure, kept)
        cell._note_scores(wanted.column, values)
        new.update(found)
        if problem:
            problems.setdefault(problem, []).append(cell.index)

    pool = ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1), "gradient-score")
    try:
        for _ in pool.map(one, work):
            pass
    finally:
        # An interrupt, too: what has been measured is kept, and the rest is not begun.
        pool.shutdown(cancel_futures=True)
        if archive and wanted.kept_as and new:
            _told(lambda: put_scores(archive.ledger, wanted.kept_as or "", new))
    return [_in_words(wanted.column, problem, at) for problem, at in problems.items()]


def _of_cell(
    cell: Cell, measure: Measure, kept: dict[str, Score]
) -> tuple[list[Score | None], dict[str, Score], str | None]:
    """Return what was measured of a cell's images, what of it is new, by file, and why something could not be."""
    from ..imaging import open_image

    files = [image.file for image in cell._images] if not cell._data else []
    values: list[Score | None] = []
    new: dict[str, Score] = {}
    problem = None
    for number in range(max(len(files), len(cell._data))):
        file = files[number] if files else None
        if file in kept:
            values.append(kept[file])
            continue
        try:
            path = None if cell._data else cell.paths[number]
            data = bytes_of(path) if path else cell._data[number]
            value = _plain(measure(open_image(data, of=path)))
        except Exception as error:  # noqa: BLE001 - whatever a function of the user's raises costs its own cell
            problem, value = f"{type(error).__name__}: {clean(str(error), 200)}", None
        if file and value is not None and not (isinstance(value, float) and math.isnan(value)):
            new[file] = value
        values.append(value)
    return values, new, problem


def _plain(value: Any) -> Score | None:
    """Return a number or text as a table and the ledger take it."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if value is None or isinstance(value, float) or (isinstance(value, int) and abs(value) < _LARGEST):
        return int(value) if isinstance(value, bool) else value
    raise TypeError(f"expected a number or text, not {type(value).__name__}")


def _told(work: Callable[[], Any]) -> Any:
    """Return what the ledger says: what it cannot keep is measured again."""
    try:
        return work()
    except OSError as error:
        _logger.warning("Scores are not kept: %s", clean(str(error)))
        return None


def _in_words(column: str, problem: str, at: Sequence[int]) -> str:
    named = ", ".join(map(str, sorted(at)[:5])) + (" …" if len(at) > 5 else "")
    return f"{column}: {len(at):,} not measured ({problem}); cell{'' if len(at) == 1 else 's'} {named}."
