"""JSON of an answer or of an event -> values: images, or the error that it is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from . import bounds
from .base64_stream import Base64Stream
from .entries import ADDRESS_FIELDS, BASE64_FIELDS, entries_of, is_image_text, text_of, worth_keeping, written
from .errors import REPORT, APIError, InvalidResponseError
from .events import (
    COMPLETED,
    PARTIAL_IMAGE,
    REPORTED,
    ImageGenCompletedEvent,
    ImageGenPartialImageEvent,
    ImageGenStreamEvent,
    Usage,
    texts,
    whole_numbers,
)
from .image_text import bytes_of, is_address, is_data_url
from .images import format_of
from .reasons import reason_in
from .tasks import FAILED_WORDS, is_pending, task_in
from .text import clean

ErrorMaker = Callable[[Mapping[str, Any]], Exception]
Mask = Callable[[Any], Any]
"""Takes out of what came what must not be shown: some services repeat the key."""

PARTIAL_WORD = "partial_image"
_FINISHED_WORDS = frozenset(
    {"completed", "complete", "completion", "done", "end", "ended", "final", "finish", "finished", "ready", "result"}
    | {"succeeded", "success"}
)
_ON_ITS_WAY = re.compile("partial|preview|intermediate|progress|draft", re.IGNORECASE)
"""What says in an event's name that its image is not the finished one."""
_UNTYPED = ("", "message")
"""How events are called whose name was not said (the standard's word), and which have no type."""


def unmasked(message: Any) -> Any:
    """Return what came as it is."""
    return message


class _Image(NamedTuple):
    """An image as an entry has it: its bytes, or where it is, or both."""

    data: bytes
    url: str | None


class Messages:
    """Makes values of the JSON of an answer, or of a stream's events; their images have been taken by `images`."""

    def __init__(self, images: Base64Stream, make_error: ErrorMaker, masked: Mask) -> None:
        self._images = images
        self._make_error = make_error
        self._masked = masked
        self.last_words = ""
        """What came last that was no image: where nothing follows, it may be the reason."""
        self.left_over = b""
        """What may be a part of a finished image, and is none."""
        self._held: list[ImageGenCompletedEvent] = []
        """The images of the last event whose name does not tell whether they are finished."""
        self._newest = b""
        """The newest finished image, which some services send with the event of their end once more."""
        self._has_finished = False

    def event(self, name: str, value: Any) -> Iterator[ImageGenStreamEvent]:
        """Yield what an event of a stream holds; `value` is its JSON, or its bytes where they are none."""
        message = _as_entry(self._masked(value))
        said = message.get("type") if isinstance(message, Mapping) else None
        kind = said if isinstance(said, str) and said else name
        is_finished = kind in _UNTYPED or says_finished(kind)
        is_failure = _last_word(kind) in FAILED_WORDS or (isinstance(message, Mapping) and message.get("error"))
        # An image is paid for, whatever is said beside it.
        if is_failure and not (is_finished and entries_of(message)):
            raise self._with_what_is_held(self._make_error(_as_mapping(message)))
        if not (isinstance(message, Mapping) or (isinstance(message, list) and entries_of(message))):
            self._look_at_nonsense(kind, message)
        elif _is_partial(kind, message):
            yield from self._partial(message)
        elif is_finished:
            yield from self._finished(kind, message)
        else:
            self._hold(kind, message)

    def close(self) -> Iterator[ImageGenStreamEvent]:
        """Yield the last image whose event did not say that it is finished, where none came that did."""
        held, self._held = self._held, []
        if not self._has_finished:
            yield from held

    def _hold(self, kind: str, message: Any) -> None:
        """Keep the image of an event of unknown name: a finished one may follow, and then it was none."""
        found: list[ImageGenStreamEvent] = []
        try:
            found.extend(self._images_in(message))
        except APIError as error:  # an event of unknown type says what it likes
            self.left_over = error.received
        whole = [event for event in found if isinstance(event, ImageGenCompletedEvent)]
        # Any event may have an address of something.
        whole = [event for event in whole if event.image_bytes or "image" in kind.lower()]
        self._held = whole or self._held
        if not whole:
            self._listen(message)

    def _with_what_is_held(self, error: Exception) -> Exception:
        if self._held and not self._has_finished and isinstance(error, APIError):
            error.received = error.received or self._held[-1].image_bytes
        return error

    def _look_at_nonsense(self, kind: str, message: Any) -> None:
        if kind == COMPLETED:
            is_text = isinstance(message, bytes)
            what = "not JSON" if is_text else f"a JSON {type(message).__name__}, not an object"
            received = message if is_text else b""
            raise InvalidResponseError(f"The response is {what}.", suggest=REPORT, received=received)
        self._listen(message)

    def _listen(self, message: Any) -> None:
        if isinstance(message, bytes) and message.lstrip()[:1] == b"{":
            return  # JSON that is cut off says nothing
        self.last_words = reason_in(message) or self.last_words

    def _partial(self, message: Any) -> Iterator[ImageGenStreamEvent]:
        try:
            image = self._image(message)
        except APIError:
            self._listen(message)
            return  # a broken partial image is no loss, and one at an address is not worth a request
        if image.data:
            numbers = whole_numbers(message, "created_at", "partial_image_index")
            yield ImageGenPartialImageEvent(image_bytes=image.data, **texts(message, *REPORTED), **numbers)

    def _finished(self, kind: str, message: Any) -> Iterator[ImageGenStreamEvent]:
        if entries_of(message):
            before = self._newest
            for event in self._images_and_error(message):
                if isinstance(event, ImageGenCompletedEvent):
                    if before and event.image_bytes == before:
                        continue
                    self._has_finished, self._newest = True, event.image_bytes
                yield event
        elif kind == COMPLETED:
            what = "The event of the finished image contains no image."
            raise InvalidResponseError(what, suggest=REPORT, received=self._worth_keeping(message))
        else:
            self._listen(message)

    def _worth_keeping(self, message: Any) -> bytes:
        return worth_keeping(self._images.restored(written(message)))

    def answer(self, value: Any) -> Iterator[ImageGenStreamEvent]:
        """Yield the images of a whole answer; raise what it says where it has none."""
        message = self._masked(value)
        said = message.get("type") if isinstance(message, Mapping) else None
        if isinstance(said, str) and (said in (PARTIAL_IMAGE, COMPLETED) or _last_word(said) in FAILED_WORDS):
            yield from self.event("", value)  # a single event, without the form of one
            return
        if isinstance(message, Mapping) and (task := task_in(message)) and is_pending(task, message):
            raise task
        if not entries_of(message):
            raise self._no_image(message)
        yield from self._images_and_error(message)

    def _images_and_error(self, message: Any) -> Iterator[ImageGenStreamEvent]:
        yield from self._images_in(message)
        if isinstance(message, Mapping) and message.get("error"):
            raise self._make_error(_as_mapping(message))

    def _images_in(self, message: Any) -> Iterator[ImageGenStreamEvent]:
        about = message if isinstance(message, Mapping) else {}
        usage = Usage.of(about.get("usage"))
        created = whole_numbers(about, "created_at") or {
            f"{name}_at": value for name, value in whole_numbers(about, "created").items()
        }
        failures: list[APIError] = []
        index = -1
        for entry in entries_of(message):
            if isinstance(entry, Mapping) and _is_partial(str(entry.get("type") or ""), entry):
                yield from self._partial(entry)
                continue
            index += 1
            try:
                image = self._image(entry)
            except APIError as error:
                failures.append(error)  # the images after it are paid for, too
                continue
            own = entry if isinstance(entry, Mapping) else {}
            yield ImageGenCompletedEvent(
                image_bytes=image.data,
                url=image.url,
                image_index=index,
                usage=usage,
                **created,
                **texts(about, *REPORTED) | texts(own, *REPORTED),
                **texts(own, "revised_prompt", lines=True),
            )
            # With the first image alone: a sum over the images would count it n times.
            usage = None
        if failures:
            failures[0].received = b"\n".join(failure.received for failure in failures if failure.received)
            raise failures[0]

    def _image(self, entry: Any) -> _Image:
        """Return the image of an entry, as bytes if there are any; raise APIError where there is none."""
        fields = entry if isinstance(entry, Mapping) else {"url": entry}
        url: str | None = None
        broken: InvalidResponseError | None = None
        data = b""
        for name in (*BASE64_FIELDS, *ADDRESS_FIELDS):
            text = text_of(fields.get(name))
            if is_address(text) or (text and name in ADDRESS_FIELDS and not is_image_text(text)):
                url = url or clean(text, bounds.MAX_ADDRESS_CHARACTERS + 1)
            elif text and not data:
                try:
                    data = self._images.take(text)
                except InvalidResponseError as error:
                    broken = broken or error
        if not data and not url:
            if not broken and reason_in(entry):
                raise self._make_error(_as_mapping(entry))
            what = "The response contains no image: an entry of its data has neither b64_json nor url."
            raise broken or InvalidResponseError(what, suggest=REPORT, received=self._worth_keeping(entry))
        return _Image(data, url)

    def _no_image(self, message: Any) -> Exception:
        """Return the error of an answer without any image."""
        reason = reason_in(message)
        if isinstance(message, Mapping) and (task := task_in(message)) and (is_pending(task, message) or not reason):
            return task
        if reason:
            return self._make_error(_as_mapping(message))
        if not isinstance(message, Mapping):
            return InvalidResponseError(
                f"The response is a JSON {type(message).__name__}, not an object.", suggest=REPORT
            )
        return InvalidResponseError("The response has no image in any known field.", suggest=REPORT)


def _as_mapping(message: Any) -> Mapping[str, Any]:
    return message if isinstance(message, Mapping) else {"message": message}


def _as_entry(message: Any) -> Any:
    """Return an event that is the text of an image, and nothing else, as an entry that has it."""
    text = message.decode("latin-1") if isinstance(message, bytes) else message
    try:
        is_image = isinstance(text, str) and (is_data_url(text) or bool(format_of(bytes_of(text))))
    except ValueError:
        is_image = False
    return {"b64_json": text} if is_image else message


def _last_word(kind: str) -> str:
    return kind.rpartition(".")[2].rpartition("_")[2].lower() if kind != PARTIAL_IMAGE else PARTIAL_WORD


def says_finished(kind: str) -> bool:
    """Whether the name of an event says that its image is finished."""
    return _last_word(kind) in _FINISHED_WORDS and not _ON_ITS_WAY.search(kind)


def _is_partial(kind: str, message: Any) -> bool:
    if _ON_ITS_WAY.search(kind):
        return isinstance(message, Mapping)
    is_numbered = isinstance(message, Mapping) and message.get("partial_image_index") is not None
    return is_numbered and not says_finished(kind)
