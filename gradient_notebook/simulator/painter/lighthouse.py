"""A lighthouse on its rock: a banded tower, a gallery, a lantern and its beam, the keeper's house, surf around it."""

from __future__ import annotations

import itertools
import math
import random

from .canvas import Colour, Point, ellipse, mix, scaled
from .castle import hill
from .cutout import Cutout
from .palette import SNOW, TINTS, words_of
from .rock import WATERLINE, beam, boulders, darkness, rock, surf
from .scene import Scene

LIGHTHOUSE = frozenset(words_of("lighthouse beacon pharos leuchtturm phare faro"))

_WHITE: Colour = (240, 236, 228)
_RED: Colour = (192, 58, 48)
_IRON: Colour = (52, 54, 62)
_LIGHT: tuple[Colour, Colour] = ((255, 250, 222), (255, 216, 132))
_STRIPS = 20
_LANTERN: Point = (0, -81)


def lighthouse(scene: Scene, shore: float, *, far: bool = False) -> None:
    """Paint a lighthouse on the side away from the light: in the sea beyond `shore`, or on a hill; smaller if `far`."""
    canvas, wet = scene.canvas, scene.wet
    x = canvas.width * (0.34 if scene.light[0] > canvas.width / 2 else 0.66)
    if wet:
        water = shore + (canvas.height - shore) * (0.14 if far else 0.42)
        height = min((water - canvas.height * (0.26 if far else 0.11)) / (1 + WATERLINE / 100), canvas.width * 0.72)
        foot = x, water - height * WATERLINE / 100
    else:
        height = min(canvas.height * (0.42 if far else 0.5), canvas.width * 0.6)
        foot = x, canvas.height * 0.7
        hill(scene, foot, height)
    figure = Cutout(scene, foot, height, _IRON)
    beam(scene, (x, foot[1] + _LANTERN[1] * height / 100), height)
    rock(figure, wet=wet)
    _house(figure)
    _tower(figure)
    _gallery(figure)
    _lantern(figure)
    boulders(figure, wet=wet)
    figure.settle(distance=0.16 if far else 0.05)
    if wet:
        figure.reflection(WATERLINE)
        surf(scene, (x, foot[1] + height * WATERLINE / 100), height / 100)


def _half(y: float) -> float:
    """Return half the width of the tower at the height `y`: it narrows quickly at its foot, then slowly."""
    up = -y / 72
    return 6.2 + 2.6 * (1 - up) + 2.2 * max(0.0, 1 - up * 2.4) ** 2


def _round(figure: Cutout, profile: list[Point], colour: Colour) -> None:
    """Paint what is round as seen from the side: `profile` has half widths and heights; dark and light lie along it."""
    for strip in range(_STRIPS):
        share, end = (2 * edge / _STRIPS - 1 for edge in (strip, min(_STRIPS, strip + 2)))  # over each other: no seams
        left, right = [(half * share, y) for half, y in profile], [(half * end, y) for half, y in reversed(profile)]
        figure.area([*left, *right], _shaded(figure, colour, share + 1 / _STRIPS))


def _shaded(figure: Cutout, colour: Colour, share: float) -> Colour:
    """Return `colour` at a place of something round, -1 at its left edge and 1 at its right one."""
    towards = figure.towards[0]
    facing = math.sqrt(max(0.0, 1 - share**2)) * 0.62 + share * math.copysign(0.78, towards)
    if facing > 0.62:
        return mix(colour, (255, 248, 230), (facing - 0.62) * 0.9)
    return mix(mix(scaled(colour, 0.42), (40, 40, 84), 0.3), colour, max(0.0, (facing + 0.55) / 1.17))


def _tower(figure: Cutout) -> None:
    named = sorted(figure.scene.words & TINTS.keys() - {"white", "golden", "gold"})
    tint = TINTS[named[0]] if named else scaled(_WHITE, 0.93) if figure.scene.has("white") else _RED
    edges = [4 - 76 * step / 7 for step in range(8)]
    for number, (low, high) in enumerate(itertools.pairwise(edges)):
        heights = [low + (high - low) * step / 4 for step in range(5)]
        _round(figure, [(_half(y), y) for y in heights], _WHITE if number % 2 == 0 else tint)
    rng = random.Random(figure.scene.rng.random())
    stains = []
    for _ in range(40 * figure.scene.detail):
        x, y, tall = rng.uniform(-10, 10), rng.uniform(-70, 0), rng.uniform(1.5, 6)
        stains.append([(x, y), (x + 0.5, y), (x + 0.3, y + tall)])
    figure.texture(stains, (60, 50, 60), 0.16)
    for x, y in ((1.2, -60), (-1.6, -40), (1.4, -20)):
        _window(figure, (x, y))
    figure.area(_arch(-1, 3, 3.1, 10.4), scaled(_WHITE, 0.6))
    figure.area(_arch(-1, 3, 2.4, 9.4), (86, 52, 44), (58, 36, 34))


def _arch(x: float, base: float, half: float, height: float) -> list[Point]:
    top = ellipse((x, base - height + half), half, half, points=24)
    return [(x + half, base), *sorted((p for p in top if p[1] <= base - height + half), reverse=True), (x - half, base)]


def _lit(figure: Cutout) -> bool:
    return darkness(figure.scene) > 0


def _window(figure: Cutout, foot: Point) -> None:
    x, y = foot
    figure.area(_arch(x, y + 0.5, 1.7, 5.8), scaled(_WHITE, 0.62))
    if _lit(figure):
        figure.lamp(_arch(x, y, 1.1, 4.6), (255, 232, 160), (255, 182, 92), 6)
    else:
        figure.area(_arch(x, y, 1.1, 4.6), (58, 60, 76), (92, 96, 112))


def _gallery(figure: Cutout) -> None:
    """Paint the platform around the lantern, and its railing."""
    flare = [(6.4, -70), (6.8, -71.4), (8.6, -73), (9.4, -74)]
    _round(figure, flare, scaled(_WHITE, 0.86))
    _round(figure, [(10.2, -74), (10.2, -75.6)], _IRON)
    under = [(-6.5, -70.2), (6.5, -70.2), (6.7, -68.4), (-6.7, -68.4)]
    figure.area(under, (30, 26, 48), opacity=0.35, blur=0.5)


def _lantern(figure: Cutout) -> None:
    """Paint the glass with its lamp, the roof with its vane, and the railing before them."""
    dark = mix(_IRON, _RED, 0.55)
    glass = [(-4.9, -75.4), (4.9, -75.4), (4.9, -86.6), (-4.9, -86.6)]
    figure.area(glass, (140, 168, 184), (206, 220, 222))
    if _lit(figure):
        figure.area(glass, *_LIGHT)
        figure.lamp(ellipse(_LANTERN, 2.7, 3.7), *_LIGHT, 15 + 26 * darkness(figure.scene))
    else:
        figure.area([(-4.9, -75.4), (-2, -75.4), (1.6, -86.6), (-2.6, -86.6)], (250, 252, 252), opacity=0.5)
        figure.oval(_LANTERN, (1.7, 3), (232, 214, 150), (170, 150, 110))
    for x in (-4.8, -2.5, 0, 2.5, 4.8):
        figure.stroke([(x, -75.4), (x, -86.6)], (0.42, 0.42), _IRON)
    figure.stroke([(-4.9, -81.2), (4.9, -81.2)], (0.3, 0.3), _IRON)
    dome = [(6.4, -86.2), (6.2, -87.4), (5, -89.8), (3.2, -91.8), (1, -93.2)]
    _round(figure, dome, dark)
    _round(figure, [(1.1, -92.8), (1.3, -94), (0.5, -95.2)], dark)
    figure.stroke([(0, -95), (0, -100)], (0.5, 0.3), _IRON)
    for rail in (-77.6, -79.8):
        figure.stroke([(-10, rail), (10, rail)], (0.4, 0.4), _IRON)
    for step in range(9):
        x = 10 * math.sin(math.pi * (step / 8 - 0.5))
        figure.stroke([(x, -75), (x, -80)], (0.5, 0.4), _IRON)


def _house(figure: Cutout) -> None:
    """Paint the keeper's house beside the tower."""
    roof = (226, 232, 242) if figure.scene.words & SNOW else mix((150, 66, 54), (90, 60, 70), 0.25)
    wall = [(8, 5), (8, -10), (33, -10), (33, 5)]
    figure.volume([(26, -14), (26, -23), (29, -23), (29, -14)], scaled(_WHITE, 0.8), 0.8)
    figure.volume(wall, scaled(_WHITE, 0.94), 1.4, scaled(_WHITE, 0.78))
    figure.volume([(7, -9.4), (10, -19), (31, -19), (34.6, -9.4)], roof, 1.2, scaled(roof, 0.75))
    figure.area([(8, -9.4), (33, -9.4), (33, -8.2), (8, -8.2)], (40, 34, 60), opacity=0.4)
    for x in (14.5, 20.5, 28):
        figure.area([(x - 1.9, -6.6), (x + 1.9, -6.6), (x + 1.9, -0.8), (x - 1.9, -0.8)], scaled(_WHITE, 0.62))
        pane = [(x - 1.4, -6.1), (x + 1.4, -6.1), (x + 1.4, -1.3), (x - 1.4, -1.3)]
        if _lit(figure) and x != 20.5:
            figure.lamp(pane, (255, 232, 160), (255, 182, 92), 7)
        else:
            figure.area(pane, (62, 66, 82), (104, 110, 124))
        figure.stroke([(x, -6.2), (x, -1.2)], (0.4, 0.4), scaled(_WHITE, 0.7))
