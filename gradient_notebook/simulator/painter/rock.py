"""What a lighthouse has around it: its rock, the surf, and its beam in the air."""

from __future__ import annotations

import math
import random

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from .canvas import Colour, Point, curve, luminance, mix, scaled
from .cutout import Cutout
from .figure import Figure, brush
from .palette import SNOW
from .scene import Scene

WATERLINE = 21
"""How far below the foot of the tower the sea begins, in units of its figure."""

_STONE: Colour = (134, 122, 114)
_TURF: Colour = (104, 128, 74)
_BEAM_SCALE = 4  # the beam is so soft that a mask of a quarter of the size will do


def darkness(scene: Scene) -> float:
    """Return how much of a lamp can be seen: nothing by day, most of it at night."""
    return max(0.0, min(0.85, (150 - luminance(scene.palette.middle)) / 130))


def rock(figure: Cutout, *, wet: bool) -> None:
    """Paint the mass of the rock, with turf on its back, for tower and house to be built on."""
    if not wet:
        return
    back = [(-70, 22), (-61, 17), (-53, 15), (-44, 9), (-33, 8), (-23, 3.4), (-12, 2), (10, 1.6), (36, 2.4), (43, 6)]
    back += [(51, 9), (57, 15), (66, 18), (74, 22)]
    figure.volume(back, scaled(_STONE, 0.8), 4, scaled(_STONE, 0.5))
    white = not figure.scene.words.isdisjoint(SNOW)
    turf = [(-32, 8), (-23, 2.4), (-12, 0.6), (10, 0.2), (38, 1), (46, 7), (30, 9), (8, 8), (-14, 9)]
    figure.volume(curve(turf, 6), (232, 238, 246) if white else _TURF, 1.6, scaled(_TURF, 0.7))


def boulders(figure: Cutout, *, wet: bool) -> None:
    """Paint the boulders in front, the nearest last; those in the sea end at its surface and are dark and wet there."""
    rng = figure.scene.rng
    rows = ((8, 36, 8), (12.5, 47, 11), (17, 58, 13), (21, 68, 16)) if wet else ((4, 30, 7), (7, 38, 9))
    for level, reach, count in rows:
        places = [reach * (2 * (index + rng.uniform(0.1, 0.9)) / count - 1) for index in range(count)]
        rng.shuffle(places)
        for x in places:
            if not wet and abs(x) < 12:
                continue  # the way to the door
            size = rng.uniform(3.4, 7.6) * (1 if wet else 0.6) * (1.1 - 0.35 * abs(x) / reach)
            _boulder(figure, (x + 2, level + rng.uniform(-1.5, 1.5)), size, wet=wet)
    if wet:
        seam = [(-76, WATERLINE - 2.4), (76, WATERLINE - 2.4), (76, WATERLINE), (-76, WATERLINE)]
        figure.texture([seam], (14, 16, 26), 0.5)


def _boulder(figure: Cutout, middle: Point, size: float, *, wet: bool) -> None:
    rng = figure.scene.rng
    tone = mix(scaled(_STONE, rng.uniform(0.74, 1.12)), rng.choice(((96, 104, 120), (150, 116, 90))), 0.22)
    lowest = WATERLINE if wet else 99
    corners = []
    for index in range(9):
        angle = math.tau * (index + rng.uniform(-0.3, 0.3)) / 9
        away = size * rng.uniform(0.8, 1.12)
        corners.append(
            (middle[0] + away * 1.35 * math.cos(angle), min(lowest, middle[1] + away * 0.74 * math.sin(angle)))
        )
    figure.volume(corners, tone, size * 0.3, scaled(tone, 0.55))
    white = not figure.scene.words.isdisjoint(SNOW)
    ridge = sorted(corners, key=lambda corner: corner[1])[:2]
    crack = [
        ridge[0],
        (middle[0] + rng.uniform(-1, 1), middle[1]),
        (middle[0] + rng.uniform(-3, 3), min(lowest, middle[1] + size * 0.6)),
    ]
    figure.stroke(crack, (0.5, 0.1), scaled(tone, 0.45), opacity=0.55)
    if white:
        cap = [(x, y) for x, y in corners if y < middle[1]]
        figure.area([*cap, (middle[0], middle[1] - size * 0.2)], (240, 244, 250), blur=0.2)


def surf(scene: Scene, middle: Point, unit: float) -> None:
    """Paint where the sea breaks: foam along the rock, higher in a storm, and rings that run from it."""
    rng = random.Random(scene.rng.random())
    figure = Figure(scene, middle, unit)
    wild = 2.6 if scene.has("storm", "stormy", "wave", "rough", "wild") else 1.0
    white = mix((250, 252, 255), scene.palette.horizon, 0.3)
    white = scaled(mix(white, scene.palette.far, 0.45), 0.8) if scene.palette.dark else white
    for _ in range(26):
        centre, size = (rng.uniform(-74, 74), rng.uniform(-0.4, 0.9)), rng.uniform(1.6, 4.4)
        figure.oval(centre, (size * 1.6, size * 0.26 * wild**0.5), white, opacity=0.6, blur=0.35)
    bursts = [rng.uniform(-68, 68) for _ in range(round(5 * wild))]
    for _ in range(round(14 * wild**2)):
        rise = rng.random() ** 1.6
        x = rng.choice(bursts) + rng.gauss(0, 1.4 + 2.2 * rise * wild)
        size = rng.uniform(0.5, 1.1) * wild**0.7
        figure.oval((x, -rise * 5 * (wild - 0.5)), (size, size), white, opacity=0.5 * (1.1 - rise), blur=0.45 * size)
    for _ in range(44):
        away = rng.random()
        x, y = rng.uniform(-84 - 20 * away, 84 + 20 * away), 1.2 + 15 * away
        half, lift = rng.uniform(3, 10), rng.uniform(-0.6, 0.6)
        line = curve([(x - half, y + lift), (x, y - 0.5), (x + half, y - lift)], 5, closed=False)
        middle_of_it = len(line) // 2
        for part, widths in ((line[: middle_of_it + 1], (0.05, 0.7)), (line[middle_of_it:], (0.7, 0.05))):
            figure.area(brush(part, *widths), white, opacity=0.5 * (1 - 0.75 * away))


def beam(scene: Scene, lamp: Point, height: float) -> None:
    """Let a lamp send its light to both sides through the haze; by day there is nothing to see."""
    strength = darkness(scene)
    if not strength:
        return
    canvas = scene.canvas
    size = canvas.width // _BEAM_SCALE, canvas.height // _BEAM_SCALE
    mask = Image.new("L", size)
    tilt, inwards = 0.11, 1 if lamp[0] < canvas.width / 2 else -1
    for side, length in ((inwards, 1.05 * canvas.width), (-inwards, 0.6 * canvas.width)):
        for wide in (1.0, 0.66, 0.36):
            layer = Image.new("L", size)
            _ray(ImageDraw.Draw(layer), lamp, (side * math.cos(tilt), math.sin(tilt) * inwards * side), (length, wide))
            mask = ImageChops.add(mask, layer.filter(ImageFilter.GaussianBlur(height * 0.007 * wide)))
    mask = mask.point([round(value * strength) for value in range(256)])
    canvas.lighten(mask.resize(canvas.size, Image.Resampling.BICUBIC), (255, 240, 196))


def _ray(draw: ImageDraw.ImageDraw, lamp: Point, towards: Point, reach: Point) -> None:
    """Draw one ray as slices of its cone, each dimmer than the one before it."""
    (length, wide), (x, y), count = reach, (lamp[0] / _BEAM_SCALE, lamp[1] / _BEAM_SCALE), 64
    for slice_ in range(count):
        near, far = (length / _BEAM_SCALE * (slice_ + step) / count for step in (0, 1))
        corners = []
        for away, side in ((near, -1), (far, -1), (far, 1), (near, 1)):
            half = side * wide * (1.2 + away * 0.085)
            corners.append((x + towards[0] * away - towards[1] * half, y + towards[1] * away + towards[0] * half))
        draw.polygon(corners, fill=round(84 * (1 - slice_ / count) ** 1.5))
