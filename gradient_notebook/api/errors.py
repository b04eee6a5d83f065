"""What can go wrong: one class for one cause, and the facts of each case as fields.

GradientNotebookError
├── InvalidRequestError (ValueError)     a value that cannot be sent
├── InvalidSettingsError                 key, endpoint or folder cannot be used
├── BudgetExceededError                  it may cost more than is left, or nobody knows how much
├── JobCancelledError                    somebody cancelled the job
├── ForkedError (RuntimeError)           a job or a stream belongs to the process that this one was forked from
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

Nobody edits or parses a sentence on its way: code reads and sets the fields, and `error_words.describe` makes words of them at the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, NoReturn

from .error_words import NO_IMAGE, SCRIPT, describe
from .sdk import HTTPAnswer

REPORT = ("report",)
"""What is suggested where the service is at fault."""

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
        is_billed: whether the endpoint bills at all; the built-in simulator does not.
        path: where the bytes lie that came.
        retry_after_s: seconds until the next request may be sent.
        remark: what else came of it, in a sentence.
        debug: for the class, True for whole tracebacks (`configure(debug=True)`).
        phrases: for the class, the words for what is suggested.
        without_image: for the class, what it means that it may not be billed, in a sentence.

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
    without_image: ClassVar[str] = ""
    phrases: ClassVar[Mapping[str, str]] = SCRIPT

    param: str | None = None
    sent: bool | None = None
    attempts: int = 1
    request_id: str | None = None
    record_id: str | None = None
    is_billed: bool = True
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


class BudgetExceededError(GradientNotebookError):
    """A request may cost more than `max_cost`, `budget` or `budget_per_day` leaves; it was not sent.

    Attributes:
        cost: the most that it may cost; None where that is not known.
        left: what is left of the budget.
        currency: what both are in.
        param: which of the three.
    """

    cost: float | None = None
    left: float | None = None
    currency: str = ""
    sent: bool | None = False


class JobCancelledError(GradientNotebookError):
    """Somebody cancelled the job; `sent` says whether it may be billed all the same."""

    @property
    def may_be_billed(self) -> bool:
        """Whether something had been sent."""
        return bool(self.sent)


class ForkedError(GradientNotebookError, RuntimeError):
    """A job or a stream belongs to the process that made it, and not to one that was forked from it."""


class APIError(GradientNotebookError):
    """What the service and the way to it cause. Raised itself for an error that comes inside a stream.

    Attributes:
        code: the service's own word for the error.
        body: its error object, as it came.
        status_code: the HTTP status.
        received: what came instead of an image, where it may have been paid for; a job keeps it on disk instead (`path`).
    """

    code: str | None = None
    body: Mapping[str, Any] = _NOTHING
    status_code: int | None = None
    received: bytes = b""

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
    """The request was sent, and no answer came.

    Attributes:
        reason: what broke the connection, or the answer.
    """

    sent: bool | None = True
    reason: str = ""


class StreamInterruptedError(NoResponseError):
    """The stream stopped before the finished image.

    Attributes:
        partials_seen: how many partial images had come.
    """

    partials_seen: int = 0


class InvalidResponseError(APIError):
    """An answer came that is no image.

    Attributes:
        address: where the service says that the image is, if it could not be fetched from there.
        task_id: the id of a task that it has begun instead of answering.
        task_status: what it says of that task.
    """

    sent: bool | None = True
    address: str = ""
    task_id: str = ""
    task_status: str = ""

    @property
    def may_be_billed(self) -> bool:
        """Whether an image was asked for, and not a list of models."""
        return bool(self.sent)


class APIStatusError(APIError):
    """The service answered with an error.

    Attributes:
        headers: the answer's, without the key.
        key_source: where the key came from that was refused.
        model: the model that was refused, where the service lists others.
        image_models: those that it lists.
    """

    sent: bool | None = True
    headers: Mapping[str, str] = _NOTHING
    key_source: str = ""
    model: str = ""
    image_models: tuple[str, ...] = ()

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

    # Whether an image was generated is not known: moderation may have refused the finished one.
    without_image: ClassVar[str] = "It was not sent again."
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
        asked: the address that was asked.
    """

    asked: str = ""


class UnprocessableEntityError(APIStatusError):
    """422: the request is wrong."""


class RateLimitError(APIStatusError):
    """429: too many requests. Before the service has to say so, the known rate limit says it (`sent` is False).

    Attributes:
        waiting_helps: whether it passes by itself; an account without credit stays so.
    """

    without_image: ClassVar[str] = NO_IMAGE
    waiting_helps: bool = True

    @property
    def may_be_billed(self) -> bool:
        """No image was generated."""
        return False


class InternalServerError(APIStatusError):
    """5xx: the server failed; whether the work was billed is unknown.

    Only a 503 that says `retry_after_s` has certainly generated nothing.
    """

    without_image: ClassVar[str] = NO_IMAGE

    @property
    def may_be_billed(self) -> bool:
        """Whether it may have generated an image before it failed."""
        return self.retry_after_s is None


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
