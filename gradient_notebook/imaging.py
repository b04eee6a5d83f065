"""Bytes <-> PIL images, previews, contact sheets."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import cast

from PIL import GifImagePlugin, Image, ImageFile, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from .api import bounds
from .api.errors import GradientNotebookError, InvalidResponseError
from .api.images import format_of, is_svg
from .api.text import clean
from .session import OWN

PREVIEW_PX: int = OWN["preview_px"].default
"""Long edge of a preview in pixels, unless told otherwise: a whole fraction of 1536, so scaling takes 1 ms."""
_MOST_READS = 100_000  # an image of MAX_IMAGE_BYTES in the usual pieces takes some 50,000
_MOST_PASSES = 100  # a progressive JPEG has some 10
# 36 kB for 768x512, made in 1 ms. WebP takes 5 to 23 ms, and VS Code and nbconvert do not show it.
_JPEG_QUALITY = 80
_PALETTE_COLORS = 256
_GAP_COLOR = {"RGB": (128, 128, 128), "RGBA": (0, 0, 0, 0)}  # a gray that is quiet on white and on black


@dataclass(frozen=True)
class Preview:
    """A small picture for showing: JPEG, or PNG where there is transparency; width x height in pixels."""

    data: bytes = field(repr=False)
    mime: str
    width: int
    height: int


def open_image(data: bytes, *, of: Path | None = None) -> ImageFile.ImageFile:
    """Return the decoded image; raise InvalidResponseError if the bytes are no image, not all of one, or too much of one.

    Of a file, which it names, it raises GradientNotebookError instead: nothing was sent, and nothing is billed.

    PNG, JPEG, WebP, GIF and AVIF are opened, whichever was asked for; nothing is decoded before its size is known.
    """
    try:
        return _decoded(data)
    except Exception as error:  # Pillow raises whatever it stumbles over
        begins = f"it begins with {data[:16]!r}" if data else "it is empty"
        where = f"in {clean(str(of), 300)}" if of else "in the response"
        what = f"The image {where} cannot be opened: {begins} ({len(data):,} bytes)."
        kind = GradientNotebookError if of else InvalidResponseError
        raise kind(what, f"Reason: {clean(str(error) or type(error).__name__, 200)}") from error


def _decoded(data: bytes) -> ImageFile.ImageFile:
    if len(data) > bounds.MAX_IMAGE_BYTES:
        raise ValueError(f"at most {bounds.MAX_IMAGE_BYTES:,} bytes are allowed.")
    # Not Image.open, which warns of large images: a warning cannot be held back in one thread alone.
    image = _opener(data)(_Pieces(data))
    # What is refused before `load` decodes costs no memory for pixels. A WebP has been checked before that, too.
    _check_size(*image.size)
    if getattr(image, "n_frames", 1) > 1:
        raise ValueError("it is animated; only still images are allowed.")
    image.load()
    return image


def _opener(data: bytes) -> Callable[[BytesIO], ImageFile.ImageFile]:
    """Return what opens a file that begins like this one; raise ValueError if nothing does."""
    kind = format_of(data)
    if kind == "png":
        return PngImagePlugin.PngImageFile
    if kind == "webp":
        _check_size(*_webp_size(data))  # opening one makes room for it already, or warns
        return WebPImagePlugin.WebPImageFile
    if kind == "gif":
        return GifImagePlugin.GifImageFile
    if kind == "avif":
        from PIL import AvifImagePlugin  # Pillow has it since 11.3

        return AvifImagePlugin.AvifImageFile
    if is_svg(data):
        raise ValueError("it is SVG, a drawing: open the file in a browser.")
    if kind != "jpeg":
        raise ValueError("it is none of PNG, JPEG, WebP, GIF and AVIF.")
    if data.count(b"\xff\xda") > _MOST_PASSES:
        raise ValueError(f"it has more than {_MOST_PASSES} passes.")  # each goes over the whole picture
    return JpegImagePlugin.JpegImageFile


def _check_size(width: int, height: int) -> None:
    if width * height > bounds.MAX_PIXELS:
        raise ValueError(f"it has {width} x {height} pixels; at most {bounds.MAX_PIXELS:,} are allowed.")


def _webp_size(data: bytes) -> tuple[int, int]:
    """Return width x height as a WebP file begins to say: extended, lossless or lossy (RFC 9649, section 2)."""
    kind = data[12:16]
    if kind == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF


class _Pieces(BytesIO):
    """A file that refuses to be read in endless pieces: each takes its time, however small."""

    _reads = 0

    def read(self, size: int | None = -1) -> bytes:
        self._reads += 1
        if self._reads > _MOST_READS:
            raise ValueError(f"it consists of more than {_MOST_READS:,} pieces.")
        return super().read(size)


def preview(image: Image.Image, px: int = PREVIEW_PX, quality: int = _JPEG_QUALITY) -> Preview:
    """Return a preview whose long edge has at most `px` pixels; `quality` is that of a JPEG."""
    scale = px / max(image.size)
    if scale >= 1:
        return _encoded(image, quality)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return _encoded(_resized(image, size), quality)


def digest(image: Image.Image) -> str:
    """Return what two images have in common only if they are equal, pixel by pixel."""
    mode = "RGBA" if image.has_transparency_data else "RGB"
    return hashlib.blake2b(
        image.convert(mode).tobytes(), digest_size=16, key=f"{mode}{image.size}".encode()
    ).hexdigest()


SHOWN_HEIGHT = 480
"""CSS pixels that images are high where they are shown, alone or several together."""
SHOWN_WIDTH = 960
"""CSS pixels that several images together are wide at most."""
GAP = 4
"""CSS pixels between images."""


@dataclass(frozen=True)
class Tiling:
    """How several images stand together, all tiles of one size (width x height in CSS pixels)."""

    columns: int
    lines: int
    width: int
    height: int

    @property
    def whole(self) -> tuple[int, int]:
        """Width x height of all of it, in CSS pixels."""
        return _extent(self.columns, self.width), _extent(self.lines, self.height)


def _extent(count: int, length: int) -> int:
    return count * length + (count - 1) * GAP


def tiling(count: int, shape: float) -> Tiling:
    """Return how `count` images of one shape (width over height) stand together: as large as they can, few places empty."""

    def in_lines(lines: int) -> Tiling:
        columns = math.ceil(count / lines)
        height = (SHOWN_HEIGHT - (lines - 1) * GAP) / lines
        widest = (SHOWN_WIDTH - (columns - 1) * GAP) / columns if count > 1 else math.inf
        width = min(height * shape, widest)
        return Tiling(columns, math.ceil(count / columns), max(1, round(width)), max(1, round(width / shape)))

    def filled(tiles: Tiling) -> float:
        return tiles.width**2 * count / (tiles.columns * tiles.lines)

    return max(map(in_lines, range(1, count + 1)), key=filled)


def contact_sheet(images: Sequence[Image.Image], px: int = PREVIEW_PX) -> Preview:
    """Return one preview of several images, in tiles of the first one's shape; `px` is what one alone would have."""
    tiles = tiling(len(images), images[0].width / images[0].height)
    scale = px / PREVIEW_PX
    gap, size = round(GAP * scale), (max(1, round(tiles.width * scale)), max(1, round(tiles.height * scale)))
    mode = "RGBA" if any(_is_transparent(image) for image in images) else "RGB"
    whole = [each * count + gap * (count - 1) for each, count in zip(size, (tiles.columns, tiles.lines), strict=True)]
    sheet = Image.new(mode, (whole[0], whole[1]), _GAP_COLOR[mode])
    for index, image in enumerate(images):
        line, column = divmod(index, tiles.columns)
        fitted = scaled(image, size).convert(mode)
        sheet.paste(fitted, (column * (size[0] + gap), line * (size[1] + gap)))
    return _encoded(sheet)


def scaled(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return an image as large as it can be in a place of this width and height."""
    fit = min(size[0] / image.width, size[1] / image.height)
    return _resized(image, (max(1, round(image.width * fit)), max(1, round(image.height * fit))))


def _resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    # reducing_gap=1 makes the first step a plain average, which costs a tenth of a filter over every pixel.
    # Not `thumbnail`: it takes 10 ms where this takes 1, and changes the image itself.
    plain = image if image.mode in ("RGB", "RGBA", "L") else image.convert("RGBA")
    return plain.resize(size, Image.Resampling.BICUBIC, reducing_gap=1.0)


def _is_transparent(image: Image.Image) -> bool:
    if not image.has_transparency_data:
        return False
    # An alpha channel that is opaque everywhere needs no PNG: a JPEG is a fraction of its size.
    lowest, _ = cast("tuple[int, int]", image.convert("RGBA").getchannel("A").getextrema())
    return lowest < 255


def _encoded(image: Image.Image, quality: int = _JPEG_QUALITY) -> Preview:
    buffer = BytesIO()
    transparent = _is_transparent(image)
    if transparent:
        # A palette takes a quarter of the bytes, which would all stay in the saved notebook.
        # The other ways of Pillow's own to choose colors refuse RGBA.
        palette = image.convert("RGBA").quantize(_PALETTE_COLORS, Image.Quantize.FASTOCTREE)
        palette.save(buffer, "PNG")
    else:
        image.convert("RGB").save(buffer, "JPEG", quality=quality)
    return Preview(buffer.getvalue(), "image/png" if transparent else "image/jpeg", image.width, image.height)
