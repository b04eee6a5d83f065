"""Water: what stands above it, reflected and rippled, and the light on its waves."""

from __future__ import annotations

import math
from collections.abc import Callable

from PIL import Image, ImageFilter

from .canvas import Point, gradient, mix
from .scene import Scene

Place = Callable[[Scene, float], float]
"""Where across the canvas a wave of some nearness (0 to 1) lies, in pixels."""


def reflect(scene: Scene, shore: float) -> None:
    """Fill the canvas below `shore` with water that mirrors what is above it."""
    canvas, palette = scene.canvas, scene.palette
    edge = round(shore)
    size = (canvas.width, canvas.height - edge)
    above = canvas.image.crop((0, max(0, edge - round(size[1] * 1.25)), canvas.width, edge))
    mirrored = above.transpose(Image.Transpose.FLIP_TOP_BOTTOM).resize(size, Image.Resampling.BILINEAR)
    mirrored = mirrored.filter(ImageFilter.GaussianBlur((scene.unit * 0.12, scene.unit * 0.7)))
    body = mix(palette.near, palette.far, 0.25)
    depth = gradient(
        size, [(0.0, mix(palette.horizon, palette.far, 0.35)), (0.25, mix(palette.far, body, 0.4)), (1.0, body)]
    )
    shares = gradient(size, [(0.0, (70,) * 3), (0.12, (96,) * 3), (1.0, (170,) * 3)]).getchannel(0)
    canvas.image.paste(Image.composite(depth, rippled(scene, mirrored), shares), (0, edge))
    _waves(scene, shore)


def rippled(scene: Scene, mirrored: Image.Image) -> Image.Image:
    """Shift the rows of a mirror image to and fro, more the nearer they are."""
    width, height = mirrored.size
    result = Image.new(mirrored.mode, mirrored.size)
    phases = [scene.rng.uniform(0, math.tau) for _ in range(3)]
    for row in range(height):
        near = row / height
        place = 58 * math.log1p(6 * near)
        swing = sum(math.sin(place * often + phase) for often, phase in zip((1.0, 2.3, 4.1), phases, strict=True))
        shift = round(swing * scene.unit * (0.1 + 1.3 * near))
        source = max(0, min(height - 1, row + round(swing * scene.unit * 0.5 * near)))
        line = mirrored.crop((0, source, width, source + 1))
        result.paste(line, (0, row))
        result.paste(line, (shift, row))
    return result


def _waves(scene: Scene, shore: float) -> None:
    """Draw the crests and troughs, and the path of light below sun or moon."""
    palette, canvas = scene.palette, scene.canvas
    troughs = [_stroke(scene, shore, _anywhere, 1.9) for _ in range(170)]
    crests = [_stroke(scene, shore, _anywhere, 1.5) for _ in range(170)]
    glints = [_stroke(scene, shore, _below_the_light, 0.75) for _ in range(210)]
    canvas.paint(canvas.mask(troughs), mix(palette.near, palette.far, 0.2), opacity=0.3)
    canvas.paint(canvas.mask(crests), mix(palette.horizon, palette.light, 0.3), opacity=0.2)
    glow = canvas.mask(glints)
    canvas.paint(glow.filter(ImageFilter.GaussianBlur(scene.unit * 0.6)), palette.glow, opacity=0.55)
    canvas.paint(glow, palette.light, mix(palette.light, palette.glow, 0.5), opacity=0.8)


def _anywhere(scene: Scene, _near: float) -> float:
    return scene.rng.uniform(0, scene.canvas.width)


def _below_the_light(scene: Scene, near: float) -> float:
    return scene.rng.gauss(scene.light[0], scene.canvas.width * (0.016 + 0.085 * near))


def _stroke(scene: Scene, shore: float, place: Place, length: float) -> list[Point]:
    """Return one wave, a slender lens: small and dense at the horizon, long and sparse in front."""
    rng = scene.rng
    near = rng.random() ** 1.9
    x, y = place(scene, near), shore + scene.unit * 0.3 + near * (scene.canvas.height - shore)
    half = scene.unit * length * (0.5 + 4.2 * near) * rng.uniform(0.4, 1.2)
    thick = scene.unit * (0.07 + 0.36 * near) * rng.uniform(0.5, 1.1)
    bend = rng.uniform(-0.6, 0.6) * thick
    upper = [(x + half * (t / 4 - 1), y - thick * math.sin(math.pi * t / 8) + bend * t / 4) for t in range(9)]
    lower = [(px, 2 * y - py + bend * t / 2) for t, (px, py) in zip(range(8, -1, -1), reversed(upper), strict=True)]
    return upper + lower
