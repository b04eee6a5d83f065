"""Animals that sit and look at us: a fox, a dog, a cat; one pose, and what tells them apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .canvas import Colour, Point, curve, ellipse, mix, scaled
from .cutout import Cutout, furry
from .figure import brush

INK: Colour = (30, 24, 26)
CREAM: Colour = (246, 236, 220)
HEAD: Point = (11, -73)
"""The middle of the head."""


@dataclass(frozen=True)
class Coat:
    """The colors of an animal: most of it, its breast and muzzle, and its legs."""

    fur: Colour
    pale: Colour
    legs: Colour

    @property
    def shade(self) -> Colour:
        """The fur where it lies deeper."""
        return mix(scaled(self.fur, 0.66), (60, 30, 40), 0.15)


def coat(fur: Colour, *, legs: Colour | None = None) -> Coat:
    """Return the coat of an animal whose fur is `fur`: its breast paler, but of the same kind."""
    light = max(fur) / 255
    return Coat(fur, mix(fur, CREAM, 0.25 + 0.6 * light), legs or fur)


def fox(figure: Cutout, fur: Colour) -> None:
    """Paint a fox: large ears with dark backs, a pointed face with white cheeks, a brush with a white tip."""
    dark = mix(scaled(fur, 0.3), INK, 0.4) if max(fur) < 230 or min(fur) < 150 else scaled(fur, 0.8)
    colours = coat(fur, legs=dark)
    _brush(figure, colours)
    _body(figure, colours, slim=0.94)
    for side in (-1, 1):
        _ear(figure, [(side * 4, -11), (side * 13.5, -31), (side * 19, -4)], colours, dark)
    half = [(0, -16), (6.5, -15), (12, -11), (16.5, -4), (22.5, 4.5), (15, 8.5), (8.5, 11.5), (4.2, 17), (0, 18.6)]
    _skull(figure, half, colours)
    for side in (-1, 1):
        cheek = [
            (side * x, y) for x, y in ((22, 4.6), (14, 2), (7.5, 3.2), (3, 7), (0.8, 15), (4, 17), (9, 11.6), (15, 8.6))
        ]
        figure.area(
            _head(furry(curve(cheek, 5), 0.7, figure.scene.rng)), colours.pale, scaled(colours.pale, 0.86), blur=0.35
        )
    figure.volume(
        _head(curve([(-4.4, 6), (0, 3), (4.4, 6), (4.2, 13), (0, 17.4), (-4.2, 13)], 6)),
        mix(fur, colours.pale, 0.25),
        2,
        colours.pale,
    )
    _comb_head(figure)
    _eyes(figure, (8.2, -0.6), (2.5, 2.3), (196, 128, 40), colours.shade, droop=0.5)
    _nose(figure, (0, 12.6), 2.7)
    figure.stroke(_head([(0, 15), (1.6, 16.4), (3.4, 15.6)]), (0.5, 0.2), INK)
    figure.stroke(_head([(0, 15), (-1.6, 16.4), (-3.4, 15.6)]), (0.5, 0.2), INK)


def dog(figure: Cutout, fur: Colour) -> None:
    """Paint a dog: ears that hang, a broad muzzle with its tongue out, a tail that stands up."""
    colours = coat(fur)
    tail = brush(curve([(-22, -8), (-36, -14), (-44, -28), (-42, -42)], 10, closed=False), 10, 2)
    figure.volume(furry(tail, 1.2, figure.scene.rng), fur, 3.2)
    _body(figure, colours, slim=1.04)
    half = [(0, -19), (7.5, -17.4), (13.4, -12), (16.5, -3), (16, 5), (13, 12), (8, 17), (0, 18.6)]
    _skull(figure, half, colours)
    ear = mix(scaled(fur, 0.62), (70, 40, 30), 0.2)
    for side in (-1, 1):
        flap = [(9, -15), (15.5, -14.5), (21, -7), (23.5, 4), (21.5, 13), (17.5, 14.5), (14.5, 8), (13, -2)]
        figure.volume(
            _head(furry(curve([(side * x, y) for x, y in flap], 6), 0.8, figure.scene.rng)), ear, 3.6, scaled(ear, 0.85)
        )
    blaze = [(-1.8, -14), (1.8, -14), (3, -4), (4, 4), (-4, 4), (-3, -4)]
    figure.area(_head(curve(blaze, 6)), colours.pale, opacity=0.75, blur=0.8)
    tongue = [(-3, 14), (3, 14), (3.6, 20), (0, 23.6), (-3.6, 20)]
    figure.area(_head(curve([(-6, 12), (6, 12), (5, 17), (0, 19), (-5, 17)], 6)), (86, 34, 40))
    figure.volume(_head(curve(tongue, 6)), (232, 112, 122), 1.6)
    for side in (-1, 1):
        jowl = [(0, 3), (6, 3.4), (10, 8), (9, 13), (4, 15.4), (0, 13.2)]
        figure.volume(_head(curve([(side * x, y) for x, y in jowl], 6)), colours.pale, 2.6)
        for spot in ((4.4, 9.4), (6.6, 8.4), (6.4, 11)):
            figure.oval(_head([(side * spot[0], spot[1])])[0], (0.4, 0.4), scaled(colours.shade, 0.7), opacity=0.7)
    _comb_head(figure)
    _eyes(figure, (6.9, -3.4), (2.6, 2.7), (92, 56, 30), colours.shade, droop=0.3)
    _nose(figure, (0, 4.6), 4.0)
    figure.stroke(_head([(0, 8), (0, 12.8)]), (0.5, 0.4), INK)


def cat(figure: Cutout, fur: Colour) -> None:
    """Paint a cat: pointed ears, a round face with whiskers, a long thin tail that curls up."""
    colours = coat(fur)
    tail = curve([(-22, -6), (-40, -5), (-50, -16), (-47, -34), (-39, -43), (-33, -38)], 10, closed=False)
    figure.volume(furry(brush(tail, 8.5, 5), 0.5, figure.scene.rng), fur, 3)
    _body(figure, colours, slim=0.86)
    for side in (-1, 1):
        _ear(
            figure, [(side * 3.5, -12), (side * 15, -27.5), (side * 18.6, -3)], colours, mix(fur, (236, 150, 150), 0.5)
        )
    half = [(0, -15.8), (7, -14.8), (13, -11.2), (17.8, -4), (19.6, 3), (17, 9), (10.5, 13.6), (0, 15)]
    _skull(figure, half, colours)
    stripes = scaled(fur, 0.55 if max(fur) > 90 else 1.6)
    for x, reach in ((0, 7), (-4.2, 5.6), (4.2, 5.6)):
        figure.stroke(_head([(x, -14), (x * 0.85, -14 + reach)]), (1.7, 0.3), stripes, opacity=0.55)
    for side in (-1, 1):
        for rise in (1.5, 5):
            figure.stroke(_head([(side * 18, rise), (side * 12, rise + 0.8)]), (1.5, 0.2), stripes, opacity=0.5)
    _comb_head(figure)
    for side in (-1, 1):
        figure.volume(_head(ellipse((side * 3.2, 8), 4, 3.3)), colours.pale, 1.6)
    _eyes(figure, (8, -1.2), (3.7, 3.4), (160, 190, 70), colours.shade, droop=0.45)
    figure.area(
        _head(curve([(-2, 4.4), (2, 4.4), (0.8, 6.4), (0, 6.8), (-0.8, 6.4)], 5)), (224, 128, 128), (180, 90, 96)
    )
    for side in (-1, 1):
        figure.stroke(_head([(0, 6.8), (side * 1.4, 8.6), (side * 3.4, 8.4)]), (0.5, 0.25), INK)
        for rise in (-1.4, 0.2, 1.8):
            whisker = [(side * 5, 8 + rise * 0.5), (side * 15, 7 + rise * 1.4), (side * 25, 8 + rise * 3)]
            figure.stroke(_head(whisker), (0.42, 0.12), (255, 252, 244), opacity=0.8)


def _head(points: Sequence[Point]) -> list[Point]:
    return [(x + HEAD[0], y + HEAD[1]) for x, y in points]


def _body(figure: Cutout, colours: Coat, slim: float) -> None:
    """Paint everything that sits: back and haunch, breast, legs and paws."""
    rng = figure.scene.rng
    far = scaled(mix(colours.legs, colours.shade, 0.4), 0.85)
    _leg(figure, (6, -34), (5.5, -2.4), far)
    back = [(2, -66), (-9, -56), (-19, -42), (-27, -25), (-29, -10), (-23, -1.5), (-6, 0), (9, -2), (19, -14)]
    breast = [(24, -30), (25, -44), (21, -56), (14, -66)]
    outline = [(x * slim if x < 0 else x, y) for x, y in (*back, *breast)]
    figure.volume(furry(curve(outline, 10), 1.1, rng), colours.fur, 8, mix(colours.fur, colours.shade, 0.45))
    bib = [(3, -62), (22, -60), (25, -46), (23, -32), (15, -20), (9, -30), (4, -46)]
    figure.area(
        furry(curve(bib, 7), 2.2, rng), colours.pale, mix(colours.pale, colours.fur, 0.4), opacity=0.95, blur=0.5
    )
    _leg(figure, (18, -34), (18.5, -2.4), colours.legs, colours.fur)
    haunch = [(-24, -8), (-21, -24), (-9, -30), (3, -24), (6, -12), (1, -3), (-12, -0.5)]
    figure.volume(
        furry(curve([(x * slim, y) for x, y in haunch], 8), 0.8, rng),
        colours.fur,
        6.5,
        mix(colours.fur, colours.shade, 0.3),
    )
    figure.volume(ellipse((1.5, -2.8), 10, 3.5), colours.legs, 2)
    for toe in (5.5, 8.2):
        figure.stroke([(toe, -4.2), (toe + 0.6, -1.6)], (0.5, 0.4), scaled(colours.legs, 0.55), opacity=0.7)
    figure.hair((-32, -66, 27, -2), lambda point: (-0.35 if point[0] < 8 else 0.1, 0.93), 4.2, 850)


def _leg(figure: Cutout, top: Point, foot: Point, colour: Colour, above: Colour | None = None) -> None:
    line = curve([top, ((top[0] + foot[0]) / 2 + 0.6, (top[1] + foot[1]) / 2), foot], 8, closed=False)
    figure.volume(brush(line, 12, 7.6), above or colour, 3, colour)
    figure.volume(ellipse((foot[0] + 1.8, foot[1] - 0.2), 6.4, 3.6), colour, 2)
    for toe in (1.4, 4.2):
        figure.stroke(
            [(foot[0] + toe, foot[1] - 1.4), (foot[0] + toe + 0.5, foot[1] + 1.8)],
            (0.5, 0.4),
            scaled(colour, 0.55),
            opacity=0.7,
        )


def _brush(figure: Cutout, colours: Coat) -> None:
    """Paint a fox's tail: around its side on the ground, thick, with a white tip."""
    rng = figure.scene.rng
    tail = [
        (-16, -12),
        (-28, -17),
        (-38, -27),
        (-43, -42),
        (-50, -54),
        (-59, -43),
        (-62, -26),
        (-55, -10),
        (-40, -1),
        (-20, 0),
    ]
    figure.volume(furry(curve(tail, 9), 2.4, rng), colours.fur, 7, colours.shade)
    tip = [(-42.6, -39), (-50, -54.5), (-59.5, -43), (-61.6, -33), (-57, -36), (-52, -31), (-47, -36)]
    figure.area(furry(curve(tip, 7), 1.6, rng), colours.pale, mix(colours.pale, colours.fur, 0.25), blur=0.4)
    figure.hair((-63, -56, -18, 0), lambda point: (-0.5, -0.86) if point[0] < -34 else (-0.95, -0.3), 5.4, 460)


def _skull(figure: Cutout, half: list[Point], colours: Coat) -> None:
    outline = [*half, *((-x, y) for x, y in reversed(half[1:-1]))]
    figure.oval((HEAD[0] + 1, HEAD[1] + 15), (14, 6), scaled(colours.shade, 0.5), opacity=0.4, blur=3)
    figure.volume(
        _head(furry(curve(outline, 6), 0.9, figure.scene.rng)), colours.fur, 5.5, mix(colours.fur, colours.shade, 0.25)
    )


def _comb_head(figure: Cutout) -> None:
    def outwards(point: Point) -> Point:
        x, y = point[0] - HEAD[0], point[1] - HEAD[1] - 8
        away = math.hypot(x, y) or 1.0
        return x / away, y / away

    figure.hair((HEAD[0] - 24, HEAD[1] - 17, HEAD[0] + 24, HEAD[1] + 18), outwards, 3.2, 560)


def _ear(figure: Cutout, corners: list[Point], colours: Coat, inner: Colour) -> None:
    """Paint a pointed ear; `inner` is the hollow of it."""
    (x0, y0), (x1, y1), (x2, y2) = corners
    full = [
        (x0, y0),
        ((x0 + x1) / 2 - (x2 - x0) * 0.06, (y0 + y1) / 2 - 2),
        (x1, y1),
        ((x1 + x2) / 2 + (x2 - x0) * 0.16, (y1 + y2) / 2 - 2),
        (x2, y2),
    ]
    figure.volume(
        _head(furry(curve(full, 6), 0.5, figure.scene.rng)), colours.fur, 2.6, mix(colours.fur, colours.shade, 0.4)
    )
    middle = (x0 + x1 + x2) / 3, (y0 + y1 + y2) / 3
    hollow = [(middle[0] + (x - middle[0]) * 0.66, middle[1] + 1.5 + (y - middle[1]) * 0.7) for x, y in full]
    figure.area(_head(curve(hollow, 6)), inner, mix(inner, colours.pale, 0.5), blur=0.4)


def _eyes(figure: Cutout, at: Point, axes: Point, iris: Colour, lid: Colour, *, droop: float) -> None:
    for side in (-1, 1):
        x, y = side * at[0], at[1]
        centre = _head([(x, y)])[0]
        turn = side * -0.22
        figure.oval(centre, (axes[0] * 1.28, axes[1] * 1.25), scaled(lid, 0.45), turn=turn)
        figure.oval(centre, axes, scaled(iris, 0.8), mix(iris, (255, 240, 170), 0.4), turn)
        pupil = (axes[0] * 0.42, axes[1] * 0.84) if axes[0] > 3 else (axes[0] * 0.68, axes[1] * 0.72)
        figure.oval(centre, pupil, (14, 10, 12))
        figure.oval((centre[0] + 0.9, centre[1] - 1.0), (0.8, 0.85), (255, 255, 255))
        figure.oval((centre[0] - 0.8, centre[1] + 1.1), (0.4, 0.4), (255, 255, 255), opacity=0.7)
        rim = [point for point in ellipse((0, 0), axes[0] * 1.34, axes[1] * 1.34) if point[1] <= 0]
        rim = sorted(rim) + [(x, y * droop) for x, y in sorted(rim, reverse=True)]
        cosine, sine = math.cos(turn), math.sin(turn)
        figure.area(
            [(centre[0] + u * cosine - v * sine, centre[1] + u * sine + v * cosine) for u, v in rim],
            lid,
            scaled(lid, 0.6),
        )


def _nose(figure: Cutout, centre: Point, size: float) -> None:
    x, y = centre
    outline = [
        (x - size, y - size * 0.5),
        (x, y - size * 0.8),
        (x + size, y - size * 0.5),
        (x + size * 0.6, y + size * 0.4),
        (x, y + size * 0.8),
        (x - size * 0.6, y + size * 0.4),
    ]
    figure.area(_head(curve(outline, 6)), (52, 44, 48), INK)
    figure.oval(_head([(x - size * 0.3, y - size * 0.4)])[0], (size * 0.36, size * 0.18), (255, 255, 255), opacity=0.55)
