"""Work that need not be done as often as it is asked for, on a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

_logger = logging.getLogger("gradient_notebook")
_PAUSE_S = 0.15
"""Between two times."""


class Background:
    """Does one thing on a thread: again whenever it is asked to, once for all that ask meanwhile."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._asked = self._runs = False

    def ask(self) -> None:
        """Have it done, soon."""
        with self._lock:
            self._asked = True
            if self._runs:
                return
            self._runs = True
        # A daemon: nothing of it is missed when the process ends.
        threading.Thread(target=self._run, name="gradient_notebook grid", daemon=True).start()

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._asked:
                    self._runs = False
                    return
                self._asked = False
            try:
                self._work()
            except Exception:
                _logger.exception("A grid could not be brought up to date")
            time.sleep(_PAUSE_S)
