"""The examples in the documentation of public names run as they stand, on the simulator."""

from __future__ import annotations

import doctest
from typing import Any

import pytest

import gradient_notebook as gn
from gradient_notebook.simulator import Simulator

EXAMPLES = [
    test
    for name in gn.__all__
    for test in doctest.DocTestFinder(exclude_empty=True).find(getattr(gn, name), name, module=False, globs={})
    if test.examples
]
WITH_EXAMPLE = {"generate", "submit", "Client", "AsyncClient", "Panel", "history", "configure", "Settings", "Job"}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_an_example_runs(example: Any, configured: Simulator, capsys: pytest.CaptureFixture[str]) -> None:
    """And shows what it says."""
    try:
        failed = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example, clear_globs=False).failed
    finally:
        gn.session.reset()
    assert not failed, capsys.readouterr().out


def test_what_people_begin_with_has_an_example() -> None:
    """The functions and classes that a user's first lines call."""
    assert {example.name.split(".")[0] for example in EXAMPLES} >= WITH_EXAMPLE
