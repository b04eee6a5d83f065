"""What a front end may lack: it is told what to install where, until a view has answered."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gradient_notebook.notebook.missing import INSTALL
from gradient_notebook.simulator import Simulator

from .kernel import VIEW, Kernel, pointed_at

pytestmark = pytest.mark.kernel

_COLAB = """\
import sys, types
colab = types.ModuleType("google.colab")
colab.managers = []
colab.output = types.SimpleNamespace(enable_custom_widget_manager=lambda: colab.managers.append("custom"))
colab.userdata = types.SimpleNamespace(get={"MODEL_ACCESS_KEY": "sk-do-of-colab"}.get)
google = types.ModuleType("google")
google.colab = colab
sys.modules |= {"google": google, "google.colab": colab, "google.colab.output": colab.output}
"""


def test_a_card_says_what_its_front_end_may_lack_until_one_has_answered(
    start_kernel: Callable[..., Kernel], slow: Simulator, simulator: Simulator
) -> None:
    """The words stand where the line will; a failure leaves none of them; a front end that answers needs none."""
    kernel = start_kernel(slow)
    kernel.shows_widgets = False
    kernel.run("%load_ext gradient_notebook")

    cell = kernel.start("%%imagegen house\nA red house")
    kernel.wait_for(lambda: slow.posts and len(cell.outputs) == 2)
    assert INSTALL in cell.outputs[1]["data"]["text/html"]
    assert cell.texts[1] == ""
    kernel.interrupt()
    kernel.wait(cell)
    assert INSTALL not in str(cell.outputs)

    kernel.use(simulator)
    kernel.shows_widgets = True
    cell = kernel.run("%%imagegen house --no-wait --quality low\nA red house")
    kernel.wait_for(lambda: cell.images and "PIL" in cell.texts[-1])
    assert INSTALL not in str(cell.outputs)

    kernel.run("from gradient_notebook.notebook.widgets.live import LiveView; view = LiveView()")
    kernel.wait_for(lambda: kernel.value("LiveView.was_answered"))
    kernel.use(slow)
    cell = kernel.start("%%imagegen house\nA red house")
    kernel.wait_for(lambda: slow.posts[1:])
    assert len(cell.outputs) == 1
    kernel.interrupt()
    kernel.wait(cell)


def test_a_comm_that_cannot_be_opened_stops_nothing(kernel: Kernel) -> None:
    """Lines of text stand in the card's place, then the image, and why there is no card."""
    kernel.run("import ipywidgets\ndef refused(*_): raise RuntimeError('no comm')")
    kernel.run("whole, ipywidgets.Widget.open = ipywidgets.Widget.open, refused")
    cell = kernel.run("%%imagegen house --quality low\nA red house")
    kernel.run("ipywidgets.Widget.open = whole")

    assert (cell.status, len(cell.images), cell.views) == ("ok", 1, [])
    assert "The card cannot be shown here (RuntimeError: no comm)." in cell.said


@pytest.mark.parametrize("shows", ["study.result()", "study._wait()\nstudy", "study._wait()\nhistory()"])
def test_sweeps_and_the_history_are_pictures_where_no_comm_can_be_opened(kernel: Kernel, shows: str) -> None:
    """And why they are no more than that, in a line; the cell has not failed."""
    kernel.run("import ipywidgets\ndef refused(*_): raise RuntimeError('no comm')")
    kernel.run("whole, ipywidgets.Widget.open = ipywidgets.Widget.open, refused")
    kernel.run("from gradient_notebook import history, sweep")
    cell = kernel.run(f"study = sweep('a {{{{b}}}}', b=[1, 2], quality='low', fresh=True)\n{shows}")
    kernel.run("ipywidgets.Widget.open = whole")

    shown = [output for output in cell.outputs if "<img" in output.get("data", {}).get("text/html", "")]
    assert (cell.status, len(shown), cell.error) == ("ok", 1, [])
    assert "here (RuntimeError: no comm)." in cell.said


@pytest.mark.compat
def test_colab_has_card_panel_and_its_secret(start_kernel: Callable[..., Kernel], simulator: Simulator) -> None:
    """Colab's module is enough for its own manager of widgets and its key; the oldest versions are Colab's."""
    kernel = start_kernel()
    kernel.run(_COLAB)
    kernel.run(
        f"import os; os.environ['GRADIENT_INFERENCE_ENDPOINT'] = {pointed_at(simulator)['GRADIENT_INFERENCE_ENDPOINT']!r}"
    )
    assert kernel.run("%load_ext gradient_notebook").outputs == []

    cell = kernel.run("%%imagegen house --quality low\nA red house")
    panel = kernel.run("from gradient_notebook import Panel\npanel = Panel('otter')\npanel")

    assert (cell.status, len(cell.images)) == ("ok", 1), cell
    assert VIEW in panel.outputs[0]["data"], panel
    assert simulator.posts[0].headers["authorization"] == "Bearer sk-do-of-colab"
    assert kernel.value("colab.managers") == ["custom"]
