"""What is known of model families, and what is said of a request because of it."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradient_notebook.api import advice
from gradient_notebook.api.models import AUTO, FAMILIES, family_of, pixels
from gradient_notebook.api.params import ImageGenerateParams

FIXED = "auto, 1024x1024, 1536x1024, 1024x1536"
FAR = dt.date(2026, 11, 1)


def notes(**values: Any) -> list[str]:
    return list(advice.value_notes(ImageGenerateParams.of({"prompt": "x", **values}).body()).values())


def tokens(**values: Any) -> tuple[int, int] | None:
    return advice.estimated_output_tokens(ImageGenerateParams.of({"prompt": "x", **values}))


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("openai-gpt-image-1", "gpt-image-1"),
        ("gpt-image-1-2025-04-23", "gpt-image-1"),
        ("openai/gpt-image-1-mini", "gpt-image-1-mini"),
        ("openai-gpt-image-1.5", "gpt-image-1.5"),
        ("GPT-IMAGE-2", "gpt-image-2"),
        ("openai-gpt-image-2.5-fast", "gpt-image-2.5"),
        ("gpt-image-2.6", "gpt-image-2.6"),
        ("gpt-image-3", None),
        ("gpt-image-1-nano", None),
        ("my-gpt-image-1", None),
        ("flux-1.1-pro", None),
    ],
)
def test_an_id_tells_its_family(model: str, family: str | None) -> None:
    """With the provider's prefix or without, dated or not; what is not known is not guessed."""
    found = family_of(model)
    assert (found.name if found else None) == family


@pytest.mark.parametrize(
    ("model", "takes", "not_its_own"),
    [
        ("gpt-image-1", {"size": "1536x1024", "quality": "high", "output_format": "webp"}, {"size": "2048x2048"}),
        ("gpt-image-1.5", {"size": "1024x1536", "quality": "low"}, {"quality": "xhigh"}),
        ("gpt-image-1-mini", {"size": "auto", "quality": "auto"}, {"output_format": "gif"}),
        ("gpt-image-2", {"size": "3840x2160", "quality": "medium"}, {"quality": "max"}),
        ("gpt-image-2", {"size": "1040x1040"}, {"size": "1042x1042"}),
        ("gpt-image-2", {"size": "1440x480"}, {"size": "1456x480"}),
        ("gpt-image-2.5-fast", {"size": "2048x2048", "quality": "xhigh"}, {"output_format": "svg"}),
        ("gpt-image-2.6", {"size": "816x816", "quality": "max", "output_format": "gif"}, {"size": "3856x2160"}),
    ],
)
def test_each_family_has_its_values(model: str, takes: dict[str, str], not_its_own: dict[str, str]) -> None:
    """What it takes needs no note; what it is not known to take has one that names the family and the value."""
    assert notes(model=model, **takes) == []
    (note,) = notes(model=model, **not_its_own)
    (value,) = not_its_own.values()
    family = family_of(model)
    assert note.startswith(f"{family and family.name} is documented for ")
    assert f"; {value} is sent as it is." in note


@pytest.mark.parametrize(
    ("model", "size", "nearest"),
    [
        ("gpt-image-1", "2048x2048", "1024x1024"),
        ("gpt-image-1", "1920x1080", "1536x1024"),
        ("gpt-image-2", "1748x2480", "1744x2480"),
        ("gpt-image-2", "512x512", "816x816"),
        ("gpt-image-2", "4096x4096", "2880x2880"),
        ("gpt-image-2", "3841x2161", "3840x2160"),
    ],
)
def test_a_size_that_a_family_cannot_take_is_told_with_the_nearest(model: str, size: str, nearest: str) -> None:
    """Nearest in shape first, then in pixels."""
    (note,) = notes(model=model, size=size)
    assert note.endswith(f"The nearest size that it takes is {nearest}.")


@given(st.integers(1, 9999), st.integers(1, 9999))
def test_the_nearest_size_is_one_that_the_family_takes(width: int, height: int) -> None:
    """Whatever was asked for; and what it takes is nearest to itself."""
    for family in FAMILIES:
        found = family.nearest_size(f"{width}x{height}")
        assert family.takes("size", found)
        assert family.nearest_size(found) == found


def test_the_note_names_what_is_documented() -> None:
    """In one line, as the person wrote the value."""
    nearest = "The nearest size that it takes is 1024x1024."
    assert notes(model="gpt-image-1", size="2048x2048") == [
        f"gpt-image-1 is documented for {FIXED}; 2048x2048 is sent as it is. {nearest}"
    ]
    assert notes(model="gpt-image-1", quality="hd", size="8x8") != []


def test_of_an_unknown_model_only_unheard_of_values_are_told() -> None:
    """Any size may be right there, and each value that some family takes."""
    assert notes(model="other", size="123x456", quality="max", output_format="svg") == []
    assert notes(model="other", quality="hd") == ["quality=hd is not a documented value; it is sent as it is."]
    assert notes(model="gpt-image-2", extra={"size": [1, 2], "quality": 3}) != []
    assert "\x1b" not in notes(extra={"quality": "hi\x1b[31m" + "z" * 5_000})[0]
    assert notes(background="checkered") == ["background=checkered is not a documented value; it is sent as it is."]


def test_what_overrules_is_noted_as_well() -> None:
    """The body counts, and not where a value stands in it."""
    assert "xhigh is sent as it is" in notes(model="gpt-image-2", extra={"quality": "xhigh"})[0]


def test_a_format_that_is_not_streamed_is_told() -> None:
    """gpt-image-2.6 sends gif and svg in one piece."""
    streamed = {"stream": True, "partial_images": 1}
    assert notes(model="gpt-image-2.6", output_format="gif", **streamed) == [
        "gpt-image-2.6 sends gif without streaming only."
    ]


@pytest.mark.parametrize(
    ("values", "estimate"),
    [
        ({"model": "gpt-image-1", "size": "1536x1024", "quality": "high", "n": 2}, (12_416, 12_416)),
        ({"model": "gpt-image-1", "quality": "low"}, (272, 408)),
        ({"model": "gpt-image-1", "size": "1024x1024"}, (272, 4160)),
        ({"model": "gpt-image-1", "partial_images": 3}, (272, 6240)),
        ({"model": "gpt-image-1", "partial_images": 3, "stream": True}, (572, 6540)),
        ({"model": "gpt-image-1", "quality": "low", "extra": {"quality": "high", "size": "1024x1024"}}, (4160, 4160)),
        ({"model": "gpt-image-1", "size": "2048x2048"}, None),
        ({"model": "gpt-image-1", "quality": "hd"}, None),
        ({"model": "gpt-image-2", "size": "1024x1024", "quality": "high"}, (7024, 7024)),
        ({"model": "gpt-image-2", "size": "1536x1024", "quality": "high"}, (5488, 5488)),
        ({"model": "gpt-image-2", "quality": "high"}, None),
        ({"model": "gpt-image-2", "size": "1024x1024"}, None),
        ({"model": "gpt-image-1.5", "size": "1024x1024", "quality": "low"}, None),
        ({"model": "other"}, None),
    ],
)
def test_the_estimate_is_of_the_family_or_unknown(values: dict[str, Any], estimate: tuple[int, int] | None) -> None:
    """Known settings give one number, auto a range, and what is not known no number; partial images count in a stream."""
    assert tokens(**values) == estimate


def test_the_tables_hold_together() -> None:
    """Each known count is of a quality and a size that the family takes, and each fact has its day."""
    for family in FAMILIES:
        for quality, row in family.output_tokens.value.items():
            assert quality in family.qualities.value
            assert all(family.takes("size", size) and pixels(size) for size in row)
        for fact in (family.sizes, family.qualities, family.formats):
            assert dt.date.fromisoformat(fact.looked_up)
            assert fact.value
        assert AUTO in family.sizes.value


@pytest.mark.parametrize(
    ("model", "today", "begins"),
    [
        ("openai-gpt-image-1.5", dt.date(2026, 10, 31), ""),
        ("openai-gpt-image-1.5", dt.date(2026, 11, 1), "openai-gpt-image-1.5 ends on 2026-12-01."),
        ("openai-gpt-image-1.5", dt.date(2026, 12, 1), "openai-gpt-image-1.5 was announced to end on 2026-12-01"),
        ("openai-gpt-image-1", dt.date(2030, 1, 1), "openai-gpt-image-1 was announced to end on 2026-10-23"),
        ("openai-gpt-image-2", dt.date(2030, 1, 1), ""),
        ("other", dt.date(2030, 1, 1), ""),
    ],
)
def test_the_end_of_a_model_is_told_from_30_days_before(model: str, today: dt.date, begins: str) -> None:
    """And afterwards, with the way to another; of a model whose end is not known nothing is said."""
    note = advice.retirement_note(model, today=today)
    assert note.startswith(begins)
    assert bool(note) == bool(begins)
    assert not note or "configure(model=" in note


def test_what_the_service_says_of_an_end_goes_first() -> None:
    """Its list may name another day, or none; what is no date says nothing, and a time of day may follow."""
    service, today = "https://a.example", dt.date(2026, 12, 24)
    advice.hear(service, "openai-gpt-image-1", None)
    advice.hear(service, "openai-gpt-image-2", "2026-12-31")
    advice.hear(service, "openai-gpt-image-1.5", "soon")
    assert advice.retirement_note("openai-gpt-image-1", service, today) == ""
    assert advice.retirement_note("openai-gpt-image-2", service, today).startswith(
        "openai-gpt-image-2 ends on 2026-12-31"
    )
    assert advice.retirement_note("openai-gpt-image-1.5", service, today) != ""
    advice.hear(service, "openai-gpt-image-1.5", "2027-12-31T00:00:00Z")
    assert advice.shutdown_of("openai-gpt-image-1.5", service) == dt.date(2027, 12, 31)
    assert advice.retirement_note("openai-gpt-image-1", "https://b.example", today) != ""
