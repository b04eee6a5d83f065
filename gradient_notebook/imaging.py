"""Bytes <-> PIL images, previews, contact sheets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import cast

from PIL import Image, ImageFile

from .api.errors import InvalidResponse

PREVIEW_PX = 768
"""Long edge of a preview in pixels, unless told otherwise: a whole fraction of 1536, so scaling takes 1 ms."""
_JPEG_QUALITY = 80
_PALETTE_COLOURS = 256
_SHEET_GAP_PX = 4
_GAP_COLOUR = {"RGB": (128, 128, 128), "RGBA": (0, 0, 0, 0)}  # a grey that is quiet on white and on black


@dataclass(frozen=True)
class Preview:
    """A small picture for showing: JPEG, or PNG where there is transparency; width x height in pixels."""

    data: bytes = field(repr=False)
    mime: str
    width: int
    height: int


def open_image(data: bytes) -> ImageFile.ImageFile:
    """Return the decoded image; raise InvalidResponse if the bytes are no image or not all of one."""
    try:
        image = Image.open(BytesIO(data))
        image.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        begins = f"it begins with {data[:16]!r}" if data else "it is empty"
        what = f"The answer is no image that can be opened: {begins} ({len(data):,} bytes)."
        raise InvalidResponse(what, f"The reason: {str(error)[:200]}") from error
    return image


def preview(image: Image.Image, px: int = PREVIEW_PX) -> Preview:
    """Return a preview whose long edge has at most `px` pixels."""
    return _encoded(_shrunk(image, px))


def rows(count: int) -> list[int]:
    """Return how many of `count` images stand in each row, so that every row is full: 5 are 3 and 2."""
    lines = round(math.sqrt(count)) if count > 3 else 1
    return [count // lines + (line < count % lines) for line in range(lines)]


def contact_sheet(images: Sequence[Image.Image], width: int = PREVIEW_PX) -> Preview:
    """Return one preview of several images, `width` pixels wide: rows of equal width, as the card shows them."""
    mode = "RGBA" if any(_is_transparent(image) for image in images) else "RGB"
    left = iter(images)
    lines = [_row([next(left) for _ in range(count)], width, mode) for count in rows(len(images))]
    return _encoded(_stacked(lines, mode))


def _row(images: Sequence[Image.Image], width: int, mode: str) -> Image.Image:
    room = width - _SHEET_GAP_PX * (len(images) - 1)
    height = max(1, round(room / sum(image.width / image.height for image in images)))
    sheet = Image.new(mode, (width, height), _GAP_COLOUR[mode])
    x = 0
    for image in images:
        size = (max(1, round(height * image.width / image.height)), height)
        sheet.paste(_resized(image, size).convert(mode), (x, 0))
        x += size[0] + _SHEET_GAP_PX
    return sheet


def _stacked(lines: Sequence[Image.Image], mode: str) -> Image.Image:
    height = sum(line.height for line in lines) + _SHEET_GAP_PX * (len(lines) - 1)
    sheet = Image.new(mode, (lines[0].width, height), _GAP_COLOUR[mode])
    y = 0
    for line in lines:
        sheet.paste(line, (0, y))
        y += line.height + _SHEET_GAP_PX
    return sheet


def _shrunk(image: Image.Image, px: int) -> Image.Image:
    scale = px / max(image.size)
    if scale >= 1:
        return image
    return _resized(image, (max(1, round(image.width * scale)), max(1, round(image.height * scale))))


def _resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    # reducing_gap=1 makes the first step a plain average, which costs a tenth of a filter over every pixel.
    plain = image if image.mode in ("RGB", "RGBA", "L") else image.convert("RGBA")
    return plain.resize(size, Image.Resampling.BICUBIC, reducing_gap=1.0)


def _is_transparent(image: Image.Image) -> bool:
    if not image.has_transparency_data:
        return False
    lowest, _ = cast("tuple[int, int]", image.convert("RGBA").getchannel("A").getextrema())
    return lowest < 255


def _encoded(image: Image.Image) -> Preview:
    buffer = BytesIO()
    transparent = _is_transparent(image)
    if transparent:
        # A palette takes a quarter of the bytes, which would all stay in the saved notebook.
        palette = image.convert("RGBA").quantize(_PALETTE_COLOURS, Image.Quantize.FASTOCTREE)
        palette.save(buffer, "PNG")
    else:
        image.convert("RGB").save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return Preview(buffer.getvalue(), "image/png" if transparent else "image/jpeg", image.width, image.height)
