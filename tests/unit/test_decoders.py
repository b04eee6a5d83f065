"""The decoders: the same values however the bytes are cut, and everything that the protocol calls legal."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradient_notebook.api import base64_stream, decoders, sse
from gradient_notebook.api.decoders import ResponseDecoder, StreamDecoder
from gradient_notebook.api.errors import InvalidResponseError
from gradient_notebook.api.events import ImageGenCompletedEvent, ImageGenPartialImageEvent

from .examples import of_full

FIRST, LAST = bytes(range(256)) * 3, b"\x89PNG\r\n\x1a\n" + bytes(range(255))


class ServiceError(Exception):
    pass


def make_error(body: Mapping[str, Any]) -> Exception:
    return ServiceError(body.get("message"))


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


BROKEN = [
    b64(LAST)[:-5],
    b64(LAST)[:8] + "====" + b64(LAST)[8:],
    b64(LAST)[:9] + "!" + b64(LAST)[10:],
    "AA==AAAA",
    "A",
    "é",
]

PARTIAL = {"type": "image_generation.partial_image", "b64_json": b64(FIRST), "created_at": 7, "partial_image_index": 0}
PARTIAL |= {"size": "1024x1024", "quality": "low", "background": "opaque", "output_format": "png"}
USAGE = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
USAGE |= {"input_tokens_details": {"text_tokens": 1, "image_tokens": 0}}
COMPLETED = {"type": "image_generation.completed", "b64_json": b64(LAST), "created_at": 8, "usage": USAGE}


def event(data: Mapping[str, Any], name: str | None = "", end: str = "\n") -> str:
    kind = name or data.get("type")
    return (f"event: {kind}{end}" if name is not None else "") + f"data: {json.dumps(data)}{end}{end}"


def cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def decoded(stream: str | bytes, size: int = 1 << 20) -> list[Any]:
    decoder = StreamDecoder(make_error)
    data = stream.encode() if isinstance(stream, str) else stream
    return [value for chunk in cut(data, size) for value in decoder.feed(chunk)] + list(decoder.close())


def images(values: list[Any]) -> list[bytes]:
    return [value.image_bytes for value in values]


STREAM = event(PARTIAL) + event(COMPLETED)


def test_a_stream_gives_its_events() -> None:
    """Partial and finished image, with everything that the service says of them."""
    partial, completed = decoded(STREAM)
    assert isinstance(partial, ImageGenPartialImageEvent)
    assert (partial.image_bytes, partial.created_at, partial.size, partial.quality) == (FIRST, 7, "1024x1024", "low")
    assert isinstance(completed, ImageGenCompletedEvent)
    assert (completed.image_bytes, completed.usage.total_tokens, completed.b64_json) == (LAST, 3, b64(LAST))


def test_two_pieces_cut_at_every_border() -> None:
    """One cut at each byte of a stream changes nothing."""
    data, whole = STREAM.encode(), decoded(STREAM)
    for border in range(len(data)):
        decoder = StreamDecoder(make_error)
        found = [*decoder.feed(data[:border]), *decoder.feed(data[border:]), *decoder.close()]
        assert found == whole, border


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64])
def test_pieces_of_any_size(size: int) -> None:
    """Pieces down to one byte change nothing, with any line ends."""
    for end in ("\n", "\r", "\r\n"):
        stream = "\ufeff: hello" + end + event(PARTIAL, end=end) + event(COMPLETED, end=end)
        assert images(decoded(stream, size)) == [FIRST, LAST]


LEGAL = {
    "comments": ": ping\n\n:\n" + STREAM,
    "bom": "\ufeff" + STREAM,
    "bom before data": "\ufeff" + event(PARTIAL, None) + event(COMPLETED, None),
    "done": STREAM + "data: [DONE]\n\n",
    "no event names": event(PARTIAL, None) + event(COMPLETED, None),
    "type wins over name": event(PARTIAL, "something.else") + event(COMPLETED, "another"),
    "name only": event({k: v for k, v in PARTIAL.items() if k != "type"}, PARTIAL["type"]) + event(COMPLETED),
    "unknown events": event({"type": "keepalive"}) + STREAM + event({"type": "new", "b64_json": b64(b"other")}),
    "id and retry": "id: 1\nretry: 10\n" + STREAM,
    "no space after colon": STREAM.replace("data: ", "data:"),
    "last blank line lost": STREAM[:-1],
    "last line end lost": STREAM[:-2],
    "escaped slashes": STREAM.replace("/", "\\/"),
    "spaces in json": STREAM.replace('"b64_json": "', '"b64_json"  :   "'),
    "no spaces in json": STREAM.replace('": ', '":'),
    "base64 with white space": STREAM.replace(b64(LAST)[:40], b64(LAST)[:20] + "\\n" + b64(LAST)[20:40]),
    "escaped key": STREAM.replace('"b64_json"', '"b64\\u005fjson"'),
    "several data lines": STREAM.replace('"b64_json": ', '"b64_json":\ndata: '),
    "pings": "event: ping\ndata:\n\nevent: ping\ndata: keepalive\n\ndata: [1]\n\n" + STREAM,
    "unknown event without its image": event({"type": "x.progress", "b64_json": None}) + STREAM,
    "broken partial image": event({**PARTIAL, "b64_json": "@@@"}) + STREAM,
    "key in a text": event({**PARTIAL, "note": 'a "b64_json": "AAAA" in a text'}) + event(COMPLETED),
    "image first": event({"b64_json": b64(FIRST), **PARTIAL}) + event({"b64_json": b64(LAST), **COMPLETED}),
}


@pytest.mark.parametrize("name", LEGAL)
def test_what_the_protocol_calls_legal(name: str) -> None:
    """Each legal way to write the same stream gives the same images, however it is cut."""
    for size in (1, 3, 1 << 20):
        assert images(decoded(LEGAL[name], size)) == [FIRST, LAST]


@pytest.mark.parametrize("at_once", [1, 4, 6, 64])
def test_how_much_is_decoded_at_once_changes_nothing(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    """Images are decoded in pieces: what is legal stays legal at each border of a piece, what is broken, broken."""
    monkeypatch.setattr(base64_stream, "_DECODED_AT_ONCE", at_once)
    for size in (1, 3, 4, 1 << 20):
        for stream in LEGAL.values():
            assert images(decoded(stream, size)) == [FIRST, LAST]
        for text in BROKEN:
            with pytest.raises(InvalidResponseError, match="invalid base64"):
                decoded(f'data: {{"type":"image_generation.completed","b64_json":"{text}"}}\n\n', size)


@given(data=st.binary(max_size=400), sizes=st.lists(st.integers(1, 60), min_size=1, max_size=30))
@settings(max_examples=of_full(200))
def test_any_image_however_it_is_cut(data: bytes, sizes: list[int]) -> None:
    """The bytes of an image come out as they went in, for any bytes and any cuts."""
    stream = event({**COMPLETED, "b64_json": b64(data)}).encode()
    decoder = StreamDecoder(make_error)
    found, at, turn = [], 0, 0
    while at < len(stream):
        size = sizes[turn % len(sizes)]
        found += decoder.feed(stream[at : at + size])
        at, turn = at + size, turn + 1
    assert images([*found, *decoder.close()]) == [data]


@pytest.mark.parametrize("text", BROKEN)
def test_broken_base64_is_no_image(text: str) -> None:
    """Characters that are missing or foreign are found, wherever a read ends: no broken image passes for a whole one."""
    stream = f'data: {{"type":"image_generation.completed","b64_json":"{text}"}}\n\n'
    for size in (1, 4, 1 << 20):
        with pytest.raises(InvalidResponseError, match="invalid base64"):
            decoded(stream, size)


@pytest.mark.parametrize("name", ["", None])
def test_a_stream_that_is_cut_off_has_its_finished_image_once_it_is_whole(name: str | None) -> None:
    """Within the image there is none, and no error of its own; behind its last character it is there, and paid for."""
    stream = event(PARTIAL, name) + event(COMPLETED, name)
    whole = stream.index(b64(LAST)) + len(b64(LAST)) + 1
    for border in range(len(event(PARTIAL, name)) + 1, len(stream)):
        assert images(decoded(stream[:border])) == ([FIRST] if border < whole else [FIRST, LAST])


def test_an_answer_that_is_cut_off_has_the_images_that_are_whole() -> None:
    """Not streamed: what had come whole of several images is there, and then the error."""
    answer = json.dumps({"created": 1, "data": [{"b64_json": b64(FIRST)}, {"b64_json": b64(LAST)}]})
    ends = [answer.index(b64(data)) + len(b64(data)) + 1 for data in (FIRST, LAST)]
    for border in range(1, len(answer)):
        decoder = ResponseDecoder(make_error)
        list(decoder.feed(answer[:border].encode()))
        found: list[Any] = []
        with pytest.raises(InvalidResponseError, match="not JSON"):
            found.extend(decoder.close())
        assert images(found) == [data for data, end in zip((FIRST, LAST), ends, strict=True) if border >= end]


@pytest.mark.parametrize("body", [{"message": "no"}, "no"])
def test_an_error_event_is_raised_after_what_came_before(body: Any) -> None:
    """An error in mid-stream does not lose the partial image before it."""
    decoder = StreamDecoder(make_error)
    feed = decoder.feed((event(PARTIAL) + event({"error": body}, "error")).encode())
    assert next(feed).image_bytes == FIRST
    with pytest.raises(ServiceError, match="no"):
        next(feed)


@pytest.mark.parametrize(("data", "message"), [("{", "not JSON"), ("[1]", "a JSON list"), ("null", "a JSON NoneType")])
def test_an_event_that_is_no_json_object_is_said_to_be(data: str, message: str) -> None:
    """Nonsense is named, not guessed at."""
    with pytest.raises(InvalidResponseError, match=message):
        decoded(f"event: image_generation.completed\ndata: {data}\n\n")


def test_an_endless_line_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """The text beside the images is bounded, in a stream and in an answer."""
    for module in (sse, decoders):
        monkeypatch.setattr(module, "MAX_TEXT_BYTES", 1000)
    for decoder in (StreamDecoder(make_error), ResponseDecoder(make_error)):
        with pytest.raises(InvalidResponseError, match="1,000 bytes"):
            list(itertools.chain.from_iterable(decoder.feed(b"data: " + b"x" * 100) for _ in range(20)))


def answer(**changes: Any) -> bytes:
    whole = {"created": 5, "data": [{"b64_json": b64(FIRST), "revised_prompt": "p"}, {"b64_json": b64(LAST)}]}
    return json.dumps(whole | {"usage": USAGE, "size": "1024x1024"} | changes, indent=1).encode()


@pytest.mark.parametrize("size", [1, 3, 4, 10, 1 << 20])
def test_an_answer_gives_its_images(size: int) -> None:
    """A plain answer's images come as finished events, the usage of all with the first."""
    decoder = ResponseDecoder(make_error)
    assert [list(decoder.feed(chunk)) for chunk in cut(answer(), size)].count([]) > 0
    first, second = decoder.close()
    assert (first.image_bytes, first.revised_prompt, first.usage.total_tokens) == (FIRST, "p", 3)
    assert (second.image_bytes, second.revised_prompt, second.usage, second.created_at) == (LAST, None, None, 5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"<html>", "not JSON"),
        (b"", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (answer()[:-20], "not JSON"),
        (answer(data=[]), "has no data"),
        (answer(data="x"), "has no data"),
        (answer(data=[{"url": "x"}]), "has no b64_json"),
        (answer(data=[{"b64_json": None}]), "invalid base64"),
    ],
)
def test_an_answer_that_is_none_is_said_to_be(text: bytes, message: str) -> None:
    """Each way to be no answer has its words."""
    decoder = ResponseDecoder(make_error)
    list(decoder.feed(text))
    with pytest.raises(InvalidResponseError, match=message):
        list(decoder.close())


@pytest.mark.parametrize("size", [1, 1 << 20])
def test_an_answers_own_text_is_never_taken_for_an_image(size: int) -> None:
    """What stands for an image between the stages can't be forged: a text in its place is broken base64."""
    forged = event({**COMPLETED, "b64_json": "#0"}) + event({**COMPLETED, "b64_json": "#"})
    with pytest.raises(InvalidResponseError, match="invalid base64"):
        decoded(event(PARTIAL) + forged, size)


def test_a_broken_image_does_not_take_those_after_it_along() -> None:
    """The images that are whole come, each in its place; the error of the broken one is raised after them."""
    decoder = ResponseDecoder(make_error)
    list(decoder.feed(answer(data=[{"b64_json": b64(FIRST)}, {"b64_json": "@@"}, {"b64_json": b64(LAST)}])))
    rest = decoder.close()
    assert [(image.image_index, image.image_bytes) for image in (next(rest), next(rest))] == [(0, FIRST), (2, LAST)]
    with pytest.raises(InvalidResponseError, match="invalid base64"):
        next(rest)


def test_no_image_stays_behind() -> None:
    """What was decoded is handed out once: a long stream does not pile up."""
    decoder = StreamDecoder(make_error)
    for _ in range(3):
        list(decoder.feed(event({"type": "new", "b64_json": b64(FIRST)}).encode()))
    assert decoder._images._images == {}
