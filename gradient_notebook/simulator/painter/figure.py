"""Figures: shapes in their own units, placed and sized on the canvas."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .canvas import Colour, Point, curve, ellipse
from .scene import Scene


class Figure:
    """A figure drawn in its own units around its own origin, as large as `size` pixels to a unit."""

    def __init__(self, scene: Scene, origin: Point, size: float, *, mirrored: bool = False) -> None:
        self.scene = scene
        self.origin = origin
        self.size = size
        self.side = -1 if mirrored else 1

    def place(self, points: Sequence[Point]) -> list[Point]:
        """Return `points` in pixels of the canvas."""
        x, y = self.origin
        return [(x + self.side * px * self.size, y + py * self.size) for px, py in points]

    def area(
        self, points: Sequence[Point], top: Colour, bottom: Colour | None = None, opacity: float = 1, blur: float = 0
    ) -> None:
        """Paint a polygon."""
        self.scene.canvas.shape(self.place(points), top, bottom, opacity, blur * self.size)

    def oval(  # noqa: PLR0917 - an ellipse has so many sides
        self,
        centre: Point,
        axes: Point,
        top: Colour,
        bottom: Colour | None = None,
        turn: float = 0,
        opacity: float = 1,
        blur: float = 0,
    ) -> None:
        """Paint an ellipse with the half axes `axes`."""
        self.area(ellipse(centre, *axes, turn), top, bottom, opacity, blur)

    def stroke(self, points: Sequence[Point], widths: tuple[float, float], colour: Colour, opacity: float = 1) -> None:
        """Paint a smooth line that goes from one width to another."""
        self.area(brush(curve(points, 8, closed=False), *widths), colour, opacity=opacity)


def brush(line: Sequence[Point], first: float, last: float) -> list[Point]:
    """Return the outline of a stroke along `line`, `first` wide where it begins and `last` where it ends."""
    left, right = [], []
    for index, (x, y) in enumerate(line):
        (x0, y0), (x1, y1) = line[max(0, index - 1)], line[min(len(line) - 1, index + 1)]
        length = math.hypot(x1 - x0, y1 - y0) or 1.0
        half = (first + (last - first) * index / (len(line) - 1)) / 2
        across = -(y1 - y0) / length * half, (x1 - x0) / length * half
        left.append((x + across[0], y + across[1]))
        right.append((x - across[0], y - across[1]))
    return left + right[::-1]
