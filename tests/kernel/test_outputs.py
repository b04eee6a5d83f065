"""What stands under a cell: the card while it runs, then one image and one line, or what went wrong."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import Any

import ipykernel
import pytest
from PIL import Image

from gradient_notebook.simulator import Simulator

from .kernel import VIEW, Cell, Kernel, image_types

pytestmark = pytest.mark.kernel

_BROKEN = {"error": {"message": "Out of paint.", "type": "server_error", "code": "server_error"}}
_hears_while_awaiting = pytest.mark.skipif(
    ipykernel.version_info < (7, 4), reason="this kernel hears a click after the cell only"
)


@pytest.mark.compat
def test_a_finished_cell_has_one_image_and_one_line(kernel: Kernel) -> None:
    """One image of one type, bounded, with the prompt as its text; one caption; no widget is left."""
    cell = kernel.run("%%imagegen house --size 1536x1024 --quality low\nA red <b>house</b>")

    picture, caption = cell.outputs
    (kind,) = image_types(picture)
    shown = Image.open(io.BytesIO(base64.b64decode(picture["data"][kind])))
    assert kind == "image/jpeg"
    assert shown.size == (768, 512)
    assert picture["data"]["text/plain"] == "A red <b>house</b>"
    assert picture["metadata"] == {kind: {"alt": "A red <b>house</b>", "width": 720, "height": 480}}
    assert set(picture["data"]) == {kind, "text/plain"}
    assert caption["data"]["text/plain"].startswith("house · PIL 1536×1024 png · low · ")
    assert cell.views == []


def test_a_finished_cell_leaves_no_widget_behind(start_kernel: Callable[..., Kernel], simulator: Simulator) -> None:
    """Every widget that a cell makes is closed at its end, also the ones that come along with the card."""
    kernel = start_kernel(simulator)
    kernel.run("%load_ext gradient_notebook")

    kernel.run("%%imagegen --quality low\nA red house")

    assert kernel.comms
    assert [comm.state["_model_name"] for comm in kernel.comms.values() if not comm.closed] == []


def test_transparency_is_kept_in_the_output(kernel: Kernel) -> None:
    """A picture with alpha is shown as PNG, still one type."""
    cell = kernel.run("%%imagegen --background transparent --quality low\nA red sticker")

    assert [image_types(output) for output in cell.images] == [["image/png"]]
    assert kernel.value("image.mode") == "RGBA"


def test_a_running_cell_shows_a_widget_and_its_partial_images(
    kernel: Kernel, simulator: Simulator, paint: Callable[[int], None]
) -> None:
    """The card stands there before an answer comes; each partial image replaces the one before; none stays in it."""
    cell = kernel.start("%%imagegen --quality low --partial-images 3\nA red house")
    kernel.wait_for(lambda: cell.views)
    assert not cell.images
    assert not any(post.answered for post in simulator.posts)
    (model_id,) = cell.views
    card = kernel.comms[model_id]
    assert card.state["running"][0]["prompt"] == "A red house"
    shown: list[str] = []
    for _ in range(3):
        paint(1)
        kernel.wait_for(lambda: came(card.state) and card.state["running"][0]["tiles"][0]["keys"][-1] not in shown)
        shown.append(card.state["running"][0]["tiles"][0]["keys"][-1])
    paint(1)
    kernel.wait(cell)

    assert all(Image.open(io.BytesIO(card.pictures[key])).size[0] <= 768 for key in shown)
    assert card.closed


def came(state: dict[str, Any]) -> bool:
    """Whether a card shows a picture."""
    return any(tile["keys"] for job in state["running"] for tile in job["tiles"])


@pytest.mark.compat
def test_images_of_several_are_shown_as_one(kernel: Kernel, simulator: Simulator) -> None:
    """n images are a list, one output and one line; streaming they are n requests of one."""
    cell = kernel.run("%%imagegen houses -n 3 --quality low\nA red house")

    picture, caption = cell.outputs
    assert image_types(picture) == ["image/jpeg"]
    assert caption["data"]["text/plain"].startswith("houses · 3 PIL images")
    assert kernel.value("[type(house).__name__ for house in houses]") == ["PngImageFile"] * 3
    assert [post.body["n"] for post in simulator.posts] == [1, 1, 1]


def test_images_without_a_stream_are_one_request(kernel: Kernel, simulator: Simulator) -> None:
    """`--no-stream` asks for all of them at once."""
    kernel.run("%%imagegen houses -n 2 --no-stream --quality low\nA red house")

    assert kernel.value("len(houses)") == 2
    assert [post.body["n"] for post in simulator.posts] == [2]


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        ({"status": 400, "body": {"error": {"message": "No.", "code": "moderation_blocked"}}}, "refused"),
        ({"cut": "before_headers"}, "no answer came"),
    ],
)
def test_one_image_that_does_not_come_leaves_the_others(
    kernel: Kernel, simulator: Simulator, fault: dict[str, object], word: str
) -> None:
    """Two of three are assigned and shown; a box says what became of the third; the cell has not failed."""
    simulator.script([None, fault, None])

    cell = kernel.run("%%imagegen houses -n 3 --quality low\nA red house")

    assert cell.status == "ok", cell
    assert kernel.value("len(houses)") == 2
    assert len(cell.images) == 1
    caption, box = cell.texts
    assert caption.startswith("houses · 2 PIL images")
    assert box.startswith("1 of 3 ")
    assert word in box
    assert len(simulator.posts) == 3


def _failed(kernel: Kernel, cell: Cell, *, boxes: int = 1) -> str:
    """Assert that a cell shows its failure as it should and has kept the variable; return the box's text."""
    assert cell.status == "error", cell
    assert len(cell.texts) == boxes, cell
    assert len(cell.error) == 1, cell
    assert "image was not assigned" in cell.error[0]
    assert not cell.views
    assert cell.printed == ""
    assert kernel.value("image") == "before"
    return cell.texts[-1]


# Which failure is told in which words is a matter of the errors' own tests.
@pytest.mark.parametrize(
    ("fault", "word", "prefix"),
    [
        ({"status": 429, "headers": {"retry-after": "700"}, "body": {"message": "Too many."}}, "Too many.", ""),
        ({"cut": "before_headers"}, "may have been billed", "%%time\n"),
    ],
)
def test_a_failure_is_a_box_and_a_line(
    kernel: Kernel, simulator: Simulator, fault: dict[str, object], word: str, prefix: str
) -> None:
    """A request that fails is told in a box and one line, keeps the variable, and is sent once."""
    kernel.run("image = 'before'")
    simulator.script([fault])

    cell = kernel.run(f"{prefix}%%imagegen --quality low\nA red house")

    said = [text for text in cell.texts if word in text]
    assert len(said) == 1, cell
    assert cell.status == "error"
    assert len(cell.error) == 1, cell
    assert not cell.views
    assert kernel.value("image") == "before"
    assert len(simulator.posts) == 1


def test_an_answer_that_is_no_image_is_a_failure(kernel: Kernel, simulator: Simulator) -> None:
    """Text in the place of the picture is told as such, under the partial image that came."""
    kernel.run("image = 'before'")
    simulator.script([{"image_data": "no picture at all"}])

    cell = kernel.run("%%imagegen --quality low\nA red house")

    assert "in the response cannot be opened" in _failed(kernel, cell)


def test_a_refusal_is_a_result(kernel: Kernel, simulator: Simulator) -> None:
    """A refused prompt says at which stage, for what, and what to do."""
    kernel.run("image = 'before'")

    box = _failed(kernel, kernel.run("%%imagegen --quality low\nA house [refuse]"))

    assert box.startswith("The service refused this prompt (input stage: violence).")
    assert len(simulator.posts) == 1


@pytest.mark.parametrize("prompt", ["A house", "A house [refuse-output]"])
def test_the_last_partial_image_stays_when_no_finished_one_comes(
    kernel: Kernel, simulator: Simulator, prompt: str
) -> None:
    """A stream that breaks or is refused at its end leaves what was seen, under the box: a low window shows what is on top."""
    kernel.run("image = 'before'")
    if "refuse" not in prompt:
        simulator.script([{"cut": "between_events"}])

    cell = kernel.run(f"%%imagegen --quality low\n{prompt}")

    _failed(kernel, cell)
    assert [output["output_type"] for output in cell.outputs] == ["display_data", "display_data", "error"]
    assert image_types(cell.outputs[1]) == ["image/jpeg"]


@_hears_while_awaiting
@pytest.mark.parametrize("code", ["%%imagegen -p 3\nA red house", "%imagegen -p 3 -- A red house"])
def test_cancel_stops_an_awaiting_cell(kernel: Kernel, slow: Simulator, code: str) -> None:
    """The card's button gets through to a cell that awaits: it hangs up, and the variable is kept."""
    kernel.run("image = 'before'")
    kernel.use(slow)
    cell = kernel.start(code)
    kernel.wait_for(lambda: slow.posts and cell.views)

    kernel.send(cell.views[0], {"type": "cancel"})
    kernel.wait(cell)

    assert _failed(kernel, cell).startswith("Cancelled after")
    kernel.wait_for(lambda: slow.disconnected == 1)
    assert [post.answered for post in slow.posts] == [False]


@_hears_while_awaiting
def test_cancel_keeps_what_has_come(kernel: Kernel, simulate: Callable[..., Simulator]) -> None:
    """The last partial image stays under a cancelled cell, with the box above it."""
    paced = simulate(faults=[{"cut": "between_events", "silence": True}])
    kernel.use(paced)
    kernel.run("image = 'before'")
    cell = kernel.start("%%imagegen --quality low -p 3\nA red house")
    kernel.wait_for(lambda: cell.views)
    card = kernel.comms[cell.views[0]]
    kernel.wait_for(lambda: came(card.state))

    kernel.send(cell.views[0], {"type": "cancel"})
    kernel.wait(cell)

    _failed(kernel, cell)
    assert len(cell.images) == 1
    kernel.wait_for(lambda: paced.disconnected == 1)


@_hears_while_awaiting
def test_cancel_keeps_the_images_that_have_finished(kernel: Kernel, simulator: Simulator) -> None:
    """Of three images those that are there when it is cancelled are assigned and shown: they are paid for."""
    simulator.script([None, {"silence": True}, None])
    cell = kernel.start("%%imagegen houses -n 3 --quality low\nA red house")
    kernel.wait_for(lambda: cell.views and sum(post.answered for post in simulator.posts) == 2)
    card = kernel.comms[cell.views[0]]
    kernel.wait_for(lambda: sum(tile["status"] == "done" for tile in card.state["running"][0]["tiles"]) == 2)

    kernel.send(cell.views[0], {"type": "cancel"})
    kernel.wait(cell)

    assert kernel.value("len(houses)") == 2
    assert len(cell.images) == 1
    assert any(text.startswith("houses · 2 PIL images") for text in cell.texts), cell
    kernel.wait_for(lambda: simulator.disconnected == 1)


def test_an_unknown_message_of_the_widget_changes_nothing(kernel: Kernel, paint: Callable[[int], None]) -> None:
    """What the card does not know it ignores."""
    cell = kernel.start("%%imagegen --quality low\nA red house")
    kernel.wait_for(lambda: cell.views)

    for content in ({}, {"type": "dance"}):
        kernel.send(cell.views[0], content)
    paint(3)
    kernel.wait(cell)

    assert cell.status == "ok", cell
    assert len(cell.images) == 1


def test_quiet_publishes_nothing(kernel: Kernel, simulator: Simulator) -> None:
    """`--quiet` assigns, and shows nothing at all."""
    cell = kernel.run("%%imagegen --quiet --quality low\nA red house")

    assert (cell.status, cell.outputs) == ("ok", [])
    assert kernel.value("image.size") == (1024, 1024)


def test_quiet_still_tells_mistakes(kernel: Kernel, simulator: Simulator) -> None:
    """A failure of a quiet cell is an error of two lines."""
    simulator.script([{"status": 500, "body": _BROKEN}])

    cell = kernel.run("%%imagegen --quiet\nA red house")

    assert cell.status == "error"
    assert [output["output_type"] for output in cell.outputs] == ["error"]
    assert len(cell.error) <= 3
    assert "Out of paint." in cell.said


def test_an_out_value_is_not_made(kernel: Kernel) -> None:
    """A cell of ours has no value: an `Out` would put the image into the notebook a second time."""
    cell = kernel.run("%%imagegen --quality low\nA red house")

    assert cell.of("execute_result") == []
    assert kernel.value("len(Out)") == 0


def test_a_widget_view_never_reaches_a_notebook_without_a_text(kernel: Kernel, slow: Simulator) -> None:
    """While it runs, the card has a text of its own for a front end that knows no widgets."""
    kernel.use(slow)
    cell = kernel.start("%%imagegen house\nA red house")
    kernel.wait_for(lambda: cell.views and slow.posts)

    data = cell.outputs[0]["data"]
    kernel.interrupt()
    kernel.wait(cell)

    assert set(data) == {VIEW, "text/plain"}
    assert data["text/plain"].startswith("house: ")


def test_a_card_that_cannot_be_made_stops_nothing(kernel: Kernel, paint: Callable[[int], None]) -> None:
    """Lines of text stand in its place, then the image, and why there is no card."""
    kernel.run(
        "from gradient_notebook.notebook.widgets import live\ndef broken(*_, **__): raise ImportError('no widgets')"
    )
    kernel.run("whole, live.live_card = live.live_card, broken")
    cell = kernel.start("%%imagegen house --quality low\nA red house")
    paint(3)
    kernel.wait(cell)
    kernel.run("live.live_card = whole")

    assert (cell.status, len(cell.images), cell.views) == ("ok", 1, [])
    assert "The card cannot be shown here (ImportError: no widgets)." in cell.said
