"""What enlarges the picture of a cell without a kernel and without a script: a word in the line under it, and a style.

JupyterLab's images can't be clicked, scripts do not run in every notebook, and a second, larger picture would double what a
notebook weighs. A disclosure (`<details>`) is reached by Tab, opened by Enter and read out by every screen reader.
"""

from __future__ import annotations

import html
import os
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from ..jobs.job import Job
from .formatting import DOT, RECORD_CHARACTERS

_LINK = "cursor:pointer;color:var(--jp-content-link-color,var(--vscode-textLink-foreground,LinkText))"


def disclosure(name: str, job: Job, saved: Iterable[Path] = ()) -> str:
    """Return, as HTML, what shows a job's picture above it large when it is opened, and says where the originals are.

    `saved` are files beside those of the archive. A page can link to what lies under the notebook's folder, and to nothing else.
    """
    from ..imaging import tiling  # and Pillow, which a kernel loads when there is a picture

    first = job.images[0]
    whole = tiling(len(job.images), first.width / first.height).whole
    percent = round(100 * whole[0] / whole[1])
    return (
        f'{DOT}<details class="gradient-large-{percent}" style="display:inline">'
        f'<summary style="display:inline;{_LINK}">Large, original</summary>'
        f"<div>{_where(name, job)}{_links([*saved, *_archived(job)])}</div></details>{_style(percent)}"
    )


def _style(percent: int) -> str:
    """Return what makes the image above as wide as there is room for, as long as the window is high enough for it."""
    shown = f".jp-OutputArea-child:has(+ .jp-OutputArea-child .gradient-large-{percent}[open]) .jp-RenderedImage img"
    width = f"min(100%,calc(max(82vh,640px)*{percent / 100}))"
    return f"<style>{shown}{{width:{width}!important;height:auto!important;max-width:none!important}}</style>"


def _where(name: str, job: Job) -> str:
    attribute = "images" if isinstance(job._value, list) else "image"
    kept = f'history("{job.id[:RECORD_CHARACTERS]}")[0].{attribute}'
    kept = f", and in any kernel <code>{html.escape(kept)}</code>" if job._recorder.is_recorded else ""
    return f"At full size: <code>{html.escape(name)}</code>{kept}."


def _archived(job: Job) -> list[Path]:
    return [slot.path for slot in job._slots if slot.image and slot.path]


def _links(paths: Iterable[Path]) -> str:
    shown = list(dict.fromkeys(filter(None, map(_address, paths))))
    links = [
        f'<a href="{quote(each)}" target="_blank" style="{_LINK}">{html.escape(Path(each).name)}</a>' for each in shown
    ]
    return f" {DOT.join(links)}" if links else ""


def _address(path: Path) -> str:
    """Return a file's address from the notebook, whose folder a kernel begins in; empty where its server would refuse it."""
    try:
        relative = Path(os.path.relpath(path.resolve(), Path.cwd()))
    except (OSError, ValueError):  # another drive, or a folder that is gone
        return ""
    return "" if any(part.startswith(".") for part in relative.parts) else relative.as_posix()
