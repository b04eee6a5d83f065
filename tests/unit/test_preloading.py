"""What the first card needs is loaded between cells, by a thread that no cell waits for."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from gradient_notebook.notebook import preloading
from gradient_notebook.notebook.preloading import STEPS, Preloader

_MODULES = ("preloaded_first", "preloaded_second")
_NOTE = "import sys; sys.modules['preloading_test'].note()"


@pytest.fixture
def preloader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Preloader]:
    """One that loads two modules of this test; the first may say something on its way."""
    for name in _MODULES:
        (tmp_path / f"{name}.py").write_text(_NOTE if name == _MODULES[0] else "")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(preloading, "STEPS", _MODULES)
    preloader = Preloader()
    yield preloader
    preloader.close()
    for name in _MODULES:
        sys.modules.pop(name, None)


@pytest.fixture
def when_first_loads(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    def set_note(note: Callable[[], None]) -> None:
        monkeypatch.setitem(sys.modules, "preloading_test", SimpleNamespace(note=note))  # type: ignore[arg-type]

    return set_note


def loaded() -> list[str]:
    return [name for name in _MODULES if name in sys.modules]


def joined(preloader: Preloader) -> None:
    assert preloader._thread
    preloader._thread.join(timeout=60)
    assert not preloader._thread.is_alive()


def test_all_is_loaded_between_cells(
    preloader: Preloader, when_first_loads: Callable[[Callable[[], None]], None]
) -> None:
    """Once the cell is over its thread loads each module, and ends."""
    when_first_loads(lambda: None)
    preloader.cell_ends()
    joined(preloader)
    assert loaded() == [*_MODULES]


def test_nothing_is_loaded_while_a_cell_runs(
    preloader: Preloader,
    when_first_loads: Callable[[Callable[[], None]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A cell that begins while a module loads lets that one end, and holds up the next until it is over."""
    held, wait = threading.Event(), preloader._changed.wait

    def wait_noted(timeout: float | None = None) -> bool:
        if timeout is None:
            held.set()
        return wait(timeout)

    monkeypatch.setattr(preloader._changed, "wait", wait_noted)
    when_first_loads(preloader.cell_begins)
    preloader.cell_ends()
    assert held.wait(10)
    assert loaded() == [_MODULES[0]]
    preloader.cell_ends()
    joined(preloader)
    assert loaded() == [*_MODULES]


def test_what_cannot_be_loaded_is_passed_over(
    preloader: Preloader, when_first_loads: Callable[[Callable[[], None]], None]
) -> None:
    """The cell that needs it says what is wrong with it."""

    def fails() -> None:
        raise RuntimeError("broken")

    when_first_loads(fails)
    preloader.cell_ends()
    joined(preloader)
    assert loaded() == [_MODULES[1]]


def test_each_step_is_a_module_of_ours() -> None:
    """Each can be loaded, and what the libraries are called stays with their importers."""
    for step in STEPS:
        assert importlib.import_module(step, preloading.__package__).__name__.startswith("gradient_notebook.")
