"""What a process that makes a run is told, over a pipe: which run, with which settings of the session, and the key.

The key goes as a line of its own, in no object: nothing that could be kept has it.
"""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from ..api.credentials import Key
from ..api.settings import Settings
from ..connect import ends_with_this_process
from ..session import session
from ..storage.archive import Archive


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a process is to make."""

    run: str
    place: str
    """Where the archive is."""
    session: Mapping[str, Any]
    where: Mapping[str, Any] | None
    """The settings without the key; None for a service that each process has for itself."""
    unknown: bool
    """Whether also what was sent and has no answer is made again."""

    @classmethod
    def of(cls, archive: Archive, run: str, settings: Settings, *, unknown: bool) -> Order:
        """Return the order for a process that is to do what this one would."""
        values = {**session.values(), "archive": True, "archive_dir": archive.place}
        where = {
            declared.name: getattr(settings, declared.name)
            for declared in dataclasses.fields(settings)
            if declared.name != "key"
        }
        is_own = ends_with_this_process(settings)
        return cls(run=run, place=archive.place, session=values, where=None if is_own else where, unknown=unknown)

    def write(self, pipe: BinaryIO, key: Key) -> None:
        """Write it, and the key."""
        pipe.write(key.reveal().encode() + b"\n")
        pickle.dump(self, pipe)

    @classmethod
    def read(cls, pipe: BinaryIO) -> tuple[Order, Key]:
        """Return the order and the key. Raises EOFError where the process that ordered has died meanwhile."""
        key = Key(pipe.readline().decode().rstrip("\n"), "the process that detached the run")
        try:
            order: Order = pickle.load(pipe)  # noqa: S301 - from the process that has started this one
        except pickle.UnpicklingError as error:
            raise EOFError from error
        return order, key
