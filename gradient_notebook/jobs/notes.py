"""What is worth knowing beside a job's images: of its request, and of what came."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..api.advice import retirement_note, value_notes
from ..api.models import AUTO
from ..api.params import ImageGenerateParams
from ..session import session
from .image_slot import ImageSlot


def notes_on_request(params: ImageGenerateParams, endpoint: str) -> list[str]:
    """Return what may be wrong with a request that is sent all the same; a model's end is told once a session."""
    ends = retirement_note(params.model, endpoint)
    return [*value_notes(params.body()).values(), *([ends] if ends and session.is_first(ends) else [])]


def notes_on_images(params: ImageGenerateParams, slots: Sequence[ImageSlot]) -> Iterator[str]:
    """Yield what is different from what was asked for, each difference once."""
    images = [slot.image for slot in slots if slot.image]
    asked = {"size": params.text("size"), "format": params.given().get("output_format", AUTO)}
    came = {
        "size": dict.fromkeys(f"{image.width}x{image.height}" for image in images),
        "format": dict.fromkeys((image.format or AUTO).lower() for image in images),
    }
    for name, values in came.items():
        if other := [value for value in values if AUTO not in (asked[name], value) and value != asked[name]]:
            yield f"The {name} is {' and '.join(other)}, not {asked[name]} as requested."
    if len(slots) > params.n:
        yield f"{len(slots) - params.n} more than asked for came: job.images and the history have them."
