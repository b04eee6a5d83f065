"""A castle on its hill: walls, towers with pointed roofs, a gate, and lights in its windows when it gets dark."""

from __future__ import annotations

import math
import random

from .canvas import Colour, Point, curve, mix, scaled
from .cutout import Cutout
from .figure import Figure
from .land import conifer
from .palette import SNOW, TINTS
from .scene import Scene

CASTLE = frozenset(
    {"castle", "fortress", "citadel", "palace", "stronghold", "chateau", "château", "schloss", "alcazar"}
)

_STONE: Colour = (186, 176, 164)
_LIT: tuple[Colour, Colour] = ((255, 232, 160), (255, 182, 92))
_WINDOWS = (
    (0, -58),
    (-6, -66),
    (7, -66),
    (-26, -74),
    (27, -66),
    (-57, -44),
    (57, -44),
    (-11, -34),
    (11, -34),
    (-34, -22),
    (34, -22),
    (-25, -58),
)


def castle(scene: Scene, place: float) -> None:
    """Paint a castle with its middle at `place`, 0 to 1 across the canvas."""
    canvas = scene.canvas
    height = min(canvas.height * 0.46, canvas.width * 0.56)
    room = 0.78 * height / canvas.width
    foot = canvas.width * max(room, min(1 - room, place)), canvas.height * 0.7
    hill(scene, foot, height)
    figure = Cutout(scene, foot, height, _STONE)
    roof = _roof(scene)
    _tower(figure, -25, 8, (-84, -20), roof)
    _tower(figure, 27, 7, (-75, -20), roof)
    _block(figure, (-16, 16), (-73, -20), 4)
    _tower(figure, 9, 4.5, (-92, -71), roof, flag=True)
    _block(figure, (-60, 60), (-31, 3), 5)
    for x in (-57, 57):
        _tower(figure, x, 9.5, (-53, 4), roof, flag=x < 0)
    for x in (-12, 12):
        _tower(figure, x, 7, (-43, 3), None)
    _masonry(figure)
    _gate(figure)
    for x, y in _WINDOWS:
        _window(figure, (x, y))
    figure.settle(distance=0.12)


def _roof(scene: Scene) -> Colour:
    if scene.words & SNOW:
        return 214, 224, 240
    return mix(scene.palette.top, (150, 66, 58), 0.62)


def hill(scene: Scene, foot: Point, height: float) -> None:
    """Paint a hill with trees and a way up for what is `height` pixels high and has its foot at `foot`."""
    figure = Figure(scene, foot, height / 100)
    ground = scene.depth(0.62)
    half = [(0, -1), (40, 0.5), (66, 3), (86, 15), (108, 30), (150, 44), (260, 58)]
    line = curve([*((-x, y) for x, y in reversed(half[1:])), *half], 8, closed=False)
    down = (scene.canvas.height - foot[1]) / height * 100 + 5
    figure.area([*line, (260, down), (-260, down)], mix(ground, scene.palette.light, 0.08), scaled(ground, 0.7))
    _trees(figure, ground)
    way = mix(ground, (226, 206, 170), 0.4 if not scene.palette.dark else 0.2)
    left, right = [], []
    for step in range(25):
        share = step / 24
        x, wide = 16 * math.sin(share * 5.2) * share, 4.5 + 9 * share**1.6
        left.append((x - wide, 1 + share * down))
        right.append((x + wide, 1 + share * down))
    figure.area([*left, *reversed(right)], way, mix(way, ground, 0.4), opacity=0.85)


def _trees(figure: Figure, ground: Colour) -> None:
    """Paint conifers on both slopes."""
    rng = random.Random(figure.scene.rng.random())
    trees = []
    for _ in range(9 * figure.scene.detail):
        x = rng.choice((-1, 1)) * rng.uniform(70, 128)
        tall = rng.uniform(7, 14)
        trees.append(conifer(rng, (x, 3 + (abs(x) - 66) * 0.66 + rng.uniform(0, 9)), tall))
    for tree in sorted(trees, key=lambda tree: tree[0][1]):
        figure.area(tree, mix(ground, figure.scene.palette.near, 0.6), mix(ground, figure.scene.palette.near, 0.25))


def _block(figure: Cutout, across: Point, down: Point, merlon: float) -> None:
    """Paint a wall from left to right and from top to bottom, with battlements `merlon` wide."""
    (left, right), (top, base) = across, down
    count = round((right - left) / merlon / 2) * 2 + 1
    wide = (right - left) / count
    outline: list[Point] = [(left, base)]
    for index in range(count):
        y = top - merlon * 0.8 if index % 2 == 0 else top
        outline += [(left + index * wide, y), (left + (index + 1) * wide, y)]
    figure.volume([*outline, (right, base)], _STONE, 2.4, scaled(_STONE, 0.8))
    shadow = [(left, top + 2), (right, top + 2), (right, top + 2.8), (left, top + 2.8)]
    figure.area(shadow, scaled(_STONE, 0.6), opacity=0.6)


def _tower(figure: Cutout, x: float, radius: float, down: Point, roof: Colour | None, *, flag: bool = False) -> None:
    """Paint a round tower; with a `roof` of that colour, or with battlements."""
    top, base = down
    stone = mix(_STONE, (206, 190, 170), 0.4)
    figure.volume(
        [(x - radius, top), (x + radius, top), (x + radius, base), (x - radius, base)],
        stone,
        radius * 0.62,
        scaled(stone, 0.82),
    )
    crown = radius * 1.16
    if roof is None:
        _block(figure, (x - crown, x + crown), (top, top + 5.5), crown * 2 / 7)
        return
    figure.volume(
        [(x - crown, top), (x + crown, top), (x + radius, top + 4.5), (x - radius, top + 4.5)],
        scaled(stone, 0.9),
        radius * 0.5,
    )
    tip = top - radius * 2.7
    if flag:
        _flag(figure, (x, tip))
    eaves = radius * 1.34
    cone = [
        (x, tip - 1),
        (x + eaves * 0.42, top - radius * 1.35),
        (x + eaves, top + 0.8),
        (x, top + 2.2),
        (x - eaves, top + 0.8),
        (x - eaves * 0.42, top - radius * 1.35),
    ]
    figure.volume(cone, roof, radius * 0.55, scaled(roof, 0.8))


def _flag(figure: Cutout, foot: Point) -> None:
    x, y = foot
    figure.stroke([(x, y + 2), (x, y - 10)], (0.7, 0.5), (70, 60, 56))
    cloth = [
        (x, y - 10),
        (x + 5, y - 9.4),
        (x + 10, y - 9.8),
        (x + 7.6, y - 7.6),
        (x + 10, y - 5),
        (x + 5, y - 5),
        (x, y - 5.6),
    ]
    named = next((TINTS[word] for word in sorted(figure.scene.words & TINTS.keys())), (206, 62, 52))
    figure.volume(cloth, named, 1)


def _masonry(figure: Cutout) -> None:
    """Let single stones be lighter and darker than the others."""
    rng = figure.scene.rng
    for tone, opacity in (((70, 60, 62), 0.2), ((255, 246, 226), 0.2)):
        stones = []
        for _ in range(230 * figure.scene.detail // 2):
            x, y = rng.uniform(-66, 66), round(rng.uniform(-72, 3) / 2.1) * 2.1
            wide = rng.uniform(1.6, 3.6)
            stones.append([(x, y), (x + wide, y), (x + wide, y + 1.7), (x, y + 1.7)])
        figure.texture(stones, tone, opacity)


def _arch(x: float, base: float, half: float, height: float) -> list[Point]:
    round_part = [
        (x + half * math.cos(math.pi * step / 12), base - height + half - half * math.sin(math.pi * step / 12))
        for step in range(13)
    ]
    return [(x + half, base), *round_part, (x - half, base)]


def _gate(figure: Cutout) -> None:
    figure.area(_arch(0, 3, 6.4, 23), scaled(_STONE, 0.55))
    warm = figure.scene.palette.dark or figure.scene.palette.low_sun
    if warm:
        figure.lamp(_arch(0, 3, 5.2, 21), (255, 206, 120), (226, 130, 60), 16)
    else:
        figure.area(_arch(0, 3, 5.2, 21), (44, 36, 36), (66, 54, 48))
    for x in (-3.6, -1.2, 1.2, 3.6):
        figure.stroke([(x, -17), (x, -8)], (0.6, 0.6), (40, 32, 32))


def _window(figure: Cutout, foot: Point) -> None:
    x, y = foot
    figure.area(_arch(x, y + 3.4, 1.9, 7.2), scaled(_STONE, 0.62))
    if figure.scene.palette.dark or figure.scene.palette.low_sun:
        figure.lamp(_arch(x, y + 3, 1.4, 6.4), *_LIT, 8)
    else:
        figure.area(_arch(x, y + 3, 1.4, 6.4), (52, 50, 62), (84, 84, 98))
