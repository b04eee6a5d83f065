"""Cells whose images an archive keeps: what it has of them, and who may make the rest."""

from __future__ import annotations

from collections import deque

from ..api.settings import Settings
from ..jobs.reuse import Reuse
from ..storage import runners
from ..storage.archive import Archive
from ..storage.locks import Lock
from ..storage.owner import is_running
from ..storage.record import ImageRecord
from ..storage.runs import Run, images_of, newest_run, runs
from .cell import Cell
from .cells import Cells
from .leasing import is_leased, reconcile
from .owning import own


class Archived(Cells):
    """Knows its run in the archive."""

    _settings: Settings
    _archive: Archive | None
    _run: Run
    _ownership: Lock | None
    _requests: int
    """How many its run had made when it was looked last what there is of it."""
    notes: list[str]
    """What is worth knowing beside the cells: what was not made again, and why; what could not be kept."""

    @property
    def id(self) -> str:
        """The id of its run in the ledger."""
        return self._run.id

    def _own(self) -> None:
        """Take the run, so that nobody else makes it, and see what others have made of it. Raises InvalidRequestError."""
        if self._archive is None:
            return
        try:
            self._join()
            self._ownership = own(self._archive, self.id)
            if runners.count_of(self._archive.ledger, self.id) != self._requests or is_leased(self._archive, self.id):
                self._take_kept()
        except OSError as error:
            self.notes.append(f"The archive cannot be written ({error}): nobody else sees that this runs.")

    def _join(self) -> None:
        """Have this be the run that somebody has begun since it was planned, if it is of the same. Raises OSError."""
        if self._archive is None or self._run.fresh or runs(self._archive.ledger, "WHERE id = ?", self.id):
            return
        self._run = newest_run(self._archive.ledger, self._run.digest) or self._run

    def _take_kept(self) -> None:
        """Note what the archive has: finished images first, and then what came instead in this run."""
        if self._archive is None:
            return
        try:
            self._archive.adopt()
            changed = reconcile(self._archive, self._settings, self.id, self, owns=self._ownership is not None)
            self._requests = runners.count_of(self._archive.ledger, self.id)
            since = self._run.started_at if self._run.fresh else 0.0
            kept = images_of(self._archive.ledger, [cell.identity for cell in self], since)
        except OSError as error:
            self.notes.append(f"The archive cannot be read ({error}): all cells are made.")
            return
        for cell in changed:
            cell._reset()
        answers = {same: deque(one for one in found if self._is_whole(one[1])) for same, found in kept.items()}
        others = {
            same: deque(one for one in found if one[1].outcome != "done" and one[0].run == self.id)
            for same, found in kept.items()
        }
        for cell in self:
            if answers.get(cell.identity):
                cell._take_kept(*answers[cell.identity].popleft())
                cell.reused = True
            elif others.get(cell.identity):
                record, image = others[cell.identity].pop()
                if image.outcome in ("refused", "unknown") or image.may_be_billed:  # anything else may be made
                    cell._take_kept(record, image)
                    if is_running(record.owner, record.started_at):
                        cell.error = "Another process is making it."

    def _pass_over_deleted(self) -> None:
        """Make nothing of what was deleted since it was made: whoever wants it again asks for the sweep again. Raises OSError."""
        gone = runners.deleted(self._archive.ledger, self.id) if self._archive else ()
        for cell in self:
            if cell.index in gone and not cell.has_ended:
                cell.outcome = "deleted"

    def _is_whole(self, image: ImageRecord) -> bool:
        if self._archive is None or not image.file or image.is_partial or image.outcome != "done":
            return False
        return self._archive.has(image.file, image.byte_count)  # of a thousand images, to look at each hash takes long

    def _made_meanwhile(self, cell: Cell) -> Reuse | bool:
        """Return what serves a cell that somebody has made since it was planned; a fresh run makes all again."""
        if self._archive is None or self._run.fresh:
            return False
        return Reuse(self._archive, cell.identity, cell._number, is_asked=False)
