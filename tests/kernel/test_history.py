"""What outlives a kernel: its restart, its death in mid-stream, its shutdown; and what no kernel leaves behind, its key."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from gradient_notebook.simulator import Simulator

from .kernel import Kernel, clean_environment, pointed_at

pytestmark = pytest.mark.kernel

_LOAD = "%load_ext gradient_notebook"
_IN_HISTORY = "__import__('gradient_notebook').history()"
_STREAMED = "--quality low --partial-images 1"
KEY = "sk-do-tested"


def begun(kernel: Kernel, simulator: Simulator) -> None:
    """Start a cell whose image comes in ten minutes, and wait until the service has its request."""
    kernel.run(_LOAD)
    kernel.start(f"%%imagegen {_STREAMED}\nA red house")
    assert simulator.wait_for(lambda: len(simulator.posts) == 1)


@pytest.mark.compat
def test_a_restarted_kernel_has_what_the_one_before_it_has_made(
    start_kernel: Callable[..., Kernel], simulator: Simulator
) -> None:
    """The image, its settings and its code are there; the magic shows it."""
    kernel = start_kernel(simulator)
    kernel.run(_LOAD)
    kernel.run("%%imagegen otter --quality low --size 1536x1024\nA sea otter")
    tokens = kernel.value("otter.tobytes().hex()[:64]")

    kernel.restart()
    kernel.run(_LOAD)

    shown = kernel.run("%imagegen_history sea")
    assert "A sea otter" in shown.said
    assert "1536×1024 · low · png" in shown.said
    assert kernel.value(f"{_IN_HISTORY}[0].image.tobytes().hex()[:64]") == tokens
    assert kernel.value(f"{_IN_HISTORY}[0].as_cell('otter')").startswith("%%imagegen otter --model ")
    assert "none that match" in kernel.run("%imagegen_history submarine").said


@pytest.mark.compat
def test_a_history_as_a_cells_value_is_shown_with_pictures(kernel: Kernel) -> None:
    """A widget, and behind it small pictures in a page, with lines of text; no image output besides."""
    kernel.run(f"%%imagegen {_STREAMED}\nA red house")

    cell = kernel.run("from gradient_notebook import history\nhistory()[:1]")

    _, output, below = cell.of("display_data")
    assert len(cell.views) == 1
    assert "gradient-record" in below["data"]["text/html"]
    assert set(output["data"]) == {"text/html", "text/plain"}
    assert "data:image/jpeg;base64," in output["data"]["text/html"]
    assert len(output["data"]["text/html"]) < 60_000
    assert "A red house" in output["data"]["text/plain"]


def test_a_mistake_in_the_magic_is_told_in_two_lines(kernel: Kernel) -> None:
    """No traceback: what, what is allowed, what to do."""
    cell = kernel.run("%imagegen_history --outcome lost")
    assert cell.error[0].startswith("outcome='lost': expected one of done, refused, failed")
    assert len(cell.error) <= 2


def test_a_kernel_killed_in_mid_stream_leaves_a_readable_history(
    start_kernel: Callable[..., Kernel], simulate: Callable[..., Simulator]
) -> None:
    """SIGKILL: a later kernel says that its end is unknown, and asks for it again as it was."""
    slow = simulate(seconds_per_image=600)
    kernel = start_kernel(slow)
    begun(kernel, slow)

    os.kill(kernel.manager.provisioner.pid, signal.SIGKILL)
    kernel.restart()
    kernel.run(_LOAD)

    assert kernel.value(f"{_IN_HISTORY}[0].outcome") == "unknown"
    assert "unknown" in kernel.run("%imagegen_history").said
    assert kernel.value(f"{_IN_HISTORY}[0].params.prompt") == "A red house"


def test_a_kernel_that_shuts_down_says_how_its_requests_ended(
    start_kernel: Callable[..., Kernel], simulate: Callable[..., Simulator]
) -> None:
    """An orderly end (Restart Kernel) hangs up, and the ledger says cancelled."""
    slow = simulate(seconds_per_image=600)
    kernel = start_kernel(slow)
    begun(kernel, slow)

    kernel.manager.shutdown_kernel(now=False, restart=True)
    assert slow.wait_for(lambda: slow.disconnected == 1)
    kernel.manager.start_kernel(**kernel.manager._launch_args)
    kernel.client.wait_for_ready(timeout=60)

    assert kernel.value(f"{_IN_HISTORY}[0].outcome") == "cancelled"


def test_two_kernels_write_one_ledger(
    start_kernel: Callable[..., Kernel], simulator: Simulator, tmp_path: Path
) -> None:
    """Both see what both have made."""
    kernels = [start_kernel(simulator), start_kernel(simulator)]
    for number, kernel in enumerate(kernels):
        kernel.run(_LOAD)
        kernel.run(f"%config ImageGen.archive_dir = '{tmp_path}/shared'")
        kernel.start(f"%%imagegen --quality low -n 2 -p 1\nHouse {number}")
    for kernel in kernels:
        kernel.wait_for(lambda kernel=kernel: not kernel.busy)
    for kernel in kernels:
        assert sorted(kernel.value(f"[(e.prompt, len(e.images)) for e in {_IN_HISTORY}]")) == [
            ("House 0", 2),
            ("House 1", 2),
        ]


def test_what_config_says_of_the_archive_holds_for_python_too(kernel: Kernel, tmp_path: Path) -> None:
    """`generate` keeps where the session keeps, and nothing where it keeps nothing."""
    kernel.run(f"%config ImageGen.archive_dir = '{tmp_path}/kept'")
    kernel.run("from gradient_notebook import generate, history\nimage = generate('A house', quality='low')")
    assert kernel.value("image.filename").startswith(f"{tmp_path}/kept/originals/")

    kernel.run("%config ImageGen.archive = False")
    kernel.run("image = generate('A house', quality='low')")
    assert kernel.value("image.filename") == ""
    assert kernel.run("history()").error[0] == "This session keeps no history: its archive is off."


def test_a_relative_folder_stays_where_it_was_said(
    start_kernel: Callable[..., Kernel], simulator: Simulator, tmp_path: Path
) -> None:
    """Who goes to another folder does not leave the archive behind."""
    kernel = start_kernel(simulator)
    kernel.run(_LOAD)
    kernel.run("%config ImageGen.archive_dir = 'mine'")
    kernel.run("from gradient_notebook import generate, history\nimage = generate('A house', quality='low')")
    kernel.run(f"import os; os.chdir({str(tmp_path)!r})")
    kernel.run("image = generate('A mill', quality='low')")
    assert kernel.value("image.filename").startswith(f"{kernel.folder}/mine/originals/")
    assert kernel.value("[entry.prompt for entry in history()]") == ["A mill", "A house"]
    assert not (tmp_path / "mine").exists()


def test_a_folder_that_cannot_be_one_is_refused_in_a_line(kernel: Kernel) -> None:
    """The home of a user whom nobody knows: what, why, no traceback, and the folder stays as it was."""
    cell = kernel.run("%config ImageGen.archive_dir = '~nobodyatall/x'")
    assert "archive_dir='~nobodyatall/x': Could not determine home directory" in cell.said
    assert len(cell.said.splitlines()) == 1
    (output,) = kernel.run("%config ImageGen.archive_dir").of("execute_result")
    assert output["data"]["text/plain"] == "''"


# Waiting and queueing, as they are shown


def test_a_wait_is_counted_down_on_the_card_and_can_be_cancelled(kernel: Kernel, simulator: Simulator) -> None:
    """Why, which attempt, and how many seconds; Cancel ends it at once, and nothing is sent again."""
    simulator.script([{"status": 503, "headers": {"retry-after": "60"}}])
    cell = kernel.start("%%imagegen --quality low\nA red house")
    kernel.wait_for(lambda: cell.views and kernel.comms[cell.views[0]].state["running"][0]["wait"]["words"])
    (model,) = cell.views
    wait = kernel.comms[model].state["running"][0]["wait"]
    assert wait["words"].endswith(" · attempt 2 in")
    assert "503" in wait["words"]
    assert 50 < wait["seconds"] < 67

    kernel.send(model, {"type": "cancel", "job": "1"})
    kernel.wait(cell)

    assert cell.error
    assert len(simulator.posts) == 1


def test_what_has_to_wait_for_others_says_that_it_is_queued(kernel: Kernel, simulate: Callable[..., Simulator]) -> None:
    """More images than may be under way at once: the others say so, and come in their turn."""
    slow = simulate(seconds_per_image=600)
    kernel.use(slow)
    kernel.run("%config ImageGen.concurrency = 2")

    cell = kernel.start("%%imagegen --quality low -n 3 -p 1\nA red house")
    assert slow.wait_for(lambda: len(slow.posts) == 2)
    kernel.wait_for(lambda: cell.views and kernel.comms[cell.views[0]].state["running"])
    kernel.wait_for(
        lambda: (
            [tile["label"] for tile in kernel.comms[cell.views[0]].state["running"][0]["tiles"]]
            == ["1", "2", "3 · queued"]
        )
    )

    kernel.interrupt()
    kernel.wait(cell)
    assert len(slow.posts) == 2
    kernel.run("%config ImageGen.concurrency = 4")


# Keys

_NOTEBOOK = """\
%load_ext gradient_notebook
%imagegen_login?
%imagegen_models
%config ImageGen
%config ImageGen.debug = True
%xmode Verbose
%%imagegen otter --quality low
A sea otter
%%imagegen otter --quality low --dry-run
A sea otter
%%imagegen otter --quality low --raw
My key is {{key}}
%%imagegen otter --quality low
My key is {{__import__("os").environ["GRADIENT_MODEL_ACCESS_KEY"]}}
%%imagegen otter --dry-run
My key is {{__import__("os").environ["GRADIENT_MODEL_ACCESS_KEY"]}}
%%imagegen broken --quality low
fails
%%imagegen broken --quality low
fails
%%imagegen broken --quality low
fails
%imagegen_panel
%imagegen_history
import gradient_notebook as gn; client = gn.Client(); client
discover()
gn.Client(access_token="dor_v1_" + __import__("os").environ["GRADIENT_MODEL_ACCESS_KEY"])
gn.history()[0].params
import logging; logging.basicConfig(level=0, filename="all.log", force=True); gn.generate("logged", quality="low").size
gn.history()[0].as_cell()
"""
_FAULTS = [
    None,
    {"status": 401, "body": {"id": "unauthorized", "message": f"Bad key {KEY}."}},
    {"status": 500, "body_text": f"<pre>Authorization: Bearer {KEY}</pre>", "content_type": "text/html"},
    {"error_event": {"message": f"Bearer {KEY}"}},
]


def _cells(text: str) -> list[str]:
    """A cell for each line, two for a cell magic."""
    lines = iter(text.splitlines())
    return [f"{line}\n{next(lines)}" if line.startswith("%%") else line for line in lines]


def test_nothing_that_a_whole_notebook_writes_holds_the_key(
    simulator: Simulator, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Notebook with widget state, ledger, originals, logs of every library, output and errors: the key is nowhere."""
    simulator.script(_FAULTS)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in _cells(_NOTEBOOK)])
    environment = clean_environment(tmp_path, **pointed_at(simulator))
    client = NotebookClient(
        notebook, timeout=120, kernel_name="python3", allow_errors=True, resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute(env=environment)
    nbformat.write(notebook, tmp_path / "whole.ipynb")
    printed = capfd.readouterr()
    everything = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    everything |= {Path("stdout"): printed.out.encode(), Path("stderr"): printed.err.encode()}

    assert len(simulator.posts) == 6
    assert [path for path in everything if path.name == "ledger.sqlite"]
    assert len(everything[Path("all.log")]) > 100
    saved = everything[Path("whole.ipynb")].decode()
    assert "contains your model access key" in saved
    assert "Traceback" in saved or "----" in saved
    assert "widget-state" in saved
    assert [str(path) for path, content in everything.items() if KEY.encode() in content] == []
    with sqlite3.connect(next((tmp_path).rglob("ledger.sqlite"))) as ledger:
        assert ledger.execute("SELECT count(*) FROM generations").fetchone() == (6,)


def test_a_cell_says_what_it_costs_and_is_refused_where_that_is_too_much(kernel: Kernel, simulator: Simulator) -> None:
    """Estimate, caption and history have money; `--max-cost` and a budget send nothing; the magic has the totals."""
    kernel.run(_LOAD)
    kernel.run("%config ImageGen.prices = {'input_text_tokens': 5, 'output_image_tokens': 40}")
    asked = "otter --model openai-gpt-image-1 --no-stream --quality low --size 1024x1024"
    assert (
        "about 272 output tokens, $0.01, at all models: $5.00 per"
        in kernel.run(f"%imagegen {asked} --dry-run -- Otter").said
    )
    refused = kernel.run(f"%imagegen {asked} --max-cost 0.001 -- Otter")
    assert "max_cost=$0.001: this may cost up to $0.01." in refused.said
    assert "Nothing was sent." in refused.said
    kernel.run("%config ImageGen.budget = 0.02")
    assert "$0.01" in kernel.run(f"%imagegen {asked} -- Otter").said
    assert "is left ($0.01 spent)" in kernel.run(f"%imagegen {asked} -- Otter").said
    assert "$0.01" in kernel.run("%imagegen_history").said
    # The kernel has made others before, without prices.
    assert re.search(
        r"^This session  \$0\.01.*; \$0\.0091 of \$0\.02 left$", kernel.run("%imagegen_cost").printed, re.MULTILINE
    )
    assert "max_cost='x'" in kernel.run(f"%imagegen {asked} --max-cost x -- Otter").said
    assert len(simulator.posts) == 1
