"""A town: rows of buildings, lit windows."""

from __future__ import annotations

import random

from PIL import Image, ImageDraw, ImageFilter

from .canvas import Point, mix
from .scene import Scene

Box = tuple[float, float, float, float]


def town(scene: Scene, skyline: float, base: float) -> None:
    """Paint rows of buildings, the nearer ones with lit windows."""
    low_light = scene.palette.dark or scene.palette.top[2] < 110
    for nearness, level in scene.layers(4, skyline, base):
        buildings = list(_buildings(scene, level, base, nearness))
        polygons = [polygon for polygon, _ in buildings]
        colour = scene.depth(0.15 + 0.75 * nearness)
        scene.canvas.paint(
            scene.canvas.mask(polygons), colour, mix(colour, scene.palette.horizon, 0.4 * (1 - nearness))
        )
        if nearness > 0.1:
            boxes = [box for _, box in buildings]
            _windows(scene, boxes, nearness, share=0.42 if low_light else 0.16)
        if nearness < 0.7:
            scene.haze(0.2)


def _buildings(scene: Scene, level: float, base: float, nearness: float) -> list[tuple[list[Point], Box]]:
    rng, unit = scene.rng, scene.unit
    found, x = [], -unit * 3
    centre = scene.canvas.width * rng.uniform(0.3, 0.7)
    while x < scene.canvas.width:
        width = unit * rng.uniform(4, 8) * (0.7 + 0.75 * nearness)
        middle = max(0.25, 1 - abs(x - centre) / (scene.canvas.width * 0.6))
        height = unit * rng.uniform(5, 30) * middle * (1 - 0.35 * nearness)
        roof = level + unit * 4 - height
        found.append((_outline(rng, x, x + width, roof, base), (x, roof, x + width, base)))
        x += width + unit * rng.choice((0, 0, 0.5, 1.6))
    return found


def _outline(rng: random.Random, left: float, right: float, roof: float, base: float) -> list[Point]:
    width, kind = right - left, rng.randrange(5)
    top: list[Point] = [(left, roof), (right, roof)]
    if kind == 1:
        inset, rise = width * 0.22, width * 0.5
        top = [(left, roof), (left + inset, roof), (left + inset, roof - rise), (right - inset, roof - rise)]
        top += [(right - inset, roof), (right, roof)]
    elif kind == 2:
        middle, thin = (left + right) / 2, width * 0.025
        top = [(left, roof), (middle - thin * 3, roof - width * 0.2), (middle - thin, roof - width * 1.1)]
        top += [(middle + thin, roof - width * 1.1), (middle + thin * 3, roof - width * 0.2), (right, roof)]
    elif kind == 3:
        top = [(left, roof), (right, roof - width * rng.uniform(0.2, 0.5))]
    return [*top, (right, base), (left, base)]


def _windows(scene: Scene, boxes: list[Box], nearness: float, share: float) -> None:
    """Light some windows, each house with its own habits, and let them glow a little."""
    canvas, rng = scene.canvas, scene.rng
    pitch = scene.unit * (0.75 + 0.75 * nearness)
    mask = Image.new("L", canvas.size)
    draw = ImageDraw.Draw(mask)
    for left, roof, right, base in boxes:
        habit = share * rng.uniform(0.3, 1.5)
        columns, rows = int((right - left) / pitch - 0.6), int((base - roof) / (pitch * 1.35))
        margin = ((right - left) - columns * pitch) / 2
        for row in range(rows):
            for column in range(columns):
                if rng.random() < habit:
                    x, y = left + margin + (column + 0.2) * pitch, roof + (row + 0.6) * pitch * 1.35
                    draw.rectangle((x, y, x + pitch * 0.55, y + pitch * 0.72), fill=rng.randint(90, 255))
    warm = (255, 208, 130)
    canvas.paint(mask, warm, (255, 186, 110))
    soft = mask.filter(ImageFilter.GaussianBlur(scene.unit * 0.9))
    canvas.lighten(soft, (255, 160, 80))
