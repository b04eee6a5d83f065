"""A worker's part: it is looked at and equipped, steered, and makes leases on this package's own loop, cell by cell."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..api.client import reason_to_send_again
from ..api.errors import APIError
from ..api.params import ImageGenerateParams
from ..api.settings import Settings
from ..connect import find_key
from ..jobs.image_slot import ImageSlot
from ..jobs.runner import Runner, client_for
from ..jobs.threads import finish_despite_cancel, in_a_thread
from ..session import session
from ..storage.files import write_atomic
from ..storage.outcome import Outcome, outcome_of
from .claims import Claimed, Claims, Done, probe_of
from .lease import Lease, Order, Report, Returned, version
from .recorder import LeaseRecorder, SharedArchive
from .steering import Steering

_LATER_S = 1.0
"""How long this process holds back where the service does not say how long, until the broker says."""
_PROBE_BYTES = 1 << 16
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

Tell = Callable[[Mapping[str, Any]], None]
"""Has the broker hear of something immediately."""


@dataclass
class Kit:
    """What this process has for a run."""

    folder: Path
    claims: Claims
    settings: Settings
    concurrency: int
    steering: Steering = field(default_factory=Steering)
    places: Any = None
    running: set[Any] = field(default_factory=set)


_kits: dict[tuple[str, str], Kit] = {}
"""By run and epoch."""


def equip(message: Mapping[str, Any]) -> dict[str, Any]:
    """Look whether this process can make cells of a run, and keep what it needs for that in its memory.

    The message is of plain values, so that any version can read it. The answer says the version and, where something
    is missing, in `lacks` what: `version`, `folder`, `disk` or `key`.
    """
    told: dict[str, Any] = {"version": version(), "process": os.getpid(), "host": socket.gethostname(), "lacks": ""}
    if version() != message["version"]:
        return {**told, "lacks": "version"}
    folder = Path(message["folder"])
    if lacks := _lacks_folder(folder, message["probe"]):
        return {**told, "lacks": lacks}
    found = message["key"].reveal() if message["key"] is not None else find_key().key
    if found is None:
        return {**told, "lacks": "key"}
    if not message["epoch"]:
        return told  # it was only to be looked at
    # What may be sent again goes back to the broker instead, so that the whole cluster waits. Not billed: this process neither
    # counts money nor shares places and rates with others of an archive of its own.
    others = {"max_retries": 0, "max_wait_s": 0.0, "is_billed": False}
    settings = Settings(key=found, **{**message["settings"], **others})
    kit = Kit(folder, Claims(folder, message["run"]), settings, message["concurrency"])
    kit.steering.hear(**message["steering"])
    forget(message["run"], but=message["epoch"])
    kept = _kits.setdefault((message["run"], message["epoch"]), kit)
    kept.steering.is_disk_full = False  # the probe has found room
    if os.getpid() != message["broker"]:
        session.concurrency = max(session.concurrency, message["concurrency"])
    return told


def _lacks_folder(folder: Path, word: str) -> str:
    """Return what is wrong with the folder of all; nothing where it is seen and can be written."""
    probe = probe_of(folder, word)
    try:
        if probe.read_text(encoding="utf-8") != word:
            return "folder"
    except OSError:
        return "folder"
    own = probe.with_name(f"{probe.name}-{socket.gethostname()}-{os.getpid()}")
    try:
        write_atomic(own, bytes(_PROBE_BYTES))
    except OSError as error:
        return "disk" if error.errno in _FULL else "folder"
    finally:
        with contextlib.suppress(OSError):
            own.unlink(missing_ok=True)
    return ""


def steer(run: str, epoch: str, message: Mapping[str, Any]) -> None:
    """Take what the broker of a run says."""
    kit = _kits.get((run, epoch))
    if kit is None:
        return
    kit.steering.hear(**message)
    if kit.steering.stop == "cancel":
        for task in list(kit.running):
            task.get_loop().call_soon_threadsafe(task.cancel)


def forget(run: str, but: str = "") -> None:
    """Keep nothing of a run any more, its key included, but for the leases of one epoch."""
    for key in [key for key in _kits if key[0] == run and key[1] != but]:
        _kits.pop(key).steering.stop = "drain"


async def make(lease: Lease, address: str, tell: Tell, all_sent: Callable[[], None]) -> Returned:
    """Make the cells of a lease in the worker of this address; call `all_sent` when none of them waits to be sent."""
    kit = _kits.get((lease.run, lease.epoch))
    if kit is None:
        return Returned(problem="unequipped")
    # Before anything is claimed: it loads what sends, which takes longer than a post.
    await in_a_thread(client_for, kit.settings)
    if kit.places is None:
        kit.places = asyncio.Semaphore(kit.concurrency)
    work = _Lease(lease, kit, f"{address} {os.getpid()}", tell, all_sent)
    reports = await asyncio.gather(*map(work.make, lease.orders))
    return Returned(tuple(reports), problem="disk" if kit.steering.is_disk_full else "")


class _Lease:
    """One lease that is being made."""

    def __init__(self, lease: Lease, kit: Kit, who: str, tell: Tell, all_sent: Callable[[], None]) -> None:
        self._lease, self._kit, self._who, self._tell, self._all_sent = lease, kit, who, tell, all_sent
        self._waiting = len(lease.orders)

    async def make(self, order: Order) -> Report:
        """Make a cell, and say how it has ended."""
        async with self._kit.places:
            try:
                may_send = await self._kit.steering.turn()
            finally:
                self._waiting -= 1
                if not self._waiting:
                    self._all_sent()
            return await self._make(order) if may_send else Report(order.record_id, "back")

    async def _make(self, order: Order) -> Report:
        # What is claimed is accounted for: nothing but the end of this process comes between claim and report.
        claimed: list[Claimed] = []
        try:
            await finish_despite_cancel(in_a_thread(self._claim, order, claimed))
        except OSError as error:
            self._note_disk(error)
            return Report(order.record_id, "back", why=f"It could not be claimed ({error.strerror})")
        if claimed != ["mine"]:
            return Report(order.record_id, "taken" if claimed == ["taken"] else "back")
        archive = SharedArchive(self._kit.folder, self._kit.claims)
        params = ImageGenerateParams.of(order.params)
        recorder = LeaseRecorder(archive, order, params, self._kit.settings, self._lease.run)
        slots = [ImageSlot()]
        task = asyncio.ensure_future(Runner(params, self._kit.settings, recorder, slots, lambda: None).run())
        self._kit.running.add(task)
        if self._kit.steering.stop == "cancel":
            task.cancel()
        await asyncio.wait({task})
        self._kit.running.discard(task)
        if why := self._reason_to_go_back(slots):
            await in_a_thread(self._kit.claims.release, order.name)
            return Report(order.record_id, "back", why=why)
        return await self._ended(order, archive, recorder, slots)

    def _claim(self, order: Order, claimed: list[Claimed]) -> None:
        claimed.append(self._kit.claims.claim(order.name, order.record_id, self._lease.name, self._who))

    def _reason_to_go_back(self, slots: list[ImageSlot]) -> str:
        """Return why a cell certainly was not begun by the service, and may be sent again; nothing where it was."""
        slot = slots[0]
        if not slot.has_ended and not slot.may_be_billed:
            return "Cancelled before it was sent"
        error = slot.error
        if not isinstance(error, APIError) or not (why := reason_to_send_again(error)):
            return ""
        self._kit.steering.hold(error.retry_after_s or _LATER_S)
        sent = self._kit.steering.rate
        self._tell({"retry_after_s": error.retry_after_s, "sent": sent})
        return why

    async def _ended(
        self, order: Order, archive: SharedArchive, recorder: LeaseRecorder, slots: list[ImageSlot]
    ) -> Report:
        for slot in slots:
            if not slot.has_ended:
                slot.advance("cancelled")
        await in_a_thread(recorder.end, _outcome(slots))
        is_unstored = slots[0].path is None and slots[0].image_bytes
        if is_unstored:
            self._kit.steering.is_disk_full = True
        if recorder.notices:
            written: list[Any] = []
            await in_a_thread(lambda: written.append(_read(self._kit.claims, order.record_id)))
            is_written = bool(written and written[0] and written[0].record.ended_at is not None)
            self._kit.steering.is_disk_full |= not is_written
        done = Done(recorder.record, archive.ledger.preview)
        data = slots[0].image_bytes or b"" if is_unstored else b""
        return Report(order.record_id, "ended", done, data, tuple(recorder.notices))

    def _note_disk(self, error: OSError) -> None:
        self._kit.steering.is_disk_full |= error.errno in _FULL


def _read(claims: Claims, record_id: str) -> Done | None:
    with contextlib.suppress(OSError):
        return claims.done(record_id)
    return None


def _outcome(slots: list[ImageSlot]) -> Outcome:
    if any(slot.image is not None for slot in slots):
        return "done"
    error = slots[0].error
    return outcome_of(error) if error else "cancelled"
