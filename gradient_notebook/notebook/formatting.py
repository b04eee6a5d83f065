"""What front ends say of a request and of a job, in words."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..api.advice import estimated_output_tokens
from ..api.error_words import describe
from ..api.errors import ContentPolicyError, GradientNotebookError
from ..api.models import PARTIAL_IMAGE_TOKENS
from ..api.params import PARAMETERS, ImageGenerateParams
from ..api.text import clean
from ..jobs.image_slot import ImageSlot
from ..jobs.job import Job
from ..money.currency import in_words
from ..money.prices import Price
from ..storage.outcome import CellOutcome, outcome_of

DOT = " · "
_LONGEST_BOX = 10_000
"""Characters of what went wrong that are shown, at most."""


def summary(params: ImageGenerateParams) -> str:
    """Return the settings that matter most, as `1536×1024 · high · png`."""
    size, quality = params.text("size"), params.text("quality")
    chosen = [size.replace("x", "×") if size != "auto" else "auto size"]
    chosen += [quality] if quality != "auto" else []
    return DOT.join([*chosen, params.text("output_format")])


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
    if slot.has_ended and slot.status != "done":
        return slot.status
    state = "done" if slot.status == "done" else f"partial {len(slot.partials)}" if slot.partials else ""
    state = "queued" if slot.status == "queued" else "waiting" if slot.wait else state
    return DOT.join(filter(None, [str(index + 1), state]))


def not_begun(params: ImageGenerateParams) -> str:
    """Return where a job stands that has not begun, in the words of `progress`."""
    return "waiting" if params.n == 1 else f"0 of {params.n} done"


def progress(job: Job) -> str:
    """Return where a running job stands, as `1 of 3 done · 1 refused (violence)`."""
    if len(job._slots) == 1 and not job._slots[0].partials:
        return not_begun(job.params)
    if len(job._slots) == 1:
        return f"partial {len(job._slots[0].partials)} of {job.params.partial_images}"
    refused = [error for error in job.errors if isinstance(error, ContentPolicyError)]
    why = ", ".join(dict.fromkeys(category for error in refused for category in error.categories))
    return DOT.join(
        filter(
            None,
            [
                f"{len(job.images)} of {len(job._slots)} done",
                f"{len(refused)} refused{f' ({why})' if why else ''}" if refused else "",
                f"{len(job.errors) - len(refused)} failed" if len(job.errors) > len(refused) else "",
            ],
        )
    )


def waiting(job: Job) -> tuple[str, float]:
    """Return why a running job stands still, and for how many seconds yet; no words where it does not.

    The words end where the seconds follow, if there are any.
    """
    left = [slot for slot in job._slots if not slot.has_ended]
    waits = [slot.wait for slot in left if slot.wait]
    if waits:
        next_one = min(waits, key=lambda wait: wait.until_s)
        what = f"attempt {next_one.attempt} in" if next_one.attempt > 1 else "resumes in"
        return f"{next_one.reason}{DOT}{what}", max(0.0, next_one.until_s - time.monotonic())
    if left and all(slot.status == "queued" for slot in left):
        elsewhere = max(slot.elsewhere for slot in left)
        runs = "1 request runs" if elsewhere == 1 else f"{elsewhere} requests run"
        return (
            f"Waiting for a place: {runs} in other kernels" if elsewhere else "Queued until another request ends",
            0.0,
        )
    return "", 0.0


def caption(name: str, job: Job) -> list[str]:
    """Return the parts of the line under the finished images; the first is the variable's name."""
    first = job.images[0]
    slot = next(slot for slot in job._slots if slot.image)
    count = f"{len(job.images)} PIL images" if isinstance(job._value, list) else "PIL"
    quality = slot.event.quality if slot.event else None
    billed = job._billed_usage
    return [
        name,
        f"{count} {first.width}×{first.height} {(first.format or '').lower()}".strip(),
        *([quality] if quality else []),
        seconds(job._working_s),
        *(["reused, not billed"] if job.reused else []),
        *(
            [f"{billed.total_tokens:,} tokens{_of_them_partial(job)}"]
            if billed and billed.total_tokens is not None
            else []
        ),
        *([f"{job.cost}"] if job._recorder.is_priced else []),
        *([f"record {job.id[:RECORD_CHARACTERS]}"] if job._recorder.is_recorded else []),
        *([f"original in {job._recorder.address}"] if job._recorder.is_recorded and job._recorder.address else []),
    ]


RECORD_CHARACTERS = 6
"""Of a record's id: enough to find it by."""


def _of_them_partial(job: Job) -> str:
    partials = sum(len(slot.partials) for slot in job._slots)
    return f" (about {PARTIAL_IMAGE_TOKENS * partials:,} of them for partial images)" if partials else ""


def seconds(elapsed_s: float) -> str:
    """Return a duration as people read it."""
    return f"{elapsed_s:.1f} s" if elapsed_s < 60 else f"{elapsed_s // 60:.0f} min {elapsed_s % 60:.0f} s"


def tokens(params: ImageGenerateParams, price: Price | None) -> str:
    """Return what a request may cost, in short, as `≈ 6,408 tokens · $0.26`."""
    numbers, cost = _estimated(params, price)
    return DOT.join(filter(None, [f"≈ {'–'.join(numbers)} tokens" if numbers else "tokens unknown", "–".join(cost)]))


def estimate(params: ImageGenerateParams, price: Price | None) -> str:
    """Return what a request may cost, in output tokens and at the session's prices."""
    numbers, cost = _estimated(params, price)
    count = f"{params.n} image{'' if params.n == 1 else 's'}"
    about = f"about {' to '.join(numbers)}" if numbers else "an unknown number of"
    known = f", {' to '.join(cost)}, at {price}" if price and cost else ""
    return f"{count}, {about} output tokens{known}"


def _estimated(params: ImageGenerateParams, price: Price | None) -> tuple[list[str], list[str]]:
    """Return the least and the most tokens, or the one number that both are, and the same in money if there is a price.

    No tokens where nothing is known of the model.
    """
    numbers = [f"{number:,}" for number in dict.fromkeys(estimated_output_tokens(params) or ())]
    if price is None:
        return numbers, []
    bounds = price.bounds(params)
    return numbers, list(dict.fromkeys(in_words(cost, price.currency) for cost in bounds)) if bounds else [
        "cost unknown"
    ]


@dataclass(frozen=True)
class Box:
    """What went wrong, and what to do: a refusal, a cancellation or a failure."""

    what: str
    advice: str = ""
    kind: CellOutcome = "failed"

    @classmethod
    def of(cls, error: BaseException, *, before: str = "") -> Box:
        """Return what an error says."""
        if isinstance(error, GradientNotebookError):
            what, advice = describe(error)
            return cls(before + what, advice, outcome_of(error))
        return cls(f"{before}Stopped by {type(error).__name__}: {error}".rstrip(": "), "", outcome_of(error))

    def plain(self) -> dict[str, str]:
        """Return it as plain values, for the live view."""
        return dataclasses.asdict(self.cleaned)

    @property
    def cleaned(self) -> Box:
        """It as it may be shown, whatever the texts hold that it quotes."""
        what, advice = (clean(words, _LONGEST_BOX, lines=True) for words in (self.what, self.advice))
        return dataclasses.replace(self, what=what, advice=advice)

    @property
    def text(self) -> str:
        """It as plain text, on a line or two."""
        shown = self.cleaned
        return f"{shown.what}\n{shown.advice}".strip()


def problems(job: Job | None) -> list[Box]:
    """Return what is wrong beside finished images: why others did not come, each reason once, and notices."""
    if job is None:
        return []
    reasons: dict[str, list[Exception]] = {}
    # Where no image came, the error is the cell's own failure, and has its box already.
    for error in job.errors if job.images else ():
        reasons.setdefault(Box.of(error).what, []).append(error)
    missing = [
        Box.of(same[0], before=f"{len(same)} of {len(job._slots)} images missing. ") for same in reasons.values()
    ]
    failed = [Box(notice) for notice in job._recorder.notices]
    return [*missing, *failed, *(Box(note, kind="done") for note in job._advice)]
