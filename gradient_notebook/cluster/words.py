"""What is said of workers that cannot make images of a run, before anything is sent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from ..api.credentials import KEY_VARIABLES
from ..api.errors import InvalidRequestError
from ..api.text import SHORT, clean, shortened

_NAMED = 3
_ADVICE = {
    "package": "Install gradient-notebook there, in this version: {version}.",
    "version": "Install gradient-notebook {version} there, or the workers' version here.",
    "folder": "Set archive_dir to a folder that this process and all workers see and can write: {folder} is not.",
    "disk": "Make room where the archive lies: {folder}.",
    "key": (
        f"Set {KEY_VARIABLES[0]} in the environment of the workers. "
        "The key goes to workers by itself only over TLS, or on one machine."
    ),
    "answer": "Restart these workers.",
}
_WHAT = {
    "package": "have no gradient_notebook",
    "version": "have gradient_notebook {told}, and this process has {version}",
    "folder": "do not see the folder of the archive, or cannot write there",
    "disk": "have no room on the disk of the archive",
    "key": "have no key",
    "answer": "do not answer ({told})",
}


def lacking(told: Any) -> tuple[str, str]:
    """Return what a worker lacks by its answer, and what it says of it; nothing where it can make images."""
    if isinstance(told, ModuleNotFoundError):
        is_ours = (told.name or "").partition(".")[0] == "gradient_notebook"
        return ("version", "of another version") if is_ours and "." in (told.name or "") else ("package", "")
    if isinstance(told, Exception):
        return "answer", shortened(clean(f"{type(told).__name__}: {told}"), SHORT)
    return told["lacks"], told["version"]


def refusal(answers: Mapping[str, Any], *, version: str, folder: str) -> InvalidRequestError | None:
    """Return the error for workers that cannot make images; None where all of them can."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for address, told in answers.items():
        lacks, said = lacking(told)
        if lacks:
            found[lacks].append((address, said))
    if not found:
        return None
    lacks, those = max(found.items(), key=lambda item: len(item[1]))
    names = ", ".join(clean(address, SHORT) for address, _ in those[:_NAMED])
    more = f" and {len(those) - _NAMED} more" if len(those) > _NAMED else ""
    facts = {"version": version, "folder": folder, "told": clean(those[0][1], SHORT)}
    what = f"{len(those)} of {len(answers)} workers {_WHAT[lacks].format(**facts)}: {names}{more}"
    return InvalidRequestError(what, _ADVICE[lacks].format(**facts), param="on", sent=False)
