"""Any error body -> the right error, with the facts that it holds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
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
from .reasons import code_in, facts_of, param_in
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
_NO_PAYMENT = (
    "The account has no credit left, or a payment is due: add credit, or check its billing, then run it again."
)
_NO_REASONS = frozenset(
    phrase.lower() for status in HTTPStatus for phrase in (status.phrase, f"error {status.phrase}")
) | {"", "access denied", "permission denied", "not authorized"}
_ABOUT_KEY = re.compile(r"\b(api|access)?[ _-]?(key|token|credential)s?\b|authenticat|unauthori[sz]ed", re.IGNORECASE)
_ABOUT_RIGHTS = re.compile(
    r"\baccess to\b|\bmodel\b(?! access key)|\b(not (allowed|permitted|entitled|enabled)|permissions?|scopes?|tier|plan)\b",
    re.IGNORECASE,
)
"""What a key may do is said of one that is right."""
_STREAM = re.compile(r"\b(stream(ing|ed)?|partial_images)\b", re.IGNORECASE)
_BROKEN_STREAM = re.compile(
    r"\b(upstream|reset|clos(ed?|ing)|connection|disconnect\w*|time[ds]?[ -]?out|broken|interrupted|end of)\b",
    re.IGNORECASE,
)
_ABOUT_MODEL = re.compile(
    r"model.*(not.?(found|supported|exist)|deprecat|retired|unknown|unsupported|invalid|gone|shut)"
    r"|(no.?such|unknown|invalid|unsupported|deprecated|retired).?model",
    re.IGNORECASE,
)
_NO_CREDIT = "Waiting does not help: check the account's credit and limits."
_HINTS: Mapping[type[APIError], str] = {
    AuthenticationError: "Check the key: a model access key starts with sk-do-.",
    PermissionDeniedError: "Check the key: a model access key starts with sk-do-.",
    NotFoundError: "Either the model or the path of the endpoint is unknown there.",
    RateLimitError: "Wait a moment, then run it again.",
}
_SUGGESTIONS: Mapping[type[APIError], tuple[str, ...]] = {
    ContentPolicyError: ("allow_more",),
    NotFoundError: ("list_models",),
}


def error_from(answer: Any, *, status: int | None, headers: Mapping[str, str]) -> APIError:
    """Return the error that an error answer of any form means; `status` is None inside a stream or an answer of 200."""
    body = facts_of(answer)
    code = code_in(body, status)
    kind = _class_of(status, code, body)
    said = body.get("message")
    reason = clean(said) if isinstance(said, str) else ""
    error = kind(
        reason or "The service gave no reason.",
        _NO_PAYMENT if status == 402 else _HINTS.get(kind, ""),
        suggest=_SUGGESTIONS.get(kind, ()),
        code=code,
        body=body,
        status_code=status,
        sent=True,
        request_id=clean(body.get("request_id") or "", SHORT) or request_id_of(headers),
    )
    error.param = param_in(body)
    _add_facts(error, body, headers)
    return error


def blames_key(error: APIError) -> bool:
    """Whether it may be the key that was refused: the service says so, or nothing but what the status means anyway."""
    said = re.sub(r"[^a-z ]", "", error.summary.lower()).strip()
    is_silent = error.body.get("message") is None or said in _NO_REASONS
    told = f"{error.code} {error.summary}"
    return is_silent or bool(_ABOUT_KEY.search(told) and not _ABOUT_RIGHTS.search(told))


def concerns_stream(error: APIError) -> bool:
    """Whether a request was refused because it asked for a stream."""
    if error.param is not None:
        return error.param in ("stream", "partial_images")
    is_refusal = error.status_code in (400, 404, 405, 415, 422, 501)
    return is_refusal and bool(_STREAM.search(error.summary)) and not _BROKEN_STREAM.search(error.summary)


def concerns_model(error: APIError) -> bool:
    """Whether the model may be the matter: it is unknown, or has been retired."""
    if isinstance(error, NotFoundError):
        return error.param in (None, "model")
    is_param = error.param == "model" and error.status_code in (400, 410, 422)
    return is_param or bool(_ABOUT_MODEL.search(error.code or ""))


def _class_of(status: int | None, code: str | None, body: Mapping[str, Any]) -> type[APIError]:
    # Before the status, which a refusal inside a stream does not have.
    if code in _REFUSALS or body.get("type") in _REFUSALS:
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
    elif isinstance(error, PermissionDeniedError) and not blames_key(error):
        error.hint = ""
    elif error.status_code in range(300, 400):
        where, said = clean(headers.get("location", ""), 200), body.get("message")
        error.summary = f"The endpoint redirects, which is not followed. {error.summary if said else ''}".rstrip()
        told = f"It points to {where}: nothing was sent there, and no key." if where else "It does not say where to."
        error.hint = f"{told} Set the right endpoint."


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
