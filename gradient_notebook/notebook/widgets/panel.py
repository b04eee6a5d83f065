"""The panel: a form made from the declaration beside the live picture, and all its results in view."""

from __future__ import annotations

import asyncio
import contextlib
import os
import weakref
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any, Unpack

import ipywidgets
from IPython.core.getipython import get_ipython
from IPython.display import HTML

from ...api.credentials import refuse_key_in
from ...api.docstrings import with_entries
from ...api.errors import GradientNotebookError, InvalidRequestError, InvalidResponseError
from ...api.images import extension
from ...api.options import GenerateOptions, with_parameters_in_sight
from ...api.params import PARAMETERS, ImageGenerateParams
from ...api.settings import Settings
from ...api.text import SHORT, clean
from ...connect import discover, simulator_notice, without_key
from ...jobs import event_loop
from ...jobs.job import Job, new_job, restored_job
from ...jobs.recorder import Part
from ...jobs.reuse import answers_of
from ...jobs.runner import client_for
from ...jobs.threads import in_a_thread
from ...recipes import recipe_in
from ...recording import path_of
from ...session import DEFAULT_NAME, session
from ...storage.archive import Archive, get_default
from ...storage.ratings import ImageKey
from ...storage.record import Record
from ...storage.runs import newest_of
from .. import codegen, formatting, html
from ..cost_view import estimate_html
from ..execution import is_executed, is_terminal
from ..magic_args import complete_given, identifier
from ..missing import panel_words
from ..static_output import StaticFallback, image_of
from ..templates import interpolate
from .bundle import view_of
from .form import Form
from .live import Action, Gallery, LiveJob
from .panel_results import Result, Results


class Panel(ipywidgets.Box):  # type: ignore[misc] # ipywidgets has no types
    """Controls for all parameters beside the pictures that they make, and all its results in view.

    Args:
        name: the notebook variable that each result is assigned to.
        settings: where requests go, with which key, and their limits; `Settings.discover()` unless given.
        raw: False interpolates `{{expression}}` in a prompt that is given here, as in one that is typed.
        prompt: what the form begins with; it may be empty.
        record: a file to which all that comes is added, for `session.replay`.
        **params: likewise, the parameters of the API.

    Raises:
        InvalidRequestError: what the form cannot hold.

    >>> from gradient_notebook import Panel
    >>> panel = Panel("fox", prompt="A red fox", quality="low", size="1024x1024")
    >>> panel.generate().result().size
    (1024, 1024)
    >>> panel.close()
    """

    @with_parameters_in_sight
    def __init__(
        self,
        name: str = DEFAULT_NAME,
        *,
        settings: Settings | None = None,
        raw: bool = True,
        prompt: str | None = None,
        record: str | Path | None = None,
        **params: Unpack[GenerateOptions],
    ) -> None:
        self._shell = get_ipython()
        self._settings = settings
        self._record_to = None if record is None else path_of(record)
        values = complete_given({"prompt": prompt or "", **params}, session.defaults())
        # Checked before anything is made. A form may begin without a prompt, a request may not.
        checked = ImageGenerateParams.of({**values, "prompt": prompt or "a"})
        name = identifier(name)
        notice = simulator_notice() if settings is None and without_key() else ""
        self.form = Form(name, session.defaults, estimate_html, notice)
        self._gallery = Gallery().add_class("gradient-images")
        self._results = Results(self._gallery)
        self._recorded: tuple[list[str], ImageGenerateParams | None] = ([name, "no images yet"], None)
        self._behind = StaticFallback(self._record())
        super().__init__([self.form.box, self._gallery])
        self.add_class("gradient-panel")
        self.form.fill({**checked.given(), "prompt": prompt or ""}, interpolates=not raw)
        self._listen()
        self._find_models()
        self._bring_back()

    def _listen(self) -> None:
        self._gallery.controls = {name: control.model_id for name, control in self.form.in_a_browser.items()}
        asked = {
            "hello": self._on_hello,
            "generate": self._on_generate,
            "cancel": self._asked_to_cancel,
            "use": self._asked_to_use,
            "code": self._asked_for_code,
            "original": self._asked_for_original,
            "recipe": self._asked_to_read_recipe,
        }
        self._gallery.actions |= {name: self._on_message(action) for name, action in asked.items()}
        # In a browser the gallery's own script takes this click, and adds what the form shows there.
        self.form.generate_button.on_click(lambda _: self._gallery.actions["generate"]({}))

    @property
    def controls(self) -> dict[str, ipywidgets.ValueWidget]:
        """The control of each parameter, by the parameter's name."""
        return self.form.controls

    # What it says and has made

    @property
    def params(self) -> ImageGenerateParams:
        """What the form asks for, with values inserted for `{{ }}`; raises InvalidRequestError. Can be set."""
        given = self._given()
        prompt = given["prompt"]
        if self.form.interpolates.value and "{{" in prompt:
            # As in a cell, whose body is stripped, too.
            given["prompt"] = interpolate(prompt.strip(), self._shell.user_ns if self._shell else {}, advice=_BRACES)
        return ImageGenerateParams.of(given)

    @params.setter
    def params(self, params: ImageGenerateParams) -> None:
        self.form.fill(params.given(), interpolates=False)

    def _given(self) -> dict[str, Any]:
        """Return what the form says, the prompt as it was written; raise InvalidRequestError where there is none."""
        given = self.form.given()
        if not given.get("prompt", "").strip():
            raise InvalidRequestError("Write a prompt.", param="prompt", sent=None)
        return given

    @property
    def name(self) -> str:
        """The variable that results are assigned to; raises InvalidRequestError if it is no name. Can be set."""
        return self.form.name

    @name.setter
    def name(self, name: str) -> None:
        self.form.variable.value = identifier(name)

    @property
    def job(self) -> Job | None:
        """The newest job, running or not; None before the first."""
        return self._results.newest

    @property
    def images(self) -> list[Any]:
        """The images of the newest job that has finished with any, as PIL images; empty before."""
        return self._results.latest.images if self._results.latest else []

    @property
    def image(self) -> Any:
        """The first of `images`, or None."""
        return self.images[0] if self.images else None

    @property
    def shown(self) -> Any:
        """The finished image in view, opened from its original; None where there is none."""
        from ...imaging import open_image

        found = self._results.shown()
        try:
            return open_image(found[0].original(found[1])) if found else None
        except (OSError, InvalidResponseError):
            return None

    def as_cell(self) -> str:
        """Return the `%%imagegen` cell that makes the request of the form."""
        given = ImageGenerateParams.of(self._given())
        is_template = self.form.interpolates.value and "{{" in given.prompt
        return codegen.as_cell(given, self.name, session=session.defaults(), raw=not is_template)

    def as_python(self) -> str:
        """Return the Python call that makes the request of the form."""
        return codegen.as_python(self.params, self.name)

    # Making images

    def generate(self) -> Job:
        """Start what the form asks for, and return its job at once. Each image costs.

        What goes wrong later stands in the panel.

        Raises:
            InvalidRequestError: a value that cannot be sent, before anything is.
            InvalidSettingsError: a key or an endpoint that cannot be used.
        """
        params, name, settings = self.params, self.name, self._where_to()
        refuse_key_in(params.given(), settings.key)
        self.form.clear_errors()
        px = session.preview_px
        live = LiveJob(self._gallery, params, px, number=self._results.number(), keeps_partials=True)
        result = Result(live, name, self.form.given(), self.form.interpolates.value)
        result.job = job = new_job(
            params,
            settings,
            get_default(),
            lambda job: self._follow(result, job),
            part=Part(_place(name)),
            record=self._record_to,
        )
        self._gallery.boxes = []
        # Before it starts: an end that came first would find no result to show.
        self._results.add(result)
        job._start()
        self.form.show_estimate()
        return job

    def _follow(self, result: Result, job: Job) -> None:
        """Show where a job stands; told from a thread of the job's."""
        if not job.done():
            result.live.take_pictures(job)
            self._results.update()
        else:
            self._end(result, job)

    def _end(self, result: Result, job: Job) -> None:
        """Assign what has come first of all, then show it, and what has not."""
        if job.images:
            self._results.assign(result, job, lambda: self._assign(result.name, job))
        failure = job._failure
        result.live.take_pictures(job)
        boxes = [formatting.Box.of(error) for error in (failure, result.live.failure) if error]
        boxes += formatting.problems(job)
        unfinished = [formatting.summary(job.params), formatting.seconds(job._working_s)]
        caption = formatting.caption(result.name, job) if job.images else unfinished
        caption += formatting.extra_settings(job.params, session.defaults())
        self._results.end(result, result.live.state(job, caption=caption, boxes=[box.plain() for box in boxes]))
        self.form.show_estimate()
        name = getattr(failure, "param", None)
        # Somebody may have changed the control meanwhile: then the error is about what no longer stands there.
        if name in self.controls and self.form.still_says(name, result.given):
            self.form.show_error(name, f"{failure}")
        if job.images and (picture := image_of(job, session.preview_px)):
            self._recorded = (caption, job.params)
            self._behind.update(picture, self._record())

    def _assign(self, name: str, job: Job) -> None:
        if self._shell:
            self._shell.push({name: job._value})

    # What the browser asks for

    def _on_message(self, action: Action) -> Action:
        """Return `action` with what goes wrong in it shown: in a log it would be lost."""

        def on_message(content: dict[str, Any]) -> None:
            try:
                action(content)
            except Exception as error:  # noqa: BLE001 - see above
                self._show_error(error)
                # The browser waits for an answer: an error without words says that they stand elsewhere.
                if "id" in content:
                    self._gallery.answer(content, error="")

        return on_message

    def _on_hello(self, content: Mapping[str, Any]) -> None:
        is_first = not self._gallery.was_answered
        self._gallery.on_hello(content)
        if is_first:
            self._behind.update_line(self._record())

    def _on_generate(self, content: Mapping[str, Any]) -> None:
        try:
            self.form.accept(content.get("form", {}))
            self.generate()
        finally:
            # After a refusal, too: the browser ignores further clicks until it has heard that this one was handled.
            self._gallery.clicks += 1

    def _asked_to_cancel(self, content: Mapping[str, Any]) -> None:
        result = self._results.find(content.get("job"))
        if result and result.job:
            result.job.cancel()

    def _asked_to_use(self, content: Mapping[str, Any]) -> None:
        if result := self._results.find(content.get("job")):
            self.form.fill(result.given, interpolates=result.interpolates)

    def _asked_to_read_recipe(self, content: Mapping[str, Any]) -> None:
        """Fill the form with the settings inside of a file: text from elsewhere is data, and nothing of it is sent."""
        name = clean(content.get("name") or "The file", SHORT)
        params = recipe_in(content["buffers"][0] if content.get("buffers") else b"", name)
        self.params = params
        self._gallery.boxes = [formatting.Box(f"The form has the settings of {name}.", kind="done").plain()]
        self._gallery.answer(content)

    def _asked_for_code(self, content: Mapping[str, Any]) -> None:
        self.form.accept(content.get("form", {}))
        text = self.as_cell() if content.get("language") == "cell" else self.as_python()
        self._gallery.answer(content, text=text)

    def _asked_for_original(self, content: Mapping[str, Any]) -> None:
        number, slot = content["job"], int(content["tile"])
        try:
            name, data = self._results.original(number, slot)
        except (OSError, LookupError) as error:
            self._gallery.answer(content, error=f"The original file is not available: {error}")
            return
        suffix = extension(data)
        self._gallery.answer(content, [data], mime=f"image/{suffix[1:]}", name=f"{name}-{number}-{slot + 1}{suffix}")

    def _show_error(self, error: Exception) -> None:
        """Say what is wrong beside the control that it is about, or else above the picture."""
        if not (isinstance(error, InvalidRequestError) and self.form.show_error(error.param, f"{error}")):
            self._gallery.boxes = [formatting.Box.of(error).plain()]

    def _record(self) -> dict[str, str]:
        """Return what stands behind the panel, and what may be missing as long as no panel has answered."""
        return html.record(*self._recorded, "" if self._gallery.was_answered or is_executed() else panel_words())

    def _where_to(self) -> Settings:
        return self._settings or discover()

    # Models

    def _find_models(self) -> None:
        """Ask the service for its models, and do not wait for them."""
        with contextlib.suppress(GradientNotebookError):  # told when something is generated
            settings = self._where_to()
            asyncio.run_coroutine_threadsafe(_offer_models(weakref.ref(self.form), settings), event_loop.get_loop())

    # What an earlier kernel has made

    def _bring_back(self) -> None:
        """Show the last results of this variable in this notebook: on a thread, while the panel is there already."""
        self._bringing_back: Future[None] | None = None
        archive, name = get_default(), self.name
        with contextlib.suppress(OSError, GradientNotebookError):  # told when something is generated
            if archive and (records := newest_of(archive.ledger, _place(name), _BROUGHT_BACK)):
                # Before anybody can click: what is generated now comes after them.
                numbered = [(self._results.number(), record) for record in records]
                work = partial(self._restore, archive, self._where_to(), numbered)
                self._bringing_back = asyncio.run_coroutine_threadsafe(in_a_thread(work), event_loop.get_loop())

    def _restore(self, archive: Archive, settings: Settings, records: Sequence[tuple[int, Record]]) -> None:
        is_free = self._shell is not None and self.name not in self._shell.user_ns
        for number, record in records:
            with contextlib.suppress(OSError, GradientNotebookError):
                if answers := answers_of(archive, record):
                    job = restored_job(record, answers, settings)
                    keys = {at: (record.id, answer.image.position) for at, answer in enumerate(answers)}
                    self._show_restored(number, job, assigns=is_free, kept=(archive, keys))

    def _show_restored(
        self, number: int, job: Job, *, assigns: bool, kept: tuple[Archive, Mapping[int, ImageKey]]
    ) -> None:
        name, defaults = self.name, session.defaults()
        live = LiveJob(self._gallery, job.params, session.preview_px, number=number, keeps_partials=True)
        result = Result(live, name, job.params.given(), interpolates=False, job=job)
        live.take_pictures(job)
        caption = [*formatting.caption(name, job), *formatting.extra_settings(job.params, defaults)]
        is_newest = self._results.restore(result, live.state(job, caption=caption), *kept)
        if assigns:
            self._results.assign(result, job, lambda: self._assign(name, job))
        if is_newest and (picture := image_of(job, session.preview_px)):
            self._recorded = (caption, job.params)
            self._behind.update(picture, self._record())

    # In the notebook

    # Not a MIME bundle, which is one output: these are three, and each is updated under a display id of its own.
    def _ipython_display_(self) -> None:
        """Show the panel, and behind it what a saved notebook shows in its place."""
        if is_terminal():
            print("A panel needs a notebook. Here generate() and %imagegen make images.")  # noqa: T201 - a terminal has lines
            return
        self._behind.show(view_of(self))

    def _display_(self) -> HTML:
        """Say what marimo has instead, whose protocol this is: it renders anywidgets, and no other."""
        return HTML(html.box(_IN_MARIMO)["text/html"])

    def close(self) -> None:
        """Take the panel out of the notebook, and free what it holds; its last image stays as an ordinary output.

        What is under way goes on: it is kept on disk, and assigned.
        """
        if self.comm is None:
            return
        self._behind.remove_widget()
        self._results.clear()
        for widget in _all_widgets(self):
            # ipywidgets holds each style and layout until it is closed itself.
            for part in (getattr(widget, "style", None), widget.layout, widget):
                if part is not None and part is not self:
                    part.close()
        super().close()


_BRACES = "To send the braces as they are, uncheck Insert {{ }}."
_IN_MARIMO = formatting.Box(
    "marimo cannot show this panel: its form is made of ipywidgets.",
    "Use prompt = mo.ui.text_area().form() in one cell and job = submit(prompt.value) in the next: a cell that ends with "
    "the job shows it live.",
    kind="done",
)

Panel.__doc__ = with_entries(Panel.__doc__, [one.entry for name, one in PARAMETERS.items() if name != "prompt"])


async def _offer_models(form: weakref.ref[Form], settings: Settings) -> None:
    with contextlib.suppress(GradientNotebookError):
        models = await client_for(settings).models.list()
        names = models.image_models or [model.id for model in models.data]
        if there := form():  # a closed panel does not wait for them
            there.offer_models(names)


def _all_widgets(widget: ipywidgets.DOMWidget) -> list[ipywidgets.DOMWidget]:
    return [widget, *(below for child in getattr(widget, "children", ()) for below in _all_widgets(child))]


_BROUGHT_BACK = 8
"""How many results of an earlier kernel a panel begins with."""


def _place(name: str) -> str:
    """Return what a panel's results are found by: its variable, in the notebook that runs it, as far as that is known."""
    return f"panel {name} {os.environ.get('JPY_SESSION_NAME', '')}".rstrip()
