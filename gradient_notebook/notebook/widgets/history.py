"""Some of the history as a widget: its pictures can be rated by key and click, and looked at large."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from traitlets import Dict, List, Unicode

from ...api.errors import GradientNotebookError
from ...api.images import extension
from ...history.entry import HistoryEntry
from ...storage.archive import Archive, damage_of, read_original
from ...storage.ratings import ImageKey
from .. import history_view, thumbnails
from .esm import joined
from .live import Rated, styles
from .rating import Rater


class HistoryView(Rated):
    """Shows images of the history with their words. Pictures travel in messages, to views that ask for them."""

    _esm = joined(Path(__file__).parent / "history.mjs")
    _css = styles("live.css", "stars.css", "history.css")

    entries: List[dict[str, Any]] = List(Dict()).tag(sync=True)
    """The images in their order: `_plain`."""
    below: List[str] = List(Unicode()).tag(sync=True)
    """What stands under them, line by line."""


class HistoryCards:
    """Entries of the history, an image each, as a widget shows them. Those that have several show all of them."""

    def __init__(
        self, entries: Sequence[HistoryEntry], archive: Archive, first: int | None, below: Sequence[str]
    ) -> None:
        self._archive = archive
        self._paths: dict[str, Path] = {}
        shown: list[dict[str, Any]] = []
        keys: dict[str, ImageKey] = {}
        for number, entry in zip(history_view.labels(entries, first), entries, strict=True):
            for at, path in enumerate(history_view.files_of(entry) or [None]):
                name = f"{entry.id}.{at}"
                self._paths |= {name: path} if path else {}
                keys |= {name: entry._key(at)} if entry.paths else {}
                shown.append(_plain(name, number.strip(), entry, at, path))
        self.view = HistoryView(entries=shown, below=list(below))
        self.view.add_class("gradient-history")
        self.view.actions |= {"picture": self._asked_for_picture, "original": self._asked_for_original}
        self.rater = Rater(self.view)
        self.rater.look(archive, keys)

    def send(self, pictures: Mapping[str, bytes]) -> None:
        """Send pictures that are there already, by the ids of their entries, before anybody asks: the kernel may be busy then."""
        for one, data in pictures.items():
            self._send(f"{one}.0", data)

    def _send(self, name: str, data: bytes) -> None:
        self.view.send({"type": "picture", "key": name, "mime": f"image/{extension(data)[1:]}"}, buffers=[data])

    def _asked_for_picture(self, content: Mapping[str, Any]) -> None:
        path = self._paths.get(str(content.get("key")))
        if path and (data := thumbnails.of(self._archive, path)):
            self._send(str(content["key"]), data)

    def _asked_for_original(self, content: Mapping[str, Any]) -> None:
        path = self._paths.get(str(content.get("image")))
        try:
            data = read_original(path) if path else b""
        except GradientNotebookError as error:
            self.view.answer(content, error=str(error))
        else:
            self.view.answer(content, [data], mime=f"image/{extension(data)[1:]}" if data else "")


def _plain(name: str, number: str, entry: HistoryEntry, at: int, path: Path | None) -> dict[str, Any]:
    """Return one image as the browser shows it; what is known of all images of an entry stands under the first."""
    count = len(history_view.files_of(entry))
    details = history_view.details(entry) if at == 0 else [history_view.Detail(f"image {at + 1} of {count}")]
    return {
        "name": name,
        "number": number,
        "prompt": history_view.title(entry),
        "whole": history_view.whole(entry),
        "status": entry.outcome,
        "details": [detail._asdict() for detail in details],
        "missing": history_view.missing(entry) if path is None or damage_of(path) else "",
        "rated": bool(entry.paths),
    }
