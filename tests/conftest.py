"""What every test gets: an environment without keys, and folders of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gradient_notebook.simulator import Simulator
from gradient_notebook.simulator.noise import Noise

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No key, no endpoint, no proxy, no `.env`, and nothing written outside of the test's own folder."""
    for name in list(os.environ):
        if name.startswith(("GRADIENT_", "MODEL_ACCESS")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def cheap_pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulators make noise, unless the test is marked `painted`: it looks at what they paint."""
    if not request.node.get_closest_marker("painted"):
        monkeypatch.setattr(Simulator, "default_painter", Noise)


@pytest.fixture
def service() -> Iterator[Simulator]:
    """A simulator that paints as fast as it can."""
    with Simulator(seconds_per_image=0) as simulator:
        yield simulator


@pytest.fixture
def configured(service: Simulator, monkeypatch: pytest.MonkeyPatch) -> Simulator:
    """The simulator as the environment's endpoint, with a key."""
    monkeypatch.setenv("GRADIENT_INFERENCE_ENDPOINT", service.url)
    monkeypatch.setenv("GRADIENT_MODEL_ACCESS_KEY", "sk-do-for-tests-only")
    return service
