"""A long random script of what the service does wrong, nearly all of it with pictures of one pixel: they cost nothing."""

from __future__ import annotations

import base64
import io
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image

from gradient_notebook.simulator.faults import CUTS, Fault

SOON = "0.01"
"""A `retry-after` in seconds that holds nobody up."""
_BUSY = {"id": "too_many_requests", "message": "Slow down."}
_HTML = "<html>Something is wrong.</html>"

Chance = random.Random
Answer = Mapping[str, Any]


@dataclass(frozen=True)
class Kind:
    """One way to answer: how often it is, how it is made, and whether it says that no image was generated."""

    weight: float
    made: Callable[[Chance], Answer]
    is_unseen: bool = False


@dataclass(frozen=True)
class Line:
    """One line of a script: the name of its kind, and the fault itself."""

    name: str
    fault: Fault

    @property
    def is_unseen(self) -> bool:
        """Whether the model has certainly not seen the request that was answered so."""
        return KINDS[self.name].is_unseen


def picture(chance: Chance) -> str:
    """Return a PNG of a few pixels as base64; hardly any two are the same."""
    buffer = io.BytesIO()
    Image.frombytes("RGB", (4, 4), chance.randbytes(48)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def _small(chance: Chance, **more: Any) -> Answer:
    """Return a whole answer of the form that is asked for, with small pictures in it."""
    return {"image_base64": picture(chance), "partial_base64": picture(chance), "partials": 2, **more}


def _status(status: int, **headers: str) -> Callable[[Chance], Answer]:
    body = {"error": {"message": f"It is {status}.", "type": "x", "code": f"code_{status}"}}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: {"status": status, "body": body, "headers": named}


def _busy(**headers: str) -> Callable[[Chance], Answer]:
    return lambda _: {"status": 429, "body": _BUSY, "headers": headers}


def _as_body(chance: Chance) -> Answer:
    """Return JSON with fewer or more images than were asked for, perhaps."""
    data = [{"b64_json": picture(chance)} for _ in range(chance.randint(1, 3))]
    return {"body": {"created": 1, "data": data}}


GLUED = [picture(random.Random(number)) for number in range(20)]
"""Pictures that are sent behind an answer, and that nobody has asked for: they must become nobody's image."""


def _glued(status: str, body: Any, **headers: str) -> Callable[[Chance], Answer]:
    """Return an answer with another one behind it, on the same connection."""

    def made(chance: Chance) -> Answer:
        text = json.dumps(body or {"data": [{"b64_json": chance.choice(GLUED)}]})
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(text)}", "Content-Type: application/json"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        return _small(chance, glued="\r\n".join([*lines, "", text]))

    return made


def _cut(*places: str) -> Callable[[Chance], Answer]:
    return lambda chance: _small(chance, cut=chance.choice(places), reset=chance.random() < 0.5)


KINDS: Mapping[str, Kind] = {
    "small answer": Kind(24, _small),
    "small answer, in pieces": Kind(2, lambda chance: _small(chance, drip=chance.choice((7, 61, 512)))),
    "JSON, whatever was asked for": Kind(4, _as_body),
    "whole image": Kind(1, lambda _: {}),
    "whole image, cut": Kind(1, lambda chance: {"cut": chance.choice(CUTS[2:]), "reset": chance.random() < 0.5}),
    "cut in an answer": Kind(12, _cut(*CUTS[2:])),
    "cut before or in the headers": Kind(6, _cut(*CUTS[:2])),
    "400": Kind(3, _status(400)),
    "401": Kind(2, _status(401)),
    "404": Kind(1, _status(404)),
    "422": Kind(2, _status(422)),
    "429": Kind(5, _busy(), is_unseen=True),
    "429 with retry-after": Kind(5, _busy(**{"retry-after": SOON}), is_unseen=True),
    "429, window used up": Kind(0.3, _busy(**{"ratelimit-remaining": "0", "ratelimit-reset": "0.1"}), is_unseen=True),
    "500": Kind(4, _status(500)),
    "500 with retry-after": Kind(2, _status(500, retry_after=SOON)),
    "502": Kind(2, lambda _: {"status": 502, "body_text": _HTML, "content_type": "text/html"}),
    "503": Kind(3, _status(503)),
    "503 with retry-after": Kind(5, _status(503, retry_after=SOON), is_unseen=True),
    "redirect": Kind(2, lambda _: {"redirect": "http://127.0.0.1:9/elsewhere"}),
    "wrong content type": Kind(2, lambda _: {"content_type": "text/html", "body_text": _HTML}),
    "truncated base64": Kind(3, lambda chance: _small(chance, truncate_base64=True)),
    "no image": Kind(2, lambda chance: _small(chance, image_base64=None, image_data="no picture at all")),
    "error event": Kind(3, lambda chance: _small(chance, error_event={"message": "Out of memory.", "code": "x"})),
    "small answer, another glued to it": Kind(4, _glued("200 OK", None)),
    "small answer, a 429 glued to it": Kind(4, _glued("429 Slow down", _BUSY, retry_after="0")),
    "small answer, then hung up": Kind(4, lambda chance: _small(chance, hang_up=True)),
    "small answer that goes on": Kind(1, lambda chance: _small(chance, lingers=True, headers={"content-length": None})),
    "a byte now and again": Kind(0.5, lambda chance: _small(chance, drip=1, pace=0.05)),
    "silence": Kind(0.5, lambda _: {"silence": True}),
    "silence in an answer": Kind(0.5, lambda chance: _small(chance, cut=chance.choice(CUTS[2:]), silence=True)),
}


def script(count: int, chance: Chance) -> list[Line]:
    """Return `count` lines."""
    names = chance.choices(list(KINDS), [kind.weight for kind in KINDS.values()], k=count)
    return [Line(name, Fault(**KINDS[name].made(chance))) for name in names]
