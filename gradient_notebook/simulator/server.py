"""The server: its thread, its loop, its address."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

import tornado.httpserver
import tornado.web

from ..recording import RecordedRequest
from . import faults as faults_module
from .faults import Fault
from .generations import Generations
from .handlers import FILES, Files, Handler, Models, NotFound, Service
from .painter.painting import Painter, Painting
from .records import REQUESTS_PER_HOUR, RateLimit, Received, Records
from .replay import Replay

HOST = "127.0.0.1"
PAINTERS = 2
"""Threads that paint: Pillow works outside the interpreter's lock, but the machine has other things to do."""

Script = Iterable[Mapping[str, Any] | Fault | None]


class Simulator:
    """An image generation service on loopback, on a thread and a loop of its own; also a context manager.

    Args:
        seconds_per_image: how long one image takes, 0 for as fast as it can; by quality if None.
        faults: how to misbehave, one entry for one POST, see `faults.Fault`.
        port: TCP port, 0 for a free one.
        requests_per_hour: the rate limit.
        strict: refuse what leaves out a field that the description requires, where the service takes its default.
        seed: another seed is another set of pictures; with the same one, the same requests get the same pictures.
        replay: a recording's requests, which are played instead of painting; see `recording.read`.
        speed: how fast they are played: 1 as they came, 2 in half of the time, 0 without any wait.
        painter: what makes the pictures; `noise.Noise` costs a fortieth of `Painting`, where nobody looks at them.

    Attributes:
        url: `http://127.0.0.1:PORT` once it listens.

    >>> from gradient_notebook import Client
    >>> from gradient_notebook.simulator import Simulator
    >>> with Simulator(seconds_per_image=0, faults=[{"status": 429}]) as simulator:
    ...     client = Client(model_access_key="any", base_url=simulator.url)
    ...     response = client.images.generate(prompt="A red fox")
    >>> [received.method for received in simulator.posts]
    ['POST', 'POST']
    """

    default_painter: Painter = Painting
    """Of simulators that are given none."""

    def __init__(
        self,
        *,
        seconds_per_image: float | None = None,
        faults: Script = (),
        port: int = 0,
        requests_per_hour: int = REQUESTS_PER_HOUR,
        strict: bool = False,
        seed: int | str | None = None,
        replay: Sequence[RecordedRequest] | None = None,
        speed: float = 1.0,
        painter: Painter | None = None,
    ) -> None:
        self._records = Records(faults_module.script(faults))
        self._seconds_per_image = seconds_per_image
        self._limit = RateLimit(requests_per_hour)
        self._strict = strict
        self._seed = "" if seed is None else f"{seed} "
        self._replay = Replay(replay, speed) if replay else None
        self._service: Service | None = None
        self._painter = painter or type(self).default_painter
        self._port = port
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self.url = ""
        """`http://127.0.0.1:PORT` once it listens, without a trailing slash."""

    @property
    def requests(self) -> list[Received]:
        """Every request so far, oldest first."""
        return self._records.received

    @property
    def posts(self) -> list[Received]:
        """The requests that ordered images: on the real service, what is paid for."""
        return [received for received in self.requests if received.method == "POST"]

    @property
    def disconnected(self) -> int:
        """How many clients left before their answer was complete."""
        return sum(received.disconnected for received in self.requests)

    @property
    def seconds_per_image(self) -> float | None:
        """How long one image takes, by quality if None. Can be set while it runs."""
        return self._seconds_per_image

    @seconds_per_image.setter
    def seconds_per_image(self, seconds: float | None) -> None:
        self._seconds_per_image = seconds
        if self._service:
            self._service.seconds_per_image = seconds

    def script(self, faults: Script) -> None:
        """Add faults for the next POSTs.

        Args:
            faults: one entry for one POST, None for one that is answered as it should be.

        Raises:
            ValueError: a fault that does not exist.
        """
        self._records.script(faults_module.script(faults))

    def wait_for(self, condition: Callable[[], bool], timeout_s: float = 10) -> bool:
        """Return True as soon as a condition about the requests holds, False if it does not in time.

        Args:
            condition: called after each change, without arguments.
            timeout_s: seconds.
        """
        return self._records.wait_for(condition, timeout_s)

    def start(self) -> Self:
        """Listen, and return when it does; raises OSError if the port is taken. Starting twice is the same as once."""
        if self._thread is None:
            listening = socket.create_server((HOST, self._port), backlog=128)
            listening.setblocking(False)
            self.url = f"http://{HOST}:{listening.getsockname()[1]}"
            ready = threading.Event()
            serving = self._serve(listening, ready)
            self._thread = threading.Thread(target=asyncio.run, args=(serving,), name="simulator", daemon=True)
            self._thread.start()
            ready.wait()
        return self

    def stop(self) -> None:
        """Stop listening, hang up on everybody, and return when it is done. Stopping twice is the same as once."""
        if self._thread is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(self._stopped.set)
            self._thread.join()
            self._thread = self._loop = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    async def _serve(self, listening: socket.socket, ready: threading.Event) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        threads = ThreadPoolExecutor(PAINTERS, thread_name_prefix="simulator-painter")
        service = Service(
            records=self._records,
            threads=threads,
            painter=self._painter,
            limit=self._limit,
            seconds_per_image=self._seconds_per_image,
            strict=self._strict,
            seed=self._seed,
            replay=self._replay,
        )
        self._service = service
        server = tornado.httpserver.HTTPServer(_application(service))
        server.add_socket(listening)
        ready.set()
        await self._stopped.wait()
        service.stopping = True
        server.stop()
        await server.close_all_connections()
        threads.shutdown(wait=False, cancel_futures=True)


def _application(service: Service) -> tornado.web.Application:
    shared_by_all = {"service": service}
    routes: list[tuple[str, type[Handler], dict[str, Any]]] = [
        ("/v1/images/generations", Generations, shared_by_all),
        ("/v1/models", Models, shared_by_all),
        (f"{FILES}(.*)", Files, shared_by_all),
        (".*", NotFound, shared_by_all),
    ]
    return tornado.web.Application(routes, log_function=lambda _: None)


_lock = threading.Lock()
_shared: Simulator | None = None
_owner = 0


def shared() -> Simulator:
    """Return the one simulator of this process, which starts when it is first asked for."""
    global _shared, _owner
    with _lock:
        if _shared is None or _owner != os.getpid():  # a fork has no copy of its parent's thread
            _shared, _owner = Simulator().start(), os.getpid()
        return _shared


def _forget_lock() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    # Another thread may have held the lock at the moment of the fork; nobody would ever release it here.
    os.register_at_fork(after_in_child=_forget_lock)
