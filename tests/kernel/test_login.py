"""`%imagegen_login` in a real kernel, whose front end types at the prompt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from gradient_notebook.simulator import Simulator

from .kernel import PATIENCE_S, Cell, Kernel

pytestmark = pytest.mark.kernel

KEY = "sk-do-typed-at-the-prompt"


class Listening:
    """A kernel without a key of its own, and every message that it sends."""

    def __init__(self, kernel: Kernel, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kernel = kernel
        self.messages: list[Mapping[str, Any]] = []
        heard = kernel._heard

        def hear(message: Mapping[str, Any]) -> None:
            self.messages.append(message)
            heard(message)

        monkeypatch.setattr(kernel, "_heard", hear)
        kernel.run(f"import os; os.environ['GRADIENT_INFERENCE_ENDPOINT'] = {simulator.url!r}")
        kernel.run("%load_ext gradient_notebook")

    def asked(self, code: str) -> tuple[Cell, Mapping[str, Any]]:
        """Run a cell until it asks; return the cell and the question."""
        cell = Cell(code)
        self.kernel.cells[self.kernel.client.execute(code, allow_stdin=True, stop_on_error=False)] = cell
        question = self.kernel.client.get_stdin_msg(timeout=PATIENCE_S)
        self.messages.append(question)
        return cell, question

    def answered(self, code: str, text: str) -> Cell:
        """Run a cell that asks, and type `text`."""
        cell, question = self.asked(code)
        assert question["header"]["msg_type"] == "input_request"
        assert question["content"]["password"] is True
        self.kernel.client.input(text)
        return self.kernel.wait(cell)

    def everything(self) -> str:
        """Return all that the kernel has sent or written."""
        files = [path for path in self.kernel.folder.rglob("*") if path.is_file()]
        assert files
        written = b"".join(path.read_bytes() for path in files)
        return f"{self.messages!r}{written!r}{sorted(map(str, files))}"


@pytest.fixture
def listening(start_kernel: Callable[..., Kernel], simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> Listening:
    return Listening(start_kernel(), simulator, monkeypatch)


def keys_used(simulator: Simulator) -> set[str]:
    return {post.headers["authorization"] for post in simulator.posts}


def test_what_is_typed_holds_for_all_faces_and_stands_nowhere(listening: Listening, simulator: Simulator) -> None:
    """The magics, `generate`, `submit` and the panel send it; no message, file or traceback has it."""
    kernel = listening.kernel
    cell = listening.answered("%imagegen_login", f"{KEY}\n")
    assert cell.printed.startswith("The key is kept in this kernel's memory only; it works: ")
    assert cell.printed.count("\n") == 1

    assert kernel.run("%%imagegen otter --quality low\nAn otter").status == "ok"
    assert kernel.run("import gradient_notebook as gn; gn.generate('A seal', quality='low')").status == "ok"
    assert kernel.run("job = gn.submit('A whale', quality='low'); job.result()").status == "ok"
    assert kernel.run("panel = gn.Panel(prompt='A crab', quality='low'); panel").status == "ok"
    kernel.run("panel.generate(); panel.job.result()")
    assert len(simulator.posts) == 4
    assert keys_used(simulator) == {f"Bearer {KEY}"}

    kernel.run("discover(), gn.Client(), gn.AsyncClient()")
    kernel.run("%config ImageGen.debug = True\n%xmode Verbose")
    simulator.script([{"status": 401, "body": {"id": "unauthorized", "message": f"No such key: {KEY}"}}] * 2)
    assert kernel.run("%%imagegen\nA house").status == "error"
    assert kernel.run("gn.generate('A house')").status == "error"
    assert KEY not in listening.everything()


def test_a_refresh_token_is_refused_with_the_reason(listening: Listening, simulator: Simulator) -> None:
    """Two lines say why; nothing is sent, kept or shown, with locals in the traceback neither."""
    cell = listening.answered("%imagegen_login", f"dor_v1_{KEY}")
    assert cell.error[0].startswith("The key from %imagegen_login has more than one key in it")
    assert len(cell.error) == 2
    listening.kernel.run("%config ImageGen.debug = True\n%xmode Verbose")
    assert len(listening.answered("%imagegen_login", f"dor_v1_{KEY}").error) > 20
    assert "There is no key for the endpoint" in listening.kernel.run("%imagegen_models").said
    assert KEY not in listening.everything()


def test_without_a_prompt_the_error_says_what_to_do_instead(listening: Listening) -> None:
    """Where a notebook is executed with nobody there, two lines name the environment's variable."""
    cell = listening.kernel.wait(listening.kernel.start("%imagegen_login", allow_stdin=False))
    assert cell.error == [
        "%imagegen_login cannot ask for the key here: hidden input is not possible.",
        "Set GRADIENT_MODEL_ACCESS_KEY in the environment instead.",
    ]


def test_an_interrupt_at_the_prompt_changes_nothing(listening: Listening, simulator: Simulator) -> None:
    """One line says so, and the key from before still holds."""
    listening.answered("%imagegen_login", KEY)
    cell, _ = listening.asked("%imagegen_login")
    listening.kernel.interrupt()
    listening.kernel.wait(cell)
    assert cell.error == ["KeyboardInterrupt: nothing has changed."]
    listening.kernel.run("%%imagegen --quality low\nAn otter")
    assert keys_used(simulator) == {f"Bearer {KEY}"}


def test_forgetting_leaves_the_endpoint_without_a_key(listening: Listening, simulator: Simulator) -> None:
    """After `--forget` nothing is sent."""
    listening.answered("%imagegen_login", KEY)
    assert listening.kernel.run("%imagegen_login --forget").said == "The key is forgotten; no key is set."
    assert "There is no key for the endpoint" in listening.kernel.run("%%imagegen\nAn otter").said
    assert simulator.posts == []
