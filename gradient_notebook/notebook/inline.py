"""A cell's output: the card while the images are on their way, then an image and one line, or what went wrong.

What stays in the notebook is an ordinary image, never a widget: a widget's view is gone without its kernel.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pybase64
from IPython.display import DisplayHandle

from ..api.errors import InvalidResponse
from ..api.params import ImageGenerateParams
from ..jobs.job import Job
from ..jobs.tile import Tile
from . import wording

if TYPE_CHECKING:
    from ..imaging import Preview
    from .config import ImageGen
    from .live import LivePicture


class Output:
    """Where a cell shows its job. This one shows nothing; an error is raised all the same."""

    def __init__(self, name: str, params: ImageGenerateParams, config: ImageGen) -> None:
        self.name = name
        self.params = params
        self.config = config

    def begin(self) -> None:
        """Show that the work begins, before it does."""

    def attach(self, job: Job) -> None:
        """Learn which job it is."""

    def update(self, job: Job) -> None:
        """Show where a running job stands; told from a thread of the job's."""

    def finish(self, job: Job | None, error: BaseException | None) -> bool:
        """Show the images that came, and the error if there is one. Return whether it has been shown."""
        for words in wording.shortcomings(job):
            print(f"{self.name}: {words['text/plain']}", flush=True)  # noqa: T201 - mistakes are never quiet
        return False

    def caption(self, job: Job) -> list[str]:
        """Return the parts of the line under the images."""
        cost = self.config.cost(job.usage) if job.usage else ""
        return wording.caption(self.name, job, cost)


class Text(Output):
    """Plain lines, for a terminal."""

    _last = ""

    def begin(self) -> None:
        """Say what is being made."""
        self._say(f"{wording.described(self.params)} …")

    def update(self, job: Job) -> None:
        """Say what has come."""
        if job.status == "running" and any(tile.newest for tile in job.tiles):
            self._say(wording.progress(job))

    def finish(self, job: Job | None, error: BaseException | None) -> bool:
        """Say what has come of it. An error with no image is left to be raised."""
        if job and job.images:
            self._say(wording.DOT.join(self.caption(job)[1:]))
        return super().finish(job, error)

    def _say(self, words: str) -> None:
        if words != self._last:
            self._last = words
            print(f"{self.name}: {words}", flush=True)  # noqa: T201 - this is the output


class Card(Output):
    """The live picture, and at the end an ordinary image in its place."""

    _live: LivePicture
    _picture: DisplayHandle

    def __init__(self, name: str, params: ImageGenerateParams, config: ImageGen, *, background: bool = False) -> None:
        super().__init__(name, params, config)
        self._background = background
        self._line: DisplayHandle | None = None
        self._shown: dict[int, bytes] = {}
        self._lock = threading.Lock()
        self._finished = False

    def begin(self) -> None:
        """Show the card, and in the background the line too: afterwards there is no cell to add it to."""
        self._live = self._make_live()
        view, *_ = self._live._repr_mimebundle_() or ({},)  # as IPython calls it
        self._picture = _show({**view, "text/plain": f"{self.name}: {wording.described(self.params)} …"})
        if self._background:
            self._line = _show(wording.line([self.name, "in the background"]))

    def attach(self, job: Job) -> None:
        """Let the card's button cancel the job."""

        def heard(_widget: Any, content: dict[str, Any], _buffers: Any) -> None:
            if content.get("type") == "cancel":
                job.cancel()

        self._live.on_msg(heard)

    def update(self, job: Job) -> None:
        """Bring the card up to date."""
        with self._lock:
            if not self._finished:
                self._sync(job)

    def finish(self, job: Job | None, error: BaseException | None) -> bool:
        """Put the image in the card's place and the line under it, and what went wrong under that."""
        with self._lock:
            self._finished = True
        said = self._said(job, error)
        picture = self._last_picture(job)
        if picture:
            data, metadata = _image(picture, self.params.prompt)
            self._picture.update(data, metadata=metadata, raw=True)
        elif said:
            self._picture.update(said.pop(0), raw=True)
        if self._line:  # the cell is over: what is shown anew would land in another
            self._line.update(wording.joined(said), raw=True)
        else:
            for words in said:
                _show(words)
        self._close_live()
        return True

    def _close_live(self) -> None:
        """Leave no image behind in a widget's state: nbclient keeps the last of each buffer that it has seen."""
        self._live.tiles = [{**tile, "picture": b""} for tile in self._live.tiles]
        self._live.tiles = []
        self._live.layout.close()
        self._live.close()

    def _said(self, job: Job | None, error: BaseException | None) -> list[dict[str, str]]:
        """Return what is to be read under the picture, in order."""
        said = [wording.line(self.caption(job))] if job and job.images else []
        said += [wording.failure_box(error)] if error else []
        return said + wording.shortcomings(job)

    def _make_live(self) -> LivePicture:
        from ..imaging import rows
        from .live import LivePicture

        size = self.params.effective("size")
        width, height = (1, 1) if size == "auto" else map(int, size.split("x"))
        partials = (self.params.partial_images or 0) if self.params.stream else 0
        return LivePicture(
            prompt=self.params.prompt,
            settings=wording.described(self.params),
            note=f"0 of {self.params.n} done",
            partial_images=partials,
            steps=(partials + 1) * self.params.n,
            width=width,
            height=height,
            preview_px=self.config.preview_px,
            rows=rows(self.params.n),
            tiles=[_tile(wording.label(index, tile), tile) for index, tile in enumerate([Tile()] * self.params.n)],
        )

    def _sync(self, job: Job) -> None:
        tiles = [self._tile(job, index) for index in range(len(job.tiles))]
        with self._live.hold_sync():
            self._live.tiles = tiles
            self._live.note = wording.progress(job)
            self._live.steps_done = sum(self._steps(tile) for tile in job.tiles)
            self._live.elapsed_s = job.elapsed_s

    def _steps(self, tile: Tile) -> int:
        """Fewer partial images than asked for may come: an ended tile has done all its steps."""
        each = int(self._live.partial_images)
        return min(len(tile.partials), each) if tile.status == "running" else each + 1

    def _tile(self, job: Job, index: int) -> dict[str, Any]:
        tile = job.tiles[index]
        newest = tile.newest
        shown = self._live.tiles[index] if index < len(self._live.tiles) else {}
        if newest is None or newest is self._shown.get(index):
            return _tile(wording.label(index, tile), tile, shown.get("picture", b""), shown.get("mime", ""))
        self._shown[index] = newest
        small = self._preview(tile, self.config.preview_px // min(self._live.rows))
        if small is None:
            return _tile(wording.label(index, tile), tile)
        self._live.width, self._live.height = small.width, small.height
        return _tile(wording.label(index, tile), tile, small.data, small.mime)

    def _preview(self, tile: Tile, px: int) -> Preview | None:
        """Return a preview of the newest picture; None where it is none, which the job itself reports."""
        from ..imaging import open_image, preview

        try:
            return preview(tile.image or open_image(tile.newest or b""), px)
        except InvalidResponse:
            return None

    def _last_picture(self, job: Job | None) -> Preview | None:
        """Return the finished images as one picture, or else the newest partial ones."""
        from ..imaging import contact_sheet, preview

        if job is None:
            return None
        images = job.images or job.newest_partials
        if len(images) > 1:
            return contact_sheet(images, self.config.preview_px)
        return preview(images[0], self.config.preview_px) if images else None


def _show(data: dict[str, Any]) -> DisplayHandle:
    handle = DisplayHandle()
    handle.display(data, raw=True)
    return handle


def _tile(words: str, tile: Tile, picture: bytes = b"", mime: str = "") -> dict[str, Any]:
    return {"status": tile.status, "label": words, "picture": picture, "mime": mime}


def _image(picture: Preview, alt: str) -> tuple[dict[str, str], dict[str, Any]]:
    """Return an ordinary image output: exactly one type of image, and the prompt as its text."""
    data = {picture.mime: pybase64.b64encode_as_string(picture.data), "text/plain": alt}
    return data, {picture.mime: {"alt": alt, "width": picture.width, "height": picture.height}}
