"""What the first card needs is loaded between cells, by a thread that no cell waits for."""

from __future__ import annotations

import importlib
import sys
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
    preloader: Preloader, when_first_loads: Callable[[Callable[[], None]], None]
) -> None:
    """A cell that begins while a module loads lets that one end, and no other begin."""
    begun = preloader.cell_begins
    when_first_loads(begun)
    preloader.cell_ends()
    importlib.import_module(_MODULES[0])  # waits until the thread has it
    preloader.close()
    assert loaded() == [_MODULES[0]]


def test_the_next_pause_goes_on_with_it(
    preloader: Preloader, when_first_loads: Callable[[Callable[[], None]], None]
) -> None:
    """What a cell has held up is loaded after it, by the same thread."""
    when_first_loads(preloader.cell_begins)
    preloader.cell_ends()
    importlib.import_module(_MODULES[0])
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
