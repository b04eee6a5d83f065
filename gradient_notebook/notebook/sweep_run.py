"""One run of `%%imagegen --vary`: a sweep from the checked axes to its grid and its variable."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from IPython.display import display

from ..api.errors import InvalidRequestError
from ..jobs import event_loop
from ..session import session
from ..sweeps.start import sweep
from ..sweeps.sweep import Sweep
from . import formatting, sweep_line, sweep_words, vary_args
from .execution import is_executed
from .magic_args import MagicArgs, complete_given
from .sweep_view import SweepShown, show_sweep, shown_of

_INTERRUPTIONS = (asyncio.CancelledError, KeyboardInterrupt)
_UNFIT: Mapping[str, str] = {
    "save": "NAME.save('folder') writes all originals, and a table of them.",
    "recipe": "NAME.save('folder', recipes=True) writes them.",
    "overwrite": "It is for --save.",
    "record": "It is for one image.",
    "max_cost": "%config ImageGen.budget = … holds for a sweep, too.",
    "reuse": "A sweep always shows what the archive has; --fresh makes all again.",
}
"""Options of one image, and what there is instead."""
_STREAMED = ("stream", "partial_images")


class SweepRun:
    """One run of a magic that varies something: it is checked when it is made, and nothing has been sent yet."""

    def __init__(
        self, shell: InteractiveShell, args: MagicArgs, vary: vary_args.Vary, text: str, names: Mapping[str, Any]
    ) -> None:
        for option, advice in _UNFIT.items():
            if getattr(args, option) not in (None, False):
                what = f"--{option.replace('_', '-')} does not go with --vary"
                raise InvalidRequestError(what, advice.replace("NAME", args.name), param=option, sent=False)
        if "n" in args.given:
            raise InvalidRequestError(
                "-n does not go with --vary", "--repeat 3 makes three of each.", param="n", sent=False
            )
        self.args = args
        self.sweep = _sweep(args, vary, text, names)
        self._shell = shell
        self._is_executed = is_executed()
        self._shown: SweepShown | None = None

    def dry_run(self) -> None:
        """Show what would be made."""
        print(f"{self.sweep.plan}\nNothing was sent.")  # noqa: T201 - this is the output

    def wait(self) -> None:
        """Make the images, and return when all cells have ended."""
        self._begin()
        try:
            sweep_line.write_line(self.sweep)
            self.sweep._wait()
        except _INTERRUPTIONS as interruption:
            event_loop.wait(self.sweep._ended)
            raise self._interrupted() from interruption
        self._finish()

    async def wait_async(self) -> None:
        """Do what `wait` does, where the cell can await it."""
        self._begin()
        try:
            await self.sweep._wait_async()
        except _INTERRUPTIONS as interruption:
            await event_loop.wait_async(self.sweep._ended)
            raise self._interrupted() from interruption
        self._finish()

    def begin(self) -> Sweep | None:
        """Begin, and let the cell go. Where a program executes the notebook it returns what is to be waited for."""
        self._begin()
        return self.sweep if self._is_executed else None

    def wait_for(self, _begun: Sweep) -> None:
        """Wait for what runs in the background."""
        self.wait()

    async def wait_for_async(self, _begun: Sweep) -> None:
        """Do what `wait_for` does, where the cell can await it."""
        await self.wait_async()

    def _begin(self) -> None:
        """Start it, and show it; again it changes nothing."""
        if self._shell.user_ns.get(self.args.name) is self.sweep:
            return
        self._shell.push({self.args.name: self.sweep})
        if self.sweep.plan.to_make:
            self.sweep.start()
        if self.args.quiet or self._is_executed:
            return  # what executes a notebook keeps no widget
        if not hasattr(self._shell, "kernel"):
            print(f"{self.args.name}: {formatting.DOT.join(self.sweep.plan.facts)}", flush=True)  # noqa: T201
            return
        try:
            self._shown = shown_of(self.sweep)
            self._shown.show(awaited=not self.args.no_wait)
        except Exception as error:  # noqa: BLE001 - whatever a front end's libraries raise: decoration never stops the work
            self._shown = None
            print(f"The grid cannot be shown here ({type(error).__name__}: {error}).")  # noqa: T201

    def _finish(self) -> None:
        if self._shown:
            self._shown.awaited(now=False)
            self._shown.finish()
        elif self.args.quiet:
            missing = len(self.sweep) - self.sweep.outcomes.get("done", 0)
            if missing:
                print(f"{self.args.name}: {missing:,} of {len(self.sweep):,} images missing")  # noqa: T201 - never quiet
        elif hasattr(self._shell, "kernel"):
            display(show_sweep(self.sweep), raw=True)
        else:
            there = sweep_line.is_seen() and self.sweep.plan.to_make  # a line that has been written to its end
            said = [] if there else [formatting.DOT.join([self.args.name, *sweep_words.line(self.sweep)])]
            for words in [*said, *self.sweep.notes]:
                print(words, flush=True)  # noqa: T201

    def _interrupted(self) -> KeyboardInterrupt:
        self._finish()
        done = self.sweep.outcomes.get("done", 0)
        what = f"{self.args.name} holds the finished images: {done:,} of {len(self.sweep):,}."
        return event_loop.interrupted(f"{what}{event_loop.sent_words(billed=self.sweep._settings.is_billed)}")


def _sweep(args: MagicArgs, vary: vary_args.Vary, text: str, names: Mapping[str, Any]) -> Sweep:
    """Return the sweep that a cell asks for, of which nothing runs yet."""
    axes = vary_args.axes_of(vary, text, args.given, names, raw=args.raw)
    template, words = vary_args.filled(text, axes, names, raw=args.raw)
    try:
        return sweep(
            template,
            repeat=vary.repeat,
            pair=vary.pair,
            start=False,
            yes=vary.yes or args.dry_run,
            fresh=vary.fresh,
            max_images=vary.max_images,
            **{**_fixed(args, axes), **words, **axes},
        )
    except InvalidRequestError as error:
        if error.param != "max_images":
            raise
        advice = "Add --yes, or a higher --max-images; --dry-run shows what would be made."
        raise InvalidRequestError(error.summary, advice, param="max_images", sent=False) from error


def _fixed(args: MagicArgs, axes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that all cells share: those of the line, completed by the session's."""
    values = complete_given(args.given, session.defaults())
    # Nobody watches each image come into being: partial images would only cost.
    unasked = {"n", *_STREAMED} - args.given.keys()
    return {name: value for name, value in values.items() if name not in {*axes, *unasked} and value is not None}
