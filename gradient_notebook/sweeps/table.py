"""The rows of a table, whatever library it is of."""

from __future__ import annotations

import math
from typing import Any

from ..api.errors import InvalidRequestError
from ..api.text import clean


def is_table(value: object) -> bool:
    """Whether this is a DataFrame of a library that narwhals knows, in memory or lazy."""
    if isinstance(value, str | list | tuple | dict | range) or not hasattr(value, "__class__"):
        return False
    import narwhals as nw

    return nw.dependencies.is_into_dataframe(value) or isinstance(
        nw.from_native(value, pass_through=True), nw.DataFrame | nw.LazyFrame
    )


def rows_of(table: Any) -> list[dict[str, Any]]:
    """Return the rows by column; what is missing, also as NaN, is None. Raise InvalidRequestError where there are none."""
    import narwhals as nw

    try:
        frame = nw.from_native(table)
        if isinstance(frame, nw.LazyFrame):
            frame = frame.collect()
        rows = [{str(name): _value(value) for name, value in row.items()} for row in frame.iter_rows(named=True)]
    except nw.exceptions.NarwhalsError as error:  # two columns of one name
        raise InvalidRequestError(
            f"The table cannot be read: {clean(str(error))}", param="prompt", sent=False
        ) from error
    if not rows:
        raise InvalidRequestError("The table has no rows.", param="prompt", sent=False)
    return rows


def _value(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") and not hasattr(value, "__len__") else value
    return None if value is None or (isinstance(value, float) and math.isnan(value)) or str(value) == "<NA>" else value
