"""Work that goes on while other cells run."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gradient_notebook.simulator import Simulator

from .kernel import VIEW, Cell, Kernel, image_types

pytestmark = pytest.mark.kernel

_NO_WAIT = "%%imagegen house --no-wait --quality low -p 3\nA red house"
_SUBMIT = """\
from gradient_notebook import submit
house = submit("A red house", quality="low", stream=True, partial_images=3)
"""
# Nothing here gives the loop a chance: it computes in the main thread until the condition holds.
_COMPUTE = """\
import time
job, ends, sum_ = {job}, time.monotonic() + 20, 0
print("computing", flush=True)
while not ({condition}) and time.monotonic() < ends:
    sum_ += sum(range(1000))
print({condition})
"""


def _computing(kernel: Kernel, job: str, condition: str) -> Cell:
    """Start a cell that computes until the condition holds."""
    cell = kernel.start(_COMPUTE.format(job=job, condition=condition))
    kernel.wait_for(lambda: cell.printed)
    return cell


@pytest.mark.parametrize("code", [_NO_WAIT, _SUBMIT])
def test_a_job_goes_on_while_another_cell_computes(
    kernel: Kernel, simulator: Simulator, paint: Callable[[int], None], code: str
) -> None:
    """A cell that computes in the main thread sees partial images come, and then the image."""
    begun = kernel.run(code)
    assert begun.status == "ok", begun
    assert kernel.value("type(house).__name__") == "Job"
    assert not any(post.answered for post in simulator.posts)

    seen = _computing(kernel, "house", "len(job.partials) > 0")
    paint(1)
    kernel.wait(seen)
    finished = _computing(kernel, "job", "len(job.images) == 1")
    paint(3)
    kernel.wait(finished)

    assert (seen.printed, finished.printed) == ("computing\nTrue\n", "computing\nTrue\n")
    assert kernel.value("job.images[0].size") == (1024, 1024)
    assert len(simulator.posts) == 1


def test_what_comes_later_lands_under_the_cell_that_ordered_it(kernel: Kernel, paint: Callable[[int], None]) -> None:
    """The image and the caption of a background job stand under its own cell; the next one shows only its own."""
    first = kernel.run(_NO_WAIT)
    assert first.views
    second = _computing(kernel, "house", "job.status == 'done'")
    paint(4)
    kernel.wait(second)
    third = kernel.run("job._wait()")
    kernel.wait_for(lambda: first.images and "PIL" in first.texts[-1])

    assert [output["output_type"] for output in first.outputs] == ["display_data", "display_data"]
    assert not first.views
    assert first.texts[0].startswith("house · PIL 1024×1024 png")
    assert [output["output_type"] for output in second.outputs] == ["stream"]
    assert second.printed == "computing\nTrue\n"
    assert third.outputs == []


@pytest.mark.compat
def test_the_variable_holds_the_job_and_then_the_image(kernel: Kernel, paint: Callable[[int], None]) -> None:
    """With `--no-wait` the name is the job's until the image is there."""
    kernel.run(_NO_WAIT)
    kernel.run("job = house")
    assert kernel.value("type(house).__name__") == "Job"

    paint(4)
    kernel.run("await job")

    kernel.wait_for(lambda: kernel.value("type(house).__name__") == "PngImageFile")
    assert kernel.value("house is job.images[0]")


def test_a_name_that_is_used_again_is_left_alone(kernel: Kernel, paint: Callable[[int], None]) -> None:
    """If the variable is something else when the image comes, it stays so; the image is in the output and the job."""
    cell = kernel.run(_NO_WAIT)
    kernel.run("job, house = house, 'mine'")
    paint(4)
    kernel.run("job._wait()")
    kernel.wait_for(lambda: cell.images)

    assert kernel.value("house") == "mine"
    assert kernel.value("len(job.images)") == 1


def test_a_background_failure_is_told_under_its_own_cell(kernel: Kernel, simulator: Simulator) -> None:
    """A failed job puts its box under the cell that ordered it, and prints nothing anywhere."""
    simulator.script([{"delay": 0.3, "status": 500, "body": {"message": "Out of paint."}}])
    first = kernel.run(_NO_WAIT)
    second = kernel.wait(_computing(kernel, "house", "job.status == 'failed'"))
    kernel.wait_for(lambda: "Out of paint." in first.said and "in the background" not in first.said)

    assert not first.views
    assert first.error == []
    assert second.printed == "computing\nTrue\n"
    assert len(second.outputs) == 1


def test_cancel_stops_a_job_in_the_background(kernel: Kernel, slow: Simulator) -> None:
    """The card of a background job still cancels when its cell has long ended."""
    kernel.use(slow)
    cell = kernel.run(_NO_WAIT)
    kernel.wait_for(lambda: slow.posts)

    kernel.send(cell.views[0], {"type": "cancel"})

    kernel.wait_for(lambda: slow.disconnected == 1)
    kernel.wait_for(lambda: any(text.startswith("Cancelled after") for text in cell.texts))
    assert kernel.value("house.status") == "cancelled"


@pytest.mark.compat
def test_an_interrupt_of_another_cell_leaves_the_job_alone(kernel: Kernel, slow: Simulator) -> None:
    """Interrupting what computes meanwhile does not stop what was ordered in the background."""
    kernel.use(slow)
    kernel.run(_NO_WAIT)
    kernel.wait_for(lambda: slow.posts)
    begun = kernel.start("print('begun', flush=True)\nwhile True: pass")
    kernel.wait_for(lambda: begun.printed)

    kernel.interrupt()
    kernel.wait(begun)

    assert kernel.value("house.status") == "running"
    assert slow.disconnected == 0
    kernel.run("house.cancel(); house.exception();")


def test_several_jobs_run_at_once(kernel: Kernel, simulator: Simulator, paint: Callable[[int], None]) -> None:
    """Jobs do not wait for one another: all are sent before the first is answered."""
    cell = kernel.start("""\
import asyncio, gradient_notebook
jobs = [gradient_notebook.submit(f"House {number}", quality="low") for number in range(3)]
async def all_of_them():
    return [await job for job in jobs]
images = await all_of_them()
""")
    kernel.wait_for(lambda: len(simulator.posts) == 3)
    paint(3)
    kernel.wait(cell)

    assert cell.status == "ok", cell
    assert kernel.value("[image.size for image in images]") == [(1024, 1024)] * 3


def test_a_restart_hangs_up(start_kernel: Callable[..., Kernel], slow: Simulator) -> None:
    """A restarted kernel leaves no request behind."""
    kernel = start_kernel(slow)
    kernel.run("%load_ext gradient_notebook")
    kernel.run(_NO_WAIT)
    kernel.wait_for(lambda: slow.posts)

    kernel.restart()

    assert slow.wait_for(lambda: slow.disconnected == 1)


def test_a_restarted_kernel_works_as_before(start_kernel: Callable[..., Kernel]) -> None:
    """The embedded simulator leaves no port and no lock behind; each process says once that it is used."""
    kernel = start_kernel()
    for _ in range(2):
        said = kernel.run("%load_ext gradient_notebook").printed
        assert said.count("\n") == 1
        assert "No key is set: using the built-in simulator" in said
        cell = kernel.run("%%imagegen --quality low\nA red house")
        assert cell.printed == ""
        assert kernel.value("image.size, 'simulated' in str(image.info).lower()") == ((1024, 1024), True)
        kernel.restart()


def test_a_forked_child_can_generate(kernel: Kernel, simulator: Simulator) -> None:
    """A child has a loop of its own: it generates, although its parent has done so before."""
    cell = kernel.run("""\
import os, warnings, gradient_notebook
warnings.simplefilter("ignore", DeprecationWarning)
gradient_notebook.generate("A red house", quality="low")
child = os.fork()
if child == 0:
    status = 1
    try:
        status = 0 if gradient_notebook.generate("A blue house", quality="low").size == (1024, 1024) else 2
    finally:
        os._exit(status)
status = os.waitpid(child, 0)[1]
""")

    assert cell.status == "ok", cell
    assert kernel.value("status") == 0
    assert [post.body["prompt"] for post in simulator.posts] == ["A red house", "A blue house"]


def test_a_quiet_background_failure_is_still_told(kernel: Kernel, simulator: Simulator) -> None:
    """Quiet hides what goes well: what failed is said, wherever one looks."""
    simulator.script([{"status": 500, "body": {"id": "server_error", "message": "It broke."}}])
    cells = [kernel.run("%%imagegen house --no-wait --quiet\nA red house")]
    cells.append(kernel.run("while house.status == 'running': pass\nhouse.cancel()"))
    kernel.wait_for(lambda: any("It broke." in cell.printed for cell in cells))


def test_a_job_saves_where_its_cell_said(kernel: Kernel, paint: Callable[[int], None]) -> None:
    """A relative --save is meant where the cell ran, wherever the kernel has gone meanwhile."""
    kernel.run("import os, pathlib\nstart = pathlib.Path.cwd()\n(start / 'here').mkdir()\nos.chdir('here')")
    kernel.run("%%imagegen house --no-wait --quality low --save house.png\nA red house")
    kernel.run("os.chdir(start)")
    paint(3)
    kernel.wait_for((kernel.folder / "here" / "house.png").exists)


def test_all_that_a_background_job_has_to_say_stands_under_its_cell(
    kernel: Kernel, simulator: Simulator, paint: Callable[[int], None]
) -> None:
    """What did not come is told beside the line of what came, and nothing lands in a later cell."""
    simulator.script([None, {"status": 500, "body": {"id": "server_error", "message": "It broke."}}, None])
    first = kernel.run("%%imagegen trio --no-wait --quality low -n 3\nA red house")
    second = kernel.start("job = trio\njob.exception()")
    paint(6)
    kernel.wait(second)
    kernel.wait_for(lambda: first.images and "PIL" in first.texts[-1])
    assert "trio · 2 PIL images" in first.texts[-1]
    assert "1 of 3 images missing. It broke." in first.texts[-1]
    assert second.outputs == []


def test_a_job_as_a_cells_value_shows_itself(kernel: Kernel, paint: Callable[[int], None]) -> None:
    """Live while it runs, and as an ordinary image when it has ended; text in both cases."""
    live = kernel.run("from gradient_notebook import submit\njob = submit('A red house', quality='low')\njob")
    [result] = live.of("execute_result")
    assert VIEW in result["data"]
    assert result["data"]["text/plain"].startswith("<Job running")

    paint(1)
    ended = kernel.run("job.result()\njob")

    [result] = ended.of("execute_result")
    assert "image/jpeg" in result["data"]
    assert result["data"]["text/plain"].startswith("<Job done: 1 of 1 image")


def test_jobs_in_a_list_show_themselves(kernel: Kernel, paint: Callable[[int], None]) -> None:
    """As one does, in a tuple and a dict as well: cards while they run, then one image of all; IPython has the words."""
    live = kernel.run("from gradient_notebook import submit\njobs = [submit(p, quality='low') for p in 'ab']\njobs")
    [result] = live.of("execute_result")
    children = kernel.comms[result["data"][VIEW]["model_id"]].state["children"]
    cards = [kernel.comms[child.removeprefix("IPY_MODEL_")] for child in children]
    assert [card.state["running"][0]["prompt"] for card in cards] == ["a", "b"]
    assert result["data"]["text/plain"].startswith("[<Job ")

    paint(2)
    kernel.run("[job.result() for job in jobs];")
    kernel.wait_for(lambda: all(card.state["running"][0]["status"] == "done" for card in cards))
    for form in ("jobs", "tuple(jobs)", "dict(enumerate(jobs))"):
        [result] = kernel.run(form).of("execute_result")
        assert image_types(result) == ["image/jpeg"]
        assert result["data"]["text/plain"].count("<Job done") == 2


def test_other_lists_are_ipythons(kernel: Kernel) -> None:
    """Empty ones, mixed ones, and classes that show themselves; and all of them when the extension is unloaded."""
    kernel.run("""\
class Own(list):
    def _repr_mimebundle_(self, include=None, exclude=None):
        return {"text/html": "own"}
from gradient_notebook import submit
job = submit("a", quality="low")
shown = get_ipython().display_formatter.mimebundle_formatter
""")
    for form in ("[]", "[job, 1]", "{1: job, 2: None}"):
        [result] = kernel.run(form).of("execute_result")
        assert set(result["data"]) == {"text/plain"}, form
    [result] = kernel.run("Own([job])").of("execute_result")
    assert result["data"]["text/html"] == "own"
    assert kernel.value("list in shown.type_printers")
    kernel.run("%unload_ext gradient_notebook")
    assert not kernel.value("bool({list, tuple, dict} & set(shown.type_printers))")
    kernel.run("job.cancel();")
