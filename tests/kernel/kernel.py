"""A real ipykernel, and what a front end would show of it."""

from __future__ import annotations

import ast
import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import zmq
from jupyter_client.manager import KernelManager

import gradient_notebook
from gradient_notebook.simulator import Simulator

PATIENCE_S = 30
"""Nothing here takes as long; what does has failed."""

VIEW = "application/vnd.jupyter.widget-view+json"
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_OUTPUTS = ("stream", "display_data", "execute_result", "error", "clear_output")


def clean_environment(folder: Path, **more: str) -> dict[str, str]:
    """Return an environment with no key, in which everything that is kept goes below `folder`."""
    unwanted = ("GRADIENT_", "MODEL_ACCESS", "JUPYTER", "IPYTHON", "XDG_", "PYTHONWARNINGS")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
    return kept | {
        "HOME": str(folder),
        "XDG_DATA_HOME": str(folder / "data"),
        "IPYTHONDIR": str(folder / "ipython"),
        "PYTHONPATH": str(Path(gradient_notebook.__file__).parents[1]),
        **more,
    }


def pointed_at(simulator: Simulator) -> dict[str, str]:
    """Return the variables of the environment that lead to `simulator`."""
    return {
        "GRADIENT_INFERENCE_ENDPOINT": simulator.url,
        "GRADIENT_MODEL_ACCESS_KEY": "sk-do-tested",
        "GRADIENT_IMAGE_MODEL": "openai-gpt-image-2",  # of whose end nothing is to be said
    }


def plain(text: str) -> str:
    """Return `text` without colors."""
    return _ANSI.sub("", text)


class Cell:
    """A cell that runs or has run. `outputs` is what stands under it by now, as a notebook would save it."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.outputs: list[dict[str, Any]] = []
        self.idle = False
        self.reply: dict[str, Any] | None = None

    def __repr__(self) -> str:
        return f"<Cell {self.code!r}: {self.status}, {self.said!r}>"

    @property
    def ended(self) -> bool:
        return self.idle and self.reply is not None

    @property
    def status(self) -> str:
        return "running" if self.reply is None else self.reply["status"]

    def heard(self, kind: str, content: Mapping[str, Any]) -> dict[str, Any]:
        """Take one output, and return it as it is kept."""
        last = self.outputs[-1] if self.outputs else {}
        if kind == "stream" and last.get("name") == content["name"]:
            last["text"] += content["text"]
            return last
        self.outputs.append({"output_type": kind, **content})
        return self.outputs[-1]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return the outputs of one kind."""
        return [output for output in self.outputs if output["output_type"] == kind]

    @property
    def views(self) -> list[str]:
        """The widgets that are shown, by the ids of their models."""
        return [output["data"][VIEW]["model_id"] for output in self.of("display_data") if VIEW in output["data"]]

    @property
    def images(self) -> list[dict[str, Any]]:
        """The outputs that are ordinary images."""
        return [output for output in self.of("display_data") if image_types(output)]

    @property
    def texts(self) -> list[str]:
        """The plain text of what is displayed and is no image: captions and boxes."""
        shown = [output for output in self.of("display_data") if not image_types(output)]
        return [output["data"]["text/plain"] for output in shown]

    @property
    def printed(self) -> str:
        """All that was printed."""
        return "".join(output["text"] for output in self.of("stream"))

    @property
    def error(self) -> list[str]:
        """The lines under the cell that say how it failed."""
        tracebacks = ["\n".join(output["traceback"]) for output in self.of("error")]
        return [line for text in tracebacks for line in plain(text).splitlines()]

    @property
    def said(self) -> str:
        """Everything that is to be read under the cell, images excepted."""
        return "\n".join([self.printed, *self.texts, *self.error]).strip("\n")


def image_types(output: Mapping[str, Any]) -> list[str]:
    """Return the types of image that an output has."""
    return [name for name in output.get("data", ()) if name.startswith("image/")]


class Comm:
    """A widget's model: its state by now, the states that it had, and the pictures that it was sent."""

    def __init__(self, state: dict[str, Any]) -> None:
        self.state = state
        self.history = [dict(state)]
        self.pictures: dict[str, bytes] = {}
        self.closed = False

    def update(self, change: dict[str, Any]) -> None:
        self.state.update(change)
        self.history.append(dict(self.state))


class Kernel:
    """A kernel of its own: its own folder and archive, and no key."""

    shows_widgets = True
    """Whether it answers a widget of ours as a browser does that shows it."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.cells: dict[str, Cell] = {}
        self.comms: dict[str, Comm] = {}
        self.replies: dict[str, dict[str, Any]] = {}
        self._displays: dict[str, list[dict[str, Any]]] = {}
        self.manager = KernelManager(connection_file=str(folder / "kernel.json"))
        self.manager.kernel_spec.argv[0] = sys.executable
        self.manager.start_kernel(env=clean_environment(folder, **environment), cwd=str(folder))
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    @property
    def originals(self) -> list[Path]:
        """The files that the archive has kept."""
        return sorted((self.folder / "data").rglob("originals/*"))

    @property
    def busy(self) -> bool:
        """Whether a cell runs."""
        return not all(cell.ended for cell in self.cells.values())

    def stop(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.context.destroy(linger=0)  # older managers leave it to the garbage collector

    def restart(self) -> None:
        self.manager.restart_kernel(now=True)
        self.client.wait_for_ready(timeout=60)

    def interrupt(self) -> None:
        self.manager.interrupt_kernel()

    def start(self, code: str, **options: Any) -> Cell:
        """Run a cell, and do not wait for it. A person is there, unless `allow_stdin` is False."""
        cell = Cell(code)
        options = {"allow_stdin": True, "stop_on_error": False, **options}
        self.cells[self.client.execute(code, **options)] = cell
        return cell

    def run(self, code: str) -> Cell:
        """Run a cell to its end."""
        return self.wait(self.start(code))

    def wait(self, cell: Cell, timeout_s: float = PATIENCE_S) -> Cell:
        """Wait until a cell has ended."""
        self.wait_for(lambda: cell.ended, timeout_s)
        return cell

    def value(self, expression: str) -> Any:
        """Return the value of an expression, which must have a literal for its repr."""
        cell = self.wait(self.start("", silent=True, user_expressions={"value": expression}))
        assert cell.reply
        found = cell.reply["user_expressions"]["value"]
        assert found["status"] == "ok", found
        return ast.literal_eval(found["data"]["text/plain"])

    def use(self, simulator: Simulator) -> None:
        """Send the requests from now on to `simulator`."""
        cell = self.run(f"import os; os.environ.update({pointed_at(simulator)})")
        assert cell.status == "ok", cell

    def completions(self, code: str, position: int | None = None) -> list[str]:
        """Return what Tab offers at `position`, or at the end."""
        message_id = self.client.complete(code, len(code) if position is None else position)
        self.wait_for(lambda: message_id in self.replies)
        return list(self.replies[message_id]["matches"])

    def send(self, model_id: str, content: Mapping[str, Any]) -> None:
        """Send a widget's custom message, as a click does."""
        data = {"method": "custom", "content": dict(content)}
        message = self.client.session.msg("comm_msg", {"comm_id": model_id, "data": data})
        self.client.shell_channel.send(message)

    def wait_for(self, condition: Callable[[], Any], timeout_s: float = PATIENCE_S) -> None:
        """Listen to the kernel until `condition()` holds."""
        ends = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < ends, f"waited in vain; the last cell is {list(self.cells.values())[-1:]}"
            assert self.manager.is_alive(), "the kernel has died"
            self._listen(0.05)

    def hear_the_rest(self) -> None:
        """Take what a kernel that has ended said before."""
        while self.client.iopub_channel.msg_ready():
            self._heard(self.client.iopub_channel.get_msg(timeout=0))

    def _listen(self, timeout_s: float) -> None:
        channels = [self.client.shell_channel, self.client.iopub_channel]
        ready, _, _ = zmq.select([channel.socket for channel in channels], [], [], timeout_s)
        for channel in channels:
            if channel.socket in ready:
                self._heard(channel.get_msg(timeout=0))

    def _heard(self, message: Mapping[str, Any]) -> None:
        kind, content = message["header"]["msg_type"], message["content"]
        parent = message["parent_header"].get("msg_id", "")
        cell = self.cells.get(parent)
        if kind.endswith("_reply"):
            self.replies[parent] = content
            if cell:
                cell.reply = content
        elif kind == "update_display_data":
            for output in self._displays.get(content["transient"]["display_id"], ()):
                output.update(data=content["data"], metadata=content["metadata"])
        elif kind.startswith("comm_"):
            self._heard_of_comm(kind, content, message["buffers"])
        elif kind == "status" and cell:
            cell.idle = content["execution_state"] == "idle"
        elif kind in _OUTPUTS and cell:
            output = cell.heard(kind, content)
            if display_id := output.get("transient", {}).get("display_id"):
                self._displays.setdefault(display_id, []).append(output)

    def _heard_of_comm(self, kind: str, content: Mapping[str, Any], buffers: list[Any]) -> None:
        data = content["data"]
        for path, buffer in zip(data.get("buffer_paths", ()), buffers, strict=False):
            *way, last = path
            place = data["state"]
            for step in way:
                place = place[step]
            place[last] = bytes(buffer)
        if kind == "comm_open":
            self.comms[content["comm_id"]] = Comm(data.get("state", {}))
            if self.shows_widgets and "_esm" in data.get("state", {}):
                self.send(content["comm_id"], {"type": "hello", "id": "hello"})
        elif kind == "comm_close":
            self.comms[content["comm_id"]].closed = True
        elif data.get("method") == "update":
            self.comms[content["comm_id"]].update(data["state"])
        elif data.get("content", {}).get("type") == "picture":
            self.comms[content["comm_id"]].pictures[data["content"]["key"]] = bytes(buffers[0])
