"""What stays in a notebook: ordinary outputs, one type of image and text, which show without a kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pybase64
from IPython.display import DisplayHandle

from ..api.events import LONGEST_PROMPT
from ..api.text import clean
from ..jobs.job import Job

if TYPE_CHECKING:
    from PIL.Image import Image

    from ..imaging import Preview

MimeBundle = tuple[dict[str, str], dict[str, Any]]
"""Data by type, and its metadata."""


def show(data: dict[str, Any], metadata: dict[str, Any] | None = None) -> DisplayHandle:
    """Show an output, and return the handle that changes it."""
    # Not `Output` or `clear_output`, which flicker or arrive late. An update by display id reaches its output from any
    # thread; with ipykernel 7, nbclient drops one that comes after its cell.
    handle = DisplayHandle()
    handle.display(data, metadata=metadata or {}, raw=True)
    return handle


def image_of(job: Job | None, px: int) -> MimeBundle | None:
    """Return a job's finished images as one image output, at most `px` pixels wide for each, and its metadata.

    Where none has come it is the newest partial images, and where there are none either, None. The prompt is the
    image's text.
    """
    images = (job.images or job._newest_partials) if job else []
    if not job or not images:
        return None
    (first, *others), (made_px, small) = images, job._slots[0].preview or (0, None)
    is_made = made_px == px and not others and first is job._slots[0].image
    return picture_of(images, job.params.prompt, px, small if is_made else None)


def picture_of(images: Sequence[Image], alt: str, px: int, small: Preview | None = None) -> MimeBundle:
    """Return images as one image output, at most `px` pixels wide, and its metadata; `alt` is its text.

    `small` is what shows them, where it was made already.
    """
    alt = clean(alt, LONGEST_PROMPT, lines=True)
    from ..imaging import contact_sheet, preview, tiling

    small = small or (contact_sheet(images, px) if len(images) > 1 else preview(images[0], px))
    # One type of image: of a PIL image IPython keeps PNG and JPEG, both at full size. JupyterLab ignores `alt`;
    # nbconvert's classic template reads it.
    data = {small.mime: pybase64.b64encode_as_string(small.data), "text/plain": alt}
    width, height = tiling(len(images), images[0].width / images[0].height).whole
    return data, {small.mime: {"alt": alt, "width": width, "height": height}}


class StaticFallback:
    """A widget's output, and behind it an image and a line: what a saved notebook shows in the widget's place.

    The widget's style hides them while it is there; the line's own hides what is left of a widget without its kernel.
    """

    def __init__(self, line: dict[str, str]) -> None:
        self._handles = [DisplayHandle() for _ in range(3)]
        self._is_shown = False
        self._outputs: list[tuple[dict[str, Any], dict[str, Any]]] = [(_NOTHING, {}), (_NOTHING, {}), (line, {})]

    def show(self, view: dict[str, Any]) -> None:
        """Show the widget by its view, and the rest behind it."""
        # No words of its own: where a widget cannot be shown, what stands behind it says them.
        self._outputs[0] = ({**view, **_NOTHING}, {})
        self._is_shown = True
        for handle, (data, metadata) in zip(self._handles, self._outputs, strict=True):
            handle.display(data, metadata=metadata, raw=True)

    def update(self, image: tuple[dict[str, Any], dict[str, Any]], line: dict[str, str]) -> None:
        """Change what stands behind the widget."""
        self._outputs[1:] = [image, (line, {})]
        if not self._is_shown:
            return
        for handle, (data, metadata) in zip(self._handles[1:], self._outputs[1:], strict=True):
            handle.update(data, metadata=metadata, raw=True)

    def update_line(self, line: dict[str, str]) -> None:
        """Change the line alone."""
        self.update(self._outputs[1], line)

    def remove_widget(self) -> None:
        """Take the widget away."""
        if self._is_shown:
            self._handles[0].update(_NOTHING, raw=True)


_NOTHING = {"text/plain": ""}
