"""papermill: its parameters are Python variables, inserted in options and in the prompt; jupytext runs a `.py` notebook."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from gradient_notebook.simulator import Simulator

from .conftest import write_notebook

PY_NOTEBOOK = """\
# %%
from gradient_notebook import generate, show, submit

# %%
otter = generate("an otter", size="1536x1024")
show(otter)

# %%
submit("a fox", size="1024x1024")
"""


def ran(*arguments: str, environment: dict[str, str], folder: Path) -> None:
    """Run `python -m ...` to its end."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments], env=environment, cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def pictures(path: Path) -> list[dict[str, object]]:
    """Return the images in a notebook, each as its output's data."""
    cells = nbformat.read(path, 4).cells
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    return [output.data for output in outputs if "image/jpeg" in output.get("data", {})]


def test_parameters_reach_options_and_prompt(service: Simulator, environment: dict[str, str], tmp_path: Path) -> None:
    """Also in the background: the image is in the notebook that papermill writes."""
    pytest.importorskip("papermill", reason="make compat has it")
    write_notebook(
        tmp_path / "in.ipynb",
        "quality, animal = 'high', 'fox'",
        "%load_ext gradient_notebook",
        "%%imagegen pic -q {{quality}}\na red {{animal}}",
        "%%imagegen bg --no-wait\na blue {{animal}}",
    )
    notebook = nbformat.read(tmp_path / "in.ipynb", 4)
    notebook.cells[0].metadata["tags"] = ["parameters"]
    nbformat.write(notebook, tmp_path / "in.ipynb")
    given = ("-p", "quality", "low", "-p", "animal", "owl")
    ran("papermill", "in.ipynb", "out.ipynb", *given, environment=environment, folder=tmp_path)
    bodies = [post.body for post in service.posts]
    assert [(body["prompt"], body.get("quality")) for body in bodies] == [("a red owl", "low"), ("a blue owl", None)]
    assert [data["text/plain"] for data in pictures(tmp_path / "out.ipynb")] == ["a red owl", "a blue owl"]


def test_a_py_notebook_uses_functions(service: Simulator, environment: dict[str, str], tmp_path: Path) -> None:
    """`# %%` begins a cell there, so that a cell magic has no place: `generate` and `submit` have."""
    pytest.importorskip("jupytext", reason="make compat has it")
    (tmp_path / "one.py").write_text(PY_NOTEBOOK)
    to = ("--to", "ipynb", "--set-kernel", "python3", "--execute", "one.py")
    ran("jupytext", *to, environment=environment, folder=tmp_path)
    assert len(pictures(tmp_path / "one.ipynb")) == 2
    assert len(service.posts) == 2
