"""What can go wrong, one class for one cause.

GradientNotebookError
├── InvalidRequest (ValueError)    a value that the API does not take; nothing was sent
├── InvalidSettings                key, endpoint or folder cannot be used; nothing was sent
├── ConnectionFailed               the service was not reached; nothing was sent
├── NoAnswer                       sent, and no answer came; may have been billed
│   └── StreamBroken               the answer stopped before the finished image
├── InvalidResponse                an answer came that is no image
├── JobCancelled                   stopped by whoever asked for it
└── ApiError                       the service answered with an error
    ├── BadRequest                 400, 422
    │   └── ContentRefused         the prompt or the picture was refused by moderation
    ├── Unauthorized               401, 403
    ├── NotFound                   404: model or endpoint
    ├── RateLimited                429
    └── ServerError                5xx: whether the work was billed is unknown
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any


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

    def __str__(self) -> str:
        return f"{self.what}\n{self.advice}" if self.advice else self.what

    @property
    def _render_traceback_(self) -> Any:
        # IPython asks with hasattr, so an AttributeError brings its own traceback back.
        if self.debug:
            raise AttributeError("_render_traceback_")
        return self._short_lines

    def _short_lines(self) -> list[str]:
        if self.shown_as:
            return [f"{type(self).__name__}: {self.shown_as}"]
        return [f"\x1b[1m{self.what}\x1b[0m", *self.advice.splitlines()]


class InvalidRequest(GradientNotebookError, ValueError):
    """A value that the API does not take; nothing was sent. `parameter` names the culprit."""

    def __init__(self, what: str, advice: str = "", *, parameter: str | None = None) -> None:
        super().__init__(what, advice)
        self.parameter = parameter


class InvalidSettings(GradientNotebookError):
    """Key, endpoint or folder cannot be used; nothing was sent."""


class ConnectionFailed(GradientNotebookError):
    """The service was not reached; nothing was sent."""


class NoAnswer(GradientNotebookError):
    """Sent, and no answer came; may have been billed."""


class StreamBroken(NoAnswer):
    """The answer stopped before the finished image, after `partials_seen` partial images."""

    def __init__(self, what: str, advice: str = "", *, partials_seen: int = 0) -> None:
        super().__init__(what, advice)
        self.partials_seen = partials_seen


class InvalidResponse(GradientNotebookError):
    """An answer came that is no image."""


class JobCancelled(GradientNotebookError):
    """Stopped by whoever asked for it."""


class ApiError(GradientNotebookError):
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


class BadRequest(ApiError):
    """400 or 422: the request is wrong."""

    @property
    def parameter(self) -> str | None:
        """The parameter that is wrong, if the service says."""
        found = self.body.get("param")
        return found if isinstance(found, str) else None


class ContentRefused(BadRequest):
    """The prompt or the picture was refused by moderation: a result, not a crash."""

    @property
    def stage(self) -> str:
        """Where it was refused, `input` or `output`; empty if the service does not say."""
        details = self.body.get("moderation_details")
        return str(details.get("moderation_stage", "")) if isinstance(details, Mapping) else ""

    @property
    def categories(self) -> tuple[str, ...]:
        """What it was refused for; empty if the service does not say."""
        details = self.body.get("moderation_details")
        found = self.body.get("safety_violations") or (
            details.get("categories") if isinstance(details, Mapping) else None
        )
        return tuple(map(str, found)) if isinstance(found, (list, tuple)) else ()


class Unauthorized(ApiError):
    """401 or 403: no key, a wrong key, or the wrong kind of key."""


class NotFound(ApiError):
    """404: an unknown model or endpoint."""


class RateLimited(ApiError):
    """429: too many requests; `retry_after_s` seconds until the next may be sent, if the service says."""

    retry_after_s: float | None = None


class ServerError(ApiError):
    """5xx: the server failed; whether the work was billed is unknown."""


_BY_STATUS: Mapping[int, type[ApiError]] = {
    400: BadRequest,
    422: BadRequest,
    401: Unauthorized,
    403: Unauthorized,
    404: NotFound,
    429: RateLimited,
}
_REFUSALS = ("moderation_blocked", "content_policy_violation")
_ADVICE: Mapping[type[ApiError], str] = {
    ContentRefused: "Reword it, or try moderation='low'. It was not sent again.",
    Unauthorized: "Check the key: a model access key starts with sk-do-.",
    NotFound: "Check the model (%imagegen_models lists them) and the endpoint.",
    RateLimited: "Wait a moment, then run it again. Nothing was painted.",
    ServerError: "Whether it was billed is unknown. It was not sent again.",
}


def api_error(answer: Mapping[str, Any], *, status: int | None, headers: Mapping[str, str]) -> ApiError:
    """Return the right error for an error answer of either shape; `status` is None inside a stream."""
    inner = answer.get("error")
    body = inner if isinstance(inner, Mapping) else answer
    code = next((str(body[name]) for name in ("code", "id", "type") if body.get(name)), None)
    request_id = str(body.get("request_id") or headers.get("x-request-id") or "") or None
    kind = _kind(status, code)
    message = str(body.get("message") or "The service gives no reason.")[:1000]
    facts = " ".join(filter(None, [str(status or ""), code]))
    what = f"{_refusal(body) if kind is ContentRefused else ''}{message}{f' ({facts})' if facts else ''}"
    todo = _redirected(headers) if status in range(300, 400) else _ADVICE.get(kind, "")
    advice = " ".join(filter(None, [todo, f"Request {request_id}." if request_id else ""]))
    error = kind(what, advice, status=status, request_id=request_id, code=code, body=body)
    if isinstance(error, RateLimited):
        error.retry_after_s = _seconds(headers.get("retry-after"))
        if error.retry_after_s:
            error.advice = error.advice.replace("a moment", f"{error.retry_after_s:g} s")
    return error


def _kind(status: int | None, code: str | None) -> type[ApiError]:
    if code in _REFUSALS:
        return ContentRefused
    if status is None:
        return ApiError
    return _BY_STATUS.get(status, ServerError if status >= 500 else ApiError)


def _refusal(body: Mapping[str, Any]) -> str:
    refused = ContentRefused("", body=body)
    stage = f"{refused.stage} stage" if refused.stage else ""
    about = ": ".join(filter(None, [stage, ", ".join(refused.categories)]))
    return f"The service refused this prompt{f' ({about})' if about else ''}. "


def _redirected(headers: Mapping[str, str]) -> str:
    where = headers.get("location", "elsewhere")[:200]
    return f"The endpoint redirects to {where}, and no key is sent after it. Set the right endpoint."


def _seconds(header: str | None) -> float | None:
    try:
        return max(0.0, float(header or ""))
    except ValueError:
        return None


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `Did you mean X?` for the nearest known name, or an empty string."""
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.7)
    return f"Did you mean {found[0]}?" if found else ""
