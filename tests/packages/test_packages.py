"""The wheel alone in an empty environment, and an sdist from which the same wheel is made."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import nbformat
import pytest

import gradient_notebook

pytest.importorskip("hatchling", reason="tests/compat.py packages has it")

ROOT = Path(__file__).parents[2]
NAME = f"gradient_notebook-{gradient_notebook.__version__}"
QUICKSTART = "01-quickstart.ipynb"
BUILD = "import sys, hatchling.build as b; print(b.build_sdist(sys.argv[1])); print(b.build_wheel(sys.argv[1]))"
EXECUTES = ("nbclient", "ipykernel", "numpy")
"""What a notebook of the demo takes beside the package, where there is no JupyterLab."""
MOST_BYTES = 300_000
"""Of the notebooks in a wheel."""


def built(source: Path, folder: Path) -> tuple[Path, Path]:
    """Return the sdist and the wheel that are made of a checkout, or of an unpacked sdist."""
    subprocess.run([sys.executable, "-c", BUILD, str(folder)], cwd=source, check=True, stdout=subprocess.DEVNULL)
    return folder / f"{NAME}.tar.gz", folder / f"{NAME}-py3-none-any.whl"


@pytest.fixture(scope="module", name="packages")
def _packages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return built(ROOT, tmp_path_factory.mktemp("dist"))


def contents(wheel: Path) -> dict[str, bytes]:
    """Return the files of a wheel."""
    with zipfile.ZipFile(wheel) as whole:
        return {name: whole.read(name) for name in whole.namelist()}


def test_the_sdist_is_whole(packages: tuple[Path, Path], tmp_path: Path) -> None:
    """It has the tests, what the tests look at, and makes the same wheel."""
    sdist, wheel = packages
    with tarfile.open(sdist) as whole:
        whole.extractall(tmp_path, filter="data")
    unpacked = tmp_path / NAME
    if (ROOT / ".git").exists():
        listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
        there = [name for name in listed.splitlines() if (ROOT / name).exists()]
        assert [name for name in there if not (unpacked / name).exists()] == []
    assert contents(built(unpacked, tmp_path)[1]) == contents(wheel)


def test_the_wheel_is_small(packages: tuple[Path, Path]) -> None:
    """It has the notebooks and none of their pictures, and none of the tests."""
    files = contents(packages[1])
    notebooks = {name: data for name, data in files.items() if name.startswith("gradient_notebook/notebooks/")}
    assert [Path(name).suffix for name in notebooks] == [".ipynb"] * len(notebooks)
    assert 0 < sum(map(len, notebooks.values())) < MOST_BYTES
    assert {name.split("/")[0] for name in files} == {"gradient_notebook", f"{NAME}.dist-info"}


def test_the_quickstart_runs_in_an_empty_environment(packages: tuple[Path, Path], tmp_path: Path) -> None:
    """The command, its demo, and the demo's cells, of what the wheel brings and asks for."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV", "JUPYTER"))
    }
    environment = kept | {"GRADIENT_IMAGE_SECONDS_PER_IMAGE": "0"}
    inside = tmp_path / "empty" / ("Scripts" if os.name == "nt" else "bin")

    def run(command: str, *arguments: str) -> str:
        done = subprocess.run(
            [str(inside / command), *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "empty")], check=True, env=environment)
    install = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    run("python", *install, str(packages[1]))
    assert run("gradient-notebook", "--version") == f"gradient-notebook {gradient_notebook.__version__}\n"
    assert QUICKSTART in run("gradient-notebook", "demo", "--no-open")
    assert (tmp_path / QUICKSTART).read_bytes() == (ROOT / "notebooks" / QUICKSTART).read_bytes()
    run("python", *install, *EXECUTES)
    run("jupyter-execute", "--inplace", QUICKSTART)
    cells = [cell for cell in nbformat.read(tmp_path / QUICKSTART, 4).cells if cell.source.startswith("%%imagegen ")]
    shown = [any("image/jpeg" in output.get("data", ()) for output in cell.outputs) for cell in cells]
    assert shown == ["--dry-run" not in cell.source for cell in cells]
    assert "1 generation" in run("gradient-notebook", "history", "otter")
