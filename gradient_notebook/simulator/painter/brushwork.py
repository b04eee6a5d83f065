"""What a quality does to a picture: broad strokes of a brush, a soft lens, or a crisp one."""

from __future__ import annotations

import math
import random
from typing import cast

from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from .canvas import Colour, Point, scaled
from .figure import brush

DETAIL = {"low": 0, "medium": 1, "high": 2, "xhigh": 3, "max": 4}
"""How much is worked out at each quality; names that we do not know are `high`."""

_SOFTNESS = 0.002  # of the shorter side, at medium quality
_PALENESS = 0.82  # how much color medium quality keeps
_SHARPENED = {"xhigh": 30, "max": 55}  # percent
_SKETCH = 540  # pixels of the shorter side of what the brush paints, whatever the size: its strokes get larger with it
_WETNESS = 1.7  # pixels of the sketch that strokes run into each other: broader than the softness of medium
_COATS = ((1_500, 0.075, 0.021, 0), (3_000, 0.036, 0.011, 0), (9_000, 0.018, 0.006, 20))
"""The coats of paint: strokes for a square, their length and width in shares of the shorter side, and how far in grey
levels the sketch has to be off for one."""


def finished(picture: Image.Image, quality: str, rng: random.Random) -> Image.Image:
    """Return `picture` as it looks at a `quality`."""
    short = min(picture.size)
    if quality == "low":
        return _in_broad_strokes(picture, rng)
    if quality == "medium":
        pale = ImageEnhance.Color(picture).enhance(_PALENESS)
        return pale.filter(ImageFilter.GaussianBlur(short * _SOFTNESS))
    if quality in _SHARPENED:
        return picture.filter(ImageFilter.UnsharpMask(short * 0.0012, _SHARPENED[quality], 2))
    return picture


def _in_broad_strokes(picture: Image.Image, rng: random.Random) -> Image.Image:
    """Return `picture` as a brush would sketch it in a minute."""
    scale = _SKETCH / min(picture.size)
    size = round(picture.width * scale), round(picture.height * scale)
    original = picture.resize(size, Image.Resampling.BOX).filter(ImageFilter.GaussianBlur(_SKETCH * 0.004))
    sketch = original.filter(ImageFilter.GaussianBlur(_SKETCH * 0.03))
    slopes = original.convert("L").filter(ImageFilter.GaussianBlur(_SKETCH * 0.004))
    draw = ImageDraw.Draw(sketch)
    for count, length, width, tolerance in _COATS:
        for _ in range(round(count * size[0] * size[1] / _SKETCH**2)):
            place = rng.randrange(size[0]), rng.randrange(size[1])
            colour = _pixel(original, place)
            if (
                tolerance
                and sum(abs(a - b) for a, b in zip(colour, _pixel(sketch, place), strict=True)) < 3 * tolerance
            ):
                continue
            angle = _along(slopes, place) + rng.gauss(0, 0.2)
            stroke = _stroke(place, angle, _SKETCH * length * rng.uniform(0.6, 1.2), _SKETCH * width)
            draw.polygon(stroke, fill=_uneven(colour, rng))
    return sketch.filter(ImageFilter.GaussianBlur(_WETNESS)).resize(picture.size, Image.Resampling.BICUBIC)


def _pixel(picture: Image.Image, place: tuple[int, int]) -> Colour:
    """Return a pixel of an RGB picture."""
    return cast("Colour", picture.getpixel(place))


def _along(slopes: Image.Image, place: tuple[int, int]) -> float:
    """Return the angle of a stroke: along the edge that is there in the grey `slopes`, or else as a hand hatches."""
    x, y = max(2, min(slopes.width - 3, place[0])), max(2, min(slopes.height - 3, place[1]))
    right, left, below, above = (
        cast("float", slopes.getpixel(at)) for at in ((x + 2, y), (x - 2, y), (x, y + 2), (x, y - 2))
    )
    across, down = right - left, below - above
    return math.atan2(across, -down) if abs(across) + abs(down) > 8 else -0.5


def _stroke(middle: Point, angle: float, length: float, width: float) -> list[Point]:
    along = math.cos(angle) * length / 2, math.sin(angle) * length / 2
    ends = [(middle[0] + side * along[0], middle[1] + side * along[1]) for side in (-1, 1)]
    top = middle[0] - along[1] * 0.12, middle[1] + along[0] * 0.12
    return brush([ends[0], top, ends[1]], width, width * 0.55)


def _uneven(colour: Colour, rng: random.Random) -> Colour:
    """Return `colour` as a brush takes it up: a little lighter or darker each time."""
    return scaled(colour, 1 + rng.gauss(0, 0.03))
