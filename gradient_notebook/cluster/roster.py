"""Which workers there are, what each of them has been given, and what all of them are told."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import time
from collections.abc import Mapping
from typing import Any

from ..api.errors import InvalidRequestError
from ..api.settings import Settings
from ..storage.archive import Archive
from ..storage.files import make_private_folder, write_atomic
from . import words, worker
from .claims import probe_of
from .lease import Cluster, Sealed, Worker, version
from .pace import Pace
from .steering import Stop

_ANSWER_S = 30.0
_FIRST_S = 20.0
"""How long the first worker is waited for: a cluster may be starting them."""
_TICK_S = 0.2
_HEARTBEAT_S = 5.0
_ASIDE_S = 30.0
"""After so long it is looked again whether a worker can make images by now."""


class Roster:
    """The workers of one run."""

    def __init__(
        self, engine: Cluster, archive: Archive, settings: Settings, *, run: str, pace: Pace, concurrency: int
    ) -> None:
        self._engine, self._archive, self._settings, self._run = engine, archive, settings, run
        self._pace, self._concurrency = pace, concurrency
        self._epoch = ""
        self.fit: dict[str, Worker] = {}
        """Those that live and have what they need, by address."""
        self.known: set[str] = set()
        """Those that live, as far as was heard last; while nothing is heard they may."""
        self._processes: dict[str, int] = {}
        self._aside: dict[str, float] = {}
        """When those that lack something are looked at again."""
        self._said: tuple[Any, ...] = ()
        self._said_s = -_HEARTBEAT_S
        self._saying: asyncio.Task[Any] | None = None
        self.notes: list[str] = []

    async def check(self) -> None:
        """Look at all workers before anything is sent. Raises InvalidRequestError where one cannot make images."""
        ends_s = time.monotonic() + _FIRST_S
        while not (there := await self._engine.workers()):
            if time.monotonic() > ends_s:
                raise InvalidRequestError(
                    f"{self._engine.name} has no workers", "Start some, then run it again.", param="on", sent=False
                )
            await asyncio.sleep(_TICK_S)
        if self._settings.is_loopback and not self._engine.is_local:
            what = f"{self._settings.endpoint} answers on this machine alone, and workers are on others"
            raise InvalidRequestError(what, "Set an endpoint that they can reach.", param="on", sent=False)
        answers = await self._ask(there, "")
        if error := words.refusal(answers, version=version(), folder=str(self._archive.folder)):
            raise error

    async def _ask(self, addresses: list[str], epoch: str) -> dict[str, Any]:
        """Equip workers, or only look at them; return what they answer."""
        word = os.urandom(8).hex()
        probe = probe_of(self._archive.folder, word)
        make_private_folder(probe.parent)
        write_atomic(probe, word.encode())
        try:
            message = self._message(word, epoch)
            return await asyncio.wait_for(self._engine.call(worker.equip, message, workers=addresses), _ANSWER_S)
        except TimeoutError as error:
            return dict.fromkeys(addresses, error)
        finally:
            probe.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                probe.parent.rmdir()

    def _message(self, word: str, epoch: str) -> dict[str, Any]:
        settings = {
            declared.name: getattr(self._settings, declared.name)
            for declared in dataclasses.fields(self._settings)
            if declared.name != "key"
        }
        return {
            "version": version(),
            "folder": str(self._archive.folder),
            "probe": word,
            "run": self._run,
            "epoch": epoch,
            "broker": os.getpid(),
            "key": Sealed(self._settings.key.reveal) if self._engine.is_private else None,
            "settings": settings,
            "concurrency": self._concurrency,
            "steering": self._saying_now(""),
        }

    def begin(self, epoch: str) -> None:
        """Equip workers for the leases of this epoch from now on."""
        self._epoch = epoch
        self.fit, self._aside, self.known = {}, {}, set()

    def lose(self, *, for_good: bool) -> None:
        """Give nobody anything: the cluster is away. Where it is so for good, nobody lives."""
        self.fit, self._said = {}, ()
        if for_good:
            self.known = set()

    async def look(self) -> None:
        """See who lives, and equip who is new."""
        self.known = set(await self._engine.workers())
        for address in set(self.fit) - self.known:
            del self.fit[address]
        now = time.monotonic()
        new = [one for one in self.known - set(self.fit) if self._aside.get(one, 0.0) <= now]
        if not new:
            return
        answers = await self._ask(new, self._epoch)
        for address, told in answers.items():
            if words.lacking(told)[0]:
                self._aside[address] = now + _ASIDE_S
            else:
                self.fit[address] = Worker(address, told["process"], told["host"])
                self._processes[address] = told["process"]
        self._note(words.refusal(answers, version=version(), folder=str(self._archive.folder)))

    def _note(self, error: Exception | None) -> None:
        if error and str(error) not in self.notes:
            self.notes.append(str(error))

    def set_aside(self, address: str, *, for_now: bool) -> None:
        """Give a worker nothing more until it has been looked at again: immediately, or after a while."""
        self.fit.pop(address, None)
        self._aside[address] = time.monotonic() + _ASIDE_S if for_now else 0.0

    def lives(self, who: str) -> bool:
        """Whether whoever has made a claim still lives, as far as the cluster knows."""
        address, _, process = who.rpartition(" ")
        return address in self.known and str(self._processes.get(address)) == process

    @property
    def processes(self) -> int:
        """How many processes there are: workers that are threads of one share what they are told."""
        return len({(one.host, one.process) for one in self.fit.values()}) or 1

    def _saying_now(self, stop: Stop, *, is_paused: bool = False) -> dict[str, Any]:
        rate = self._pace.rate / self.processes if self._pace.rate is not None else None
        return {"rate": rate, "hold_s": self._pace.hold_s, "is_paused": is_paused, "stop": stop}

    def say(self, stop: Stop, *, is_paused: bool) -> None:
        """Tell all workers how fast to go, if that is new to them, and otherwise now and then that somebody is there."""
        message = self._saying_now(stop, is_paused=is_paused)
        new = (stop, is_paused, message["rate"], message["hold_s"] > 0, frozenset(self.fit))
        now = time.monotonic()
        if self._saying or (new == self._said and now - self._said_s < _HEARTBEAT_S) or not self.fit:
            return
        self._said, self._said_s = new, now
        self._saying = asyncio.ensure_future(self._say(message))

    async def _say(self, message: Mapping[str, Any]) -> None:
        try:
            with contextlib.suppress(Exception):  # who does not hear stops by itself after a while
                call = self._engine.call(worker.steer, self._run, self._epoch, message, workers=list(self.fit))
                await asyncio.wait_for(call, _ANSWER_S)
        finally:
            self._saying = None

    async def end(self) -> None:
        """Have all workers forget the run, and its key."""
        if self._saying:
            await asyncio.wait({self._saying})
        if not self.known:
            return
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self._engine.call(worker.forget, self._run, workers=list(self.known)), _ANSWER_S)
