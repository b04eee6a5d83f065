"""What a panel leaves in the notebook and in memory: an ordinary image, no bytes in widgets, and nothing once closed."""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import os
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import ipywidgets
import pytest
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from ipywidgets.widgets.widget import _instances
from PIL import Image

import gradient_notebook
from gradient_notebook.api.credentials import Key
from gradient_notebook.api.errors import InvalidRequestError
from gradient_notebook.api.params import PARAMETERS, ImageGenerateParams
from gradient_notebook.api.settings import Settings
from gradient_notebook.connect import discover
from gradient_notebook.jobs import event_loop
from gradient_notebook.jobs.job import new_job
from gradient_notebook.notebook.static_output import image_of
from gradient_notebook.notebook.widgets import panel_results as module
from gradient_notebook.notebook.widgets.panel import Panel
from gradient_notebook.simulator import Simulator

from .test_panel import HTML, SILENT, Wire, answer, ask, picture, shelled, wired

wire = pytest.fixture(wired)
shell = pytest.fixture(shelled)
KEY = "sk-do-for-tests-only"


@pytest.fixture
def panel(configured: Simulator, shell: InteractiveShell, wire: Wire) -> Panel:
    return Panel("otter", prompt="A fox")


@pytest.fixture
def outputs(shell: InteractiveShell) -> Iterator[CapturingDisplayPublisher]:
    """What a notebook shows: the newest data under each display id, in order."""
    before, shell.display_pub = shell.display_pub, CapturingDisplayPublisher()
    yield shell.display_pub
    shell.display_pub = before


def page(outputs: CapturingDisplayPublisher) -> list[dict[str, Any]]:
    """The outputs as they stand now, each update in its place."""
    found: dict[str, dict[str, Any]] = {}
    for output in outputs.outputs:
        found[output["transient"]["display_id"]] = output["data"]
    return list(found.values())


def collected() -> None:
    """Collect also what a thread of the package holds until it takes its next step."""
    event_loop.run(asyncio.sleep(0))
    gc.collect()


def test_what_is_changed_often_is_in_view_and_the_rest_folded(panel: Panel) -> None:
    """Each control stands in the panel once, in its place."""
    boxes = {name: field.box for name, field in panel.form.fields.items()}
    [folded] = panel.form._more.children
    assert list(folded.children) == [boxes[name] for name, parameter in PARAMETERS.items() if not parameter.often]
    assert panel.form._more.selected_index is None
    often = {id(boxes[name]) for name, parameter in PARAMETERS.items() if parameter.often}
    assert often <= {id(child) for child in panel.form.box.children}
    controls = {name: control.model_id for name, control in panel.controls.items()}
    assert controls.items() <= panel._gallery.controls.items()


def test_controls_are_widgets_to_observe_and_link(panel: Panel) -> None:
    """A slider of one's own drives the form, and hears of it."""
    mine, seen = ipywidgets.IntSlider(1, 1, 10), []
    ipywidgets.link((mine, "value"), (panel.controls["n"], "value"))
    panel.controls["size"].observe(lambda change: seen.append(change["new"]), "value")
    mine.value = 4
    panel.controls["size"].value = "1024x1024"
    assert (panel.params.n, seen) == (4, ["1024x1024"])


def test_a_parameter_that_is_new_in_the_declaration_is_in_the_panel(configured: Simulator, tmp_path: Path) -> None:
    """One more line of `ImageGenerateParams`, and it has a control, is sent when it is given, and only then."""
    package = Path(gradient_notebook.__file__).parent
    for path in package.rglob("*.*"):
        if path.suffix in (".py", ".mjs", ".css"):
            copy = tmp_path / "gradient_notebook" / path.relative_to(package)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    declaration = tmp_path / "gradient_notebook" / "api" / "params.py"
    source = declaration.read_text(encoding="utf-8")
    assert source.count("    extra: Annotated[") == 1
    seed = 'seed: Annotated[int | None, Parameter(often=True, minimum=0, help="Where chance begins.")] = None'
    style = 'style: Annotated[str | None, Parameter(choices=("vivid", "natural"), help="How it looks.")] = None'
    tiled = 'tiled: Annotated[bool | None, Parameter(help="Whether it repeats.")] = None'
    new = "".join(f"    {line}\n" for line in (seed, style, tiled))
    declaration.write_text(source.replace("    extra: Annotated[", f"{new}    extra: Annotated["), encoding="utf-8")
    code = (
        "from gradient_notebook import Panel, ImageGenerateParams as P\n"
        "p = Panel(prompt='x', stream=False)\n"
        "print(p.form.given(), p.controls['seed'].description, p.controls['seed'].tooltip)\n"
        "p.params = P(prompt='x', seed=7, style='vivid', tiled=False, stream=False)\n"
        "print(p.form.given(), p.as_cell())\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, second, *_ = done.stdout.splitlines()
    assert first == "{'prompt': 'x', 'stream': False} Seed Where chance begins. Allowed: a whole number, 0 or more."
    assert second.startswith("{'prompt': 'x', 'stream': False, 'seed': 7, 'style': 'vivid', 'tiled': False} %%imagegen")
    assert "--seed 7 --style vivid --no-tiled" in second


def traces(data: bytes) -> tuple[str, str]:
    """A piece of an image as it would stand in JSON: as base64, and as a list of numbers."""
    return base64.b64encode(data).decode()[:40], str(list(data[:12]))[1:-1]


def test_no_image_and_no_key_stand_in_the_state_of_a_widget(panel: Panel, configured: Simulator, wire: Wire) -> None:
    """Neither what is saved nor any update of a trait holds one: pictures go in messages, the key nowhere."""
    configured.script([answer("red", "green", "blue")])
    panel.generate().exception()
    saved = ipywidgets.Widget.get_manager_state()["state"]
    assert panel._gallery.model_id in saved
    assert len(panel._gallery._pictures) == 3
    known = [*map(picture, ("red", "green", "blue")), *(small.data for small in panel._gallery._pictures.values())]
    updates = [data for _, data, buffers in wire if data["type"] == "comm_open" or data.get("method") == "update"]
    assert all(not buffers for _, data, buffers in wire if data in updates)
    text = json.dumps([saved, updates])  # raises for bytes
    assert [trace for data in known for trace in traces(data) if trace in text] == []
    assert KEY not in repr(list(wire)) + text
    pictures = [buffers for _, data, buffers in wire if data.get("content", {}).get("type") == "picture"]
    assert [[small.data] for small in panel._gallery._pictures.values()] == pictures


def test_only_so_many_results_stay(panel: Panel, configured: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of older ones the previews are let go, too, and their originals stay on disk; one that still runs is kept."""
    monkeypatch.setattr(module, "KEPT_RESULTS", 2)
    configured.script([SILENT])
    running = panel.generate()
    assert configured.wait_for(lambda: len(configured.posts) == 1)
    configured.script([answer(color) for color in ("red", "green", "blue")])
    files = []
    for _ in range(3):
        job = panel.generate()
        job._wait()
        files.append(job._slots[0].path)
    assert [one["id"] for one in panel._gallery.finished] == ["4", "3"]
    assert [one["id"] for one in panel._gallery.running] == ["1"]
    assert sorted(panel._gallery._pictures) == ["3.0.0", "4.0.0"]
    assert all(path and path.exists() for path in files)
    running.cancel()
    running.exception()
    assert len(panel._gallery.finished) == 2


def test_images_of_older_results_are_let_go(panel: Panel, configured: Simulator, shell: InteractiveShell) -> None:
    """Only the newest finished job's are held; what lies on disk is opened from there."""
    configured.script([answer("red"), answer("blue")])
    panel.generate().exception()
    held = [weakref.ref(panel.image), weakref.ref(panel.job)]
    shell.user_ns.clear()
    panel.generate().exception()
    collected()
    assert [one() for one in held] == [None, None]
    panel._gallery.selected = "1.0"
    assert panel.shown.getpixel((0, 0)) == (255, 0, 0)


def test_what_cannot_be_opened_is_not_in_view(panel: Panel, configured: Simulator) -> None:
    """`shown` is None for a result that is no image, and for one that never was."""
    configured.script([{"body": {"created": 1, "data": [{"b64_json": "bm8="}]}}])
    panel.generate().exception()
    assert panel._gallery.finished[0]["status"] == "failed"
    for selected in ("1", "1.0", "1.7", "9.0", ""):
        panel._gallery.selected = selected
        assert panel.shown is None


def test_everything_is_freed_when_panels_are_closed(configured: Simulator, shell: InteractiveShell) -> None:
    """Twenty panels, opened, used and closed: no widget, no panel, no image and no thread more than before."""

    def use() -> list[weakref.ref[Any]]:
        panel = Panel(prompt="A fox")
        panel.generate().exception()
        panel.controls["output_format"].value = "jpeg"
        held: list[weakref.ref[Any]] = [
            weakref.ref(panel),
            weakref.ref(panel.form),
            weakref.ref(panel.job),
            weakref.ref(panel.image),
        ]
        panel.close()
        panel.close()
        shell.user_ns.clear()
        return held

    configured.script([answer("red", "green")] * 21)
    use()
    widgets, threads = set(_instances), {thread.name for thread in threading.enumerate()}
    count = threading.active_count()
    held = [one for _ in range(20) for one in use()]
    collected()
    assert set(_instances) == widgets
    assert {one() for one in held} == {None}
    more = {thread.name for thread in threading.enumerate()} - threads
    assert {name.rpartition("_")[0] for name in more} <= {"asyncio", "simulator-painter"}  # pools, which have an end
    assert threading.active_count() < count + 12  # the pools have at most eight; each panel would have one at least


def test_a_panel_that_was_not_made_leaves_nothing() -> None:
    """A mistake in its arguments costs no widgets."""
    before = set(_instances)
    for wrong in ({"size": "big"}, {"sise": "auto"}, {"name": "a b"}, {"n": 99}):
        with pytest.raises(InvalidRequestError):
            Panel(**wrong, settings=Settings(endpoint="http://127.0.0.1:9", key=Key(KEY, "test")))
    assert set(_instances) == before


def test_a_service_that_does_not_answer_holds_nothing_up() -> None:
    """The panel is there at once, and closed it is gone, while the list of models is still to come."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        panel = Panel(prompt="x", settings=Settings(endpoint=address, key=Key(KEY, "test")))
        with silent.accept()[0] as connection:
            assert connection.recv(4).startswith(b"GET ")
            gone = weakref.ref(panel)
            panel.close()
            del panel
            collected()
            kept = gone() is not None
    assert not kept


def test_what_is_under_way_goes_on_when_its_panel_is_closed(
    panel: Panel, configured: Simulator, shell: InteractiveShell, outputs: CapturingDisplayPublisher
) -> None:
    """It is kept on disk, assigned, and stands in the notebook."""
    panel._ipython_display_()
    configured.script([{**answer("green"), "delay": 0.05}])
    job = panel.generate()
    panel.close()
    job._wait()
    assert shell.user_ns["otter"] is job.images[0]
    assert job._slots[0].path
    assert job._slots[0].path.read_bytes() == picture("green")
    assert "image/jpeg" in page(outputs)[1]


def test_a_saved_notebook_shows_the_last_image(
    panel: Panel, configured: Simulator, outputs: CapturingDisplayPublisher
) -> None:
    """Behind the widget stand an ordinary image and what made it, escaped; closing takes the widget alone away."""
    panel._ipython_display_()
    view, image, line = page(outputs)
    assert view["application/vnd.jupyter.widget-view+json"]["model_id"] == panel.model_id
    assert "image/jpeg" not in image
    assert "no images yet" in line["text/plain"]
    configured.script([answer("red"), {"status": 500}])
    panel.params = ImageGenerateParams(prompt=HTML, quality="low", model="<b>", stream=True, partial_images=2)
    panel.generate().exception()
    panel.generate().exception()
    assert panel.job
    assert panel.job.status == "failed"
    _, image, line = page(outputs)
    assert Image.open(BytesIO(base64.b64decode(image["image/jpeg"]))).size == (8, 8)
    assert image["text/plain"] == HTML
    assert all(words in line["text/plain"] for words in ("otter", HTML, "quality low", "Run this cell"))
    assert "<img" not in line["text/html"]
    panel.close()
    assert page(outputs) == [{"text/plain": ""}, image, line]


def test_markup_is_text_wherever_it_comes_from(configured: Simulator, shell: InteractiveShell, wire: Wire) -> None:
    """Prompts, models, names, users and prices are escaped in everything that is HTML."""
    shell.run_line_magic("load_ext", "gradient_notebook")
    shell.run_line_magic("config", f"ImageGen.prices = {{'source': {HTML!r}, {HTML!r}: {{'per_image': 1}}}}")
    panel = Panel(prompt=HTML, model=HTML, user=HTML, extra={HTML: HTML})
    panel.controls["extra"].value = HTML
    panel.form.variable.value = HTML
    panel.form.generate_button.click()
    ask(panel, "generate", form={"extra": "", "prompt": ""})
    panel.controls["size"].value = HTML
    texts = [widget.value for widget in _instances.values() if isinstance(widget, ipywidgets.HTML)]
    assert [text for text in texts if "<img" in text] == []
    assert any("&lt;img" in text for text in texts)
    assert configured.posts == []
    shell.run_line_magic("unload_ext", "gradient_notebook")


def test_there_is_no_image_of_nothing(configured: Simulator) -> None:
    """Without a job, or before the first picture, nothing stands for it."""
    params = ImageGenerateParams(prompt="x")
    assert image_of(None, 64) is None
    assert image_of(new_job(params, discover()), 64) is None
