"""The ground: hills, mountains, forests, dunes."""

from __future__ import annotations

import math
import random

from PIL import ImageChops, ImageFilter

from .canvas import Colour, Point, curve, jagged, mix, scaled, waves
from .scene import Scene


def hills(scene: Scene, skyline: float, base: float) -> None:
    """Paint hills behind hills, hazier the farther; a few trees give them size."""
    count = 6 if base > scene.canvas.height * 0.9 else 3
    for nearness, level in scene.layers(count, skyline, base):
        heights = waves(scene.rng, 0.9 + 1.4 * nearness + scene.rng.random(), 5)
        line = scene.line(heights, level, scene.unit * (5.5 + 2.5 * nearness))
        polygons = [scene.down_to(line, base)]
        if 0.3 < nearness < 1:
            polygons += _scattered_trees(scene, line, nearness)
        _layer(scene, polygons, nearness)


def forest(scene: Scene, skyline: float, base: float) -> None:
    """Paint rows of conifers with mist between them."""
    for nearness, level in scene.layers(6, skyline, base):
        line = scene.line(waves(scene.rng, 1 + nearness), level + scene.unit * 3, scene.unit * 4)
        height = scene.unit * (5 + 23 * nearness**1.6)
        x, polygons = -height * 0.2, [scene.down_to(line, base)]
        while x < scene.canvas.width + height * 0.2:
            tall = height * scene.rng.uniform(0.55, 1.25)
            polygons.append(conifer(scene.rng, (x, _at(line, x) + tall * 0.1), tall))
            x += height * scene.rng.uniform(0.1, 0.34) * (1.5 if nearness > 0.8 else 1)
        _layer(scene, polygons, nearness)


def _layer(scene: Scene, polygons: list[list[Point]], nearness: float) -> None:
    """Paint one layer, which fades into mist towards its foot, and let the light spill over it."""
    colour = scene.depth(nearness)
    mist = mix(colour, scene.palette.horizon, 0.42 * (1 - nearness))
    if nearness == 1:
        mist = scaled(colour, 0.75)
    scene.canvas.paint(scene.canvas.mask(polygons), colour, mist)
    if nearness < 0.7:
        scene.haze(0.26 * (1 - nearness) + 0.05)


def _at(line: list[Point], x: float) -> float:
    """Return the height of `line`, whose points are evenly spaced, at `x`."""
    step = line[1][0] - line[0][0]
    return line[max(0, min(len(line) - 1, round(x / step)))][1]


def _scattered_trees(scene: Scene, line: list[Point], nearness: float) -> list[list[Point]]:
    """Return a few clumps of conifers on `line`."""
    trees = []
    for _ in range(scene.rng.randint(1, 4)):
        middle = scene.rng.uniform(0, scene.canvas.width)
        for _ in range(scene.rng.randint(4, 16)):
            x = middle + scene.rng.gauss(0, scene.unit * 6)
            tall = scene.unit * scene.rng.uniform(1.6, 3.4) * (0.4 + nearness)
            trees.append(conifer(scene.rng, (x, _at(line, x) + tall * 0.12), tall))
    return trees


def conifer(rng: random.Random, foot: Point, height: float) -> list[Point]:
    """Return the outline of a conifer that stands on `foot`."""
    x, y = foot
    tiers = 7
    slim = rng.uniform(0.15, 0.21)
    left: list[Point] = []
    right: list[Point] = []
    for tier in range(1, tiers + 1):
        share = tier / tiers
        width, level = height * slim * share**0.9, y - height * (1 - share * 0.93)
        for side, points in ((-1, left), (1, right)):
            points.append((x + side * width * rng.uniform(0.85, 1.15), level + height * 0.012 * rng.random()))
            points.append((x + side * width * rng.uniform(0.4, 0.6), level - height * 0.025))
    trunk = height * 0.018
    return [(x, y - height), *right, (x + trunk, y), (x - trunk, y), *reversed(left)]


def mountains(scene: Scene, skyline: float, base: float) -> None:
    """Paint a far range in haze, peaks with a light and a shady side and snow, and wooded hills before them."""
    far = scene.line(jagged(scene.rng, 0.55, 8), skyline, scene.unit * 7)
    _layer(scene, [scene.down_to(far, base)], 0.02)
    room, count = base - skyline, scene.rng.randint(5, 6)
    dry = room > scene.unit * 25
    places = [(index + scene.rng.uniform(0.15, 0.85)) / count for index in range(count)]
    scene.rng.shuffle(places)
    for number, place in enumerate(places):
        nearness = 0.1 + 0.32 * number / count
        height = scene.unit * scene.rng.uniform(18, 33) * (1 - 0.4 * number / count) * (1.25 if dry else 1)
        foot = skyline + room * 0.3 + scene.unit * 5
        _peak(
            scene,
            (scene.canvas.width * place, foot - scene.unit * 5 - height),
            min(base, foot + height * 0.4),
            nearness,
        )
    scene.haze(0.3)
    if dry:
        for nearness, level in scene.layers(3, skyline + room * 0.3, base):
            line = scene.line(waves(scene.rng, 1.2 + nearness, 5), level, scene.unit * 5)
            trees = [t for _ in range(4) for t in _scattered_trees(scene, line, 0.5 + nearness)]
            _layer(scene, [scene.down_to(line, base), *trees], 0.5 + nearness / 2)
    else:
        line = scene.line(waves(scene.rng, 2.2, 5), base - scene.unit * 1.6, scene.unit * 1.4)
        trees = [t for _ in range(7) for t in _scattered_trees(scene, line, 0.3)]
        _layer(scene, [scene.down_to(line, base), *trees], 0.62)


def _peak(scene: Scene, top: Point, base: float, nearness: float) -> None:
    """Paint one mountain: two flanks that meet in a crest, the one away from the light darker."""
    rng, height = scene.rng, base - top[1]
    crest = _slope(rng, top, (top[0] + height * rng.uniform(-0.3, 0.3), base), 0.06, 0.6)
    rock = scene.depth(nearness)
    for side in (-1, 1):
        foot = top[0] + side * height * rng.uniform(1.0, 1.7), base
        flank = _slope(rng, top, foot, 0.035, 0.58)
        lit = (scene.light[0] - top[0]) * side > 0
        tone = mix(rock, scene.palette.light, 0.14) if lit else scaled(rock, 0.7)
        scene.canvas.shape(flank + crest[::-1], tone, mix(tone, scene.palette.horizon, 0.4))
        snow = mix((246, 248, 255), scene.palette.glow, 0.3) if lit else mix(tone, (206, 216, 242), 0.5)
        dark = 0.5 if scene.palette.dark else 0.0
        _snow(scene, flank, crest, top[1] + height * rng.uniform(0.26, 0.4), mix(snow, scene.palette.middle, dark))
        _gullies(scene, crest, foot, mix(tone, scene.palette.near, 0.5) if lit else mix(tone, scene.palette.light, 0.3))


def _slope(rng: random.Random, top: Point, foot: Point, wildness: float, roughness: float) -> list[Point]:
    """Return a rough line from `top` to `foot`, steepest at the top."""
    rough = jagged(rng, roughness, 6)
    count = len(rough) - 1
    reach = abs(foot[1] - top[1]) * wildness
    line = []
    for index, height in enumerate(rough):
        share = index / count
        free = min(1.0, 6 * share, 6 * (1 - share)) * reach
        x, y = top[0] + (foot[0] - top[0]) * share, top[1] + (foot[1] - top[1]) * share**0.86
        line.append((x + height * free * 0.5, y + height * free))
    return line


def _snow(scene: Scene, flank: list[Point], crest: list[Point], level: float, colour: Colour) -> None:
    """Paint snow between `flank` and `crest` above `level`, with an edge that follows the gullies."""
    outer = [point for point in flank if point[1] < level]
    inner = [point for point in crest if point[1] < level]
    if len(outer) < 2 or len(inner) < 2:
        return
    (x0, y0), (x1, y1) = outer[-1], inner[-1]
    rough = jagged(scene.rng, 0.85, 4)
    depth, count = level - outer[0][1], len(rough)
    edge = []
    for index, height in enumerate(rough[1:-1], 1):
        share = index / count
        lower = depth * (0.2 * height + 0.2 * math.sin(math.pi * share))
        edge.append((x0 + (x1 - x0) * share, y0 + (y1 - y0) * share + lower))
    scene.canvas.shape(outer + edge + inner[::-1], colour, mix(colour, scene.palette.far, 0.3), opacity=0.94)


def _gullies(scene: Scene, crest: list[Point], foot: Point, colour: Colour) -> None:
    """Paint slender clefts that run from the crest down the flank towards `foot`."""
    rng = scene.rng
    for _ in range(5):
        x, y = crest[rng.randrange(2, len(crest) * 2 // 3)]
        reach = (foot[1] - y) * rng.uniform(0.2, 0.5)
        lean = (foot[0] - x) / max(1.0, foot[1] - y)
        start = x + lean * reach * 0.25, y + reach * 0.2
        end = x + lean * reach, y + reach
        wide = reach * rng.uniform(0.03, 0.09)
        scene.canvas.shape(
            [start, (end[0] - wide, end[1] - wide), end, (end[0] + wide, end[1] - 2 * wide)], colour, opacity=0.16
        )


def dunes(scene: Scene, skyline: float, base: float) -> None:
    """Paint dunes: a light side, and a shady one that falls off from the crest in a curve."""
    sand = mix((226, 164, 96), scene.palette.horizon, 0.25)
    night = 0.55 if scene.palette.dark else 0.0
    for nearness, level in scene.layers(5, skyline, base):
        lit = mix(
            mix(scene.palette.horizon, sand, 0.35 + 0.65 * nearness), scene.palette.near, max(night, nearness * 0.18)
        )
        shade = mix(scaled(lit, 0.55), scene.palette.near, 0.18 + 0.3 * nearness)
        heights = waves(scene.rng, 0.7 + 0.7 * scene.rng.random(), 2)
        line = scene.line(heights, level, scene.unit * (3.5 + 7 * nearness))
        dune = scene.canvas.mask([scene.down_to(line, base)])
        hollow = ImageChops.offset(dune, 0, -round(scene.unit * 4)).filter(ImageFilter.BoxBlur(scene.unit * 4))
        scene.canvas.paint(hollow, shade, opacity=0.45 * nearness)
        scene.canvas.paint(dune, lit, mix(lit, shade, 0.6))
        _lee_sides(scene, line, shade, base, nearness)
        if nearness < 0.7:
            scene.haze(0.16)


def _lee_sides(scene: Scene, line: list[Point], shade: Colour, base: float, nearness: float) -> None:
    """Paint the shady sides: along the crest from each top to the next trough, and down in an S to the next dune."""
    side = 1 if scene.light[0] < scene.canvas.width / 2 else -1
    ordered = line[::side]
    tops = [i for i in range(1, len(ordered) - 1) if ordered[i - 1][1] > ordered[i][1] <= ordered[i + 1][1]]
    for top in tops:
        end = next((i for i in range(top + 1, len(ordered) - 1) if ordered[i + 1][1] < ordered[i][1]), len(ordered) - 1)
        (x0, y0), (x1, y1) = ordered[top], ordered[end]
        span, drop = x1 - x0, (y1 - y0) + scene.unit * (9 + 20 * nearness)
        fall = [(x0, y0), (x0 + span * 0.15, y0 + drop * 0.2), (x0 + span * 0.08, y0 + drop * 0.45)]
        fall += [(x0 + span * 0.3, y0 + drop * 0.72), (x0 + span * 0.24, y0 + drop)]
        rise = [(x0 + span * 0.3, y0 + drop), (x0 + span * 0.62, y1 + (y0 + drop - y1) * 0.5), (x1, y1)]
        polygon = ordered[top : end + 1] + curve(rise, 10, closed=False)[::-1] + curve(fall, 10, closed=False)[::-1]
        part = [(x, min(y, base)) for x, y in polygon]
        scene.canvas.shape(part, shade, mix(shade, scene.palette.horizon, 0.15), opacity=0.85)
