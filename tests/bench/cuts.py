"""Streams and answers that are cut at random places give what they give uncut, their errors included."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from unittest import mock

from counted import Figure, some, zero

from gradient_notebook.api import base64_stream
from gradient_notebook.api.decoders import ResponseDecoder, StreamDecoder
from gradient_notebook.api.errors import GradientNotebookError

KINDS = ("image_generation.partial_image", "image_generation.completed", "keepalive", "another.image")
LINE_ENDS = ("\n", "\n", "\r", "\r\n")
BETWEEN = (": ping", "", "id: 7", "retry: 10", "data: [DONE]", "event: ping", "data: \u00e9", "data", "\ufeff")
Chance = random.Random
Decoder = type[StreamDecoder | ResponseDecoder]


class ServiceError(GradientNotebookError):
    """What an error event becomes here."""


def figures(count: int, seed: int = 1) -> list[Figure]:
    """Decode `count` bodies uncut and cut, and return what is counted."""
    chance = random.Random(seed)
    events = errors = different = 0
    for _ in range(count):
        decoder, body = case(chance)
        whole = outcome(decoder, [body])
        events, errors = events + len(whole) - 1, errors + bool(whole[-1])
        with mock.patch.object(
            base64_stream, "_DECODED_AT_ONCE", chance.choice((4, 16, 64, base64_stream._DECODED_AT_ONCE))
        ):
            different += outcome(decoder, cut(body, chance)) != whole
    return [
        some("bodies decoded uncut and cut", count),
        some("events in them", events),
        some("bodies that end in an error", errors),
        zero("differences", different),
    ]


def outcome(decoder: Decoder, pieces: Iterable[bytes]) -> list[Any]:
    """Return the events of a body, and last the error in which it ends, or nothing."""
    found: list[Any] = []
    fed = decoder(lambda error: ServiceError(str(error.get("message"))))
    try:
        for piece in pieces:
            found.extend(fed.feed(piece))
        found.extend(fed.close())
    except GradientNotebookError as error:
        return [*found, f"{type(error).__name__}: {error}"]
    return [*found, ""]


def cut(body: bytes, chance: Chance) -> Iterator[bytes]:
    """Yield a body in pieces of random sizes, small ones or large ones."""
    largest = chance.choice((1, 3, 20, 200))
    while body:
        size = chance.randint(1, largest)
        yield body[:size]
        body = body[size:]


def case(chance: Chance) -> tuple[Decoder, bytes]:
    """Return a stream or an answer, and what decodes it; some of them are broken off."""
    streamed = chance.random() < 0.8
    text = _stream(chance) if streamed else json.dumps(_answer(chance), indent=chance.choice((None, 1)))
    body = text.encode()
    if chance.random() < 0.2:
        body = body[: chance.randrange(len(body) + 1)]
    return (StreamDecoder if streamed else ResponseDecoder), body


def _stream(chance: Chance) -> str:
    end = chance.choice(LINE_ENDS)
    return "".join(_event(chance, end) for _ in range(chance.randint(1, 4)))


def _event(chance: Chance, end: str) -> str:
    lines = chance.sample(BETWEEN, chance.choice((0, 0, 0, 1, 2)))
    kind = chance.choice(KINDS)
    lines += [f"event: {kind}"] if chance.random() < 0.5 else []
    text = json.dumps(_message(chance, kind), separators=chance.choice(((",", ":"), (", ", " : "))))
    if chance.random() < 0.1:
        text = text.replace("/", "\\/").replace('"b64_json"', chance.choice(('"b64_json"', '"b64\\u005fjson"')))
    colon = chance.choice(("data:", "data: "))
    return end.join([*lines, colon + text, "", ""])


def _message(chance: Chance, kind: str) -> Mapping[str, Any]:
    if chance.random() < 0.03:
        return {"error": {"message": "Out of memory.", "code": "x"}}
    named = {"type": kind} if chance.random() < 0.8 else {}
    about = {"created_at": chance.randrange(10**9), "size": "1024x1024", "note": 'a "b64_json": "AAAA" in a text'}
    fields = [*named.items(), ("b64_json", _base64(chance)), *about.items()]
    chance.shuffle(fields)
    return dict(fields[: chance.randint(2, len(fields))])


def _answer(chance: Chance) -> Mapping[str, Any]:
    data = [{"b64_json": _base64(chance), "revised_prompt": "p"} for _ in range(chance.randint(0, 3))]
    return {"created": 5, "data": data, "size": "1024x1024"}


def _base64(chance: Chance) -> str:
    """Return base64, mostly whole, at times broken in one place, or with white space in it."""
    text = base64.b64encode(chance.randbytes(chance.choice((0, 1, 2, 3, 30, 200, 700)))).decode()
    at = chance.randrange(len(text) + 1)
    inserted: Sequence[str] = ("=", "!", "\u00e9", "#0", '"', " ", "\n") if chance.random() < 0.1 else ("",)
    return text[:at] + chance.choice(inserted) + text[at:]
