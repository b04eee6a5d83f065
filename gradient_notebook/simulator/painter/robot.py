"""A robot: sheet metal and rivets, lamps for eyes, one arm raised."""

from __future__ import annotations

import math

from .canvas import Colour, Point, curve, ellipse, mix, scaled
from .cutout import Cutout
from .figure import brush

_DARK: Colour = (46, 50, 60)
_EYE: Colour = (150, 240, 255)


def robot(figure: Cutout, paint: Colour) -> None:
    """Paint a friendly robot that waves."""
    metal = mix(paint, (150, 156, 166), 0.25)
    _legs(figure, metal)
    _arm(figure, metal, [(-22, -53), (-32, -44), (-31, -31)], math.pi / 2)
    _trunk(figure, metal)
    _arm(figure, metal, [(22, -53), (34, -57), (37, -74)], -math.pi / 2 + 0.15)
    _face(figure, metal)


def rounded(left: float, upper: float, right: float, lower: float, radius: float) -> list[Point]:
    """Return a rectangle with round corners."""
    corners = [(right - radius, lower - radius, 0), (left + radius, lower - radius, 1)]
    corners += [(left + radius, upper + radius, 2), (right - radius, upper + radius, 3)]
    angles = [(x, y, (quarter + step / 8) * math.pi / 2) for x, y, quarter in corners for step in range(9)]
    return [(x + radius * math.cos(angle), y + radius * math.sin(angle)) for x, y, angle in angles]


def _legs(figure: Cutout, metal: Colour) -> None:
    for side in (-1, 1):
        for step in range(5):
            y = -25 + step * 3.6
            figure.volume(rounded(side * 9.5 - 4.4, y, side * 9.5 + 4.4, y + 3.9, 1.6), (92, 98, 108), 1.4)
        foot = curve([(-8.5, 0), (-8.6, -4), (-5, -9.5), (3, -9.5), (8.5, -4), (9, 0)], 6)
        figure.volume([(side * (9.5 + x * 1.1), min(0.0, y)) for x, y in foot], metal, 2.6, scaled(metal, 0.8))
        figure.area(rounded(side * 10.5 - 10, -1.8, side * 10.5 + 10, 0.4, 1), _DARK)


def _trunk(figure: Cutout, metal: Colour) -> None:
    figure.volume(rounded(-6, -66, 6, -60, 1.5), (92, 98, 108), 1.6)
    figure.volume(rounded(-20, -62, 20, -22, 7), metal, 5, scaled(metal, 0.82))
    figure.area(rounded(-15, -57, 15, -38, 3), scaled(metal, 0.55))
    figure.area(
        rounded(-14.2, -56.2, 14.2, -38.8, 2.6), mix(metal, (236, 232, 220), 0.55), mix(metal, (210, 204, 190), 0.4)
    )
    figure.oval((-8, -50), (3, 3), _DARK)
    figure.lamp(ellipse((-8, -50), 2.3, 2.3), (255, 214, 130), (240, 140, 60), 6)
    figure.oval((5.5, -48), (6, 6), _DARK)
    figure.oval((5.5, -48), (5.2, 5.2), (250, 246, 232), (226, 220, 200))
    for step in range(7):
        angle = math.pi * (1.15 - step / 6 * 1.3)
        inner, outer = 3.9, 4.8
        tick = [(5.5 + reach * math.cos(angle), -48 - reach * math.sin(angle)) for reach in (inner, outer)]
        figure.stroke(tick, (0.4, 0.4), _DARK)
    figure.stroke([(5.5, -48), (8.3, -51)], (0.9, 0.2), (206, 60, 44))
    for index, colour in enumerate(((214, 74, 58), (232, 180, 60), (88, 168, 96))):
        figure.volume(ellipse((-10.6 + index * 3.6, -42), 1.3, 1.3), colour, 0.6)
    for index in range(4):
        figure.area(
            rounded(-10, -34.5 + index * 2.4, 10, -33.2 + index * 2.4, 0.6), scaled(metal, 0.5), scaled(metal, 0.65)
        )
    for x in (-16.8, 16.8):
        for y in (-58.5, -26):
            _rivet(figure, (x, y), metal)


def _arm(figure: Cutout, metal: Colour, joints: list[Point], pointing: float) -> None:
    """Paint an arm along its `joints` (shoulder, elbow, wrist), with a claw that is `pointing` somewhere."""
    shoulder, elbow, wrist = joints
    for begin, end, width in ((shoulder, elbow, 5.4), (elbow, wrist, 5)):
        figure.volume(brush([begin, end], width, width), (104, 110, 120), 1.8)
        for step in range(1, 6):
            share = step / 6
            centre = begin[0] + (end[0] - begin[0]) * share, begin[1] + (end[1] - begin[1]) * share
            turn = math.atan2(end[1] - begin[1], end[0] - begin[0])
            figure.oval(centre, (0.35, width / 2), (58, 62, 72), turn=turn, opacity=0.7)
    for joint, size in ((shoulder, 5.6), (elbow, 4.2)):
        figure.volume(ellipse(joint, size, size), metal, 2.4)
    figure.volume(ellipse(wrist, 4.6, 4.6), metal, 2)
    for side in (-1, 1):
        claw = []
        for reach, across in ((2, 2.2), (5, 5.4), (9.5, 4.6), (12, 1.2), (8.6, 2.6), (5.4, 2.8)):
            along, aside = (math.cos(pointing), math.sin(pointing)), (-math.sin(pointing), math.cos(pointing))
            claw.append(
                (
                    wrist[0] + along[0] * reach + aside[0] * across * side,
                    wrist[1] + along[1] * reach + aside[1] * across * side,
                )
            )
        figure.volume(curve(claw, 5), (120, 126, 136), 1.4)


def _face(figure: Cutout, metal: Colour) -> None:
    figure.volume(rounded(-0.8, -106, 0.8, -93, 0.6), (104, 110, 120), 0.6)
    figure.lamp(ellipse((0, -106.5), 2.6, 2.6), (255, 150, 120), (226, 70, 50), 9)
    for side in (-1, 1):
        ear = sorted((side * 17, side * 22.5))
        figure.volume(rounded(ear[0], -84, ear[1], -73, 2), (104, 110, 120), 1.6)
    figure.volume(rounded(-19, -95, 19, -64, 9), metal, 5, scaled(metal, 0.86))
    figure.area(rounded(-15, -88, 15, -71, 6.5), scaled(metal, 0.5))
    figure.area(rounded(-14.3, -87.3, 14.3, -71.7, 6), (22, 28, 42), (36, 46, 64))
    for side in (-1, 1):
        figure.oval((side * 7.5, -79.5), (4.1, 4.1), (60, 150, 190))
        figure.lamp(ellipse((side * 7.5, -79.5), 3.4, 3.4), (236, 254, 255), _EYE, 10)
        for y in (-91, -67.4):
            _rivet(figure, (side * 14, y), metal)
    smile = [
        (6 * math.cos(angle), -68.8 + 1.9 * math.sin(angle)) for angle in (0.25 + 2.64 * step / 8 for step in range(9))
    ]
    figure.stroke(smile, (0.9, 0.9), scaled(metal, 0.4))
    figure.area([(-13, -86.6), (-6, -86.6), (-11, -72.6), (-14, -74)], (255, 255, 255), opacity=0.1)


def _rivet(figure: Cutout, centre: Point, metal: Colour) -> None:
    figure.oval(centre, (0.9, 0.9), scaled(metal, 0.5))
    figure.oval((centre[0] - 0.15, centre[1] - 0.2), (0.65, 0.65), mix(metal, (255, 255, 255), 0.35))
