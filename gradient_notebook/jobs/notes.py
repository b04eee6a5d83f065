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
    # By what came: a place that stayed empty has its error.
    if extra := [slot for slot in slots if slot.image or slot.is_let_go][params.n :]:
        yield _note_on_extra(extra)


def _note_on_extra(extra: Sequence[ImageSlot]) -> str:
    on_disk = sum(slot.is_let_go and slot.path is not None for slot in extra)
    dropped = sum(slot.is_let_go and slot.path is None for slot in extra)
    where = [
        "job.images and the history have all"
        if not on_disk + dropped
        else f"job.images has {len(extra) - on_disk - dropped}",
        *([f"{on_disk} are in the history alone"] if on_disk else []),
        *([f"{dropped} were dropped, since nothing is kept on disk"] if dropped else []),
    ]
    sent = f"{len(extra)} image{'' if len(extra) == 1 else 's'} more than asked for"
    return f"The service sent {sent}: {', '.join(where)}."
