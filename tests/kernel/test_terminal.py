"""IPython in a terminal: no widgets, plain lines, the same variables."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pexpect.popen_spawn import PopenSpawn

from gradient_notebook.simulator import Simulator

from .kernel import PATIENCE_S, clean_environment, plain, pointed_at

pytestmark = pytest.mark.kernel

_PROMPT = r"In \[\d+\]: "


def _hear_interrupts() -> None:
    signal.signal(
        signal.SIGINT, signal.SIG_DFL
    )  # a shell lets its background jobs ignore it, and children inherit that


class Terminal:
    """A person at IPython's prompt."""

    def __init__(self, folder: Path, simulator: Simulator) -> None:
        command = [sys.executable, "-m", "IPython", "--simple-prompt", "--no-banner", "--no-confirm-exit"]
        command += ["--colors=NoColor"]
        environment = clean_environment(folder, PYTHONUNBUFFERED="1", **pointed_at(simulator))
        self.process = PopenSpawn(
            command, timeout=PATIENCE_S, env=environment, cwd=folder, encoding="utf-8", preexec_fn=_hear_interrupts
        )
        self.process.expect(_PROMPT)

    def start(self, *lines: str) -> None:
        """Type lines."""
        self.process.send("".join(f"{line}\n" for line in lines))

    def ended(self) -> str:
        """Wait for the next prompt, and return what was written before it."""
        self.process.expect(_PROMPT)
        return plain(str(self.process.before))

    def run(self, *lines: str) -> str:
        """Type lines, and return what is written."""
        self.start(*lines)
        return self.ended()

    def interrupt(self) -> None:
        self.process.kill(signal.SIGINT)

    def close(self) -> None:
        self.process.sendeof()
        self.process.wait()
        self.process.proc.stdout.close()


@pytest.fixture
def open_terminal(tmp_path: Path) -> Iterator[Callable[[Simulator], Terminal]]:
    """Start IPython with the extension loaded."""
    opened: list[Terminal] = []

    def start(simulator: Simulator) -> Terminal:
        opened.append(Terminal(tmp_path, simulator))
        assert opened[-1].run("%load_ext gradient_notebook").strip() == ""
        return opened[-1]

    yield start
    for terminal in opened:
        terminal.close()


def test_a_terminal_gets_plain_lines_and_the_image(
    open_terminal: Callable[[Simulator], Terminal], simulator: Simulator
) -> None:
    """Every form prints its progress in lines, assigns the whole image, and sends one request."""
    terminal = open_terminal(simulator)

    said = terminal.run("%imagegen image --size 1536x1024 -q low -- A red house")
    assert "image: 1536×1024 · low · png …" in said
    assert "image: partial 1 of 2" in said
    assert "PIL 1536×1024 png" in said
    assert "\r" not in said.replace("\r\n", "\n")
    assert terminal.run("print(image.size, len(image.tobytes()))").strip() == f"(1536, 1024) {1536 * 1024 * 3}"
    assert len(simulator.posts) == 1

    assert "PIL 1024×1024 png" in terminal.run("%%imagegen other -q low", "A blue house", "", "")
    assert terminal.run("print(other.size)").strip() == "(1024, 1024)"
    assert "PIL 1024×1024" in terminal.run("%time get_ipython().run_line_magic('imagegen', 'third -q low -- A house')")
    terminal.run("from gradient_notebook import generate, submit")
    terminal.run("fourth = generate('A house', quality='low')")
    terminal.run("fifth = await submit('A house', quality='low')")
    assert terminal.run("print(third.size, fourth.size, fifth.size)").strip() == " ".join(["(1024, 1024)"] * 3)
    assert len(simulator.posts) == 5
    assert "    A blue house" in terminal.run("%imagegen_history blue")
    terminal.run("from gradient_notebook import Panel")
    assert "A panel needs a notebook." in terminal.run("Panel('sixth')")


def test_a_sweep_in_a_terminal_is_told_in_lines(
    open_terminal: Callable[[Simulator], Terminal], simulator: Simulator
) -> None:
    """What it is about to make, and what came; nothing is written over where nobody sees it."""
    terminal = open_terminal(simulator)
    planned, came = terminal.run("%imagegen s --vary quality=low,high --size 1024x1024 -- A house").strip().splitlines()
    assert planned.startswith("s: 2 images to make · ")
    assert came.startswith("s · 2 of 2 done · ")
    assert len(simulator.posts) == 2


def test_a_mistake_in_a_terminal_is_short(open_terminal: Callable[[Simulator], Terminal], simulator: Simulator) -> None:
    """A wrong value gives two lines, a failure three."""
    terminal = open_terminal(simulator)

    said = terminal.run("%imagegen image --size big -- A house").strip()
    assert said.startswith("size='big': expected auto or WIDTHxHEIGHT")
    assert len(said.splitlines()) == 2
    assert simulator.posts == []

    simulator.script([{"status": 500, "body": {"message": "Out of paint."}}])
    said = terminal.run("%imagegen image -- A house")
    assert "Out of paint." in said
    assert "Traceback" not in said
    assert len(said.strip().splitlines()) <= 3


@pytest.mark.parametrize(
    "code",
    [
        "%imagegen image -- A red house",
        "import gradient_notebook; image = gradient_notebook.generate('A house')",
        "import gradient_notebook; image = gradient_notebook.submit('A house').result()",
    ],
)
def test_an_interrupt_in_a_terminal_hangs_up(
    open_terminal: Callable[[Simulator], Terminal], slow: Simulator, code: str
) -> None:
    """Ctrl-C ends every way to wait, hangs up, assigns nothing, and the next line runs; the magic tells it in a line."""
    terminal = open_terminal(slow)
    terminal.start(code)
    assert slow.wait_for(lambda: slow.posts != [])

    terminal.interrupt()
    said = terminal.ended()

    assert slow.wait_for(lambda: slow.disconnected == 1)
    assert ("KeyboardInterrupt: image was not assigned." in said) == code.startswith("%")
    assert "gradient_notebook/" not in said
    assert terminal.run("print('image' in globals())").strip() == "False"


def test_leaving_a_terminal_hangs_up(open_terminal: Callable[[Simulator], Terminal], slow: Simulator) -> None:
    """It says what it waits for; Ctrl-C ends that, and the process leaves no request behind."""
    terminal = open_terminal(slow)
    terminal.run("import gradient_notebook; job = gradient_notebook.submit('A house')")
    assert slow.wait_for(lambda: slow.posts != [])

    terminal.start("exit()")
    terminal.process.expect("waiting for 1 running job")
    terminal.process.expect("Ctrl-C ends the wait")
    terminal.interrupt()

    assert slow.wait_for(lambda: slow.disconnected == 1)
    assert terminal.process.wait() == 0
