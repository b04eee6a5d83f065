"""Making the sweep of what varies: its cells, checked, and its run in the archive. Nothing of it runs yet."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import threading
from collections import Counter
from typing import Any, TypeVar

from ..api.credentials import refuse_key_in
from ..api.errors import InvalidRequestError
from ..api.identity import identity
from ..api.models import DEFAULT_MODEL
from ..api.params import ImageGenerateParams
from ..api.settings import Settings
from ..session import session
from ..storage import clock
from ..storage.archive import Archive
from ..storage.runs import Run, newest_run
from .axes import Axes
from .cell import Cell
from .cells import Cells
from .plan import plan_of
from .sweep import Sweep

Kind = TypeVar("Kind", bound=Sweep)


def new_sweep(axes: Axes, settings: Settings, archive: Archive | None, *, fresh: bool = False) -> Sweep:
    """Return a sweep of which nothing runs yet: it knows what the archive has of it.

    Raises:
        InvalidRequestError: a cell that cannot be sent; it is named by its labels.
    """
    # From now on it says which model it is, whatever another process has for its default.
    model = {"model": DEFAULT_MODEL, **session.with_model({})}
    return sweep_of(Sweep, dataclasses.replace(axes, fixed={**model, **axes.fixed}), settings, archive, fresh=fresh)


def sweep_of(
    kind: type[Kind],
    axes: Axes,
    settings: Settings,
    archive: Archive | None,
    *,
    fresh: bool = False,
    run: Run | None = None,
) -> Kind:
    """Return a sweep, of a run that there is already if it is given.

    Raises:
        InvalidRequestError: a cell that cannot be sent; it is named by its labels.
    """
    made = kind.__new__(kind)
    made._settings, made._archive = settings, archive
    for name, kept in axes.as_json().items():
        refuse_key_in({name: repr(kept)}, settings.key)  # labels and whole tables are kept, and shown
    Cells.__init__(made, _checked(axes, settings, archive), axes)
    digest = hashlib.sha256("".join(cell.identity for cell in made).encode()).hexdigest()[:32]
    made.notes = []
    made._run = run or _run_of(made, digest, fresh=fresh)
    if made._run.digest != digest:
        what = f"Run {made._run.id} was planned by another version of gradient_notebook"
        raise InvalidRequestError(what, "The same sweep(...) again makes what is missing.", sent=False)
    made._ownership, made._requests, made._broker = None, 0, None
    made._take_kept()
    made._begin_anew()
    made._observers, made._lock = [], threading.Lock()
    made._process = os.getpid()
    made.plan = plan_of(made._cells, archive, billed=settings.is_billed)
    return made


def _checked(axes: Axes, settings: Settings, archive: Archive | None) -> list[Cell]:
    """Return the cells; each of them could be sent."""
    cells: list[Cell] = []
    numbers: Counter[str] = Counter()
    for index, case in enumerate(axes.cases()):
        try:
            params = ImageGenerateParams.of({"prompt": case.prompt, **session.with_model(case.values)})
        except InvalidRequestError as error:
            told = ", ".join(f"{name}={label!r}" for name, label in case.labels.items())
            error.summary = f"{error.summary} (cell {index}{f': {told}' if told else ''})"
            error.sent = False
            raise
        if params.n != 1:
            raise InvalidRequestError(
                "n can't be given in extra", "Use repeat=3 to make several.", param="n", sent=False
            )
        cell = Cell(index, case.labels, params, identity(params, settings.known_as), archive)
        cell._number, numbers[cell.identity] = numbers[cell.identity], numbers[cell.identity] + 1
        cells.append(cell)
    return cells


def _run_of(sweep: Sweep, digest: str, *, fresh: bool) -> Run:
    before = None
    if sweep._archive and not fresh:
        with contextlib.suppress(OSError):
            before = newest_run(sweep._archive.ledger, digest)
    if before:
        return before
    values: dict[str, Any] = {"started_at": clock.now(), "fresh": fresh, "service": sweep._settings.known_as}
    return Run(id=os.urandom(6).hex(), digest=digest, plan=sweep._axes.as_json(), **values)
