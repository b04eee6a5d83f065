"""`%%imagegen` and the line magics; loading and unloading the extension."""

from __future__ import annotations

import ast
import inspect
import re
import tokenize
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from IPython.core import completer
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_cell_magic, line_magic, magics_class, needs_local_scope, no_var_expand
from IPython.display import display
from traitlets import TraitError

from ..api.error_words import SCRIPT, describe
from ..api.errors import GradientNotebookError, InvalidRequestError
from ..connect import discover, replay_notice, simulator_notice, without_key
from ..jobs.numbering import numbers
from ..session import session
from .config import ImageGen
from .job_lists import JobLists
from .magic_args import (
    COST_PARSER,
    HISTORY_PARSER,
    MODELS_PARSER,
    PANEL_PARSER,
    PARSER,
    Parser,
    asks_for_help,
    parse,
    split_prompt,
    unknown,
    words_of,
)
from .phrases import NOTEBOOK
from .preloading import Preloader
from .templates import interpolate

if TYPE_CHECKING:
    from .cell_run import CellRun
    from .sweep_run import SweepRun


@magics_class
class ImageGenMagics(Magics):
    """The magics. `in_cell` is set while a cell runs."""

    shell: InteractiveShell

    def __init__(self, shell: InteractiveShell, settings: ImageGen) -> None:
        super().__init__(shell)
        self.settings = settings
        self.matcher = _matcher(shell)
        self.lists = JobLists(shell)
        self.preloader = Preloader()
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
        if run is None:
            return
        if run.args.dry_run:
            run.dry_run()
        elif not run.args.no_wait:
            run.wait()
        elif begun := run.begin():
            run.wait_for(begun)  # type: ignore[arg-type] # what it has given itself

    async def imagegen_awaited(self, line: str, cell: str | None = None) -> None:
        """`imagegen` for a cell that can await: clicks get through while it does."""
        # It begins in the first column, so there are no local variables: the user's namespace is all that it sees.
        run = self._run(line, cell, None)
        if run is None:
            return
        if run.args.dry_run:
            run.dry_run()
        elif not run.args.no_wait:
            await run.wait_async()
        elif begun := run.begin():
            await run.wait_for_async(begun)  # type: ignore[arg-type] # what it has given itself

    imagegen.__doc__ = PARSER.format_help()

    @no_var_expand
    @line_magic
    def imagegen_panel(self, line: str) -> None:  # noqa: D102 - its text is its parser's, below
        # Here: `%load_ext` must load no widget code.
        from .widgets.panel import Panel

        options, text = split_prompt(line)
        if _helps(PANEL_PARSER, options):
            return
        if not hasattr(self.shell, "kernel"):
            what = "%imagegen_panel: a panel needs a notebook"
            raise InvalidRequestError(what, "Here %imagegen and %%imagegen make images.", sent=None)
        args = parse(options, partial(interpolate, namespace=self.shell.user_ns), PANEL_PARSER)
        if unfit := args.own_options - {"raw"}:
            what = f"%imagegen_panel: --{min(unfit).replace('_', '-')} works with %imagegen only"
            raise InvalidRequestError(what, "Leave it out: a panel sends nothing until you press Generate.")
        display(Panel(args.name, raw=args.raw, prompt=text or "", **args.given))

    imagegen_panel.__doc__ = PANEL_PARSER.format_help()

    @line_magic
    def imagegen_models(self, line: str) -> None:  # noqa: D102 - its text is its parser's, below
        from ..jobs import event_loop
        from ..jobs.runner import client_for
        from .models_view import show_models

        if _helps(MODELS_PARSER, line):
            return
        if words := words_of(line, MODELS_PARSER):
            raise unknown(words[0], MODELS_PARSER)
        settings = discover()
        listed = event_loop.run(client_for(settings).models.list())
        display(show_models(listed, settings.endpoint), raw=True)

    imagegen_models.__doc__ = MODELS_PARSER.format_help()

    @line_magic
    def imagegen_cost(self, line: str) -> None:  # noqa: D102 - its text is its parser's, below
        from .cost_view import cost_report

        if not _helps(COST_PARSER, line):
            if words := words_of(line, COST_PARSER):
                raise unknown(words[0], COST_PARSER)
            print(cost_report())  # noqa: T201

    imagegen_cost.__doc__ = COST_PARSER.format_help()

    @line_magic
    def imagegen_history(self, line: str) -> None:  # noqa: D102 - its text is its parser's, below
        from .history_view import history_from_line

        if not _helps(HISTORY_PARSER, line):
            display(history_from_line(line))

    imagegen_history.__doc__ = HISTORY_PARSER.format_help()

    @no_var_expand
    @line_magic
    def imagegen_login(self, line: str) -> None:
        """Ask for your model access key, try it, and keep it in this kernel's memory: `%imagegen_login`.

        `--keyring` keeps it in the system's keyring, too; `--forget` forgets it in both.
        """
        from .login import login

        text = inspect.cleandoc(ImageGenMagics.imagegen_login.__doc__ or "")
        print(text if asks_for_help(line) else login(line))  # noqa: T201

    def _run(self, line: str, cell: str | None, local_ns: Mapping[str, Any] | None) -> CellRun | SweepRun | None:
        """Return the run that the magic asks for; None where it asks for help, which is printed."""
        options, text = split_prompt(line) if cell is None else _continued(line, cell)
        if _helps(PARSER, options):
            return None
        if text is None:
            raise _without_prompt(cell)
        names = {**self.shell.user_ns, **(local_ns or {})}
        try:
            args = parse(options, partial(interpolate, namespace=names))
        except InvalidRequestError as error:
            if cell is not None:  # it is called as it was written
                error.summary = re.sub(r"^(?=%imagegen:)", "%", error.summary)
                error.hint = re.sub(r"(?<!%)(?=%imagegen\?)", "%", error.hint)
            raise
        if not text.strip():
            raise _without_prompt(cell)
        if args.vary:
            from .sweep_run import SweepRun  # here: most cells make no sweep

            return SweepRun(self.shell, args, args.vary, text, names)
        from .cell_run import (
            CellRun,  # here: what talks to the service and keeps images is half of all there is to load
        )

        return CellRun(self.shell, args, text, names)

    def await_in_cell(self, lines: list[str]) -> list[str]:
        """Let a cell that begins with the magic await it, so that Cancel gets through to a running cell.

        What is transformed inside a running cell is left alone: `%%time` and `%%capture` run their body in their
        own way, where it could not be awaited.
        """
        if self.in_cell or not self.shell.autoawait or not hasattr(self.shell, "kernel"):
            return lines  # a terminal has no clicks to wait for, and its Ctrl-C would leave behind what awaits
        starts = _statement_starts(lines) if any(map(_CALL.match, lines)) else ()
        return [_CALL.sub(_AWAITED, line) if at in starts else line for at, line in enumerate(lines, 1)]

    @staticmethod
    def find_magic(lines: list[str]) -> list[str]:
        """Let comments stand above the magic, and say what is wrong where code does.

        To Python the prompt of such a cell is a syntax error.
        """
        first = next((at for at, line in enumerate(lines) if line.strip() and not line.startswith("#")), 0)
        if _CELL.match("".join(lines[first : first + 1])):
            return lines[first:]
        below = next((at for at, line in enumerate(lines) if _CELL.match(line)), 0)
        is_of_another = "".join(lines[first : first + 1]).startswith("%%")  # as of `%%time`, which takes it for its own
        if below and not is_of_another and _is_code(lines[:below]):
            raise InvalidRequestError("%%imagegen begins its cell", "Put the code above it into a cell of its own.")
        return lines

    def cell_begins(self, info: Any) -> None:
        """Note that what is transformed from now on is inside of a cell; a cell may run others."""
        if not self.in_cell:
            self.in_cell, self._outermost = True, info
            numbers.begin_cell(getattr(info, "cell_id", None) or "")
            self.preloader.cell_begins()

    def cell_ends(self, result: Any) -> None:
        """Note that what is transformed from now on is a cell. There is no result where it was cancelled."""
        if result is None or self._outermost in (None, result.info):
            self.in_cell, self._outermost = False, None
            if hasattr(self.shell, "kernel"):  # a terminal shows no cards
                self.preloader.cell_ends()


def _helps(parser: Parser, line: str) -> bool:
    """Print the help of a magic where its line asks for it; return whether it does."""
    if asks_for_help(line):
        print(parser.format_help())  # noqa: T201
        return True
    return False


def _without_prompt(cell: str | None) -> InvalidRequestError:
    """Return what the line form says where there is no prompt, or a cell."""
    if cell is None:
        what, advice = "%imagegen: there is no prompt", "Write %imagegen [NAME] [options] -- prompt."
        return InvalidRequestError(what, advice, param="prompt")
    return InvalidRequestError("There is no prompt: write it in the lines below %%imagegen.", param="prompt")


def _continued(line: str, body: str) -> tuple[str, str]:
    """Return the options and the prompt of a cell: a line of options that ends in a backslash goes on in the next."""
    while line.rstrip().endswith("\\") and body:
        more, _, body = body.partition("\n")
        line = f"{line.rstrip()[:-1]} {more}"
    return line, body.strip()


def _statement_starts(lines: list[str]) -> set[int]:
    """Return the lines, from 1, that begin with code: a text of several lines may hold what looks like it."""
    try:
        tokens = list(tokenize.generate_tokens(iter(lines).__next__))
    except (tokenize.TokenError, SyntaxError):
        return set()
    # The first column only: in a `def`, `await` would be a syntax error, and there the magic blocks.
    return {token.start[0] for token in tokens if token.type == tokenize.NAME and token.start[1] == 0}


# What is asked while a cell is typed, whether it is complete, goes on without it.
ImageGenMagics.find_magic.has_side_effects = True  # type: ignore[attr-defined]


def _is_code(lines: list[str]) -> bool:
    """Whether lines are whole statements, magics among them: within a text, what looks like a magic is none."""
    try:
        ast.parse("".join("pass\n" if line.startswith(("%", "!")) else line for line in lines))
    except (SyntaxError, ValueError):
        return False
    return True


_CELL = re.compile(r"%%imagegen\b")
_CALL = re.compile(r"^get_ipython\(\)\.run_(?:cell|line)_magic\('imagegen', ")
# Found through the shell: a name of ours in the user's namespace could be overwritten, or deleted.
_AWAITED = "await get_ipython().magics_manager.registry['ImageGenMagics'].imagegen_awaited("


def load(shell: InteractiveShell) -> None:
    """Add everything: magics, `%config ImageGen`, completion, the native await, lists of jobs that show themselves."""
    GradientNotebookError.phrases = NOTEBOOK
    notice = _notice()
    magics = ImageGenMagics(shell, _settings(shell))
    shell.register_magics(magics)
    shell.configurables.append(magics.settings)
    shell.input_transformers_cleanup.append(magics.find_magic)
    shell.input_transformers_post.append(magics.await_in_cell)
    shell.events.register("pre_run_cell", magics.cell_begins)
    shell.events.register("post_run_cell", magics.cell_ends)
    if magics.matcher:
        shell.Completer.custom_matchers.append(magics.matcher)
    if notice:
        print(notice)  # noqa: T201 - in one line, before the first cell


def _matcher(shell: InteractiveShell) -> Any:
    """Return what completes options; None before IPython 8.6, as on Colab, where the rest works without."""
    if not hasattr(completer, "context_matcher"):
        return None
    from .completion import make_matcher

    return make_matcher(shell)


def _notice() -> str:
    """Return what there is to say of the key before the first request."""
    try:
        said = replay_notice() if session.replay else simulator_notice() if without_key() else ""
        return f"gradient_notebook: {said}" if said else ""
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
    shell.input_transformers_cleanup.remove(magics.find_magic)
    shell.input_transformers_post.remove(magics.await_in_cell)
    shell.events.unregister("pre_run_cell", magics.cell_begins)
    shell.events.unregister("post_run_cell", magics.cell_ends)
    if magics.matcher:
        shell.Completer.custom_matchers.remove(magics.matcher)
    magics.lists.remove()
    magics.preloader.close()
    magics.settings.reset()
    GradientNotebookError.phrases = SCRIPT
