"""What the processes of an archive share: so many requests at once, and one rate limit; what a killed one held is free."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import gradient_notebook as gn
from gradient_notebook.api import rate_limit
from gradient_notebook.api.credentials import Key
from gradient_notebook.api.rate_limit import Pace, RateLimitState
from gradient_notebook.notebook import formatting
from gradient_notebook.simulator import Fault, Simulator
from gradient_notebook.simulator.generations import TINY_PICTURE
from gradient_notebook.storage.archive import get_default
from gradient_notebook.storage.limits import Limits

KEY = "sk-do-for-tests-only"
SMALL: dict[str, Any] = {"quality": "low", "size": "1024x1024"}
TINY: dict[str, Any] = {"image_base64": TINY_PICTURE.decode()}
SILENT = Fault(silence=True)
BUSY = Fault(status=429, headers={"retry-after": "2", "ratelimit-remaining": None}, body={"message": "Busy."})
_MAKING = """
import sys
import gradient_notebook as gn
from gradient_notebook.api import rate_limit
count, gn.session.concurrency = int(sys.argv[1]), int(sys.argv[2])
gn.Settings.discover()
rate_limit.PROBE_S = 60
print(flush=True)
sys.stdin.read()
for job in [gn.submit("x", quality="low", size="1024x1024") for _ in range(count)]:
    job.result()
"""

Processes = list[subprocess.Popen[bytes]]


@pytest.fixture
def others() -> Iterator[Processes]:
    """Processes that are ended after the test."""
    processes: Processes = []
    yield processes
    for process in processes:
        process.kill()
        with process:  # closes its pipes
            pass


def begin(processes: Processes, images: int, concurrency: int, code: str = _MAKING) -> subprocess.Popen[bytes]:
    """Start a process that makes images as soon as it is told to go."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(images), str(concurrency)],
        env=os.environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    processes.append(process)
    return process


def ready(processes: Processes) -> Processes:
    """Return the processes, which wait to be told."""
    for process in processes:
        assert process.stdout
        process.stdout.readline()
    return processes


def go(processes: Processes) -> None:
    """Have them go."""
    for process in processes:
        assert process.stdin
        process.stdin.close()


def most_at_once(service: Simulator, least_s: float) -> int:
    """Return how many requests the server had at one moment, where each took so long at least."""
    times = [post.at for post in service.posts]
    return max(sum(earlier <= at < earlier + least_s for earlier in times) for at in times)


def test_ten_processes_have_the_places_of_one(configured: Simulator, others: Processes) -> None:
    """The server has four requests at once, and never more, of ten that have four places each."""
    configured.script([Fault(delay=0.2, **TINY)] * 40)
    for _ in range(10):
        begin(others, images=4, concurrency=4)
    go(ready(others))
    assert [process.wait(120) for process in others] == [0] * 10
    assert len(configured.posts) == 40
    assert most_at_once(configured, 0.2) == 4


def test_a_killed_process_holds_no_place(configured: Simulator, others: Processes) -> None:
    """What it had is free; until then the one who waits is told why."""
    gn.configure(concurrency=2)
    configured.script([SILENT, SILENT, Fault(**TINY)])
    holding = begin(others, images=2, concurrency=2)
    go(ready(others))
    assert configured.wait_for(lambda: len(configured.posts) == 2, 30)
    job = gn.submit("x", **SMALL)
    wait_until_queued(job)
    assert formatting.waiting(job) == ("Waiting for a place: 2 requests run in other kernels", 0.0)
    holding.send_signal(signal.SIGKILL)
    assert job.result().size
    assert formatting.waiting(job) == ("", 0.0)


def test_who_is_killed_while_it_waits_holds_up_nobody(configured: Simulator, others: Processes) -> None:
    """Its turn is the next one's."""
    gn.configure(concurrency=1)
    configured.script([SILENT, Fault(**TINY)])
    holding = begin(others, images=1, concurrency=1)
    go(ready(others))
    assert configured.wait_for(lambda: len(configured.posts) == 1, 30)
    waiting = begin(others, images=1, concurrency=1)
    go(ready([waiting]))
    wait_until(lambda: list((_folder() / "limits").glob("*.turn")) != [])
    for process in (waiting, holding):
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert gn.generate("x", **SMALL).size
    assert list((_folder() / "limits").glob("*.turn")) == []


def test_a_turn_that_ends_while_it_is_asked_for_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its file may go between two steps of whoever opens it, who would else do without a place."""
    limits = Limits(tmp_path, "https://one.example", Key.of(KEY))
    assert not limits.is_waited_for()
    chmod, calls = Path.chmod, []

    def vanish_once(path: Path, mode: int) -> None:
        if not calls:
            path.unlink()
        calls.append(path)
        chmod(path, mode)

    monkeypatch.setattr(Path, "chmod", vanish_once)
    turn = limits.take_turn()
    assert turn
    assert len(calls) == 2
    limits.end_turn(turn)


def test_many_requests_do_not_keep_one_of_another_process_waiting(configured: Simulator, others: Processes) -> None:
    """The next free place is that of the process that has none, however many wait in the one that gives it back."""
    gn.configure(concurrency=1)
    configured.script([Fault(delay=0.3, **TINY)] * 40)
    busy = begin(others, images=30, concurrency=1)
    go(ready(others))
    assert configured.wait_for(lambda: len(configured.posts) == 1, 30)
    assert gn.generate("x", **SMALL).size
    assert busy.poll() is None


def test_a_429_holds_back_all_processes_and_one_asks_first(configured: Simulator, others: Processes) -> None:
    """After each refusal two seconds pass without a request of any of ten; then one of them asks, and the others after it."""
    configured.script([BUSY, BUSY, *[Fault(**TINY)] * 10])
    for _ in range(10):
        begin(others, images=1, concurrency=10)
    ready(others)
    with pytest.raises(gn.RateLimitError):
        gn.Client(max_retries=0).images.generate(prompt="x")
    go(others)
    assert [process.wait(120) for process in others] == [0] * 10
    times = [post.at for post in configured.posts]
    assert len(times) == 12
    assert [later - earlier >= 2 for earlier, later in itertools.pairwise(times[:3])] == [True, True]


def test_what_one_process_hears_of_the_rate_limit_all_know(
    monkeypatch: pytest.MonkeyPatch, configured: Simulator, others: Processes
) -> None:
    """A window that another process has found full is not asked again."""
    with Simulator(requests_per_hour=1) as service:
        monkeypatch.setenv("GRADIENT_INFERENCE_ENDPOINT", service.url)
        listing = "import gradient_notebook as gn; gn.Client().models.list()"
        assert begin(others, 0, 0, listing).wait(60) == 0
        with pytest.raises(gn.RateLimitError, match="Rate limit reached") as caught:
            gn.generate("x", **SMALL)
        assert service.posts == []
        assert caught.value.sent is False
        assert gn.Settings.discover().key == Key.of(KEY)


def test_one_goes_first_when_a_hold_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others wait for its answer, and for a second at most; refused, it holds all of them back again."""
    hands = types.SimpleNamespace(now_s=100.0)
    monkeypatch.setattr(rate_limit, "time", types.SimpleNamespace(monotonic=lambda: hands.now_s))
    state = RateLimitState()
    state.block_for(2)
    assert state.enter() == 102
    hands.now_s = 102.5
    assert (state.enter(), state.enter()) == (None, 103.5)
    state.leave({}, 429)
    state.block_for(5)
    assert state.enter() == 107.5
    hands.now_s = 108.0
    assert (state.enter(), state.enter()) == (None, 109.0)
    hands.now_s = 109.5
    assert (state.enter(), state.enter()) == (None, 110.5)
    state.leave({}, 200)
    assert [state.enter() for _ in range(3)] == [None] * 3


def test_requests_of_others_count_as_used_while_they_live(tmp_path: Path) -> None:
    """What has no answer yet takes a place of the window, in whatever process; that of a dead one takes none."""
    limits, pace = Limits(tmp_path, "https://one.example", Key.of(KEY)), Pace()
    entering = f"""
import os, sys
from pathlib import Path
from gradient_notebook.api.credentials import Key
from gradient_notebook.api.rate_limit import RateLimitState
from gradient_notebook.storage.limits import Limits
state = RateLimitState()
state.store = Limits(Path({str(tmp_path)!r}), "https://one.example", Key.of({KEY!r}))
state.enter(); state.enter()
print(flush=True)
sys.stdin.read()
"""
    with limits.exchange(pace):
        pace.remaining, pace.resets_at_s = 3, time.monotonic() + 600
    other = subprocess.Popen([sys.executable, "-c", entering], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout
    assert other.stdout.readline()
    with limits.exchange(pace):
        assert (pace.remaining, pace.elsewhere) == (3, 2)
    other.kill()
    other.communicate()
    with limits.exchange(pace):
        assert pace.elsewhere == 0


@pytest.fixture
def scarce(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    """A service with so little room that each process is told of it."""
    with Simulator(seconds_per_image=0, requests_per_hour=100) as service:
        monkeypatch.setenv("GRADIENT_INFERENCE_ENDPOINT", service.url)
        monkeypatch.setenv("GRADIENT_MODEL_ACCESS_KEY", KEY)
        yield service


def test_where_there_is_plenty_of_room_nothing_is_written(configured: Simulator) -> None:
    """A process that is alone pays for the lock that is its place, and for nothing else."""
    assert gn.generate("x", **SMALL).size
    assert not (_folder() / "limits" / "pace.sqlite").exists()


def test_neither_the_key_nor_the_endpoint_is_on_disk(scarce: Simulator) -> None:
    """What is shared lies under a hash with salt, which another archive makes another one of."""
    assert gn.generate("x", **SMALL).size
    files = [path for path in (_folder() / "limits").iterdir() if path.is_file()]
    assert {path.suffix for path in files} == {"", ".place", ".sqlite", ".sqlite-journal"}
    for path in files:
        told = path.name.encode() + path.read_bytes()
        assert KEY.encode() not in told
        assert scarce.url.encode() not in told
        assert path.stat().st_mode & 0o077 == 0
    names = {Limits(Path(name).absolute(), scarce.url, Key.of(KEY))._name for name in ("one", "other")}
    assert len(names) == 2


@pytest.mark.parametrize("spoiled", ["off", "no folder", "damaged"])
def test_a_process_goes_on_by_itself(scarce: Simulator, tmp_path: Path, spoiled: str) -> None:
    """Where nothing is kept, or can be, or what is shared is broken: limits never cost an image."""
    if spoiled == "off":
        gn.configure(archive=False)
    elif spoiled == "no folder":
        (tmp_path / "file").write_text("")
        gn.configure(archive_dir=str(tmp_path / "file" / "folder"))
    else:
        gn.generate("x", **SMALL)
        (_folder() / "limits" / "pace.sqlite").write_bytes(b"no database" * 100)
    job = gn.submit("x", n=2, **SMALL)
    assert len(job.result()) == 2
    if spoiled == "off":
        assert not (tmp_path / "data" / "gradient_notebook" / "limits").exists()
    if spoiled == "damaged":
        gn.generate("x", **SMALL)
        assert (_folder() / "limits" / "pace.sqlite").read_bytes().startswith(b"SQLite")


def _folder() -> Path:
    archive = get_default()
    assert archive
    return archive.folder


def wait_until_queued(job: gn.Job) -> None:
    wait_until(lambda: job.status == "queued")


def wait_until(condition: Any) -> None:
    ends_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < ends_s
        threading.Event().wait(0.01)
