"""Lists of jobs that show themselves. Apart from how they look: IPython asks here for each list that a cell shows."""

from __future__ import annotations

import sys
from typing import Any

from IPython.utils.dir2 import get_real_method


class JobLists:
    """Has IPython show what holds jobs and nothing else: a list, a tuple or a dict, `[submit(…), submit(…)]`.

    All others look as before.
    """

    def __init__(self, shell: Any) -> None:
        self._formatter = shell.display_formatter.mimebundle_formatter
        self._before = {kind: self._formatter.for_type(kind, self._show) for kind in (list, tuple, dict)}

    def remove(self) -> None:
        """Give back what was there, unless somebody else has taken its place since."""
        for kind, before in self._before.items():
            if self._formatter.for_type(kind) == self._show:
                self._formatter.pop(kind)
                if before:
                    self._formatter.for_type(kind, before)

    def _show(self, value: Any) -> Any:
        kind = type(value)
        if kind in self._before:
            jobs = [*value.values()] if kind is dict else [*value]
            if jobs and all(map(_is_job, jobs)):
                from .job_view import show_jobs

                return show_jobs(jobs)
        # IPython comes here with classes that inherit from these, too, and asks no further itself.
        before = next(self._before[base] for base in kind.__mro__ if base in self._before)
        if before:
            return before(value)
        own = get_real_method(value, "_repr_mimebundle_")
        return own(include=None, exclude=None) if own else None


def _is_job(value: Any) -> bool:
    # Whoever has a job has loaded its module: a list of numbers need not load it.
    jobs = sys.modules.get(f"{__package__.rpartition('.')[0]}.jobs.job")
    return jobs is not None and isinstance(value, jobs.Job)
