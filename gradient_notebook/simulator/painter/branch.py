"""What an owl sits on: a branch across the picture with leaves, needles or snow, or a stump."""

from __future__ import annotations

import math
import random

from .canvas import Colour, Point, curve, mix, scaled
from .cutout import Cutout
from .figure import brush
from .palette import SNOW

PERCH = 34
"""How high the toes of an owl are above the foot of its figure, in units."""

_BARK: Colour = (110, 86, 68)
_AUTUMN: tuple[Colour, ...] = ((214, 106, 40), (228, 156, 52), (176, 66, 40))
_GREEN: tuple[Colour, ...] = ((92, 128, 62), (116, 148, 70), (72, 108, 58))


def perch_at(x: float) -> float:
    """Return how high a branch is at `x`: it rises where it gets thin."""
    return PERCH + max(0.0, x - 24) * 0.22


def branch(figure: Cutout) -> None:
    """Paint a branch that comes in from the left, thinner to the right, with twigs and what grows on them."""
    rng = random.Random(figure.scene.rng.random())
    line = curve(
        [(-150, -14), (-95, -22), (-60, -31), (-25, -30), (0, -29.5), (28, -31), (50, -36), (70, -46)], 14, closed=False
    )
    twigs = [
        (-72, -28, -0.9, 26),
        (-40, -31, 0.75, 24),
        (30, -31, 0.55, 22),
        (40, -33, -1.2, 22),
        (50, -36, 0.3, 20),
        (60, -41, -1.0, 18),
    ]
    ends = []
    for x, y, angle, long in twigs:
        tip = x + long * math.cos(angle), y + long * math.sin(angle)
        bend = (x + tip[0]) / 2 + rng.uniform(-2, 2), (y + tip[1]) / 2 + 2.5
        twig = curve([(x, y), bend, tip], 8, closed=False)
        figure.volume(brush(twig, 3.4, 0.9), scaled(_BARK, 0.9), 1)
        ends += [twig[-9], twig[-5], twig[-1]]
    figure.volume(brush(line, 15, 2.2), _BARK, 3.4, scaled(_BARK, 0.7))
    _grain(figure, random.Random(rng.random()), line)
    ends += [line[-18], line[-10], line[-1]]
    _foliage(figure, rng, ends)
    if figure.scene.words & SNOW:
        _snow(figure, rng, line)


def stump(figure: Cutout) -> None:
    """Paint the stump of a tree, from the ground up to `PERCH`."""
    rng = random.Random(figure.scene.rng.random())
    half = [(8.5, -31), (8.8, -24), (9.4, -12), (11, -5), (17, 0.5), (10, 1), (3, 2.4)]
    outline = [*half, *((-x * 1.08, y + 0.4) for x, y in reversed(half))]
    figure.volume(outline, _BARK, 4.5, scaled(_BARK, 0.72))
    cracks = []
    for _ in range(46):
        x, y, long = rng.uniform(-9, 9), rng.uniform(-30, -2), rng.uniform(3, 9)
        bend = x * 1.04 + rng.uniform(-0.6, 0.6), y + long / 2
        cracks.append(brush([(x, y), bend, (x * 1.1, min(0, y + long))], 0.7, 0.2))
    figure.texture(cracks[::2], scaled(_BARK, 0.5), 0.5)
    figure.texture(cracks[1::2], scaled(_BARK, 1.4), 0.5)
    rim = curve([(-10.5, -31.5), (-6, -35), (0, -33.6), (5, -35.4), (10.2, -31.8), (5, -29.4), (-5, -29.2)], 6)
    figure.volume(rim, mix(_BARK, (210, 176, 130), 0.5), 1.6)
    side = curve([(8, -20), (15, -24), (23, -32)], 8, closed=False)
    figure.volume(brush(side, 4.4, 1.2), _BARK, 1.4)
    _foliage(figure, rng, [side[-6], side[-1]])
    if figure.scene.words & SNOW:
        figure.volume(
            curve([(-10.5, -31.5), (0, -35.6), (10.4, -31.8), (4, -29), (-4, -28.6)], 6), (238, 242, 250), 1.4
        )


def _grain(figure: Cutout, rng: random.Random, line: list[Point]) -> None:
    """Paint cracks and light ridges along the bark, and a knot."""
    cracks = []
    for _ in range(60 + 40 * figure.scene.detail):
        at = rng.randrange(len(line) - 8)
        across = rng.uniform(-0.42, 0.42) * (15 - 12.8 * at / len(line))
        crack = [(x, y + across + rng.uniform(-0.4, 0.4)) for x, y in line[at : at + rng.randint(3, 8) : 2]]
        cracks.append(brush(crack, 0.7, 0.15))
    light = len(cracks) // 3
    figure.texture(cracks[light:], scaled(_BARK, 0.45), 0.5)
    figure.texture(cracks[:light], scaled(_BARK, 1.4), 0.5)
    figure.oval((-47, -29), (3.4, 2.2), scaled(_BARK, 0.5), turn=0.2)
    figure.oval((-47, -28.8), (2.2, 1.2), scaled(_BARK, 0.85), turn=0.2)


def _foliage(figure: Cutout, rng: random.Random, places: list[Point]) -> None:
    scene = figure.scene
    if scene.words & SNOW or scene.has("pine", "conifer", "taiga", "fir", "spruce"):
        for place in places:
            _needles(figure, rng, place)
        return
    tints = _AUTUMN if scene.has("autumn", "fall", "october", "maple") else _GREEN
    for x, y in places:
        for _ in range(4):
            _leaf(
                figure,
                (x + rng.gauss(0, 1.6), y + rng.gauss(0, 1.6)),
                rng.uniform(-0.6, math.pi + 0.6),
                rng.choice(tints),
                rng.uniform(6, 10),
            )


def _leaf(figure: Cutout, stem: Point, angle: float, tint: Colour, long: float) -> None:
    cosine, sine = math.cos(angle), math.sin(angle)
    half = [(0, 0), (0.12, 0.12), (0.3, 0.22), (0.5, 0.26), (0.7, 0.2), (0.86, 0.1), (1, 0)]
    tones = (scaled(tint, 0.72), mix(tint, (255, 246, 200), 0.16))
    for side, tone in zip((1, -1) if cosine > 0 else (-1, 1), tones, strict=True):
        turned = [(x * cosine - side * y * sine, x * sine + side * y * cosine) for x, y in half]
        figure.area([(stem[0] + long * x, stem[1] + long * y) for x, y in turned], tone, scaled(tone, 0.82))
    tip = stem[0] + long * 0.9 * cosine, stem[1] + long * 0.9 * sine
    figure.area(brush([stem, tip], 0.45, 0.15), mix(tint, (255, 246, 200), 0.45), opacity=0.8)


def _needles(figure: Cutout, rng: random.Random, place: Point) -> None:
    for _ in range(26):
        angle, long = rng.uniform(-math.pi, math.pi), rng.uniform(4, 8)
        x, y = place[0] + rng.gauss(0, 1.4), place[1] + rng.gauss(0, 1.4)
        tint = rng.choice(((58, 92, 74), (44, 76, 62), (84, 118, 92)))
        figure.stroke([(x, y), (x + long * math.cos(angle), y + long * math.sin(angle) * 0.8 + 1)], (0.7, 0.2), tint)


def _snow(figure: Cutout, rng: random.Random, line: list[Point]) -> None:
    """Paint snow that lies along the upper edge of the branch."""
    upper, lower = [], []
    for index, (x, y) in enumerate(line[6:-6:3]):
        half = (15 - 12.8 * index * 3 / len(line)) / 2
        upper.append((x, y - half - rng.uniform(0.8, 2.6)))
        lower.append((x, y - half + rng.uniform(0.6, 2.8)))
    figure.volume(
        [*curve(upper, 4, closed=False), *curve(lower[::-1], 4, closed=False)], (240, 244, 252), 1.4, (206, 216, 236)
    )
