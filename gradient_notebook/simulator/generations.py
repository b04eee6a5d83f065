"""`POST /v1/images/generations`: the two forms of the answer, at their times, and the faults in them."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
from functools import partial
from typing import Any, NoReturn, cast

import pybase64
from tornado.http1connection import HTTP1Connection
from tornado.iostream import StreamClosedError

from . import orders
from .faults import Fault
from .handlers import Gone, Handler
from .orders import Order
from .painter import Painting

SECONDS_PER_IMAGE = {"low": 1.5, "medium": 2.5, "high": 4.0}
"""Lively, for a demonstration: the real service takes ten times as long."""

PARTIAL_IMAGE = "image_generation.partial_image"
COMPLETED = "image_generation.completed"


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
        except orders.Refused as refused:
            self.answer(refused.status, refused.body)
        except (Gone, StreamClosedError, asyncio.CancelledError):  # the client left, or the server stops
            self.gone.set()

    async def _misbehave(self) -> None:
        """Do what the fault does before anything is painted."""
        fault = self.fault
        if fault.delay or fault.silence:
            await self.pause(None if fault.silence else fault.delay)
        if fault.cut in ("before_headers", "in_headers"):
            await self._cut_head(b"" if fault.cut == "before_headers" else b"HTTP/1.1 200 OK\r\ncontent-type: text/ev")
        if fault.answers:
            await self._scripted_answer()

    async def _scripted_answer(self) -> None:
        fault = self.fault
        self.set_status(fault.status or (307 if fault.redirect else 200))
        if fault.redirect:
            self.set_header("location", fault.redirect)
        self.set_header("content-type", fault.content_type or "application/json")
        text = fault.body_text or ("" if fault.body is None else json.dumps(fault.body))
        self.set_header("content-length", str(len(text.encode())))
        self._set_scripted_headers()
        await self._send(text.encode())

    def _set_scripted_headers(self) -> None:
        for name, value in (self.fault.headers or {}).items():
            self.set_header(name, str(value))

    async def _generate(self) -> None:
        order = orders.order_of(self.request.body)
        request = json.dumps(self.received.body, sort_keys=True)
        seeds = [f"{self.service.records.repetition(request)}.{index}" for index in range(order.params.n)]
        started = asyncio.get_running_loop().time()
        if order.params.stream:
            await self._stream(order, seeds[0], started)
        else:
            await self._whole(order, seeds, started)

    async def _whole(self, order: Order, variations: list[str], started: float) -> None:
        """Answer with JSON when the last image is done."""
        if orders.refuses(order.params, "output"):
            await self._until(started, order, 1)
            raise orders.moderation_blocked("output")
        if self.fault.error_event is not None:
            raise orders.Refused(400, {"error": dict(self.fault.error_event)})
        jobs = [self.painted(partial(_finished, order, variation)) for variation in variations]
        pictures = await asyncio.gather(*jobs)
        await self._until(started, order, 1)
        self.set_header("content-type", "application/json")
        body = self._response(order, pictures)
        self.set_header("content-length", str(len(body)))
        self._set_scripted_headers()
        await self._send_or_cut(body, cut=self.fault.cut != "")

    def _response(self, order: Order, pictures: list[bytes]) -> bytes:
        revised = (
            f"{order.params.prompt.strip().rstrip('.')}. Balanced composition, soft natural light, fine film grain."
        )
        items = [_with_picture({"b64_json": "", "revised_prompt": revised}, self._base64(data)) for data in pictures]
        head = json.dumps({"created": int(time.time()), "data": []}).removesuffix("]}").encode()
        tail = json.dumps({**order.look, "usage": order.usage()}).removeprefix("{").encode()
        return head + b", ".join(items) + b"], " + tail

    async def _stream(self, order: Order, variation: str, started: float) -> None:
        """Answer with events, the partial images evenly spread over the time of one image."""
        self.set_header("content-type", "text/event-stream; charset=utf-8")
        self.set_header("cache-control", "no-cache")
        self._set_scripted_headers()
        await self.flush()
        painting = await self.painted(partial(_painting, order, variation))
        for index in range(order.partial_images):
            await self._send_partial(order, painting, index, started)
            if index == 0 and (error := self._error_in_stream(order)):
                await self._send(b"data: " + json.dumps({"error": error}).encode() + b"\n\n")
                return
        data = await self.painted(partial(_encoded, order, painting, None))
        await self._until(started, order, 1)
        event = self._event(COMPLETED, order, self._base64(data), usage=order.usage())
        await self._send_or_cut(event, cut=self.fault.cut == "in_final")

    async def _send_partial(self, order: Order, painting: Painting, index: int, started: float) -> None:
        data = await self.painted(partial(_encoded, order, painting, index))
        await self._until(started, order, (index + 1) / (order.partial_images + 1))
        event = self._event(PARTIAL_IMAGE, order, pybase64.b64encode(data), partial_image_index=index)
        await self._send_or_cut(event, cut=self.fault.cut == "in_partial")
        if self.fault.cut == "between_events":
            self._hang_up()

    def _error_in_stream(self, order: Order) -> dict[str, Any] | None:
        if self.fault.error_event is not None:
            return dict(self.fault.error_event)
        if orders.refuses(order.params, "output"):
            return dict(orders.moderation_blocked("output").body["error"])
        return None

    def _event(self, kind: str, order: Order, base64: bytes, **more: Any) -> bytes:
        """Return one event: its name on a line, its data on a line, and an empty line."""
        values = {"type": kind, "b64_json": "", "created_at": int(time.time()), **order.look, **more}
        return b"event: " + kind.encode() + b"\ndata: " + _with_picture(values, base64) + b"\n\n"

    def _base64(self, picture: bytes) -> bytes:
        """Return a last picture's base64, broken if the script says so."""
        if self.fault.image_data is not None:
            picture = self.fault.image_data.encode()
        whole = pybase64.b64encode(picture)
        return whole[: len(whole) // 8 * 4 - 3] if self.fault.truncate_base64 else whole

    async def _until(self, started: float, order: Order, share: float) -> None:
        """Wait until the `share` of the time of one image has gone by."""
        seconds = self.service.seconds_per_image
        whole = SECONDS_PER_IMAGE[order.quality] if seconds is None else seconds
        await self.pause(started + share * whole - asyncio.get_running_loop().time())

    async def _send_or_cut(self, data: bytes, *, cut: bool) -> None:
        await self._send(data[: len(data) // 2] if cut else data)
        if cut:
            self._hang_up()

    async def _send(self, data: bytes) -> None:
        """Write `data` and wait until it is out; raises Gone or StreamClosedError if the client left."""
        size = self.fault.drip or len(data) or 1
        for start in range(0, len(data), size):
            self.write(data[start : start + size])
            await self.flush()
            if self.gone.is_set():
                raise Gone

    async def _cut_head(self, data: bytes) -> NoReturn:
        await self._connection.stream.write(data)
        self._hang_up()

    @property
    def _connection(self) -> HTTP1Connection:
        return cast("HTTP1Connection", self.request.connection)

    def _hang_up(self) -> NoReturn:
        """Close the connection where it stands; it is not the client who left."""
        self.request.connection.set_close_callback(None)  # type: ignore[union-attr]
        stream = self._connection.stream
        if self.fault.reset:
            stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        stream.close()
        raise Gone


def _with_picture(values: dict[str, Any], base64: bytes) -> bytes:
    """Return `values` as JSON with the picture in it; megabytes need no escaping, so they go past the encoder."""
    return json.dumps(values).encode().replace(b'"b64_json": ""', b'"b64_json": "' + base64 + b'"', 1)


def _painting(order: Order, variation: str) -> Painting:
    return Painting(
        order.params.prompt,
        size=order.pixels,
        seed=f"{order.params.model} {variation}",
        quality=order.quality,
        transparent=order.background == "transparent",
    )


def _encoded(order: Order, painting: Painting, index: int | None) -> bytes:
    """Return the partial image `index`, or the finished one, as a file."""
    sharpness = 1.0 if index is None else (index + 1) / (order.partial_images + 1)
    return painting.encoded(order.output_format, order.params.output_compression, sharpness=sharpness)


def _finished(order: Order, variation: str) -> bytes:
    return _encoded(order, _painting(order, variation), None)
