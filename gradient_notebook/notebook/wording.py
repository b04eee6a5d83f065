"""What the faces say of a request and of a job: as plain text and, where a front end shows it, as HTML.

Prompts, model names and the service's messages are data: everything is escaped.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence

from ..api.errors import ContentRefused, GradientNotebookError, JobCancelled
from ..api.params import ImageGenerateParams, estimated_output_tokens
from ..jobs.job import Job
from ..jobs.tile import Tile

DOT = " · "
_EDGES = (
    (ContentRefused, "--jp-warn-color1,#b58100"),
    (JobCancelled, "--jp-border-color1,#8a8a8a"),
)
_FONT = "font-family:var(--jp-ui-font-family,system-ui,sans-serif);font-size:13px;line-height:1.45"


def described(params: ImageGenerateParams) -> str:
    """Return the settings that matter most, as `1536×1024 · high · png`."""
    size, quality = params.effective("size"), params.effective("quality")
    chosen = [size.replace("x", "×") if size != "auto" else "auto size"]
    chosen += [quality] if quality != "auto" else []
    return DOT.join([*chosen, params.effective("output_format")])


def label(index: int, tile: Tile) -> str:
    """Return the words on a tile, as `2 · partial 1`."""
    if tile.status == "failed":
        return "refused" if isinstance(tile.error, ContentRefused) else "failed"
    if tile.status == "cancelled":
        return "cancelled"
    state = "done" if tile.status == "done" else f"partial {len(tile.partials)}" if tile.partials else ""
    return DOT.join(filter(None, [str(index + 1), state]))


def progress(job: Job) -> str:
    """Return where a running job stands, as `1 of 3 done · 1 refused (violence)`."""
    if len(job.tiles) == 1 and not job.tiles[0].partials:
        return "waiting"
    if len(job.tiles) == 1:
        return f"partial {len(job.tiles[0].partials)} of {job.params.partial_images}"
    refused = [error for error in job.errors if isinstance(error, ContentRefused)]
    why = ", ".join(dict.fromkeys(category for error in refused for category in error.categories))
    return DOT.join(
        filter(
            None,
            [
                f"{len(job.images)} of {len(job.tiles)} done",
                f"{len(refused)} refused{f' ({why})' if why else ''}" if refused else "",
                f"{len(job.errors) - len(refused)} failed" if len(job.errors) > len(refused) else "",
            ],
        )
    )


def caption(name: str, job: Job, cost: str) -> list[str]:
    """Return the parts of the line under the finished images; the first is the variable's name."""
    first = job.images[0]
    tile = next(tile for tile in job.tiles if tile.image)
    count = f"{len(job.images)} PIL images" if isinstance(job.value, list) else "PIL"
    quality = tile.event.quality if tile.event else None
    return [
        name,
        f"{count} {first.width}×{first.height} {(first.format or '').lower()}".strip(),
        *([quality] if quality else []),
        seconds(job.elapsed_s),
        *([f"{job.usage.total_tokens:,} tokens"] if job.usage else []),
        *([cost] if cost else []),
        *([_short(tile.path.name)] if tile.path and len(job.images) == 1 else []),
    ]


def seconds(elapsed_s: float) -> str:
    """Return a duration as people read it."""
    return f"{elapsed_s:.1f} s" if elapsed_s < 60 else f"{elapsed_s // 60:.0f} min {elapsed_s % 60:.0f} s"


def estimate(params: ImageGenerateParams, price: Callable[[int], str]) -> str:
    """Return what a request may cost, in output tokens and at the session's prices."""
    tokens = dict.fromkeys(estimated_output_tokens(params))
    count = f"{params.n} image{'' if params.n == 1 else 's'}"
    costs = list(filter(None, map(price, tokens)))
    cost = f", {' to '.join(costs)}" if costs else ""
    return f"{count}, about {' to '.join(f'{number:,}' for number in tokens)} output tokens{cost}"


def line(parts: Sequence[str]) -> dict[str, str]:
    """Return a caption as something to display."""
    name, *rest = [html.escape(part) for part in parts]
    colour = "color:var(--jp-ui-font-color2,var(--vscode-descriptionForeground,GrayText))"
    strong = f'<b style="color:var(--jp-ui-font-color1,var(--vscode-foreground,CanvasText))">{name}</b>'
    style = f"{_FONT};{colour};font-variant-numeric:tabular-nums;overflow-wrap:anywhere"
    return {"text/html": f'<div style="{style}">{DOT.join([strong, *rest])}</div>', "text/plain": DOT.join(parts)}


def box(what: str, advice: str, error: BaseException | None = None) -> dict[str, str]:
    """Return a refusal (amber), a cancellation (grey) or a failure (red) as something to display."""
    edge = next((colour for kind, colour in _EDGES if isinstance(error, kind)), "--jp-error-color1,#d32f2f")
    style = (
        f"{_FONT};color:var(--jp-ui-font-color1,var(--vscode-foreground,CanvasText));padding:8px 14px;"
        f"border-left:3px solid var({edge});border-radius:3px;max-width:768px;box-sizing:border-box;"
        f"background:color-mix(in srgb,var({edge}) 9%,transparent);overflow-wrap:anywhere"
    )
    quiet = f'<div style="opacity:.75">{html.escape(advice)}</div>' if advice else ""
    return {
        "text/html": f'<div style="{style}"><b>{html.escape(what)}</b>{quiet}</div>',
        "text/plain": f"{what}\n{advice}".strip(),
    }


def failure_box(error: BaseException) -> dict[str, str]:
    """Return what went wrong as something to display."""
    return box(*said(error), error)


def shortcomings(job: Job | None) -> list[dict[str, str]]:
    """Return what is wrong beside finished images: why others did not come, each reason once, and notices."""
    if job is None:
        return []
    reasons: dict[str, list[Exception]] = {}
    for error in job.errors if job.images else ():
        reasons.setdefault(said(error)[0], []).append(error)
    missing = [
        box(f"{len(same)} of {len(job.tiles)} did not come. {what}", said(same[0])[1], same[0])
        for what, same in reasons.items()
    ]
    return missing + [box(notice, "") for notice in job.notices]


def joined(bundles: Sequence[dict[str, str]]) -> dict[str, str]:
    """Return several things to display as one; of nothing, an empty text."""
    if not bundles:
        return {"text/plain": ""}
    return {
        "text/html": "".join(bundle["text/html"] for bundle in bundles),
        "text/plain": "\n".join(bundle["text/plain"] for bundle in bundles),
    }


def said(error: BaseException) -> tuple[str, str]:
    """Return what an error says, and its advice."""
    if isinstance(error, GradientNotebookError):
        return error.what, error.advice
    return f"Stopped by {type(error).__name__}: {error}".rstrip(": "), ""


def _short(file_name: str) -> str:
    stem, _, suffix = file_name.rpartition(".")
    return f"{stem[:4]}…{stem[-2:]}.{suffix}"
