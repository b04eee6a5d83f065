"""`gradient-notebook`: the quickstart in the current folder, the simulator alone, and the history, from a shell."""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from .api.errors import GradientNotebookError
from .api.text import clean, shortened

if TYPE_CHECKING:
    from .sweeps.sweep import Sweep

_HERE = Path(__file__).parent
_NOTEBOOKS = (_HERE / "notebooks", _HERE.parent / "notebooks")
"""Where the notebooks lie: in a wheel, and in a checkout."""
QUICKSTART = "quickstart"
_PROMPT_CHARACTERS = 60
_LOOK_S = 1.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what a command line asks for; return the exit status."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given[:1] == ["simulator"]:
        from .simulator.__main__ import main as simulate

        return simulate(given[1:], prog="gradient-notebook simulator")
    chosen = _parser().parse_args(given)
    try:
        status = int(chosen.run(chosen))
        sys.stdout.flush()  # here, where it can still be told that nobody reads
    except BrokenPipeError:  # who reads has seen enough, as `head`: Python's own flush at the end has to go somewhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except GradientNotebookError as error:
        _say(str(error))
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gradient-notebook", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "--version", action="version", version=f"gradient-notebook {metadata.version('gradient-notebook')}"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    demo = commands.add_parser("demo", help="copy a notebook here, and open it in JupyterLab", allow_abbrev=False)
    demo.add_argument("name", nargs="?", default=QUICKSTART, metavar="NAME", help=f"one of {', '.join(_named())}")
    demo.add_argument("--no-open", action="store_true", help="copy it, and open nothing")
    demo.set_defaults(run=_demo)
    commands.add_parser("simulator", help="run the simulated service alone; --help shows its options")
    history = commands.add_parser("history", help="list what has been made, newest first", allow_abbrev=False)
    history.add_argument("words", nargs="*", help="words of the prompt, or the beginning of a record's ID")
    history.add_argument("--since", metavar="DATE", help="2026-11-21, today, yesterday, 7d")
    history.add_argument("--until", metavar="DATE", help="latest day or time")
    history.add_argument("--outcome", help="done, refused, failed, cancelled, unknown or running")
    history.add_argument("--limit", type=int, default=20, metavar="N", help="how many are listed at most (20)")
    history.set_defaults(run=_history)
    runs = commands.add_parser("runs", help="list sweeps, and watch or steer those that run", allow_abbrev=False)
    runs.add_argument("what", nargs="?", default="list", choices=("list", *_RUNS), metavar="WHAT", help=_RUNS_HELP)
    runs.add_argument("id", nargs="?", metavar="ID", help="the run's ID, or the beginning of it")
    runs.set_defaults(run=_runs)
    return parser


_RUNS = ("attach", "cancel", "pause", "resume", "log")
_RUNS_HELP = f"list, or with an ID {', '.join(_RUNS)}; attach shows how far it is until its end"


def _named() -> dict[str, Path]:
    """Return the notebooks by their names, in their order."""
    folder = next((folder for folder in _NOTEBOOKS if any(folder.glob("*.ipynb"))), _HERE)
    return {path.stem.partition("-")[2]: path for path in sorted(folder.glob("*.ipynb"))}


def _demo(chosen: argparse.Namespace) -> int:
    notebooks = _named()
    source = notebooks.get(chosen.name)
    if source is None:
        _say(f"demo {chosen.name}: expected one of {', '.join(notebooks) or 'none: the installation is not whole'}")
        return 2
    target = Path.cwd() / source.name
    try:
        # Never over what somebody has worked in.
        with target.open("xb") as file:
            file.write(source.read_bytes())
        print(f"{target.name} is in {target.parent}.")
    except FileExistsError:
        print(f"{target.name} was here already, and stays as it is.")
    except OSError as error:
        _say(f"{target.name} cannot be written to {target.parent} ({error.strerror}). Go to a folder of your own.")
        return 1
    if chosen.no_open:
        return 0
    if importlib.util.find_spec("jupyterlab") is None:
        print(
            f"JupyterLab is not installed here. Install and open it:\n  pip install jupyterlab && jupyter lab {target.name}"
        )
        return 0
    as_root = ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    # As a default: the address that JupyterLab prints leads to the notebook, too, and not to an empty launcher.
    at = f"--LabApp.default_url=/lab/tree/{target.name}"
    headless = [] if _has_display() else ["--no-browser"]
    try:
        return subprocess.run([sys.executable, "-m", "jupyterlab", at, *headless, *as_root], check=False).returncode
    except KeyboardInterrupt:  # it was ended, as JupyterLab says itself
        return 0


def _has_display() -> bool:
    """Whether a browser could open here: of Linux and its like, only a session with a display can."""
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _history(chosen: argparse.Namespace) -> int:
    from .history.query import history

    found = history(" ".join(chosen.words), since=chosen.since, until=chosen.until, outcome=chosen.outcome)
    for entry in found[: max(0, chosen.limit)]:
        prompt = shortened(clean(entry.prompt), _PROMPT_CHARACTERS)
        print(f"{entry.id}  {entry.started:%Y-%m-%d %H:%M}  {entry.outcome:<9}  {prompt}")
        for path in entry.paths:
            print(f"    {path}")
    print(f"{len(found):,} generation{'' if len(found) == 1 else 's'}, {found.byte_count / 1e6:,.1f} MB")
    return 0


def _runs(chosen: argparse.Namespace) -> int:
    from .sweeps.listing import sweeps

    if chosen.what == "list":
        print(sweeps())
        return 0
    if chosen.id is None:
        _say(f"runs {chosen.what}: expected the ID of a run, as `gradient-notebook runs` lists them")
        return 2
    from .sweeps.sweep import Sweep

    study = Sweep.attach(chosen.id)
    if chosen.what == "attach":
        return _attend(study)
    if chosen.what == "log":
        return _print_log(study.id)
    if study.done():
        print(f"{study!r}: nothing runs.")
        return 1
    {"cancel": study.cancel, "pause": study.pause, "resume": study.resume}[chosen.what]()
    print(f"Run {study.id} is told to {chosen.what}.")
    return 0


def _attend(study: Sweep) -> int:
    """Say how far a run is until it ends; Ctrl-C ends only that."""
    told = ""
    while True:
        if repr(study) != told:
            print(told := repr(study), flush=True)
        if study.done():
            break
        try:
            study.result(timeout=_LOOK_S)
        except TimeoutError:
            continue
        except KeyboardInterrupt:
            _say(f"run {study.id} goes on; `gradient-notebook runs cancel {study.id}` ends it.")
            return 130
    for note in study.notes:
        print(note)
    return 0


def _print_log(run: str) -> int:
    from .storage.archive import get_default
    from .sweeps.runner_log import log_of, older

    archive = get_default()
    path = log_of(archive, run) if archive else None
    there = [one for one in (older(path), path) if one.exists()] if path else []
    if not there:
        _say(f"Run {run} has no log: no process of its own has made it.")
        return 1
    for one in there:
        sys.stdout.write(one.read_text(encoding="utf-8", errors="replace"))
    return 0


def _say(words: str) -> None:
    print(f"gradient-notebook: {words}", file=sys.stderr)
