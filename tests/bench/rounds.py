"""Workers that take turns. Each image is checked before anything is timed, and only ratios within one round count."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from contestants import CONTESTANTS
from server import LARGE, Server, answered, images

HERE = Path(__file__).parent
Figures = Mapping[str, Any]
Order = Mapping[str, Any]
"""What a worker is to do, and with what."""
COUNTS = (1, 4)
"""How many images an answer has that is not streamed."""


class WrongImageError(Exception):
    """A contestant has delivered other images than the server sends: there is nothing to compare."""


class WorkerError(Exception):
    """A contestant cannot do what it is asked for."""


@dataclass(frozen=True)
class Pythons:
    """The interpreters: this checkout's, and that of the peers' environment if it is there."""

    peers: Path | None
    environment: Mapping[str, str] = field(default_factory=dict)
    """What is set for all: how to trust the server's certificate."""

    def command(self, name: str) -> tuple[str, dict[str, str]]:
        """Return the interpreter of a contestant, and its environment."""
        return self.of(is_peer=bool(CONTESTANTS[name].distributions))

    def of(self, *, is_peer: bool) -> tuple[str, dict[str, str]]:
        """Return the interpreter of the peers, or this one; and its environment."""
        environment = {**os.environ, **self.environment}
        if is_peer:
            environment.pop("PYTHONPATH", None)  # the checkout is none of theirs
        return (str(self.peers) if is_peer else sys.executable), environment

    def versions(self, distributions: Iterable[str]) -> dict[str, str]:
        """Return the versions of what is installed for the peers."""
        if not (self.peers and self.peers.exists()):
            return {}
        code = (
            "import importlib.metadata, json, sys\n"
            "there = {d.metadata['Name']: d.version for d in importlib.metadata.distributions()}\n"
            "print(json.dumps({name: there[name] for name in sys.argv[1:] if name in there}))"
        )
        command = [str(self.peers), "-c", code, *distributions]
        found: dict[str, str] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
        return found


class Worker:
    """The process of one contestant, until its `with` is left."""

    def __init__(self, name: str, pythons: Pythons) -> None:
        self._python, self._environment = pythons.command(name)
        self._command = [self._python, str(HERE / "worker.py"), name]

    def __enter__(self) -> Self:
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process = subprocess.Popen(self._command, env=self._environment, **pipes)
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.communicate()

    def ask(self, **order: Any) -> Figures:
        """Have something done; raise WorkerError if it cannot."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            print(json.dumps(order), file=self._process.stdin, flush=True)
        figures: Figures = json.loads(self._process.stdout.readline() or '{"error": "its process has ended"}')
        if "error" in figures:
            raise WorkerError(figures["error"])
        return figures


def _silent(line: str) -> None:
    """Tell nobody how far it is."""


@dataclass
class Bench:
    """All that is measured: by scenario and contestant, the figures of each round."""

    server: Server
    pythons: Pythons
    names: Sequence[str]
    """Who takes part: those of CONTESTANTS that are wanted and installed, the floor among them."""
    absent: Collection[str] = ()
    """Those that are not installed."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """What is installed for the peers."""
    runs: dict[str, dict[str, list[Figures]]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    """Peers that cannot take part, or not in one scenario ("scenario: name"), and why."""
    progress: Callable[[str], None] = _silent

    @contextmanager
    def workers(self, names: Iterable[str] | None = None) -> Iterator[dict[str, Worker]]:
        """Start a worker for each contestant that has not failed."""
        with ExitStack() as stack:
            chosen = [name for name in names or self.names if name in self.names and name not in self.failures]
            yield {name: stack.enter_context(Worker(name, self.pythons)) for name in chosen}

    def check(self, workers: dict[str, Worker]) -> None:
        """Compare the hash of each image, over http and https. Raise WrongImageError; a peer that fails is left out."""
        stream = _hashes(images())
        answers = {str(n): _hashes(answered(n, LARGE)) for n in COUNTS}
        urls = [self.server.url(), self.server.url(write_bytes=0)]
        if self.server.has_tls:
            urls.append(self.server.url(write_bytes=0, tls=True))
        for name in list(workers):
            self.progress(f"checking the images of {name}")
            for url in urls:
                try:
                    found = workers[name].ask(do="hashes", url=url, counts=COUNTS)
                except WorkerError as error:
                    self.note(name, name, error)
                    del workers[name]
                    break
                if found["stream"] != stream:
                    raise WrongImageError(f"{name}: the images of a stream from {url} are not those that were sent.")
                if found["answers"] != answers:
                    raise WrongImageError(
                        f"{name}: images that are not streamed, from {url}, are not those that were sent."
                    )

    def take_turns(
        self, scenarios: Mapping[str, Order], workers: Mapping[str, Worker], rounds: int, *, warm_up: bool = True
    ) -> None:
        """Have everybody do the same, round by round, each time another one first."""
        runs: dict[str, dict[str, list[Figures]]] = {what: {name: [] for name in workers} for what in scenarios}
        for number in range(rounds + warm_up):
            self.progress(f"round {number + 1} of {rounds + warm_up}: {', '.join(scenarios)}")
            for scenario, order in scenarios.items():
                names = list(runs[scenario])
                first = number % max(1, len(names))
                for name in names[first:] + names[:first]:
                    try:
                        figures = self._run(name, workers[name], order)
                    except WorkerError as error:
                        self.note(name, f"{scenario}: {name}", error)
                        del runs[scenario][name]
                    else:
                        runs[scenario][name] += [figures] if number >= warm_up else []
        self.runs |= runs

    def _run(self, name: str, worker: Worker, order: Order) -> Figures:
        """Have one thing done, and hold that also what was timed had all its images, by their sizes."""
        figures = worker.ask(**order)
        sent = {"stream": images(), "answer": answered(order.get("n", 1), LARGE)}.get(order["do"])
        if sent and figures["sizes"] != list(map(len, sent)):
            raise WrongImageError(f"{name}: images of other sizes than those that were sent, while it was timed.")
        return {**figures, "sent_s": self.server.sent_s()} if order.get("watch_loop") else figures

    def note(self, name: str, what: str, error: Exception) -> None:
        """Note that a peer fails: its newest version may have changed. The floor and this package must not."""
        if not CONTESTANTS[name].distributions:
            raise WorkerError(f"{what}: {error}") from error
        self.failures[what] = str(error)
        self.progress(f"{what} FAILED: {error}")


def _hashes(sent: Iterable[bytes]) -> list[str]:
    return [hashlib.sha256(image).hexdigest() for image in sent]
