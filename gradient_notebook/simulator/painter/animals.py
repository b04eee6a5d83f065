"""An otter, and a cat from behind, in flat shapes with a little light on them."""

from __future__ import annotations

import math

from .canvas import Colour, curve, ellipse, mix, scaled
from .figure import Figure
from .scene import Scene


def otter(scene: Scene, shore: float) -> None:
    """Paint an otter that floats on its back, its paws on its chest."""
    canvas, rng = scene.canvas, scene.rng
    x, y = canvas.width * rng.uniform(0.46, 0.54), shore + (canvas.height - shore) * rng.uniform(0.44, 0.52)
    figure = Figure(scene, (x, y), canvas.width / 100 * 0.86, mirrored=rng.random() < 0.4)
    fur, dark, cream = (142, 98, 66), (92, 60, 42), (232, 206, 170)
    water = mix(scene.palette.near, scene.palette.far, 0.45)
    figure.oval((4, 9), (42, 7), scaled(water, 0.5), opacity=0.5, blur=2)
    _otter_body(figure, fur, dark, cream)
    _water_over(figure, water)
    _otter_paws(figure, fur, dark)
    _otter_head(figure, fur, dark, cream)
    _rings(figure)


def _otter_body(figure: Figure, fur: Colour, dark: Colour, cream: Colour) -> None:
    figure.stroke([(26, 3), (35, 5), (44, 3.5), (49, 0.5)], (7, 0.6), dark)
    for foot, turn in (((33, -7.5), -1.05), ((38.5, -4.5), -0.62)):
        figure.oval(foot, (6.4, 3), mix(dark, fur, 0.35), dark, turn)
        for toe in (-1, 0, 1):
            reach = (foot[0] + 5.0 * math.cos(turn + toe * 0.32), foot[1] + 5.0 * math.sin(turn + toe * 0.32))
            figure.oval(reach, (1.9, 1.15), mix(dark, cream, 0.3), dark, turn + toe * 0.32)
    outline = [
        (-20, -3),
        (-12, -8.2),
        (0, -10),
        (13, -9.4),
        (25, -7),
        (34, -2.4),
        (34, 4),
        (24, 8),
        (8, 9.6),
        (-8, 9),
        (-20, 5),
    ]
    body = curve(outline)
    figure.area(body, mix(fur, (255, 226, 180), 0.45), dark)
    figure.area([(x, y + 0.9) for x, y in body], mix(fur, cream, 0.12), scaled(dark, 0.8))
    figure.oval((5, -3.6), (23, 4.9), mix(cream, fur, 0.32), mix(fur, cream, 0.25), 0.03, opacity=0.9, blur=0.7)


def _otter_head(figure: Figure, fur: Colour, dark: Colour, cream: Colour) -> None:
    ink = (34, 24, 22)
    for ear in (-31.2, -16.2):
        figure.oval((ear, -15.2), (2.7, 2.6), mix(fur, dark, 0.2), dark)
        figure.oval((ear, -14.9), (1.5, 1.5), scaled(dark, 0.8))
    figure.oval((-23.6, -8.4), (11, 10), mix(fur, (255, 226, 180), 0.4), fur)
    figure.oval((-23.6, -7.9), (10.6, 9.6), mix(fur, cream, 0.12), mix(fur, dark, 0.35))
    figure.oval((-23.6, -5.4), (8.8, 6.9), cream, mix(cream, fur, 0.35), opacity=0.95, blur=0.5)
    for side in (-1, 1):
        x = -23.6 + side * 4.6
        figure.oval((x, -9.6), (1.55, 1.75), ink)
        figure.oval((x + 0.45, -10.2), (0.55, 0.6), (255, 255, 255))
        figure.oval((x - 0.5, -8.9), (0.28, 0.28), (255, 255, 255), opacity=0.7)
        figure.oval((-23.6 + side * 6.4, -5.6), (1.7, 1.1), (240, 140, 120), opacity=0.45, blur=0.35)
        figure.oval((-23.6 + side * 2.1, -4.1), (2.7, 2.2), scaled(cream, 1.05), mix(cream, fur, 0.2), blur=0.15)
        for rise in (-0.7, 0.1, 0.9):
            line = [
                (-23.6 + side * 3.2, -4.2 + rise * 0.5),
                (-23.6 + side * 7, -4.3 + rise),
                (-23.6 + side * 10.6, -3.6 + rise * 2),
            ]
            figure.stroke(line, (0.2, 0.06), (255, 250, 240), opacity=0.8)
        figure.stroke([(-23.6, -3.9), (-23.6 + side * 1.1, -2.7), (-23.6 + side * 2.5, -3.0)], (0.34, 0.18), ink)
    nose = [(-25.5, -6.6), (-23.6, -7.0), (-21.7, -6.6), (-22.5, -5.0), (-23.6, -4.5), (-24.7, -5.0)]
    figure.area(curve(nose), ink, scaled(ink, 1.4))
    figure.oval((-24.1, -6.3), (0.6, 0.3), (255, 255, 255), opacity=0.6)


def _otter_paws(figure: Figure, fur: Colour, dark: Colour) -> None:
    shade = mix(fur, dark, 0.4)
    for arm, axes, hand in (((-8.6, -6.6), (6.6, 2.7), (-4.0, -10.2)), ((-6.6, -2.6), (7.6, 3.0), (-1.6, -7.6))):
        figure.oval(arm, axes, mix(shade, fur, 0.5), shade, -0.72)
        figure.oval((arm[0] + 0.3, arm[1] + 0.7), axes, shade, dark, -0.72, opacity=0.45, blur=0.5)
        figure.oval(hand, (2.7, 2.3), mix(shade, fur, 0.6), shade, -0.5)
        for finger in (-0.95, 0.0, 0.95):
            figure.oval((hand[0] + 1.9, hand[1] + finger - 0.5), (0.85, 0.45), mix(dark, shade, 0.3))


def _water_over(figure: Figure, water: Colour) -> None:
    """Let the lower edge of the body lie under water."""
    upper = [(x, 3.2 + 0.55 * math.sin(x * 0.55) + 0.0016 * (x - 4) ** 2) for x in range(-24, 46, 2)]
    lower = ellipse((10, 6), 36, 6.5)
    band = [*upper, *sorted((point for point in lower if point[1] > 6), reverse=True)]
    figure.area(band, water, scaled(water, 0.85), opacity=0.72, blur=0.45)
    lit = mix(water, (255, 255, 255), 0.6)
    figure.stroke([(x, y) for x, y in upper if -19 < x < 35], (0.45, 0.3), lit, opacity=0.45)


def _rings(figure: Figure) -> None:
    light = mix(figure.scene.palette.light, figure.scene.palette.far, 0.3)
    for across, begin, end in ((46, 0.5, 2.5), (54, 0.35, 1.5), (55, 1.9, 2.8), (64, 0.8, 2.3)):
        angles = [begin + (end - begin) * step / 24 for step in range(25)]
        arc = [(4 + across * math.cos(a), 4 + across * 0.21 * math.sin(a)) for a in angles]
        middle = len(arc) // 2
        figure.stroke(arc[: middle + 1], (0.05, 0.5), light, opacity=0.4)
        figure.stroke(arc[middle:], (0.5, 0.05), light, opacity=0.4)


def cat_watching(scene: Scene, _shore: float) -> None:
    """Paint a cat from behind that sits and looks at the light."""
    canvas, rng = scene.canvas, scene.rng
    left = scene.light[0] > canvas.width / 2
    x = canvas.width * (rng.uniform(0.26, 0.36) if left else rng.uniform(0.64, 0.74))
    ink = scaled(mix(scene.palette.near, (20, 16, 24), 0.5), 0.8)
    foot = canvas.height * 0.955
    hill = [(0, foot + scene.unit * 4), (x - scene.unit * 30, foot + scene.unit), (x, foot - scene.unit * 0.6)]
    hill += [(x + scene.unit * 34, foot + scene.unit * 1.4), (canvas.width, foot + scene.unit * 5)]
    canvas.shape([*curve(hill, 12, closed=False), (canvas.width, canvas.height), (0, canvas.height)], scaled(ink, 1.05))
    figure = Figure(scene, (x, foot + scene.unit * 0.4), scene.unit * 36, mirrored=left)
    rim = mix(scene.palette.glow, ink, 0.35)
    for grow, colour in ((0.012, rim), (0.0, ink)):
        _cat_shape(figure, grow, colour, scaled(ink, 1.1))
    for side in (-1, 1):
        for rise in (0, 0.022, 0.044):
            line = [(side * 0.14, -0.755 + rise), (side * 0.22, -0.77 + rise * 1.6), (side * 0.29, -0.755 + rise * 2.4)]
            figure.stroke(line, (0.006, 0.002), rim, opacity=0.8)


def _cat_shape(figure: Figure, grow: float, top: Colour, bottom: Colour) -> None:
    half = [(0.10, -0.66), (0.125, -0.62), (0.19, -0.5), (0.25, -0.34), (0.285, -0.17), (0.265, -0.03), (0.2, 0.01)]
    right = [(x + grow, y) for x, y in half]
    figure.stroke(
        [(0.16, -0.03), (0.36, -0.02), (0.48, -0.07), (0.5, -0.17), (0.43, -0.22)],
        (0.085 + 2 * grow, 0.05 + 2 * grow),
        top,
    )
    figure.area(curve([*right, *((-x, y) for x, y in reversed(right))]), top, bottom)
    figure.oval((0, -0.77), (0.165 + grow, 0.135 + grow), top)
    for side in (-1, 1):
        ear = [(side * (0.158 + grow), -0.79), (side * (0.15 + grow), -1.0 - 1.6 * grow), (side * (0.03 - grow), -0.88)]
        figure.area(ear, top)
