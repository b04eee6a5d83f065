"""The process that makes a run and nothing else: it outlives the kernel that has detached it."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Collection
from typing import Any

from ..api.credentials import Key
from ..api.errors import GradientNotebookError
from ..api.settings import Settings
from ..connect import discover
from ..session import session
from ..storage import runners
from ..storage.archive import Archive
from ..storage.owner import this_process
from ..storage.runs import runs
from .axes import Axes
from .order import Order
from .owning import be_of_its_own, own
from .planning import sweep_of
from .runner_log import BoundedLog, log_of
from .sweep import Sweep

_logger = logging.getLogger("gradient_notebook")
_RECORDING_S, _RECORDING_TICK_S = 10.0, 0.02
_TICK_S = 0.2
"""How soon a signal is heard (seconds)."""


def main() -> int:
    """Make the run that is ordered on standard input; say on standard output that it has begun, or why not."""
    _leave()
    try:
        order, key = Order.read(sys.stdin.buffer)
    except EOFError:
        return 1  # whoever wanted it is gone
    ends: list[float] = []
    # Before anything runs: what is sent may come to its end, while others are hung up on.
    signal.signal(signal.SIGTERM, lambda *_: ends.append(time.monotonic()))
    try:
        study = _begun(order, key)
    except (GradientNotebookError, OSError) as error:
        _say({"what": getattr(error, "summary", str(error)), "advice": getattr(error, "advice", "")})
        return 1
    del key
    _say({"pid": os.getpid()})
    _see_to_its_end(study, ends)
    _logger.info("%s: %r %s", _now(), study, " ".join(study.notes))
    return 0


def _leave() -> None:
    """Be no child of the kernel's: what ends its children ends this one not."""
    if hasattr(os, "fork") and os.fork():
        os._exit(0)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _say(words: dict[str, Any]) -> None:
    """Answer whoever has ordered, if it is still there, and let go of it."""
    with contextlib.suppress(OSError):
        os.write(1, json.dumps(words).encode() + b"\n")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _begun(order: Order, key: Key) -> Sweep:
    archive = Archive(order.place)
    log = BoundedLog(log_of(archive, order.run), key)
    sys.stdout = sys.stderr = log
    logging.basicConfig(stream=log, level=logging.WARNING, format="%(message)s")
    _logger.setLevel(logging.INFO)
    session.update(order.session)
    settings = Settings(key=key, **order.where) if order.where else discover()
    run = next(run for run in runs(archive.ledger) if run.id == order.run)
    own(archive, run.id).release()  # where no lock can be had, two would make it: rather nobody does
    be_of_its_own()
    study = sweep_of(Sweep, Axes.of_json(run.plan), settings, archive, run=run)
    study._pass_over_deleted()
    study._observe(_log_failures)
    _logger.info("%s: process %d makes run %s: %s", _now(), os.getpid(), run.id, ", ".join(study.plan.facts))
    study = study.retry(unknown=True) if order.unknown else study.start()
    _wait_for_its_row(study, archive)
    return study


def _wait_for_its_row(study: Sweep, archive: Archive) -> None:
    """Wait until the ledger says who makes it: from then on it hears what others want."""
    ends_s = time.monotonic() + _RECORDING_S
    while not study._ended.done() and time.monotonic() < ends_s:
        if (found := runners.runners(archive.ledger, study.id).get(study.id)) and found.process == this_process():
            return
        concurrent.futures.wait({study._ended}, timeout=_RECORDING_TICK_S)


def _log_failures(study: Sweep, indices: Collection[int]) -> None:
    for cell in (study[index] for index in sorted(indices)):
        if cell.has_ended and cell.error:
            _logger.info("%s: cell %d %s: %s", _now(), cell.index, cell.outcome, cell.error)


def _see_to_its_end(study: Sweep, ends: list[float]) -> None:
    """Wait until it has ended. Told to end, send nothing more, and wait for what has been sent; told twice, end at once."""
    from ..jobs import event_loop

    is_draining = False
    while not study._ended.done():
        concurrent.futures.wait({study._ended}, timeout=_TICK_S)
        if study._archive and not study._archive.folder.exists() and not ends:
            ends.append(time.monotonic())  # what it makes could not be kept
        if ends and not is_draining:
            is_draining = True
            _logger.info("%s: it is to end: nothing more is sent", _now())
            event_loop.get_loop().call_soon_threadsafe(study._drain)
        if len(ends) > 1 or (ends and time.monotonic() - ends[0] > session.exit_wait_s):
            # Without a word in the records: what has been sent may be billed, and that is what they say so far.
            os._exit(1)


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")
