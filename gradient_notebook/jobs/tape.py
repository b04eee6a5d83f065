"""A job's answers, recorded: each event with its time, into a file that a simulator plays."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from ..api.errors import APIStatusError
from ..api.events import REPORTED, ImageGenCompletedEvent, ImageGenStreamEvent
from ..api.params import ImageGenerateParams
from ..recording import COMPLETED, ERROR, PARTIAL, RecordedEvent, append, request_of

_lock = threading.Lock()
"""Several jobs may end at the same time, and write the same file."""


class Tape:
    """What comes for a job; `write` adds it to the file."""

    def __init__(self, path: Path, params: ImageGenerateParams) -> None:
        self._path, self._params = path, params
        self._began_s: dict[int, float] = {}
        self._events: dict[int, list[RecordedEvent]] = defaultdict(list)

    def begin(self, index: int) -> None:
        """Note that the request for an image is sent now."""
        self._began_s[index] = time.monotonic()

    def add(self, event: ImageGenStreamEvent) -> None:
        """Take an event as it comes."""
        said: dict[str, Any] = {name: getattr(event, name) for name in REPORTED if getattr(event, name) is not None}
        kind = PARTIAL
        if isinstance(event, ImageGenCompletedEvent):
            kind = COMPLETED
            said |= {"usage": event.usage.to_dict()} if event.usage else {}
            said |= {"revised_prompt": event.revised_prompt} if event.revised_prompt else {}
        self._take(event.image_index, kind, event.image_bytes, said)

    def fail(self, index: int, error: Exception) -> None:
        """Take an answer of the service that is an error; what never came is not recorded."""
        if isinstance(error, APIStatusError):
            # In a stream an error has no status of its own.
            status = error.status_code if error.status_code and error.status_code >= 400 else 400
            self._take(index, ERROR, b"", {"status": status, "error": {"message": error.summary, **error.body}})

    def _take(self, index: int, kind: str, image: bytes, said: dict[str, Any]) -> None:
        at_s = max(0.0, time.monotonic() - self._began_s.get(index, time.monotonic()))
        self._events[index].append(RecordedEvent(at_s=at_s, type=kind, image=image, said=said))

    def write(self) -> None:
        """Add what has come to its end to the file. Raises OSError, InvalidRequestError."""
        whole = [events for _, events in sorted(self._events.items()) if events[-1].type != PARTIAL]
        if whole:
            with _lock:
                append(self._path, [request_of(self._params, events) for events in whole])
