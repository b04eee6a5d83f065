"""What has no ground: space with its planets, and ribbons of colour where a prompt names nothing that we can draw."""

from __future__ import annotations

import colorsys
import math

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from .canvas import Colour, Point, ellipse, gradient, mix, scaled, waves
from .palette import TINTS
from .scene import Scene
from .sky import milky_way, paint_stars


def hue(degrees: float, saturation: float, value: float) -> Colour:
    """Return a colour; `saturation` and `value` go from 0 to 1."""
    red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(degrees % 360 / 360, saturation, value))
    return red, green, blue


def _tints(scene: Scene, count: int) -> list[Colour]:
    """Return colours that go together: those of the prompt, or neighbours on the colour wheel."""
    named = [TINTS[word] for word in sorted(scene.words & TINTS.keys())]
    start = scene.rng.uniform(0, 360)
    chosen = [hue(start + scene.rng.uniform(20, 40) * index, 0.56, 0.88) for index in range(count)]
    return (named * count)[:count] if len(named) > 1 else named + chosen[: count - len(named)]


def space(scene: Scene) -> None:
    """Paint nebulae, stars, and a planet or two."""
    canvas, rng = scene.canvas, scene.rng
    canvas.image = gradient(canvas.size, [(0, (7, 8, 24)), (0.6, (14, 12, 38)), (1, (8, 8, 22))])
    for tint in _tints(scene, 3):
        fog = canvas.clouds((3, 2), 5)
        levels = [max(0, min(235, round((value - 118) * 3.2))) for value in range(256)]
        canvas.lighten(fog.point(levels), scaled(tint, 0.62))
    milky_way(scene, 0.6)
    paint_stars(scene, canvas.height)
    side = rng.choice((0.3, 0.68))
    centre = canvas.width * side, canvas.height * rng.uniform(0.42, 0.58)
    planet(scene, centre, scene.unit * rng.uniform(19, 25), ringed=rng.random() < 0.6 or scene.has("saturn", "ring"))
    moon = canvas.width * (1 - side) + scene.unit * 6, canvas.height * rng.uniform(0.2, 0.3)
    planet(scene, moon, scene.unit * rng.uniform(3, 5), ringed=False)


def planet(scene: Scene, centre: Point, radius: float, *, ringed: bool) -> None:
    """Paint a banded globe, lit from one side, with rings before and behind it."""
    canvas, rng = scene.canvas, scene.rng
    first, second = _tints(scene, 2)
    canvas.glow(centre, radius * 2.1, first, 0.5)
    turn = rng.uniform(-0.35, 0.35)
    if ringed:
        _rings(scene, (centre, radius, turn), second, front=False)
    across = round(radius * 4)
    globe = _bands(scene, across, first, second, turn)
    dark = Image.radial_gradient("L").resize((across * 3, across * 3), Image.Resampling.BICUBIC)
    offset = round(across * (1.0 + 0.28)), round(across * (1.0 + 0.22))
    shade = dark.crop((*offset, offset[0] + across, offset[1] + across))
    levels = [max(0, min(255, round((value - 34) * 3.3))) for value in range(256)]
    globe.paste((5, 6, 18), (0, 0), shade.point(levels))
    disc = Image.new("L", (across * 2, across * 2))
    ImageDraw.Draw(disc).ellipse((2, 2, across * 2 - 3, across * 2 - 3), fill=255)
    size = (round(radius * 2),) * 2
    place = round(centre[0] - radius), round(centre[1] - radius)
    canvas.image.paste(globe.resize(size, Image.Resampling.LANCZOS), place, disc.resize(size, Image.Resampling.LANCZOS))
    if ringed:
        _rings(scene, (centre, radius, turn), second, front=True)


def _bands(scene: Scene, across: int, first: Colour, second: Colour, turn: float) -> Image.Image:
    rng = scene.rng
    stops = [(index / 13, mix(first, second, rng.uniform(0, 0.8))) for index in range(14)]
    stops = [(where, scaled(tone, rng.uniform(0.8, 1.15))) for where, tone in stops]
    bands = gradient((across * 2, across * 2), stops)
    swirl = scene.canvas.noise((3, 26), (across * 2, across * 2)).filter(ImageFilter.GaussianBlur(2))
    bands = Image.blend(bands, ImageChops.multiply(bands, Image.merge("RGB", (swirl,) * 3)), 0.35)
    turned = bands.rotate(-math.degrees(turn), Image.Resampling.BICUBIC)
    return turned.crop((across // 2, across // 2, across // 2 + across, across // 2 + across))


def _rings(scene: Scene, globe: tuple[Point, float, float], tint: Colour, *, front: bool) -> None:
    """Paint the half of the rings before or behind a globe: its centre, radius and tilt."""
    centre, radius, turn = globe
    for outer, inner, opacity in ((2.25, 2.02, 0.4), (1.97, 1.7, 0.65), (1.64, 1.42, 0.45)):
        half: list[Point] = []
        for size, order in ((outer, 1), (inner, -1)):
            points = ellipse((0, 0), radius * size, radius * size * 0.26, points=144)
            points = [point for point in points if (point[1] >= 0) == front]
            points.sort(key=lambda point: point[0] * order)
            half += points
        cosine, sine = math.cos(turn), math.sin(turn)
        turned = [(centre[0] + x * cosine - y * sine, centre[1] + x * sine + y * cosine) for x, y in half]
        scene.canvas.shape(turned, mix(tint, (255, 246, 226), 0.55), opacity=opacity)


def ribbons(scene: Scene) -> None:
    """Paint folds of coloured silk, from back to front, each with a light edge and a soft shadow."""
    canvas, rng = scene.canvas, scene.rng
    tints = _tints(scene, 4)
    canvas.image = gradient(
        canvas.size, [(0, mix(tints[0], (16, 18, 40), 0.72)), (1, mix(tints[1], (250, 240, 235), 0.25))]
    )
    canvas.glow((canvas.width * rng.uniform(0.2, 0.8), canvas.height * 0.3), scene.unit * 85, tints[2], 0.8, 1.3)
    count, slant = 8, rng.uniform(-0.5, 0.5)
    for index in range(count):
        level = canvas.height * (0.24 + 0.82 * index / count)
        heights = waves(rng, rng.uniform(0.5, 1.1), 2, 200)
        line = [
            (x, y + slant * (x - canvas.width / 2) * (1 - index / count) * 0.5)
            for x, y in scene.line(heights, level, scene.unit * rng.uniform(8, 17))
        ]
        area = scene.down_to(line, canvas.height + scene.unit * 30)
        mask = canvas.mask([area])
        shadow = ImageChops.offset(mask, 0, -round(scene.unit * 1.6)).filter(ImageFilter.BoxBlur(scene.unit * 2.4))
        canvas.paint(shadow, (10, 8, 30), opacity=0.28)
        upper, lower = tints[index % 4], tints[(index + 1) % 4]
        canvas.paint(mask, mix(upper, (255, 250, 245), 0.3), scaled(lower, 0.55 + 0.05 * index))
        edge = ImageChops.subtract(mask, ImageChops.offset(mask, 0, max(1, round(scene.unit * 0.22))))
        canvas.paint(edge.filter(ImageFilter.GaussianBlur(scene.unit * 0.12)), (255, 250, 240), opacity=0.5)
