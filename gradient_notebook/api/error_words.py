"""What happened and what to do, in words: the one place where an error's facts become sentences."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import ClassVar, Protocol

SCRIPT: Mapping[str, str] = {
    "log_in": "For the real service, set GRADIENT_MODEL_ACCESS_KEY in the environment.",
    "log_in_again": "Set GRADIENT_MODEL_ACCESS_KEY in the environment.",
    "keep_in_memory": "Set GRADIENT_MODEL_ACCESS_KEY in the environment instead.",
    "list_models": "client.models.list() lists the models.",
    "choose_model": "client.models.list() lists the models; configure(model='…') sets another.",
    "set_model": "configure(model={model!r}) sets another.",
    "set_prices": "Set yours, per million tokens: configure(prices={'input_text_tokens': 5, 'output_image_tokens': 40}).",
    "allow_more": "Reword the prompt, or try moderation='low'.",
    "show_record": "Its record: history('{record_id}')",
    "report": "If it happens again, report it to the service.",
    "keep_history": "Call configure(archive=True), or pass archive_dir=.",
    "wait_longer": "Raise read_timeout_s to wait longer.",
    "allow_longer": "Raise max_request_s to allow longer requests.",
    "without_stream": "Try it with stream=False, without partial_images.",
}
"""What to do about an error, in a script. A notebook has its own words for the same (`notebook.formatting`)."""

NO_IMAGE = "No image was generated."

LONGEST_WAIT_TOLD_S = 86_400.0
"""A wait that is longer is only called long (seconds)."""


class Facts(Protocol):
    """What each error has; some have `status_code`, `code`, `key_source`, `model`, `asked`, `address` and the like beside it."""

    summary: str
    hint: str
    suggest: tuple[str, ...]
    sent: bool | None
    attempts: int
    request_id: str | None
    record_id: str | None
    is_billed: bool
    path: str | None
    retry_after_s: float | None
    remark: str
    without_image: ClassVar[str]
    phrases: ClassVar[Mapping[str, str]]

    @property
    def may_be_billed(self) -> bool:
        """Whether the request may have been billed though no image came of it."""


def describe(error: Facts, phrases: Mapping[str, str] | None = None) -> tuple[str, str]:
    """Return what happened and what to do, in words: the one place where facts become sentences."""
    words = phrases or error.phrases
    known = " ".join(str(fact) for name in ("status_code", "code") if (fact := getattr(error, name, None)))
    what = f"{error.summary} ({known})" if known else error.summary
    advice = [
        *_circumstances(error, words),
        error.hint,
        f"Wait {_duration(error.retry_after_s)}, then run it again." if error.retry_after_s is not None else "",
        _outcome(error),
        f"Tried {error.attempts} times." if error.attempts > 1 else "",
        _where_it_is(error),
        *(words[name] for name in error.suggest),
        words["show_record"].format(record_id=error.record_id) if error.record_id and error.may_be_billed else "",
        error.remark,
        f"Request ID: {error.request_id}." if error.request_id else "",
    ]
    return what, " ".join(filter(None, advice))


def _circumstances(error: Facts, words: Mapping[str, str]) -> Iterator[str]:
    if source := getattr(error, "key_source", ""):
        yield "The key was given as an argument." if source == "argument" else f"The key came from {source}."
    if asked := getattr(error, "asked", ""):
        yield f"The request was {asked}."
    if models := getattr(error, "image_models", ()):
        yield f"model={getattr(error, 'model', '')!r} cannot be used. Image models here: {', '.join(models)}."
        yield words["set_model"].format(model=models[-1])
    if address := getattr(error, "address", ""):
        yield f"The image may still be at {address}"
    if getattr(error, "task_id", ""):
        yield "Tasks are not followed: ask the service for the result of this one."


def _where_it_is(error: Facts) -> str:
    """Return where that lies which came instead of an image."""
    if error.path:
        return f"The received bytes are in {error.path}."
    return "The error's `received` has what came." if getattr(error, "received", b"") else ""


def _outcome(error: Facts) -> str:
    """Return what has become of the request, and of the money."""
    if error.may_be_billed:
        if error.is_billed:
            return "It may have been billed, and was not sent again."
        return "It was not sent again. Nothing is billed here; a real service may have billed it."
    # After more attempts, an earlier one may have been sent and answered with 429.
    if error.sent is False and error.attempts == 1:
        return "Nothing was sent."
    return error.without_image or (NO_IMAGE if error.sent is False else "")


def _duration(seconds: float) -> str:
    if not seconds:
        return "a moment"
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 1 else "a moment"
    return f"until {clock_time(seconds)}" if seconds <= LONGEST_WAIT_TOLD_S else "a long time"


def clock_time(in_s: float) -> str:
    """Return the local time in so many seconds, for a person."""
    if in_s > LONGEST_WAIT_TOLD_S:
        return "in more than a day"
    return time.strftime("%H:%M:%S", time.localtime(time.time() + in_s))
