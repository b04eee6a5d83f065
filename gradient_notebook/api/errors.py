"""What can go wrong, one class for one cause.

GradientNotebookError
├── InvalidRequestError (ValueError)    a value that the API does not take; nothing was sent
├── InvalidSettingsError                key, endpoint or folder cannot be used; nothing was sent
├── APIConnectionError               the service was not reached; nothing was sent
├── NoResponseError                       sent, and no answer came; may have been billed
│   └── StreamInterruptedError               the answer stopped before the finished image
├── InvalidResponseError                an answer came that is no image
├── JobCancelledError                   stopped by whoever asked for it
└── APIError                       the service answered with an error
    ├── BadRequestError                 400, 422
    │   └── ContentPolicyError         the prompt or the picture was refused by moderation
    ├── AuthenticationError               401, 403
    ├── NotFoundError                   404: model or endpoint
    ├── RateLimitError                429
    └── InternalServerError                5xx: whether the work was billed is unknown
"""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Iterable, Mapping
from typing import Any

from .retry import LONGEST_WINDOW_S, clock_time, demanded_s, retry_after_s


class GradientNotebookError(Exception):
    """Base of all errors that are not bugs: `what` happened and `advice` on what to do."""

    debug = False
    """Set to True (`%config ImageGen.debug = True`) for whole tracebacks."""

    def __init__(self, what: str, advice: str = "") -> None:
        super().__init__(what, advice)
        self.what = what
        self.advice = advice
        self.shown_as = ""
        """What a cell that has shown the error already still has to say of it."""
        self.is_always_short = False
        """Whether no whole traceback is to be shown, whatever `debug` says: its frames hold a secret."""

    @property
    def may_be_billed(self) -> bool:
        """Whether the request may have been billed though no image came of it."""
        return False

    def __str__(self) -> str:
        return f"{self.what}\n{self.advice}" if self.advice else self.what

    @property
    def _render_traceback_(self) -> Any:
        # IPython asks with hasattr, so an AttributeError brings its own traceback back.
        if self.debug and not self.is_always_short:
            raise AttributeError("_render_traceback_")
        return self._short_lines

    def _short_lines(self) -> list[str]:
        if self.shown_as:
            return [f"{type(self).__name__}: {self.shown_as}"]
        return [f"\x1b[1m{self.what}\x1b[0m", *self.advice.splitlines()]


class InvalidRequestError(GradientNotebookError, ValueError):
    """A value that the API does not take; nothing was sent. `parameter` names the culprit."""

    def __init__(self, what: str, advice: str = "", *, parameter: str | None = None) -> None:
        super().__init__(what, advice)
        self.parameter = parameter


class InvalidSettingsError(GradientNotebookError):
    """Key, endpoint or folder cannot be used; nothing was sent."""


class APIConnectionError(GradientNotebookError):
    """The service was not reached; nothing was sent."""


class NoResponseError(GradientNotebookError):
    """Sent, and no answer came; may have been billed. `request_id` is what support asks for, where it is known."""

    @property
    def may_be_billed(self) -> bool:
        """It may: the request went out."""
        return True

    def __init__(self, what: str, advice: str = "", *, request_id: str | None = None) -> None:
        super().__init__(what, advice)
        self.request_id = request_id


class StreamInterruptedError(NoResponseError):
    """The answer stopped before the finished image, after `partials_seen` partial images."""

    def __init__(self, what: str, advice: str = "", *, partials_seen: int = 0, request_id: str | None = None) -> None:
        super().__init__(what, advice, request_id=request_id)
        self.partials_seen = partials_seen


class InvalidResponseError(GradientNotebookError):
    """An answer came that is no image."""

    @property
    def may_be_billed(self) -> bool:
        """It may: something was answered."""
        return True


class JobCancelledError(GradientNotebookError):
    """Stopped by whoever asked for it."""


class APIError(GradientNotebookError):
    """The service answered with an error.

    `status` is the HTTP status (None inside a stream), `request_id` what its support asks for, `code` the
    service's own word for the error, `body` the error object as it came.
    """

    def __init__(
        self,
        what: str,
        advice: str = "",
        *,
        status: int | None = None,
        request_id: str | None = None,
        code: str | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(what, advice)
        self.status = status
        self.request_id = request_id
        self.code = code
        self.body = dict(body or {})

    @property
    def may_be_billed(self) -> bool:
        """It may where the work had begun: in a stream, or when the service gave up waiting."""
        return self.status in (None, 408)


class BadRequestError(APIError):
    """400 or 422: the request is wrong."""

    @property
    def parameter(self) -> str | None:
        """The parameter that is wrong, if the service says."""
        found = self.body.get("param")
        return clean(found, _SHORT) if isinstance(found, str) else None


class ContentPolicyError(BadRequestError):
    """The prompt or the picture was refused by moderation: a result, not a crash."""

    @property
    def may_be_billed(self) -> bool:
        """Nothing is known of a refusal that is billed."""
        return False

    @property
    def stage(self) -> str:
        """Where it was refused, `input` or `output`; empty if the service does not say."""
        details = self.body.get("moderation_details")
        return clean(details.get("moderation_stage", ""), _SHORT) if isinstance(details, Mapping) else ""

    @property
    def categories(self) -> tuple[str, ...]:
        """What it was refused for; empty if the service does not say."""
        details = self.body.get("moderation_details")
        found = self.body.get("safety_violations") or (
            details.get("categories") if isinstance(details, Mapping) else None
        )
        return tuple(clean(each, _SHORT) for each in found[:_FEW]) if isinstance(found, (list, tuple)) else ()


class AuthenticationError(APIError):
    """401 or 403: no key, a wrong key, or the wrong kind of key."""


class NotFoundError(APIError):
    """404: an unknown model or endpoint."""


class RateLimitError(APIError):
    """429: too many requests; `retry_after_s` seconds until the next may be sent, if the service says."""

    retry_after_s: float | None = None

    @property
    def waiting_helps(self) -> bool:
        """Whether it passes by itself: an account without credit stays so."""
        return not any(self.body.get(name) in _OUT_OF_CREDIT for name in ("code", "id", "type"))


class InternalServerError(APIError):
    """5xx: the server failed; whether the work was billed is unknown.

    Only a 503 that says `retry_after_s`, the seconds until it takes requests again, has surely painted nothing.
    """

    retry_after_s: float | None = None

    @property
    def may_be_billed(self) -> bool:
        """Whether it may have painted before it failed."""
        return self.retry_after_s is None


_BY_STATUS: Mapping[int, type[APIError]] = {
    400: BadRequestError,
    422: BadRequestError,
    401: AuthenticationError,
    403: AuthenticationError,
    404: NotFoundError,
    429: RateLimitError,
}
_OUT_OF_CREDIT = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active")
_REFUSALS = ("moderation_blocked", "content_policy_violation")
_ADVICE: Mapping[type[APIError], str] = {
    ContentPolicyError: "Reword it, or try moderation='low'. It was not sent again.",
    AuthenticationError: "Check the key: a model access key starts with sk-do-.",
    NotFoundError: "Check the model (%imagegen_models lists them) and the endpoint.",
    RateLimitError: "Wait a moment, then run it again. Nothing was painted.",
    InternalServerError: "Whether it was billed is unknown. It was not sent again.",
}


def api_error(answer: Mapping[str, Any], *, status: int | None, headers: Mapping[str, str]) -> APIError:
    """Return the right error for an error answer of either shape; `status` is None inside a stream."""
    inner = answer.get("error")
    body = inner if isinstance(inner, Mapping) else answer
    code = next((clean(body[name], _SHORT) for name in ("code", "id", "type") if body.get(name)), None)
    request_id = clean(body.get("request_id") or headers.get("x-request-id") or "", _SHORT) or None
    kind = _kind(status, code)
    message = clean(body.get("message") or "The service gives no reason.")
    facts = " ".join(filter(None, [str(status or ""), code]))
    what = f"{_refusal(body) if kind is ContentPolicyError else ''}{message}{f' ({facts})' if facts else ''}"
    error = kind(what, status=status, request_id=request_id, code=code, body=body)
    if isinstance(error, RateLimitError):
        error.retry_after_s = demanded_s(headers)
    elif isinstance(error, InternalServerError) and status == 503:
        error.retry_after_s = retry_after_s(headers)
    todo = _redirected(headers) if status in range(300, 400) else _todo(error)
    error.advice = " ".join(filter(None, [todo, f"Request {request_id}." if request_id else ""]))
    return error


def _todo(error: APIError) -> str:
    if isinstance(error, RateLimitError) and not error.waiting_helps:
        return "Waiting does not help: look at the account's credit and limits. Nothing was painted."
    if isinstance(error, (RateLimitError, InternalServerError)) and (wanted_s := error.retry_after_s) is not None:
        return f"Wait {_duration(wanted_s)}, then run it again. Nothing was painted."
    if type(error) is APIError and error.may_be_billed:
        return "May have been billed. It was not sent again."
    return _ADVICE.get(type(error), "")


def _duration(seconds: float) -> str:
    if not seconds:
        return "a moment"
    if seconds < 60:
        return f"{seconds:g} s"
    return f"until {clock_time(seconds)}" if seconds <= LONGEST_WINDOW_S else "a long time"


def _kind(status: int | None, code: str | None) -> type[APIError]:
    if code in _REFUSALS:
        return ContentPolicyError
    if status is None:
        return APIError
    return _BY_STATUS.get(status, InternalServerError if status >= 500 else APIError)


def _refusal(body: Mapping[str, Any]) -> str:
    refused = ContentPolicyError("", body=body)
    stage = f"{refused.stage} stage" if refused.stage else ""
    about = ": ".join(filter(None, [stage, ", ".join(refused.categories)]))
    return f"The service refused this prompt{f' ({about})' if about else ''}. "


def _redirected(headers: Mapping[str, str]) -> str:
    where = clean(headers.get("location", "elsewhere"), 200)
    return f"The endpoint redirects to {where}, and no key is sent after it. Set the right endpoint."


def without_frames(error: GradientNotebookError) -> GradientNotebookError:
    """Return the error without the frames that it and its causes have passed: they hold what came."""
    link: BaseException | None = error
    while link is not None:
        link = link.with_traceback(None).__cause__
    return error


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `Did you mean X?` for the nearest known name, or an empty string."""
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.7)
    return f"Did you mean {found[0]}?" if found else ""


_SHORT = 100  # characters of a name, a code or an id
_FEW = 20  # categories of a refusal
_CONTROLS = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x9b[0-?]*[ -/]*[@-~]"  # a terminal's colours and titles
    r"|[\x00-\x1f\x7f-\x9f\u2028\u2029]"
)
# What turns the direction of the text around it, or cannot be written as UTF-8. Emoji need their joiners.
_HIDDEN = re.compile(
    "[\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)


def clean(value: object, at_most: int = 1000, *, lines: bool = False) -> str:
    """Return what the service says as it may be shown: nothing in it controls a terminal, a page or a log.

    `at_most` characters are left; line ends only where `lines` are meant.
    """
    text = value if isinstance(value, str) else reprlib.repr(value)
    looked_at = text[: 4 * at_most]

    def plain(match: re.Match[str]) -> str:
        return "\n" if lines and match[0] == "\n" else " "

    shown = _HIDDEN.sub("", _CONTROLS.sub(plain, looked_at)).strip()
    return shown if len(shown) <= at_most and looked_at == text else f"{shown[: at_most - 1]}…"
