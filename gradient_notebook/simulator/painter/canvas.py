"""Brushes: soft-edged shapes, gradients, glows and noise, on a picture of width x height pixels.

Positions are in pixels from the top left; angles and colours are plain numbers. Everything that looks random comes
from the `random.Random` that is handed in, so that a seed always paints the same.
"""

from __future__ import annotations

import functools
import itertools
import math
import random
from collections.abc import Iterable, Sequence
from statistics import NormalDist

from PIL import Image, ImageChops, ImageDraw, ImageFilter

Colour = tuple[int, int, int]
Point = tuple[float, float]
Size = tuple[int, int]

SUPERSAMPLING = 2
"""Masks are drawn so much larger and reduced: Pillow's shapes have hard edges."""


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """Return the colour on the way from `first` (0) to `second` (1)."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def scaled(colour: Colour, factor: float) -> Colour:
    """Return `colour`, lighter (above 1) or darker."""
    red, green, blue = (max(0, min(255, round(channel * factor))) for channel in colour)
    return red, green, blue


def luminance(colour: Colour) -> float:
    """Return how light `colour` is, 0 to 255."""
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]


def gradient(size: Size, stops: Sequence[tuple[float, Colour]]) -> Image.Image:
    """Return a picture of `size` whose colours go from stop to stop, (0 to 1, colour), from top to bottom."""
    rows = max(2, min(256, size[1]))
    data = bytearray()
    for row in range(rows):
        place = row / (rows - 1)
        after = next((index for index, (where, _) in enumerate(stops) if where >= place), len(stops) - 1)
        (low, first), (high, second) = stops[max(0, after - 1)], stops[after]
        share = (place - low) / (high - low) if high > low else 1.0
        data += bytes(mix(first, second, max(0.0, min(1.0, share))))
    return Image.frombytes("RGB", (1, rows), bytes(data)).resize(size, Image.Resampling.BILINEAR)


class Canvas:
    """A picture being painted, of width x height pixels, in RGB."""

    def __init__(self, size: Size, rng: random.Random) -> None:
        self.size = size
        self.width, self.height = size
        self.short = min(size)
        self.rng = rng
        self.image = Image.new("RGB", size)

    def mask(self, polygons: Iterable[Sequence[Point]], blur: float = 0) -> Image.Image:
        """Return a mask of the canvas's size with the polygons, soft-edged, blurred by `blur` pixels."""
        factor = SUPERSAMPLING
        large = Image.new("L", (self.width * factor, self.height * factor))
        draw = ImageDraw.Draw(large)
        for polygon in polygons:
            draw.polygon([(x * factor, y * factor) for x, y in polygon], fill=255)
        mask = large.reduce(factor)
        return mask.filter(ImageFilter.GaussianBlur(blur)) if blur else mask

    def paint(self, mask: Image.Image, top: Colour, bottom: Colour | None = None, opacity: float = 1) -> None:
        """Paint where the mask is, from `top` to `bottom` between the mask's own upper and lower edge."""
        if box := mask.getbbox():
            self._fill(mask.crop(box), box[:2], top, bottom, opacity)

    def shape(
        self, points: Sequence[Point], top: Colour, bottom: Colour | None = None, opacity: float = 1, blur: float = 0
    ) -> None:
        """Paint one polygon; cheap when it is small."""
        margin = 3 * blur + 2
        left, upper = math.floor(min(x for x, _ in points) - margin), math.floor(min(y for _, y in points) - margin)
        right, lower = math.ceil(max(x for x, _ in points) + margin), math.ceil(max(y for _, y in points) + margin)
        left, upper, right, lower = max(0, left), max(0, upper), min(self.width, right), min(self.height, lower)
        if right <= left or lower <= upper:
            return
        factor = SUPERSAMPLING * (1 if (right - left) * (lower - upper) > 200_000 else 2)
        large = Image.new("L", ((right - left) * factor, (lower - upper) * factor))
        ImageDraw.Draw(large).polygon([((x - left) * factor, (y - upper) * factor) for x, y in points], fill=255)
        part = large.reduce(factor)
        part = part.filter(ImageFilter.GaussianBlur(blur)) if blur else part
        self._fill(part, (left, upper), top, bottom, opacity)

    def _fill(self, mask: Image.Image, corner: Size, top: Colour, bottom: Colour | None, opacity: float) -> None:
        """Paint through a mask whose upper left corner lies at `corner`."""
        if opacity < 1:
            mask = mask.point([round(value * opacity) for value in range(256)])
        fill = gradient(mask.size, [(0, top), (1, bottom)]) if bottom else Image.new("RGB", mask.size, top)
        self.lay(fill, corner, mask)

    def lay(self, fill: Image.Image, corner: Size, mask: Image.Image) -> None:
        """Paste `fill` through `mask`; all painting comes down to it."""
        self.image.paste(fill, corner, mask)

    def lighten(self, mask: Image.Image, light: Colour) -> None:
        """Add light of one colour where the mask is."""
        lit = ImageChops.screen(self.image, Image.new("RGB", self.size, light))
        self.image = Image.composite(lit, self.image, mask)

    def glow(self, centre: Point, radius: float, colour: Colour, strength: float = 1, flatness: float = 1) -> None:
        """Add light around `centre` that fades within `radius` pixels, `flatness` times as wide as high."""
        across, down = max(2, round(2 * radius * flatness)), max(2, round(2 * radius))
        left, upper = round(centre[0] - across / 2), round(centre[1] - down / 2)
        box = max(0, left), max(0, upper), min(self.width, left + across), min(self.height, upper + down)
        if box[2] <= box[0] or box[3] <= box[1]:
            return
        right, lower = (box[2] - left) * 256 / across, (box[3] - upper) * 256 / down
        source = ((box[0] - left) * 256 / across, (box[1] - upper) * 256 / down, right, lower)
        size = (box[2] - box[0], box[3] - box[1])
        light = _falloff(round(strength * 100)).resize(size, Image.Resampling.BICUBIC, box=source)
        if min(size) > 200:
            light = ImageChops.add(light, _dither(size), 1, -1)  # or faint lights end in visible rings
        below = self.image.crop(box)
        lit = ImageChops.screen(below, Image.new("RGB", size, colour))
        self.image.paste(Image.composite(lit, below, light), box[:2])

    def noise(self, cells: Size, size: Size | None = None) -> Image.Image:
        """Return smooth noise, mode L, with `cells` across and down, of `size` (the canvas's if None)."""
        small = Image.frombytes("L", cells, self.rng.randbytes(cells[0] * cells[1]))
        return small.resize(size or self.size, Image.Resampling.BICUBIC)

    def clouds(self, cells: Size, octaves: int = 4) -> Image.Image:
        """Return fractal noise, mode L, of the canvas's size, its coarsest octave with `cells` across and down."""
        size = (self.width // 2, self.height // 2)
        result = self.noise(cells, size)
        for octave in range(1, octaves):
            finer = self.noise((cells[0] << octave, cells[1] << octave), size)
            result = Image.blend(result, finer, 0.5**octave / (2 - 0.5**octave))
        return result.resize(self.size, Image.Resampling.BICUBIC)


@functools.lru_cache(maxsize=64)
def _falloff(percent: int) -> Image.Image:
    """Return a round light, 256x256, mode L, that fades like light in haze and is 0 at its edge."""
    edge = math.exp(-4.2)
    levels = [max(0.0, math.exp(-4.2 * min(1.0, value / 180)) - edge) / (1 - edge) for value in range(256)]
    return Image.radial_gradient("L").point([round(min(255.0, 255 * level * percent / 100)) for level in levels])


@functools.lru_cache(maxsize=32)
def _dither(size: Size) -> Image.Image:
    """Return 0, 1 and 2 at random, mode L."""
    data = random.Random(0).randbytes(size[0] * size[1])
    return Image.frombytes("L", size, data).point([value * 3 // 256 for value in range(256)])


def ellipse(centre: Point, across: float, down: float, turn: float = 0, points: int = 72) -> list[Point]:
    """Return an ellipse with the half axes `across` and `down`, turned by `turn` radians."""
    cosine, sine = math.cos(turn), math.sin(turn)
    angles = (2 * math.pi * index / points for index in range(points))
    flat = ((across * math.cos(angle), down * math.sin(angle)) for angle in angles)
    return [(centre[0] + x * cosine - y * sine, centre[1] + x * sine + y * cosine) for x, y in flat]


def curve(points: Sequence[Point], steps: int = 12, closed: bool = True) -> list[Point]:
    """Return a smooth line (Catmull-Rom) through `points`."""
    count = len(points)
    result: list[Point] = []
    for index in range(count if closed else count - 1):
        neighbours = [index - 1, index, index + 1, index + 2]
        a, b, c, d = (points[at % count] if closed else points[max(0, min(count - 1, at))] for at in neighbours)
        result += [_between(a, b, c, d, step / steps) for step in range(steps)]
    return result if closed else [*result, points[-1]]


def _between(a: Point, b: Point, c: Point, d: Point, share: float) -> Point:
    def axis(p: float, q: float, r: float, s: float) -> float:
        linear, square = r - p, 2 * p - 5 * q + 4 * r - s
        return 0.5 * (2 * q + linear * share + square * share**2 + (3 * q - p - 3 * r + s) * share**3)

    return axis(a[0], b[0], c[0], d[0]), axis(a[1], b[1], c[1], d[1])


def jagged(rng: random.Random, roughness: float, levels: int = 9) -> list[float]:
    """Return 2**levels + 1 heights around 0 by midpoint displacement; `roughness` 0.6 is rocky, 0.4 gentle."""
    heights = [rng.uniform(-1, 1), rng.uniform(-1, 1)]
    scale = 1.0
    for _ in range(levels):
        scale *= roughness
        between = [(a + b) / 2 + rng.uniform(-scale, scale) for a, b in itertools.pairwise(heights)]
        heights = [height for pair in zip(heights, between, strict=False) for height in pair] + [heights[-1]]
    return heights


def waves(rng: random.Random, cycles: float, octaves: int = 4, count: int = 400) -> list[float]:
    """Return `count` heights between about -1 and 1: a sum of sines, `cycles` of the longest across."""
    parts = [(cycles * 1.9**octave, 0.5**octave, rng.uniform(0, math.tau)) for octave in range(octaves)]
    return [
        sum(share * math.sin(math.tau * often * index / count + phase) for often, share, phase in parts) / 1.5
        for index in range(count)
    ]


@functools.lru_cache(maxsize=8)
def _normal(deviation: float) -> list[int]:
    """Return a table that makes normally distributed grey values around 128 of evenly distributed bytes."""
    quantile = NormalDist(128, deviation).inv_cdf
    return [max(0, min(255, round(quantile((value + 0.5) / 256)))) for value in range(256)]


def film_grain(image: Image.Image, rng: random.Random, deviation: float) -> Image.Image:
    """Return the RGB `image` with grain of the standard `deviation` in grey levels; it also hides gradients' steps."""
    width, height = image.size
    grey = Image.frombytes("L", image.size, rng.randbytes(width * height)).point(_normal(deviation))
    # Shifted copies tint the grain a little, as in film, without drawing three times as many numbers.
    channels = (grey, ImageChops.offset(grey, 1, 0), grey)
    return ImageChops.add(image, Image.merge("RGB", channels), 1, -128)
