"""Any error body -> the right error, with the facts that it holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .errors import (
    APIError,
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ContentPolicyError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    UnprocessableEntityError,
)
from .headers import demanded_s, request_id_of, retry_after_s
from .text import SHORT, clean

_BY_STATUS: Mapping[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    422: UnprocessableEntityError,
    429: RateLimitError,
}
_OUT_OF_CREDIT = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active")
_REFUSALS = ("moderation_blocked", "content_policy_violation")
_MOST_CATEGORIES = 20
_NO_CREDIT = "Waiting does not help: check the account's credit and limits."
_HINTS: Mapping[type[APIError], str] = {
    AuthenticationError: "Check the key: a model access key starts with sk-do-.",
    PermissionDeniedError: "Check the key: a model access key starts with sk-do-.",
    NotFoundError: "Check the model and the endpoint.",
    RateLimitError: "Wait a moment, then run it again.",
}
_SUGGESTIONS: Mapping[type[APIError], tuple[str, ...]] = {
    ContentPolicyError: ("allow_more",),
    NotFoundError: ("list_models",),
}


def error_from(answer: Mapping[str, Any], *, status: int | None, headers: Mapping[str, str]) -> APIError:
    """Return the error that an error answer of either documented form means; `status` is None inside a stream."""
    inner = answer.get("error")
    body = inner if isinstance(inner, Mapping) else answer
    code = next((clean(body[name], SHORT) for name in ("code", "id", "type") if body.get(name)), None)
    kind = _class_of(status, code)
    message = clean(body.get("message") or "The service gave no reason.")
    error = kind(
        message,
        _HINTS.get(kind, ""),
        suggest=_SUGGESTIONS.get(kind, ()),
        code=code,
        body=dict(body),
        status_code=status,
        sent=True,
        request_id=clean(body.get("request_id") or "", SHORT) or request_id_of(headers),
    )
    if isinstance(found := body.get("param"), str):
        error.param = clean(found, SHORT)
    _add_facts(error, body, headers)
    return error


def _class_of(status: int | None, code: str | None) -> type[APIError]:
    # Before the status, which a refusal inside a stream does not have.
    if code in _REFUSALS:
        return ContentPolicyError
    # Inside a stream the work has begun: whatever its code, it is no RateLimitError, which says that nothing is billed.
    if status is None:
        return APIError
    return _BY_STATUS.get(status, InternalServerError if status >= 500 else APIStatusError)


def _add_facts(error: APIError, body: Mapping[str, Any], headers: Mapping[str, str]) -> None:
    if isinstance(error, APIStatusError):
        error.headers = headers
    if isinstance(error, ContentPolicyError):
        _add_moderation(error, body)
    elif isinstance(error, RateLimitError):
        # In all three: `error.code` is the first that is there, and the reason may stand in another.
        error.waiting_helps = not any(body.get(name) in _OUT_OF_CREDIT for name in ("code", "id", "type"))
        if not error.waiting_helps:
            error.hint = _NO_CREDIT
        elif (wanted_s := demanded_s(headers)) is not None:
            error.retry_after_s, error.hint = wanted_s, ""
    elif isinstance(error, InternalServerError) and error.status_code == 503:
        # Not the reset of the window: that says when there is room again, not that this request has generated nothing.
        error.retry_after_s = retry_after_s(headers)
    elif error.status_code in range(300, 400):
        where = clean(headers.get("location", "elsewhere"), 200)
        error.hint = f"The endpoint redirects to {where}, and no key is sent there. Set the right endpoint."


def _add_moderation(error: ContentPolicyError, body: Mapping[str, Any]) -> None:
    details = body.get("moderation_details")
    known = details if isinstance(details, Mapping) else {}
    error.stage = clean(known.get("moderation_stage", ""), SHORT)
    found = body.get("safety_violations") or known.get("categories")
    if isinstance(found, (list, tuple)):
        error.categories = tuple(clean(each, SHORT) for each in found[:_MOST_CATEGORIES])
    where = f"{error.stage} stage" if error.stage else ""
    about = ": ".join(filter(None, [where, ", ".join(error.categories)]))
    error.summary = f"The service refused this prompt{f' ({about})' if about else ''}. {error.summary}"
