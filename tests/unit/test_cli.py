"""The command: what it copies, what it opens, and what it says where it cannot."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from gradient_notebook import cli, generate
from gradient_notebook.simulator import Simulator

ROOT = Path(__file__).parents[2]
MAIN = "import sys; from gradient_notebook.cli import main; sys.exit(main())"
NOTEBOOK = "01-quickstart.ipynb"


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that were run, instead of running them."""
    commands: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", run)
    return commands


def test_the_demo_is_copied_and_opened(tmp_path: Path, opened: list[list[str]]) -> None:
    """With the Python that it was installed for."""
    assert cli.main(["demo"]) == 0
    assert (tmp_path / NOTEBOOK).read_bytes() == (ROOT / "notebooks" / NOTEBOOK).read_bytes()
    assert opened[0][:4] == [sys.executable, "-m", "jupyterlab", f"--LabApp.default_url=/lab/tree/{NOTEBOOK}"]


@pytest.mark.parametrize("display", ["", ":0"])
def test_no_browser_is_looked_for_without_a_display(
    display: str, opened: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be one of the terminal's, in the way of the address that is printed."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert cli.main(["demo"]) == 0
    assert ("--no-browser" in opened[0]) == (not display)


def test_what_somebody_has_worked_in_stays(
    tmp_path: Path, opened: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """It is opened as it is."""
    (tmp_path / NOTEBOOK).write_text("mine")
    assert cli.main(["demo"]) == 0
    assert (tmp_path / NOTEBOOK).read_text() == "mine"
    assert "stays as it is" in capsys.readouterr().out
    assert opened


def test_without_jupyterlab_the_line_that_installs_it_is_said(
    monkeypatch: pytest.MonkeyPatch, opened: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is opened."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert cli.main(["demo"]) == 0
    assert f"pip install jupyterlab && jupyter lab {NOTEBOOK}" in capsys.readouterr().out
    assert opened == []


def test_a_folder_that_cannot_be_written_is_named(
    monkeypatch: pytest.MonkeyPatch, opened: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line."""
    whole = Path.open

    def refusing(self: Path, mode: str = "r", *how: Any, **more: Any) -> Any:
        if mode == "xb":
            raise PermissionError(13, "Permission denied")
        return whole(self, mode, *how, **more)

    monkeypatch.setattr(Path, "open", refusing)
    assert cli.main(["demo"]) == 1
    assert "(Permission denied)" in capsys.readouterr().err
    assert opened == []


def test_another_notebook_goes_by_its_name(
    tmp_path: Path, opened: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """One that is not there is told with those that are."""
    assert cli.main(["demo", "history", "--no-open"]) == 0
    assert (tmp_path / "03-history.ipynb").exists()
    assert cli.main(["demo", "lecure"]) == 2
    assert "quickstart, panel, history," in capsys.readouterr().err
    assert opened == []


def test_a_wheel_has_all_notebooks() -> None:
    """Each by its name: the pictures beside them stay out."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    there = {f"notebooks/{path.name}" for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert included == {name: f"gradient_notebook/{name}" for name in there}


def test_the_map_has_all_notebooks() -> None:
    """In their order, each with a link, and none that is not there."""
    told = (ROOT / "notebooks" / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"^\| \[(.*?)\]\((.*?)\)", told, re.MULTILINE)
    there = sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))
    assert links == [(name.removesuffix(".ipynb"), name) for name in there]


def test_the_history_is_listed(configured: Simulator, capsys: pytest.CaptureFixture[str]) -> None:
    """With ids, outcomes and files; what makes no sense is one line."""
    image = generate("A red fox", quality="low")
    assert cli.main(["history", "fox"]) == 0
    printed = capsys.readouterr().out
    assert image.filename in printed
    assert "done" in printed
    assert "1 generation," in printed
    assert cli.main(["history", "--since", "someday"]) == 1
    assert "since='someday'" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["history"], ["runs"]])
def test_a_reader_that_has_gone_is_no_error(command: list[str]) -> None:
    """As `head` goes when it has seen enough."""
    reads, writes = os.pipe()
    os.close(reads)
    with os.fdopen(writes, "wb") as pipe:
        done = subprocess.run([sys.executable, "-c", MAIN, *command], stdout=pipe, stderr=subprocess.PIPE, check=False)
    assert done.stderr == b""


def test_the_simulator_runs_alone() -> None:
    """By its own options, under the command's name."""
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from gradient_notebook.cli import main; sys.exit(main(['simulator', '--help']))",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.startswith("usage: gradient-notebook simulator")
