"""`POST /v1/images/generations`: the two forms of the answer, at their times, and the faults in them."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache, partial
from itertools import cycle, islice
from typing import Any, NoReturn, cast

import pybase64
from tornado.http1connection import HTTP1Connection
from tornado.iostream import StreamClosedError

from ..api.params import PARAMETERS
from ..recording import ERROR, RecordedRequest
from . import validation
from .faults import CUTS, CUTS_IN_FINAL, Fault
from .handlers import ClientGoneError, Handler
from .painter.painting import Painter, Picture
from .replay import Replay
from .validation import ResolvedRequest

SECONDS_PER_IMAGE = {"low": 1.5, "medium": 2.5, "high": 4.0, "xhigh": 6.0, "max": 8.0}
"""Lively, for a demonstration: the real service takes ten times as long."""

MOST_IMAGES = int(PARAMETERS["n"].maximum or 1)
PARTIAL_IMAGE = "image_generation.partial_image"
COMPLETED = "image_generation.completed"

TINY_PICTURE = b"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
"""A PNG of one black pixel, as base64."""
_KEY = b'"b64_json": "'
_AT_ONCE = 64 * 1024  # bytes of an endless text to a write
_STILL_HERE_S = 0.1


class Generations(Handler):
    """`POST /v1/images/generations`.

    At most three partial images are sent, however many are asked for, as the upstream provider does.
    """

    fault = Fault()

    def prepare(self) -> None:
        """Record and count the request; an event must not wait for the acknowledgement of the one before it."""
        super().prepare()
        self._connection.stream.set_nodelay(True)

    async def post(self) -> None:
        """Answer as the script says, or as it should be."""
        self.fault = self.service.records.next_fault()
        try:
            await self._misbehave()
            if not self.fault.answers and self.authenticated():
                await self._generate()
            await self._go_on()
        except validation.RequestRefusedError as refused:
            self.answer(refused.status, refused.body)
        except StreamClosedError:  # a write found out that the client has left: tornado may not say it again
            self.on_connection_close()
        except (ClientGoneError, asyncio.CancelledError):  # the client left, or the server stops
            self.gone.set()

    async def _misbehave(self) -> None:
        """Do what the fault does before anything is painted."""
        fault = self.fault
        if fault.delay:
            await self.pause(fault.delay)
        if fault.silence and not fault.cut:
            await self.pause(None)
        if fault.cut in ("before_headers", "in_headers"):
            await self._cut_head(b"" if fault.cut == "before_headers" else b"HTTP/1.1 200 OK\r\ncontent-type: text/ev")
        if fault.answers:
            await self._scripted_answer()

    async def _go_on(self) -> None:
        """Do what the fault does behind the answer."""
        is_json = "json" in str(self._headers.get("content-type"))
        while self.fault.lingers:
            await self._send(b" \n" if is_json else b": still here\n\n")
            await self.pause(_STILL_HERE_S)
        stream = self._connection.stream
        if (self.fault.glued or self.fault.hang_up) and not self._finished:
            gone = self.finish()
            await stream.write(self.fault.glued.encode())  # at once: tornado closes when it has written its own
            await gone
        if self.fault.hang_up:
            stream.close()

    async def _scripted_answer(self) -> None:
        fault = self.fault
        self.set_status(fault.status or (307 if fault.redirect else 200))
        if fault.redirect:
            self.set_header("location", fault.redirect)
        usual = "text/event-stream" if fault.endless else "application/json"
        self.set_header("content-type", fault.content_type or usual)
        text = fault.body_text or ("" if fault.body is None else json.dumps(fault.body))
        if not fault.endless:
            self.set_header("content-length", str(len(text.encode())))
        self._set_scripted_headers()
        await self._send(text.encode())
        while fault.endless:
            await self._send(fault.endless.encode() * (_AT_ONCE // len(fault.endless) + 1))

    def _set_scripted_headers(self) -> None:
        for name, value in (self.fault.headers or {}).items():
            if value is None:
                self.clear_header(name)
            else:
                self.set_header(name, str(value))

    async def _generate(self) -> None:
        if self.service.replay:
            await self._play(self.service.replay)
            return
        asked = validation.resolve_request(self.request.body, strict=self.service.strict)
        request = json.dumps(self.received.body, sort_keys=True)
        which = f"{self.service.seed}{asked.model} {self.service.records.repetition(request)}"
        seeds = [f"{which}.{index}" for index in range(asked.n)]
        started = asyncio.get_running_loop().time()
        if asked.stream:
            await self._stream(asked, seeds[0], started)
        else:
            await self._whole(asked, seeds, started)

    async def _play(self, replay: Replay) -> None:
        """Answer as the recording has it: with its images, at its times."""
        body = self.received.body if isinstance(self.received.body, dict) else {}
        count, stream = body.get("n") or 1, bool(body.get("stream"))
        played = replay.take(body, count if type(count) is int and 0 < count <= MOST_IMAGES else 1)
        started = asyncio.get_running_loop().time()

        async def until(at_s: float) -> None:
            await self.pause(started + replay.seconds(at_s) - asyncio.get_running_loop().time())

        failed = next((one.last for one in played if one.last.type == ERROR), None)
        if failed and not (stream and len(played[0].events) > 1):
            await until(failed.at_s)
            raise validation.RequestRefusedError(failed.said["status"], {"error": dict(failed.said["error"])})
        if stream:
            await self._play_stream(played[0], int(body.get("partial_images") or 0), until)
            return
        await until(max(one.last.at_s for one in played))
        self.set_header("content-type", "application/json")
        items = [
            _with_picture(
                {"b64_json": "", "revised_prompt": one.last.said.get("revised_prompt")}, self._base64(one.last.image)
            )
            for one in played
        ]
        said = {name: value for name, value in played[-1].last.said.items() if name not in ("revised_prompt", "usage")}
        used = [one.last.said.get("usage") for one in played]
        tail = {"created": int(time.time()), **said, "usage": added_usage(used)}
        await self._send(b'{"data": [' + b", ".join(items) + b"], " + json.dumps(tail).removeprefix("{").encode())

    async def _play_stream(self, played: RecordedRequest, most: int, until: Callable[[float], Awaitable[None]]) -> None:
        self.set_header("content-type", "text/event-stream; charset=utf-8")
        await self.flush()
        *partials, last = played.events
        for index, event in enumerate(partials[:most]):
            await until(event.at_s)
            values = {"type": PARTIAL_IMAGE, "b64_json": "", "created_at": int(time.time()), **event.said}
            await self._send(_named_event({**values, "partial_image_index": index}, pybase64.b64encode(event.image)))
        await until(last.at_s)
        if last.type == ERROR:
            await self._send(b"data: " + json.dumps({"error": last.said["error"]}).encode() + b"\n\n")
            return
        values = {"type": COMPLETED, "b64_json": "", "created_at": int(time.time()), **last.said}
        await self._send(_named_event(values, self._base64(last.image)))

    async def _whole(self, asked: ResolvedRequest, variations: list[str], started: float) -> None:
        """Answer with JSON when the last image is done."""
        if validation.refuses(asked, "output"):
            await self._until(started, asked, 1)
            raise validation.moderation_blocked("output")
        if self.fault.error_event is not None:
            self._set_scripted_headers()
            raise validation.RequestRefusedError(400, {"error": dict(self.fault.error_event)})
        paintings = [cache(partial(_picture, self.service.painter, asked, variation)) for variation in variations]
        pictures = await asyncio.gather(*[self._last_picture(asked, painting) for painting in paintings])
        await self._until(started, asked, 1)
        self.service.records.note(self.received, usage=asked.usage())
        self.set_header("content-type", "application/json")
        body = self._response(asked, pictures)
        self.set_header("content-length", str(len(body)))
        self._set_scripted_headers()
        await self._send_or_cut(body, *CUTS)

    def _response(self, asked: ResolvedRequest, pictures: list[bytes]) -> bytes:
        revised = f"{asked.prompt.strip().rstrip('.')}. Balanced composition, soft natural light, fine film grain."
        items = [_with_picture({"b64_json": "", "revised_prompt": revised}, self._base64(data)) for data in pictures]
        head = json.dumps({"created": int(time.time()), "data": []}).removesuffix("]}").encode()
        tail = json.dumps({**asked.look, "usage": asked.usage()}).removeprefix("{").encode()
        return head + b", ".join(items) + b"], " + tail

    async def _stream(self, asked: ResolvedRequest, variation: str, started: float) -> None:
        """Answer with events, the partial images evenly spread over the time of one image."""
        self.set_header("content-type", "text/event-stream; charset=utf-8")
        self.set_header("cache-control", "no-cache")
        self._set_scripted_headers()
        await self.flush()
        await self._send(b"".join(islice(cycle(self._small_events(asked)), self.fault.events)))
        painting = cache(partial(_picture, self.service.painter, asked, variation))
        count = asked.partial_images if self.fault.partials is None else self.fault.partials
        for index in range(count):
            await self._send_partial(asked, painting, index, (index + 1) / (count + 1), started)
            if index == 0 and (error := self._error_in_stream(asked)):
                await self._send(b"data: " + json.dumps({"error": error}).encode() + b"\n\n")
                return
        data = await self._last_picture(asked, painting)
        await self._until(started, asked, 1)
        self.service.records.note(self.received, usage=asked.usage())
        event = self._event(COMPLETED, asked, self._base64(data), usage=asked.usage())
        await self._send_or_cut(event, *CUTS_IN_FINAL)

    def _small_events(self, asked: ResolvedRequest) -> tuple[bytes, ...]:
        """Return one of each kind that an event beside the real ones can be."""
        unknown = b'event: ping\ndata: {"type": "ping"}\n\n'
        return b": keep-alive\n\n", unknown, self._event(PARTIAL_IMAGE, asked, TINY_PICTURE, partial_image_index=0)

    async def _send_partial(
        self, asked: ResolvedRequest, painting: Callable[[], Picture], index: int, share: float, started: float
    ) -> None:
        data = self.fault.partial_picture
        if data is None:
            data = await self.painted(lambda: _encoded(asked, painting(), share))
        await self._until(started, asked, share)
        event = self._event(PARTIAL_IMAGE, asked, pybase64.b64encode(data), partial_image_index=index)
        await self._send_or_cut(event, "in_partial")
        if self.fault.cut == "between_events":
            await self._break_off()

    async def _last_picture(self, asked: ResolvedRequest, painting: Callable[[], Picture]) -> bytes:
        """Return the finished file, or what the script gives out as one: nothing is painted for that."""
        if self.fault.picture is not None:
            return self.fault.picture
        return await self.painted(lambda: _encoded(asked, painting(), 1))

    def _error_in_stream(self, asked: ResolvedRequest) -> dict[str, Any] | None:
        if self.fault.error_event is not None:
            return dict(self.fault.error_event)
        if validation.refuses(asked, "output"):
            return dict(validation.moderation_blocked("output").body["error"])
        return None

    def _event(self, kind: str, asked: ResolvedRequest, base64: bytes, **more: Any) -> bytes:
        """Return one event: its name on a line, its data on a line, and an empty line."""
        values = {"type": kind, "b64_json": "", "created_at": int(time.time()), **asked.look, **more}
        return _named_event(values, base64)

    def _base64(self, picture: bytes) -> bytes:
        """Return a last picture's base64, broken if the script says so."""
        whole = pybase64.b64encode(picture)
        return whole[: len(whole) // 8 * 4 - 3] if self.fault.truncate_base64 else whole

    async def _until(self, started: float, asked: ResolvedRequest, share: float) -> None:
        """Wait until the `share` of the time of one image has gone by."""
        seconds = self.service.seconds_per_image
        whole = SECONDS_PER_IMAGE[asked.quality] if seconds is None else seconds
        await self.pause(started + share * whole - asyncio.get_running_loop().time())

    async def _send_or_cut(self, data: bytes, *places: str) -> None:
        """Send an event or an answer, but only its beginning if the script cuts at one of these `places`."""
        if self.fault.cut not in places:
            await self._send(data)
            return
        await self._send(data[: _length_before(self.fault.cut, data)])
        await self._break_off()

    async def _send(self, data: bytes) -> None:
        """Write `data` and wait until it is out; raises ClientGoneError or StreamClosedError if the client left."""
        size = self.fault.drip or len(data) or 1
        for start in range(0, len(data), size):
            self.write(data[start : start + size])
            await self.flush()
            if self.gone.is_set():
                raise ClientGoneError
            if self.fault.pace:
                await self.pause(self.fault.pace)

    async def _cut_head(self, data: bytes) -> NoReturn:
        await self._connection.stream.write(data)
        await self._break_off()

    @property
    def _connection(self) -> HTTP1Connection:
        return cast("HTTP1Connection", self.request.connection)

    async def _break_off(self) -> NoReturn:
        """Close the connection where it stands, which is not the client's leaving, or say nothing more."""
        if self.fault.silence:
            await self.pause(None)
        self.request.connection.set_close_callback(None)  # type: ignore[union-attr]
        stream = self._connection.stream
        if self.fault.reset and stream.socket is not None:  # the client may have left
            stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        stream.close()
        raise ClientGoneError


def _named_event(values: dict[str, Any], base64: bytes) -> bytes:
    """Return one event: its name on a line, its data on a line, and an empty line."""
    return b"event: " + str(values["type"]).encode() + b"\ndata: " + _with_picture(values, base64) + b"\n\n"


def added_usage(used: Sequence[Mapping[str, Any] | None]) -> dict[str, Any] | None:
    """Return the tokens of several images together; None where those of one are not known."""
    if not used or not all(used):
        return None
    first, *others = [dict(one) for one in used if one]
    return {
        name: added_usage([value, *(one.get(name) for one in others)])
        if isinstance(value, dict)
        else value + sum(one.get(name) or 0 for one in others)
        if isinstance(value, int)
        else value
        for name, value in first.items()
    }


def _with_picture(values: dict[str, Any], base64: bytes) -> bytes:
    """Return `values` as JSON with the picture in it; megabytes need no escaping, so they go past the encoder."""
    return json.dumps(values).encode().replace(b'"b64_json": ""', b'"b64_json": "' + base64 + b'"', 1)


def _length_before(cut: str, data: bytes) -> int:
    """Return how many bytes of an event or of an answer go out before the `cut`."""
    quote = data.index(b'"', data.rindex(_KEY) + len(_KEY))
    places = {"in_name": 3, "after_base64": quote, "in_tail": (quote + len(data)) // 2}
    return places.get(cut, len(data) - 1 if cut == "before_blank_line" else len(data) // 2)


def _picture(painter: Painter, asked: ResolvedRequest, variation: str) -> Picture:
    return painter(
        asked.prompt,
        size=asked.pixels,
        seed=variation,
        quality=asked.quality,
        transparent=asked.background == "transparent",
    )


def _encoded(asked: ResolvedRequest, painting: Picture, sharpness: float) -> bytes:
    if asked.output_format != "svg":
        return painting.encoded(asked.output_format, asked.output_compression, sharpness=sharpness)
    inside = pybase64.b64encode_as_string(painting.encoded("webp", asked.output_compression, sharpness=sharpness))
    return _SVG.format(width=asked.pixels[0], height=asked.pixels[1], data=inside).encode()


_SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">'
    '<image width="{width}" height="{height}" href="data:image/webp;base64,{data}"/></svg>'
)
