"""Errors carry facts, and one function makes words of them: for a script, and for a notebook."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
import string
import types
from collections.abc import Iterator
from typing import Any

import pytest

import gradient_notebook as gn
from gradient_notebook.api import errors
from gradient_notebook.api.error_words import SCRIPT, clock_time, describe
from gradient_notebook.api.errors import causes_of, without_frames
from gradient_notebook.notebook.phrases import NOTEBOOK

BILLED = "It may have been billed, and was not sent again."
DAY_S = 86_400

TOLD: list[tuple[gn.GradientNotebookError, str, str]] = [
    (gn.GradientNotebookError("It is wrong."), "It is wrong.", ""),
    (gn.GradientNotebookError("It is wrong.", "Do that."), "It is wrong.", "Do that."),
    (gn.InvalidRequestError("n=0: wrong", "Give 1.", param="n"), "n=0: wrong", "Give 1. Nothing was sent."),
    (gn.InvalidSettingsError("There is no key.", "Set one."), "There is no key.", "Set one."),
    (gn.JobCancelledError("Cancelled."), "Cancelled.", ""),
    (gn.JobCancelledError("Cancelled.", sent=False), "Cancelled.", "Nothing was sent."),
    (gn.JobCancelledError("Cancelled.", sent=True), "Cancelled.", BILLED),
    (gn.APIError("GPU lost.", code="lost"), "GPU lost. (lost)", BILLED),
    (gn.APIConnectionError("No network."), "No network.", "Nothing was sent."),
    (gn.APIConnectionError("No network.", attempts=5), "No network.", "No image was generated. Tried 5 times."),
    (gn.APIConnectionError("No list.", "Try again.", sent=None), "No list.", "Try again."),
    (gn.APITimeoutError("Too long."), "Too long.", "Nothing was sent."),
    (gn.APITimeoutError("Too long.", sent=True), "Too long.", BILLED),
    (gn.NoResponseError("No answer.", request_id="r"), "No answer.", f"{BILLED} Request ID: r."),
    (gn.StreamInterruptedError("Broke.", partials_seen=1), "Broke.", BILLED),
    (
        gn.InvalidResponseError("No image.", path="/x.bin", request_id="r"),
        "No image.",
        f"{BILLED} The received bytes are in /x.bin. Request ID: r.",
    ),
    (gn.InvalidResponseError("No list.", "Look.", sent=None), "No list.", "Look."),
    (
        gn.InvalidResponseError("No image.", received=b"text"),
        "No image.",
        f"{BILLED} The error's `received` has what came.",
    ),
    (
        gn.InvalidResponseError("Not there.", address="https://files.example/1.png"),
        "Not there.",
        f"The image may still be at https://files.example/1.png {BILLED}",
    ),
    (
        gn.InvalidResponseError("A task: t-1, queued.", task_id="t-1", task_status="queued"),
        "A task: t-1, queued.",
        f"Tasks are not followed: ask the service for the result of this one. {BILLED}",
    ),
    (
        gn.NotFoundError("Not found.", "Either.", status_code=404, asked="POST https://api.example/v1"),
        "Not found. (404)",
        "The request was POST https://api.example/v1. Either.",
    ),
    (gn.BadRequestError("Bad.", status_code=400, code="bad"), "Bad. (400 bad)", ""),
    (gn.APIStatusError("Slow.", status_code=408), "Slow. (408)", BILLED),
    (gn.APIStatusError("Tea.", status_code=418), "Tea. (418)", ""),
    (gn.UnprocessableEntityError("Bad.", status_code=422), "Bad. (422)", ""),
    (gn.ContentPolicyError("No.", status_code=400), "No. (400)", "It was not sent again."),
    (gn.AuthenticationError("Who?", "Look.", key_source=".env"), "Who?", "The key came from .env. Look."),
    (
        gn.PermissionDeniedError("No.", key_source=".env", remark="Not kept."),
        "No.",
        "The key came from .env. Not kept.",
    ),
    (
        gn.NotFoundError("No model.", status_code=404, model="x", image_models=("a", "b")),
        "No model. (404)",
        "model='x' cannot be used. Image models here: a, b. {set_model}",
    ),
    (gn.RateLimitError("Busy.", status_code=429), "Busy. (429)", "No image was generated."),
    (
        gn.RateLimitError("Full.", sent=False, retry_after_s=30.4),
        "Full.",
        "Wait 30 s, then run it again. Nothing was sent.",
    ),
    (
        gn.RateLimitError("Busy.", retry_after_s=0.0, attempts=3),
        "Busy.",
        "Wait a moment, then run it again. No image was generated. Tried 3 times.",
    ),
    (
        gn.RateLimitError("Busy.", retry_after_s=float("inf")),
        "Busy.",
        "Wait a long time, then run it again. No image was generated.",
    ),
    (gn.InternalServerError("Broke.", status_code=500), "Broke. (500)", BILLED),
    (
        gn.InternalServerError("Busy.", status_code=503, retry_after_s=0.3),
        "Busy. (503)",
        "Wait a moment, then run it again. No image was generated.",
    ),
]


@pytest.mark.parametrize(
    ("error", "what", "advice"), TOLD, ids=[f"{type(error).__name__} {at}" for at, (error, *_) in enumerate(TOLD)]
)
@pytest.mark.parametrize("phrases", [SCRIPT, NOTEBOOK], ids=["script", "notebook"])
def test_facts_become_words(error: gn.GradientNotebookError, what: str, advice: str, phrases: Any) -> None:
    """What happened, and what to do: whether it was sent, may have been billed and was tried often, and which it was."""
    filled = {"{model!r}": "'b'", "{record_id}": str(error.record_id)}
    words = {
        name: re.sub("|".join(map(re.escape, filled)), lambda at: filled[at[0]], text) for name, text in phrases.items()
    }
    assert describe(error, phrases) == (what, advice.format(**words))


SUGGESTED: list[tuple[gn.GradientNotebookError, str, str]] = [
    (gn.InvalidSettingsError("No.", suggest=("log_in_again",)), "Set GRADIENT_MODEL_ACCESS_KEY", "%imagegen_login"),
    (gn.InvalidSettingsError("No.", suggest=("keep_in_memory",)), "in the environment instead", "without --keyring"),
    (gn.InvalidSettingsError("No.", suggest=("keep_history",)), "configure(archive=True)", "ImageGen.archive = True"),
    (gn.NotFoundError("No.", suggest=("list_models",)), "client.models.list()", "%imagegen_models"),
    (gn.ContentPolicyError("No.", suggest=("allow_more",)), "moderation='low'", "--moderation low"),
    (
        gn.APITimeoutError("No.", sent=True, suggest=("wait_longer",)),
        "read_timeout_s",
        "%config ImageGen.read_timeout_s",
    ),
    (
        gn.APITimeoutError("No.", sent=True, suggest=("allow_longer",)),
        "max_request_s",
        "%config ImageGen.max_request_s",
    ),
    (gn.InvalidResponseError("No.", suggest=("report",)), "report it", "report it"),
    (gn.BadRequestError("No.", suggest=("without_stream",)), "stream=False", "--no-stream"),
    (gn.NoResponseError("No.", record_id="id7"), "history('id7')", "%imagegen_history id7"),
]


@pytest.mark.parametrize(
    ("error", "script", "notebook"),
    SUGGESTED,
    ids=[error.suggest[0] if error.suggest else "record" for error, *_ in SUGGESTED],
)
def test_advice_is_given_in_the_words_of_the_place(
    error: gn.GradientNotebookError, script: str, notebook: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script is told of functions, a notebook of magics; what `str` says goes by where the error is."""
    assert script in describe(error, SCRIPT)[1]
    assert notebook in describe(error, NOTEBOOK)[1]
    assert script in str(error)
    monkeypatch.setattr(gn.GradientNotebookError, "phrases", NOTEBOOK)
    assert notebook in str(error)


def test_a_record_is_named_only_where_it_may_have_been_billed() -> None:
    """What cost nothing need not be looked up."""
    assert describe(gn.BadRequestError("No.", status_code=400, record_id="id7")) == ("No. (400)", "")
    assert describe(gn.APIConnectionError("No.", record_id="id7"))[1] == "Nothing was sent."


def test_where_nothing_is_billed_nobody_is_told_to_pay() -> None:
    """The built-in simulator's failures are those of a real service, but for the money."""
    said = describe(gn.NoResponseError("No.", is_billed=False))[1]
    assert said == "It was not sent again. Nothing is billed here; a real service may have billed it."


def test_both_tables_of_words_have_the_same_names() -> None:
    """What one can say the other can, with the same facts in it; and a script is never told to run a magic."""
    fields = {
        name: [field for _, field, *_ in string.Formatter().parse(words) if field] for name, words in SCRIPT.items()
    }
    assert fields == {
        name: [field for _, field, *_ in string.Formatter().parse(words) if field] for name, words in NOTEBOOK.items()
    }
    assert [words for words in SCRIPT.values() if re.search(r"%|--|ImageGen|kernel|cell|notebook", words)] == []


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0, "a moment"), (0.9, "a moment"), (1, "1 s"), (59.4, "59 s"), (2 * DAY_S, "a long time")],
)
def test_a_wait_is_told_as_people_read_it(seconds: float, words: str) -> None:
    """Seconds, a time of the day, or no number at all."""
    assert describe(gn.RateLimitError("Busy.", retry_after_s=seconds))[1].startswith(
        f"Wait {words}, then run it again."
    )


def test_a_longer_wait_is_told_as_a_time_of_the_day() -> None:
    """Minutes and hours are easier to read off a clock."""
    assert re.match(r"Wait until \d\d:\d\d:\d\d, ", describe(gn.RateLimitError("Busy.", retry_after_s=3_600.0))[1])
    assert (clock_time(2 * DAY_S), len(clock_time(60))) == ("in more than a day", 8)


# ---------------------------------------------------------------------------------------------- facts


def kinds(of: type[gn.GradientNotebookError] = gn.GradientNotebookError) -> Iterator[type[gn.GradientNotebookError]]:
    yield of
    for below in of.__subclasses__():
        yield from kinds(below)


KINDS = [kind for kind in dict.fromkeys(kinds()) if getattr(errors, kind.__name__, None) is kind]


def test_the_tree_is_the_one_of_the_docstring() -> None:
    """Each class stands there, below its own base, and none is missing."""
    lines = [line for line in inspect.getdoc(errors).splitlines() if re.match(r"[│├└─ ]*[A-Z]\w+(Error)\b", line)]
    drawn: list[tuple[int, str]] = [
        (len(re.match(r"[│├└─ ]*", line)[0]) // 4, line.lstrip("│├└─ ").split()[0]) for line in lines
    ]
    path: list[str] = []
    for depth, name in drawn:
        path[depth:] = [name]
        assert getattr(errors, name).__mro__[1].__name__ == (path[depth - 1] if depth else "Exception")
    assert {name for _, name in drawn} == {kind.__name__ for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_fact_is_a_mistake(kind: type[gn.GradientNotebookError]) -> None:
    """A misspelled field is a TypeError of ours, not a fact that nobody reads."""
    with pytest.raises(TypeError, match=f"{kind.__name__} has no field 'requestid'"):
        kind("It is wrong.", requestid="r")


FACTS: dict[str, Any] = {
    "cost": 0.25,
    "left": 0.1,
    "currency": "$",
    "param": "size",
    "attempts": 3,
    "request_id": "r",
    "record_id": "id7",
    "is_billed": False,
    "path": "/x.bin",
    "retry_after_s": 2.5,
    "remark": "So.",
    "sent": True,
    "reason": "expected 1",
    "code": "bad",
    "body": {"message": "It is wrong."},
    "status_code": 400,
    "headers": {"x-request-id": "r"},
    "key_source": ".env",
    "stage": "input",
    "categories": ("violence",),
    "model": "x",
    "image_models": ("a", "b"),
    "waiting_helps": False,
    "partials_seen": 2,
    "received": b"text",
    "address": "https://files.example/1.png",
    "task_id": "t-1",
    "task_status": "queued",
    "asked": "POST https://api.example/v1/images/generations",
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", KINDS)
def test_an_error_goes_to_another_process_with_its_facts(kind: type[gn.GradientNotebookError], protocol: int) -> None:
    """Pickled and copied, class, words and each field are there: a worker's error is its caller's."""
    facts = {name: value for name, value in FACTS.items() if hasattr(kind, name)}
    error = kind("It is wrong.", "Do that.", suggest=("report",), **facts)
    for copied in (pickle.loads(pickle.dumps(error, protocol)), copy.copy(error), copy.deepcopy(error)):
        assert type(copied) is kind
        assert vars(copied) == vars(error)
        assert {name: getattr(copied, name) for name in facts} == facts
        assert str(copied) == str(error)
    assert pickle.loads(pickle.dumps(kind("It is wrong."), protocol)).summary == "It is wrong."


def test_each_declared_fact_is_tried_above() -> None:
    """A field that is added is added here, too."""
    declared = {name for kind in KINDS for name in vars(kind).get("__annotations__", {})}
    assert declared - {"debug", "phrases", "without_image"} == FACTS.keys()


def test_a_status_error_has_its_response_as_the_sdk_has() -> None:
    """`error.response.status_code` and `.headers` of moved code read the same facts."""
    error = gn.BadRequestError("Bad.", status_code=400, headers={"x-request-id": "r"})
    assert (error.response.status_code, error.response.headers) == (400, {"x-request-id": "r"})


# ---------------------------------------------------------------------------------------------- what is shown of one


def test_a_cell_shows_two_lines_and_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """With `debug` the whole traceback, unless its frames hold a secret."""
    error = gn.InvalidRequestError("n=0: wrong", "Give 1.")
    assert error._render_traceback_() == ["\x1b[1mn=0: wrong\x1b[0m", "Give 1. Nothing was sent."]
    error.shown_as = "n=0 was refused"
    assert error._render_traceback_() == ["InvalidRequestError: n=0 was refused"]
    monkeypatch.setattr(gn.GradientNotebookError, "debug", True)
    assert not hasattr(error, "_render_traceback_")
    error.is_always_short = True
    assert hasattr(error, "_render_traceback_")


def test_frames_are_dropped_along_the_causes() -> None:
    """An error that is kept for later keeps no frame of what came, nor do its causes."""
    try:
        try:
            raise ValueError("first")
        except ValueError as first:
            raise gn.InvalidResponseError("second") from first
    except gn.InvalidResponseError as caught:
        error = caught
    assert [type(link.__traceback__) for link in causes_of(error)] == [types.TracebackType] * 2
    assert without_frames(error) is error
    assert [link.__traceback__ for link in causes_of(error)] == [None, None]
