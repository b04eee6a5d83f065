"""Recorded runs: what a service sent, and when, in one file that a simulator plays.

The format, version 1: a zip file of
- `recording.json`: `{"format": "gradient_notebook recording", "version": 1}`
- `requests/000001.json` and so on, one for each image, in the order of their requests: `body`, what was asked for, without
  what changes nothing of the image (n, stream, partial_images, user); `events`, each with `at_s`, its seconds after the request,
  `type` (partial_image, completed, or error), and for images `image`, the name of a file, and what the service said of it; for an
  error `status` and `error`, its JSON
- `images/HASH.png` and the like: files as they came, named by their SHA-256

What is not in this list makes the file no recording: it is refused, whatever it is. There is no key in it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .api import bounds
from .api.errors import InvalidRequestError
from .api.events import REPORTED
from .api.identity import NOT_OF_THE_IMAGE
from .api.images import extension
from .api.params import ImageGenerateParams
from .api.text import SHORT, clean

if TYPE_CHECKING:
    import zipfile

FORMAT = "gradient_notebook recording"
VERSION = 1
SUFFIX = ".imagegen"
PARTIAL, COMPLETED, ERROR = "partial_image", "completed", "error"
_HEAD = "recording.json"
_MOST_ENTRIES = 20_000
_MOST_BYTES = 1_000_000_000
_MOST_JSON_BYTES = 1_000_000
_REQUEST = re.compile(r"requests/\d{6}\.json")
_IMAGE = re.compile(r"images/(?P<hash>[0-9a-f]{64})\.\w{1,5}")
_LONGEST_S = 86_400.0
_REASON = 300
"""Characters of a path, and of what is wrong with it."""


@dataclass(frozen=True, kw_only=True)
class RecordedEvent:
    """One event of an answer."""

    at_s: float
    """Seconds after the request."""
    type: str
    image: bytes = b""
    said: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What the service said of the image beside its bytes; of an error its `status` and `error`."""


@dataclass(frozen=True, kw_only=True)
class RecordedRequest:
    """What was asked for, for one image, and what came."""

    body: Mapping[str, Any]
    events: tuple[RecordedEvent, ...]

    @property
    def last(self) -> RecordedEvent:
        """The finished image, or the error."""
        return self.events[-1]


def body_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a request's body makes the image."""
    return {name: value for name, value in body.items() if name not in NOT_OF_THE_IMAGE}


def request_of(params: ImageGenerateParams, events: Iterable[RecordedEvent]) -> RecordedRequest:
    """Return what was asked for with what came of it, of one image."""
    return RecordedRequest(body=body_of(params.body()), events=tuple(events))


def path_of(record: object) -> Path:
    """Return where to record; raise InvalidRequestError where nothing can be recorded there."""
    named = f"record={clean(repr(record), SHORT)}"
    if not isinstance(record, str | Path) or not str(record).strip():
        raise InvalidRequestError(f"{named}: expected a path", param="record", sent=False)
    try:
        path = Path(record).expanduser().absolute()
        is_folder = path.is_dir()
        if not path.suffix and not is_folder:
            path = path.with_suffix(SUFFIX)
        has_place, is_there = path.parent.is_dir(), _is_there(path)
    except (OSError, ValueError, RuntimeError) as error:  # no name of a file, a loop of links, no such user
        why = getattr(error, "strerror", None) or clean(str(error), _REASON)
        raise InvalidRequestError(f"{named}: {why}", param="record", sent=False) from None
    if is_folder:
        raise InvalidRequestError(f"{named}: it is a folder; expected a file", param="record", sent=False)
    if not has_place:
        raise InvalidRequestError(f"{named}: there is no folder {path.parent}", param="record", sent=False)
    if is_there:
        read(path)  # what is no recording is not written over
    return path


def _is_there(path: Path) -> bool:
    # Not `exists`, which calls a name that no file can have one that is free.
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def append(path: Path, requests: Sequence[RecordedRequest]) -> None:
    """Add requests to a recording, which is made where there is none; it is there whole at each moment.

    Raises:
        InvalidRequestError: there is a file of this name that is no recording.
        OSError: it cannot be written.
    """
    import tempfile  # which bring half of the standard library
    import zipfile

    before = read(path) if path.exists() else []
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".gradient-")
    try:
        with os.fdopen(descriptor, "w+b") as file, zipfile.ZipFile(file, "w") as whole:
            whole.writestr(_HEAD, json.dumps({"format": FORMAT, "version": VERSION}))
            for number, request in enumerate([*before, *requests], 1):
                _write(whole, number, request)
        Path(name).chmod(path.stat().st_mode & 0o777 if path.exists() else 0o644)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def _write(whole: zipfile.ZipFile, number: int, request: RecordedRequest) -> None:
    there = set(whole.namelist())
    events = []
    for event in request.events:
        told: dict[str, Any] = {"at_s": round(event.at_s, 4), "type": event.type, **event.said}
        if event.image:
            told["image"] = f"images/{hashlib.sha256(event.image).hexdigest()}{extension(event.image)}"
            if told["image"] not in there:  # an image is packed already
                whole.writestr(told["image"], event.image)
                there.add(told["image"])
        events.append(told)
    text = json.dumps({"body": dict(request.body), "events": events}, ensure_ascii=False)
    whole.writestr(f"requests/{number:06}.json", text)


def read(path: Path | str) -> list[RecordedRequest]:
    """Return the requests of a recording.

    Raises:
        InvalidRequestError: it is none, is cut, or is of another version: nothing of it is used.
    """
    import zipfile
    import zlib

    shown = clean(str(path), _REASON)
    try:
        if not stat.S_ISREG(Path(path).stat().st_mode):
            raise ValueError("it is no file")  # opened, a device has no end, and a pipe waits
        with zipfile.ZipFile(path) as whole:
            return _read(whole)
    except FileNotFoundError:
        raise InvalidRequestError(f"There is no recording {shown}", param="replay", sent=False) from None
    except OSError as error:
        what = f"The recording {shown} cannot be read: {error.strerror}"
        raise InvalidRequestError(what, param="replay", sent=False) from error
    except (
        *(zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError),
        *(ValueError, KeyError, TypeError),
    ) as error:
        what = f"{shown} is no whole recording: {_reason(error)}"
        raise InvalidRequestError(what, "Copy or record it again.", param="replay", sent=False) from error


def _reason(error: Exception) -> str:
    """Return in whole words what is wrong."""
    if isinstance(error, KeyError):
        missing = str(error.args[0])
        return clean(missing if " " in missing else f"{missing} is missing", _REASON)
    return clean(str(error) or type(error).__name__, _REASON)


def _read(whole: zipfile.ZipFile) -> list[RecordedRequest]:
    entries = whole.infolist()
    if len(entries) > _MOST_ENTRIES or sum(entry.file_size for entry in entries) > _MOST_BYTES:
        raise ValueError("it is too large")
    if entries[:1] and entries[0].filename == _HEAD:
        head = _json(whole, entries[0])
        if head.get("format") != FORMAT:
            raise ValueError("its format is another")
        if head.get("version") != VERSION:
            raise ValueError(f"its version is {clean(head.get('version'), SHORT)}, and {VERSION} is known here")
    else:
        raise ValueError(f"it does not begin with {_HEAD}")
    names = [entry.filename for entry in entries[1:]]
    unknown = [name for name in names if not (_REQUEST.fullmatch(name) or _IMAGE.fullmatch(name))]
    if unknown or len(set(names)) < len(names):
        raise ValueError(f"{clean((unknown or names)[0], SHORT)} is not of the format")
    found = [_request(whole, _json(whole, entry)) for entry in entries if _REQUEST.fullmatch(entry.filename)]
    if not found:
        raise ValueError("it has no requests")
    return found


def _json(whole: zipfile.ZipFile, entry: zipfile.ZipInfo) -> dict[str, Any]:
    if entry.file_size > _MOST_JSON_BYTES:
        raise ValueError(f"{entry.filename} is too large")
    found = json.loads(whole.read(entry))
    if not isinstance(found, dict):
        raise TypeError(f"{entry.filename} is no object")
    return found


SAID = frozenset({*REPORTED, "usage", "revised_prompt"})


def _request(whole: zipfile.ZipFile, told: Mapping[str, Any]) -> RecordedRequest:
    if (
        set(told) != {"body", "events"}
        or not isinstance(told["body"], dict)
        or not isinstance(told["body"].get("prompt"), str)
    ):
        raise ValueError("a request is not of the format")
    events = tuple(_event(whole, dict(event)) for event in told["events"])
    if not events or any(event.type != PARTIAL for event in events[:-1]) or events[-1].type == PARTIAL:
        raise ValueError("a request has no end, or more than one")
    if list(events) != sorted(events, key=lambda event: event.at_s):
        raise ValueError("its events are in no order")
    return RecordedRequest(body=told["body"], events=events)


def _event(whole: zipfile.ZipFile, told: dict[str, Any]) -> RecordedEvent:
    at_s, kind, name = told.pop("at_s"), told.pop("type"), told.pop("image", None)
    if not isinstance(at_s, int | float) or not 0 <= at_s < _LONGEST_S:
        raise ValueError(f"at_s is {clean(at_s, SHORT)}")
    if kind == ERROR:
        if (
            set(told) != {"status", "error"}
            or name
            or not isinstance(told["error"], dict)
            or type(told["status"]) is not int
        ):
            raise ValueError("an error is not of the format")
        if not 400 <= told["status"] < 600:
            raise ValueError(f"status is {told['status']}")
        return RecordedEvent(at_s=at_s, type=kind, said=told)
    if kind not in (PARTIAL, COMPLETED) or not set(told) <= SAID:
        raise ValueError(f"an event is not of the format: {clean(kind, SHORT)}")
    return RecordedEvent(at_s=at_s, type=kind, image=_picture(whole, name), said=told)


def _picture(whole: zipfile.ZipFile, name: object) -> bytes:
    found = _IMAGE.fullmatch(name) if isinstance(name, str) else None
    if not found or not isinstance(name, str):
        raise ValueError(f"{clean(name, SHORT)} is no image of a recording")
    if whole.getinfo(name).file_size > bounds.MAX_IMAGE_BYTES:
        raise ValueError(f"{name} is too large")
    data = whole.read(name)
    if hashlib.sha256(data).hexdigest() != found["hash"]:
        raise ValueError(f"{name} was changed")
    return data
