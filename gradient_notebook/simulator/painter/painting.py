"""A picture for a prompt: composition, grain, the mark, and the file.

A painting costs 0.2 to 0.7 s of one processor at 1536x1024, and each file that is made of it 0.1 s.
"""

from __future__ import annotations

import io
import random
from typing import Any, Protocol

from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from .brushwork import DETAIL, finished
from .canvas import Canvas, Size, film_grain
from .scenes import paint_scene

SOFTWARE = "gradient_notebook simulator"
MARK = "SIMULATED"
DEFAULT_COMPRESSION = 90
"""Percent, for jpeg and webp where the request says nothing."""

_GRAIN = 3.4  # standard deviation in grey levels: visible as film, and it gives the files their real size
_COARSEST = 64  # pixels of the picture to a pixel of its coarsest sketch
_CLEAR = 255  # the last place in a palette of 256
_LONGEST_TEXT = 1_000  # characters of the prompt in the file; EXIF has no room for all


class Picture(Protocol):
    """What a painter gives: one picture, from which files of any sharpness are made."""

    def encoded(self, file_format: str, compression: int | None = None, *, sharpness: float = 1) -> bytes:
        """Return the picture as a file; below a `sharpness` of 1 as a partial image."""


class Painter(Protocol):
    """What the simulator asks for its pictures: `Painting`, or something cheaper (`noise.Noise`)."""

    def __call__(self, prompt: str, *, size: Size, seed: str, quality: str, transparent: bool) -> Picture:
        """Return the picture for a prompt, of `size` pixels (width x height)."""


class Painting:
    """The picture for a prompt, of `size` pixels (width x height), in RGB, or RGBA where `transparent`.

    The same arguments always paint the same; another `seed` is another variation.
    """

    def __init__(
        self, prompt: str, *, size: Size, seed: str = "", quality: str = "high", transparent: bool = False
    ) -> None:
        self.prompt = prompt
        self._seed = f"{seed}\n{prompt}"
        self._alpha: Image.Image | None = None
        canvas = Canvas(size, random.Random(self._seed))
        paint_scene(canvas, prompt, DETAIL.get(quality, DETAIL["high"]))
        self._picture = finished(canvas.image, quality, random.Random(self._seed))
        if transparent:
            self._alpha = _medallion(size)

    def image(self, sharpness: float = 1) -> Image.Image:
        """Return the finished picture, or at a `sharpness` between 0 and 1 a coarser sketch of it, at full size."""
        coarse = max(2, round(_COARSEST * (1 - sharpness) ** 1.4))
        picture = self._picture if sharpness >= 1 else _coarser(self._picture, coarse)
        picture = film_grain(picture, random.Random(self._seed), _GRAIN)
        if self._alpha is not None:
            alpha = self._alpha if sharpness >= 1 else _coarser(self._alpha, coarse)
            clear = Image.new("RGB", picture.size)
            clear.paste(picture, (0, 0), alpha.point([0] + [255] * 255))
            clear.putalpha(alpha)
            picture = clear
        _mark(picture)
        return picture

    def encoded(self, file_format: str, compression: int | None = None, *, sharpness: float = 1) -> bytes:
        """Return the picture as a file: png, webp, jpeg, gif, or avif where Pillow can.

        `compression` is in percent, for webp, jpeg and avif.
        """
        buffer = io.BytesIO()
        picture = self.image(sharpness)
        if file_format == "gif":
            picture = _of_few_colours(picture)
        picture.save(buffer, file_format, **file_options(file_format, compression, self.prompt))
        return buffer.getvalue()


def _coarser(picture: Image.Image, pixels: int) -> Image.Image:
    small = picture.resize((picture.width // pixels, picture.height // pixels), Image.Resampling.BOX)
    return small.resize(picture.size, Image.Resampling.BICUBIC)


def _of_few_colours(picture: Image.Image) -> Image.Image:
    """Return `picture` in 256 colors, one of them for what is clear; grain needs no dither, it is one."""
    clear = picture.getchannel("A").point([255] * 128 + [0] * 128) if picture.mode == "RGBA" else None
    solid = picture.convert("RGB")
    few = solid.reduce(4).quantize(255)  # which has all colors, and less noise between them
    result = solid.quantize(palette=few, dither=Image.Dither.NONE)
    if clear:
        result.paste(_CLEAR, mask=clear)
        result.info["transparency"] = _CLEAR
    return result


def _medallion(size: Size) -> Image.Image:
    """Return a disc in the middle as a mask."""
    side = min(size) * 2
    large = Image.new("L", (side, side))
    inset = side // 16
    ImageDraw.Draw(large).ellipse((inset, inset, side - inset, side - inset), fill=255)
    mask = Image.new("L", size)
    mask.paste(large.reduce(2), ((size[0] - side // 2) // 2, (size[1] - side // 2) // 2))
    return mask


def _mark(picture: Image.Image) -> None:
    """Write in the lower right corner that the picture is simulated; legible at half size, and no larger."""
    height = round(min(picture.size) * 0.018)
    font = ImageFont.load_default(height)
    text = " ".join(MARK)
    width = round(font.getlength(text))
    right, lower = picture.width - round(height * 1.1), picture.height - round(height * 1.1)
    box = (right - width - round(height * 1.3), lower - round(height * 1.9), right, lower)
    label = Image.new("L", (2 * (box[2] - box[0]), 2 * (box[3] - box[1])))
    ImageDraw.Draw(label).rounded_rectangle((0, 0, label.width - 1, label.height - 1), label.height / 2, fill=120)
    dark = (12, 14, 22) if picture.mode == "RGB" else (12, 14, 22, 255)
    light = (250, 250, 250) if picture.mode == "RGB" else (250, 250, 250, 255)
    picture.paste(dark, box, label.reduce(2))
    middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    letters = Image.new("L", picture.size)
    ImageDraw.Draw(letters).text(middle, text, fill=225, font=font, anchor="mm")
    picture.paste(light, (0, 0), letters)


def file_options(file_format: str, compression: int | None, prompt: str) -> dict[str, Any]:
    """Return how Pillow saves a picture, with the file saying what it is: PNG text, a comment in JPEG and GIF, EXIF elsewhere."""
    text = f"{SOFTWARE}: {prompt[:_LONGEST_TEXT]}"
    if file_format == "png":
        information = PngImagePlugin.PngInfo()
        information.add_text("Software", SOFTWARE)
        information.add_text("simulated", text)
        # Grain has no repetitions to look for: Huffman codes alone are faster and no larger.
        return {"pnginfo": information, "compress_level": 1, "compress_type": 2}
    if file_format == "gif":
        return {"comment": text.encode()}
    exif = Image.Exif()
    exif[0x0131] = SOFTWARE
    exif[0x010E] = text
    quality = DEFAULT_COMPRESSION if compression is None else compression
    if file_format == "jpeg":
        return {"quality": quality, "exif": exif, "comment": text.encode()}
    speed = {"speed": 9} if file_format == "avif" else {"method": 1}
    return {"quality": quality, "exif": exif.tobytes(), **speed}
