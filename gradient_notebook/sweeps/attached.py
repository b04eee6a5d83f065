"""A sweep that another process makes, as it is seen from here: its cells fill from the ledger."""

from __future__ import annotations

import contextlib
import math
import time
from typing import Any

from ..api.credentials import Key
from ..api.errors import InvalidRequestError, InvalidSettingsError
from ..api.settings import DEFAULT_ENDPOINT
from ..api.settings import Settings as Where
from ..api.text import SHORT, clean, nearest
from ..connect import discover
from ..storage import clock, runners
from ..storage.archive import Archive, get_default
from ..storage.record import outcome_now
from ..storage.runners import Runner, Wish
from ..storage.runs import Run, put_run, runs
from . import launching
from .axes import Axes
from .leasing import reconcile
from .owning import POLL_S, refusal
from .planning import sweep_of
from .sweep import Sweep

_SLACK_S = 60.0
"""How much later than it began a request may be written down, and more (seconds)."""
_NO_KEY = "nothing-is-sent-while-somebody-looks"
_NAMED = 5
_UNRECORDED = "It was not sent, and so has no record; the log of the run says why."


def attach(beginning: str, settings: Where | None = None) -> AttachedSweep:
    """Return a run of the archive by its id, or the beginning of it.

    Raises:
        InvalidRequestError: there is none, or more than one, or no archive.
    """
    archive = get_default()
    if archive is None:
        what = "Sweep.attach: this session keeps no archive, and so has no runs"
        raise InvalidRequestError(what, suggest=("keep_history",), sent=None)
    return view_of(run_named(archive, beginning), archive, settings)


def detach(sweep: Sweep) -> AttachedSweep:
    """Have a sweep made by a process of its own, and return it as it is seen from here.

    Raises:
        InvalidRequestError: it runs already, here or elsewhere; there is no archive; no process could be started.
    """
    if sweep._archive is None:
        what = "detach: this session keeps no archive, in which another process could keep what it makes"
        raise InvalidRequestError(what, suggest=("keep_history",), sent=False)
    if not sweep.done() and not isinstance(sweep, AttachedSweep):
        what = "detach: it has been started, and runs in this process"
        raise InvalidRequestError(what, "Next time: sweep(..., start=False).detach()", sent=None)
    with contextlib.suppress(OSError):  # told of below
        sweep._join()
    if runners.is_made(sweep._archive, sweep.id):
        raise refusal(sweep._archive, sweep.id)
    if problem := sweep._archive.problem():
        raise InvalidRequestError(f"detach: {problem}", "Set archive_dir to another folder.", sent=False)
    return _launched(sweep, sweep._archive)


def _launched(sweep: Sweep, archive: Archive, *, unknown: bool = False) -> AttachedSweep:
    if unknown or any(not cell.has_ended or cell.outcome in ("failed", "cancelled") for cell in sweep):
        try:
            put_run(archive.ledger, sweep._run)
            runners.ask_again(archive.ledger, sweep.id, [cell.index for cell in sweep if cell.outcome == "queued"])
        except OSError as error:
            raise InvalidRequestError(f"detach: the run could not be recorded ({error})", sent=False) from error
        launching.launch(archive, sweep.id, sweep._settings, unknown=unknown)
    if not isinstance(sweep, AttachedSweep):
        return view_of(sweep._run, archive, sweep._settings)
    sweep.notes = []
    sweep._watch()
    return sweep


def run_named(archive: Archive, beginning: Any) -> Run:
    """Return the run of this id. Raises InvalidRequestError."""
    told = clean(repr(beginning), SHORT)
    if not isinstance(beginning, str) or not beginning.strip():
        raise InvalidRequestError(f"{told}: expected the id of a run, as sweeps() lists them", param="run", sent=None)
    try:
        there = runs(archive.ledger)
    except OSError as error:
        raise InvalidRequestError(f"The archive cannot be read: {error}", param="run", sent=None) from error
    found = [run for run in there if run.id.startswith(beginning.strip().lower())]
    if len(found) == 1:
        return found[0]
    if found:
        what, names = f"{told}: {len(found)} runs begin like that", [run.id for run in found]
    else:
        what, names = f"{told}: no such run in {archive.folder}", [run.id for run in there]
    listed = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
    hint = "" if found else nearest(beginning, names)
    raise InvalidRequestError(what, hint or (f"There is {listed}." if names else "There is none."), sent=None)


def view_of(run: Run, archive: Archive, settings: Where | None = None) -> AttachedSweep:
    """Return a run as it stands now, which fills by itself while a process makes it."""
    # Looking needs no key: it is found when something is to be sent.
    where = settings or Where(endpoint=DEFAULT_ENDPOINT, key=Key(_NO_KEY, "nowhere"), service=run.service)
    if where.known_as != run.service:
        raise _other_service(run, where)
    try:
        made = sweep_of(AttachedSweep, Axes.of_json(run.plan), where, archive, run=run)
    except InvalidRequestError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = f"Run {run.id} has no plan that this version of gradient_notebook can read"
        raise InvalidRequestError(what, "The same sweep(...) again makes what is missing.", sent=False) from error
    made._has_settings = settings is not None
    made._watch()
    return made


def _other_service(run: Run, where: Where) -> InvalidSettingsError:
    what = (
        f"Run {run.id} is made by {clean(run.service, SHORT)}, and requests would go to {clean(where.known_as, SHORT)}"
    )
    return InvalidSettingsError(what, "Set the endpoint and the key that it was planned with.")


class AttachedSweep(Sweep):
    """A run of the archive, whatever process makes it."""

    _has_settings: bool
    """Whether it could send requests."""
    _is_made_elsewhere: bool
    _since: float
    """From when on the ledger may have news (Unix seconds)."""
    _seen: tuple[Any, ...]
    _new: set[int]
    """Cells that have changed, and of which nobody has been told."""
    _was_paused: bool
    """Whether it was, when somebody was told last."""
    _newest_s: float
    """When the last of its requests ended (Unix seconds)."""
    _runner: Runner | None

    # What is asked of the process that makes it

    def start(self) -> Sweep:
        """Make here what is left, if no living process makes it; return the sweep."""
        if self._is_made_elsewhere:
            return self
        self._find_settings()
        return super().start()

    def _find_settings(self) -> None:
        """Have the settings with which requests are sent: whoever looks needs none."""
        if self._has_settings:
            return
        found = discover()
        if found.known_as != self._run.service:
            raise _other_service(self._run, found)
        self._settings, self._has_settings = found, True

    def detach(self) -> Sweep:
        """Have what is left made by a process of its own; return the sweep."""
        self._find_settings()
        return super().detach()

    def cancel(self) -> bool:
        """Tell the process that makes it to stop; return whether there was anything to cancel."""
        if not self._is_made_elsewhere:
            return super().cancel()
        return not self.done() and self._ask("cancel")

    def pause(self) -> Sweep:
        """Tell the process that makes it to send nothing more for now; return the sweep."""
        if not self._is_made_elsewhere:
            return super().pause()
        self._is_paused = self._ask("pause")
        return self

    def resume(self) -> Sweep:
        """Tell the process that makes it to go on; return the sweep."""
        if not self._is_made_elsewhere:
            return super().resume()
        self._is_paused = not self._ask("resume")
        return self

    def _ask(self, wish: Wish) -> bool:
        if self._archive is None:
            return False
        try:
            runners.ask(self._archive.ledger, self.id, wish)
        except OSError as error:
            raise InvalidRequestError(f"{wish} could not be told to the run: {error}", sent=False) from error
        return True

    def retry(self, *, unknown: bool = False) -> Sweep:
        """Make again what failed or was cancelled, where it was made before: here, or in a process of its own.

        Args:
            unknown: also make what was sent and has no answer: it may be billed twice.
        """
        if not self.done():
            raise InvalidRequestError("The sweep still runs", "Wait for it, or cancel it, and retry then.", sent=None)
        if self._archive is None or self._runner is None or not self._runner.is_detached:
            return super().retry(unknown=unknown)
        self._find_settings()
        return _launched(self, self._archive, unknown=unknown)

    def _give_up(self) -> None:
        # Who does not wait any more has not said that it is unwanted: it outlives the kernel.
        if not self._is_made_elsewhere:
            super()._give_up()

    def result(self, timeout: float | None = None) -> Sweep:
        """Wait until it has ended, and return the sweep itself. Interrupting ends the wait; the run goes on.

        Args:
            timeout: seconds; without an end unless given.

        Raises:
            TimeoutError: it takes longer; it goes on.
        """
        elsewhere = self._is_made_elsewhere
        try:
            return super().result(timeout)
        except KeyboardInterrupt as error:
            if elsewhere:
                from ..jobs.event_loop import interrupted

                raise interrupted("the run goes on in its own process; cancel() ends it.") from error
            raise

    # How it is watched

    def _watch(self) -> None:
        """See how it stands now, and go on looking while a process makes it."""
        self._runner, self._since, self._seen, self._new, self._newest_s = None, -math.inf, (), set(), 0.0
        self._is_made_elsewhere, self._was_paused = True, False
        self._begin_anew()
        self._started = True
        if self._look():
            from ..jobs import event_loop

            event_loop.get_loop().call_soon_threadsafe(self._begin)
        else:
            self._settle()
            self._ended.set_result(None)

    async def _run_to_the_end(self) -> None:
        if not self._is_made_elsewhere:
            await super()._run_to_the_end()
            return
        import asyncio

        from ..jobs.threads import in_a_thread

        teller = asyncio.ensure_future(self._tell_changes())
        try:
            while self._is_made_elsewhere:
                await asyncio.sleep(POLL_S)
                await in_a_thread(self._look_anew)
                self._tell_new()
            self._settle()
            self._tell_new()
        finally:
            # For those who are told, this is the end, also where something is left.
            was_over, self._is_over = self._is_over, True
            self._told.set()
            await asyncio.wait({teller})
            self._is_over = was_over
            for observer in [] if was_over else list(self._observers):  # where it stands, with what is left
                await in_a_thread(self._tell_one, observer, ())
            self._ended.set_result(None)

    def _tell_new(self) -> None:
        if self._new or self._is_paused != self._was_paused:
            self._dirty |= self._new
            self._new, self._was_paused = set(), self._is_paused
            self._told.set()

    def _look_anew(self) -> None:
        self._look()

    def _look(self) -> bool:
        """Note what is new in the ledger; return whether a process makes it."""
        if self._archive is None:
            return False
        # Before the ledger is read: what was written before its end is seen then.
        is_made = runners.is_made(self._archive, self.id)
        try:
            self._read(self._archive, is_last=not is_made)
        except OSError as error:
            words = f"The archive cannot be read ({error})."
            self.notes += [words] if words not in self.notes else []
        self._is_made_elsewhere = is_made
        return is_made

    def _read(self, archive: Archive, *, is_last: bool) -> None:
        if is_last:
            archive.adopt()
            for cell in reconcile(archive, self._settings, self.id, self, owns=False):
                cell._reset()
            self._since = -math.inf
        stamp = runners.stamp(archive.ledger)
        if stamp == self._seen and not is_last:
            return
        self._runner = runners.runners(archive.ledger, self.id).get(self.id)
        if self._runner:
            self._is_paused = self._runner.is_paused
            self._started_s = time.monotonic() - max(0.0, clock.now() - self._runner.began_at)
        kept = runners.kept_since(archive.ledger, self.id, self._since)
        for one in kept:
            self._note(*one)
        began = [record.started_at for record, _ in kept]
        self._newest_s = max([self._newest_s, *(record.ended_at or 0.0 for record, _ in kept)])
        running = [
            record.started_at for record, _ in kept if record.ended_at is None and outcome_now(record) == "running"
        ]
        self._since = min([max(began, default=self._since), *running]) - _SLACK_S if kept else self._since
        self._seen = stamp

    def _note(self, *kept: Any) -> None:
        """Note what a request has become."""
        record, image = kept
        if record.cell is None or not 0 <= record.cell < len(self):
            return
        cell = self[record.cell]
        is_again = self._runner is not None and record.started_at < self._runner.began_at
        if is_again and image.outcome in ("failed", "cancelled"):
            return  # it is made again
        before = (cell.outcome, cell.record_id)
        if image.outcome == "unknown" and outcome_now(record) == "running":
            if not (cell.outcome == "done" and cell.record_id != record.id):
                cell._reset()
                cell.outcome, cell._record = "running", record.id
        else:
            cell._take_kept(record, image)
            self._made += not is_again and image.outcome == "done" and before != (cell.outcome, cell.record_id)
        if before != (cell.outcome, cell.record_id):
            self._new.add(cell.index)

    def _settle(self) -> None:
        """Nobody makes it: see what that means for what is left."""
        state = self._runner.state if self._runner else "stopped"
        self._unwanted, self._is_paused = state == "cancelled", False
        self._ended_s = self._started_s
        if self._runner:
            self._ended_s += max(0.0, self._newest_s - self._runner.began_at)
        with contextlib.suppress(OSError):  # as `_look` says
            self._pass_over_deleted()
        if state in ("done", "cancelled"):
            for cell in self:
                if not cell.has_ended:
                    cell.outcome, cell.sent = ("cancelled" if self._unwanted else "failed"), False
                    cell.error = None if self._unwanted else _UNRECORDED
                    self._new.add(cell.index)
        left = sum(not cell.has_ended for cell in self)
        self._is_over = not left
        self._started = self._is_over
        if left and self._runner:
            how = "was told to end" if state == "stopped" else "has ended unexpectedly"
            words = f"Its process {how}: {left:,} are left to make. start() makes them here, detach() in a process of its own."
            self.notes += [words] if words not in self.notes else []
