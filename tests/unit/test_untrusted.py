"""What comes from the service may be anything: it ends in an event or in an error of ours, bounded and fit to be shown."""

from __future__ import annotations

import functools
import itertools
import json
import time
import tracemalloc
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradient_notebook.api import bounds
from gradient_notebook.api.answer_decoder import AnswerDecoder
from gradient_notebook.api.decoders import ResponseDecoder, StreamDecoder
from gradient_notebook.api.error_responses import error_from
from gradient_notebook.api.errors import (
    ContentPolicyError,
    GradientNotebookError,
    InvalidResponseError,
    describe,
)
from gradient_notebook.api.events import Model, texts, whole_numbers
from gradient_notebook.api.params import ImageGenerateParams
from gradient_notebook.api.text import clean
from gradient_notebook.notebook.formatting import Box
from gradient_notebook.notebook.html import box, joined, line, record

from .examples import of_full

make_error = functools.partial(error_from, status=None, headers={})
DECODERS = (StreamDecoder, ResponseDecoder, AnswerDecoder)

# Anything, and what is nearly an answer: the parts of one in any order.
PARTS = st.sampled_from(
    [
        b"data: ",
        b"data:",
        b"event: image_generation.completed",
        b"event: image_generation.partial_image",
        b": comment",
        b"\n",
        b"\n\n",
        b"\r",
        b"\r\n",
        b"\xef\xbb\xbf",
        b'{"type":"image_generation.completed","b64_json":"AAAA"}',
        b'{"type":"image_generation.partial_image","b64_json":"iVBORw0KGgo=","partial_image_index":-1}',
        b'{"b64_json":"AA==AAAA"}',
        b'{"created":true,"data":[{"b64_json":"AAAA","revised_prompt":"\\ud800"}],"usage":{"total_tokens":1e999}}',
        b'{"error":{"message":["no"],"code":{"a":[]}}}',
        b'{"error":"no"}',
        b'{"data":[{"url":"https://files.example/1","b64_json":null}]}',
        b'{"id":"t","status":"queued"}',
        b'{"detail":[{"loc":["body"],"msg":"no"}]}',
        b"event: error",
        b"https://files.example/1",
        b"data:image/png;base64,",
        b"\x89PNG\r\n\x1a\n",
        b"iVBORw0KGgo",
        b"<title>",
        b"[DONE]",
        b'"b64_json"',
        b'"b64_json":"',
        b"QUJD" * 30,
        b'"',
        b"{",
        b"}",
        b"[" * 3000,
        b",",
        b":",
        b"\\",
        b"#0",
    ]
)
ANSWERS = st.lists(PARTS | st.binary(max_size=12), max_size=12).map(b"".join)
CUTS = st.lists(st.integers(1, 90), min_size=1, max_size=20)


def cut(data: bytes, sizes: Iterable[int]) -> Iterator[bytes]:
    at, turns = 0, itertools.cycle(sizes)
    while at < len(data):
        size = next(turns)
        yield data[at : at + size]
        at += size


def outcome(
    kind: type[StreamDecoder | ResponseDecoder | AnswerDecoder], pieces: Iterable[bytes]
) -> tuple[list[Any], str]:
    """Return the events of an answer, and the error that it ends in."""
    decoder = kind(make_error)
    events: list[Any] = []
    try:
        for piece in pieces:
            events.extend(decoder.feed(piece))
        events.extend(decoder.close())
    except GradientNotebookError as error:
        return events, f"{type(error).__name__}: {error}"
    return events, ""


@settings(max_examples=of_full(500))
@given(data=ANSWERS, sizes=CUTS)
@pytest.mark.parametrize("kind", DECODERS)
def test_any_bytes_end_in_events_or_in_our_error_however_they_are_cut(kind: Any, data: bytes, sizes: list[int]) -> None:
    """Nothing else is raised, and the cuts change neither the events nor the error."""
    assert outcome(kind, cut(data, sizes)) == outcome(kind, [data])


def test_a_line_end_that_is_cut_in_two_is_one() -> None:
    """CR LF between two reads ends one line: the event's name and its two lines of data stay together."""
    data = b'event: image_generation.completed\r\ndata: {"b64_json":\r\ndata: "AAAA"}\r\n\r\n'
    whole = outcome(StreamDecoder, [data])
    assert len(whole[0]) == 1
    for border in range(len(data)):
        assert outcome(StreamDecoder, [data[:border], data[border:]]) == whole


@pytest.mark.parametrize("kind", DECODERS)
def test_an_image_that_never_ends_is_given_up(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes of one image are bounded while they arrive."""
    monkeypatch.setattr(bounds, "MAX_IMAGE_BYTES", 200_000)
    fed = 0

    def endless() -> Iterator[bytes]:
        nonlocal fed
        yield b'data: {"b64_json":"'
        while fed < 10_000_000:
            fed += 16_384
            yield b"A" * 16_384

    assert "an image of more than 200,000 bytes" in outcome(kind, endless())[1]
    assert fed < 500_000


@pytest.mark.parametrize("begins", [b"data: ", b": ", b"data: x\n", b": x\n", b"event: "])
def test_text_that_never_ends_takes_no_more_memory_than_it_has(begins: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small pieces, comments and many lines of data are held as bytes, and given up at the same bound."""
    monkeypatch.setattr(bounds, "MAX_TEXT_BYTES", 50_000)
    again = begins if begins.endswith(b"\n") else b"x"
    text = begins + again * (60_000 // len(again))
    tracemalloc.start()
    assert "more than 50,000 bytes besides its image" in outcome(StreamDecoder, cut(text, [2]))[1]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 300_000


def test_images_that_nobody_takes_do_not_pile_up_in_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an event has beside its own image is forgotten with the event."""
    monkeypatch.setattr(bounds, "MAX_WAITING_BYTES", 10_000)
    event = b'data: {"type":"new","data":[{"b64_json":"' + b"QUJD" * 100 + b'"}]}\n\n'
    decoder = StreamDecoder(make_error)
    for _ in range(100):
        assert list(decoder.feed(event)) == []
    assert decoder._images._images == {}
    assert decoder._images._waiting_bytes == 0
    final = b'data: {"type":"image_generation.completed","b64_json":"QUJD","x":{"b64_json":"AAAA"}}\n\n'
    other = final.replace(b"QUJD", b"REVG")
    assert [found.image_bytes for found in decoder.feed(final + other)] == [b"ABC", b"DEF"]


@pytest.mark.parametrize(
    ("kind", "begins", "again"),
    [
        (ResponseDecoder, b'{"data":[', b'{"b64_json":"QUJD"},'),
        (ResponseDecoder, b'{"data":[', b'{"b64_json":""},'),
        (StreamDecoder, b"", b': "b64_json":"QUJD"\n\n'),
        (StreamDecoder, b"data: ", b'{"b64_json":"QUJD"},'),
    ],
)
def test_images_that_nobody_can_take_are_bounded(
    kind: Any, begins: bytes, again: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many small images in one answer, or where no event is, are given up in time."""
    monkeypatch.setattr(bounds, "MAX_WAITING_BYTES", 100_000)
    assert "more than 100,000 bytes of images" in outcome(kind, [begins, *[again] * 1000])[1]


@pytest.mark.parametrize("text", [b"[]", b"{}", b"0"])
def test_an_answer_of_countless_values_is_not_read(text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value takes many times the memory of its text."""
    monkeypatch.setattr(bounds, "MAX_VALUES", 1000)
    data = b'{"data":[' + b",".join([text] * 2000) + b"]}"
    assert "has more than 1,000 values" in outcome(ResponseDecoder, [data])[1]
    assert (
        "has more than 1,000 values"
        in outcome(StreamDecoder, [b"event: image_generation.completed\ndata: " + data + b"\n\n"])[1]
    )


@pytest.mark.parametrize(
    ("event", "size"),
    [
        (b'data: {"type":"x"}\n\n', 64),
        (b'data: {"type":"x","b64_json":"AAAA"}\n\n', 1 << 30),
        (b": ping\n", 64),
        (b"\n", 1 << 30),
        (b'data: {"a":[{"b64_json":"AAAA"}]}\n\n', 64),
        (b'"b64_json" ', 64),
    ],
)
def test_ten_times_as_many_small_events_take_ten_times_as_long(event: bytes, size: int) -> None:
    """The work grows with the bytes, not with their square."""

    def seconds(count: int) -> float:
        data = event * count
        began = time.process_time()
        outcome(StreamDecoder, cut(data, [size]))
        return time.process_time() - began

    few = min(seconds(2_000) for _ in range(3))
    assert seconds(20_000) < 40 * few


# What is said.

HOSTILE = "\x1b[31mred\x1b]0;title\x07 \x9b2J\x00\x08\r\n\u202egnp.exe\u2066\u200b\u2028 \ud800\U000e0041end"


def is_showable(text: str) -> bool:
    text.encode()  # a lone surrogate would end whatever writes it
    return not any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or c in "\u202e\u2066\U000e0041" for c in text)


def test_what_controls_a_terminal_is_taken_out() -> None:
    """Colors, titles, controls, changes of direction and what cannot be written are gone; words and emoji stay."""
    assert clean(HOSTILE).split() == ["red", "gnp.exe", "end"]
    assert clean("Two\nlines", lines=True) == "Two\nlines"
    words = "Grüße, 你好, שלום, 👩\u200d🎨 and نمی\u200cخواهم"
    assert clean(words) == words


@given(text=st.text(st.characters(exclude_categories=()), max_size=300), at_most=st.integers(1, 200))
def test_any_text_becomes_one_that_can_be_shown(text: str, at_most: int) -> None:
    """Bounded, on one line, and writable."""
    shown = clean(text, at_most)
    assert len(shown) <= at_most
    assert is_showable(shown)


ANYTHING = [
    *[HOSTILE, "x" * 10_000_000, [HOSTILE] * 1000, {"a": {"b": HOSTILE}}, 5, True],
    json.loads("[" * 400 + "]" * 400),
    {"moderation_stage": HOSTILE, "categories": [HOSTILE] * 1000},
]


@pytest.mark.parametrize(
    "field", ["message", "code", "id", "type", "request_id", "param", "moderation_details", "safety_violations"]
)
def test_an_error_says_nothing_but_plain_words(field: str) -> None:
    """Whatever the service puts where: what is shown is short, on two lines, and controls nothing."""
    for value, status in itertools.product(ANYTHING, (None, 400, 503)):
        body = {"code": "moderation_blocked", "message": "No.", field: value}
        error = error_from({"error": body}, status=status, headers={"x-request-id": HOSTILE})
        said = [describe(error)[0], describe(error)[1], error.code or "", error.request_id or ""]
        said.append(error.param or "")
        if isinstance(error, ContentPolicyError):
            said += [error.stage, *error.categories]
        assert [words for words in said if not is_showable(words)] == []
        assert sum(map(len, said)) < 8000


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.text(max_size=30)
    | st.sampled_from([HOSTILE, "<title>x", "QUJD" * 99]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["error", "errors", "message", "detail", "msg", "loc", "title", "code", "type", "id", "param"]
            )
            | st.text(max_size=5),
            inner,
            max_size=5,
        )
    ),
    max_leaves=30,
)


@given(body=JSON | st.binary(max_size=200), status=st.sampled_from([None, 400, 402, 403, 404, 429, 500]))
@settings(max_examples=of_full(500))
def test_any_error_body_is_an_error_in_plain_words(body: Any, status: int | None) -> None:
    """Of any form and depth: nothing is raised, and what is said can be shown."""
    error = error_from(body, status=status, headers={})
    assert is_showable("".join([*describe(error), error.code or "", error.param or ""]))
    assert len(str(error)) < 3000


def test_where_a_redirect_leads_is_plain_words() -> None:
    """A header is the service's, too."""
    error = error_from({}, status=302, headers={"location": HOSTILE + "x" * 100_000, "x-request-id": "y" * 100_000})
    assert is_showable(str(error).replace("\n", ""))
    assert len(str(error)) < 1000


def test_names_and_prompts_are_plain_words() -> None:
    """What an answer or a list of models says is cleaned where it comes in."""
    entry = {"id": "gpt-image" + HOSTILE, "owned_by": "x" * 100_000}
    model = Model(**texts(entry, "id", "owned_by"))
    assert is_showable(model.id)
    assert (len(model.owned_by), model.id.startswith("gpt-image")) == (200, True)
    answer = {"created": 1, "size": HOSTILE, "data": [{"b64_json": "AAAA", "revised_prompt": f"A\ncat {HOSTILE}"}]}
    (event,), _ = outcome(ResponseDecoder, [json.dumps(answer).encode()])
    assert event.revised_prompt.split("\n")[:2] == ["A", "cat  red      "]
    assert is_showable(event.revised_prompt.replace("\n", "") + event.size)


@pytest.mark.parametrize("number", [True, -1, 2**53, int("9" * 4000), 1.5, "1", None])
def test_a_number_that_can_be_none_is_none(number: Any) -> None:
    """Tokens and times are whole, not negative, and short enough to be written down."""
    assert whole_numbers({"total_tokens": number}, "total_tokens") == {}
    assert whole_numbers({"total_tokens": 7}, "total_tokens") == {"total_tokens": 7}


# What is shown as HTML.

SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&amp;</div><style>*{display:none}</style>"


class Page(HTMLParser):
    """The tags and attributes of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names |= {tag, *(name for name, _ in attrs)}

    def handle_data(self, data: str) -> None:
        self.text += data


def refusal() -> ContentPolicyError:
    body = {"code": "moderation_blocked", "message": SCRIPT, "safety_violations": [SCRIPT], "id": SCRIPT}
    error = error_from(body, status=400, headers={"x-request-id": SCRIPT})
    assert isinstance(error, ContentPolicyError)
    return error


PAGES: dict[str, Callable[[], dict[str, str]]] = {
    "box": lambda: box(Box(SCRIPT, SCRIPT)),
    "refusal": lambda: box(Box.of(refusal(), before=SCRIPT)),
    "our error": lambda: box(Box.of(InvalidResponseError(SCRIPT, SCRIPT))),
    "any error": lambda: box(Box.of(ValueError(SCRIPT))),
    "line": lambda: line([SCRIPT, SCRIPT]),
    "record": lambda: record(
        [SCRIPT], ImageGenerateParams.of({"prompt": SCRIPT, "model": SCRIPT, "user": SCRIPT, "extra": {SCRIPT: SCRIPT}})
    ),
    "joined": lambda: joined([line([SCRIPT]), box(Box(SCRIPT))]),
}


@pytest.mark.parametrize("name", PAGES)
def test_no_word_becomes_a_part_of_the_page(name: str) -> None:
    """Prompts, model names, error messages and rewritten prompts are read as they are, and run nothing."""
    bundle = PAGES[name]()
    page = Page(bundle["text/html"])
    assert page.names <= {"div", "b", "style", "class"}
    assert bundle["text/html"].count("<style>") == (name == "record")
    assert SCRIPT[:90] in page.text
    assert SCRIPT[:90] in bundle["text/plain"]
