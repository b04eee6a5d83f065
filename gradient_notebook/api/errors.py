"""What can go wrong: one class for one cause, and the facts of each case as fields.

GradientNotebookError
├── InvalidRequestError (ValueError)     a value that cannot be sent
├── InvalidSettingsError                 key, endpoint or folder cannot be used
├── JobCancelledError                    somebody cancelled the job
└── APIError                             what the service and the way to it cause; itself: an error inside a stream
    ├── APIConnectionError               no connection, or the connection broke
    │   ├── APITimeoutError              it took too long to connect, or to answer
    │   └── NoResponseError              sent, and no answer came
    │       └── StreamInterruptedError   the stream stopped before the finished image
    ├── InvalidResponseError             an answer came that is no image
    └── APIStatusError                   the service answered with an error
        ├── BadRequestError              400
        │   └── ContentPolicyError       the prompt or the image was refused by moderation
        ├── AuthenticationError          401
        ├── PermissionDeniedError        403
        ├── NotFoundError                404: model or endpoint
        ├── UnprocessableEntityError     422
        ├── RateLimitError               429
        └── InternalServerError          5xx: whether the work was billed is unknown

Nobody edits or parses a sentence on its way: code reads and sets the fields, and `describe` makes words of them at the end.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, NoReturn

from .sdk import HTTPAnswer

SCRIPT: Mapping[str, str] = {
    "log_in": "For the real service, set GRADIENT_MODEL_ACCESS_KEY in the environment.",
    "log_in_again": "Set GRADIENT_MODEL_ACCESS_KEY in the environment.",
    "keep_in_memory": "Set GRADIENT_MODEL_ACCESS_KEY in the environment instead.",
    "list_models": "client.models.list() lists the models.",
    "choose_model": "client.models.list() lists the models; configure(model='…') sets another.",
    "set_model": "configure(model={model!r}) sets another.",
    "allow_more": "Reword the prompt, or try moderation='low'.",
    "show_record": "Its record: history('{record_id}')",
    "report": "If it happens again, report it to the service.",
    "keep_history": "Call configure(archive=True), or pass archive_dir=.",
    "wait_longer": "Raise read_timeout_s to wait longer.",
}
"""What to do about an error, in a script. A notebook has its own words for the same (`notebook.formatting`)."""

REPORT = ("report",)
"""What is suggested where the service is at fault."""

LONGEST_WAIT_TOLD_S = 86_400.0
"""A wait that is longer is only called long (seconds)."""


_NOTHING: Mapping[str, Any] = MappingProxyType({})


class GradientNotebookError(Exception):
    """Base of all errors that are not bugs: what happened as text, and the facts of it as fields.

    A fact that is not known is None.

    Attributes:
        summary: what happened, in a sentence.
        hint: what to do.
        suggest: names of further advice, whose words differ between a notebook and a script (`phrases`).
        param: the parameter that is wrong.
        sent: False if nothing was sent, True if the request went out, None if there was no request.
        attempts: how often it was tried.
        request_id: what the service's support asks for.
        record_id: the request's record: `history(error.record_id)`.
        path: where the bytes lie that came.
        retry_after_s: seconds until the next request may be sent.
        remark: what else came of it, in a sentence.
        debug: for the class, True for whole tracebacks (`configure(debug=True)`).
        phrases: for the class, the words for what is suggested.

    >>> import gradient_notebook as gn
    >>> try:
    ...     gn.generate("A fox in a fight [refuse]")
    ... except gn.ContentPolicyError as error:
    ...     print(error.categories, error.status_code, error.may_be_billed)
    ... except gn.APIError as error:
    ...     print(error.sent, error.request_id)
    ('violence',) 400 False
    """

    debug: ClassVar[bool] = False
    phrases: ClassVar[Mapping[str, str]] = SCRIPT

    param: str | None = None
    sent: bool | None = None
    attempts: int = 1
    request_id: str | None = None
    record_id: str | None = None
    path: str | None = None
    retry_after_s: float | None = None
    remark: str = ""

    def __init__(self, summary: str = "", hint: str = "", *, suggest: tuple[str, ...] = (), **facts: Any) -> None:
        # Both go to Exception: pickle makes a worker's error again from `args`, and then sets its fields.
        super().__init__(summary, hint)
        self.summary = summary
        self.hint = hint
        self.suggest = suggest
        self.shown_as = ""
        """What a cell that has shown the error already still has to say of it."""
        self.is_always_short = False
        """Whether no whole traceback is to be shown, whatever `debug` says: its frames hold a secret."""
        for name, value in facts.items():
            if not hasattr(type(self), name):
                msg = f"{type(self).__name__} has no field {name!r}"
                raise TypeError(msg)
            setattr(self, name, value)

    @property
    def may_be_billed(self) -> bool:
        """Whether the request may have been billed though no image came of it."""
        return False

    def __str__(self) -> str:
        return "\n".join(filter(None, describe(self)))

    @property
    def _render_traceback_(self) -> Any:
        # IPython asks with hasattr, so an AttributeError brings its own traceback back.
        if self.debug and not self.is_always_short:
            raise AttributeError("_render_traceback_")
        return self._short_lines

    def _short_lines(self) -> list[str]:
        if self.shown_as:
            return [f"{type(self).__name__}: {self.shown_as}"]
        what, advice = describe(self)
        return [f"\x1b[1m{what}\x1b[0m", *advice.splitlines()]


class InvalidRequestError(GradientNotebookError, ValueError):
    """A value that cannot be sent, told before anything is.

    Attributes:
        param: the parameter that is wrong.
        reason: what is wrong with it.
    """

    reason: str = ""
    sent: bool | None = False


class InvalidSettingsError(GradientNotebookError):
    """Key, endpoint or folder cannot be used."""


class JobCancelledError(GradientNotebookError):
    """Somebody cancelled the job; `sent` says whether it may be billed all the same."""

    @property
    def may_be_billed(self) -> bool:
        """Whether something had been sent."""
        return bool(self.sent)


class APIError(GradientNotebookError):
    """What the service and the way to it cause. Raised itself for an error that comes inside a stream.

    Attributes:
        code: the service's own word for the error.
        body: its error object, as it came.
        status_code: the HTTP status.
    """

    code: str | None = None
    body: Mapping[str, Any] = _NOTHING
    status_code: int | None = None

    @property
    def message(self) -> str:
        """What the service says, or what happened on the way to it."""
        return self.summary

    @property
    def type(self) -> str | None:
        """The service's own kind of the error, if it says one."""
        return self.body.get("type")

    @property
    def request(self) -> NoReturn:
        """Left out: it holds the key."""
        raise AttributeError("An error has no request, which holds the key: use error.request_id, or error.record_id.")

    @property
    def may_be_billed(self) -> bool:
        """It may: the work had begun."""
        return True


class APIConnectionError(APIError):
    """There is no connection, or it broke; `sent` says whether the request had gone out."""

    sent: bool | None = False

    @property
    def may_be_billed(self) -> bool:
        """Whether the request had gone out."""
        return bool(self.sent)


class APITimeoutError(APIConnectionError):
    """It took too long to connect (`sent` is False), or the service was silent for too long (`sent` is True)."""


class NoResponseError(APIConnectionError):
    """The request was sent, and no answer came."""

    sent: bool | None = True


class StreamInterruptedError(NoResponseError):
    """The stream stopped before the finished image.

    Attributes:
        partials_seen: how many partial images had come.
    """

    partials_seen: int = 0


class InvalidResponseError(APIError):
    """An answer came that is no image."""

    sent: bool | None = True

    @property
    def may_be_billed(self) -> bool:
        """Whether an image was asked for, and not a list of models."""
        return bool(self.sent)


class APIStatusError(APIError):
    """The service answered with an error.

    Attributes:
        headers: the answer's, without the key.
        key_source: where the key came from that was refused.
    """

    sent: bool | None = True
    headers: Mapping[str, str] = _NOTHING
    key_source: str = ""

    @property
    def response(self) -> HTTPAnswer:
        """The answer's `status_code`, `headers` and `json()`, as SDK code reads them."""
        return HTTPAnswer(self.status_code, self.headers, {"error": dict(self.body)})

    @property
    def may_be_billed(self) -> bool:
        """It may where the service gave up waiting for itself."""
        return self.status_code == 408


class BadRequestError(APIStatusError):
    """400: the request is wrong."""


class ContentPolicyError(BadRequestError):
    """The prompt or the image was refused by moderation: a result, not a crash.

    Attributes:
        stage: where, `input` or `output`, as far as the service says so.
        categories: for what, as `violence`.
    """

    stage: str = ""
    categories: tuple[str, ...] = ()

    @property
    def may_be_billed(self) -> bool:
        """Nothing is known of a refusal that is billed."""
        return False


class AuthenticationError(APIStatusError):
    """401: no key, a wrong key, or the wrong kind of key."""


class PermissionDeniedError(APIStatusError):
    """403: the key may not do this."""


class NotFoundError(APIStatusError):
    """404: an unknown model or endpoint.

    Attributes:
        model: the model that is unknown, where the service lists others.
        image_models: those that it lists.
    """

    model: str = ""
    image_models: tuple[str, ...] = ()


class UnprocessableEntityError(APIStatusError):
    """422: the request is wrong."""


class RateLimitError(APIStatusError):
    """429: too many requests. Before the service has to say so, the known rate limit says it (`sent` is False).

    Attributes:
        waiting_helps: whether it passes by itself; an account without credit stays so.
    """

    waiting_helps: bool = True

    @property
    def may_be_billed(self) -> bool:
        """No image was generated."""
        return False


class InternalServerError(APIStatusError):
    """5xx: the server failed; whether the work was billed is unknown.

    Only a 503 that says `retry_after_s` has certainly generated nothing.
    """

    @property
    def may_be_billed(self) -> bool:
        """Whether it may have generated an image before it failed."""
        return self.retry_after_s is None


def describe(error: GradientNotebookError, phrases: Mapping[str, str] | None = None) -> tuple[str, str]:
    """Return what happened and what to do, in words: the one place where facts become sentences."""
    words = phrases or error.phrases
    status = [str(error.status_code or ""), error.code] if isinstance(error, APIError) else []
    known = " ".join(filter(None, status))
    what = f"{error.summary} ({known})" if known else error.summary
    advice = [
        *_circumstances(error, words),
        error.hint,
        f"Wait {_duration(error.retry_after_s)}, then run it again." if error.retry_after_s is not None else "",
        _outcome(error),
        f"Tried {error.attempts} times." if error.attempts > 1 else "",
        f"The received bytes are in {error.path}." if error.path else "",
        *(words[name] for name in error.suggest),
        words["show_record"].format(record_id=error.record_id) if error.record_id and error.may_be_billed else "",
        error.remark,
        f"Request ID: {error.request_id}." if error.request_id else "",
    ]
    return what, " ".join(filter(None, advice))


def _circumstances(error: GradientNotebookError, words: Mapping[str, str]) -> Iterator[str]:
    if isinstance(error, APIStatusError) and error.key_source:
        yield f"The key came from {error.key_source}."
    if isinstance(error, NotFoundError) and error.image_models:
        yield f"model={error.model!r} is unknown. Image models here: {', '.join(error.image_models)}."
        yield words["set_model"].format(model=error.image_models[-1])


def _outcome(error: GradientNotebookError) -> str:
    """Return what has become of the request, and of the money."""
    if error.may_be_billed:
        return "It may have been billed, and was not sent again."
    # After more attempts, an earlier one may have been sent and answered with 429.
    if error.sent is False and error.attempts == 1:
        return "Nothing was sent."
    # Whether an image was generated is not known: moderation may have refused the finished one.
    if isinstance(error, ContentPolicyError):
        return "It was not sent again."
    is_known = error.sent is False or isinstance(error, (RateLimitError, InternalServerError))
    return "No image was generated." if is_known else ""


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


def without_frames(error: GradientNotebookError) -> GradientNotebookError:
    """Return the error without the frames that it and its causes have passed: they hold what came."""
    for link in causes_of(error):
        link.__traceback__ = None
    return error


def causes_of(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and what caused it, as `raise … from` says."""
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__


for _kind in [kind for kind in vars().values() if isinstance(kind, type) and issubclass(kind, GradientNotebookError)]:
    _kind.__module__ = "gradient_notebook"  # where users import them from, and what a traceback shows
del _kind
