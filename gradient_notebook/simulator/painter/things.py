"""What stands, grows and moves in a landscape: flowers, a tree, a boat, balloons, a house."""

from __future__ import annotations

import math
from collections.abc import Callable

from .animals import otter
from .canvas import Colour, Point, curve, mix, scaled
from .figure import Figure
from .lighthouse import LIGHTHOUSE
from .palette import TINTS
from .scene import Scene


def flowers(scene: Scene, _shore: float) -> None:
    """Paint a bed of flowers in front, the nearest largest."""
    canvas, rng = scene.canvas, scene.rng
    named = [TINTS[word] for word in sorted(scene.words & TINTS.keys())]
    tints = named or [(232, 72, 60), (246, 178, 60), (238, 120, 170), (250, 240, 230), (150, 110, 210)]
    if scene.has("sunflower"):
        tints = [(250, 196, 44)]
    for index in range(54):
        near = (index / 53) ** 1.3
        size = scene.unit * (1.0 + 4.6 * near)
        head = (
            rng.uniform(-0.02, 1.02) * canvas.width,
            canvas.height * (0.74 + 0.17 * near) + rng.gauss(0, scene.unit * 3),
        )
        stem = mix((66, 112, 62), scene.palette.near, 0.45 + 0.2 * rng.random())
        figure = Figure(scene, head, size, mirrored=rng.random() < 0.5)
        foot = (canvas.height - head[1]) / size + 0.5
        figure.stroke(
            [(0, 0), (rng.uniform(-0.2, 0.3), foot * 0.5), (rng.uniform(-0.4, 0.4), foot)], (0.16, 0.24), stem
        )
        figure.area(curve([(0.1, foot * 0.7), (0.9, foot * 0.42), (1.5, foot * 0.3), (0.8, foot * 0.62)], 6), stem)
        _blossom(figure, mix(rng.choice(tints), scene.palette.middle, 0.3 - 0.22 * near + 0.25 * scene.palette.dark))


def _blossom(figure: Figure, tint: Colour) -> None:
    rng = figure.scene.rng
    petals, tilt, turn = rng.randint(6, 9), rng.uniform(0.55, 0.9), rng.uniform(0, 1)
    dark_heart = figure.scene.has("sunflower", "poppy")
    for index in range(petals):
        angle = turn + math.tau * index / petals
        middle = 0.62 * math.cos(angle), 0.62 * math.sin(angle) * tilt
        tone = scaled(tint, 1.1 - 0.26 * (index % 2) - 0.1 * math.sin(angle))
        figure.oval(middle, (0.5, 0.27), tone, scaled(tone, 0.86), math.atan2(middle[1], middle[0]))
    heart = (74, 44, 30) if dark_heart else (248, 206, 92)
    figure.oval((0, 0), (0.32, 0.32 * tilt), heart, scaled(heart, 0.72))


def tree(scene: Scene, _shore: float) -> None:
    """Paint one large tree on a hill of its own."""
    canvas, rng = scene.canvas, scene.rng
    left = scene.light[0] > canvas.width / 2
    x, foot = canvas.width * (0.3 if left else 0.7), canvas.height * 0.9
    ground = scaled(scene.palette.near, 0.85)
    hill = [(0, foot + scene.unit * 5), (x, foot - scene.unit * 0.5), (canvas.width, foot + scene.unit * 6)]
    canvas.shape(
        [*curve(hill, 24, closed=False), (canvas.width, canvas.height), (0, canvas.height)],
        scaled(ground, 1.15),
        ground,
    )
    figure = Figure(scene, (x, foot), scene.unit)
    tips = _branch(figure, (0, 0.6), -math.pi / 2, 14, mix(ground, (40, 26, 24), 0.6))
    tint = _foliage(scene)
    tips.sort(key=lambda tip: -tip[1])
    for number, tip in enumerate(tips * 2):
        size = rng.uniform(2.2, 4.6)
        centre = tip[0] + rng.gauss(0, 2.2), tip[1] + rng.gauss(0, 2.0)
        towards = 0.24 if (centre[0] > 0) == (scene.light[0] > x) else 0.02
        tone = mix(scaled(tint, rng.uniform(0.6, 0.95) + 0.2 * number / (2 * len(tips))), scene.palette.glow, towards)
        figure.oval(centre, (size, size * 0.82), tone, scaled(tone, 0.72), opacity=0.9, blur=0.12)


def _foliage(scene: Scene) -> Colour:
    if scene.has("cherry", "blossom", "sakura", "spring"):
        return 244, 170, 196
    if scene.has("autumn", "maple", "fall"):
        return 226, 112, 44
    named = next((TINTS[word] for word in sorted(scene.words & TINTS.keys())), (86, 132, 74))
    return mix(named, scene.palette.near, 0.25 + 0.3 * scene.palette.dark)


def _branch(figure: Figure, start: Point, angle: float, length: float, bark: Colour) -> list[Point]:
    """Paint a branch with all that grows from it, and return where its twigs end."""
    rng, width = figure.scene.rng, length * 0.29
    end = start[0] + length * math.cos(angle), start[1] + length * math.sin(angle)
    bend = (start[0] + end[0]) / 2 + rng.gauss(0, length * 0.06), (start[1] + end[1]) / 2
    figure.stroke([start, bend, end], (width, width * 0.68), bark)
    if length < 4.6:
        return [end]
    turns = (-rng.uniform(0.3, 0.62), rng.uniform(-0.12, 0.12), rng.uniform(0.3, 0.62))
    grown = (_branch(figure, end, angle + turn, length * rng.uniform(0.6, 0.78), bark) for turn in turns)
    return [tip for tips in grown for tip in tips]


def boat(scene: Scene, shore: float) -> None:
    """Paint a small sailing boat and its reflection."""
    canvas, rng = scene.canvas, scene.rng
    x = canvas.width * rng.choice((rng.uniform(0.14, 0.3), rng.uniform(0.7, 0.86)))
    if scene.has(*LIGHTHOUSE):
        x = canvas.width * (0.8 if scene.light[0] > canvas.width / 2 else 0.2)
    figure = Figure(scene, (x, shore + (canvas.height - shore) * 0.16), scene.unit * 1.5, mirrored=rng.random() < 0.5)
    dark, sail = scaled(scene.palette.near, 0.9), mix((250, 244, 232), scene.palette.glow, 0.35)
    sail = mix(sail, scene.palette.middle, 0.6) if scene.palette.dark else sail
    for flip, opacity in ((-0.7, 0.3), (1.0, 1.0)):
        for outline, top, bottom in _boat_parts(sail, dark):
            turned = [(px, py * flip) for px, py in outline]
            figure.area(turned, top, bottom, opacity, 0.12 if flip < 0 else 0)


def _boat_parts(sail: Colour, dark: Colour) -> list[tuple[list[Point], Colour, Colour]]:
    """Return mainsail, jib, mast and hull: outline, upper and lower colour."""
    mainsail = curve([(0.25, -9.2), (2.6, -5), (3.9, -1.5), (0.25, -1.4)], 8)
    hull = [(-3.9, -1.0), (4.4, -1.2), (3.2, 0.2), (-3.0, 0.2)]
    return [
        (mainsail, sail, scaled(sail, 0.8)),
        ([(-0.1, -8.4), (-0.15, -1.5), (-3.1, -1.5)], scaled(sail, 0.9), scaled(sail, 0.7)),
        ([(-0.08, -9.6), (0.1, -9.6), (0.14, -0.9), (-0.12, -0.9)], dark, dark),
        (hull, mix(dark, (150, 60, 40), 0.35), dark),
    ]


def balloons(scene: Scene, shore: float) -> None:
    """Paint hot-air balloons, striped, the farther ones paler."""
    canvas, rng = scene.canvas, scene.rng
    count = rng.randint(3, 5)
    for index in range(count):
        near = (index + 1) / count
        centre = canvas.width * ((index * 0.37 + rng.uniform(0.1, 0.3)) % 0.86 + 0.07), shore * rng.uniform(0.2, 0.55)
        figure = Figure(scene, centre, scene.unit * (0.35 + 0.75 * near))
        tint = rng.choice([(226, 74, 60), (242, 168, 52), (60, 140, 180), (196, 80, 140), (110, 160, 90)])
        _balloon(figure, mix(tint, scene.palette.middle, 0.55 - 0.45 * near))


def _balloon(figure: Figure, tint: Colour) -> None:
    outline = [(0, -9), (5.5, -7), (7.6, -2), (5.6, 3.4), (1.5, 8), (-1.5, 8), (-5.6, 3.4), (-7.6, -2), (-5.5, -7)]
    figure.area(curve(outline, 8), scaled(tint, 1.15), scaled(tint, 0.7))
    pale = mix(tint, (255, 246, 230), 0.7)
    for inner, outer in ((-0.16, 0.16), (0.44, 0.72), (-0.72, -0.44)):
        right = [(x * outer, y) for x, y in outline[:5]]
        left = [(x * inner, y) for x, y in outline[:5]]
        figure.area(
            curve(right, 8, closed=False) + curve(left, 8, closed=False)[::-1], pale, scaled(pale, 0.72), opacity=0.85
        )
    for side in (-1, 1):
        figure.stroke([(side * 1.2, 8), (side * 0.8, 11)], (0.16, 0.16), (50, 38, 34))
    figure.area([(-1, 10.6), (1, 10.6), (0.8, 12.4), (-0.8, 12.4)], (110, 74, 46), (70, 46, 32))


def house(scene: Scene, _shore: float) -> None:
    """Paint a cabin with lit windows and smoke from its chimney."""
    canvas, rng = scene.canvas, scene.rng
    place = canvas.width * (0.3 if scene.light[0] > canvas.width / 2 else 0.7), canvas.height * 0.86
    figure = Figure(scene, place, scene.unit * 1.25)
    wall, roof = mix(scene.palette.near, (92, 62, 48), 0.5), scaled(scene.palette.near, 0.75)
    hill = [(-30, 4.2), (-9, 0.6), (9, 0.6), (30, 4.6)]
    figure.area([*curve(hill, 8, closed=False), (32, 14), (-32, 14)], scaled(scene.palette.near, 1.05), roof)
    for puff in range(9):
        centre = 3.6 + puff * 0.45 + rng.gauss(0, 0.25), -10.6 - puff * 1.35
        figure.oval(
            centre, (0.7 + puff * 0.22, 0.6 + puff * 0.16), scene.palette.horizon, opacity=0.3 - puff * 0.026, blur=0.35
        )
    figure.area([(2.9, -6), (4.2, -6), (4.2, -10), (2.9, -10)], roof)
    figure.area([(-6, 0.9), (-6, -4.6), (0, -9), (6, -4.6), (6, 0.9)], wall, scaled(wall, 0.75))
    figure.area([(-7.2, -4.1), (0, -9.8), (7.2, -4.1), (6.8, -3.2), (0, -8.4), (-6.8, -3.2)], roof)
    for x in (-3.4, 1.6):
        figure.area([(x, -3.6), (x + 2, -3.6), (x + 2, -1.4), (x, -1.4)], (255, 220, 140), (255, 186, 96))
        figure.stroke([(x + 1, -3.6), (x + 1, -1.4)], (0.22, 0.22), wall)
        centre = figure.place([(x + 1, -2.5)])[0]
        canvas.glow(centre, scene.unit * 7, (255, 180, 90), 0.55)


FIGURES: tuple[tuple[frozenset[str], Callable[[Scene, float], None]], ...] = (
    (frozenset({"balloon"}), balloons),
    (frozenset({"boat", "sailboat", "ship", "sail", "yacht", "sailing"}), boat),
    (frozenset({"house", "cabin", "cottage", "hut", "chalet", "barn", "village", "farm"}), house),
    (frozenset({"oak", "cherry", "maple", "sakura", "blossom"}), tree),
    (frozenset({"flower", "tulip", "poppy", "daisy", "sunflower", "bloom", "wildflower"}), flowers),
    (frozenset({"otter"}), otter),
)
"""Painters of figures, back to front, and the words that call for them."""
