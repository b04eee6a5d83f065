"""A cell's output: the card while the images are on their way, then an image and one line, or what went wrong.

What stays in the notebook is an ordinary image, never a widget: a widget's view is gone without its kernel.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from IPython.display import DisplayHandle

from ..api.params import ImageGenerateParams
from ..jobs.job import Job
from ..session import session
from . import formatting, html, missing
from .enlarging import disclosure
from .execution import is_executed
from .static_output import MimeBundle, image_of, show

if TYPE_CHECKING:
    from .widgets.live import LiveJob, LiveView


class Output:
    """Where a cell shows its job. This one shows nothing; an error is raised all the same."""

    def __init__(self, name: str, params: ImageGenerateParams) -> None:
        self.name = name
        self.params = params
        self.saved: list[Path] = []
        """Files that the images have been written to, beside those of the archive."""

    def begin(self) -> None:
        """Show that the work begins, before it does."""

    def attach(self, job: Job) -> None:
        """Learn which job it is."""

    def update(self, job: Job) -> None:
        """Show where a running job stands; told from a thread of the job's."""

    def finish(self, job: Job | None, error: BaseException | None) -> bool:
        """Show the images that came, and the error if there is one. Return whether it has been shown."""
        for box in formatting.problems(job):
            print(f"{self.name}: {html.box(box)['text/plain']}", flush=True)  # noqa: T201 - mistakes are never quiet
        return False

    def caption(self, job: Job) -> list[str]:
        """Return the parts of the line under the images."""
        return formatting.caption(self.name, job)


class Text(Output):
    """Plain lines, for a terminal."""

    _last = ""

    def begin(self) -> None:
        """Say what is being made."""
        self._say(f"{formatting.summary(self.params)} …")

    def update(self, job: Job) -> None:
        """Say what has come, and why nothing comes."""
        words, seconds = formatting.waiting(job)
        if words:
            self._say(f"{words} {formatting.seconds(seconds)}" if seconds else words)
        elif not job.done() and any(slot.newest for slot in job._slots):
            self._say(formatting.progress(job))

    def finish(self, job: Job | None, error: BaseException | None) -> bool:
        """Say what has come of it. An error with no image is left to be raised."""
        if job and job.images:
            self._say(formatting.DOT.join(self.caption(job)[1:]))
        return super().finish(job, error)

    def _say(self, words: str) -> None:
        if words != self._last:
            self._last = words
            print(f"{self.name}: {words}", flush=True)  # noqa: T201 - this is the output


class Plain(Text):
    """Plain lines, and the image at the end: for a notebook in which no widget can be made."""

    def finish(self, job: Job | None, error: BaseException | None) -> bool:
        """Show the images that came, and say what has come of it. An error with no image is left to be raised."""
        if picture := image_of(job, session.preview_px):
            data, metadata = picture
            show(data, metadata)
        return super().finish(job, error)


class Card(Output):
    """The live picture, and at the end an ordinary image in its place."""

    _live: LiveView
    _shown: LiveJob
    _picture: DisplayHandle

    def __init__(self, name: str, params: ImageGenerateParams, *, background: bool = False) -> None:
        super().__init__(name, params)
        self._background = background
        self._line: DisplayHandle | None = None
        self._lock = threading.Lock()
        self._finished = False

    def begin(self) -> None:
        """Show the card, and below it what cannot wait: in the background there is no cell later to add a line to."""
        from .widgets.bundle import view_of
        from .widgets.live import live_card

        self._live, self._shown = live_card(self.params, session.preview_px, awaited=not self._background)
        self._live.running = [self._shown.state()]
        # A server without jupyterlab_widgets shows the text/plain.
        self._picture = show({**view_of(self._live), "text/plain": f"{self.name}: {formatting.summary(self.params)} …"})
        below = [html.line([self.name, "in the background"])] if self._background else []
        if not (self._live.was_answered or is_executed()):
            below.append(missing.below_a_card())
        if below:
            self._line = show(html.joined(below))

    def attach(self, job: Job) -> None:
        """Let the card's button cancel the job."""
        self._live.actions["cancel"] = lambda _: job.cancel()

    def update(self, job: Job) -> None:
        """Bring the card up to date."""
        with self._lock:
            if not self._finished:
                # In this order: the state names the pictures that have been taken.
                self._shown.take_pictures(job)
                self._live.running = [self._shown.state(job)]

    def finish(self, job: Job | None, error: BaseException | None) -> bool:
        """Put the image in the card's place and the line under it, or why there is none above what came of it."""
        with self._lock:
            self._finished = True
        self._show_end(
            image_of(job, session.preview_px), self._words(job, error), picture_first=bool(job and job.images)
        )
        # Last: closing removes the view at once, and the place would be empty until the image is there.
        self._live.close()
        return True

    def _words(self, job: Job | None, error: BaseException | None) -> list[dict[str, str]]:
        """Return what is said beside the picture."""
        said = []
        if job and job.images:
            said.append(html.caption(self.caption(job), disclosure(self.name, job, self.saved)))
        said += [html.box(formatting.Box.of(error))] if error else []
        return [*said, *(html.box(box) for box in formatting.problems(job))]

    def _show_end(self, picture: MimeBundle | None, said: list[dict[str, str]], *, picture_first: bool) -> None:
        """Show the picture and the words, the first of them in the widget's own output.

        A saved notebook keeps the last data of a display id, and needs no kernel for it. Why there is no finished image
        stands above the partial one: below it nobody with a low window would see it.
        """
        outputs: list[MimeBundle] = [(words, {}) for words in said]
        if picture and self._line and not picture_first:
            outputs = [(html.joined(said), {}), picture]
        elif picture:
            outputs.insert(0 if picture_first else len(outputs), picture)
        if outputs:
            data, metadata = outputs.pop(0)
            self._picture.update(data, metadata=metadata, raw=True)
        if not self._line:
            for data, metadata in outputs:
                show(data, metadata)
        elif len(outputs) == 1:  # the cell is over: what is shown from now on would land in another
            self._line.update(outputs[0][0], metadata=outputs[0][1], raw=True)
        else:
            self._line.update(html.joined([data for data, _ in outputs]), raw=True)
