"""What the faces say of a request and of a job: as plain text and, where a front end shows it, as HTML.

Prompts, model names and the service's messages are data: everything is escaped.
"""

from __future__ import annotations

import dataclasses
import html
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..api.errors import ContentPolicyError, GradientNotebookError, JobCancelledError
from ..api.events import Usage
from ..api.params import PARAMETERS, ImageGenerateParams, estimated_output_tokens
from ..jobs.image_slot import ImageSlot
from ..jobs.job import Job

DOT = " · "
_KINDS: Mapping[str, tuple[tuple[type[BaseException], ...], str]] = {
    "refused": ((ContentPolicyError,), "--jp-warn-color1,#b58100"),
    "cancelled": ((JobCancelledError,), "--jp-border-color1,#8a8a8a"),
    "failed": ((), "--jp-error-color1,#d32f2f"),
}
"""Kinds of boxes: the errors that they are for, and the colour of their edge."""
_FONT = "font-family:var(--jp-ui-font-family,system-ui,sans-serif);font-size:13px;line-height:1.45"

STRONG = "color:var(--jp-ui-font-color1,var(--vscode-foreground,CanvasText))"
QUIET = (
    f"{_FONT};color:var(--jp-ui-font-color2,var(--vscode-descriptionForeground,GrayText));"
    "font-variant-numeric:tabular-nums;overflow-wrap:anywhere"
)


def summary(params: ImageGenerateParams) -> str:
    """Return the settings that matter most, as `1536×1024 · high · png`."""
    size, quality = params.effective("size"), params.effective("quality")
    chosen = [size.replace("x", "×") if size != "auto" else "auto size"]
    chosen += [quality] if quality != "auto" else []
    return DOT.join([*chosen, params.effective("output_format")])


def extra_settings(params: ImageGenerateParams, session: Mapping[str, Any]) -> list[str]:
    """Return what else was asked for than is usual, as `background transparent`; `session` are its defaults."""
    asked = []
    for name, value in params.given().items():
        parameter = PARAMETERS[name]
        described_already = parameter.multiline or (parameter.often and parameter.default is not None)
        if not described_already and value != session.get(name, parameter.default):
            asked.append(f"{parameter.label.lower()} {value}")
    return asked


def label(index: int, slot: ImageSlot) -> str:
    """Return the words on a slot, as `2 · partial 1`."""
    if slot.status == "failed":
        return "refused" if isinstance(slot.error, ContentPolicyError) else "failed"
    if slot.status == "cancelled":
        return "cancelled"
    state = "done" if slot.status == "done" else f"partial {len(slot.partials)}" if slot.partials else ""
    state = "queued" if slot.is_queued else "waiting" if slot.wait else state
    return DOT.join(filter(None, [str(index + 1), state]))


def progress(job: Job) -> str:
    """Return where a running job stands, as `1 of 3 done · 1 refused (violence)`."""
    if len(job.slots) == 1 and not job.slots[0].partials:
        return "waiting"
    if len(job.slots) == 1:
        return f"partial {len(job.slots[0].partials)} of {job.params.partial_images}"
    refused = [error for error in job.errors if isinstance(error, ContentPolicyError)]
    why = ", ".join(dict.fromkeys(category for error in refused for category in error.categories))
    return DOT.join(
        filter(
            None,
            [
                f"{len(job.images)} of {len(job.slots)} done",
                f"{len(refused)} refused{f' ({why})' if why else ''}" if refused else "",
                f"{len(job.errors) - len(refused)} failed" if len(job.errors) > len(refused) else "",
            ],
        )
    )


def waiting(job: Job) -> tuple[str, float]:
    """Return why a running job stands still, and for how many seconds yet; no words where it does not.

    The words end where the seconds follow, if there are any.
    """
    left = [slot for slot in job.slots if slot.status == "running"]
    waits = [slot.wait for slot in left if slot.wait]
    if waits:
        next_one = min(waits, key=lambda wait: wait.until_s)
        what = f"attempt {next_one.attempt} in" if next_one.attempt > 1 else "goes on in"
        return f"{next_one.reason}{DOT}{what}", max(0.0, next_one.until_s - time.monotonic())
    if left and all(slot.is_queued for slot in left):
        return "Queued until another request has ended", 0.0
    return "", 0.0


def caption(name: str, job: Job, cost: Callable[[Usage], str]) -> list[str]:
    """Return the parts of the line under the finished images; the first is the variable's name."""
    price = cost(job.usage) if job.usage else ""
    first = job.images[0]
    slot = next(slot for slot in job.slots if slot.image)
    count = f"{len(job.images)} PIL images" if isinstance(job.value, list) else "PIL"
    quality = slot.event.quality if slot.event else None
    return [
        name,
        f"{count} {first.width}×{first.height} {(first.format or '').lower()}".strip(),
        *([quality] if quality else []),
        seconds(job.elapsed_s),
        *([f"{job.usage.total_tokens:,} tokens"] if job.usage else []),
        *([price] if price else []),
        *([_short(slot.path.name)] if slot.path and len(job.images) == 1 else []),
    ]


def seconds(elapsed_s: float) -> str:
    """Return a duration as people read it."""
    return f"{elapsed_s:.1f} s" if elapsed_s < 60 else f"{elapsed_s // 60:.0f} min {elapsed_s % 60:.0f} s"


def tokens(params: ImageGenerateParams, price: Callable[[int], str]) -> str:
    """Return what a request may cost, in short, as `≈ 6,408 tokens`."""
    numbers, costs = _estimated(params, price)
    return DOT.join(filter(None, [f"≈ {'–'.join(numbers)} tokens", "–".join(costs)]))


def estimate(params: ImageGenerateParams, price: Callable[[int], str]) -> str:
    """Return what a request may cost, in output tokens and at the session's prices."""
    numbers, costs = _estimated(params, price)
    count = f"{params.n} image{'' if params.n == 1 else 's'}"
    cost = f", {' to '.join(costs)}" if costs else ""
    return f"{count}, about {' to '.join(numbers)} output tokens{cost}"


def _estimated(params: ImageGenerateParams, price: Callable[[int], str]) -> tuple[list[str], list[str]]:
    """Return the least and the most tokens, or the one number that both are, and the same in money if prices are set."""
    bounds = dict.fromkeys(estimated_output_tokens(params))
    return [f"{number:,}" for number in bounds], list(filter(None, map(price, bounds)))


def line(parts: Sequence[str]) -> dict[str, str]:
    """Return a caption as something to display."""
    name, *rest = [html.escape(part) for part in parts]
    strong = f'<b style="{STRONG}">{name}</b>'
    return {"text/html": f'<div style="{QUIET}">{DOT.join([strong, *rest])}</div>', "text/plain": DOT.join(parts)}


_ALONE = (
    "<style>.jp-OutputArea-child:not(:has(.gradient-panel:not(.jupyter-widgets-disconnected)))"
    ":has(+ .jp-OutputArea-child + .jp-OutputArea-child .gradient-record){display:none}</style>"
)
"""Hides what a notebook shows of a panel whose kernel is gone: an error, or a form that does nothing."""


def record(caption: Sequence[str], params: ImageGenerateParams | None = None) -> dict[str, str]:
    """Return what is known of a panel's last image, to stand under it where there is no panel."""
    below = line(caption)
    settings = params.body() if params else {}
    prompt = settings.pop("prompt", "")
    quiet = [prompt, DOT.join(f"{name} {value}" for name, value in settings.items())]
    quiet.append("Run this cell to use the panel.")
    rows = "".join(f'<div style="{QUIET}">{html.escape(words)}</div>' for words in quiet if words)
    return {
        "text/html": f'<div class="gradient-record">{below["text/html"]}{rows}{_ALONE}</div>',
        "text/plain": "\n".join([below["text/plain"], *filter(None, quiet)]),
    }


def edge(kind: str) -> str:
    """Return the colour that a kind of ending is marked with, as the inside of `var()`."""
    return _KINDS.get(kind, _KINDS["cancelled"])[1]


@dataclass(frozen=True)
class Box:
    """What went wrong, and what to do: a refusal, a cancellation or a failure."""

    what: str
    advice: str = ""
    kind: str = "failed"

    @classmethod
    def of(cls, error: BaseException, *, before: str = "") -> Box:
        """Return what an error says."""
        kind = next((name for name, (errors, _) in _KINDS.items() if isinstance(error, errors)), "failed")
        if isinstance(error, GradientNotebookError):
            return cls(before + error.what, error.advice, kind)
        return cls(f"{before}Stopped by {type(error).__name__}: {error}".rstrip(": "), "", kind)

    def plain(self) -> dict[str, str]:
        """Return it as plain values, for the live picture."""
        return dataclasses.asdict(self)

    def bundle(self) -> dict[str, str]:
        """Return it as something to display: a refusal is amber, a cancellation grey, a failure red."""
        colour = edge(self.kind)
        style = (
            f"{_FONT};color:var(--jp-ui-font-color1,var(--vscode-foreground,CanvasText));padding:8px 14px;"
            f"border-left:3px solid var({colour});border-radius:3px;max-width:768px;box-sizing:border-box;"
            f"background:color-mix(in srgb,var({colour}) 9%,transparent);overflow-wrap:anywhere"
        )
        quiet = f'<div style="opacity:.75">{html.escape(self.advice)}</div>' if self.advice else ""
        return {
            "text/html": f'<div style="{style}"><b>{html.escape(self.what)}</b>{quiet}</div>',
            "text/plain": f"{self.what}\n{self.advice}".strip(),
        }


def problems(job: Job | None) -> list[Box]:
    """Return what is wrong beside finished images: why others did not come, each reason once, and notices."""
    if job is None:
        return []
    reasons: dict[str, list[Exception]] = {}
    for error in job.errors if job.images else ():
        reasons.setdefault(Box.of(error).what, []).append(error)
    missing = [Box.of(same[0], before=f"{len(same)} of {len(job.slots)} did not come. ") for same in reasons.values()]
    return missing + [Box(notice) for notice in job.notices]


def joined(bundles: Sequence[dict[str, str]]) -> dict[str, str]:
    """Return several things to display as one; of nothing, an empty text."""
    if not bundles:
        return {"text/plain": ""}
    return {
        "text/html": "".join(bundle["text/html"] for bundle in bundles),
        "text/plain": "\n".join(bundle["text/plain"] for bundle in bundles),
    }


def shortened(text: str, characters: int) -> str:
    """Return the beginning of a text that is too long to show."""
    return text if len(text) <= characters else f"{text[:characters]}…"


def _short(file_name: str) -> str:
    stem, _, suffix = file_name.rpartition(".")
    return f"{stem[:4]}…{stem[-2:]}.{suffix}"
