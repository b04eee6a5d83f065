"""One run of `%%imagegen`: from the checked request to the images in their variable, or to what went wrong."""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import json
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from IPython.core.interactiveshell import InteractiveShell

from ..api.advice import retirement_note, value_notes
from ..api.credentials import refuse_key_in
from ..api.errors import GradientNotebookError, InvalidRequestError
from ..api.params import ImageGenerateParams
from ..api.text import clean, clean_json
from ..connect import discover, find_key
from ..jobs import event_loop
from ..jobs.job import Job, new_job
from ..recipes import with_recipe
from ..recording import path_of
from ..session import session
from ..storage.archive import default_file_mode, get_default, write_atomic
from . import formatting
from .cell_output import Card, Output, Plain, Text
from .execution import answering_as, is_executed
from .magic_args import (
    MagicArgs,
    complete_given,
    filled_path,
    looks_like_options,
    numbered,
    save_path,
    with_recipe_name,
)
from .templates import interpolate

# A cell that awaits is cancelled, one that blocks gets the signal itself.
_INTERRUPTIONS = (asyncio.CancelledError, KeyboardInterrupt)


class CellRun:
    """One run of a magic: the request is checked when it is made, and nothing has been sent yet."""

    def __init__(self, shell: InteractiveShell, args: MagicArgs, text: str, names: Mapping[str, Any]) -> None:
        fill = partial(interpolate, namespace=names)
        values = complete_given(args.given, session.defaults())
        self.args = args
        self.params = ImageGenerateParams.of({"prompt": text if args.raw else fill(text), **values})
        self._notes = list(_notes(args.name, text))
        # A request that holds the key is refused before anything of it is shown.
        self._found = find_key()
        if self._found.key:
            try:
                refuse_key_in(self.params.given(), self._found.key)
            except InvalidRequestError:
                del self.params  # a traceback can show what an object holds
                raise
        self.save = None
        if args.recipe and args.save is None:
            raise InvalidRequestError("--recipe needs --save", "--save fox.png --recipe", param="save")
        if args.save is not None:
            # Now: a path that cannot be written is refused before anything is sent and billed.
            where = args.save if args.raw else filled_path(args.save, fill)
            self.save = save_path(where, args.name, self.params, overwrite=args.overwrite, recipe=args.recipe)
        self._record = (
            None if args.record is None else path_of(args.record if args.raw else filled_path(args.record, fill))
        )
        self._shell = shell
        self._is_executed = is_executed()

    def wait(self) -> None:
        """Make the images, and return when they are there."""
        job = self._job(self._output().update)
        try:
            job._wait()
        except _INTERRUPTIONS as interruption:
            # The interrupt has cancelled the job. What has come by then, and why it ended, is known at its end only.
            event_loop.wait(job._ended)
            raise self._interrupted(job) from interruption
        self._end(job)

    async def wait_async(self) -> None:
        """Make the images, and return when they are there; the kernel stays open for messages meanwhile."""
        job = self._job(self._output().update)
        try:
            await job._wait_async()
        except _INTERRUPTIONS as interruption:
            await event_loop.wait_async(job._ended)
            raise self._interrupted(job) from interruption
        self._end(job)

    def begin(self) -> Job | None:
        """Begin, and let the cell go: the variable holds the job, and then its image.

        Where a program executes the notebook it returns the job, which is to be waited for.
        """
        self._output(background=True)
        job = self._job(self._watch)
        # Before it starts: `_watch` assigns the image only where the name still holds the job.
        self._shell.push({self.args.name: job})
        job._start()
        return job if self._is_executed else None

    def wait_for(self, job: Job) -> None:
        """Wait for what runs in the background: what executes a notebook takes no output that comes later."""
        try:
            job._wait()
        except _INTERRUPTIONS as interruption:
            event_loop.wait(job._ended)
            raise event_loop.interrupted(self._after_interrupt(job)) from interruption

    async def wait_for_async(self, job: Job) -> None:
        """Do what `wait_for` does, where the cell can await it."""
        try:
            await job._wait_async()
        except _INTERRUPTIONS as interruption:
            await event_loop.wait_async(job._ended)
            raise event_loop.interrupted(self._after_interrupt(job)) from interruption

    def dry_run(self) -> None:
        """Show the request and what it may cost."""
        print("POST /v1/images/generations")  # noqa: T201 - this is the output
        print(clean_json(json.dumps(self.params.body(), indent=2, ensure_ascii=False)))  # noqa: T201
        # Without a key there is no service whose model could end; asking for its address would start the simulator.
        where = discover(found=self._found).endpoint if self._found.key else None
        ends = retirement_note(self.params.model, where) if where else ""
        for note in filter(None, [*self._notes, *value_notes(self.params.body()).values(), ends]):
            print(f"Note: {clean(note)}")  # noqa: T201
        print(f"Estimate: {formatting.estimate(self.params, session.price_of(self.params.model))}. Nothing was sent.")  # noqa: T201

    def _output(self, *, background: bool = False) -> Output:
        """Show that the work begins, and return where it is shown."""
        arguments = (self.args.name, self.params)
        if self.args.quiet:
            self.output = Output(*arguments)
        elif hasattr(self._shell, "kernel"):
            self.output = Card(*arguments, background=background)
        else:
            self.output = Text(*arguments)
        try:
            self.output.begin()
        except Exception as error:  # noqa: BLE001 - whatever a front end's libraries raise: decoration never stops the work
            self.output = Plain(*arguments)
            self.output.begin()
            self._notes.append(f"The card cannot be shown here ({type(error).__name__}: {error}).")
        return self.output

    def _job(self, observer: Any) -> Job:
        """Return the job, of which nothing has been sent yet."""
        try:
            settings = discover(found=self._found)
            reuse = session.reuse if self.args.reuse is None else self.args.reuse
            more: dict[str, Any] = {"reuse": reuse, "max_cost": self.args.max_cost, "record": self._record}
            job = new_job(self.params, settings, get_default(), observer, **more)
            job._notes_on_request += [*self._notes, *_note_on_reuse(job)]
            self.output.attach(job)
        except BaseException as error:
            # An interrupt, too: the card stands there already, and nothing else would take it away.
            self._show_error(error, None)
            raise
        return job

    def _watch(self, job: Job) -> None:
        self.output.update(job)
        if job.done():
            if self._shell.user_ns.get(self.args.name) is job:  # unless somebody took the name meanwhile
                self._assign(job)
                if self._is_executed and job.images:
                    self._shell.push({self.args.name: answering_as(job)})
            failure = job._failure
            # With --quiet and in a terminal nothing shows it yet. A thread's print lands in whatever cell runs by then.
            if not self.output.finish(job, failure) and failure:
                print(formatting.Box.of(failure).text)  # noqa: T201 - nobody is there to raise it to

    def _end(self, job: Job) -> None:
        # First: what --save could not write becomes a notice of the job, which `finish` shows.
        self._assign(job)
        if failure := job._failure:
            raise self._show_error(failure, job)
        self.output.finish(job, None)

    def _show_error(self, error: BaseException, job: Job | None) -> BaseException:
        """Show an error, and return it to be raised: it has only to say then what became of the variable."""
        if self.output.finish(job, error) and isinstance(error, GradientNotebookError):
            error.shown_as = self._left(job)
        return error

    def _interrupted(self, job: Job) -> KeyboardInterrupt:
        self._assign(job)
        self.output.finish(job, job._failure)
        return event_loop.interrupted(self._after_interrupt(job))

    def _after_interrupt(self, job: Job) -> str:
        return f"{self._left(job)}{event_loop.sent_words(billed=job._settings.is_billed)}"

    def _assign(self, job: Job) -> None:
        """Assign the images that came, and write their files where `--save` says."""
        if job.images:
            self._shell.push({self.args.name: job._value})
        if self.save is None:
            return
        finished = [slot.image_bytes for slot in job._slots if slot.image and slot.image_bytes]
        for index, data in enumerate(finished):
            # More images may come than were asked for: with n = 1, too, they must not overwrite one another.
            path = numbered(self.save, index, max(self.params.n, len(finished)))
            try:
                write_atomic(path, data, default_file_mode(), replaces=self.args.overwrite)
                self.output.saved.append(path)
                if self.args.recipe:
                    path = with_recipe_name(path)
                    copy = with_recipe(data, self.params)
                    write_atomic(path, copy, default_file_mode(), replaces=self.args.overwrite)
            except (OSError, GradientNotebookError) as error:
                job._recorder.notices.append(f"save={str(path)!r} failed ({error}); {self.args.name} holds the image.")

    def _left(self, job: Job | None) -> str:
        """Return what the variable holds after a failure."""
        count = len(job.images) if job else 0
        finished = f"{self.args.name} holds the finished images: {count} of {self.params.n}."
        return finished if count else f"{self.args.name} was not assigned."


def _note_on_reuse(job: Job) -> Iterator[str]:
    """Yield, once a session, that a request which was answered before need not be made again."""
    with contextlib.suppress(OSError):
        if (
            not job._reuse
            and not session.has_told(_REUSABLE)
            and job._recorder.is_answered()
            and session.is_first(_REUSABLE)
        ):
            yield _REUSABLE


_REUSABLE = "The archive has an image of this very request: with --reuse it is shown again, and nothing is sent."


def _notes(name: str, prompt: str) -> Iterator[str]:
    """Yield what may be a mistake of the cell's, and is done all the same."""
    if options := looks_like_options(prompt):
        yield f"The prompt ends in what looks like options ({clean(options)}): options go on the first line, before the prompt."
    if hasattr(builtins, name):
        yield f"{name} is a function of Python's, and your image from now on: `del {name}` brings it back."
