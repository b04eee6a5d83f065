"""The cells of a sweep as a DataFrame: a row an image, and one for each cell that has none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

from ..api.errors import InvalidRequestError
from ..api.text import SHORT, clean, nearest
from ..storage.ratings import UNRATED
from .cell import Cell
from .duplicates import PHASH, duplicates
from .marks import scored_in
from .rating import ratings_of

LIBRARIES = ("pandas", "polars", "pyarrow")
COLUMNS = (
    *("cell", "prompt", "revised_prompt", "outcome", "reason", "input_tokens", "output_tokens", "total_tokens"),
    *("cost", "currency", "seconds", "reused", "path", "stars", "tags", "note", "duplicate_of", "image", "file"),
)
"""What is no name of a score: a table has a column of that name. An axis of such a name gets another one."""

_EMPTY: dict[str, type] = {
    **dict.fromkeys(("input_tokens", "output_tokens", "total_tokens", "stars", "duplicate_of"), int),
    **dict.fromkeys(("cost", "seconds"), float),
}
"""What a column without any value is a column of, where it is not text: tables of several sweeps fit together."""


def to_frame(cells: Sequence[Cell], library: str, *, images: bool) -> Any:
    """Return a DataFrame of this library; raise InvalidRequestError where there is no such library, ImportError where it is missing."""
    if library not in LIBRARIES:
        what = f"library={clean(repr(library), SHORT)}: expected one of {', '.join(LIBRARIES)}"
        raise InvalidRequestError(what, nearest(str(library), LIBRARIES), param="library", sent=None)
    if images and library == "pyarrow":
        what = "A pyarrow table holds no PIL images"
        raise InvalidRequestError(what, "Leave images out, and open what `path` names.", param="images", sent=None)
    import importlib.util

    if importlib.util.find_spec(library) is None:
        raise ImportError(f"to_frame(library={library!r}) needs {library}: pip install {library}", name=library)
    import narwhals as nw

    rows = list(rows_of(cells, images=images))
    columns = {name: _of_one_type([row[name] for row in rows]) for name in (rows[0] if rows else _fixed())}
    frame = nw.from_dict(columns, backend=cast("Any", library))
    if library != "pandas":  # which has no type that says what is missing
        empty = [name for name, values in columns.items() if all(value is None for value in values)]
        kinds = {int: nw.Int64(), float: nw.Float64(), str: nw.String()}
        frame = frame.with_columns(nw.col(name).cast(kinds[_EMPTY.get(name, str)]) for name in empty)
    return frame.to_native()


def rows_of(cells: Sequence[Cell], *, images: bool = False) -> Iterator[dict[str, Any]]:
    """Yield a row for each image, and for each cell without one; all rows have the same columns."""
    ratings = ratings_of(cells)
    scored = scored_in(cells)
    names = _axis_names(cells)
    same = duplicates(cells) if PHASH in scored else None
    for cell in cells:
        labels = {column: _writable(cell.axes[name]) for name, column in names.items()}
        for number in range(max(1, len(cell._images), len(cell._data))):
            rating = ratings.get(cell._key(number) or ("", 0), UNRATED)
            yield {
                "cell": cell.index,
                **labels,
                **_facts(cell, number),
                "stars": rating.stars,
                "tags": list(rating.tags),
                "note": rating.note or None,
                **{name: _nth(cell._scores.get(name, ()), number) for name in scored},
                **({"duplicate_of": same.get(cell.index)} if same is not None else {}),
                **({"image": _nth(cell.images, number)} if images else {}),
            }


def _writable(label: Any) -> Any:
    """Return a label as every library and file takes it: half of a character, which UTF-8 has not, is a question mark."""
    return label.encode("utf-8", "replace").decode() if isinstance(label, str) else label


def _facts(cell: Cell, number: int) -> dict[str, Any]:
    usage = cell.usage if number == 0 else None
    path = _nth(cell.paths, number)
    return {
        "prompt": cell.prompt,
        "revised_prompt": cell.revised_prompt,
        "outcome": cell.outcome,
        "reason": cell.error,
        "input_tokens": usage.input_tokens if usage else None,
        "output_tokens": usage.output_tokens if usage else None,
        "total_tokens": usage.total_tokens if usage else None,
        **_cost(cell, number),
        "seconds": cell.elapsed_s,
        "reused": cell.reused,
        "path": str(path) if path else None,
    }


def _cost(cell: Cell, number: int) -> dict[str, Any]:
    """Return what a cell cost as a number, None where that is not known; of several images at the first, so that a sum is right."""
    cost = cell.cost
    is_known = number == 0 and cost.amount is not None and not cost.unknown
    return {"cost": float(cost.amount or 0) if is_known else None, "currency": cost.currency if is_known else None}


def _nth(values: Sequence[Any], number: int) -> Any:
    return values[number] if number < len(values) else None


def _axis_names(cells: Sequence[Cell]) -> dict[str, str]:
    """Return the column of each axis: its name, or `prompt_label` and the like where that is taken."""
    return {name: f"{name}_label" if name in COLUMNS else name for name in (cells[0].axes if cells else ())}


def _fixed() -> list[str]:
    return [name for name in COLUMNS if name not in ("duplicate_of", "image", "file")]


def _of_one_type(values: list[Any]) -> list[Any]:
    """Return a column as every library takes it: numbers of one kind; what is mixed with text is text."""
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) < 2:
        return values
    kind: type = float if kinds == {int, float} else str
    return [None if value is None else kind(value) for value in values]
