"""The panel: controls from the declaration beside the live picture, and all its results in view."""

from __future__ import annotations

import asyncio
import contextlib
import html
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import ipywidgets
from IPython.core.getipython import get_ipython

from ..api.errors import GradientNotebookError, InvalidRequest
from ..api.params import PARAMETERS, ImageGenerateParams
from ..api.settings import Settings, simulator_notice, without_key
from ..jobs import loop
from ..jobs.archive import extension
from ..jobs.job import Job, client_for
from ..jobs.tile import Tile
from . import code, wording
from .config import session_config
from .controls import Form
from .interpolation import interpolate
from .live import Film, LiveJob
from .options import DEFAULT_NAME, complete_given, identifier
from .ordinary import Behind, image_of

KEPT_RESULTS = 50
"""How many results stay in view. Older ones stay on disk."""


@dataclass
class Result:
    """What one click on Generate has made: enough to show it, to hand over its originals, and to ask for it again."""

    live: LiveJob
    name: str
    given: Mapping[str, Any]
    """What the form said: the prompt as it was typed."""
    inserts: bool
    job: Job | None
    """None once it is no longer the newest: its pictures are large, and its originals lie on disk."""
    tiles: list[Tile] = field(default_factory=list)
    """Of a job that is no longer held, without the pictures."""
    state: dict[str, Any] = field(default_factory=dict)
    """What is to be seen of it, once it has ended."""

    @property
    def has_ended(self) -> bool:
        """Whether its end has been seen to: a job itself ends a little before."""
        return bool(self.state)

    def original(self, index: int) -> bytes:
        """Return the bytes of an image as the service sent them. Raises OSError where they are gone."""
        tile = (self.job.tiles if self.job else self.tiles)[index]
        if tile.path and tile.path.exists():
            return tile.path.read_bytes()
        if tile.image_bytes is None:
            msg = f"The original is no longer at {tile.path}."
            raise FileNotFoundError(msg)
        return tile.image_bytes

    def let_go(self) -> None:
        """Keep what is small: of an image on disk its place, of another its file."""
        if self.job:
            self.tiles = [
                Tile(tile.status, path=tile.path, image_bytes=None if tile.path else tile.image_bytes)
                for tile in self.job.tiles
            ]
            self.job = None


class Panel(ipywidgets.Box):  # type: ignore[misc] # ipywidgets has no types
    """Controls for all parameters beside the pictures that they make.

    `name` is the notebook variable that each result is assigned to. What else is given fills the form: the parameters
    are those of `ImageGenerateParams`. A prompt given here is sent as it is; `raw=False` inserts `{{expression}}` in it,
    as in one that is typed. `settings` say where to (`Settings.discover`). Raises InvalidRequest for what the form
    cannot hold.

    `controls` has the control of each parameter, `job` the newest job, `image` and `images` what the newest finished
    one has made (PIL, width x height in pixels), `shown` the image in view.
    """

    def __init__(
        self, name: str = DEFAULT_NAME, *, settings: Settings | None = None, raw: bool = True, **params: Any
    ) -> None:
        self._shell = get_ipython()
        self._config = session_config(self._shell)
        self._settings = settings
        self._results: dict[str, Result] = {}
        self._newest: Result | None = None
        self._latest: Job | None = None
        self._lock = threading.RLock()
        self._begun = 0
        given, name = self._initial(params), identifier(name)  # before anything is made
        self._behind = Behind(wording.record([name, "nothing made yet"]))
        self._make(name)
        super().__init__([self._left, self._picture])
        self.add_class("gradient-panel")
        self._fill(given, inserts=not raw)
        self._find_models()

    def _initial(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the form begins with: what was given, completed by the session's defaults."""
        values = complete_given(params, self._config.defaults())
        checked = ImageGenerateParams.of({**values, "prompt": values.get("prompt") or "a"})
        return {**checked.given(), "prompt": values.get("prompt", "")}

    # What it is made of

    def _make(self, name: str) -> None:
        self.form = Form(self._config.defaults(), self._changed)
        self.variable = ipywidgets.Text(
            value=name, description="Variable", tooltip="Notebook variable that the image is assigned to."
        )
        self._variable_note = ipywidgets.HTML(layout=self.form.layout).add_class("gradient-note")
        self.inserts = ipywidgets.Checkbox(
            value=True, indent=False, description="Insert {{ }}", tooltip="Insert values from the notebook for {{ }}."
        )
        self.generate_button = _button("Generate", "generate", "Make the image (Ctrl+Enter).", "primary")
        self._cell_button = _button("Copy as cell", "cell", "Copy the %%imagegen cell that makes the same request.")
        self._python_button = _button("Copy as Python", "python", "Copy the Python call that makes the same request.")
        self._estimate = ipywidgets.HTML(layout=self.form.layout).add_class("gradient-estimate")
        self._picture = Film(preview_px=self._config.preview_px).add_class("gradient-images")
        self._picture.controls = {name: control.model_id for name, control in self.controls.items()}
        self._left = ipywidgets.VBox(self._rows(), layout=self.form.layout).add_class("gradient-form")
        self._listen()

    def _rows(self) -> list[ipywidgets.Widget]:
        fields = self.form.fields
        often = [fields[name].box for name, parameter in PARAMETERS.items() if parameter.often and name != "prompt"]
        seldom = [name for name, parameter in PARAMETERS.items() if not parameter.often]
        titles = (f"More: {', '.join(PARAMETERS[name].label.lower() for name in seldom)}",)
        more = ipywidgets.VBox([fields[name].box for name in seldom], layout=self.form.layout).add_class(
            "gradient-folded"
        )
        self._more = ipywidgets.Accordion([more], titles=titles, selected_index=None).add_class("gradient-more")
        notice = [_quiet(simulator_notice().partition(": ")[2])] if self._settings is None and without_key() else []
        return [
            fields["prompt"].box,
            self.inserts,
            *often,
            self._more,
            ipywidgets.VBox([self.variable, self._variable_note], layout=self.form.layout).add_class("gradient-field"),
            self._row(self.generate_button, self._estimate),
            self._row(self._cell_button, self._python_button),
            *notice,
        ]

    def _row(self, *children: ipywidgets.Widget) -> ipywidgets.Box:
        return ipywidgets.Box(children, layout=self.form.layout).add_class("gradient-row")

    def _listen(self) -> None:
        self.controls["prompt"].observe(self._prompt_changed, "value")
        self.inserts.observe(lambda _: self._changed(), "value")
        self.variable.observe(lambda _: self._say_of_variable(""), "value")
        # In a browser the picture's own script takes these clicks, and adds what the form shows there.
        self.generate_button.on_click(lambda _: self._asked_to_generate({}))
        self._picture.actions |= {
            "generate": self._asked_to_generate,
            "cancel": self._asked_to_cancel,
            "use": self._asked_to_use,
            "code": self._asked_for_code,
            "original": self._asked_for_original,
        }

    @property
    def controls(self) -> dict[str, ipywidgets.ValueWidget]:
        """The control of each parameter, by the parameter's name."""
        return self.form.controls

    # What it says and has made

    @property
    def params(self) -> ImageGenerateParams:
        """What the form asks for, with values inserted for `{{ }}`; raises InvalidRequest. Can be set."""
        given = self.form.given()
        if self.inserts.value:
            given["prompt"] = interpolate(given.get("prompt", ""), self._namespace)
        return ImageGenerateParams.of(given)

    @params.setter
    def params(self, params: ImageGenerateParams) -> None:
        self._fill(params.given(), inserts=False)

    @property
    def name(self) -> str:
        """The variable that results are assigned to; raises InvalidRequest if it is no name. Can be set."""
        return identifier(self.variable.value.strip())

    @name.setter
    def name(self, name: str) -> None:
        self.variable.value = identifier(name)

    @property
    def job(self) -> Job | None:
        """The newest job, running or not; None before the first."""
        return self._newest.job if self._newest else None

    @property
    def images(self) -> list[Any]:
        """The images of the newest job that has finished with any, as PIL images; empty before."""
        return self._latest.images if self._latest else []

    @property
    def image(self) -> Any:
        """The first of `images`, or None."""
        return self.images[0] if self.images else None

    @property
    def shown(self) -> Any:
        """The finished image in view, opened from its original; None where there is none."""
        from ..imaging import open_image

        number, _, index = self._picture.selected.partition(".")
        result = self._results.get(number)
        try:
            return open_image(result.original(int(index or 0))) if result else None
        except (OSError, IndexError):
            return None

    def as_cell(self) -> str:
        """Return the `%%imagegen` cell that makes the request of the form."""
        given = ImageGenerateParams.of(self.form.given())
        return code.as_cell(given, self.name, session=self._config.defaults(), raw=not self.inserts.value)

    def as_python(self) -> str:
        """Return the Python call that makes the request of the form."""
        return code.as_python(self.params, self.name)

    # Making images

    def generate(self) -> Job:
        """Start what the form asks for, and return its job at once. Each image costs.

        Raises InvalidRequest and InvalidSettings before anything is sent; what comes later stands in the panel.
        """
        params, name = self.params, self.name
        settings = self._settings or Settings.discover(**self._config.timeouts())
        self._begun += 1
        live = LiveJob(self._picture, params, self._config.preview_px, number=self._begun, keeps_partials=True)
        result = Result(live, name, self.form.given(), self.inserts.value, None)
        result.job = job = Job(params, settings, self._config.the_archive(), lambda job: self._follow(result, job))
        self._picture.boxes = []
        self._begin(result)
        job.start()
        return job

    def _begin(self, result: Result) -> None:
        with self._lock:
            if self._newest and self._newest.has_ended:
                self._newest.let_go()
            self._newest = result
            self._results[result.live.id] = result
            self._publish()
            self._picture.selected = result.live.id

    def _follow(self, result: Result, job: Job) -> None:
        """Show where a job stands; told from a thread of the job's."""
        result.live.take_pictures(job)
        if job.status == "running":
            with self._lock:
                self._publish()
        else:
            self._end(result, job)

    def _end(self, result: Result, job: Job) -> None:
        if job.images:
            self._latest = job
            if self._shell:
                self._shell.push({result.name: job.value})
        failure = job.failure
        boxes = [wording.Box.of(failure)] if failure else []
        boxes += wording.shortcomings(job)
        cost = self._config.cost(job.usage) if job.usage else ""
        caption = wording.caption(result.name, job, cost) if job.images else []
        told = [
            *(caption or [wording.described(job.params), wording.seconds(job.elapsed_s)]),
            *wording.further(job.params, self._config.defaults()),
        ]
        with self._lock:
            result.state = result.live.state(job, caption=told, boxes=[box.plain() for box in boxes])
            if result is not self._newest:
                result.let_go()
            self._drop_old()
            self._publish(ended=True)
        self._complain_of(failure)
        self._keep(job, caption)

    def _publish(self, *, ended: bool = False) -> None:
        running = []
        finished = []
        for result in reversed(self._results.values()):
            if result.job and not result.has_ended:
                running.append(result.live.state(result.job))
            else:
                finished.append(result.state)
        if ended:  # first: a job must not be in neither of them
            self._picture.finished = finished
        self._picture.running = running

    def _drop_old(self) -> None:
        ended = [number for number, result in self._results.items() if result.has_ended]
        for number in ended[:-KEPT_RESULTS]:
            self._picture.forget(self._results.pop(number).live.keys)

    # What the browser asks for

    def _asked_to_generate(self, content: Mapping[str, Any]) -> None:
        try:
            self.form.forgive()
            self.form.accept(content.get("form", {}))
            self.generate()
        except Exception as error:  # noqa: BLE001 - what is not shown here would be lost in a log
            self._complain(error)
        finally:
            self._picture.heard += 1

    def _asked_to_cancel(self, content: Mapping[str, Any]) -> None:
        result = self._results.get(str(content.get("job")))
        if result and result.job:
            result.job.cancel()

    def _asked_to_use(self, content: Mapping[str, Any]) -> None:
        if result := self._results.get(str(content.get("job"))):
            self._fill(result.given, inserts=result.inserts)

    def _asked_for_code(self, content: Mapping[str, Any]) -> None:
        try:
            self.form.forgive()
            self.form.accept(content.get("form", {}))
            text = self.as_cell() if content.get("language") == "cell" else self.as_python()
        except GradientNotebookError as error:
            self._complain(error)
            self._picture.answer(content, error="")
        else:
            self._picture.answer(content, text=text)

    def _asked_for_original(self, content: Mapping[str, Any]) -> None:
        result = self._results.get(str(content.get("job")))
        try:
            data = result.original(int(content["tile"])) if result else b""
        except OSError as error:
            self._picture.answer(content, error=str(error))
            return
        suffix = extension(data)
        name = f"{result.name if result else 'image'}-{content['job']}-{int(content['tile']) + 1}{suffix}"
        self._picture.answer(content, [data], mime=f"image/{suffix[1:]}", name=name)

    # What is wrong

    def _complain(self, error: Exception) -> None:
        """Say what is wrong beside the control that it is about, or else under the picture."""
        if isinstance(error, InvalidRequest) and self._complain_of(error):
            return
        self._picture.boxes = [wording.Box.of(error).plain()]

    def _complain_of(self, error: Exception | None) -> bool:
        """Say beside a control what is wrong with it, and return whether there is one."""
        name = getattr(error, "parameter", None)
        if name == "name":
            self._say_of_variable(f"{error}")
        elif name in self.form.fields:
            if not PARAMETERS[name].often:
                self._more.selected_index = 0
            self.form.complain(name, f"{error}")
        else:
            return False
        return True

    def _say_of_variable(self, words: str) -> None:
        self._variable_note.value = (
            f'<div class="gradient-wrong" role="alert">{html.escape(words)}</div>' if words else ""
        )

    # Changes of the form

    def _fill(self, given: Mapping[str, Any], *, inserts: bool) -> None:
        self.form.fill(given)
        self.inserts.value = inserts or "{{" not in given.get("prompt", "")

    def _prompt_changed(self, change: Mapping[str, Any]) -> None:
        """Insert values only into what a person has typed: text that comes from elsewhere is data."""
        if "{{" not in change["new"]:
            self.inserts.value = True
        elif not change["owner"].typing:
            self.inserts.value = False

    def _changed(self) -> None:
        if not hasattr(self, "_estimate"):
            return  # still being made
        self.inserts.layout.display = "" if "{{" in self.controls["prompt"].value else "none"
        try:
            params = ImageGenerateParams.of({**self.form.given(), "prompt": "a"})
            words = wording.tokens(params, self._config.price)
        except GradientNotebookError:
            words = ""
        self._estimate.value = html.escape(words)

    @property
    def _namespace(self) -> Mapping[str, Any]:
        return self._shell.user_ns if self._shell else {}

    # Models

    def _find_models(self) -> None:
        """Ask the service for its models, and do not wait for them."""
        with contextlib.suppress(GradientNotebookError):  # told when something is generated
            settings = self._settings or Settings.discover(**self._config.timeouts())
            asyncio.run_coroutine_threadsafe(self._offer_models(settings), loop.the_loop())

    async def _offer_models(self, settings: Settings) -> None:
        with contextlib.suppress(GradientNotebookError):
            models = await client_for(settings).models.list()
            names = models.image_models or [model.id for model in models.data]
            for name, parameter in PARAMETERS.items():
                if parameter.listed:
                    self.controls[name].options = tuple(names)

    # In the notebook

    def _ipython_display_(self) -> None:
        """Show the panel, and behind it what a saved notebook shows in its place."""
        self._behind.show(super()._repr_mimebundle_() or {})

    def _keep(self, job: Job, caption: list[str]) -> None:
        """Let a saved notebook show the last image and its settings."""
        picture = image_of(job, self._config.preview_px) if caption else None
        if picture:
            self._behind.update(picture, wording.record(caption, job.params))

    def close(self) -> None:
        """Take the panel out of the notebook, and free what it holds; its last image stays as an ordinary output.

        What is under way goes on: it is kept on disk, and assigned.
        """
        if self.comm is None:
            return
        self._behind.uncover()
        self._results.clear()
        for widget in _all_widgets(self):
            for part in (getattr(widget, "style", None), widget.layout, widget):
                if part is not None and part is not self:
                    part.close()
        super().close()


def _all_widgets(widget: ipywidgets.DOMWidget) -> list[ipywidgets.DOMWidget]:
    return [widget, *(below for child in getattr(widget, "children", ()) for below in _all_widgets(child))]


def _button(words: str, action: str, tooltip: str, style: str = "") -> ipywidgets.Button:
    button = ipywidgets.Button(description=words, tooltip=tooltip, button_style=style)
    return button.add_class(f"gradient-form-{action}")


def _quiet(words: str) -> ipywidgets.HTML:
    return ipywidgets.HTML(f'<div class="gradient-notice">{html.escape(words)}</div>').add_class("gradient-note")
