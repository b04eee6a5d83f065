"""What every test gets: an environment without keys, and folders of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from gradient_notebook.api import advice, rate_limit
from gradient_notebook.api.models import DEFAULT_MODEL
from gradient_notebook.jobs import spending
from gradient_notebook.jobs.numbering import numbers
from gradient_notebook.session import session
from gradient_notebook.simulator import Simulator
from gradient_notebook.simulator.painter.noise import Noise

# A busy machine makes no test fail: neither has a deadline. `quick` is a fifth of `full`, see `unit/examples.py`.
settings.register_profile(
    "full", max_examples=100, derandomize=False, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("quick", settings.get_profile("full"), max_examples=20)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No key, no endpoint, no proxy, no `.env`, and nothing written outside of the test's own folder.

    Nor is known of rate limits and models what an earlier test has learned: a port may have been that of its simulator.
    """
    monkeypatch.setattr(rate_limit, "_rate_limits", {})
    monkeypatch.setattr(advice, "_heard", {})
    for name in list(os.environ):
        if name.startswith(("GRADIENT_", "MODEL_ACCESS")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def fresh_session(clean_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The session is that of a new process, whatever an earlier test has set; it has said that the default model ends.

    And it has spent nothing.
    """
    monkeypatch.setattr(spending, "of_process", spending.ProcessSpending())
    session.reset()
    numbers.__init__()  # type: ignore[misc]
    session.is_first(advice.retirement_note(DEFAULT_MODEL))


@pytest.fixture(autouse=True)
def cheap_pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulators make noise, unless the test is marked `painted`: it looks at what they paint."""
    if not request.node.get_closest_marker("painted"):
        monkeypatch.setattr(Simulator, "default_painter", Noise)


@pytest.fixture
def held() -> Iterator[socket.socket]:
    """A socket on a port where nobody listens: bound, and so nobody else's, and not listening until a test says so."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held


@pytest.fixture(autouse=True)
def own_loops() -> Iterator[None]:
    """`asyncio.run` is Python's in every test: what lets waits nest puts one in its place that closes no loop."""
    run = asyncio.run
    yield
    if asyncio.run is not run:
        asyncio.run = run
        with contextlib.suppress(RuntimeError), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # there may be no loop to close
            asyncio.get_event_loop_policy().get_event_loop().close()
            asyncio.set_event_loop(None)


@pytest.fixture
def service() -> Iterator[Simulator]:
    """A simulator that answers as fast as it can."""
    with Simulator(seconds_per_image=0) as simulator:
        yield simulator


@pytest.fixture
def configured(service: Simulator, monkeypatch: pytest.MonkeyPatch) -> Simulator:
    """The simulator as the environment's endpoint, with a key."""
    monkeypatch.setenv("GRADIENT_INFERENCE_ENDPOINT", service.url)
    monkeypatch.setenv("GRADIENT_MODEL_ACCESS_KEY", "sk-do-for-tests-only")
    return service
