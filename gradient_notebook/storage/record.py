"""What the ledger holds of a request, as plain values; and whether a row of it can be one."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from ..api import bounds
from .outcome import ENDED, Outcome
from .owner import is_running

_LATEST_S = 253_000_000_000.0
"""The year 9987, in Unix seconds: no calendar of Python's goes much further."""


class DamagedRowError(ValueError):
    """A row of the ledger holds what no version of this package has written."""


def may_be_billed(outcome: Any, error: Mapping[str, Any] | None) -> bool:
    """Whether an image that ended so may have cost something, where nothing else says what."""
    status = (error or {}).get("status_code")
    refused = isinstance(status, int) and 400 <= status < 500 and status != 408
    was_sent = (error or {}).get("sent") is not False
    return outcome != "refused" and not (outcome == "failed" and (refused or not was_sent))


@dataclass(frozen=True, kw_only=True)
class ImageRecord:
    """One of a generation's images, by its position from 0."""

    position: int
    outcome: Outcome = "unknown"
    file: str | None = None
    """Name of the original, in the archive's folder."""
    is_partial: bool = False
    """Whether `file` is only the newest partial image: the finished one never came."""
    byte_count: int = 0
    request_id: str | None = None
    revised_prompt: str | None = None
    usage: dict[str, Any] | None = None
    reported: dict[str, Any] = field(default_factory=dict)
    """The settings that the service says it has used, and the image's `url` if it says one."""
    error: dict[str, Any] | None = None
    """Why it did not come: `type`, `what`, and what the service says of it."""
    cost: Decimal | None = None
    """What it cost, by the price at that time; None where that is not known."""

    @property
    def may_be_billed(self) -> bool:
        """Whether it may have cost something, as far as its end says so."""
        return may_be_billed(self.outcome, self.error)


@dataclass(frozen=True, kw_only=True)
class Record:
    """One generation: what was asked for, when (Unix seconds), and its images. `ended_at` None: no end was recorded."""

    id: str
    started_at: float
    ended_at: float | None = None
    outcome: Outcome = "unknown"
    model: str
    prompt: str
    params: dict[str, Any]
    """What was given, by name, as `ImageGenerateParams.of` takes it."""
    endpoint: str
    owner: str | None = None
    """The process that it runs in; None where it does not run any more."""
    identity: str | None = None
    """What its images answer, for each process that asks; None where an earlier version wrote it."""
    run: str | None = None
    """The id of the sweep, or the place of the panel, that it is a part of, if there is one."""
    cell: int | None = None
    """Where it stands in that, from 0."""
    currency: str | None = None
    """What its costs are in; None where there was no price for its model."""
    most: Decimal | None = None
    """The most that one of its images may cost; None where that was not known."""
    images: tuple[ImageRecord, ...] = ()


def outcome_now(record: Record) -> Outcome:
    """Return how a request stands or has ended, also where its process died before it could say so."""
    if record.outcome == "unknown" and is_running(record.owner, record.started_at):
        return "running"
    if record.outcome == "unknown" and record.images and all(image.outcome == "done" for image in record.images):
        return "done"  # its process died after the last image was kept
    return record.outcome


def columns(kind: type) -> tuple[str, ...]:
    """Return the columns of a record, or of an image."""
    return tuple(declared.name for declared in dataclasses.fields(kind) if declared.name != "images")


_BILLION = 1_000_000_000
_MOST_BILLIONTHS = 2**53
"""A sum of them is still a number of SQLite's."""


def billionths(amount: Decimal) -> int:
    """Return an amount of money as a file holds it: whole, so that sums are exact, and never less than it is."""
    return min(_MOST_BILLIONTHS, math.ceil(amount * _BILLION))


def from_billionths(stored: int) -> Decimal:
    """Return the amount that a file holds."""
    return Decimal(stored) / _BILLION


_IN_JSON = ("params", "usage", "reported", "error")


def row_of(record: Record | ImageRecord) -> dict[str, Any]:
    """Return a record, or an image, as values that SQLite takes."""
    stored = {name: getattr(record, name) for name in columns(type(record))}
    for name, value in stored.items():
        if isinstance(value, Decimal):
            stored[name] = billionths(value)
        elif name in _IN_JSON and value is not None:
            stored[name] = json.dumps(value)
        elif isinstance(value, str):
            # A service may send half a surrogate pair, which no file can hold.
            stored[name] = value.encode("utf-8", "replace").decode()
    return stored


def record_of(row: Mapping[str, Any], images: tuple[ImageRecord, ...]) -> Record:
    """Return the record in a row; raise DamagedRowError where it is none."""
    return Record(**_values(row, Record), images=images)


def image_of(row: Mapping[str, Any]) -> ImageRecord:
    """Return the image in a row; raise DamagedRowError where it is none."""
    return ImageRecord(**_values(row, ImageRecord))


def _values(row: Mapping[str, Any], kind: type) -> dict[str, Any]:
    values = {}
    for name in columns(kind):
        try:
            read, stored = _READ[name], row[name]
            values[name] = read(stored)
        except (KeyError, ValueError, RecursionError) as error:
            shown = repr(row[name])[:40] if name in row else "missing"
            msg = f"{name}: {shown}"
            raise DamagedRowError(msg) from error
    return values


def _is(kind: type | tuple[type, ...], fits: Callable[[Any], bool] = lambda _: True) -> Callable[[Any], Any]:
    def read(stored: Any) -> Any:
        if not isinstance(stored, kind) or not fits(stored):
            raise ValueError
        return stored

    return read


def _or_none(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda stored: None if stored is None else read(stored)


def _mapping(stored: Any) -> dict[str, Any]:
    return dict(_is(dict)(json.loads(_TEXT(stored))))


def _error(stored: Any) -> dict[str, Any]:
    known = _mapping(stored)
    _TEXT(known.get("what"))
    return known


def _outcome(stored: Any) -> Outcome:
    # A word of an earlier or a newer version's is an end that is not known here, and no damage.
    return stored if stored in ENDED else "unknown"


_TEXT = _is(str)
_TIME = _is((int, float), lambda stored: 0 <= stored < _LATEST_S)


def _amount(stored: Any) -> Decimal:
    return from_billionths(_is(int, lambda value: 0 <= value <= _MOST_BILLIONTHS)(stored))


_READ: Mapping[str, Callable[[Any], Any]] = {
    "id": _is(str, bool),
    "started_at": _TIME,
    "ended_at": _or_none(_TIME),
    "outcome": _outcome,
    "model": _TEXT,
    "prompt": _TEXT,
    "params": _mapping,
    "endpoint": _TEXT,
    "owner": _or_none(_TEXT),
    "identity": _or_none(_TEXT),
    "run": _or_none(_TEXT),
    "cell": _or_none(_is(int, lambda stored: stored >= 0)),
    "currency": _or_none(_TEXT),
    "most": _or_none(_amount),
    "cost": _or_none(_amount),
    "position": _is(int, lambda stored: stored >= 0),
    # What opens or deletes it takes the name only, and no way out of the folder.
    "file": _or_none(_is(str, lambda stored: Path(stored).name not in ("", "..") and "\0" not in stored)),
    "is_partial": lambda stored: bool(_is(int, lambda value: value in (0, 1))(stored)),
    # More than an image can have would make `prune` delete everything older.
    "byte_count": _is(int, lambda stored: 0 <= stored <= bounds.MAX_IMAGE_BYTES),
    "request_id": _or_none(_TEXT),
    "revised_prompt": _or_none(_TEXT),
    "usage": _or_none(_mapping),
    "reported": _mapping,
    "error": _or_none(_error),
}
"""How each column is read; each raises ValueError for what cannot stand there."""
