"""What the first card needs is loaded between cells, once the one that loaded the extension is over: nobody waits for it then."""

from __future__ import annotations

import atexit
import contextlib
import importlib
import threading

from ..storage.forks import without_forks

STEPS = (
    "..imaging",
    ".widgets.bundle",
    ".cell_run",
    ".widgets.live",
    "..jobs.process_end",
    "..api.transport",
    "..jobs.metered",
    "..storage.locks",
)
"""Our modules that bring Pillow, ipywidgets, anywidget, httpx and SQLite: each takes 10 to 80 ms, and a cell that begins
meanwhile shares the processor with one at most."""
QUIET_S = 0.05
"""How long nothing has run when it begins: the cells of *Run All* follow one another faster, and are not slowed."""


class Preloader:
    """A thread that loads one step after another while no cell runs, and ends."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._is_idle = False
        self._has_ended = False
        self._thread: threading.Thread | None = None

    def cell_begins(self) -> None:
        """Load nothing from now on."""
        with self._changed:
            self._is_idle = False
            self._changed.notify_all()

    def cell_ends(self) -> None:
        """Load on; begin with that where nothing has been loaded yet."""
        with self._changed:
            self._is_idle = True
            self._changed.notify_all()
            if self._thread is None:
                self._thread = threading.Thread(target=self._load, name="gradient_notebook preloading", daemon=True)
                self._thread.start()
                # Where a thread stands still in the middle of an import, as all do at the end, no other can have it.
                atexit.register(self.close)

    def close(self) -> None:
        """End after the step that runs."""
        if self._thread and not self._thread.is_alive():
            return  # a child of a fork, which may have inherited a closed lock, has none either
        with self._changed:
            self._has_ended = True
            self._changed.notify_all()
        if self._thread:
            self._thread.join()
        atexit.unregister(self.close)

    def _load(self) -> None:
        for step in STEPS:
            if not self._may_go_on():
                return
            # What is missing or broken is told by the cell that needs it.
            with contextlib.suppress(Exception), without_forks():
                importlib.import_module(step, __package__)

    def _may_go_on(self) -> bool:
        """Wait until nothing has run for a moment; return False where nobody will need it any more."""
        with self._changed:
            while not self._has_ended:
                if not self._is_idle:
                    self._changed.wait()
                elif not self._changed.wait(QUIET_S):
                    return True
            return False
