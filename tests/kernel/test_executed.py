"""`--no-wait` in a notebook that a program executes: the picture lands in its output, whichever it is, on each kernel."""

from __future__ import annotations

import importlib.util
import json
import re
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
from kernels import KERNELS, KERNELSPECS
from nbformat.v4 import new_code_cell, new_notebook

from gradient_notebook.simulator import Simulator

from .kernel import clean_environment, image_types, pointed_at

pytestmark = pytest.mark.kernel

CELLS = (
    "%load_ext gradient_notebook",
    "%%imagegen first --no-wait --quality low\nA red house",
    "print(first.result().size)",
    "%%imagegen last --no-wait --quality low\nA red house",
)
PROGRAMS = {
    "nbconvert": ["--to=notebook", "--execute", "--output=out.ipynb", "in.ipynb"],
    "papermill": ["in.ipynb", "out.ipynb"],
}
_VOILA_OUTPUT = r'<script type="application/vnd.voila.cell-output\+json">(.*?)</script>'
_NO_VOILA = pytest.mark.skipif(not importlib.util.find_spec("voila"), reason="Voilà is not installed")


def environment(folder: Path, simulator: Simulator) -> dict[str, str]:
    kernels = {"JUPYTER_PATH": KERNELSPECS} if KERNELSPECS else {}
    return clean_environment(folder, **pointed_at(simulator), **kernels)


def write(path: Path, kernel: str) -> None:
    """Write the notebook for a kernel."""
    notebook = new_notebook(cells=[new_code_cell(cell) for cell in CELLS])
    notebook.metadata["kernelspec"] = {"name": kernel, "display_name": kernel, "language": "python"}
    nbformat.write(notebook, path)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_what_was_not_waited_for_lands(
    tmp_path: Path, simulate: Callable[..., Simulator], program: str, kernel: str
) -> None:
    """The saved file has the picture and its line under each cell, the last one too."""
    if not importlib.util.find_spec(program):
        pytest.skip(f"{program} is not installed")
    write(tmp_path / "in.ipynb", kernel)
    command = [sys.executable, "-m", program, *PROGRAMS[program]]
    surroundings = environment(tmp_path, simulate(seconds_per_image=1))
    subprocess.run(command, cwd=tmp_path, env=surroundings, check=True, capture_output=True)

    _, first, printed, last = nbformat.read(tmp_path / "out.ipynb", 4).cells
    for cell in (first, last):
        image, line = cell.outputs
        assert image_types(image) == ["image/jpeg"]
        assert " · PIL 1024×1024 png" in line.data["text/plain"]
        assert "in the background" not in str(cell.outputs)
    assert printed.outputs[0].text == "(1024, 1024)\n"


@contextmanager
def voila(folder: Path, environment: dict[str, str]) -> Iterator[str]:
    """Run Voilà on the notebook; yield its address."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    command = [sys.executable, "-m", "voila", "in.ipynb", "--no-browser", f"--port={port}", "--Voila.ip=127.0.0.1"]
    server = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)
    assert server.stderr
    try:
        for line in server.stderr:
            if f":{port}/" in line:
                break
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.terminate()
        server.stderr.read()  # to its end: a pipe that is full would keep it from ending
        server.wait(timeout=30)
        server.stderr.close()


@_NO_VOILA
@pytest.mark.parametrize("kernel", KERNELS)
def test_what_was_not_waited_for_lands_in_voila(
    tmp_path: Path, simulate: Callable[..., Simulator], kernel: str
) -> None:
    """The page has both pictures and their lines."""
    write(tmp_path / "in.ipynb", kernel)
    simulator = simulate(seconds_per_image=1)
    with voila(tmp_path, environment(tmp_path, simulator)) as address:
        page = urllib.request.urlopen(address, timeout=120).read().decode()
    displayed = [json.loads(text) for text in re.findall(_VOILA_OUTPUT, page, re.DOTALL)]
    assert [image_types(output) for output in displayed] == [["image/jpeg"], [], ["image/jpeg"], []]
    assert all(" · PIL 1024×1024 png" in line["data"]["text/plain"] for line in displayed[1::2])
    assert "(1024, 1024)" in page
