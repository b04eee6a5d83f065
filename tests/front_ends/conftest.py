"""A server of a front end, with an archive of its own, pointed at a simulator, and a page in a real Chromium."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import nbformat
import pytest
from lab import BOUND_MS, browser
from playwright.sync_api import Browser, Page

from gradient_notebook.simulator import Simulator

Server = Callable[..., str]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.front_end)


# Not for the session: see tests/browser/conftest.py.
@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    with browser() as launched:
        yield launched


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    page = chromium.new_page(viewport={"width": 1100, "height": 2400}, reduced_motion="reduce")
    page.set_default_timeout(BOUND_MS)
    yield page
    page.close()


@pytest.fixture
def environment(service: Simulator, tmp_path: Path) -> dict[str, str]:
    """What a server's process gets."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("JUPYTER")}
    return mine | {
        "GRADIENT_INFERENCE_ENDPOINT": service.url,
        "GRADIENT_MODEL_ACCESS_KEY": "sk-do-for-tests-only",
        "GRADIENT_IMAGE_MODEL": "openai-gpt-image-2",
        "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
    }


@pytest.fixture
def served(environment: dict[str, str], tmp_path: Path) -> Iterator[Server]:
    """Start `python -m ...`; `{port}` in it is a free port. Return the server's address."""
    with ExitStack() as stack:

        def start(*arguments: str) -> str:
            port = _free_port()
            command = [sys.executable, "-m", *(argument.replace("{port}", str(port)) for argument in arguments)]
            log = stack.enter_context((tmp_path / "server.log").open("w+"))
            process = subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=log, stderr=log)
            stack.callback(_end, process)
            deadline = time.monotonic() + BOUND_MS / 1000
            while not _answers(port):
                log.seek(0)
                assert process.poll() is None, log.read()
                assert time.monotonic() < deadline, log.read()
            return f"http://127.0.0.1:{port}"

        yield start


def _free_port() -> int:
    # Given up before the server takes it: these servers take no socket that is open, and do not all say which they took.
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=0.2).close()
    except OSError:
        time.sleep(0.05)
        return False
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def write_notebook(path: Path, *sources: str) -> None:
    """Write a Jupyter notebook of these code cells."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, path)
