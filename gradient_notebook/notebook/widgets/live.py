"""The live picture: one widget for pictures on their way and for those that have come, used by the cell and the panel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import anywidget
import ipywidgets
from traitlets import Bool, Dict, Int, List, Unicode

from ...api.errors import InvalidResponseError
from ...api.events import LONGEST_PROMPT
from ...api.models import SIZE
from ...api.params import ImageGenerateParams
from ...api.text import clean, shortened
from ...imaging import Preview, open_image, preview, tiling
from ...jobs.image_slot import ImageSlot
from ...jobs.job import Job
from .. import formatting
from .esm import joined

_HERE = Path(__file__).parent
_PROMPT_CHARACTERS = 1_000
"""The browser shows two lines of a prompt: what is longer would only be sent again with each change."""

Action = Callable[[dict[str, Any]], object]


def styles(*names: str) -> str:
    """Return these style sheets of this folder as one."""
    return "".join((_HERE / name).read_text(encoding="utf-8") for name in names)


class Talking(anywidget.AnyWidget):
    """A widget that is sent messages: `actions` has what to do, by their `type`."""

    # Any 0.x: JupyterLab takes the server's anywidget, which need not be the kernel's, for another one otherwise.
    _model_module_version = Unicode("0").tag(sync=True)
    _view_module_version = Unicode("0").tag(sync=True)

    was_answered: ClassVar[bool] = False
    """Whether a view has ever said that it is there: the front end can show it."""

    def __init__(self, **traits: Any) -> None:
        self.actions: dict[str, Action] = {"hello": self.on_hello}
        super().__init__(**traits)
        self.on_msg(self._on_message)

    def _on_message(self, _widget: Any, content: dict[str, Any], buffers: Any) -> None:
        if action := self.actions.get(str(content.get("type"))):
            action({**content, "buffers": buffers} if buffers else content)

    def on_hello(self, content: Mapping[str, Any]) -> None:
        """Note that a view is there, and let it know that it was heard."""
        Talking.was_answered = True
        self.answer(content)

    def answer(self, question: Mapping[str, Any], buffers: Sequence[bytes] = (), **answer: Any) -> None:
        """Answer a message that has an `id`."""
        self.send({**answer, "id": question.get("id")}, buffers=list(buffers))

    def close(self) -> None:
        """Close it, and what belongs to it."""
        # ipywidgets closes no Layout with its widget, and holds each until it is closed.
        self.layout.close()
        super().close()


class Pictured(Talking):
    """A widget with pictures, which travel in messages, each once: a view asks for those that it has missed.

    No trait, and so no saved notebook, ever holds an image.
    """

    def __init__(self, **traits: Any) -> None:
        self._pictures: dict[str, Preview] = {}
        super().__init__(**traits)
        self.actions["picture"] = self._send_again

    def put(self, key: str, picture: Preview) -> None:
        """Show a picture wherever a state has its key, from now on."""
        self._pictures[key] = picture
        self._send_picture(key)

    def forget(self, keys: Sequence[str]) -> None:
        """Let go of pictures that no state has any more."""
        for key in keys:
            self._pictures.pop(key, None)

    def _send_again(self, content: Mapping[str, Any]) -> None:
        if content.get("key") in self._pictures:
            self._send_picture(content["key"])

    def _send_picture(self, key: str) -> None:
        picture = self._pictures[key]
        self.send({"type": "picture", "key": key, "mime": picture.mime}, buffers=[picture.data])

    def close(self) -> None:
        """Close it, and what belongs to it."""
        self._pictures.clear()
        super().close()


class Rated(Talking):
    """A widget whose images can be given stars, tags and a note: `rating.Rater` keeps them."""

    ratings: Dict[str, dict[str, Any]] = Dict().tag(sync=True)
    """What is thought of its images, as far as anything is, by the names that the browser calls them."""


class LiveView(Pictured):
    """Shows a job while it runs, its progress, and a Cancel button.

    What jobs say travels in traits (`LiveJob.state`), which a view that comes late has as well. What the browser says
    comes as messages.
    """

    # As text: for a file, anywidget would keep each instance alive, to follow the file's changes.
    _esm = joined(_HERE / "live.mjs")
    _css = styles("live.css")

    running: List[dict[str, Any]] = List(Dict()).tag(sync=True)
    awaited = Bool().tag(sync=True)
    """Whether the cell that runs waits for it: then few kernels hear a click."""


class Gallery(Rated, LiveView):
    """Shows the jobs of a panel, those that run and those that have ended, one of them in view."""

    _esm = joined(_HERE / "gallery.mjs")
    _css = styles("live.css", "stars.css", "gallery.css")

    finished: List[dict[str, Any]] = List(Dict()).tag(sync=True)
    selected = Unicode().tag(sync=True)
    """What is in view: `job` or `job.slot`."""
    boxes: List[dict[str, str]] = List(Dict()).tag(sync=True)
    """What went wrong without a job, as `formatting.Box.plain` has it."""
    clicks = Int().tag(sync=True)
    """How many clicks on Generate have been handled."""
    controls: Dict[str, str] = Dict().tag(sync=True)
    """Model ids of the form's controls, by `Form.in_a_browser`."""


def live_card(params: ImageGenerateParams, px: int, *, awaited: bool = False) -> tuple[LiveView, LiveJob]:
    """Return a live view, at most `px` pixels wide, for one job alone, and the job's place in it.

    `awaited` says that the cell that shows it waits for the job.
    """
    view = LiveView(awaited=awaited)
    tiles = tiling(params.n, shape_of(params) or 1.0)
    return view, LiveJob(view, params, round(px * max(tiles.width, tiles.height) / max(tiles.whole)))


def side_by_side(views: Sequence[LiveView], width: int) -> ipywidgets.Box:
    """Return one widget that has several, each `width` CSS pixels wide, as many in a row as there is room for."""
    for view in views:
        view.layout.width = f"{width}px"
    return ipywidgets.Box(views, layout=ipywidgets.Layout(flex_flow="row wrap", grid_gap="12px"))


class LiveJob:
    """A job's place in a live picture: what it shows of the job, from before it begins to after its end.

    `px` is the long edge of its previews, in pixels. `keeps_partials` is for looking back at all partial images, where
    else only the newest counts.
    """

    def __init__(
        self,
        picture: LiveView,
        params: ImageGenerateParams,
        px: int,
        *,
        number: int = 1,
        keeps_partials: bool = False,
    ) -> None:
        self.id = str(number)
        self._picture = picture
        self._params = params
        self._px = px
        self._keeps_partials = keeps_partials
        self._seen: dict[int, int] = {}
        self._keys: dict[int, list[str]] = {}
        # With size `auto` it is not known before the first picture: one alone has room for the usual ones meanwhile.
        self._shape = shape_of(params) or (_USUAL_SHAPE if params.n == 1 else 1.0)
        self.failure: Exception | None = None
        """Why a picture that came is not shown."""

    @property
    def keys(self) -> list[str]:
        """The keys of all its pictures."""
        return [key for keys in self._keys.values() for key in keys]

    def state(self, job: Job | None = None, **more: Any) -> dict[str, Any]:
        """Return what is to be shown now, in plain values; None stands for a job that has not begun."""
        params = self._params
        slots = job._slots if job else [ImageSlot()] * params.n
        words, seconds = formatting.waiting(job) if job else ("", 0.0)
        tiles = tiling(len(slots), self._shape)
        return {
            "id": self.id,
            "status": job.status if job else "running",
            "prompt": shortened(clean(params.prompt, LONGEST_PROMPT, lines=True), _PROMPT_CHARACTERS),
            "settings": formatting.summary(params),
            "note": formatting.progress(job) if job else formatting.not_begun(params),
            "wait": {"words": words, "seconds": seconds},
            "caption": [],
            "boxes": [],
            "elapsed_s": job.elapsed_s if job else 0.0,
            "steps_done": sum(map(self._steps_done, slots)),
            "steps": (self._partial_images + 1) * len(slots),
            "partial_images": self._partial_images,
            "shape": self._shape,
            "columns": tiles.columns,
            "lines": tiles.lines,
            "mime": f"image/{params.text('output_format')}",
            "tiles": [
                {"status": slot.status, "label": formatting.label(at, slot), "keys": self._keys.get(at, [])}
                for at, slot in enumerate(slots)
            ],
            **more,
        }

    def take_pictures(self, job: Job) -> None:
        """Send previews of the pictures that have come since the last time. Takes 25 ms for each."""
        for index, slot in enumerate(job._slots):
            files = [*slot.partials, *filter(None, [slot.image_bytes])]
            first = self._seen.get(index, 0)
            self._seen[index] = len(files)
            if not self._keeps_partials:
                first = max(first, len(files) - 1)
            for at, data in enumerate(files[first:], first):
                self._take(index, at, slot, data)

    def _take(self, index: int, at: int, slot: ImageSlot, data: bytes) -> None:
        try:
            small = self._preview_of(slot, data)
        except InvalidResponseError:
            return  # the job itself reports it
        except Exception as error:  # noqa: BLE001 - an image that cannot be shown is there all the same
            self.failure = error
            return
        if self._keeps_partials or self._params.n > 1:
            self._shape = small.width / small.height
        key = f"{self.id}.{index}.{at}"
        self._picture.put(key, small)
        earlier = self._keys.get(index, [])
        if not self._keeps_partials:
            self._picture.forget(earlier)
            earlier = []
        self._keys[index] = [*earlier, key]

    def _preview_of(self, slot: ImageSlot, data: bytes) -> Preview:
        if slot.image is None or data is not slot.image_bytes:
            return preview(open_image(data), self._px)
        small = preview(slot.image, self._px)
        slot.preview = self._px, small
        return small

    @property
    def _partial_images(self) -> int:
        return (self._params.partial_images or 0) if self._params.stream else 0

    def _steps_done(self, slot: ImageSlot) -> int:
        """Fewer partial images than asked for may come: an ended slot has done all its steps."""
        each = self._partial_images
        return min(len(slot.partials), each) if not slot.has_ended else each + 1


_USUAL_SHAPE = 1.5
"""The widest of the usual sizes."""


def shape_of(params: ImageGenerateParams) -> float | None:
    """Return width over height, None where the service chooses."""
    size = SIZE.fullmatch(str(params.effective("size")))
    return int(size[1]) / int(size[2]) if size else None
