"""`%%imagegen` and the line magics; loading and unloading the extension."""

from __future__ import annotations

import asyncio
import json
import re
import tokenize
from collections.abc import Mapping
from functools import partial
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_cell_magic, line_magic, magics_class, needs_local_scope, no_var_expand
from IPython.display import display
from traitlets import TraitError

from ..api.advice import retirement_note, value_notes
from ..api.credentials import refuse_key_in
from ..api.errors import SCRIPT, GradientNotebookError, InvalidRequestError, describe
from ..api.params import ImageGenerateParams
from ..connect import discover, find_key, simulator_notice, without_key
from ..jobs import event_loop
from ..jobs.job import Job, new_job
from ..jobs.runner import client_for
from ..session import session
from ..storage.archive import default_file_mode, get_default, write_atomic
from . import formatting
from .cell_output import Card, Output, Text
from .completion import make_matcher
from .config import ImageGen
from .magic_args import HISTORY_PARSER, PARSER, MagicArgs, complete_given, numbered, parse, save_path, split_prompt
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
        self._found = find_key()
        if self._found.key:
            try:
                refuse_key_in(self.params.given(), self._found.key)
            except InvalidRequestError:
                del self.params  # a traceback can show what an object holds
                raise
        self.save = None
        if args.save is not None:
            # Now: a path that cannot be written is refused before anything is sent and billed.
            self.save = save_path(args.save if args.raw else fill(args.save), args.name, self.params)
        self._shell = shell

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

    def run_in_background(self) -> None:
        """Begin, and let the cell go: the variable holds the job, and then its image."""
        self._output(background=True)
        job = self._job(self._watch)
        # Before it starts: `_watch` assigns the image only where the name still holds the job.
        self._shell.push({self.args.name: job})
        job._start()

    def dry_run(self) -> None:
        """Show the request and what it may cost."""
        print("POST /v1/images/generations")  # noqa: T201 - this is the output
        print(json.dumps(self.params.body(), indent=2, ensure_ascii=False))  # noqa: T201
        # Without a key there is no service whose model could end; asking for its address would start the simulator.
        where = discover(found=self._found).endpoint if self._found.key else None
        ends = retirement_note(self.params.model, where) if where else ""
        for note in filter(None, [*value_notes(self.params.body()).values(), ends]):
            print(f"Note: {note}")  # noqa: T201
        print(f"Estimate: {formatting.estimate(self.params, session.price)}. Nothing was sent.")  # noqa: T201

    def _output(self, *, background: bool = False) -> Output:
        arguments = (self.args.name, self.params)
        if self.args.quiet:
            self.output = Output(*arguments)
        elif hasattr(self._shell, "kernel"):
            self.output = Card(*arguments, background=background)
        else:
            self.output = Text(*arguments)
        return self.output

    def _job(self, observer: Any) -> Job:
        """Show that the work begins, and return the job, of which nothing has been sent yet."""
        self.output.begin()
        try:
            settings = discover(found=self._found)
            job = new_job(self.params, settings, get_default(), observer)
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

    def _interrupted(self, job: Job) -> event_loop.Interrupted:
        self._assign(job)
        self.output.finish(job, job._failure)
        return event_loop.Interrupted(f"{self._left(job)} Requests already sent may be billed.")

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
                write_atomic(path, data, default_file_mode())
            except OSError as error:
                job._recorder.notices.append(f"save={str(path)!r} failed ({error}); {self.args.name} holds the image.")

    def _left(self, job: Job | None) -> str:
        """Return what the variable holds after a failure."""
        count = len(job.images) if job else 0
        finished = f"{self.args.name} holds the finished images: {count} of {self.params.n}."
        return finished if count else f"{self.args.name} was not assigned."


@magics_class
class ImageGenMagics(Magics):
    """The magics. `in_cell` is set while a cell runs."""

    shell: InteractiveShell

    def __init__(self, shell: InteractiveShell, settings: ImageGen) -> None:
        super().__init__(shell)
        self.settings = settings
        self.matcher = make_matcher(shell)
        self._outermost: Any = None
        self.in_cell = True  # loading runs in a cell, whose beginning is never seen

    # IPython would expand {x} and $x on the first line, where the line form has its prompt, and eat the $5 of a price.
    @no_var_expand
    @needs_local_scope
    @line_cell_magic
    def imagegen(  # noqa: D102 - its text is made from the declaration, below
        self, line: str, cell: str | None = None, local_ns: Mapping[str, Any] | None = None
    ) -> None:
        run = self._run(line, cell, local_ns)
        if not self._at_once(run):
            run.wait()

    async def imagegen_awaited(self, line: str, cell: str | None = None) -> None:
        """`imagegen` for a cell that can await: clicks get through while it does."""
        # It begins in the first column, so there are no local variables: the user's namespace is all that it sees.
        run = self._run(line, cell, None)
        if not self._at_once(run):
            await run.wait_async()

    imagegen.__doc__ = PARSER.format_help()

    @no_var_expand
    @line_magic
    def imagegen_panel(self, line: str) -> None:
        """Show the panel: `%imagegen_panel [NAME] [options] [-- prompt]`. The options fill the form."""
        # Here: `%load_ext` must load no widget code.
        from .widgets.panel import Panel

        options, text = split_prompt(line)
        args = parse(options)
        if unfit := args.own_options - {"raw"}:
            what = f"%imagegen_panel: --{min(unfit).replace('_', '-')} works with %imagegen only"
            raise InvalidRequestError(what, "Leave it out: a panel sends nothing until you press Generate.")
        display(Panel(args.name, raw=args.raw, prompt=text or "", **args.given))

    @line_magic
    def imagegen_models(self, _line: str) -> None:
        """List the image models of the service, what is known of each, and which one is used: `%imagegen_models`."""
        from .models_view import show_models

        settings = discover()
        listed = event_loop.run(client_for(settings).models.list())
        display(show_models(listed, settings.endpoint), raw=True)

    @line_magic
    def imagegen_history(self, line: str) -> None:  # noqa: D102 - its text is its parser's, below
        from .history_view import history_from_line

        display(history_from_line(line))

    imagegen_history.__doc__ = HISTORY_PARSER.format_help()

    @no_var_expand
    @line_magic
    def imagegen_login(self, line: str) -> None:
        """Ask for your model access key, try it, and keep it in this kernel's memory: `%imagegen_login`.

        `--keyring` keeps it in the system's keyring, too; `--forget` forgets it in both.
        """
        from .login import login

        print(login(line))  # noqa: T201

    def _run(self, line: str, cell: str | None, local_ns: Mapping[str, Any] | None) -> CellRun:
        options, text = split_prompt(line) if cell is None else (line, cell.strip())
        if text is None:
            what = "%imagegen: no prompt after --"
            raise InvalidRequestError(what, "Write %imagegen [NAME] [options] -- prompt.")
        names = {**self.shell.user_ns, **(local_ns or {})}
        return CellRun(self.shell, parse(options), text, names)

    def _at_once(self, run: CellRun) -> bool:
        if run.args.dry_run:
            run.dry_run()
        elif run.args.no_wait:
            run.run_in_background()
        return run.args.dry_run or run.args.no_wait

    def await_in_cell(self, lines: list[str]) -> list[str]:
        """Let a cell that begins with the magic await it, so that Cancel gets through to a running cell.

        What is transformed inside a running cell is left alone: `%%time` and `%%capture` run their body in their
        own way, where it could not be awaited.
        """
        if self.in_cell or not self.shell.autoawait or not hasattr(self.shell, "kernel"):
            return lines  # a terminal has no clicks to wait for, and its Ctrl-C would leave behind what awaits
        starts = _statement_starts(lines) if any(map(_CALL.match, lines)) else ()
        return [_CALL.sub(_AWAITED, line) if at in starts else line for at, line in enumerate(lines, 1)]

    def cell_begins(self, info: Any) -> None:
        """Note that what is transformed from now on is inside of a cell; a cell may run others."""
        if not self.in_cell:
            self.in_cell, self._outermost = True, info

    def cell_ends(self, result: Any) -> None:
        """Note that what is transformed from now on is a cell. There is no result where it was cancelled."""
        if result is None or self._outermost in (None, result.info):
            self.in_cell, self._outermost = False, None


def _statement_starts(lines: list[str]) -> set[int]:
    """Return the lines, from 1, that begin with code: a text of several lines may hold what looks like it."""
    try:
        tokens = list(tokenize.generate_tokens(iter(lines).__next__))
    except (tokenize.TokenError, SyntaxError):
        return set()
    # The first column only: in a `def`, `await` would be a syntax error, and there the magic blocks.
    return {token.start[0] for token in tokens if token.type == tokenize.NAME and token.start[1] == 0}


_CALL = re.compile(r"^get_ipython\(\)\.run_(?:cell|line)_magic\('imagegen', ")
# Found through the shell: a name of ours in the user's namespace could be overwritten, or deleted.
_AWAITED = "await get_ipython().magics_manager.registry['ImageGenMagics'].imagegen_awaited("


def load(shell: InteractiveShell) -> None:
    """Add everything: magics, `%config ImageGen`, completion, the native await."""
    GradientNotebookError.phrases = formatting.NOTEBOOK
    notice = _notice()
    magics = ImageGenMagics(shell, _settings(shell))
    shell.register_magics(magics)
    shell.configurables.append(magics.settings)
    shell.input_transformers_post.append(magics.await_in_cell)
    shell.events.register("pre_run_cell", magics.cell_begins)
    shell.events.register("post_run_cell", magics.cell_ends)
    shell.Completer.custom_matchers.append(magics.matcher)
    if notice:
        print(notice)  # noqa: T201 - in one line, before the first cell


def _notice() -> str:
    """Return what there is to say of the key before the first request."""
    try:
        return f"gradient_notebook: {simulator_notice()}" if without_key() else ""
    except GradientNotebookError as error:
        return " ".join(describe(error))


def _settings(shell: InteractiveShell) -> ImageGen:
    try:
        return ImageGen(parent=shell)
    except TraitError as error:  # `%config` keeps what it has refused, too
        print(f"{error}. %config ImageGen uses its defaults.")  # noqa: T201
        del shell.config["ImageGen"]
        return ImageGen(parent=shell)


def unload(shell: InteractiveShell) -> None:
    """Undo all that `load` did."""
    magics = shell.magics_manager.registry.pop(ImageGenMagics.__name__)
    for kind, names in ImageGenMagics.magics.items():
        for name in names:
            shell.magics_manager.magics[kind].pop(name, None)
    shell.configurables.remove(magics.settings)
    shell.configurables.remove(magics)  # IPython's own Magics has put itself there
    shell.input_transformers_post.remove(magics.await_in_cell)
    shell.events.unregister("pre_run_cell", magics.cell_begins)
    shell.events.unregister("post_run_cell", magics.cell_ends)
    shell.Completer.custom_matchers.remove(magics.matcher)
    magics.settings.reset()
    GradientNotebookError.phrases = SCRIPT
