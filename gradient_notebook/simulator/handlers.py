"""The HTTP face of the simulator: what is answered to which request."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from http.client import responses
from typing import Any, TypeVar

import tornado.web
from tornado.httputil import HTTPServerRequest

from . import validation
from .dialects import Packer, spoken
from .faults import Fault
from .painter.painting import Painter
from .records import RateLimit, Received, Records
from .replay import Replay

Result = TypeVar("Result")

REFRESH_TOKENS = ("dor_v1_",)
UNAUTHORIZED = validation.error_body("unauthorized", "Unable to authenticate you.")
TEXT_MODELS = ("alibaba-qwen3-32b", "anthropic-claude-4.5-sonnet", "llama3.3-70b-instruct", "openai-gpt-oss-120b")
FILES = "/files/"
MODELS_CREATED = 1_745_366_400  # Unix seconds; any fixed date will do


@dataclass
class Service:
    """What the handlers of one server share."""

    records: Records
    threads: Executor
    """Where pictures are made."""
    painter: Painter
    limit: RateLimit
    seconds_per_image: float | None
    strict: bool
    seed: str
    """What all pictures depend on beside their requests."""
    replay: Replay | None = None
    """What is played instead of painting."""
    stopping: bool = False
    files: dict[str, bytes] = field(default_factory=dict)
    """Pictures that were sent as addresses, by name."""


class ClientGoneError(Exception):
    """Nobody is there any more to answer to."""


class Handler(tornado.web.RequestHandler):
    """What holds for every path: the record, the headers, the forms of errors, and noticing that a client left."""

    fault = Fault()
    _packer: Packer | None = None

    def initialize(self, service: Service) -> None:
        """Take what the handlers share."""
        self.service = service
        self.request_id = str(uuid.uuid4())
        self.gone = asyncio.Event()

    def prepare(self) -> None:
        """Record the request and count it against the rate limit."""
        self.received = self.service.records.add(_received(self.request))
        if not self.service.limit.take():
            raise tornado.web.HTTPError(429)
        self.set_usual_headers()

    def set_usual_headers(self) -> None:
        """Set what every answer carries."""
        for name, value in (self.service.limit.headers | {"x-request-id": self.request_id}).items():
            self.set_header(name, value)

    def authenticated(self) -> bool:
        """Return whether there is a key of the right kind, or answer 401."""
        scheme, _, key = self.request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and key.strip() and not key.strip().startswith(REFRESH_TOKENS):
            return True
        self.answer(401, UNAUTHORIZED)
        return False

    def answer(self, status: int, body: dict[str, Any]) -> None:
        """Answer with JSON."""
        self.set_status(status)
        self.set_header("content-type", "application/json")
        self.finish(json.dumps(body))

    def write(self, chunk: str | bytes | dict[str, Any]) -> None:
        """Write a piece of the answer, in the words that the script wants."""
        if isinstance(chunk, bytes):
            chunk = self._scripted(chunk)
        super().write(chunk)

    def _scripted(self, chunk: bytes) -> bytes:
        fault, whole = self.fault, chunk
        if fault.body_bytes is not None:
            chunk = fault.body_bytes
        elif fault.rewrites:
            chunk = spoken(fault, chunk, self._stored)
        if fault.packed:
            self._packer = self._packer or Packer(fault.packed)
            chunk = self._packer.pack(chunk)
        if chunk is not whole:
            self.clear_header("content-length")  # of what it would have been
        return chunk

    def _stored(self, picture: bytes) -> str:
        """Keep a picture to be fetched, and return its address."""
        name = f"{hashlib.sha256(picture).hexdigest()}.png"
        self.service.files[name] = picture
        return f"{self.request.protocol}://{self.request.host}{FILES}{name}"

    def write_error(self, status_code: int, **_: Any) -> None:
        """Answer what tornado found wrong, in the provider's form."""
        self.set_usual_headers()
        reason = responses.get(status_code, "error")
        name = {429: "too_many_requests", 500: "server_error"}.get(status_code, reason.lower().replace(" ", "_"))
        if status_code == 429:
            self.set_header("retry-after", str(self.service.limit.retry_after_s))
        body = validation.error_body(name, _MESSAGES.get(status_code, reason))
        self.answer(status_code, body | {"request_id": self.request_id})

    def on_connection_close(self) -> None:
        """Note that the client left, unless this server hung up itself."""
        self.gone.set()
        if not self.service.stopping:
            self.service.records.note(self.received, disconnected=True)

    def on_finish(self) -> None:
        """Note that the whole answer went out."""
        if not self.gone.is_set():
            self.service.records.note(self.received, answered=True)

    def compute_etag(self) -> None:
        """Send no entity tag: nothing here is cached."""

    async def pause(self, seconds: float | None) -> None:
        """Wait, for ever if `seconds` is None; raises ClientGoneError as soon as the client has left."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.gone.wait(), None if seconds is None else max(0.0, seconds))
        if self.gone.is_set():
            raise ClientGoneError

    async def painted(self, work: Callable[[], Result]) -> Result:
        """Return what `work` gives, done in a painter's thread; raises ClientGoneError if the client left meanwhile."""

        def work_if_wanted() -> Result:
            if self.gone.is_set():
                raise ClientGoneError
            return work()

        try:
            painting = asyncio.get_running_loop().run_in_executor(self.service.threads, work_if_wanted)
        except RuntimeError as error:  # the interpreter is on its way out and starts no more work
            raise ClientGoneError from error
        result = await painting
        await self.pause(0)
        return result


_MESSAGES = {
    404: "The resource you were accessing could not be found.",
    405: "The method is not allowed for this resource.",
    429: "API rate limit exceeded.",
    500: "Unexpected server-side error.",
}


def _received(request: HTTPServerRequest) -> Received:
    try:
        body = json.loads(request.body) if request.body else None
    except (ValueError, RecursionError):
        body = None
    headers = {name.lower(): value for name, value in request.headers.get_all()}
    return Received(method=request.method or "", path=request.path, headers=headers, body=body, at=time.time())


class Files(Handler):
    """`GET /files/NAME`: what was sent as an address. Nobody needs a key for it."""

    def get(self, name: str) -> None:
        """Send the picture."""
        if name not in self.service.files:
            raise tornado.web.HTTPError(404)
        self.set_header("content-type", "image/png")
        self.finish(self.service.files[name])


class NotFound(Handler):
    """Any other path."""

    def prepare(self) -> None:
        """Record, count, and answer 404."""
        super().prepare()
        raise tornado.web.HTTPError(404)


class Models(Handler):
    """`GET /v1/models`."""

    def get(self) -> None:
        """List the models."""
        if self.authenticated():
            names = sorted(validation.IMAGE_MODELS + TEXT_MODELS)
            about = {"object": "model", "created": MODELS_CREATED, "owned_by": "digitalocean", "shutdown_date": None}
            self.answer(200, {"object": "list", "data": [{"id": name, **about} for name in names]})
