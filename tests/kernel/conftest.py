"""Real kernels, and simulators outside of them, which count what is sent and who hangs up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from gradient_notebook.simulator import Simulator
from gradient_notebook.simulator.painter.noise import Noise

from .kernel import Kernel, pointed_at

_LOAD = "%load_ext gradient_notebook"
# A kernel that a front end has answered once says no more what one may lack.
_SHOW = (
    "from gradient_notebook.notebook.widgets.live import LiveView; view = None if LiveView.was_answered else LiveView()"
)
_HIDE = "view and view.close(); del view, LiveView"
_RESET = """\
shell = get_ipython()
shell.extension_manager.unload_extension("gradient_notebook")
shell.autoawait = True
shell.config.pop("ImageGen", None)
shell.reset(new_session=False)
import os
os.environ["JPY_SESSION_NAME"] = os.urandom(6).hex()  # another notebook: a panel does not come back
"""


@pytest.fixture
def simulate() -> Iterator[Callable[..., Simulator]]:
    """Start a simulator: `simulate(seconds_per_image=0, faults=...)`."""
    with ExitStack() as stack:

        def start(seconds_per_image: float = 0, **more: Any) -> Simulator:
            return stack.enter_context(Simulator(seconds_per_image=seconds_per_image, **more))

        yield start


@pytest.fixture
def simulator(simulate: Callable[..., Simulator]) -> Simulator:
    """A simulator that is as fast as it can be."""
    return simulate()


@pytest.fixture
def slow(simulate: Callable[..., Simulator]) -> Simulator:
    """A simulator whose images take ten minutes: nobody waits for one to its end."""
    return simulate(seconds_per_image=600)


@pytest.fixture
def paint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """No picture is painted until the test says `paint(1)`: so many more, partial ones included."""
    allowed = threading.Semaphore(0)
    encoded = Noise.encoded

    def held(self: Noise, *how: Any, **more: Any) -> bytes:
        assert allowed.acquire(timeout=60)
        return encoded(self, *how, **more)

    monkeypatch.setattr(Noise, "encoded", held)  # of a simulator that has been started before, too
    yield allowed.release
    allowed.release(1_000)  # nobody waits for ever


@pytest.fixture
def start_kernel(tmp_path: Path) -> Iterator[Callable[..., Kernel]]:
    """Start a kernel for this test alone: `start_kernel(simulator)`, or without one, and so without a key."""
    started: list[Kernel] = []

    def start(simulator: Simulator | None = None) -> Kernel:
        environment = pointed_at(simulator) if simulator else {}
        started.append(Kernel(tmp_path / f"kernel-{len(started)}", environment))
        return started[-1]

    yield start
    for kernel in started:
        kernel.stop()


@pytest.fixture(scope="session")
def _kernels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Kernel]]:
    started: list[Kernel] = []
    yield started
    for kernel in started:
        kernel.stop()


@pytest.fixture
def kernel(_kernels: list[Kernel], simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """The kernel that the tests share, its variables and settings reset, the extension loaded, and a key set."""
    if not _kernels:
        _kernels.append(Kernel(tmp_path_factory.mktemp("kernel"), {}))
    kernel = _kernels[0]
    kernel.run(_RESET)
    kernel.use(simulator)
    assert kernel.run(_LOAD).outputs == []
    kernel.run(_SHOW)
    kernel.wait_for(lambda: kernel.value("LiveView.was_answered"))
    kernel.run(_HIDE)
    yield kernel
    if kernel.busy:  # a test has failed in the middle of a cell
        _kernels.remove(kernel)
        kernel.stop()
