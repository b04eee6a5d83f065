"""Starting a process that makes a run and outlives this one."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, BinaryIO

from ..api.errors import InvalidRequestError
from ..api.settings import Settings
from ..storage.archive import Archive
from ..storage.files import make_private_folder
from ..storage.runners import folder_of
from .order import Order
from .runner_log import log_of

_STARTING_S = 120.0
"""How long a process may take until it has begun: importing alone takes seconds on a busy machine."""
_ENDING_S = 10.0
_CODE = "import sys; sys.path.append(sys.argv[2]); from gradient_notebook.sweeps.runner_process import main; sys.exit(main())"
"""The path comes last: it is only needed where a notebook has added it by itself."""


def launch(archive: Archive, run: str, settings: Settings, *, unknown: bool = False) -> int:
    """Start a process that makes a run; return its number when it has begun.

    Raises:
        InvalidRequestError: it could not be started, or it says why it cannot make the run.
    """
    try:
        make_private_folder(folder_of(archive))
        told = _answer(archive, run, Order.of(archive, run, settings, unknown=unknown), settings)
    except OSError as error:
        raise _failed(str(error)) from error
    if "pid" in told:
        return int(told["pid"])
    if "what" in told:
        raise InvalidRequestError(told["what"], told.get("advice", ""), sent=False)
    raise _failed(f"it has ended at once; {log_of(archive, run)} may say why")


def _failed(why: str) -> InvalidRequestError:
    return InvalidRequestError(f"No process could be started for the run: {why}", "start() makes it here.", sent=False)


def _answer(archive: Archive, run: str, order: Order, settings: Settings) -> dict[str, Any]:
    """Return what the process says of itself; nothing where it says nothing in time."""
    package = str(Path(__file__).parents[2])
    # `-P`: no file of the folder that we happen to be in is taken for a library.
    command = [sys.executable or "python", "-P", "-c", _CODE, f"gradient-notebook-run-{run}", package]
    descriptor = os.open(log_of(archive, run), os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    try:
        process = subprocess.Popen(  # noqa: S603 - our own words
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=descriptor,
            # What ends a kernel ends its group, and what closes a terminal its session.
            start_new_session=True,
            creationflags=getattr(subprocess, "DETACHED_PROCESS", 0)
            | getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
    finally:
        os.close(descriptor)
    with contextlib.suppress(BrokenPipeError), process.stdin as pipe:  # type: ignore[union-attr]
        order.write(pipe, settings.key)  # type: ignore[arg-type]
    line = _line(process.stdout, _STARTING_S)  # type: ignore[arg-type]
    if hasattr(os, "fork"):
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_ENDING_S)  # the one that we have started has another one do it, and ends
    with contextlib.suppress(ValueError):
        return dict(json.loads(line))
    return {}


def _line(pipe: BinaryIO, timeout_s: float) -> bytes:
    """Return the line that the process answers with, empty where it ends without one. Raises OSError after a while."""
    found: list[bytes] = []

    def read() -> None:
        with pipe:  # here, since closing it would wait for a read
            found.append(pipe.readline())

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(timeout_s)
    if not found:
        msg = f"it has said nothing for {timeout_s:g} s; sweeps() shows whether it begins yet"
        raise OSError(msg)
    return found[0]
