"""The simulator over real HTTP, against a schema written from the provider's OpenAPI description."""

from __future__ import annotations

import ast
import asyncio
import base64
import io
import itertools
import json
import multiprocessing
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema  # type: ignore[import-untyped]
import pytest
from PIL import Image

import gradient_notebook.simulator
from gradient_notebook.api.models import DEFAULT_MODEL, FAMILIES, PARTIAL_IMAGE_TOKENS, Family
from gradient_notebook.api.params import PARAMETERS
from gradient_notebook.simulator import Simulator
from gradient_notebook.simulator.faults import CUTS, script
from gradient_notebook.simulator.painter.noise import Noise
from gradient_notebook.simulator.painter.painting import Painting, Picture

SCHEMA = json.loads(Path(__file__).with_name("schema.json").read_text(encoding="utf-8"))
PATH = "/v1/images/generations"
HEADERS = {"authorization": "Bearer sk-do-simulated"}
ORDER = {"prompt": "A low sun over blue hills", "model": DEFAULT_MODEL, "n": 1}
SMALL = ORDER | {"quality": "low", "output_format": "jpeg", "output_compression": 30}
STREAM = SMALL | {"stream": True, "partial_images": 2}


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator(seconds_per_image=0, painter=Noise) as started:
        yield started


@pytest.fixture
def painting_simulator() -> Iterator[Simulator]:
    with Simulator(seconds_per_image=0, painter=Painting) as started:
        yield started


def post(simulator: Simulator, body: Any = None, **changes: Any) -> httpx.Response:
    order = ORDER if body is None else body
    return httpx.post(simulator.url + PATH, json=order | changes if changes else order, headers=HEADERS, timeout=60)


def valid(name: str, value: Any) -> Any:
    jsonschema.validate(value, {**SCHEMA, "$ref": f"#/$defs/{name}"}, cls=jsonschema.Draft202012Validator)
    return value


def events_of(text: str) -> list[tuple[str, dict[str, Any]]]:
    """Return (name, data) of each event; every event must be one name line, one data line and an empty line."""
    assert text.endswith("\n\n")
    parsed = []
    for event in text.removesuffix("\n\n").split("\n\n"):
        name, data = event.split("\n")
        parsed.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return parsed


def opened(data: dict[str, Any]) -> Image.Image:
    image = Image.open(io.BytesIO(base64.b64decode(data["b64_json"], validate=True)))
    image.load()
    return image


def raw_answer(simulator: Simulator, body: Any, size: int = sys.maxsize) -> bytes:
    """Return what comes over the socket, `size` bytes or all until its end; a reset is the word RESET at the end."""
    content = json.dumps(body).encode()
    head = f"POST {PATH} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer k\r\ncontent-length: {len(content)}\r\n\r\n"
    port = int(simulator.url.rpartition(":")[2])
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(head.encode() + content)
        try:
            while len(received) < size and (data := connection.recv(1 << 20)):
                received += data
        except ConnectionResetError:
            return received + b"RESET"
    return received


# ---------------------------------------------------------------------------------------------- the two forms


def test_the_json_form_fits_the_schema(simulator: Simulator) -> None:
    """Without streaming the answer is an images_response with n images of the size and format that it names."""
    answer = valid("images_response", post(simulator, SMALL, n=2, size="1536x1024").json())
    assert len(answer["data"]) == 2
    assert all(item["revised_prompt"].startswith(ORDER["prompt"]) for item in answer["data"])
    assert [answer[name] for name in ("size", "quality", "background", "output_format")] == [
        "1536x1024",
        "low",
        "opaque",
        "jpeg",
    ]
    assert {(opened(item).size, opened(item).format) for item in answer["data"]} == {((1536, 1024), "JPEG")}
    assert abs(answer["created"] - time.time()) < 600


def test_the_stream_fits_the_schema(simulator: Simulator) -> None:
    """A stream is partial images counted from 0, then the completed one, each an event of two lines."""
    response = post(simulator, STREAM)
    events = events_of(response.text)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert [name for name, _ in events] == ["image_generation.partial_image"] * 2 + ["image_generation.completed"]
    for name, data in events:
        kind = "completed" if name.endswith("completed") else "partial_image"
        assert valid(f"image_gen_{kind}_event", data)["type"] == name
        assert opened(data).size == (1024, 1024)
    assert [data["partial_image_index"] for _, data in events[:-1]] == [0, 1]


def test_at_most_three_partial_images_are_sent(simulator: Simulator) -> None:
    """Seven partial images asked for are three sent, and three charged for."""
    events = events_of(post(simulator, STREAM, partial_images=7).text)
    assert len(events) == 4
    assert events[-1][1]["usage"]["output_tokens"] == 272 + 3 * PARTIAL_IMAGE_TOKENS


def test_stream_and_json_show_the_same_picture() -> None:
    """The form of the answer does not change what is painted for the first such request."""
    with Simulator(seconds_per_image=0) as fresh:
        streamed = events_of(post(fresh, STREAM).text)[-1][1]["b64_json"]
        assert post(fresh, SMALL).json()["data"][0]["b64_json"] == streamed


@pytest.mark.parametrize(
    ("quality", "size", "model", "tokens"),
    [
        ("low", "1024x1536", DEFAULT_MODEL, 408),
        ("high", "1024x1024", DEFAULT_MODEL, 4160),
        ("high", "1536x1024", "openai-gpt-image-2", 5488),
    ],
)
def test_usage_has_the_documented_counts(
    simulator: Simulator, quality: str, size: str, model: str, tokens: int
) -> None:
    """Output tokens are the documented ones for each image; input is a token for every four characters."""
    order = SMALL | {"prompt": "x" * 10, "quality": quality, "size": size, "n": 2, "model": model}
    usage = post(simulator, order).json()["usage"]
    expected = 2 * tokens
    assert usage == {
        "input_tokens": 3,
        "output_tokens": expected,
        "total_tokens": expected + 3,
        "input_tokens_details": {"text_tokens": 3, "image_tokens": 0},
    }


@pytest.mark.parametrize(
    ("prompt", "size"), [("a wide valley", "1536x1024"), ("a tall tree", "1024x1536"), ("a tree", "1024x1024")]
)
def test_auto_is_resolved(simulator: Simulator, prompt: str, size: str) -> None:
    """What is auto or not given is reported as what it became; the words of the prompt set_default the size."""
    answer = post(simulator, {**ORDER, "prompt": prompt, "size": "auto", "output_format": "webp"}).json()
    assert (answer["size"], answer["quality"], answer["background"]) == (size, "medium", "opaque")
    assert "x".join(map(str, opened(answer["data"][0]).size)) == size


def test_png_is_the_default_and_has_its_real_weight(painting_simulator: Simulator) -> None:
    """A square PNG has 1.4 to 2 MB and says in its text that it is simulated."""
    item = post(painting_simulator).json()["data"][0]
    image = opened(item)
    assert image.format == "PNG"
    assert image.info["Software"] == "gradient_notebook simulator"
    assert 1.4e6 < len(item["b64_json"]) * 3 / 4 < 2e6


def test_transparent_background_comes_with_alpha(painting_simulator: Simulator) -> None:
    """A transparent picture has an alpha channel that is neither full nor empty."""
    answer = post(painting_simulator, ORDER | {"background": "transparent", "output_format": "webp"}).json()
    assert answer["background"] == "transparent"
    assert opened(answer["data"][0]).getchannel("A").getextrema() == (0, 255)


# ---------------------------------------------------------------------------------------------- repetition


def test_identical_requests_vary_and_a_fresh_server_repeats_them() -> None:
    """Images of one request and of its repetitions all differ, and another server sends the same bytes again."""

    def three_requests() -> list[str]:
        with Simulator(seconds_per_image=0) as fresh:
            answers = [post(fresh, SMALL, n=2).json() for _ in range(2)] + [post(fresh, SMALL, prompt="sea").json()]
        return [item["b64_json"] for answer in answers for item in answer["data"]]

    first = three_requests()
    assert len(set(first)) == 5
    assert three_requests() == first


@pytest.mark.painted
def test_a_seed_is_a_set_of_pictures() -> None:
    """With the same seed two servers send the same files, with another one others."""

    def first_file(seed: int) -> str:
        with Simulator(seconds_per_image=0, seed=seed) as fresh:
            return str(post(fresh, SMALL).json()["data"][0]["b64_json"])

    assert first_file(7) == first_file(7) != first_file(8)


# ---------------------------------------------------------------------------------------------- model families


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_each_family_is_served_by_what_is_known_of_it(simulator: Simulator, family: Family) -> None:
    """Its sizes, qualities and formats are answered as asked for, and what is not its own is refused by name."""
    model = f"openai-{family.name}"
    for quality in family.qualities.value:
        assert post(simulator, SMALL, model=model, quality=quality).json()["quality"] in {quality, "medium"}
    for size in [size for size in family.sizes.value if size != "auto"]:
        item = post(simulator, SMALL, model=model, size=size).json()["data"][0]
        assert "{}x{}".format(*opened(item).size) == size
    others = {name: set(PARAMETERS[name].choices) - set(family.known[name]) for name in ("quality", "output_format")}
    wrong = [{name: value} for name, values in others.items() for value in values] + [{"size": "1000x1000"}]
    for change in wrong:
        response = post(simulator, {**ORDER, "model": model, **change})
        assert (response.status_code, response.json()["error"]["param"]) == (400, next(iter(change)))


def test_gif_and_svg_come_in_one_piece(simulator: Simulator) -> None:
    """The family that makes them does not stream them."""
    order = {**ORDER, "model": "openai-gpt-image-2.6"}
    assert opened(post(simulator, order, output_format="gif").json()["data"][0]).format == "GIF"
    text = base64.b64decode(post(simulator, order, output_format="svg").json()["data"][0]["b64_json"])
    assert text.startswith(b"<svg ")
    streamed = post(simulator, order, output_format="gif", stream=True, partial_images=1)
    assert (streamed.status_code, streamed.json()["error"]["param"]) == (400, "stream")


# ---------------------------------------------------------------------------------------------- what is left out

SDK_REQUESTS: dict[str, dict[str, Any]] = {
    "the SDK page's example": {"prompt": "A cute baby sea otter floating on its back in calm blue water"},
    "all parameters": {
        "prompt": "A cute baby sea otter",
        "background": "transparent",
        "model": DEFAULT_MODEL,
        "moderation": "low",
        "n": 1,
        "output_compression": 100,
        "output_format": "png",
        "partial_images": 1,
        "quality": "medium",
        "size": "1024x1024",
        "stream": False,
        "user": "user-1234",
    },
    "streaming, and nothing more": {"prompt": "A cute baby sea otter", "stream": True},
}


@pytest.mark.parametrize("request_body", SDK_REQUESTS.values(), ids=SDK_REQUESTS)
def test_what_the_sdks_send_is_answered(simulator: Simulator, request_body: dict[str, Any]) -> None:
    """What is left out has its documented default; a stream without partial images is the completed event alone."""
    response = post(simulator, request_body)
    assert response.status_code == 200
    if request_body.get("stream"):
        assert [name for name, _ in events_of(response.text)] == ["image_generation.completed"]
    else:
        assert len(valid("images_response", response.json())["data"]) == 1


@pytest.mark.parametrize(
    ("body", "parameter"),
    [
        *[({name: value for name, value in ORDER.items() if name != missing}, missing) for missing in ("model", "n")],
        ({**ORDER, "stream": True}, "stream"),
    ],
)
def test_a_strict_service_refuses_what_is_left_out(body: dict[str, Any], parameter: str) -> None:
    """By the description model and n are required, and a stream has partial images."""
    with Simulator(seconds_per_image=0, strict=True) as strict:
        response = post(strict, body)
        assert (response.status_code, response.json()["error"]["param"]) == (400, parameter)
        assert post(strict, SMALL).status_code == 200


# ---------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("changes", "parameter"),
    [
        ({"prompt": "x" * 32_001}, "prompt"),
        ({"model": None}, "model"),
        ({"size": None}, "size"),
        ({"quality": "best"}, "quality"),
        ({"output_compression": 50}, "output_compression"),
        ({"stream": True, "partial_images": 1, "n": 2}, "n"),
    ],
)
def test_a_wrong_value_is_refused_by_name(simulator: Simulator, changes: dict[str, Any], parameter: str) -> None:
    """A wrong value is a 400 in both documented forms, and the upstream one names the parameter."""
    response = post(simulator, ORDER, **changes)
    body = valid("upstream_error", response.json())
    error = body["error"]
    assert (response.status_code, error["type"], error["param"]) == (400, "invalid_request_error", parameter)
    assert (valid("error", body)["id"], body["message"]) == ("bad_request", error["message"])


def test_a_missing_prompt_is_named(simulator: Simulator) -> None:
    """There is nothing that could take its place."""
    response = post(simulator, {"model": DEFAULT_MODEL, "n": 1})
    error = valid("upstream_error", response.json())["error"]
    assert (response.status_code, error["code"], error["param"]) == (400, "missing_required_parameter", "prompt")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"prompt": NaN}'])
def test_what_is_no_object_is_refused(simulator: Simulator, content: bytes) -> None:
    """A body that is not JSON, or no object, or no order, is a 400 and never a crash."""
    response = httpx.post(simulator.url + PATH, content=content, headers=HEADERS)
    valid("upstream_error", response.json())
    assert response.status_code == 400


def test_a_lone_surrogate_is_refused(simulator: Simulator) -> None:
    """Text that cannot be encoded is a wrong value."""
    response = httpx.post(simulator.url + PATH, content=b'{"prompt":"\\ud800","model":"m","n":1}', headers=HEADERS)
    assert (response.status_code, response.json()["error"]["param"]) == (400, "prompt")


def test_null_is_taken_where_the_description_says_so(simulator: Simulator) -> None:
    """Nullable parameters may be null, and fields that nobody knows are ignored."""
    names = ["background", "moderation", "quality", "stream", "partial_images", "user", "output_compression"]
    assert post(simulator, ORDER | dict.fromkeys(names) | {"output_format": "jpeg", "seed": 7}).status_code == 200


def test_the_streaming_rule_is_worded_as_upstream_does(simulator: Simulator) -> None:
    """Clients know this refusal by its words."""
    assert post(simulator, STREAM, n=2).json()["error"]["message"] == "Streaming is only supported with n=1"


@pytest.mark.parametrize("model", ["gpt-9", "llama3.3-70b-instruct"])
def test_an_unknown_model_is_not_found(simulator: Simulator, model: str) -> None:
    """A model that does not exist, or does not paint, is a 404."""
    response = post(simulator, ORDER, model=model)
    error = valid("upstream_error", response.json())["error"]
    assert (response.status_code, error["code"], error["param"]) == (404, "model_not_found", "model")


@pytest.mark.parametrize(
    ("method", "path", "key"),
    [
        ("GET", "/v1/models", None),
        *[("POST", PATH, key) for key in (None, "Bearer", "Bearer dor_v1_x")],
        ("POST", PATH, "Basic abc"),
    ],
)
def test_the_wrong_kind_of_key_is_unauthorized(simulator: Simulator, method: str, path: str, key: str | None) -> None:
    """Without a model access key nothing is answered but 401."""
    headers = {} if key is None else {"authorization": key}
    response = httpx.request(method, simulator.url + path, json=ORDER, headers=headers)
    assert response.status_code == 401
    assert (response.json()["id"], response.json()["message"]) == ("unauthorized", "Unable to authenticate you.")


@pytest.mark.parametrize(
    ("method", "path", "status", "name"),
    [
        ("GET", "/", 404, "not_found"),
        ("POST", PATH + "/", 404, "not_found"),
        ("GET", PATH, 405, "method_not_allowed"),
        ("DELETE", "/v1/models", 405, "method_not_allowed"),
    ],
)
def test_wrong_addresses_have_the_providers_errors(
    simulator: Simulator, method: str, path: str, status: int, name: str
) -> None:
    """An unknown path is 404 and a wrong method 405, in the provider's own form, with the request's id."""
    response = httpx.request(method, simulator.url + path, headers=HEADERS)
    body = valid("error", response.json())
    assert (response.status_code, body["id"]) == (status, name)
    assert body["request_id"] == response.headers["x-request-id"]


def test_the_models_list_fits_the_schema(simulator: Simulator) -> None:
    """The list has image models, among them the documented default, and others."""
    answer = httpx.get(simulator.url + "/v1/models", headers=HEADERS).json()
    names = [model["id"] for model in valid("list_models_response", answer)["data"]]
    assert DEFAULT_MODEL in names
    assert sum("image" in name for name in names) > 1
    assert any("image" not in name for name in names)


# ---------------------------------------------------------------------------------------------- refusal


@pytest.mark.parametrize("prompt", ["a [refuse] hill", "gore", "Scenes of Violence."])
def test_a_refused_prompt_is_moderation_blocked(simulator: Simulator, prompt: str) -> None:
    """A prompt that is refused is a 400 which says so, why, and that it was the input; streaming or not."""
    for order in (SMALL, STREAM):
        response = post(simulator, order, prompt=prompt)
        error = valid("upstream_error", response.json())["error"]
        assert (response.status_code, error["code"]) == (400, "moderation_blocked")
        assert error["moderation_details"] == {"moderation_stage": "input", "categories": ["violence"]}
        assert error["safety_violations"] == ["violence"]


def test_a_refused_picture_stops_the_stream_after_its_first_partial(simulator: Simulator) -> None:
    """A picture refused at the output stage is an error event in mid-stream, without a name, and nothing after it."""
    text = post(simulator, STREAM, prompt="hills [refuse-output]").text
    first, second, rest = text.split("\n\n")
    assert first.startswith("event: image_generation.partial_image\n")
    error = valid("upstream_error", json.loads(second.removeprefix("data: ")))["error"]
    assert (error["moderation_details"]["moderation_stage"], rest) == ("output", "")


def test_a_refused_picture_is_a_400_without_streaming(simulator: Simulator) -> None:
    """The JSON form has nothing to show before the refusal."""
    response = post(simulator, SMALL, prompt="hills [refuse-output]")
    assert response.status_code == 400
    assert response.json()["error"]["moderation_details"]["moderation_stage"] == "output"


# ---------------------------------------------------------------------------------------------- rate limit


def test_every_answer_counts_down_the_rate_limit() -> None:
    """Limit, remaining and reset are on every answer; when nothing is left it is 429 with the time to wait."""
    with Simulator(requests_per_hour=4) as limited:
        answers = [httpx.get(limited.url + path, headers=HEADERS) for path in ("/v1/models", "/", "/v1/models")]
        answers += [post(limited, {}), post(limited)]
    assert [answer.headers["ratelimit-remaining"] for answer in answers] == ["3", "2", "1", "0", "0"]
    assert {answer.headers["ratelimit-limit"] for answer in answers} == {"4"}
    assert [answer.status_code for answer in answers] == [200, 404, 200, 400, 429]
    assert all(time.time() < int(answer.headers["ratelimit-reset"]) < time.time() + 3_700 for answer in answers)
    assert valid("error", answers[-1].json())["id"] == "too_many_requests"
    assert 0 < int(answers[-1].headers["retry-after"]) <= 3_600
    assert len({answer.headers["x-request-id"] for answer in answers}) == 5


# ---------------------------------------------------------------------------------------------- the record


def test_requests_are_recorded_as_they_came() -> None:
    """Method, path, headers and body of every request can be looked at, and whether it was answered."""
    with Simulator(seconds_per_image=0) as fresh:
        httpx.get(fresh.url + "/v1/models", headers=HEADERS)
        post(fresh, {"prompt": "x"})
        assert fresh.wait_for(lambda: fresh.requests[-1].answered)
        first, second = fresh.requests
    assert (first.method, first.path, first.body) == ("GET", "/v1/models", None)
    assert (second.method, second.path, second.body) == ("POST", PATH, {"prompt": "x"})
    assert second.headers["authorization"] == HEADERS["authorization"]
    assert fresh.posts == [second]
    assert fresh.disconnected == 0


def test_a_client_that_leaves_is_noticed() -> None:
    """Closing the connection in the middle of a stream shows in the record, and the server goes on serving."""
    with Simulator(seconds_per_image=3_600) as slow:
        with httpx.stream("POST", slow.url + PATH, json=STREAM, headers=HEADERS) as response:
            assert response.status_code == 200
        assert slow.wait_for(lambda: slow.disconnected == 1)
        assert not slow.posts[0].answered
        assert httpx.get(slow.url + "/v1/models", headers=HEADERS).status_code == 200


def test_stopping_in_the_middle_of_a_painting_is_quiet(caplog: pytest.LogCaptureFixture) -> None:
    """A server that stops while it paints hangs up, and complains about nothing."""
    with Simulator(seconds_per_image=0) as busy, httpx.stream("POST", busy.url + PATH, json=STREAM, headers=HEADERS):
        busy.stop()
    assert caplog.records == []


def test_others_are_answered_while_a_picture_is_made() -> None:
    """A request that takes an hour keeps nobody waiting, and stopping the server does not wait for it either."""
    slow = Simulator(seconds_per_image=3_600).start()
    with httpx.stream("POST", slow.url + PATH, json=STREAM, headers=HEADERS):
        assert httpx.get(slow.url + "/v1/models", headers=HEADERS).status_code == 200
        slow.stop()
    assert slow.disconnected == 0


# ---------------------------------------------------------------------------------------------- faults


def faulty(fault: Any, order: Any) -> bytes:
    with Simulator(seconds_per_image=0, faults=[fault]) as simulator:
        return raw_answer(simulator, order)


@pytest.mark.parametrize("cut", CUTS)
def test_a_cut_closes_the_connection_at_its_place(cut: str) -> None:
    """What came before the cut is there, and nothing after it."""
    received = faulty({"cut": cut, "partial_base64": "AAAA", "image_base64": "AAAA"}, STREAM)
    partials, completed = received.count(b"event: image_generation.partial"), b"generation.completed\n" in received
    whole = received.count(b"\n\n\r\n")
    expected = {
        "before_headers": (0, False, 0),
        "in_headers": (0, False, 0),
        "in_partial": (1, False, 0),
        "between_events": (1, False, 1),
        "in_name": (2, False, 2),
        "in_final": (2, True, 2),
        "after_base64": (2, True, 2),
        "in_tail": (2, True, 2),
        "before_blank_line": (2, True, 2),
    }[cut]
    assert (partials, completed, whole) == expected
    assert (b"\r\n\r\n" in received) == (cut not in ("before_headers", "in_headers"))
    assert received.startswith(b"HTTP/1.1 200") == (cut != "before_headers")
    assert not received.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize(
    ("cut", "end"),
    [
        ("in_name", r"\n\neve"),
        ("in_final", r'"b64_json": "[\w/+]{9,}'),
        ("after_base64", r'"b64_json": "[\w/+]{9,}=*'),
        ("in_tail", r'"b64_json": "[\w/+]{9,}=*", "[^}]+'),
        ("before_blank_line", r'"b64_json": "[\w/+]{9,}=*", "[^\n]+}}\n'),
    ],
)
def test_the_final_event_is_cut_at_any_of_its_parts(cut: str, end: str) -> None:
    """What has gone out ends in that part: in the name, in or after the base64, in the tail, before the blank line."""
    picture = base64.b64encode(bytes(1_000)).decode()
    received = faulty({"cut": cut, "image_base64": picture, "partials": 1}, STREAM)
    text = b"".join(
        re.findall(rb"^[0-9a-f]+\r\n(.*?)\r\n", received.partition(b"\r\n\r\n")[2], re.DOTALL | re.MULTILINE)
    )
    assert re.search(end + r"\Z", text.decode())
    assert (picture in text.decode()) == (cut not in ("in_name", "in_final"))


def test_a_json_answer_is_cut_in_its_middle() -> None:
    """The body is shorter than its announced length."""
    head, _, body = faulty({"cut": "in_final"}, SMALL).partition(b"\r\n\r\n")
    announced = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-le"))
    assert len(body) == announced // 2


def test_a_cut_can_be_a_reset() -> None:
    """A reset reaches the client as a reset."""
    assert faulty({"cut": "before_headers", "reset": True}, STREAM) == b"RESET"


@pytest.mark.parametrize("cut", CUTS)
def test_a_cut_can_be_a_silence(cut: str) -> None:
    """Instead of an end nothing more comes after the same bytes, until the client leaves."""
    changing = re.compile(rb"remaining: \d+|created_at\": \d+|[-0-9a-f]{36}", re.IGNORECASE)
    fault = {"cut": cut, "partial_base64": "AAAA", "image_base64": "AAAA"}
    with Simulator(seconds_per_image=0, faults=[fault, {**fault, "silence": True}]) as simulator:
        cut_off = raw_answer(simulator, STREAM)
        silent = raw_answer(simulator, STREAM, len(cut_off))
        assert simulator.wait_for(lambda: simulator.disconnected == 1)
        assert [received.disconnected for received in simulator.posts] == [False, True]
    assert changing.sub(b"", silent) == changing.sub(b"", cut_off)


def test_a_scripted_answer_is_sent_as_written() -> None:
    """Status, headers and body are the script's; the usual headers are there too; the next POST is answered well."""
    faults = [{"status": 503, "headers": {"retry-after": "1"}, "body": {"id": "x", "message": "y"}}, None]
    with Simulator(seconds_per_image=0, faults=faults) as simulator:
        first, second = post(simulator), post(simulator, SMALL)
    assert (first.status_code, first.headers["retry-after"]) == (503, "1")
    assert first.json() == {"id": "x", "message": "y"}
    assert "x-request-id" in first.headers
    assert second.status_code == 200


def test_a_page_can_come_instead_of_an_answer() -> None:
    """A proxy's page has its own content type and text."""
    with Simulator(faults=[{"content_type": "text/html", "body_text": "<p>Sign in</p>"}]) as simulator:
        response = post(simulator)
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html")
    assert response.text == "<p>Sign in</p>"


def test_a_header_can_be_taken_away() -> None:
    """None as the value of a header leaves out what every answer carries."""
    fault = {"status": 500, "headers": {"x-request-id": None, "ratelimit-limit": 7}}
    with Simulator(faults=[fault]) as simulator:
        response = post(simulator)
    assert "x-request-id" not in response.headers
    assert response.headers["ratelimit-limit"] == "7"


def test_an_endless_answer_ends_when_the_client_leaves() -> None:
    """The scripted body comes once, the endless text after it again and again, in an event stream if not said."""
    with Simulator(faults=[{"body_text": "data: ", "endless": "xyz"}]) as simulator:
        with httpx.stream("POST", simulator.url + PATH, json=STREAM, headers=HEADERS) as response:
            received = "".join(islice_text(response.iter_text(), 200_000))
        assert simulator.wait_for(lambda: simulator.disconnected == 1)
    assert response.headers["content-type"] == "text/event-stream"
    assert received.startswith("data: xyzxyz")
    assert set(received.removeprefix("data: ").split("xyz")) <= {"", "x", "xy"}


def islice_text(pieces: Iterator[str], length: int) -> Iterator[str]:
    """Yield pieces until there are `length` characters."""
    while length > 0:
        piece = next(pieces)
        length -= len(piece)
        yield piece


def test_a_redirect_points_elsewhere() -> None:
    """A redirect is a 307 with its location."""
    with Simulator(faults=[{"redirect": "http://127.0.0.1:1/"}]) as simulator:
        response = post(simulator)
    assert (response.status_code, response.headers["location"]) == (307, "http://127.0.0.1:1/")


def test_silence_lasts_until_the_client_leaves() -> None:
    """The request is taken, nothing comes, and leaving is noticed."""
    with Simulator(faults=[{"silence": True}]) as simulator:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(simulator.url + PATH, json=ORDER, headers=HEADERS, timeout=httpx.Timeout(10, read=0.05))
        assert simulator.wait_for(lambda: simulator.disconnected == 1)


def test_a_delay_comes_before_the_answer() -> None:
    """A delay of an hour outlasts a client's patience; the same request without it is answered."""
    with Simulator(faults=[{"delay": 3_600, "status": 418}, {"delay": 0.01, "status": 418}]) as simulator:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(simulator.url + PATH, json=ORDER, headers=HEADERS, timeout=httpx.Timeout(10, read=0.05))
        assert post(simulator).status_code == 418


def test_an_error_event_ends_the_stream() -> None:
    """The scripted error comes after the first partial image, and without streaming instead of the answer."""
    fault = {"error_event": {"message": "overloaded"}, "headers": {"x-request-id": "mine"}}
    with Simulator(seconds_per_image=0, faults=[fault, fault]) as simulator:
        streamed, plain = post(simulator, STREAM), post(simulator, SMALL)
    assert streamed.text.endswith('\n\ndata: {"error": {"message": "overloaded"}}\n\n')
    assert streamed.text.count("event: ") == 1
    assert (plain.status_code, plain.json()) == (400, {"error": {"message": "overloaded"}})
    assert {response.headers["x-request-id"] for response in (streamed, plain)} == {"mine"}


@pytest.mark.parametrize("order", [SMALL, STREAM])
def test_pictures_can_be_broken(order: dict[str, Any]) -> None:
    """Truncated base64 does not decode; image data that is no image decodes to what was scripted."""
    faults: list[dict[str, Any]] = [{"truncate_base64": True}, {"image_data": "not an image"}]
    with Simulator(seconds_per_image=0, faults=faults) as simulator:
        texts = [post(simulator, order).text for _ in faults]
    broken, fake = (
        (events_of(text)[-1][1] if order is STREAM else json.loads(text)["data"][0])["b64_json"] for text in texts
    )
    assert len(broken) % 4 == 1
    assert base64.b64decode(fake) == b"not an image"


def nobody_paints(prompt: str, **how: Any) -> Picture:
    raise AssertionError(f"{prompt!r} was painted")


@pytest.mark.parametrize("order", [SMALL, STREAM])
def test_any_bytes_can_be_sent_as_pictures(order: dict[str, Any]) -> None:
    """What the script gives as base64 comes as the last picture and as each partial one, and nothing is painted."""
    fault = {"image_base64": "/wAB", "partial_base64": "/wAC"}
    with Simulator(seconds_per_image=0, faults=[fault], painter=nobody_paints) as simulator:
        text = post(simulator, order).text
    found = [data for _, data in events_of(text)] if order is STREAM else json.loads(text)["data"]
    assert [data["b64_json"] for data in found] == ["/wAC"] * (len(found) - 1) + ["/wAB"]


@pytest.mark.parametrize("partials", [0, 5])
def test_partial_pictures_can_be_more_or_fewer_than_asked_for(partials: int) -> None:
    """As many partial pictures come as the script says, counted from 0."""
    with Simulator(seconds_per_image=0, faults=[{"partials": partials, "image_base64": "AAAA"}]) as simulator:
        events = events_of(post(simulator, STREAM).text)
    assert [data.get("partial_image_index") for _, data in events] == [*range(partials), None]
    assert {opened(data).size for _, data in events[:-1]} <= {(1024, 1024)}


def test_small_events_come_before_the_real_ones() -> None:
    """By turns a comment, an event of unknown type and a partial picture of one pixel, as many as scripted."""
    with Simulator(seconds_per_image=0, faults=[{"events": 5, "image_base64": "AAAA", "partials": 0}]) as simulator:
        comment, unknown, partial, *again, final, rest = post(simulator, STREAM).text.split("\n\n")
    assert comment.startswith(":")
    assert unknown.startswith("event: ping\n")
    assert [again, rest] == [[comment, unknown], ""]
    assert opened(valid("image_gen_partial_image_event", json.loads(partial.partition("\ndata: ")[2]))).size == (1, 1)
    assert final.startswith("event: image_generation.completed\n")


def test_dripping_sends_small_pieces_of_the_same_answer() -> None:
    """An answer that drips is the same answer, in chunks of the scripted size."""
    with Simulator(seconds_per_image=0) as simulator:
        whole = post(simulator, STREAM).text
    with Simulator(seconds_per_image=0, faults=[{"drip": 1_000}, {"drip": 1_000}]) as simulator:
        pieces = [data["b64_json"] for _, data in events_of(post(simulator, STREAM).text)]
        received = raw_answer(simulator, STREAM)
    assert pieces == [data["b64_json"] for _, data in events_of(whole)]
    assert received.count(b"\r\n3e8\r\n") > len(whole) / 1_000 * 0.9


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"statsu": 500}, "fault 0: statsu=500: no such fault. Did you mean status?"),
        ({"explode": True}, "fault 0: explode=True: no such fault. Known are delay, "),
        ({"status": "500"}, "fault 0: status='500': expected int"),
        ({"status": True}, "fault 0: status=True: expected int"),
        ({"delay": -1}, "fault 0: delay=-1: expected 0 or more"),
        ({"cut": "here"}, "fault 0: cut='here': expected one of before_headers, in_headers,"),
        ("cut", "fault 0: 'cut': expected a mapping or null"),
        ({"image_base64": "@@"}, "fault 0: image_base64='@@': expected base64"),
        ({"partial_base64": "A" * 99}, f"fault 0: partial_base64='{'A' * 79}: expected base64"),
    ],
)
def test_an_unknown_fault_is_refused_when_it_is_given(fault: Any, message: str) -> None:
    """A mistake in a script says which entry, what is wrong and what is allowed."""
    with pytest.raises(ValueError, match="^" + message.replace("(", r"\(")):
        script([fault])


# ---------------------------------------------------------------------------------------------- one for a process


def test_there_is_one_shared_simulator() -> None:
    """Everybody who asks gets the same server, and it answers."""
    first = gradient_notebook.simulator.shared()
    assert gradient_notebook.simulator.shared() is first
    assert httpx.get(first.url + "/v1/models", headers=HEADERS).status_code == 200


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_gets_a_simulator_of_its_own() -> None:
    """A child has no copy of its parent's thread, so it starts a server itself."""
    here = gradient_notebook.simulator.shared().url
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_tell_shared, args=(sender,))
    child.start()
    assert receiver.poll(30)
    url, status = receiver.recv()
    child.join(30)
    receiver.close()
    sender.close()
    assert (status, child.exitcode) == (200, 0)
    assert url != here


def _tell_shared(sender: Any) -> None:
    url = gradient_notebook.simulator.shared().url
    sender.send((url, httpx.get(url + "/v1/models", headers=HEADERS).status_code))


def test_it_can_be_started_inside_a_running_loop() -> None:
    """A kernel has a loop of its own; the simulator has another, on its own thread."""

    async def ask() -> int:
        with Simulator() as simulator:
            async with httpx.AsyncClient() as client:
                return (await client.get(simulator.url + "/v1/models", headers=HEADERS)).status_code

    assert asyncio.run(ask()) == 200


def test_a_taken_port_is_an_error() -> None:
    """Starting on a port that is in use raises OSError."""
    with Simulator() as first, pytest.raises(OSError, match="in use"):
        Simulator(port=int(first.url.rpartition(":")[2])).start()


# ---------------------------------------------------------------------------------------------- alone


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "gradient_notebook.simulator", *arguments]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_prints_its_url_and_stops_on_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    """One line with the URL when it is ready, faults from the file, and a clean end."""
    faults = tmp_path / "faults.json"
    faults.write_text('[{"status": 418}, null]', encoding="utf-8")
    arguments = command("--port", "0", "--seconds-per-image", "0", "--faults", str(faults))
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        statuses = [httpx.post(url + PATH, json=SMALL, headers=HEADERS, timeout=60).status_code for _ in range(2)]
        process.send_signal(number)
        rest = process.communicate(timeout=30)
    assert statuses == [418, 200]
    assert (process.returncode, rest) == (0, ("", ""))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "99999"], "port"),
        (["--seconds-per-image", "soon"], "seconds"),
        (["--seconds-per-image", "nan"], "seconds"),
        (["--faults", "no-such-file.json"], "no-such-file.json"),
        (["--faults", "{wrong}"], "no such fault"),
        (["--frobnicate"], "--frobnicate"),
    ],
)
def test_bad_arguments_have_a_short_message(tmp_path: Path, arguments: list[str], message: str) -> None:
    """A mistake on the command line is named in a line, without a traceback."""
    wrong = tmp_path / "wrong.json"
    wrong.write_text('[{"oops": 1}]', encoding="utf-8")
    given = [argument.replace("{wrong}", str(wrong)) for argument in arguments]
    process = subprocess.run(command(*given), capture_output=True, text=True, timeout=30, check=False)
    assert process.returncode == 2
    assert message in process.stderr.splitlines()[-1]
    assert "Traceback" not in process.stderr


def test_the_command_names_a_taken_port() -> None:
    """A port in use is a line that says what to do."""
    with Simulator() as first:
        arguments = command("--port", first.url.rpartition(":")[2])
        process = subprocess.run(arguments, capture_output=True, text=True, timeout=30, check=False)
    assert process.returncode == 1
    assert process.stderr.count("\n") == 1
    assert "Give another --port." in process.stderr


# ---------------------------------------------------------------------------------------------- the house


def test_it_imports_nothing_of_the_package_but_the_declaration() -> None:
    """The simulator is a second reading of the protocol: it shares the declaration of parameters, what is known of models, the form of recorded runs, and nothing else."""
    folder = Path(gradient_notebook.simulator.__file__).parent
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in folder.glob("*.py")]
    nodes = [node for node in itertools.chain(*map(ast.walk, trees)) if isinstance(node, ast.ImportFrom)]
    outside = {node.module for node in nodes if node.level > 1 or (node.module or "").startswith("gradient_notebook")}
    assert outside == {"api.errors", "api.models", "api.parameter", "api.params", "recording"}


def test_importing_it_loads_nothing_heavy() -> None:
    """Tornado and Pillow wait until a server is really made."""
    code = "import gradient_notebook.simulator, sys; print({'tornado', 'PIL', 'asyncio'} & sys.modules.keys())"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert process.stdout.strip() == "set()"
