"""A real JupyterLab and Jupyter Notebook with a real kernel, and a page of them in a real Chromium."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import nbformat
from chromium import found
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)

FrontEnd = Literal["lab", "notebook"]

_ADDRESS: dict[FrontEnd, str] = {"lab": "doc/tree", "notebook": "notebooks"}

# What matches once the kernel is there and has nothing to do. Notebook's circle says idle before there is a kernel, too.
_CONNECTED = ".jp-NotebookKernelStatus-fade:not(.jp-NotebookKernelStatus-info)"
_IDLE: dict[FrontEnd, str] = {
    "lab": "#jp-main-statusbar:has-text('| Idle')",
    "notebook": f"body:has({_CONNECTED}) .jp-Notebook-ExecutionIndicator[data-status='idle']",
}


class Lab:
    """A server of its own, of JupyterLab and Notebook: its own folder, settings and archive, and no key."""

    url: str

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self.root = folder / "notebooks"
        self.data = folder / "data"
        self._settings = folder / "settings" / "@jupyterlab" / "apputils-extension"
        for needed in (self.root, self.data, self._settings):
            needed.mkdir(parents=True)
        self.environment = _clean_environment(folder) | dict(environment or {})
        self.set_theme("JupyterLab Light")
        self._set("notification", {"fetchNews": "false", "checkForUpdates": False})

    def set_theme(self, name: str) -> None:
        """Choose the theme of pages opened from now on."""
        self._set("themes", {"theme": name})

    def _set(self, plugin: str, values: dict[str, Any]) -> None:
        (self._settings / f"{plugin}.jupyterlab-settings").write_text(json.dumps(values))

    @contextmanager
    def running(self) -> Iterator[Lab]:
        """Run the server while the context is open."""
        token = secrets.token_hex(16)
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--port=0"]
        command += [f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={self.root}"]
        server = subprocess.Popen(
            command, env=self.environment, cwd=self.root, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        try:
            self.url, self.token = _address(server), token
            yield self
        finally:
            server.terminate()
            try:
                server.wait(timeout=30)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
            assert server.stderr
            server.stderr.close()

    def write(self, name: str, sources: Sequence[str]) -> Path:
        """Write a notebook with these code cells."""
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, self.root / name)
        return self.root / name


def _clean_environment(folder: Path) -> dict[str, str]:
    unwanted = ("GRADIENT_", "MODEL_ACCESS", "JUPYTER", "XDG_")
    return {name: value for name, value in os.environ.items() if not name.startswith(unwanted)} | {
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "IPYTHONDIR": str(folder / "ipython"),
        "XDG_DATA_HOME": str(folder / "data"),
    }


def _address(server: subprocess.Popen[str]) -> str:
    """Read the server's own words until it says where it listens; then keep its pipe from filling up."""
    assert server.stderr
    heard = []
    for line in server.stderr:
        heard.append(line)
        if match := re.search(r"(http://(?:127\.0\.0\.1|localhost):\d+)/", line):
            threading.Thread(target=server.stderr.read, daemon=True).start()
            return match[1]
    raise AssertionError("JupyterLab did not start:\n" + "".join(heard))


@contextmanager
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=found(), args=_FLAGS)
        yield launched
        launched.close()


class NotebookPage:
    """A notebook in a page of JupyterLab or Notebook: its cells can be run and looked at."""

    def __init__(self, page: Page, lab: Lab, name: str, *, kernel: bool = True, front_end: FrontEnd = "lab") -> None:
        self.page = page
        self.name = name
        self.front_end = front_end
        page.goto(f"{lab.url}/{_ADDRESS[front_end]}/{name}?token={lab.token}")
        page.locator(".jp-Notebook .jp-Cell").first.wait_for()
        if kernel:
            self.idle()

    def cell(self, index: int) -> Locator:
        """Return cell `index`, from 0."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(index)

    def output(self, index: int) -> Locator:
        """Return the outputs of cell `index`."""
        return self.cell(index).locator(".jp-Cell-outputArea")

    def begin(self, index: int) -> None:
        """Run a cell, and do not wait for it."""
        self.cell(index).locator(".cm-content").click()
        self.page.keyboard.press("Control+Enter")

    def run(self, index: int, timeout_s: float = 60) -> None:
        """Run a cell to its end."""
        self.begin(index)
        self.ended(index, timeout_s)

    def ended(self, index: int, timeout_s: float = 60) -> None:
        """Wait until a cell has ended."""
        prompt = self.cell(index).locator(".jp-InputPrompt")
        expect(prompt).to_have_text(re.compile(r"\[\d+\]"), timeout=timeout_s * 1000)

    def idle(self) -> None:
        """Wait until the kernel is there and has nothing to do."""
        self.page.locator(_IDLE[self.front_end]).wait_for(state="attached", timeout=60_000)

    def save(self) -> None:
        """Save the notebook, and wait until it is on disk."""
        with self.page.expect_response(lambda r: r.request.method == "PUT" and "/api/contents/" in r.url):
            self.page.keyboard.press("Control+s")
