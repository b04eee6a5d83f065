"""What becomes of a panel's results and complaints when things happen in an unlucky order."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from gradient_notebook import imaging
from gradient_notebook.api.errors import InvalidRequestError
from gradient_notebook.notebook.static_output import image_of
from gradient_notebook.notebook.widgets import live
from gradient_notebook.notebook.widgets.panel import Panel
from gradient_notebook.session import session
from gradient_notebook.simulator import Simulator

from .test_panel import SILENT, Wire, answer, ask, shelled, wired

wire = pytest.fixture(wired)
shell = pytest.fixture(shelled)


@pytest.fixture
def panel(configured: Simulator, shell: InteractiveShell, wire: Wire) -> Panel:
    return Panel("otter", prompt="A fox")


def note(panel: Panel, name: str) -> str:
    return str(panel.form.fields[name].note.value)


def test_an_image_that_cannot_be_shown_is_assigned_and_told(
    panel: Panel, configured: Simulator, shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A preview that fails costs neither the variable nor the end of its generation."""
    configured.script([answer("red")])

    def fails(*_: Any) -> None:
        raise TypeError("no preview")

    monkeypatch.setattr(live, "preview", fails)
    panel.generate().exception()
    assert shell.user_ns["otter"] is panel.image
    [state] = panel._gallery.finished
    assert (panel._gallery.running, state["status"]) == ([], "done")
    assert "no preview" in state["boxes"][0]["what"]


def test_a_finished_image_is_encoded_once(panel: Panel, configured: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the gallery shows stands behind the panel, too; with another number of pixels it is another one."""
    made: list[int] = []
    encoded = imaging._encoded
    monkeypatch.setattr(imaging, "_encoded", lambda *given: made.append(1) or encoded(*given))
    configured.script([answer("red")])
    job = panel.generate()
    job.exception()
    shown, _ = image_of(job, session.preview_px) or ({}, {})
    assert len(made) == 1
    assert list(map(base64.b64encode, [one.data for one in panel._gallery._pictures.values()])) == [
        shown["image/jpeg"].encode()
    ]
    assert image_of(job, 2) != image_of(job, session.preview_px)


def test_the_newest_images_are_the_newest_whatever_their_variable(panel: Panel, configured: Simulator) -> None:
    """A generation that began earlier and ends later is assigned to its own variable, and is not `images`."""
    configured.script([SILENT, answer("blue")])
    older = panel.generate()
    assert configured.wait_for(lambda: len(configured.posts) == 1)
    panel.name = "beaver"
    newer = panel.generate()
    newer.exception()
    older.cancel()
    older.exception()
    assert (panel.images, panel.job) == (newer.images, newer)


def test_a_number_out_of_bounds_is_told_and_not_replaced(panel: Panel, configured: Simulator) -> None:
    """A control keeps to its bounds in silence; what a browser says beyond them is a mistake."""
    ask(panel, "generate", form={"n": 20})
    assert "n=20: expected a whole number, 1 to 10" in note(panel, "n")
    assert configured.posts == []


def test_an_alert_is_not_said_again_while_something_else_is_typed(panel: Panel) -> None:
    """A screen reader speaks an alert whenever it appears again: it stays as it is."""
    panel.controls["extra"].value = "oops"
    changes: list[Any] = []
    panel.form.fields["extra"].note.observe(changes.append, "value")
    for length in range(5):
        panel.controls["prompt"].value = "x" * length
    assert "oops" in note(panel, "extra")
    assert changes == []


def test_a_complaint_of_the_service_stands_beside_what_it_is_about(panel: Panel, configured: Simulator) -> None:
    """The control that the service names says so, unless it has been changed meanwhile; generating clears it."""
    wrong = {"status": 400, "body": {"error": {"message": "No such size.", "param": "size"}}}
    configured.script([wrong, wrong, answer("red")])
    panel.generate().exception()
    assert "No such size." in note(panel, "size")
    job = panel.generate()
    panel.controls["size"].value = "1024x1024"
    job._wait()
    assert "No such size." not in note(panel, "size")
    assert "No such size." in panel._gallery.finished[0]["boxes"][0]["what"]


def test_other_settings_take_a_complaint_along(panel: Panel) -> None:
    """What was wrong with an earlier prompt is not said of another that is filled in."""
    panel.form.show_error("prompt", "wrong")
    panel.params = panel.params.replace(prompt="another")
    assert note(panel, "prompt") == ""


def test_closing_leaves_the_job_in_hand(panel: Panel, configured: Simulator) -> None:
    """What is under way can still be cancelled after its panel was closed."""
    configured.script([SILENT])
    job = panel.generate()
    panel.close()
    assert panel.job is job
    job.cancel()
    job._wait()
    assert panel.job.status == "cancelled"


def test_the_image_in_view_is_the_first_that_there_is(panel: Panel, configured: Simulator) -> None:
    """Of several in view, one of which failed, it is the first that has come; an index names one."""
    configured.script([{"status": 500, "body": {}}, answer("green"), answer("green")])
    panel.controls["n"].value = 3
    job = panel.generate()
    job._wait()
    assert len(job.images) == 2
    assert panel.shown.getpixel((0, 0)) == (0, 128, 0)
    failed = next(at for at, slot in enumerate(job._slots) if slot.status == "failed")
    panel._gallery.selected = f"1.{failed}"
    assert panel.shown is None


def test_text_that_a_handler_puts_in_the_place_of_what_is_typed_is_data(panel: Panel) -> None:
    """An observer that rewrites the prompt while it is typed is code like any other."""
    control = panel.controls["prompt"]
    control.observe(lambda _: setattr(control, "value", "{{1/0}}"), "value")
    control.set_state({"value": "a fox"})
    assert panel.params.prompt == "{{1/0}}"


def test_a_template_makes_the_same_request_as_its_cell(panel: Panel, shell: InteractiveShell) -> None:
    """What IPython changes in a cell's body reaches the service all the same, and what a cell strips is stripped."""
    shell.user_ns["color"] = "red"
    panel.controls["prompt"].set_state({"value": "\n {{color}} fox\n  \n>>> x {{color}}\n\n"})
    assert panel.params.prompt == "red fox\n  \n>>> x red"
    first, body = panel.as_cell().split("\n", 1)
    assert first == "%%imagegen otter"
    assert body == "{{color}} fox\n{{'  '}}\n{{'>>>'}} x {{color}}"


def test_the_session_counts_as_it_is_when_something_is_generated(panel: Panel) -> None:
    """A default that the session gets later makes neither the form nor its cell ask for something else."""
    before = panel.params
    session.quality = "high"
    assert panel.params == before.replace(quality="auto")
    assert "--quality auto" in panel.as_cell()


def test_what_is_wrong_is_never_only_in_a_log(panel: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong in an answer to the browser is shown, and the browser gets its answer."""
    monkeypatch.setattr(panel.form, "accept", lambda _: 1 / 0)
    ask(panel, "generate", form={})
    assert "ZeroDivisionError" in panel._gallery.boxes[0]["what"]
    with pytest.raises(InvalidRequestError):
        panel.name = "no name"


def test_a_partial_image_is_handed_over_as_no_original(panel: Panel, configured: Simulator, wire: Wire) -> None:
    """What is kept of a stream that broke lies on disk, and is no file to download as the image; also later on."""
    configured.script([{"cut": "in_final"}, answer("red")])
    broken = panel.generate()
    broken.exception()
    assert broken._slots[0].path
    for question in ("newest", "older"):
        ask(panel, "original", id=question, job="1", tile=0)
        [(content, buffers)] = wire.answers(question)
        assert (buffers, "not available" in content["error"]) == ([], True)
        panel.generate().exception()


def restored(name: str = "otter") -> Panel:
    """A panel of a later kernel, when it has brought back what it can."""
    panel = Panel(name)
    if panel._bringing_back:
        panel._bringing_back.result(30)
    return panel


def timeless(caption: list[str]) -> list[str]:
    """Return a caption without its seconds: a job and its record end one after the other."""
    return [words for words in caption if not words.endswith(" s")]


def test_a_panel_comes_back_with_its_last_results(
    panel: Panel, configured: Simulator, shell: InteractiveShell, wire: Wire
) -> None:
    """In their order, with their captions and originals; its variable has the newest, and nothing is sent."""
    configured.script(
        [
            answer("red"),
            answer("blue"),
            {"status": 400, "body": {"error": {"code": "moderation_blocked", "message": "No."}}},
        ]
    )
    originals = []
    for prompt in ("A fox", "An owl", "gore"):
        panel.controls["prompt"].value = prompt
        job = panel.generate()
        job.exception()
        originals += [slot.image_bytes for slot in job._slots if slot.image_bytes]
    captions = [timeless(state["caption"]) for state in panel._gallery.finished[1:]]
    shell.user_ns.pop("otter")
    again = restored()
    assert [state["prompt"] for state in again._gallery.finished] == ["An owl", "A fox"]
    assert [timeless(state["caption"]) for state in again._gallery.finished] == captions
    assert again._results.original("1", 0)[1] == originals[0]
    assert shell.user_ns["otter"].getpixel((0, 0)) == again.image.getpixel((0, 0)) == (0, 0, 255)
    assert len(configured.posts) == 3
    configured.script([answer("white")])
    again.controls["prompt"].value = "A cat"
    again.generate().result()
    assert [state["prompt"] for state in again._gallery.finished] == ["A cat", "An owl", "A fox"]


def test_what_is_not_its_own_is_not_brought_back(
    panel: Panel, configured: Simulator, shell: InteractiveShell, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is a variable that somebody has set given another value."""
    configured.script([answer("red")])
    panel.generate().result()
    shell.user_ns["otter"] = "mine"
    assert restored()._gallery.finished
    assert shell.user_ns["otter"] == "mine"
    monkeypatch.setenv("JPY_SESSION_NAME", "/another.ipynb")
    assert restored()._results.number() == 1
    assert restored("beaver")._results.number() == 1
