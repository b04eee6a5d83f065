"""Every paid answer is used or kept, and every reason is told: what other servers of this API send, over real HTTP."""

from __future__ import annotations

import base64
import gzip
import io
import itertools
import json
import socket
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import gradient_notebook as gn
from gradient_notebook.connect import discover
from gradient_notebook.notebook.phrases import NOTEBOOK
from gradient_notebook.simulator import Simulator
from gradient_notebook.simulator.faults import BASE64_FORMS, BY_ADDRESS, PACKED

from .network import Listener, more_of

KEY = "sk-do-for-tests-only"
PLAIN: dict[str, Any] = {}
STREAM: dict[str, Any] = {"stream": True, "partial_images": 2}


def file_of(kind: str, pixels: int = 64) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((pixels, pixels), 90).save(buffer, kind)
    return buffer.getvalue()


def text_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


PICTURE = file_of("PNG")
SMALL = {"partial_base64": text_of(file_of("PNG", 8)), "image_base64": text_of(PICTURE)}
"""Small images, where what they show does not matter."""


def ended(params: dict[str, Any]) -> gn.Job:
    job = gn.submit("hills", settings=discover(max_retries=0, read_timeout_s=60), quality="low", **params)
    job._wait()
    return job


def error_of(job: gn.Job) -> gn.GradientNotebookError:
    with pytest.raises(gn.GradientNotebookError) as caught:
        job.result()
    assert KEY not in f"{caught.value}{vars(caught.value)}"
    return caught.value


def record_of(job: gn.Job) -> Any:
    (entry,) = gn.history(job.id)
    return entry.record.images[0]


def assert_it_is_there(job: gn.Job, partials: int) -> None:
    """The image is in hand and on disk, as it was sent; partial images are none of the finished ones."""
    assert (job.result().size, [slot.image_bytes for slot in job._slots]) == ((64, 64), [PICTURE])
    assert job._slots[0].path.read_bytes() == PICTURE
    assert (len(job.partials), len(gn.history()[0].images)) == (partials, 1)


# ---------------------------------------------------------------------------------------------- the image

LABELS = (None, "application/json", "text/event-stream", "text/plain; charset=utf-8", "application/octet-stream")
LABELS += ("application/vnd.api+json", "text/html", "image/png")
WRITTEN: dict[str, dict[str, Any]] = {
    **{f"base64 {form}": {"base64_form": form} for form in BASE64_FORMS},
    **{f"address {how}": {"by_address": how} for how in BY_ADDRESS},
    **{f"labeled {label}": {"headers": {"content-type": label}} for label in LABELS},
    **{
        f"{how}, as it says": {"packed": how, "headers": {"content-encoding": how.removeprefix("raw_")}}
        for how in PACKED
    },
    "gzip, unsaid": {"packed": "gzip"},
    **{f"only said to be {how}": {"headers": {"content-encoding": how}} for how in ("gzip", "deflate", "br")},
    "address under another label": {"by_address": "alone", "headers": {"content-type": "text/plain"}},
    "wrapped and packed": {"base64_form": "wrapped", "packed": "gzip", "headers": {"content-type": None}},
}


@pytest.mark.parametrize("params", [PLAIN, STREAM], ids=["plain", "stream"])
@pytest.mark.parametrize("name", WRITTEN)
def test_an_image_is_an_image_however_it_is_sent(configured: Simulator, name: str, params: dict[str, Any]) -> None:
    """Neither the label, nor the way it is written, nor where it lies keeps it from coming, for one request."""
    configured.script([SMALL | WRITTEN[name]])
    assert_it_is_there(ended(params), 2 if params else 0)
    assert len(configured.posts) == 1


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
@pytest.mark.parametrize("label", ["image/png", "application/json", None])
def test_a_body_that_is_an_image_is_that_image(configured: Simulator, kind: str, label: str | None) -> None:
    """Some servers answer with the file itself; the response has it as base64 like any other."""
    data = file_of(kind)
    configured.script([{"body_base64": text_of(data), "headers": {"content-type": label}}] * 2)
    assert gn.Client().images.generate(prompt="x").data[0].b64_json == text_of(data)
    assert ended(STREAM).result().format == kind


WHOLE = json.dumps({"created": 3, "data": [{"b64_json": text_of(PICTURE)}]})
EVENTS = [
    {"type": "image_generation.partial_image", "b64_json": SMALL["partial_base64"], "partial_image_index": 0},
    {"type": "image_generation.completed", "b64_json": text_of(PICTURE)},
]
ODD = {
    "an answer on a line of data": f"data: {WHOLE}\n\n",
    "a line of data without its end": f"data: {WHOLE}",
    "an object instead of a list": json.dumps({"data": {"b64_json": text_of(PICTURE)}}),
    "no data around it": json.dumps({"b64_json": text_of(PICTURE)}),
    "a list of texts": json.dumps({"images": [text_of(PICTURE)]}),
    "data: URL in a list": json.dumps({"output": [f"data:image/png;base64,{text_of(PICTURE)}"]}),
    "deep within": json.dumps({"result": {"some": {"where": {"b64_json": text_of(PICTURE)}}}}),
    "a text alone": text_of(PICTURE),
    "a JSON text alone": json.dumps(text_of(PICTURE)),
    "a data: URL alone": f"data:image/png;base64,{text_of(PICTURE)}",
    "base64 as Python shows bytes": json.dumps({"data": [{"b64_json": f"b'{text_of(PICTURE)}'"}]}),
    "behind white space": f"\n  \r\n {WHOLE}",
    "behind a byte order mark": f"\ufeff{WHOLE}",
    "events as lines of JSON": "\n".join(map(json.dumps, EVENTS)),
    "events as a list": json.dumps(EVENTS),
    "one event as an answer": json.dumps(EVENTS[1]),
    "an event without a type": f"data: {json.dumps({'b64_json': text_of(PICTURE)})}\n\n",
    "wrapped by line ends as they are": json.dumps(
        {"data": [{"b64_json": "|".join(textwrap.wrap(text_of(PICTURE), 76))}]}
    ).replace("|", "\n"),
    "events without an empty line between": "".join(f"data: {json.dumps(each)}\n" for each in EVENTS),
    "beside an error": json.dumps({"error": "Slow.", "data": [{"b64_json": text_of(PICTURE)}]}),
}


@pytest.mark.parametrize("label", ["application/json", "text/event-stream", "text/plain", "image/png"])
@pytest.mark.parametrize("name", ODD)
def test_an_odd_answer_has_its_image_under_any_label(configured: Simulator, name: str, label: str) -> None:
    """What was paid for is found where it stands."""
    configured.script([{"body_text": ODD[name], "content_type": label}])
    job = ended(STREAM)
    assert_it_is_there(job, len(job.partials))


def test_partial_images_never_become_the_finished_one(configured: Simulator) -> None:
    """Under another label a stream that ends too early has no image, and says so."""
    for label, text in itertools.product(
        ("application/json", "text/plain"), (f"data: {json.dumps(EVENTS[0])}\n\n", json.dumps(EVENTS[:1]))
    ):
        configured.script([{"body_text": text, "content_type": label}])
        job = ended(STREAM)
        assert (job.images, len(job.partials)) == ([], 1)
        assert type(error_of(job)) in (gn.StreamInterruptedError, gn.InvalidResponseError)
        assert record_of(job).is_partial


def as_stream(*events: tuple[str, Any]) -> dict[str, Any]:
    text = "".join(f"event: {name}\ndata: {json.dumps(value)}\n\n" for name, value in events)
    return {"body_text": text, "content_type": "text/event-stream"}


PARTIAL = ("image_generation.partial_image", EVENTS[0])
BIG = file_of("PNG", 350)
ENTRY = {"b64_json": text_of(BIG)}
CALL = {"type": "image_generation_call", "result": text_of(BIG)}
CHAT = {"choices": [{"delta": {"images": [{"image_url": {"url": f"data:image/png;base64,{text_of(BIG)}"}}]}}]}
NAMED: dict[str, list[tuple[str, Any]]] = {
    **{
        name: [(name, ENTRY)]
        for name in ("image", "image_generation.image", "success", "end", "finish", "image.completion", "x")
    },
    "a list": [("x", {"data": [ENTRY]})],
    "a text": [("image", text_of(BIG))],
    "a data: URL": [("image", f"data:image/png;base64,{text_of(BIG)}")],
    "item": [("response.output_item.done", {"type": "response.output_item.done", "item": CALL})],
    "response": [("response.completed", {"type": "response.completed", "response": {"output": [CALL]}})],
    "both": [("response.output_item.done", {"item": CALL}), ("response.completed", {"response": {"output": [CALL]}})],
    "chat": [("", CHAT)],
    "image within": [(EVENTS[1]["type"], {"type": EVENTS[1]["type"], "image": ENTRY})],
    "data within": [(EVENTS[1]["type"], {"type": EVENTS[1]["type"], "response": {"data": [ENTRY]}})],
    "before the finished one": [
        ("x", EVENTS[0] | {"type": "x"}),
        ("image", {"b64_json": text_of(PICTURE)}),
        (EVENTS[1]["type"], ENTRY),
    ],
    "before the end": [("image", ENTRY), ("end", {})],
}


@pytest.mark.parametrize("before", [[], [PARTIAL]], ids=["alone", "after a partial image"])
@pytest.mark.parametrize("name", NAMED)
def test_a_finished_image_is_found_under_any_name_and_wrapping(
    configured: Simulator, name: str, before: list[Any]
) -> None:
    """One image, the finished one, whatever its event is called, and once where it comes twice."""
    configured.script([as_stream(*before, *NAMED[name])])
    job = ended(STREAM)
    assert [slot.image_bytes for slot in job._slots] == [BIG]
    assert not job.errors


@pytest.mark.parametrize("name", ["image.partial", "partial", "image_preview", "in_progress", "x"])
def test_an_image_on_its_way_never_becomes_the_finished_one(configured: Simulator, name: str) -> None:
    """Its name or its number says so."""
    entry = {"b64_json": SMALL["partial_base64"], **({"partial_image_index": 0} if name == "x" else {})}
    configured.script([as_stream((name, entry))])
    job = ended(STREAM)
    assert (job.images, len(job.partials)) == ([], 1)
    assert type(error_of(job)) is gn.StreamInterruptedError


def test_an_image_before_an_error_is_kept(configured: Simulator) -> None:
    """Nobody said whether it was finished: the error is told, and the file is there."""
    configured.script([as_stream(("image", ENTRY), ("error", {"message": "Lost."}))])
    error = error_of(ended(STREAM))
    assert error.summary == "Lost."
    assert Path(error.path).read_bytes() == BIG


def test_an_entry_may_wrap_its_image(configured: Simulator) -> None:
    """Beside one that does not."""
    configured.script([{"body": {"data": [{"b64_json": text_of(PICTURE)}, {"image": ENTRY}]}}])
    assert [slot.image_bytes for slot in ended({"n": 2})._slots] == [PICTURE, BIG]


def test_an_address_is_an_image_only_where_images_stand(configured: Simulator) -> None:
    """Around it are the names that services have for them; a person's picture is not followed."""
    at = f"{configured.url}/files/none.png"
    configured.script([{"body": {"status": "ok", "owner": {"image": at, "data": [{"url": at}]}}}])
    assert "no image in any known field" in error_of(ended(PLAIN)).summary
    configured.script([{"body": {"response": {"data": [{"url": at}]}}}])
    assert at in str(error_of(ended(PLAIN)))


def test_what_nobody_can_read_is_kept_whole(configured: Simulator) -> None:
    """An image in a place that says it is another's: the file has its base64, not only what stood around it."""
    done = {"type": EVENTS[1]["type"], "input": ENTRY}
    configured.script([as_stream((done["type"], done))])
    assert text_of(BIG) in Path(error_of(ended(STREAM)).path).read_text()


def test_several_images_are_fetched_each_from_its_address(configured: Simulator) -> None:
    """n in one answer: each is fetched, the address stays beside it, and the key goes along to none."""
    configured.script([{"by_address": "alone"}])
    answer = gn.Client().images.generate(prompt="x", n=3)
    assert [image.url.startswith(f"{configured.url}/files/") for image in answer.data] == [True] * 3
    assert len({image.image_bytes for image in answer.data}) == 3
    fetched = [request for request in configured.requests if request.path.startswith("/files/")]
    assert [request.headers.keys() & {"authorization", "cookie"} for request in fetched] == [set()] * 3
    assert (fetched[0].headers["accept-encoding"], len(configured.posts)) == ("identity", 1)


def test_where_one_of_several_is_not_there_the_others_are(configured: Simulator) -> None:
    """The rest is in hand; the record has the address of the one that is missing."""
    gone = f"{configured.url}/files/none.png"
    configured.script([{"body": {"data": [{"url": gone}, {"b64_json": text_of(PICTURE)}]}}])
    job = ended({"n": 2})
    assert [slot.image_bytes for slot in job._slots] == [None, PICTURE]
    assert gone in str(job.errors[0])
    assert (record_of(job).reported["url"], record_of(job).error["address"]) == (gone, gone)


@pytest.mark.parametrize("params", [PLAIN, STREAM], ids=["plain", "stream"])
def test_base64_that_nobody_can_read_is_kept(configured: Simulator, params: dict[str, Any]) -> None:
    """Its text is the original's file, and the error says where."""
    text = "".join([text_of(PICTURE)[:99], "!", text_of(PICTURE)[99:]])
    body = EVENTS[1] | {"b64_json": text}
    configured.script([{"body_text": f"data: {json.dumps(body)}\n\n" if params else json.dumps({"data": [body]})}])
    error = error_of(ended(params))
    assert "invalid base64" in error.summary
    assert Path(error.path).read_text() == text
    assert error.path in str(error)


def test_an_answer_that_is_no_image_at_all_is_kept(configured: Simulator) -> None:
    """A page, or a file that cannot be opened here: the message says where it lies. The key is taken out of it."""
    configured.script([{"body_text": f"<title>Sign in</title>{KEY}", "content_type": "text/html"}])
    error = error_of(ended(PLAIN))
    assert "text/html, not an image" in error.summary
    assert Path(error.path).read_text() == "<title>Sign in</title>***"
    configured.script([{"body_base64": text_of(b"II*\0" + bytes(99)), "content_type": "image/tiff"}])
    assert Path(error_of(ended(PLAIN)).path).read_bytes().startswith(b"II*\0")


@pytest.mark.parametrize("status", [200, 204])
def test_an_empty_answer_is_said_to_be(configured: Simulator, status: int) -> None:
    """Under any label."""
    for label in (None, "application/json", "text/plain"):
        configured.script([{"status": status, "body_text": "", "headers": {"content-type": label}}])
        assert error_of(ended(PLAIN)).summary == "The response is empty."


def test_a_redirect_without_a_place_says_so(configured: Simulator) -> None:
    """It has no `elsewhere`."""
    configured.script([{"status": 307, "body_text": ""}])
    assert "It does not say where to." in str(error_of(ended(PLAIN)))


def test_a_reason_that_is_no_text_is_not_shown_as_python(configured: Simulator) -> None:
    """An object that says nothing is no reason."""
    configured.script([{"status": 418, "body": {"message": {"tea": {"pot": 1}}}}])
    assert error_of(ended(PLAIN)).summary == "The service gave no reason."


def test_an_odd_entry_leaves_the_other_models_alone() -> None:
    """Where all are odd it is no list of models."""
    for data, ids in (([5, {"id": "flux"}, None], ["flux"]), ([5], None), ({"id": "flux"}, None)):
        body = json.dumps({"data": data}).encode()
        answer = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        with Listener(got(answer)) as listener:
            models = gn.Client(settings=gn.Settings(endpoint=f"http://127.0.0.1:{listener.port}", key=KEY)).models
            if ids is None:
                with pytest.raises(gn.InvalidResponseError, match="documented format"):
                    models.list()
            else:
                assert [model.id for model in models.list()] == ids


def test_a_client_without_a_disk_has_what_came(configured: Simulator) -> None:
    """The error carries it."""
    configured.script([{"body": {"data": [{"b64_json": "@@@@"}]}}])
    with pytest.raises(gn.InvalidResponseError) as caught:
        gn.Client().images.generate(prompt="x")
    assert caught.value.received == b"@@@@"


# ---------------------------------------------------------------------------------------------- what it used

KNOWN = "input_tokens=3, output_tokens=9, total_tokens=12"
COUNTED: list[tuple[Any, str | None]] = [
    ({"input_tokens": None, "output_tokens": None, "total_tokens": None}, None),
    ({}, None),
    ({"total_tokens": "many", "output_tokens": -1}, None),
    ({"prompt_tokens": 3, "completion_tokens": 9, "total_tokens": 12}, KNOWN),
    ({"input_tokens": 3.0, "output_tokens": "9", "total_tokens": 12}, KNOWN),
    ({"input_tokens": 3, "output_tokens": 9}, KNOWN),
    ({"output_tokens": 9, "total_tokens": None}, "input_tokens=None, output_tokens=9, total_tokens=None"),
]


@pytest.mark.parametrize("params", [PLAIN, STREAM], ids=["plain", "stream"])
@pytest.mark.parametrize(("usage", "known"), COUNTED)
def test_tokens_that_are_not_known_are_never_none_at_all(
    configured: Simulator, usage: Any, known: str | None, params: dict[str, Any]
) -> None:
    """Unknown is None and not 0, in the job and in the record; numbers count however they are written and called."""
    configured.script([SMALL | {"usage": usage}])
    job = ended(params)
    assert (known or "None") in f"{job.usage} {record_of(job).usage}"
    assert str(job.usage) == str(gn.history(job.id)[0].usage)


# ---------------------------------------------------------------------------------------------- reasons

REASON = "size must be divisible by 16"
REASONS: dict[str, Any] = {
    "error.message": {"error": {"message": REASON, "code": "bad_size"}},
    "error": {"error": REASON},
    "message": {"id": "bad_size", "message": REASON},
    "detail": {"detail": REASON},
    "details of FastAPI": {
        "detail": [{"loc": ["body", "size"], "msg": REASON, "type": "value_error", "input": "x" * 999}]
    },
    "errors[0].message": {"errors": [{"message": REASON}]},
    "errors as texts": {"errors": [REASON]},
    "errors by field": {"errors": {"size": [REASON]}},
    "fields alone": {"size": [REASON]},
    "problem+json": {"type": "https://errors.example/1", "title": "Wrong", "detail": REASON, "status": 400},
    "msg": {"code": 400, "msg": REASON},
    "a list": [{"error": {"message": REASON}}],
    "a JSON text": REASON,
    "an OAuth answer": {"error": "invalid_request", "error_description": REASON},
    "a text of JSON": {"message": json.dumps({"error": {"message": REASON}})},
    "error and message": {"statusCode": 400, "error": "Bad Request", "message": REASON},
    "true": {"error": True, "message": REASON},
    "with capitals": {"Code": "x", "Message": REASON},
    "an envelope": {"status": "error", "data": {"message": REASON}},
    "an envelope of its own": {"base_resp": {"status_code": 1004, "status_msg": REASON}},
    "an envelope with capitals": {"Response": {"Error": {"Code": "Bad", "Message": REASON}, "RequestId": "7"}},
    "in languages": {"message": {"de": "Falsch", "en": REASON}},
    "both documented forms": {"id": "bad", "message": REASON, "error": {"message": REASON, "code": "bad"}},
}


@pytest.mark.parametrize("params", [PLAIN, STREAM], ids=["plain", "stream"])
@pytest.mark.parametrize("status", [400, 422, 500, 200])
@pytest.mark.parametrize("name", REASONS)
def test_the_reason_is_told_wherever_it_stands(
    configured: Simulator, name: str, status: int, params: dict[str, Any]
) -> None:
    """In each place, under each status, 200 included; once, and it is an error of the service."""
    configured.script([{"status": status, "body": REASONS[name]}])
    error = error_of(ended(params))
    assert str(error).count(REASON) == 1
    assert "no reason" not in str(error)
    assert (type(error) is gn.APIError) == (status == 200)
    assert len(configured.posts) == 1


BLOCKED = {"message": "blocked by policy", "code": "moderation_blocked"}
ENTRIES: dict[str, tuple[dict[str, Any], str]] = {
    "error": ({"error": BLOCKED}, "blocked by policy"),
    "message": ({"b64_json": "", "message": "blocked by policy"}, "blocked by policy"),
    "finish_reason": ({"b64_json": None, "finish_reason": "content_filter"}, "content_filter"),
    "well": ({"b64_json": None, "finish_reason": "stop"}, "no image in any known field"),
}


@pytest.mark.parametrize("name", ENTRIES)
def test_the_reason_in_place_of_an_image_is_told(configured: Simulator, name: str) -> None:
    """Alone, and beside an image, which comes all the same."""
    entry, told = ENTRIES[name]
    configured.script([{"body": {"data": [entry]}}, {"body": {"data": [{"b64_json": text_of(PICTURE)}, entry]}}])
    error = error_of(ended(PLAIN))
    assert told in error.summary
    job = ended({"n": 2})
    assert [slot.image_bytes for slot in job._slots] == [PICTURE, None]
    assert type(job.errors[0]) is type(error)
    assert told in str(job.errors[0]) or name == "well"
    assert (name == "error") == (error.code == job.errors[0].code == "moderation_blocked")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("model is loading", "model is loading"),
        ("<html><head><title>413 Request &amp; more</title></head><body>x</body>", "413 Request & more"),
        ("<!DOCTYPE html>\n<h1>Bad gateway</h1>", "Bad gateway"),
        ("<?xml version='1.0'?><Error><Code>X</Code><Message>Expired</Message></Error>", "Expired"),
        ("Traceback:\n" + "  File x\n" * 200 + "RuntimeError: CUDA out of memory", "RuntimeError: CUDA out of memory"),
        ('{"error": {"message": "cut o', "cut o"),
        ('event: error\ndata: {"error": {"message": "in a stream"}}\n\n', "in a stream"),
        ("", "gave no reason"),
        ("<html>", "gave no reason"),
    ],
)
def test_the_reason_in_a_text_is_told(configured: Simulator, text: str, told: str) -> None:
    """Plain text is one, and so is the title of a page."""
    configured.script([{"status": 500, "body_text": text, "content_type": "text/html"}])
    assert told in error_of(ended(PLAIN)).summary


def test_a_reason_in_another_encoding_is_read_and_one_in_none_is_none(configured: Simulator) -> None:
    """Old servers write Latin-1; bytes that are no text are not shown as one."""
    for body, told in (("Größe ungültig".encode("latin-1"), "Größe ungültig"), (bytes(range(256)), "gave no reason")):
        configured.script([{"status": 400, "body_base64": text_of(body)}])
        assert told in error_of(ended(PLAIN)).summary


def test_a_reason_shows_neither_key_nor_base64_nor_controls(configured: Simulator) -> None:
    """In a text as in JSON."""
    said = f"No {KEY} \x1b[31m{text_of(PICTURE)} for you"
    for fault in ({"body": {"detail": said}}, {"body_text": said, "content_type": "text/plain"}):
        configured.script([fault | {"status": 400}])
        assert error_of(ended(PLAIN)).summary == "No ***  … for you"


CRASH = {"code": "server_error", "message": "The model crashed"}
NAMES = ("error", "image_generation.failed", "response.failed", "stream.error")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "event", [CRASH, {"error": CRASH}, {"response": {"error": CRASH}}], ids=["flat", "inner", "deep"]
)
def test_an_error_event_is_one_under_any_name(configured: Simulator, name: str, event: dict[str, Any]) -> None:
    """With or without an inner error: reason and code are told, the partial image is kept."""
    configured.script([SMALL | {"error_event": event, "error_name": name}])
    job = ended(STREAM)
    error = error_of(job)
    assert (type(error), error.summary, error.code) == (gn.APIError, "The model crashed", "server_error")
    assert (len(job.partials), record_of(job).is_partial, job._slots[0].path.exists()) == (1, True, True)


def test_an_error_event_may_be_plain_text(configured: Simulator) -> None:
    """Its name says what it is."""
    configured.script([SMALL | {"error_event": CRASH, "error_name": "error", "error_text": "The model crashed"}])
    assert error_of(ended(STREAM)).summary == "The model crashed"


def test_the_last_words_of_a_stream_are_told(configured: Simulator) -> None:
    """Where no image follows they may be the reason."""
    configured.script([{"body_text": 'data: {"detail": "Out of memory"}\n\n', "content_type": "text/event-stream"}])
    assert "Out of memory" in str(error_of(ended(STREAM)))


def test_an_answer_that_breaks_off_is_no_stream_if_it_was_none(configured: Simulator) -> None:
    """Nobody is told of partial images who did not ask for any."""
    configured.script([SMALL | {"cut": "in_final"}])
    assert error_of(ended(PLAIN)).summary == "The answer ended before it was whole."


def sent_as(body: bytes, *, length: int | None = None, silent: bool = False) -> Callable[[socket.socket], None]:
    """Return what answers with these bytes, and then ends or falls silent."""
    kind = "text/event-stream" if silent else "application/json"
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length or len(body)}\r\n\r\n"

    def serve(connection: socket.socket) -> None:
        connection.settimeout(30)
        asked = b""
        while b"hills" not in asked:
            asked += more_of(connection)
        connection.sendall(head.encode() + body)
        while silent and connection.recv(65_536):
            pass

    return serve


def got(answer: bytes) -> Callable[[socket.socket], None]:
    """Return what answers to GET with these bytes."""

    def serve(connection: socket.socket) -> None:
        connection.settimeout(30)
        asked = b""
        while b"\r\n\r\n" not in asked:
            asked += more_of(connection)
        connection.sendall(answer)

    return serve


def asked_of(serve: Callable[[socket.socket], None], **limits: float) -> gn.GradientNotebookError:
    with Listener(serve) as listener:
        settings = gn.Settings(endpoint=f"http://127.0.0.1:{listener.port}", key=KEY, max_retries=0, **limits)
        job = gn.submit("hills", settings=settings, **(STREAM if limits else PLAIN))
        job._wait()
        return error_of(job)


BIG_ANSWER = json.dumps({"data": [ENTRY]}).encode()
PACKED_ANSWER = gzip.compress(BIG_ANSWER, 1)
CUT_OFF = {
    "the length is too small": (BIG_ANSWER[:-10], None, "it ends too early"),
    "the connection closes": (BIG_ANSWER[:-10], len(BIG_ANSWER), "What broke it: "),
    "packed": (PACKED_ANSWER[:-1000], None, "it ends too early"),
    "packed and broken soon": (
        PACKED_ANSWER[:20_000] + b"\xff" * 999 + PACKED_ANSWER[20_999:],
        None,
        "its compression is broken",
    ),
    "packed and broken": (
        PACKED_ANSWER[:70_000] + b"\xff" * 999 + PACKED_ANSWER[70_999:],
        None,
        "What broke it: its compression is broken",
    ),
}


@pytest.mark.parametrize("name", CUT_OFF)
def test_what_came_of_an_answer_that_is_cut_off_is_kept(configured: Simulator, name: str) -> None:
    """All of it, down to the middle of its image; and what broke it is told."""
    body, length, told = CUT_OFF[name]
    error = asked_of(sent_as(body, length=length))
    came = Path(error.path).read_bytes()
    least = 20_000 if "soon" in name else 60_000
    assert came[:least] == BIG_ANSWER[:least]
    assert told in str(error)
    assert error.may_be_billed


def test_silence_within_a_stream_is_told_as_such(configured: Simulator) -> None:
    """It has not ended: how long was waited is said, and how to wait longer. It may be billed."""
    error = asked_of(sent_as(b": hi\n\n", length=999, silent=True), read_timeout_s=0.5)
    assert "within 0.5 s, after 0 partial images" in error.summary
    assert "Raise read_timeout_s" in str(error)
    assert (type(error), error.sent, error.may_be_billed) == (gn.StreamInterruptedError, True, True)


# ---------------------------------------------------------------------------------------------- advice


def test_payment_is_asked_for_where_it_is_due(configured: Simulator) -> None:
    """402 says what to do."""
    configured.script([{"status": 402, "body": {"message": "Payment required"}}])
    assert "add credit" in str(error_of(ended(PLAIN)))


def test_a_refused_key_is_suspected_only_where_nothing_else_is_said(configured: Simulator) -> None:
    """403 has many reasons."""
    bodies = [{"message": "Your organization must be verified."}, {"message": "Forbidden"}, {}]
    bodies.append({"message": "This API key is revoked."})
    bodies.append({"message": "Your key has no access to model X"})
    bodies.append({"message": "Invalid model access key"})
    configured.script([{"status": 403, "body": body} for body in bodies])
    told = [str(error_of(ended(PLAIN))) for _ in bodies]
    assert ["Check the key" in text for text in told] == [False, True, True, True, False, True]
    assert ["The key came from" in text for text in told] == [False, True, True, True, False, True]


def test_what_was_not_found_is_named(configured: Simulator) -> None:
    """404 says what was asked, without the query, and that it may be the model or the path."""
    configured.script([{"status": 404, "body": {"detail": "Not Found"}}])
    with pytest.raises(gn.NotFoundError) as caught:
        gn.Client().images.generate(prompt="x", extra_query={"token": "secret"})
    assert caught.value.asked == f"POST {configured.url}/v1/images/generations"
    assert "Either the model or the path of the endpoint is unknown" in str(caught.value)
    assert "secret" not in str(caught.value)


STREAMLESS = [
    {"error": {"message": "Unknown parameter: 'stream'.", "param": "stream"}},
    {"error": {"message": "Unknown parameter.", "param": "partial_images"}},
    {"detail": [{"loc": ["body", "stream"], "msg": "Extra inputs are not permitted"}]},
    {"detail": "Streaming is not supported by this model"},
]


@pytest.mark.parametrize("body", STREAMLESS)
def test_a_server_that_cannot_stream_is_asked_without(configured: Simulator, body: dict[str, Any]) -> None:
    """A cell adds it by itself: its advice is --no-stream. Who did not ask for a stream has no such advice."""
    configured.script([{"status": 400, "body": body}] * 2)
    error = error_of(ended(STREAM))
    assert "stream=False" in str(error)
    assert "--no-stream" in gn.api.errors.describe(error, NOTEBOOK)[1]
    assert "stream=False" not in str(error_of(ended(PLAIN)))


def test_a_stream_that_broke_elsewhere_is_no_reason_not_to_stream(configured: Simulator) -> None:
    """It says stream and means a connection."""
    configured.script([{"status": 400, "body": {"message": "Upstream connection stream reset"}}])
    assert "stream=False" not in str(error_of(ended(STREAM)))


REFUSED_MODELS = [
    (400, {"code": "model_not_found", "message": "No."}, True),
    (410, {"code": "model_deprecated", "message": "No."}, True),
    (422, {"param": "model", "message": "No."}, True),
    (404, {"message": "No."}, True),
    (404, {"param": "path", "message": "No."}, False),
    (429, {"code": "model_overloaded", "message": "No."}, False),
    (400, {"code": "bad_size", "message": "No."}, False),
]


@pytest.mark.parametrize(("status", "error", "is_model"), REFUSED_MODELS)
def test_a_model_that_cannot_be_used_is_answered_with_those_that_can(
    configured: Simulator, status: int, error: dict[str, Any], is_model: bool
) -> None:
    """Whatever the status: with the line that sets another, and without other guesses."""
    configured.script([{"status": status, "body": {"error": error}}])
    told = str(error_of(ended({"model": "gone"})))
    assert ("model='gone' cannot be used. Image models here: " in told) == is_model
    assert ("configure(model='openai-gpt-image-" in told) == is_model
    assert not (is_model and ("Either" in told or "lists the models" in told))


def test_a_list_of_models_that_is_not_there_is_not_advised() -> None:
    """Who asks for it hears that the path is wrong, and what was asked."""
    with Listener(got(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")) as listener:
        url = f"http://127.0.0.1:{listener.port}"
        with pytest.raises(gn.NotFoundError) as caught:
            gn.Client(settings=gn.Settings(endpoint=url, key=KEY)).models.list()
    assert f"The request was GET {url}/v1/models. The path of the endpoint is unknown" in str(caught.value)
    assert "lists the models" not in str(caught.value)


def test_not_to_stream_is_left_out_of_the_body(configured: Simulator) -> None:
    """Some servers refuse the word."""
    gn.generate("x", stream=False, quality="low")
    assert "stream" not in configured.posts[0].body


TASKS: dict[str, tuple[dict[str, Any], str]] = {
    "202": ({"status": 202, "body": {"id": "task-7", "status": "queued"}}, "task-7, queued"),
    "200": ({"body": {"id": "task-7", "status": "processing", "url": "https://x.example/7"}}, "task-7, processing"),
    "in data": ({"body": {"data": {"task_id": "task-7", "state": "PENDING"}}}, "task-7, PENDING"),
    "no status": ({"status": 202, "body": {"task_id": 7}}, "7, accepted"),
    "no body": ({"status": 202, "headers": {"location": "https://x.example/7"}}, "https://x.example/7"),
    "words": ({"status": 202, "body": {"message": "Accepted"}}, "accepted"),
}


@pytest.mark.parametrize("params", [PLAIN, STREAM], ids=["plain", "stream"])
@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_told_and_not_followed(configured: Simulator, name: str, params: dict[str, Any]) -> None:
    """Its id and its status are shown, and the record has them."""
    fault, told = TASKS[name]
    configured.script([fault])
    job = ended(params)
    error = error_of(job)
    assert told in str(error)
    assert "Tasks are not followed" in str(error)
    assert record_of(job).error["task_id"] == error.task_id
    assert len(configured.requests) == 1
