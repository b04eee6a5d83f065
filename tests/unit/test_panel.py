"""The panel: making images from the form, what the browser asks for, and where mistakes are told."""

from __future__ import annotations

import atexit
import base64
import json
import logging
import threading
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import comm
import ipywidgets
import pytest
import traitlets
from comm.base_comm import BaseComm
from IPython.core.interactiveshell import InteractiveShell
from PIL import Image
from traitlets.config import Config

from gradient_notebook.api.errors import InvalidRequestError
from gradient_notebook.api.models import DEFAULT_MODEL
from gradient_notebook.api.params import PARAMETERS, ImageGenerateParams
from gradient_notebook.jobs.job import Job
from gradient_notebook.notebook import missing
from gradient_notebook.notebook.missing import INSTALL
from gradient_notebook.notebook.widgets import panel as module
from gradient_notebook.notebook.widgets.live import LiveJob, Talking
from gradient_notebook.notebook.widgets.panel import Panel
from gradient_notebook.recipes import with_recipe
from gradient_notebook.session import session
from gradient_notebook.simulator import IMAGE_MODELS, Simulator
from gradient_notebook.storage.archive import Archive

HTML = "<img src=x onerror=alert(1)>"
SILENT = {"silence": True}


def picture(color: str) -> bytes:
    file = BytesIO()
    Image.new("RGB", (8, 8), color).save(file, "PNG")
    return file.getvalue()


def answer(*colors: str) -> dict[str, Any]:
    """A stream of small pictures, the last one finished: nothing has to be painted."""
    kinds = ["partial_image"] * (len(colors) - 1) + ["completed"]
    events = []
    for index, (kind, color) in enumerate(zip(kinds, colors, strict=True)):
        known = {"created_at": 1, "size": "auto", "quality": "low", "background": "auto", "output_format": "png"}
        data = {"b64_json": base64.b64encode(picture(color)).decode(), "partial_image_index": index}
        events.append(f"data: {json.dumps({'type': f'image_generation.{kind}', **known, **data})}\n\n")
    return {"content_type": "text/event-stream", "body_text": "".join(events)}


class Wire(list[tuple[str, dict[str, Any], list[bytes]]]):
    """What widgets send to the browser: the id of the widget, the message, and its buffers."""

    def open(self, **what: Any) -> BaseComm:
        noted = self

        class End(BaseComm):
            def publish_msg(
                self, msg_type: str, data: Any = None, metadata: Any = None, buffers: Any = None, **keys: Any
            ) -> None:
                noted.append((self.comm_id, {"type": msg_type, **(data or {})}, list(buffers or [])))

        return End(**what)

    def answers(self, question: str) -> list[tuple[dict[str, Any], list[bytes]]]:
        found = [(data.get("content", {}), buffers) for _, data, buffers in list(self)]
        return [(content, buffers) for content, buffers in found if content.get("id") == question]


def wired(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    wire = Wire()
    monkeypatch.setattr(comm, "create_comm", wire.open)
    yield wire
    ipywidgets.Widget.close_all()


def shelled() -> Iterator[InteractiveShell]:
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance(config=Config(HistoryManager={"enabled": False}))
    yield shell
    InteractiveShell.clear_instance()
    atexit.unregister(shell.atexit_operations)  # which would hold it, and take half a second for each in the end


wire = pytest.fixture(wired)
shell = pytest.fixture(shelled)


@pytest.fixture
def panel(configured: Simulator, shell: InteractiveShell, wire: Wire) -> Panel:
    return Panel("otter", prompt="A fox")


def ask(panel: Panel, kind: str, **more: Any) -> None:
    """Send the picture a message, as the browser does."""
    panel._gallery._handle_custom_msg({"type": kind, **more}, [])


def shown(panel: Panel) -> str:
    """What the panel tells of mistakes: beside the controls, by their names, and under the picture."""
    beside = {name: field.note.value for name, field in panel.form.fields.items() if "wrong" in field.note.value}
    beside |= {"name": panel.form._variable_note.value} if panel.form._variable_note.value else {}
    return "".join(f"{name}: {words}" for name, words in beside.items()) + "".join(
        f"under: {box['what']}" for box in panel._gallery.boxes
    )


def wait_until(widget: ipywidgets.Widget, condition: Callable[[], bool], *names: str) -> bool:
    """Wait until a condition about a widget holds, which is looked at after each of its changes."""
    holds = threading.Event()
    widget.observe(lambda _: holds.set() if condition() else None, names or traitlets.All)
    return condition() or holds.wait(10)


def ended(panel: Panel, count: int) -> bool:
    return wait_until(panel._gallery, lambda: len(panel._gallery.finished) == count, "finished")


def test_a_click_makes_images_in_the_background(panel: Panel, configured: Simulator, shell: InteractiveShell) -> None:
    """The panel hands over the job at once, then the images; the variable holds what `image` is."""
    assert (panel.job, panel.image, panel.images, panel.shown) == (None, None, [], None)
    configured.script([answer("red", "green"), SILENT])
    job = panel.generate()
    panel.name = "fox"  # of the next one
    assert panel.job is job
    job._wait()
    assert panel.images == [panel.image] == [shell.user_ns["otter"]]
    assert panel.image.getpixel((0, 0)) == panel.shown.getpixel((0, 0)) == (0, 128, 0)
    panel.form.generate_button.click()
    assert panel.job is not job
    assert (panel.job.status, panel.images) == ("running", job.images)
    ask(panel, "cancel", job="2")


def test_several_at_once_and_each_is_cancelled_by_itself(
    panel: Panel, configured: Simulator, shell: InteractiveShell
) -> None:
    """Generate does not wait for what is under way; the form as it was then belongs to each."""
    configured.script([SILENT] * 3)
    jobs = []
    for name in ("a", "b", "c"):
        panel.name = name
        jobs.append(panel.generate())
    assert configured.wait_for(lambda: len(configured.posts) == 3)
    assert [one["id"] for one in panel._gallery.running] == ["3", "2", "1"]
    ask(panel, "cancel", job="2")
    jobs[1].exception()
    assert [job.status for job in jobs] == ["running", "cancelled", "running"]
    assert [(one["id"], one["boxes"][0]["kind"]) for one in panel._gallery.finished] == [("2", "cancelled")]
    for number in ("1", "3", "9", None):
        ask(panel, "cancel", job=number)
    jobs[0].exception()
    jobs[2].exception()
    assert (panel._gallery.running, panel.image) == ([], None)
    assert shell.user_ns.keys().isdisjoint("abc")


def test_images_are_those_of_the_newest_job(
    panel: Panel, configured: Simulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An older job that ends later does not take the place of a newer one's images."""
    released = threading.Event()

    class Held(Archive):
        def path_of(self, data: bytes) -> Path:
            assert data != picture("red") or released.wait(10)
            return super().path_of(data)

    monkeypatch.setattr(module, "get_default", lambda: Held(tmp_path / "kept"))
    configured.script([answer("red")])
    older = panel.generate()
    assert configured.wait_for(lambda: len(configured.posts) == 1)
    configured.script([answer("blue")])
    newer = panel.generate()
    newer.exception()
    released.set()
    older.exception()
    assert panel.job is newer
    assert panel.images == newer.images


def test_a_job_that_has_just_ended_is_never_out_of_view(
    panel: Panel, configured: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While its last previews are made, another click leaves it where it was."""
    entered, released = threading.Event(), threading.Event()
    real = LiveJob.take_pictures

    def slowly(live: LiveJob, job: Job) -> None:
        if live.id == "1" and job.status == "done":
            entered.set()
            released.wait(10)
        real(live, job)

    monkeypatch.setattr(LiveJob, "take_pictures", slowly)
    configured.script([answer("red"), answer("blue")])
    first = panel.generate()
    assert entered.wait(10)
    second = panel.generate()
    in_view = [one["id"] for one in [*panel._gallery.running, *panel._gallery.finished]]
    released.set()
    first.exception()
    second.exception()
    assert in_view == ["2", "1"]
    assert [one["status"] for one in panel._gallery.finished] == ["done", "done"]


@pytest.mark.parametrize(
    "failing",
    [
        ("A fox [refuse]", None, "The service refused this prompt", "refused"),
        ("A fox", {"status": 500, "body": {"id": "x", "message": HTML}}, HTML, "failed"),
        (
            "A fox",
            {"body": {"created": 1, "data": [{"b64_json": "bm8="}]}},
            "in the response cannot be opened",
            "failed",
        ),
    ],
)
def test_what_the_service_says_stands_under_the_picture(
    panel: Panel,
    configured: Simulator,
    caplog: pytest.LogCaptureFixture,
    *,
    capsys: pytest.CaptureFixture[str],
    failing: tuple[str, Any, str, str],
) -> None:
    """A failure is told in the panel and nowhere else, assigns nothing, and the next click works."""
    prompt, fault, words, kind = failing
    caplog.set_level(logging.DEBUG, "gradient_notebook")
    configured.script([fault])
    ask(panel, "generate", form={"prompt": prompt})
    assert panel.job
    panel.job._wait()
    [box] = panel._gallery.finished[0]["boxes"]
    assert words in box["what"]
    assert (box["kind"], panel._gallery.clicks, panel.image) == (kind, 1, None)
    configured.script([answer("red")])
    ask(panel, "generate", form={"prompt": "A fox"})
    assert ended(panel, 2)
    assert (panel._gallery.clicks, panel.image.size) == (2, (8, 8))
    assert (caplog.text, *capsys.readouterr()) == ("", "", "")


@pytest.mark.parametrize(
    ("form", "where"),
    [
        ({"prompt": " "}, "prompt: "),
        ({"extra": '["<b>"]'}, "extra: "),
        ({"output_format": "jpeg", "background": "transparent"}, "background: "),
        ({"n": None}, "n: "),
    ],
)
def test_a_mistake_is_told_beside_its_control(
    panel: Panel, configured: Simulator, capsys: pytest.CaptureFixture[str], form: dict[str, Any], where: str
) -> None:
    """A screen reader says it, what is folded opens, nothing is sent, and setting it right takes it away."""
    ask(panel, "generate", form=form)
    assert shown(panel).startswith(where)
    assert 'role="alert"' in shown(panel)
    assert "<b>" not in shown(panel)
    assert (configured.posts, panel.job, panel._gallery.clicks) == ([], None, 1)
    assert (panel.form._more.selected_index == 0) == (not PARAMETERS[where[:-2]].often)
    ask(panel, "code", id="7", language="cell", form=form)
    assert shown(panel).startswith(where)
    configured.script([answer("red")])
    ask(panel, "generate", form={"prompt": "x", "model": "m", "extra": "", "background": "auto", "n": 1, "user": ""})
    assert shown(panel) == ""
    assert ended(panel, 1)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["", "<b>"])
def test_a_bad_name_is_told_beside_its_field(panel: Panel, configured: Simulator, name: str) -> None:
    """Nothing is sent, until there is a name."""
    panel.form.variable.set_state({"value": name})
    panel.form.generate_button.click()
    assert shown(panel).startswith("name: ")
    assert "<b>" not in shown(panel)
    with pytest.raises(InvalidRequestError):
        panel.generate()
    assert configured.posts == []
    panel.form.variable.set_state({"value": " otter "})
    assert (shown(panel), panel.name) == ("", "otter")


def test_a_form_without_a_prompt_asks_for_one(panel: Panel, configured: Simulator) -> None:
    """Beside the prompt, in words of the form; what is wrong in one speaks of no option of a cell."""
    panel.controls["prompt"].set_state({"value": " "})
    panel.form.generate_button.click()
    assert shown(panel) == 'prompt: <div class="gradient-wrong" role="alert">Write a prompt.</div>'
    panel.form.interpolates.value = True
    panel.controls["prompt"].set_state({"value": "{{missing}} fox"})
    panel.form.generate_button.click()
    assert "uncheck Insert {{ }}" in shown(panel)
    assert "--raw" not in shown(panel)
    assert configured.posts == []


def test_what_no_control_is_for_is_told_under_the_picture(panel: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong settings of the environment are one box, which the next click takes away."""
    monkeypatch.delenv("GRADIENT_MODEL_ACCESS_KEY")
    panel.form.generate_button.click()
    assert shown(panel).startswith("under: There is no key")
    monkeypatch.setenv("GRADIENT_MODEL_ACCESS_KEY", "sk-do-x")
    panel.form.generate_button.click()
    assert shown(panel) == ""
    assert (panel._gallery.clicks, len(panel._gallery.running)) == (2, 1)
    ask(panel, "cancel", job="1")


def test_what_the_browser_shows_is_sent(panel: Panel, configured: Simulator) -> None:
    """What a click brings along wins over what the kernel knows; a click without it sends what the kernel knows."""
    configured.script([answer("red"), answer("red")])
    said = {"prompt": "new", "size": "1536x1024", "output_format": "jpeg", "background": "opaque", "quality": "low"}
    ask(panel, "generate", form={**said, "output_compression": "40"})
    assert ended(panel, 1)
    panel.form.generate_button.click()
    assert ended(panel, 2)
    sent = {"model": DEFAULT_MODEL, "n": 1, "stream": True, "partial_images": 2, "output_compression": 40}
    assert [post.body for post in configured.posts] == [{**said, **sent}] * 2


def test_use_these_settings_fills_the_form_as_it_was(
    panel: Panel, configured: Simulator, shell: InteractiveShell
) -> None:
    """The template comes back as a template, and the earlier result is not changed by what the form does next."""
    configured.script([answer("red"), answer("red")])
    shell.user_ns["color"] = "red"
    panel.controls["prompt"].set_state({"value": "A {{color}} fox"})
    panel.controls["size"].value = "1024x1536"
    panel.generate().exception()
    panel.params = ImageGenerateParams(prompt="{{other}}", output_format="jpeg", output_compression=3)
    panel.generate().exception()
    before = json.dumps(panel._gallery.finished)
    ask(panel, "use", job="1")
    assert panel.controls["prompt"].value == "A {{color}} fox"
    assert (panel.params.prompt, panel.params.size) == ("A red fox", "1024x1536")
    ask(panel, "use", job="2")
    assert (panel.params.prompt, panel.params.output_compression) == ("{{other}}", 3)
    ask(panel, "use", job="99")
    assert json.dumps(panel._gallery.finished) == before


def test_only_typed_text_inserts_values(panel: Panel, configured: Simulator, shell: InteractiveShell) -> None:
    """What code, a default or a link sets is data, braces and all; what a person types is a template."""
    control = panel.controls["prompt"]
    shell.user_ns |= {"color": "{{1/0}}"}
    control.value = "{{1/0}}"
    assert (panel.params.prompt, panel.form.interpolates.value, panel.form.interpolates.layout.display) == (
        "{{1/0}}",
        False,
        "",
    )
    control.value = "plain"
    control.set_state({"value": "{{color}} fox"})
    assert (panel.params.prompt, panel.form.interpolates.value) == (
        "{{color}} fox",
        False,
    )  # what was deleted comes back
    panel.form.interpolates.value = True
    assert panel.params.prompt == "{{1/0}} fox"
    panel.form.interpolates.value = False
    assert panel.params.prompt == "{{color}} fox"
    assert Panel(prompt="{{color}}").params.prompt == "{{color}}"
    assert Panel(prompt="{{color}}", raw=False).params.prompt == "{{1/0}}"
    ask(panel, "generate", form={"prompt": f"{{{{coolr}}}} {HTML}"})
    panel.form.interpolates.value = True
    ask(panel, "generate", form={"prompt": f"{{{{coolr}}}} {HTML}"})
    assert "Did you mean color?" in shown(panel)
    assert len(configured.posts) <= 1


def test_originals_are_handed_over_byte_for_byte(panel: Panel, configured: Simulator, wire: Wire) -> None:
    """What the service sent, of old results too; where there is none any more, that is said."""
    configured.script([answer("red"), answer("green")])
    panel.generate().exception()
    panel.generate().exception()
    for number, color in (("1", "red"), ("2", "green")):
        ask(panel, "original", id=color, job=number, tile=0)
        [(content, buffers)] = wire.answers(color)
        assert (buffers, content["mime"]) == ([picture(color)], "image/png")
        assert content["name"] == f"otter-{number}-1.png"
    panel._results.find("1").slots[0].path.unlink()  # type: ignore[union-attr]
    for number, tile in (("1", 0), ("99", 0), ("2", 7)):
        ask(panel, "original", id=f"{number}.{tile}", job=number, tile=tile)
        [(content, buffers)] = wire.answers(f"{number}.{tile}")
        assert (buffers, bool(content["error"])) == ([], True)


@pytest.mark.parametrize("prompt", ["A fox", " >>> {{1}}\r\nb\n"])
def test_code_makes_the_same_request(panel: Panel, shell: InteractiveShell, wire: Wire, prompt: str) -> None:
    """The copied cell, in a session, and the copied line send what the form sends."""
    shell.run_line_magic("load_ext", "gradient_notebook")
    params = ImageGenerateParams(prompt=prompt, n=2, quality="low", stream=True, partial_images=1)
    panel.params = params
    assert panel.params == params
    ask(panel, "code", id="1", language="cell")
    ask(panel, "code", id="2", language="python")
    [(cell, _)], [(python, _)] = wire.answers("1"), wire.answers("2")
    assert (cell["text"], python["text"]) == (panel.as_cell(), panel.as_python())
    calls: list[tuple[str, str, str]] = []
    kernel = SimpleNamespace(run_cell_magic=lambda *call: calls.append(call))
    exec(shell.transform_cell(cell["text"]), {"get_ipython": lambda: kernel})
    [(_, line, body)] = calls
    run = shell.magics_manager.registry["ImageGenMagics"]._run(line, body, None)
    assert (run.params, run.args.name) == (panel.params, "otter")
    shell.run_line_magic("unload_ext", "gradient_notebook")


def test_the_sessions_defaults_fill_the_form(configured: Simulator, shell: InteractiveShell, wire: Wire) -> None:
    """They are in the controls, give way to what is given, and the cell says what it needs to."""
    shell.run_line_magic("load_ext", "gradient_notebook")
    for line in ("size = '1024x1536'", "output_format = 'jpeg'", "user = 'me'"):
        shell.run_line_magic("config", f"ImageGen.{line}")
    panel = Panel(prompt="A fox")
    values = {name: panel.controls[name].value for name in ("size", "output_format", "user", "partial_images")}
    assert values == {"size": "1024x1536", "output_format": "jpeg", "user": "me", "partial_images": 2}
    options = "--size 1024x1536 --output-format jpeg --user me"
    assert panel.as_cell() == f"%%imagegen image {options}\nA fox"
    panel.controls["size"].value = "auto"
    assert "--size auto" in panel.as_cell()
    shell.run_line_magic("unload_ext", "gradient_notebook")


def test_the_extension_takes_the_session_as_it_is(shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading changes nothing that the environment or `configure` has set; then each shows what the other is set to."""
    monkeypatch.setenv("GRADIENT_IMAGE_QUALITY", "low")
    session.reset()
    before = session.values()
    shell.run_line_magic("load_ext", "gradient_notebook")
    settings = shell.magics_manager.registry["ImageGenMagics"].settings
    assert (session.values(), settings.quality, settings.size) == (before, "low", None)
    session.size = "1024x1024"
    settings.concurrency = 2
    assert (settings.size, session.concurrency) == ("1024x1024", 2)
    shell.run_line_magic("unload_ext", "gradient_notebook")
    assert session.values() == before


def test_models_are_offered_when_they_have_come(panel: Panel) -> None:
    """The list is the service's own, and another name can be written."""
    control = panel.controls["model"]
    assert wait_until(control, lambda: set(control.options) == set(IMAGE_MODELS))
    control.value = "my-own"
    assert panel.params.model == "my-own"


def test_marimo_is_told_what_it_has_instead(panel: Panel) -> None:
    """It renders no ipywidgets, and asks by a protocol of its own: without an answer it shows an error."""
    assert "mo.ui.text_area" in panel._display_().data


def test_a_panel_that_nobody_sees_says_what_its_front_end_may_lack(
    configured: Simulator, shell: InteractiveShell, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stands behind the panel, and goes when a view has answered: a saved notebook lacks nothing."""
    monkeypatch.setattr(Talking, "was_answered", False)
    panel = Panel("otter", prompt="A fox")
    assert INSTALL in panel._record()["text/html"]
    panel._behind.show({})

    ask(panel, "hello", id="1")

    assert INSTALL not in str(panel._behind._outputs)
    assert INSTALL not in str(Panel("otter")._record())


def test_a_kernel_with_ipywidgets_7_is_what_lacks_something(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing installed beside today's Jupyter would show its panel."""
    monkeypatch.setattr(missing, "version", lambda _: "7.7.1")
    assert "`pip install -U ipywidgets` in its environment" in missing.panel_words()
    assert INSTALL not in missing.panel_words()


def with_recipe_of(**given: Any) -> bytes:
    return with_recipe(picture("red"), ImageGenerateParams.of(given))


def test_a_recipe_fills_the_form(panel: Panel) -> None:
    """All of it: what is not in it is not given any more. Braces from elsewhere are text, and nothing is sent."""
    panel.controls["background"].value = "opaque"
    data = with_recipe_of(prompt="An {{owl}}", quality="high", size="1024x1536")
    panel._gallery._handle_custom_msg({"type": "recipe", "name": "owl.png", "id": "7"}, [memoryview(data)])
    assert panel.params.prompt == "An {{owl}}"
    assert (panel.params.quality, panel.params.size, panel.params.background) == ("high", "1024x1536", None)
    assert panel._gallery.boxes[0]["what"] == "The form has the settings of owl.png."
    assert panel.job is None


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (picture("red"), "owl.png: There is no recipe in this image"),
        (b"no image", "owl.png is no image that can be opened"),
        (b"", "owl.png is no image that can be opened"),
        (with_recipe_of(prompt="An owl").replace(b'"prompt"', b'"tpompr"'), "owl.png is no image"),
    ],
    ids=["none", "text", "nothing", "damaged"],
)
def test_an_image_without_a_recipe_says_so(panel: Panel, wire: Wire, data: bytes, words: str) -> None:
    """And the form stays as it is; the browser hears that it was handled."""
    panel._gallery._handle_custom_msg({"type": "recipe", "name": "owl.png", "id": "7"}, [memoryview(data)])
    assert words in panel._gallery.boxes[0]["what"]
    assert panel.params.prompt == "A fox"
    assert wire.answers("7")[0][0]["error"] == ""
