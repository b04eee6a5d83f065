"""What the service answers, as plain frozen values with the SDK's field names.

The base64 text of an image is never kept: the bytes are, and `b64_json` encodes them when it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal

import pybase64

from .headers import request_id_of
from .sdk import Convertible
from .text import clean

PARTIAL_IMAGE: Final = "image_generation.partial_image"
COMPLETED: Final = "image_generation.completed"

LONGEST_PROMPT: Final = 40_000
"""Characters of a rewritten prompt that are kept: a quarter more than the longest prompt that is taken."""
LONGEST_NAME: Final = 200
"""Characters of a model's name and of the like that are kept."""
_LONGEST_NUMBER = 16  # digits
_LARGEST_NUMBER = 2**53  # a number of tokens or seconds is smaller, and what is larger can be slow to write down
# The list of models does not say what a model makes: its name has to do.
_IMAGE_MODEL_WORDS = ("image", "dall-e", "flux", "diffusion", "sdxl")


@dataclass(frozen=True, kw_only=True)
class _Encoded(Convertible):
    # A repr goes into notebooks and logs, and this would be megabytes of it.
    image_bytes: bytes = field(repr=False)

    @property
    def b64_json(self) -> str:
        """The image as base64 text, encoded each time: keep `image_bytes` instead."""
        # Encoding 3 MB takes 0.24 ms; text that is kept beside the bytes would more than double the memory of an image.
        return pybase64.b64encode_as_string(self.image_bytes)


@dataclass(frozen=True, kw_only=True)
class InputTokensDetails(Convertible):
    """Input tokens by kind; None where the service does not say.

    Attributes:
        text_tokens: those of the prompt.
        image_tokens: those of images that were sent.
    """

    text_tokens: int | None = None
    image_tokens: int | None = None


@dataclass(frozen=True, kw_only=True)
class Usage(Convertible):
    """Tokens that a request has used; `+` adds those of two. None where the service does not say.

    Attributes:
        input_tokens: those of the request.
        output_tokens: those of the images.
        total_tokens: both.
        input_tokens_details: those of the request by kind.

    >>> from gradient_notebook import submit
    >>> job = submit("A red fox", quality="low", size="1024x1024")
    >>> image = job.result()
    >>> job.usage.output_tokens
    272
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    input_tokens_details: InputTokensDetails = InputTokensDetails()

    @classmethod
    def of(cls, answer: Any) -> Usage | None:
        """Return the usage in a JSON answer, or None where it says nothing.

        Args:
            answer: the answer's field `usage`.
        """
        if not isinstance(answer, Mapping):
            return None
        # Servers that have grown out of chat call them so.
        details = answer.get("input_tokens_details") or answer.get("prompt_tokens_details")
        kinds = details if isinstance(details, Mapping) else {}
        read = _count(answer, "input_tokens", "prompt_tokens")
        written = _count(answer, "output_tokens", "completion_tokens")
        total = _count(answer, "total_tokens")
        found = cls(
            input_tokens=read,
            output_tokens=written,
            total_tokens=_sum(read, written) if total is None else total,
            input_tokens_details=InputTokensDetails(
                text_tokens=_count(kinds, "text_tokens"), image_tokens=_count(kinds, "image_tokens")
            ),
        )
        return None if found == cls() else found

    def __add__(self, other: Usage) -> Usage:
        mine, others = self.input_tokens_details, other.input_tokens_details
        return Usage(
            input_tokens=_sum(self.input_tokens, other.input_tokens),
            output_tokens=_sum(self.output_tokens, other.output_tokens),
            total_tokens=_sum(self.total_tokens, other.total_tokens),
            input_tokens_details=InputTokensDetails(
                text_tokens=_sum(mine.text_tokens, others.text_tokens),
                image_tokens=_sum(mine.image_tokens, others.image_tokens),
            ),
        )


def _sum(one: int | None, other: int | None) -> int | None:
    # With a part that is unknown the sum is, too: the known part alone would look like all of it.
    return None if one is None or other is None else one + other


def _count(answer: Mapping[str, Any], *names: str) -> int | None:
    """Return the first of the named fields that counts something: 12, 12.0 and "12" are the same."""
    for name in names:
        value = answer.get(name)
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < _LONGEST_NUMBER:
            value = int(value)
        if type(value) is float and value.is_integer():
            value = int(value)
        if found := whole_numbers({name: value}, name):
            return int(found[name])
    return None


def whole_numbers(answer: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Return those of the named fields that are whole numbers, as keyword arguments."""
    found = {name: answer.get(name) for name in names}
    # Not isinstance: True is an int, too.
    return {name: value for name, value in found.items() if type(value) is int and 0 <= value < _LARGEST_NUMBER}


def texts(answer: Mapping[str, Any], *names: str, lines: bool = False) -> dict[str, Any]:
    """Return those of the named fields that are texts, as keyword arguments; fit to be shown, on one line or more."""
    at_most = LONGEST_PROMPT if lines else LONGEST_NAME
    found = {name: answer.get(name) for name in names}
    return {name: clean(text, at_most, lines=lines) for name, text in found.items() if isinstance(text, str)}


@dataclass(frozen=True, kw_only=True)
class _Reported(Convertible):
    """The settings that the service reports to have used; None where it says nothing."""

    size: str | None = None
    quality: str | None = None
    background: str | None = None
    output_format: str | None = None


@dataclass(frozen=True, kw_only=True)
class ImageGenPartialImageEvent(_Reported, _Encoded):
    """An image on its way.

    Attributes:
        type: `image_generation.partial_image`.
        image_bytes: the file as the service sent it: PNG, WebP or JPEG.
        created_at: Unix seconds.
        partial_image_index: which of the partial images it is, from 0.
        image_index: which of n images it is of, from 0. Not the service's: it streams one image a request.
        size, quality, background, output_format: what the service reports to have used; None where it says nothing.

    >>> from gradient_notebook import Client
    >>> events = Client().images.generate(prompt="A red fox", quality="low", stream=True, partial_images=2)
    >>> [event.partial_image_index for event in events if event.type == "image_generation.partial_image"]
    [0, 1]
    """

    created_at: int = 0
    partial_image_index: int = 0
    image_index: int = 0
    type: Literal["image_generation.partial_image"] = PARTIAL_IMAGE


@dataclass(frozen=True, kw_only=True)
class ImageGenCompletedEvent(_Reported, _Encoded):
    """A finished image.

    Attributes:
        type: `image_generation.completed`.
        image_bytes: the file as the service sent it: PNG, WebP or JPEG.
        created_at: Unix seconds.
        usage: tokens, if the service says.
        revised_prompt: the prompt as the service rewrote it; it says so only where it does not stream.
        url: where the service says that the image is, if it says so; `image_bytes` are from there where it sent none.
        image_index: which of n images it is, from 0. Not the service's: it streams one image a request.
        size, quality, background, output_format: what the service reports to have used; None where it says nothing.

    >>> from gradient_notebook import Client
    >>> *_, finished = Client().images.generate(prompt="A red fox", quality="low", stream=True, partial_images=1)
    >>> finished.type, finished.usage.output_tokens > 0
    ('image_generation.completed', True)
    """

    created_at: int = 0
    usage: Usage | None = None
    revised_prompt: str | None = None
    url: str | None = None
    image_index: int = 0
    type: Literal["image_generation.completed"] = COMPLETED


ImageGenStreamEvent = ImageGenPartialImageEvent | ImageGenCompletedEvent


@dataclass(frozen=True, kw_only=True)
class GeneratedImage(_Encoded):
    """One image of an answer.

    Attributes:
        image_bytes: the file as the service sent it: PNG, WebP, JPEG, GIF or AVIF.
        revised_prompt: the prompt as the service rewrote it; None where it says nothing.
        url: where the service says that it is; `image_bytes` are from there where it sent none.
    """

    revised_prompt: str | None = None
    url: str | None = None


@dataclass(frozen=True, kw_only=True)
class ImageGenerateResponse(_Reported):
    """An answer that was not streamed: 1 to 10 images.

    Attributes:
        created: Unix seconds.
        data: the images.
        usage: tokens, if the service says.
        headers: the answer's headers, without the key.
        size, quality, background, output_format: what the service reports to have used; None where it says nothing.

    >>> from gradient_notebook import Client
    >>> response = Client().images.generate(prompt="A red fox", quality="low", output_format="webp")
    >>> response.output_format, response.data[0].image_bytes[:4]
    ('webp', b'RIFF')
    """

    created: int
    data: list[GeneratedImage]
    usage: Usage | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    @property
    def request_id(self) -> str | None:
        """What the service's support asks for, if the service said it; `_request_id` is the same."""
        return request_id_of(self.headers)

    _request_id = request_id

    @classmethod
    def of(
        cls, finished: Sequence[ImageGenCompletedEvent], headers: Mapping[str, str] | None = None
    ) -> ImageGenerateResponse:
        """Return the answer that says the same as these events.

        Args:
            finished: the events, of which there is one at least.
            headers: the answer's headers, without the key.
        """
        used = [event.usage for event in finished if event.usage]
        return cls(
            created=finished[-1].created_at,
            data=[
                GeneratedImage(image_bytes=e.image_bytes, revised_prompt=e.revised_prompt, url=e.url) for e in finished
            ],
            usage=sum(used[1:], used[0]) if used else None,
            headers=headers or {},
            **{name: getattr(finished[-1], name) for name in REPORTED},
        )


@dataclass(frozen=True, kw_only=True)
class Model(Convertible):
    """A model that the service offers.

    Attributes:
        id: what `model=` takes.
        created: Unix seconds.
        object: `model`.
        owned_by: who has made it.
        shutdown_date: the day on which it ends, YYYY-MM-DD; None where the service does not say.
    """

    id: str
    created: int = 0
    object: str = "model"
    owned_by: str = ""
    shutdown_date: str | None = None


@dataclass(frozen=True, kw_only=True)
class ModelListResponse(Convertible):
    """The models that the service offers; iterates over them.

    Attributes:
        data: the models.
        object: `list`.
    """

    data: list[Model]
    object: str = "list"
    _left_out: ClassVar[Mapping[str, str]] = {
        **Convertible._left_out,
        **dict.fromkeys(("links", "meta"), "use data, which has all of them"),
    }

    @property
    def image_models(self) -> list[str]:
        """The ids of the image models, as far as their names tell."""
        return [model.id for model in self.data if any(word in model.id.lower() for word in _IMAGE_MODEL_WORDS)]

    def __iter__(self) -> Iterator[Model]:
        return iter(self.data)

    def has_next_page(self) -> bool:
        """Return False: all of them come in one answer."""
        return False


REPORTED = tuple(_Reported.__dataclass_fields__)
