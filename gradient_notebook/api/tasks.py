"""Answers that are no image but a task: work that has begun, and that would have to be asked after."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .entries import BASE64_FIELDS, text_of, written
from .errors import APIError, GradientNotebookError, InvalidResponseError
from .text import SHORT, clean

FAILED_WORDS = frozenset({"error", "failed", "failure"})
"""What says of an event, or of a task, that it is an error: the last word of its name, or its status."""
_PENDING = frozenset(
    {"queued", "in_queue", "pending", "waiting", "processing", "in_progress", "running", "starting", "started"}
    | {"accepted", "submitted", "created", "scheduled", "not_started", "in-progress"}
)
_TASK_NAMES = ("id", "task_id", "job_id", "request_id", "generation_id")
_TASK_PLACES = ("polling_url", "status_url", "response_url", "get")


def task_in(message: Mapping[str, Any]) -> InvalidResponseError | None:
    """Return what to say of an answer that is a task: work that has begun, to be asked after."""
    inner = message.get("task") or message.get("data")
    told = {**inner, **message} if isinstance(inner, Mapping) else message
    status = told.get("status") or told.get("state") or told.get("task_status")
    found = next((told[name] for name in _TASK_NAMES if isinstance(told.get(name), (str, int)) and told[name]), None)
    if not isinstance(status, str) or found is None or status.lower() in FAILED_WORDS:
        return None
    task, state = clean(str(found), SHORT), clean(status, SHORT)
    urls = told.get("urls")
    places = {**told, **urls} if isinstance(urls, Mapping) else told
    place = next((places[name] for name in _TASK_PLACES if isinstance(places.get(name), str)), "")
    return _task_error(task, state, place)


def accepted_error(failure: GradientNotebookError, place: str) -> InvalidResponseError:
    """Return the error of an answer that says by its status, 202, that it is a task, and by nothing else."""
    if isinstance(failure, InvalidResponseError) and failure.task_id:
        return failure
    told = failure.body if isinstance(failure, APIError) else {}
    received = failure.received if isinstance(failure, APIError) else b""
    try:
        told = json.loads(received) if received else told
    except ValueError:
        told = {}
    told = told if isinstance(told, Mapping) else {}
    task = task_in({"status": "accepted", **told}) or _task_error("", "accepted", place)
    task.hint = task.hint or _where(place)
    task.received = received or written(told)
    return task


def _task_error(task: str, status: str, place: str = "") -> InvalidResponseError:
    what = f"The service has begun a task instead of answering: {task or 'without an ID'}, {status}."
    return InvalidResponseError(what, _where(place), task_id=task or "unknown", task_status=status)


def _where(place: str) -> str:
    return f"Its result may be at {clean(place, 500)}" if place else ""


def is_pending(task: InvalidResponseError, message: Mapping[str, Any]) -> bool:
    """Whether a task has no image yet: what stands in its fields is no image's address then."""
    return task.task_status.lower() in _PENDING and not any(text_of(message.get(name)) for name in BASE64_FIELDS)
