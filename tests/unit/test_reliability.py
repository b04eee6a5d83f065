"""The count of faults and kills, with small numbers: nothing is lost or sent twice, and where it were, it is counted."""

from __future__ import annotations

import gc
import random
import socket
import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cuts
import faulty
import generations
import kills
import pytest
import relay
import runners
from counted import Figure, some, zero

import gradient_notebook as gn
from gradient_notebook.api import retry
from gradient_notebook.api.client import AsyncClient
from gradient_notebook.api.decoders import StreamDecoder
from gradient_notebook.jobs.recorder import Recorder

SENT_AGAIN = "SENT AGAIN after what may have reached the model"
FALSELY_UNSENT = ("  and yet the service had received the only attempt", "  and yet one may have reached the model")
NOT_KEPT = "finished images delivered, and not on disk as they came"
LOST = "kept or shown, and LOST"

_SHOWS_FIRST = """\
import time
import killed
from gradient_notebook.jobs.recorder import Recorder
from gradient_notebook.jobs.runner import Runner

def begin(self, slots):
    self.is_begun, self._slots = True, slots

def finish(self, slot, event):
    slot.event, slot.image_bytes = event, event.image_bytes
    slot.open()
    self._recording.get_loop().call_soon_threadsafe(self._changed)
    time.sleep(600)  # a disk that is slower than the kill
    self._recorder.store(slot, event.image_bytes)

Recorder.begin, Runner._finish = begin, finish
killed.main()
"""


@pytest.fixture(autouse=True)
def hardly_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what a service demands takes time."""
    monkeypatch.setattr(retry, "BASE_S", 0.01)
    monkeypatch.setattr(relay, "AWAY_S", 0.0)
    monkeypatch.setattr(faulty, "READ_TIMEOUT_S", 1.5)
    monkeypatch.setattr(faulty, "REQUEST_S", 3.0)


def counts(figures: Iterable[Figure]) -> dict[str, float]:
    return {figure.what: figure.count for figure in figures}


# What is broken off in the moment of its beginning, asyncio and anyio leave behind unclosed or never awaited.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def swept() -> Iterator[None]:
    """What these tests leave behind is found here, and in no test that happens to run when it is collected."""
    yield
    gc.collect()


def defects(figures: Iterable[Figure]) -> list[Figure]:
    return [figure for figure in figures if figure.is_defect]


@pytest.mark.parametrize("count", [60, pytest.param(300, marks=pytest.mark.slow)])
def test_requests_to_what_misbehaves_are_neither_sent_twice_nor_lost(count: int) -> None:
    """Each kind of fault, in the service and on the way to it: none of what must not happen has happened."""
    assert defects(faulty.figures(count)) == []


@pytest.mark.parametrize(
    "moments", [(kills.CAME, kills.KEPT), pytest.param(kills.MOMENTS, marks=pytest.mark.slow)], ids=len
)
def test_processes_that_are_killed_lose_nothing_that_they_kept_or_showed(moments: Sequence[kills.Moment]) -> None:
    """Killed while it receives, keeps and shows: what was kept is found, and each request has a record."""
    assert defects(kills.figures(len(moments), moments=moments)) == []


def test_streams_are_the_same_however_they_are_cut() -> None:
    """Cut at random places, legal and broken streams give the same events and the same errors."""
    assert defects(cuts.figures(500)) == []


@pytest.mark.kernel
@pytest.mark.slow  # for one generation: `test_a_finished_cell_leaves_no_widget_behind`
def test_a_kernel_keeps_nothing_of_the_generations_that_are_over() -> None:
    """No widget stays open, and the history has each."""
    assert defects(generations.figures(4)) == []


def test_the_relay_leaves_no_connection_open() -> None:
    """One that comes in the very moment in which nobody listens any more is closed, or refused."""
    is_late = threading.Event()
    with warnings.catch_warnings(record=True) as unclosed:
        warnings.simplefilter("always")
        with relay.Relay(9, random.Random(1)) as there:
            there._loop.call_soon_threadsafe(is_late.wait)
            there._loop.call_soon_threadsafe(there._leaves.set)
            with socket.create_connection((relay.HOST, int(there.url.rpartition(":")[2]))):
                is_late.set()
        gc.collect()
    assert [str(found.message) for found in unclosed] == []


# A count that cannot be anything but zero says nothing


def test_what_is_sent_again_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that takes an error of the server or a lost answer for a reason to try again is found out."""
    post = AsyncClient.post

    async def post_again(self: AsyncClient, *request: Any) -> Any:
        try:
            return await post(self, *request)
        except (gn.InternalServerError, gn.NoResponseError):
            return await post(self, *request)

    monkeypatch.setattr(AsyncClient, "post", post_again)
    assert counts(faulty.figures(50))[SENT_AGAIN] > 0


def test_what_was_sent_and_is_told_not_to_be_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that takes a lost answer for no connection says that nothing was sent."""
    post = AsyncClient.post

    async def post_and_deny(self: AsyncClient, *request: Any) -> Any:
        try:
            return await post(self, *request)
        except gn.NoResponseError as error:
            raise gn.APIConnectionError("Could not reach the service.", sent=False) from error

    monkeypatch.setattr(AsyncClient, "post", post_and_deny)
    found = counts(faulty.figures(50))
    assert all(found[what] > 0 for what in FALSELY_UNSENT)


def test_images_that_are_not_kept_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """An image that is delivered and not on disk is found, and one whose file has other bytes."""
    store = Recorder.store

    def store_some(self: Recorder, slot: Any, data: bytes, **more: Any) -> None:
        if data[-20] % 2:
            store(self, slot, data[:-1], **more)

    monkeypatch.setattr(Recorder, "store", store_some)
    found = counts(faulty.figures(30))
    assert found[NOT_KEPT] == found["finished images delivered"] > 0


def test_an_image_that_is_shown_before_it_is_kept_is_counted(tmp_path: Path) -> None:
    """A client that shows first, and records a request late, is found out by kills."""
    script = tmp_path / "shows_first.py"
    script.write_text(_SHOWS_FIRST)
    found = counts(kills.figures(1, script=script, moments=[kills.Moment("shown", 1, 0.01)]))
    assert found[LOST] > 0
    assert found["posts without a record"] > 0


def test_what_a_process_of_a_sweep_sends_again_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that makes also what was sent without an answer is found out by kills."""
    # Killed when it has just sent something, which the service takes its time for: something then has no answer yet.
    monkeypatch.setattr(runners, "IMAGE_S", 0.5)
    monkeypatch.setattr(runners, "SPREAD_S", 0.0)
    monkeypatch.setattr(runners, "CELLS_A_KILL", 8)
    assert counts(runners.figures(3, unknown=True))["second posts of a cell"] > 0


def test_a_decoder_that_minds_where_it_is_cut_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Line ends that are lost where a piece ends make a difference."""

    class Careless(StreamDecoder):
        def feed(self, chunk: bytes) -> Any:
            return super().feed(chunk.rstrip())

    monkeypatch.setattr(cuts, "StreamDecoder", Careless)
    assert counts(cuts.figures(200))["differences"] > 0


def test_a_figure_that_is_missed_says_so() -> None:
    """Zeros that are not reached, and a harness that did nothing, are defects; a growth is missed, and told."""
    assert [figure.is_defect for figure in (zero("x", 1), zero("x", 0))] == [True, False]
    assert some("x", 0).is_defect
    growth = Figure(what="x", count=6, reach=5)
    assert (growth.missed, growth.is_defect) == (True, False)
