"""Restart and run all: with --reuse a notebook shows what it has made, and sends nothing."""

from __future__ import annotations

from collections.abc import Callable

from gradient_notebook.simulator import Simulator

from .kernel import Cell, Kernel

_LOAD = "%load_ext gradient_notebook"
_CELLS = ("%%imagegen one --reuse\nhills", "%%imagegen two --reuse --n 2\nhills", "%imagegen three --reuse -- sea")
_HINT = "with --reuse it is shown again"


def _run_all(kernel: Kernel) -> list[Cell]:
    kernel.run(_LOAD)
    return [kernel.run(code) for code in _CELLS]


def test_restart_and_run_all_costs_nothing(start_kernel: Callable[..., Kernel], simulator: Simulator) -> None:
    """The same images, in the same variables, and a line that says that they were not billed."""
    kernel = start_kernel(simulator)
    first, sent = _run_all(kernel), len(simulator.posts)
    named = kernel.value("[i.filename for i in (one, *two, three)]")
    assert not any("reused" in cell.said for cell in first)
    kernel.restart()
    again = _run_all(kernel)
    assert (len(simulator.posts), kernel.value("[i.filename for i in (one, *two, three)]")) == (sent, named)
    assert all("reused, not billed" in cell.said and len(cell.images) == 1 for cell in again)


def test_a_cell_that_is_run_again_asks_for_the_same(kernel: Kernel, simulator: Simulator) -> None:
    """By its id, which the front end sends; another cell with the same words asks for another image."""
    code = "get_ipython().kernel.get_parent()['metadata']['cellId']\n%imagegen x --reuse -- hills\nx.filename"

    def run(cell_id: str) -> str:
        message = kernel.client.session.msg("execute_request", {"code": code, "silent": False, "store_history": True})
        message["metadata"]["cellId"] = cell_id
        cell = kernel.cells[message["header"]["msg_id"]] = Cell(code)
        kernel.client.shell_channel.send(message)
        kernel.wait(cell)
        return str(cell.of("execute_result")[-1]["data"]["text/plain"])

    first, other = run("a"), run("b")
    assert (first != other, run("a"), run("b"), len(simulator.posts)) == (True, first, other, 2)


def test_that_it_exists_is_said_once_a_session(kernel: Kernel) -> None:
    """Where a cell asks for what it has asked for before; it is paid for all the same."""
    cells = [kernel.run("%imagegen -- a hill that nobody else asks for") for _ in range(3)]
    assert [_HINT in cell.said for cell in cells] == [False, True, False]
