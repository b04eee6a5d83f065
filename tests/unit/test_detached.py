"""Sweeps that a process of their own makes: it outlives who has detached it, is the only one, and keeps no key."""

from __future__ import annotations

import dataclasses
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import runners as kills

import gradient_notebook as gn
from gradient_notebook import InvalidRequestError, InvalidSettingsError, Sweep, cli, configure, sweep, sweeps
from gradient_notebook.notebook.sweep_words import title
from gradient_notebook.notebook.widgets.grid import SweepGrid
from gradient_notebook.simulator import Simulator
from gradient_notebook.storage import runners
from gradient_notebook.storage.archive import Archive, get_default
from gradient_notebook.storage.ledger import VERSION
from gradient_notebook.storage.runs import put_run
from gradient_notebook.sweeps import launching, runner_log
from gradient_notebook.sweeps.runner_log import BoundedLog

KEY = "sk-do-in-memory-alone"
PATIENCE_S = 60.0


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Simulator, "default_painter", kills.Small)


@pytest.fixture
def no_process_is_left(configured: Simulator) -> Iterator[Simulator]:
    """The service, as the environment's; what still makes something at the end is killed."""
    yield configured
    for entry in sweeps():
        if entry.process and number_of(entry.id) != os.getpid():
            os.kill(number_of(entry.id), signal.SIGKILL)


def planned(count: int, **how: Any) -> Sweep:
    return sweep("hill {{i}}", i=range(count), **{"quality": "low", "yes": True, "start": False, **how})


def archive() -> Archive:
    found = get_default()
    assert found
    return found


def number_of(run: str) -> int:
    return int(runners.runners(archive().ledger, run)[run].process.split()[-2])


def until(condition: Callable[[], Any]) -> None:
    """Wait for what another process does."""
    ends_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < ends_s
        threading.Event().wait(0.02)


def posts(service: Simulator) -> Counter[str]:
    return Counter(post.body["prompt"] for post in service.posts)


def hold(service: Simulator, seconds: float = 600) -> None:
    """From now on images take long."""
    service.seconds_per_image = seconds


# Nothing is lost, nothing is sent twice


@pytest.mark.parametrize("count", [20])
def test_killed_at_random_moments_nothing_is_sent_twice_or_lost(count: int) -> None:
    """Each is followed by another; what was sent without an answer is reported, and the key stands nowhere."""
    assert [figure for figure in kills.figures(count) if figure.is_defect] == []


def test_the_kernel_that_detached_it_may_die(no_process_is_left: Simulator) -> None:
    """However: with its group, by a hangup, by what ends a kernel. The run goes on, and is there for others."""
    hold(no_process_is_left, 0.3)
    code = (
        "from gradient_notebook import sweep\n"
        "study = sweep('hill {{i}}', i=range(8), quality='low', start=False).detach()\n"
        "print(study.id, flush=True)\n"
        "input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as kernel:
        assert kernel.stdout
        run = kernel.stdout.readline().strip()
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGKILL):
            os.killpg(kernel.pid, number)
        kernel.wait()
    study = Sweep.attach(run)
    assert study.status == "running"
    assert study.result(timeout=PATIENCE_S).outcomes == {"done": 8}
    assert set(posts(no_process_is_left).values()) == {1}
    assert [image.size for image in study.images] == [(32, 32)] * 8
    assert study.elapsed_s > 0


def test_the_key_is_nowhere(service: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not on the command line, in the environment, in the log or in any other file, also where a server repeats it."""
    service.script([{"status": 400, "body": {"error": {"message": f"{KEY} is wrong"}}}, None, {"delay": 600}])
    settings = gn.Settings(endpoint=service.url, key=KEY)
    configure(concurrency=1)
    study = planned(3, settings=settings).detach()
    try:
        assert service.wait_for(lambda: len(service.posts) == 3)
        process = Path("/proc", str(number_of(study.id)))
        shown = [process / "cmdline", process / "environ"] if process.exists() else []
        kept = [path for path in archive().folder.rglob("*") if path.is_file()]
        assert study.id in shown[0].read_text()
        assert [path for path in (*shown, *kept) if KEY.encode() in path.read_bytes()] == []
        until(lambda: study.outcomes.get("failed"))
        log = runner_log.log_of(archive(), study.id)
        assert "cell 0 failed" in log.read_text()
        assert log.stat().st_mode & 0o077 == 0
    finally:
        os.kill(number_of(study.id), signal.SIGKILL)


def test_told_to_end_it_sends_nothing_more_and_keeps_what_comes(no_process_is_left: Simulator) -> None:
    """What was sent comes to its end; another process makes the rest, and nothing twice."""
    configure(concurrency=2)
    hold(no_process_is_left, 1)
    study = planned(6).detach()
    assert no_process_is_left.wait_for(lambda: len(no_process_is_left.posts) == 2)
    os.kill(number_of(study.id), signal.SIGTERM)
    study.result(timeout=PATIENCE_S)
    assert (study.status, study.outcomes) == ("planned", {"done": 2, "queued": 4})
    assert "was told to end: 4 are left" in study.notes[0]
    assert [(entry.state, entry.left) for entry in sweeps()] == [("stopped", 4)]
    hold(no_process_is_left, 0)
    assert study.detach() is study
    assert study.result(timeout=PATIENCE_S).outcomes == {"done": 6}
    assert posts(no_process_is_left) == Counter(f"hill {i}" for i in range(6))


def test_what_has_no_answer_when_it_ends_is_reported_and_made_again_only_if_one_says_so(
    no_process_is_left: Simulator,
) -> None:
    """With no time to wait for it."""
    configure(concurrency=2, exit_wait_s=0)
    hold(no_process_is_left)
    study = planned(3).detach()
    assert no_process_is_left.wait_for(lambda: len(no_process_is_left.posts) == 2)
    os.kill(number_of(study.id), signal.SIGTERM)
    study.result(timeout=PATIENCE_S)
    assert study.outcomes == {"unknown": 2, "queued": 1}
    assert [(entry.unknown, entry.left, entry.process) for entry in sweeps()] == [(2, 1, None)]
    hold(no_process_is_left, 0)
    study.detach().result(timeout=PATIENCE_S)
    assert (study.outcomes, len(no_process_is_left.posts)) == ({"unknown": 2, "done": 1}, 3)
    study.retry(unknown=True).result(timeout=PATIENCE_S)
    assert (study.outcomes, len(no_process_is_left.posts)) == ({"done": 3}, 5)
    assert runners.runners(archive().ledger, study.id)[study.id].is_detached


# One process at a time, and what others want of it


def test_it_is_steered_from_any_kernel(no_process_is_left: Simulator) -> None:
    """Paused it sends nothing more, resumed it goes on, cancelled it ends; every view of it shows that."""
    configure(concurrency=1)
    hold(no_process_is_left, 0.2)
    study = planned(40).detach()
    other = Sweep.attach(study.id[:6])
    assert no_process_is_left.wait_for(lambda: len(no_process_is_left.posts) >= 2)
    assert other.pause().status == "paused"
    until(lambda: runners.runners(archive().ledger)[study.id].state == "paused")
    until(lambda: study.status == "paused" and "running" not in study.outcomes)
    sent = len(no_process_is_left.posts)
    assert other.resume().status == "running"
    assert no_process_is_left.wait_for(lambda: len(no_process_is_left.posts) > sent)
    assert study.cancel()
    assert other.result(timeout=PATIENCE_S).status == "cancelled"
    study.result(timeout=PATIENCE_S)
    assert (study.cancelled(), study.outcomes["cancelled"] >= 30) == (True, True)
    assert [entry.state for entry in sweeps()] == ["cancelled"]
    assert not study.cancel()


def test_a_run_has_one_process(no_process_is_left: Simulator) -> None:
    """Who would make what is being made is told who makes it; when that is over, nothing is left to make."""
    hold(no_process_is_left, 0.5)
    first, second = planned(5), planned(5)
    view = first.detach()
    for attempt in (first.start, second.start, second.detach, view.detach):
        with pytest.raises(InvalidRequestError, match=rf"Run {view.id} is being made by process \d+ on .* already"):
            attempt()
    assert view.start() is view
    view.result(timeout=PATIENCE_S)
    assert (second.outcomes, second.start().result().outcomes) == ({"queued": 5}, {"done": 5})
    assert set(posts(no_process_is_left).values()) == {1}


def test_what_a_kernel_makes_is_seen_and_cancelled_from_another(configured: Simulator) -> None:
    """It needs no process of its own for that."""
    hold(configured)
    study = planned(5).start()
    until(lambda: study.id in runners.runners(archive().ledger))
    view = Sweep.attach(study.id)
    assert view.status == "running"
    with pytest.raises(InvalidRequestError, match="it has been started, and runs in this process"):
        study.detach()
    view.cancel()
    study.result(timeout=PATIENCE_S)
    assert view.result(timeout=PATIENCE_S).outcomes == study.outcomes == {"cancelled": 5}


def test_the_grid_of_a_detached_sweep_steers_it(no_process_is_left: Simulator) -> None:
    """Its buttons go to whoever makes it."""
    configure(concurrency=1)
    hold(no_process_is_left, 0.2)
    study = planned(40).detach()
    grid, told = SweepGrid(study), threading.Event()
    study._observe(lambda seen, _: told.set() if seen.status == "paused" else None)
    grid._asked_to({"what": "pause"})
    assert told.wait(PATIENCE_S)
    assert runners.runners(archive().ledger)[study.id].wanted == "pause"
    grid._asked_to({"what": "cancel"})
    assert study.result(timeout=PATIENCE_S).status == "cancelled"
    assert len(no_process_is_left.posts) < 40


def test_it_is_awaited_and_watched(no_process_is_left: Simulator) -> None:
    """Observers are told of each cell, and of the end; who interrupts the wait does not end the run."""
    import asyncio

    hold(no_process_is_left, 0.3)
    told: set[int] = set()

    async def watch() -> Sweep:
        view = planned(6).detach()
        view._observe(lambda _, indices: told.update(indices))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(view._wait_async(), 0.2)
        assert view.status == "running"
        return await view

    assert asyncio.run(watch()).outcomes == {"done": 6}
    assert told == set(range(6))


def test_who_interrupts_the_wait_does_not_end_the_run(no_process_is_left: Simulator) -> None:
    """And is told so."""
    hold(no_process_is_left)
    view = planned(2).detach()
    interrupting = threading.Timer(0.3, signal.raise_signal, [signal.SIGINT])
    interrupting.start()
    with pytest.raises(KeyboardInterrupt, match="the run goes on in its own process"):
        view.result()
    interrupting.join()
    assert (view.status, sweeps()[0].state) == ("running", "running")


def test_what_is_left_is_made_here(no_process_is_left: Simulator) -> None:
    """Where no process makes it any more; its default model is that of when it was planned."""
    configure(concurrency=1, model="openai-gpt-image-2")
    hold(no_process_is_left)
    run = planned(3).detach().id
    assert no_process_is_left.wait_for(lambda: no_process_is_left.posts)
    os.kill(number_of(run), signal.SIGKILL)
    until(lambda: not runners.is_made(archive(), run))
    configure(model="openai-gpt-image-1")
    hold(no_process_is_left, 0)
    assert [entry.state for entry in sweeps()] == ["interrupted"]
    study = Sweep.attach(run)
    assert "has ended unexpectedly: 2 are left" in study.notes[0]
    assert study.start().result().outcomes == {"unknown": 1, "done": 2}
    assert {post.body["model"] for post in no_process_is_left.posts} == {"openai-gpt-image-2"}


@pytest.mark.slow
def test_a_budget_of_a_day_holds_for_all_processes(no_process_is_left: Simulator) -> None:
    """Two of their own and this one, at the same time: never one image more."""
    configure(prices={"per_image": 1}, budget_per_day=7, concurrency=4)
    apart = [sweep(f"{name} {{{{i}}}}", i=range(6), quality="low", start=False) for name in ("hill", "lake")]
    views = [study.detach() for study in apart]
    here = sweep("wood {{i}}", i=range(6), quality="low").result(timeout=PATIENCE_S)
    outcomes = sum((Counter(view.result(timeout=PATIENCE_S).outcomes) for view in [*views, here]), Counter())
    assert (len(no_process_is_left.posts), outcomes["done"], outcomes["failed"]) == (7, 7, 11)


# What is listed, in a notebook and from a shell


def test_runs_are_listed_and_steered_from_a_shell(
    no_process_is_left: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    """What runs, how far it is, and its log."""
    configure(concurrency=1)
    planned(2, fresh=True).start().result()
    hold(no_process_is_left)
    study = planned(4, fresh=True).detach()
    assert no_process_is_left.wait_for(lambda: len(no_process_is_left.posts) == 3)
    assert [(entry.count, entry.done, entry.left, entry.state) for entry in sweeps()] == [
        (4, 0, 4, "running"),
        (2, 2, 0, "done"),
    ]
    planned(2).detach().result()  # there already: nothing is to be made
    planned(1).result()
    assert [(entry.count, entry.done, entry.state) for entry in sweeps()][:1] == [(1, 1, "done")]
    assert len(sweeps()) == 3
    assert "hill {{i}}" in repr(sweeps())
    assert "<table" in sweeps()._repr_mimebundle_()["text/html"]
    assert cli.main(["runs"]) == 0
    assert f"running, process {number_of(study.id)}" in capsys.readouterr().out
    assert cli.main(["runs", "cancel", study.id[:8]]) == 0
    assert cli.main(["runs", "attach", study.id]) == 0
    assert "4 cancelled" in capsys.readouterr().out
    assert cli.main(["runs", "log", study.id]) == 0
    assert "4 images to make" in capsys.readouterr().out
    assert cli.main(["runs", "pause", study.id]) == 1
    assert cli.main(["runs", "pause"]) == 2


def test_a_run_is_listed_with_the_words_that_hold_for_all(configured: Simulator) -> None:
    """As its grid's title has them; what stands in `{{ }}` varies, whatever a value holds."""
    words = {"thing": "tower", "from": "{{style}}"}
    study = sweep("A {{thing}} in {{style}}, {{from}}", style=["ink", "oil"], quality="low", **words).result()
    assert [entry.prompt for entry in sweeps()] == ["A tower in {{style}}, {{style}}"]
    assert title(study).startswith(sweeps()[0].prompt)


def test_a_log_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It begins anew, and the older part goes."""
    monkeypatch.setattr(runner_log, "MOST_BYTES", 100)
    log = BoundedLog(tmp_path / "log", gn.Settings(endpoint="http://127.0.0.1:1", key=KEY).key)
    for number in range(100):
        log.write(f"{number} with {KEY}\n")
    both = "".join(path.read_text() for path in tmp_path.iterdir())
    assert len(both) < 300
    assert ("99 with ***" in both, "1 with ***\n" in both.splitlines(keepends=True)) == (True, False)


def test_runs_outlive_a_ledger_that_is_mended(configured: Simulator) -> None:
    """And a row that makes no sense is passed over."""
    run = planned(2).start().result().id
    for statement in (
        "INSERT INTO runs SELECT x'00', digest, 'now', fresh, service, 'none' FROM runs",
        "INSERT INTO runners SELECT x'00', process, 0, 'then', state, wanted, asked, heard, 0 FROM runners",
        "DROP TABLE texts",
    ):
        archive().ledger.write(lambda connection, statement=statement: connection.execute(statement))
    gn.history()
    assert [(entry.id, entry.done, entry.state) for entry in sweeps()] == [(run, 2, "done")]
    assert archive().ledger.path.with_name("ledger.damaged-1.sqlite").exists()


# What cannot be


def test_what_cannot_be_detached_or_attached_says_why(configured: Simulator) -> None:
    """In a line, with what there is."""
    study = planned(2).start().result()
    for wrong, words in (
        ("", "expected the id of a run"),
        (None, "expected the id of a run"),
        (f"{study.id}x", rf"no such run in .*\n.*{study.id}"),
        ("zz", rf"no such run in .*\nThere is {study.id}"),
    ):
        with pytest.raises(InvalidRequestError, match=words):
            Sweep.attach(wrong)  # type: ignore[arg-type]
    put_run(archive().ledger, dataclasses.replace(study._run, id=f"{study.id}0"))
    with pytest.raises(InvalidRequestError, match="2 runs begin like that"):
        Sweep.attach(study.id[:10])
    configure(archive=False)
    for attempt in (planned(3).detach, sweeps, lambda: Sweep.attach(study.id)):
        with pytest.raises(InvalidRequestError, match="this session keeps no archive"):
            attempt()


def test_a_folder_that_cannot_be_written_is_told(configured: Simulator, tmp_path: Path) -> None:
    """Nothing is started."""
    (tmp_path / "file").write_text("no folder")
    configure(archive_dir=str(tmp_path / "file"))
    with pytest.raises(InvalidRequestError, match=r"detach: .*file"):
        planned(2).detach()
    assert configured.posts == []


def test_an_archive_of_a_newer_version_is_only_read(configured: Simulator) -> None:
    """Its runs are shown, and none is made."""
    study = planned(2).start().result()
    with sqlite3.connect(archive().ledger.path) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()
    assert Sweep.attach(study.id).outcomes == {"done": 2}
    with pytest.raises(InvalidRequestError, match="newer gradient_notebook"):
        planned(3).detach()
    assert len(configured.posts) == 2


def test_a_run_of_another_service_is_not_made_by_this_one(
    configured: Simulator, service: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is shown; what is left is made where it was planned."""
    monkeypatch.setattr(launching, "launch", lambda *_, **__: 0)
    run = planned(2).detach().id
    monkeypatch.setenv("GRADIENT_INFERENCE_ENDPOINT", "http://127.0.0.1:9")
    study = Sweep.attach(run)
    assert study.outcomes == {"queued": 2}
    with pytest.raises(InvalidSettingsError, match=r"requests would go to 127\.0\.0\.1:9"):
        study.start()


def test_a_process_that_cannot_be_started_is_told(configured: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to do instead."""
    monkeypatch.setattr(launching, "_CODE", "raise SystemExit(3)")
    with pytest.raises(InvalidRequestError, match=r"it has ended at once(.|\n)*start\(\) makes it here"):
        planned(2).detach()
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(InvalidRequestError, match="No process could be started"):
        planned(2).detach()
    assert configured.posts == []
