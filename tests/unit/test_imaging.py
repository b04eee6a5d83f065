"""Previews: small, of one kind, faithful enough."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from gradient_notebook.api.errors import InvalidResponse
from gradient_notebook.imaging import contact_sheet, open_image, preview, rows


def picture(size: tuple[int, int] = (1536, 1024), mode: str = "RGB", colour: Any = (200, 40, 40)) -> Image.Image:
    return Image.new(mode, size, colour)


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("size", "px", "shown"),
    [
        ((1536, 1024), 768, (768, 512)),
        ((1024, 1536), 768, (512, 768)),
        ((1024, 1024), 768, (768, 768)),
        ((300, 200), 768, (300, 200)),
    ],
)
def test_the_long_edge_is_bounded(size: tuple[int, int], px: int, shown: tuple[int, int]) -> None:
    """Width x height keep their ratio; a small picture stays as it is."""
    small = preview(picture(size), px)
    assert (small.width, small.height) == shown
    assert open_image(small.data).size == shown


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "CMYK", "RGBA", "LA"])
def test_an_opaque_picture_is_a_jpeg(mode: str) -> None:
    """Whatever its mode, an opaque picture becomes one JPEG."""
    image = picture().convert(mode) if mode != "LA" else picture(mode="LA", colour=(9, 255))
    assert preview(image).mime == "image/jpeg"


def test_a_transparent_picture_stays_transparent() -> None:
    """A picture with transparency is a PNG that has it."""
    small = preview(picture(mode="RGBA", colour=(200, 40, 40, 0)))
    assert small.mime == "image/png"
    assert open_image(small.data).convert("RGBA").getpixel((5, 5))[3] == 0


@pytest.mark.parametrize(
    ("count", "lines"), [(1, [1]), (2, [2]), (3, [3]), (4, [2, 2]), (5, [3, 2]), (7, [3, 2, 2]), (10, [4, 3, 3])]
)
def test_rows_hold_every_picture_and_none_is_empty(count: int, lines: list[int]) -> None:
    """The rows of a sheet are as even as they can be."""
    assert rows(count) == lines


def test_a_contact_sheet_shows_every_picture_over_the_full_width() -> None:
    """Five pictures are rows of three and two, each of them as wide as the sheet."""
    colours = [(250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 0), (0, 250, 250)]
    sheet = open_image(contact_sheet([picture(colour=colour) for colour in colours], 600).data)
    assert sheet.width == 600
    places = [(100, 50), (300, 50), (500, 50), (150, sheet.height - 50), (450, sheet.height - 50)]
    for place, colour in zip(places, colours, strict=True):
        assert all(abs(a - b) < 30 for a, b in zip(sheet.getpixel(place), colour, strict=True))


@pytest.mark.parametrize("data", [b"", b"not an image", encoded(picture())[:-5000], encoded(picture())[:100]])
def test_what_is_no_whole_image_is_said_to_be(data: bytes) -> None:
    """Bytes that are no image, or not all of one, raise our error and say how they begin."""
    with pytest.raises(InvalidResponse, match="no image that can be opened"):
        open_image(data)
