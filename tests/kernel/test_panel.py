"""The panel in a real kernel, without a browser: what it shows, what it sends, what it assigns, what it leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gradient_notebook.simulator import Simulator

from .kernel import VIEW, Kernel, image_types

pytestmark = pytest.mark.kernel

PANEL = "from gradient_notebook import Panel\npanel = Panel('otter', quality='low'{more})\npanel"


def gallery(kernel: Kernel) -> str:
    """Return the model id of the newest panel's picture."""
    return [model_id for model_id, comm in kernel.comms.items() if "finished" in comm.state][-1]


def click(kernel: Kernel, **form: Any) -> None:
    """Click on Generate, with the form as a browser would show it."""
    kernel.send(gallery(kernel), {"type": "generate", "form": form})


def test_a_panel_stands_before_what_a_saved_notebook_shows(kernel: Kernel) -> None:
    """A widget, and behind it an ordinary image and a line, which follow each finished image."""
    cell = kernel.run(PANEL.format(more=""))
    view, image, line = cell.outputs
    assert VIEW in view["data"]
    assert image["data"] == {"text/plain": ""}
    assert "no images yet" in line["data"]["text/plain"]

    click(kernel, prompt="A fox")
    kernel.wait_for(lambda: image_types(image))

    assert image_types(image) == ["image/jpeg"]
    kernel.wait_for(lambda: "A fox" in line["data"]["text/plain"])
    assert "quality low" in line["data"]["text/plain"]


@pytest.mark.compat
def test_a_click_makes_what_the_browser_shows_and_assigns_it(kernel: Kernel, simulator: Simulator) -> None:
    """What the form says in the browser counts, also where the controls' own messages have not come yet."""
    kernel.run(PANEL.format(more=", prompt='older'"))
    own = {".variable": "badger", ".interpolates": False}
    click(kernel, prompt="{{newer}}", size="1536x1024", n=2, output_compression="auto", **own)
    kernel.wait_for(lambda: kernel.comms[gallery(kernel)].state["finished"])
    assert [post.body["prompt"] for post in simulator.posts] == ["{{newer}}"] * 2
    assert kernel.value("[image.size for image in badger]") == [(1536, 1024)] * 2
    assert kernel.value("panel.images is not None and panel.image is badger[0], panel.params.prompt") == (
        True,
        "{{newer}}",
    )


def test_a_generation_goes_on_while_a_cell_computes(kernel: Kernel, paint: Callable[[int], None]) -> None:
    """Partial images and the end come while the kernel's main thread is busy, and the variable is there after."""
    kernel.run(PANEL.format(more=", prompt='A fox'"))
    busy = kernel.start("panel.generate()\nwhile not panel.job.done(): pass")
    view = kernel.comms[gallery(kernel)]
    paint(1)
    kernel.wait_for(lambda: any(tile["keys"] for job in view.state["running"] for tile in job["tiles"]))
    assert busy.status == "running"
    paint(2)
    kernel.wait(busy)
    kernel.wait_for(lambda: view.state["finished"])
    assert kernel.value("otter.size") == (1024, 1024)


def test_no_trait_ever_holds_a_picture(kernel: Kernel, simulate: Callable[..., Simulator]) -> None:
    """Pictures travel in messages: no state of any widget, before, during or after, has bytes, or the key."""
    kernel.use(simulate(seconds_per_image=0.5))
    kernel.run(PANEL.format(more=", prompt='A fox', partial_images=3"))
    kernel.run("await panel.generate()\nNone")
    kernel.run("%%imagegen\nA fox")
    for comm in kernel.comms.values():
        assert b"" not in [type(value)() for state in comm.history for value in walk(state)]
        assert "sk-do-tested" not in repr(comm.history)


def walk(value: Any) -> Any:
    """Yield all plain values of a state."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in inner:
        yield from walk(one)
    if not isinstance(value, (dict, list)) and value is not None:
        yield value


def test_the_line_magic_opens_a_panel(kernel: Kernel, simulator: Simulator) -> None:
    """`%imagegen_panel` takes the options of `%imagegen`; its prompt is the author's own, and so is interpolated."""
    kernel.run("color = 'red'")
    cell = kernel.run("%imagegen_panel fox -q low -- A {{color}} fox")
    assert len(cell.views) == 1
    click(kernel)
    kernel.wait_for(lambda: kernel.comms[gallery(kernel)].state["finished"])
    assert [post.body["prompt"] for post in simulator.posts] == ["A red fox"]
    assert kernel.value("fox.size") == (1024, 1024)
    assert kernel.completions("%imagegen_panel --si") == ["--size"]


def test_a_mistake_opens_no_panel(kernel: Kernel) -> None:
    """What a form cannot hold is said in two lines, and nothing is shown or left behind."""
    before = len(kernel.comms)
    for code in ("%imagegen_panel --size big", "from gradient_notebook import Panel; Panel(size='big')"):
        cell = kernel.run(code)
        assert cell.error[0].startswith("size='big': expected auto or WIDTHxHEIGHT")
        assert cell.views == []
    assert len(kernel.comms) == before


def test_text_from_code_is_data(kernel: Kernel, simulator: Simulator) -> None:
    """A prompt that code sets is sent as it is, whatever stands in it."""
    kernel.run(PANEL.format(more=", prompt='{{1/0}}'"))
    click(kernel)
    kernel.wait_for(lambda: simulator.posts)
    assert simulator.posts[0].body["prompt"] == "{{1/0}}"


def test_closing_leaves_the_image_and_nothing_else(kernel: Kernel) -> None:
    """Every comm of a closed panel is closed, and what stays in the cell is an ordinary image and a line."""
    before = set(kernel.comms)
    cell = kernel.run(PANEL.format(more=", prompt='A fox'"))
    kernel.run("await panel.generate()\nNone")
    kernel.run("panel.close()")
    assert [model_id for model_id, comm in kernel.comms.items() if model_id not in before and not comm.closed] == []
    view, image, line = cell.outputs
    assert view["data"] == {"text/plain": ""}
    assert image_types(image) == ["image/jpeg"]
    assert "A fox" in line["data"]["text/plain"]


def test_a_panel_needs_no_extension(start_kernel: Callable[..., Kernel]) -> None:
    """`Panel` works in a kernel that has loaded nothing; the simulator is announced in the panel, not in a log."""
    kernel = start_kernel()
    cell = kernel.run(PANEL.format(more=", prompt='A fox'"))
    assert cell.printed == ""
    assert any("built-in simulator" in str(comm.state.get("value")) for comm in kernel.comms.values())
    made = kernel.run("image = await panel.generate()")
    assert (made.error, made.printed) == ([], "")
    assert kernel.value("image is otter") is True
