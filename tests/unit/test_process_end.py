"""What a script that ends does with the jobs that still run, and what is known of them afterwards."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import gradient_notebook as gn
from gradient_notebook.simulator import Simulator

_SUBMIT = "import gradient_notebook as g\njob = g.submit('a red otter', quality='low')\n"
_SENT = _SUBMIT + "input()\nprint('sent', flush=True)\n"
"""It goes on when it is told: `sent`."""
WAITING = r"gradient_notebook: waiting for 1 running job \('a red otter'\), at most {} s\. Ctrl-C ends the wait\.\n"
GIVEN_UP = (
    r"gradient_notebook: 1 running job given up at the end of the process\. "
    r"1 may have been billed: history\('(\w+)'\)\n"
)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    """A service whose images take ten minutes, as the environment's."""
    with Simulator(seconds_per_image=600) as simulator:
        monkeypatch.setenv("GRADIENT_INFERENCE_ENDPOINT", simulator.url)
        monkeypatch.setenv("GRADIENT_MODEL_ACCESS_KEY", "sk-do-tested")
        yield simulator


def _hear_signals() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs tests in the background ignores it
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@contextmanager
def script(code: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Run a script in a process of its own."""
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
        preexec_fn=_hear_signals,  # noqa: PLW1509 - no other thread forks here
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def go_on(process: subprocess.Popen[str], simulator: Simulator) -> None:
    """Let a script go on when its request has arrived."""
    assert simulator.wait_for(lambda: simulator.posts)
    assert process.stdin
    process.stdin.write("\n")
    process.stdin.flush()


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    output, errors = process.communicate(timeout=60)
    return process.returncode, output, errors


@pytest.fixture(autouse=True)
def quiet_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIENT_IMAGE_MODEL", "openai-gpt-image-2")  # nothing is noted of its end


def the_record() -> gn.HistoryEntry:
    (entry,) = gn.history()
    return entry


@pytest.mark.parametrize("end", ["", "raise SystemExit(3)", "1 / 0"])
def test_a_script_waits_for_what_it_has_begun(configured: Simulator, end: str) -> None:
    """One line says so; the image is kept, and the exit code is the script's own."""
    callback = "job.add_done_callback(lambda job: print(job.status, len(job.images)))\n"
    with script(_SUBMIT + callback + end) as process:
        code, output, errors = ended(process)
    assert re.search(WAITING.format(120), errors)
    assert (code, output) == ({"": 0, "1 / 0": 1}.get(end, 3), "done 1\n")
    assert "given up" not in errors
    assert (the_record().outcome, len(the_record().images)) == ("done", 1)


def test_a_job_that_another_begins_is_waited_for_as_well(configured: Simulator) -> None:
    """Callbacks may go on: until nothing runs, and with hosts still to be looked up."""
    more = "job.add_done_callback(lambda _: g.submit('a blue otter', quality='low'))"
    with script(_SUBMIT + more) as process:
        assert ended(process)[0] == 0
    assert [(entry.prompt, entry.outcome) for entry in gn.history()] == [
        ("a blue otter", "done"),
        ("a red otter", "done"),
    ]


def test_a_script_without_running_jobs_says_nothing(configured: Simulator) -> None:
    """Nothing to wait for, and nothing to tell."""
    with script(_SUBMIT + "job.result()") as process:
        assert ended(process) == (0, "", "")


@pytest.mark.parametrize("seconds", ["0", "0.5"])
def test_the_wait_is_bounded_by_a_setting(slow: Simulator, seconds: str) -> None:
    """With 0 there is none; what was given up is told in a line, and recorded."""
    with script(_SENT, GRADIENT_IMAGE_EXIT_WAIT_S=seconds) as process:
        go_on(process, slow)
        code, _, errors = ended(process)
    waiting = "" if seconds == "0" else WAITING.format("0.5")
    assert (found := re.fullmatch(waiting + GIVEN_UP, errors)), errors
    entry = the_record()
    assert (code, found[1], entry.outcome) == (0, entry.id, "cancelled")
    assert re.fullmatch(r"The process ended after \d+\.\d s\.", entry.errors[0])
    assert entry.elapsed_s is not None
    assert entry.record.images[0].error
    assert entry.record.images[0].error["sent"] is True
    assert slow.wait_for(lambda: slow.disconnected == 1)


def test_ctrl_c_ends_the_wait(slow: Simulator) -> None:
    """And not with a traceback."""
    with script(_SENT) as process:
        go_on(process, slow)
        assert process.stderr
        first = process.stderr.readline()
        process.send_signal(signal.SIGINT)
        code, _, errors = ended(process)
    assert re.fullmatch(WAITING.format(120) + GIVEN_UP, first + errors)
    assert (code, the_record().outcome) == (0, "cancelled")


@pytest.mark.parametrize("where", ["at work", "at the end"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_ends_leaves_a_true_record(slow: Simulator, number: signal.Signals, where: str) -> None:
    """It hangs up without a wait, says so, and ends by the signal, as without jobs."""
    with script(_SENT + ("import time; time.sleep(60)" if where == "at work" else "")) as process:
        go_on(process, slow)
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        first = process.stderr.readline() if where == "at the end" else ""
        process.send_signal(number)
        code, _, errors = ended(process)
    assert re.fullmatch((WAITING.format(120) if first else "") + GIVEN_UP, first + errors)
    assert (code, the_record().outcome) == (-number, "cancelled")


def test_a_handler_of_the_users_own_is_left_alone(slow: Simulator) -> None:
    """What it does is what happens."""
    own = "import signal, time\nheard = []\nsignal.signal(signal.SIGTERM, lambda *_: heard.append('mine'))\n"
    rest = "while not heard: time.sleep(0.01)\nprint(*heard)\ng.configure(exit_wait_s=0)"
    with script(own + _SENT + rest) as process:
        go_on(process, slow)
        assert process.stdout
        process.stdout.readline()
        process.terminate()
        code, output, errors = ended(process)
    assert (code, output) == (0, "mine\n")
    assert re.fullmatch(GIVEN_UP, errors)


def test_what_was_not_sent_is_not_called_billed(slow: Simulator) -> None:
    """Of two jobs with one place, one had not begun."""
    code = _SENT.replace("job =", "g.configure(concurrency=1, exit_wait_s=0)\njob =", 1) + _SUBMIT.replace(
        "job", "other"
    )
    with script(code) as process:
        go_on(process, slow)
        _, _, errors = ended(process)
    assert "2 running jobs given up at the end of the process. 1 may have been billed: history(" in errors
    assert [entry.outcome for entry in gn.history()] == ["cancelled"]
    assert len(slow.posts) == 1


def test_a_forked_child_does_not_wait_for_its_parents_jobs(slow: Simulator) -> None:
    """A job belongs to the process that began it; the child ends at once, and says nothing."""
    child = (
        "import multiprocessing\nchild = multiprocessing.get_context('fork').Process(target=print, args=('child',))\n"
    )
    run = "child.start(); child.join(20); print(child.exitcode); g.configure(exit_wait_s=0)"
    with script(_SENT + child + run) as process:
        go_on(process, slow)
        code, output, errors = ended(process)
    assert (code, output) == (0, "sent\nchild\n0\n")
    assert re.fullmatch(GIVEN_UP, errors)


def test_a_thread_that_outlives_the_main_one_makes_its_image(configured: Simulator) -> None:
    """Where it is the first to ask for one, too."""
    code = "import threading\nfrom gradient_notebook import generate\n"
    code += "threading.Thread(target=lambda: print(generate('a fox', quality='low').size, flush=True)).start()\n"
    with script(code) as process:
        exit_code, output, errors = ended(process)
    assert (exit_code, output) == (0, "(1024, 1024)\n"), errors


def test_a_failure_at_the_end_is_told(configured: Simulator) -> None:
    """Nobody can ask for it any more."""
    configured.script([{"delay": 0.5, "status": 500, "body": {"id": "server_error", "message": "boom"}}])
    with script(_SUBMIT) as process:
        _, _, errors = ended(process)
    assert re.fullmatch(WAITING.format(120) + r"gradient_notebook: boom \(500.*\n", errors), errors


def test_an_interrupted_call_is_not_waited_for(slow: Simulator) -> None:
    """It has been cancelled: nothing is left to wait for."""
    with script("import gradient_notebook as g\nprint('begun', flush=True)\ng.generate('a red otter')\n") as process:
        assert process.stdout
        process.stdout.readline()
        assert slow.wait_for(lambda: bool(slow.posts))
        process.send_signal(signal.SIGINT)
        _, _, errors = ended(process)
    assert "waiting for" not in errors


@pytest.mark.parametrize("wait", ["g.generate('a red otter')", "g.submit('a red otter').result()"])
def test_ctrl_c_at_a_wait_is_one_sentence(slow: Simulator, wait: str) -> None:
    """It stands under the script's own line, without the package's; a shell hears of the interrupt, as of any (130)."""
    with script(f"import gradient_notebook as g\n{wait}") as process:
        assert slow.wait_for(lambda: slow.posts)
        process.send_signal(signal.SIGINT)
        code, _, errors = ended(process)
    assert code == -signal.SIGINT
    traceback, _, sentence = re.sub(GIVEN_UP, "", errors).strip().rpartition("\n")
    assert sentence == "KeyboardInterrupt: the request was cancelled; what was already sent may be billed."
    assert re.findall(r'File "(.*?)"', traceback) == ["<string>"]
    assert slow.wait_for(lambda: slow.disconnected == 1)
