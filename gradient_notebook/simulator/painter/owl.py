"""An owl that sits on a branch and looks at us; several beside each other, on one branch or on stumps of their own."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

from .branch import PERCH, branch, perch_at, stump
from .canvas import Colour, Point, curve, ellipse, mix, scaled
from .creatures import INK, Coat, coat
from .cutout import Cutout, furry
from .figure import brush
from .scene import Scene

_AMBER: Colour = (255, 178, 34)
_FACE: Point = (7.6, -84)
"""The middle of one half of the face."""
_SPACING = 46
"""From owl to owl on one branch, in units."""
_ROOM = 126
"""The part of a branch where owls can sit, in units."""


def owl(figure: Cutout, plumage: Colour) -> None:
    """Paint an owl on a stump that grows where it stands."""
    stump(figure)
    _bird(figure, plumage)


def on_a_branch(scene: Scene, owls: list[tuple[Colour, bool]]) -> None:
    """Paint `owls`, each with its color and whether it is young, on a branch that comes in from the darker side."""
    canvas, count = scene.canvas, len(owls)
    mirrored = scene.light[0] < canvas.width / 2
    height = min(canvas.height * 0.72, canvas.width * (0.86 if count == 1 else 0.6))
    inwards = min(canvas.width * 0.4, 0.8 * height) if count == 1 else 0.8 * height  # the branch reaches the edge
    foot = canvas.width - inwards if mirrored else inwards, canvas.height * 0.76 + height * PERCH / 100
    figure = Cutout(scene, foot, height, (92, 74, 60), mirrored=mirrored)
    small = min(1.0, _ROOM / (count * _SPACING))
    seats = [
        ((index - (count - 1) / 2) * _SPACING * small, small * (0.8 if young else 1))
        for index, (_, young) in enumerate(owls)
    ]
    for (x, share), (plumage, _) in zip(seats, owls, strict=True):
        with _seated(figure, x, share):
            _tail(figure, coat(plumage))
    branch(figure)
    for (x, share), (plumage, _) in zip(seats, owls, strict=True):
        with _seated(figure, x, share):
            _bird(figure, plumage)
    figure.settle()


@contextmanager
def _seated(figure: Cutout, x: float, share: float) -> Iterator[None]:
    """Let what is painted meanwhile sit on the branch at `x`, in a `share` of the figure's size."""
    origin, size = figure.origin, figure.size
    figure.origin = origin[0] + figure.side * x * size, origin[1] + (PERCH * share - perch_at(x)) * size
    figure.size = size * share
    yield
    figure.origin, figure.size = origin, size


def _bird(figure: Cutout, plumage: Colour) -> None:
    """Paint the owl itself, from its toes at `PERCH` upwards."""
    colours = coat(plumage)
    rng = figure.scene.rng
    half = [(0, -92), (12, -88), (17, -76), (19.6, -62), (17.6, -47), (10.6, -37), (0, -34.5)]
    outline = [*half, *((-x, y) for x, y in reversed(half[1:-1]))]
    figure.volume(furry(curve(outline, 9), 0.8, rng), colours.fur, 8, mix(colours.fur, colours.shade, 0.4))
    _breast(figure, colours)
    for side in (-1, 1):
        _wing(figure, side, colours)
    _head(figure, colours)
    for side in (-1, 1):
        _foot(figure, side * 6, colours)


def _tail(figure: Cutout, colours: Coat) -> None:
    figure.volume([(-8, -44), (8, -44), (6.4, -20), (3, -17.5), (-3, -17.5), (-6.4, -20)], colours.shade, 3)
    for y in (-31, -26.5, -22):
        figure.stroke([(-6.4, y), (0, y + 1.6), (6.4, y)], (1.2, 1.2), mix(colours.shade, colours.pale, 0.5), 0.7)


def _breast(figure: Cutout, colours: Coat) -> None:
    """Paint the pale breast with its streaks, which get wider below."""
    rng = figure.scene.rng
    bib = [(-10, -76), (10, -76), (13, -62), (11.5, -47), (5, -37.5), (-5, -37.5), (-11.5, -47), (-13, -62)]
    figure.area(furry(curve(bib, 8), 1.8, rng), colours.pale, mix(colours.pale, colours.fur, 0.45), blur=0.7)
    dark = mix(scaled(colours.fur, 0.42), INK, 0.2) if max(colours.fur) < 225 else scaled(colours.fur, 0.55)
    marks, edges = [], []
    for row in range(9):
        y, reach = -73 + row * 3.9, 10.6 - 0.1 * (row - 4) ** 2
        for column in range(6):
            x = reach * ((column + 0.5 * (row % 2)) / 2.75 - 1) + rng.uniform(-0.5, 0.5)
            long, thick = rng.uniform(2.4, 3.6), rng.uniform(0.9, 1.3)
            mark = [
                (x, y - long * 0.5),
                (x + thick * 0.5, y + long * 0.2),
                (x, y + long * 0.5),
                (x - thick * 0.5, y + long * 0.2),
            ]
            marks.append(curve(mark, 4))
            edges.append(brush([(x - 1.7, y + 0.9), (x, y + 1.7), (x + 1.7, y + 0.9)], 0.35, 0.35))
    figure.texture(marks, dark, 0.62)
    figure.texture(edges, dark, 0.4)
    figure.hair((-15, -78, 15, -36), lambda point: (point[0] * 0.02, 1), 2.6, 520)


def _wing(figure: Cutout, side: int, colours: Coat) -> None:
    """Paint a folded wing: its outline, rows of feathers that overlap, long ones at its tip."""
    outline = [
        (9, -79),
        (14.5, -77.5),
        (19.4, -70),
        (22, -58),
        (21, -44),
        (16.6, -33),
        (11.6, -26.5),
        (11.2, -35),
        (13, -48),
        (12, -64),
    ]
    figure.volume(
        furry(curve(_turned(outline, side), 7), 0.5, figure.scene.rng),
        mix(colours.fur, colours.shade, 0.35),
        4,
        colours.shade,
    )
    for quill in range(4):
        first, last = (20.4 - quill * 2.1, -47), (12.6 - quill * 0.2, -27.4 - quill * 2.4)
        feather = brush(curve(_turned([first, (first[0] - 1.4, -40), last], side), 6, closed=False), 3.2, 0.8)
        figure.volume(feather, mix(colours.shade, colours.fur, 0.15 * quill), 0.9)
    quills = []
    for row in range(6, -1, -1):  # the upper ones lie over the lower ones
        y = -73.5 + row * 4.3
        inner, outer = 11 + 1.6 * math.sin(row * 0.5), 16 + 4.6 * math.sin(0.3 + row * 0.28)
        for column in range(3):
            x = side * (inner + (outer - inner) * (column + 0.25 + 0.5 * (row % 2)) / 3)
            _covert(figure, (x, y), mix(colours.fur, colours.shade, 0.1 + 0.2 * column), colours)
            quills.append(brush([(x, y - 1), (x, y + 2.4)], 0.9, 0.2))
    figure.texture(quills, scaled(colours.shade, 0.6), 0.7)


def _covert(figure: Cutout, at: Point, tone: Colour, colours: Coat) -> None:
    """Paint one of the short round feathers of a wing, with its pale edge."""
    for grow, colour in ((1.0, mix(colours.fur, colours.pale, 0.5)), (0.84, tone)):
        half = [(0, -3), (1.7, -2), (2.1, 0.6), (1.5, 3), (0, 4.4)]
        outline = [*half, *((-x, y) for x, y in reversed(half[1:-1]))]
        figure.area(curve([(at[0] + x * grow, at[1] + y * grow) for x, y in outline], 4), colour, scaled(colour, 0.72))


def _turned(points: list[Point], side: int) -> list[Point]:
    return [(side * x, y) for x, y in points]


def _head(figure: Cutout, colours: Coat) -> None:
    rng = figure.scene.rng
    figure.oval((0, -73), (14, 4), scaled(colours.shade, 0.45), opacity=0.5, blur=1.6)
    for side in (-1, 1):
        tuft = [(6, -97), (10, -102.6), (13.2, -105), (16.6, -111), (17, -104.6), (18.4, -102), (16.6, -93)]
        figure.volume(furry(curve(_turned(tuft, side), 6), 1.1, rng), colours.shade, 1.6, colours.fur)
        for reach in (0.7, 1):
            vane = [(10, -97), (12 + reach, -102 * reach**0.02), (15.6 * reach**0.1, -101 - 8 * reach)]
            figure.stroke(_turned(vane, side), (1.1, 0.2), scaled(colours.shade, 0.55), 0.6)
    half = [(0, -101.6), (8, -100.2), (15.2, -95.5), (18.8, -87), (18, -79), (11.6, -73), (0, -71.6)]
    outline = [*half, *((-x, y) for x, y in reversed(half[1:-1]))]
    figure.volume(furry(curve(outline, 8), 0.8, rng), colours.fur, 5.5, mix(colours.fur, colours.shade, 0.3))
    figure.hair((-19, -101, 19, -71), lambda point: _away(point, (0, -82)), 2.4, 420)
    for side in (-1, 1):
        _half_face(figure, side, colours)
    for side in (-1, 1):
        brow = [(0.6, -80.5), (2.6, -88), (8, -93.4), (16, -98.4), (10.6, -91.6), (5.4, -86.6), (2.4, -79.6)]
        figure.area(
            furry(curve(_turned(brow, side), 6), 0.7, rng),
            mix(colours.pale, (255, 252, 244), 0.5),
            colours.pale,
            blur=0.25,
        )
    for side in (-1, 1):
        _eye(figure, side)
    figure.area(curve([(-2.6, -79.6), (2.6, -79.6), (3.4, -76.4), (0, -74), (-3.4, -76.4)], 6), colours.pale, blur=0.5)
    figure.volume(
        curve([(-1.5, -82), (0, -83), (1.5, -82), (2, -79), (0.9, -75.4), (0, -73.6), (-0.9, -75.4), (-2, -79)], 5),
        (84, 78, 76),
        1.1,
        INK,
    )


def _away(point: Point, middle: Point) -> Point:
    x, y = point[0] - middle[0], point[1] - middle[1]
    length = math.hypot(x, y) or 1.0
    return x / length, y / length


def _half_face(figure: Cutout, side: int, colours: Coat) -> None:
    """Paint the disc of short feathers around one eye: dark at its edge, lightest beside the beak."""
    centre, rng = (side * _FACE[0], _FACE[1]), figure.scene.rng
    dark = mix(scaled(colours.shade, 0.5), INK, 0.3) if max(colours.fur) < 225 else colours.shade
    figure.area(furry(ellipse(centre, 9.6, 10.4, side * 0.2), 0.6, rng), dark, blur=0.3)
    figure.area(
        furry(ellipse(centre, 8.6, 9.4, side * 0.2), 0.7, rng),
        mix(colours.fur, colours.pale, 0.45),
        colours.pale,
        blur=0.3,
    )
    figure.oval((centre[0], centre[1] - 0.4), (6.4, 6.6), scaled(colours.fur, 0.72), opacity=0.65, blur=1.5)
    rays: list[list[Point]] = []
    for number in range(44):
        angle = math.tau * number / 44 + rng.uniform(-0.06, 0.06)
        along = math.cos(angle), 1.08 * math.sin(angle)
        ends = [(centre[0] + away * along[0], centre[1] + away * along[1]) for away in (4.8, rng.uniform(7, 9))]
        rays.append(brush(ends, 0.35, 0.1))
    figure.texture(rays[::2], (255, 250, 238), 0.4)
    figure.texture(rays[1::2], dark, 0.4)


def _eye(figure: Cutout, side: int) -> None:
    x, y = side * 7.2, -85
    figure.oval((x, y), (5, 4.9), INK)
    figure.oval((x, y), (4.3, 4.2), scaled(_AMBER, 0.78), mix(_AMBER, (255, 240, 120), 0.5))
    figure.oval((x, y + 0.3), (3.4, 3.3), mix(_AMBER, (255, 236, 110), 0.35), opacity=0.8, blur=0.5)
    figure.oval((x, y), (2.3, 2.35), (10, 8, 10))
    lid = [(-5.1, -1.2), (-3.4, -4.2), (0, -5.3), (3.4, -4.2), (5.1, -1.2), (3, -2.6), (0, -3.4), (-3, -2.6)]
    figure.area(curve([(x + px, y + py + 0.16 * px * -side) for px, py in lid], 5), (40, 30, 28))
    figure.oval((x + 1.3, y - 1.3), (0.95, 0.95), (255, 255, 255))
    figure.oval((x - 1.2, y + 1.7), (0.5, 0.4), (255, 255, 255), opacity=0.7)


def _foot(figure: Cutout, x: float, colours: Coat) -> None:
    """Paint feathered toes around the branch, with their claws."""
    leg = [(x - 3, -42), (x + 3, -42), (x + 3.8, -37), (x, -34.6), (x - 3.8, -37)]
    figure.volume(furry(curve(leg, 6), 0.9, figure.scene.rng), mix(colours.pale, colours.fur, 0.5), 2, colours.pale)
    for toe in (-3, 0, 3):
        line = [(x + toe * 0.6, -37), (x + toe, -34.4), (x + toe * 1.06, -31.4)]
        figure.volume(brush(curve(line, 5, closed=False), 3, 2.2), mix(colours.pale, (190, 160, 110), 0.4), 1)
        claw = [(x + toe * 1.06 - 0.9, -32), (x + toe * 1.06 + 0.9, -32), (x + toe * 1.1, -28.6)]
        figure.area(curve(claw, 4), (70, 64, 66), INK)
