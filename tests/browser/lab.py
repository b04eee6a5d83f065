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
from kernels import KERNELSPECS
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

BOUND_MS = 60_000
"""How long any wait here may take before its test fails: it bounds a failure, and no test is about time."""

expect.set_options(timeout=BOUND_MS)

_ADDRESS: dict[FrontEnd, str] = {"lab": "doc/tree", "notebook": "notebooks"}

_NO_BUILD = {"buildCheck": False, "buildAvailable": False}  # each page would have Node started

# The front end's own application, by which tests put other cells into a page that they share.
_EXPOSED = ("--LabApp.expose_app_in_browser=True", "--JupyterNotebookApp.expose_app_in_browser=True")

_REPLACE_CELLS = """(sources) => {
  const { content } = jupyterapp.shell.currentWidget;
  const notebook = content.model.sharedModel;
  const count = notebook.cells.length;
  notebook.transact(() => {  // in one: a notebook that is empty gets a cell of its own
    notebook.insertCells(0, sources.map((source) => ({ cell_type: "code", source, metadata: {} })));
    notebook.deleteCellRange(sources.length, sources.length + count);
  });
}"""

_ARE_SHOWN = """(count) => {
  const cells = jupyterapp.shell.currentWidget.content.widgets.map((cell) => cell.node);
  const shown = [...document.querySelectorAll(".jp-Notebook .jp-Cell")];
  return shown.length === count && shown.every((cell, index) => cell === cells[index]);
}"""

# The front end lays itself out on the window's resize event: that comes in the frame after the one in which
# `innerWidth` is the new one, and in between everything stands over the edge.
_EXPECT_RESIZE = """([width, height]) => {
  const isThere = () => innerWidth === width && innerHeight === height;
  window.resized = isThere() ? Promise.resolve() : new Promise((done) => {
    const resize = () => {
      if (!isThere()) return;
      removeEventListener("resize", resize);
      requestAnimationFrame(() => setTimeout(done));
    };
    addEventListener("resize", resize);
  });
}"""

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
        self._page_config = folder / "config" / "labconfig" / "page_config.json"
        for needed in (self.root, self.data, self._settings, self._page_config.parent):
            needed.mkdir(parents=True)
        self.leave_out()
        self.environment = _clean_environment(folder) | dict(environment or {})
        self.set_theme("JupyterLab Light")
        self.set("notification", {"fetchNews": "false", "checkForUpdates": False})

    def set_theme(self, name: str) -> None:
        """Choose the theme of pages opened from now on."""
        self.set("themes", {"theme": name})

    def set(self, plugin: str, values: dict[str, Any]) -> None:
        """Set what pages opened from now on have as their settings."""
        (self._settings / f"{plugin}.jupyterlab-settings").write_text(json.dumps(values))

    @contextmanager
    def running(self) -> Iterator[Lab]:
        """Run the server while the context is open."""
        token = secrets.token_hex(16)
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--port=0", *_EXPOSED]
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

    def leave_out(self, *extensions: str) -> None:
        """Let pages opened from now on lack these extensions, as if the server's environment did."""
        self._page_config.write_text(json.dumps(_NO_BUILD | {"disabledExtensions": dict.fromkeys(extensions, True)}))

    def write(self, name: str, sources: Sequence[str], kernel: str = "python3") -> Path:
        """Write a notebook with these code cells, for a kernel."""
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
        notebook.metadata["kernelspec"] = {"name": kernel, "display_name": kernel, "language": "python"}
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
        **({"JUPYTER_PATH": KERNELSPECS} if KERNELSPECS else {}),
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
        page.set_default_timeout(BOUND_MS)
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

    def run(self, index: int) -> None:
        """Run a cell to its end."""
        self.begin(index)
        self.ended(index)

    def ended(self, index: int) -> None:
        """Wait until a cell has ended."""
        expect(self.cell(index).locator(".jp-InputPrompt")).to_have_text(re.compile(r"\[\d+\]"))

    def is_running(self, index: int) -> bool:
        """Whether a cell still runs."""
        return self.cell(index).locator(".jp-InputPrompt").inner_text() == "[*]:"

    def idle(self) -> None:
        """Wait until the kernel is there and has nothing to do."""
        self.page.locator(_IDLE[self.front_end]).wait_for(state="attached")

    def set_cells(self, sources: Sequence[str]) -> None:
        """Put these code cells in the place of those that there are."""
        self.page.evaluate(_REPLACE_CELLS, list(sources))
        self.page.wait_for_function(_ARE_SHOWN, arg=len(sources))

    def set_theme(self, theme: str) -> None:
        """Change the theme, as the Settings menu does."""
        name = f"JupyterLab {theme}"
        self.page.evaluate("theme => void jupyterapp.commands.execute('apputils:change-theme', { theme })", name)
        self.page.locator(f"body[data-jp-theme-name='{name}']").wait_for(state="attached")

    def set_width(self, width: int) -> None:
        """Make the window so wide, and wait until the front end has laid itself out in it."""
        size = self.page.viewport_size
        assert size
        self.set_size(width, size["height"])

    def set_size(self, width: int, height: int) -> None:
        """Make the window so large, and wait until the front end has laid itself out in it."""
        self.page.evaluate(_EXPECT_RESIZE, [width, height])
        self.page.set_viewport_size({"width": width, "height": height})
        self.page.evaluate("resized")

    def save(self) -> None:
        """Save the notebook, and wait until it is on disk."""
        with self.page.expect_response(lambda r: r.request.method == "PUT" and "/api/contents/" in r.url):
            self.page.keyboard.press("Control+s")
