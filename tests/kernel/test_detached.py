"""A sweep that was detached outlives its kernel, however that ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gradient_notebook import Sweep, configure
from gradient_notebook.simulator import Simulator

from .kernel import Kernel

pytestmark = pytest.mark.kernel


@pytest.mark.parametrize("now", [False, True])
@pytest.mark.compat
def test_a_detached_sweep_outlives_its_kernel(
    start_kernel: Callable[..., Kernel], simulate: Callable[..., Simulator], now: bool
) -> None:
    """Told to end, or killed: what it had begun is made to its end, and seen from elsewhere."""
    simulator = simulate(seconds_per_image=0.5)
    kernel = start_kernel(simulator)
    kernel.run("from gradient_notebook import sweep")
    kernel.run("study = sweep('hill {{i}}', i=range(9), quality='low', start=False).detach()")
    run = kernel.value("study.id")
    assert kernel.value("study.status") == "running"

    kernel.manager.shutdown_kernel(now=now)

    [archive] = (kernel.folder / "data").iterdir()
    configure(archive_dir=str(archive))
    study: Any = Sweep.attach(run)
    assert study.status == "running"
    assert study.result(timeout=60).outcomes == {"done": 9}
    assert len(simulator.posts) == 9
