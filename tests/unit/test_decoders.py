"""The decoders: the same values however the bytes are cut, and everything that the protocol calls legal."""

from __future__ import annotations

import base64
import itertools
import json
import textwrap
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradient_notebook.api import base64_stream, bounds
from gradient_notebook.api.answer_decoder import AnswerDecoder
from gradient_notebook.api.decoders import ResponseDecoder, StreamDecoder
from gradient_notebook.api.errors import InvalidResponseError
from gradient_notebook.api.events import ImageGenCompletedEvent, ImageGenPartialImageEvent
from gradient_notebook.api.reasons import reason_in

from .examples import of_full

FIRST, LAST = bytes(range(256)) * 3, b"\x89PNG\r\n\x1a\n" + bytes(range(255))


class ServiceError(Exception):
    pass


def make_error(body: Mapping[str, Any]) -> Exception:
    return ServiceError(reason_in(body))


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


BROKEN = [
    b64(LAST)[:-7],
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


@given(data=st.binary(min_size=1, max_size=400), sizes=st.lists(st.integers(1, 60), min_size=1, max_size=30))
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
    monkeypatch.setattr(bounds, "MAX_TEXT_BYTES", 1000)
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
        (answer(data=[]), "no image in any known field"),
        (answer(data="x"), "no image in any known field"),
        (answer(data=[{"revised_prompt": "x"}]), "no image in any known field"),
        (answer(data=[{"b64_json": None}]), "no image in any known field"),
        (answer(data=[{"b64_json": b64(FIRST)}, {"b64_json": None}]), "neither b64_json nor url"),
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


# ---------------------------------------------------------------------------------------------- any form, any label


def read(data: bytes, sizes: list[int], label: str = "") -> list[Any]:
    """Return the events of an answer whose first bytes say what it is, however it is cut."""
    decoder = AnswerDecoder(make_error, content_type=label)
    found: list[Any] = []
    at, turns = 0, itertools.cycle(sizes)
    while at < len(data):
        size = next(turns)
        found += decoder.feed(data[at : at + size])
        at += size
    return [*found, *decoder.close()]


WRITERS: Mapping[str, Callable[[bytes], str]] = {
    "plain": b64,
    "data: URL": lambda data: f"data:image/png;base64,{b64(data)}",
    "data: URL with a charset": lambda data: f"DATA:image/png;charset=utf-8;BASE64,{b64(data)}",
    "wrapped": lambda data: "\r\n".join(textwrap.wrap(b64(data), 76)),
    "wrapped and escaped twice": lambda data: "\\n".join(textwrap.wrap(b64(data), 60)),
    "url-safe": lambda data: base64.urlsafe_b64encode(data).decode(),
    "unpadded": lambda data: b64(data).rstrip("="),
    "url-safe, unpadded, wrapped": lambda data: " ".join(
        textwrap.wrap(base64.urlsafe_b64encode(data).decode().rstrip("="), 64)
    ),
    "percent": lambda data: b64(data).replace("+", "%2B").replace("/", "%2F").replace("=", "%3D"),
    "as Python shows bytes": lambda data: f"b'{b64(data)}'",
}
FORMS: Mapping[str, Callable[[str], bytes]] = {
    "answer": lambda text: json.dumps({"created": 1, "data": [{"b64_json": text}]}).encode(),
    "indented": lambda text: b"\xef\xbb\xbf" + json.dumps({"data": [{"b64_json": text}]}, indent=3).encode(),
    "stream": lambda text: (event(PARTIAL) + event({**COMPLETED, "b64_json": text})).encode(),
    "stream with CR": lambda text: event({**COMPLETED, "b64_json": text}, None, "\r").encode(),
    "comment first": lambda text: b": hello\n\n" + event({"n": 1, **COMPLETED, "b64_json": text}, None).encode(),
    "number first": lambda text: event({"n": 1, **COMPLETED, "b64_json": text}, None).encode(),
    "a line of data": lambda text: b'data: {"data": [{"b64_json": ' + json.dumps(text).encode() + b"}]}",
    "lines of JSON": lambda text: "\n".join(map(json.dumps, [PARTIAL, {**COMPLETED, "b64_json": text}])).encode(),
}
LABELS = st.sampled_from(["", "application/json", "text/event-stream", "text/plain", "application/octet-stream"])


@given(
    data=st.binary(min_size=1, max_size=300).map(lambda rest: LAST[:8] + rest),
    sizes=st.lists(st.integers(1, 90), min_size=1, max_size=20),
    writer=st.sampled_from(sorted(WRITERS)),
    form=st.sampled_from(sorted(FORMS)),
    label=LABELS,
)
@settings(max_examples=of_full(500))
def test_any_image_however_it_is_written_wrapped_labeled_and_cut(
    data: bytes, sizes: list[int], writer: str, form: str, label: str
) -> None:
    """The bytes come out as they went in, and nothing but the image is finished."""
    found = read(FORMS[form](WRITERS[writer](data)), sizes, label)
    assert [value.image_bytes for value in found if isinstance(value, ImageGenCompletedEvent)] == [data]


@given(
    data=st.binary(max_size=300).map(lambda rest: LAST[:8] + rest),
    sizes=st.lists(st.integers(1, 9), min_size=1),
    label=LABELS,
)
@settings(max_examples=of_full(100))
def test_a_file_is_that_file_however_it_is_cut(data: bytes, sizes: list[int], label: str) -> None:
    """The same for a body that is the image itself, or its text."""
    for body in (data, b64(data).encode(), f"data:image/png;base64,{b64(data)}".encode()):
        assert images(read(body, sizes, label)) == [data]


@pytest.mark.parametrize("label", ["", "application/json", "text/event-stream", "text/plain"])
def test_both_documented_forms_are_what_they_are_under_any_label(label: str) -> None:
    """They give exactly what their own decoders give, cut at every border."""
    answered = ResponseDecoder(make_error)
    list(answered.feed(answer()))
    for body, wanted in ((STREAM.encode(), decoded(STREAM)), (answer(), list(answered.close()))):
        for border in range(1, len(body)):
            assert read(body, [border, len(body)], label) == wanted


def test_an_address_is_an_event_without_bytes() -> None:
    """In each place where one may stand: it is fetched further up."""
    at = "https://files.example/1.png?a=b,c"
    for entry in (
        {"url": at},
        {"b64_json": None, "url": at},
        {"b64_json": "", "url": at},
        {"b64_json": at},
        {"image_url": {"url": at}},
    ):
        for body in (json.dumps({"data": [entry]}), event({"type": "image_generation.completed", **entry})):
            (found,) = read(body.encode(), [7])
            assert (found.image_bytes, found.url) == (b"", at)
    (found,) = read(json.dumps({"data": [{"b64_json": b64(LAST), "url": at}]}).encode(), [7])
    assert (found.image_bytes, found.url) == (LAST, at)
    assert read(json.dumps({"output": [at]}).encode(), [7])[0].url == read(at.encode(), [7])[0].url == at


def test_an_address_is_bounded_and_an_unknown_format_is_none() -> None:
    """What is too long to be followed is cut, and says so there; base64 in the place of an address is the image."""
    (found,) = read(json.dumps({"data": [{"url": "https://files.example/\x1b[31m" + "a" * 50_000}]}).encode(), [999])
    assert (len(found.url), "\x1b" in found.url) == (8_001, False)
    tiff = b"II*\0" + bytes(range(256)) * 5
    for entry in ({"image": b64(tiff)}, {"url": b64(tiff)}):
        assert images(read(json.dumps({"data": [entry]}).encode(), [999])) == [tiff]
    assert images(read(json.dumps({"images": [b64(tiff)]}).encode(), [999])) == [tiff]
    assert read(json.dumps({"data": [{"url": "/files/1"}]}).encode(), [999])[0].url == "/files/1"
