"""What the painters of one picture share: the canvas, the colours, where the light stands."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from .canvas import Canvas, Colour, Point, mix
from .palette import Palette


@dataclass
class Scene:
    """One picture in the making; lengths in pixels, `unit` is a hundredth of the shorter side."""

    canvas: Canvas
    palette: Palette
    words: frozenset[str]
    light: Point
    """Centre of sun or moon."""
    detail: int = 2
    """How much is worked out, from 0 for a sketch to 4; chance never depends on it."""
    wet: bool = False
    """Whether there is water in front."""

    @property
    def rng(self) -> random.Random:
        """Where all chance comes from."""
        return self.canvas.rng

    @property
    def unit(self) -> float:
        """A hundredth of the shorter side in pixels."""
        return self.canvas.short / 100

    def has(self, *words: str) -> bool:
        """Return whether the prompt says one of `words`."""
        return not self.words.isdisjoint(words)

    def depth(self, nearness: float) -> Colour:
        """Return the colour of the ground at `nearness`, 0 at the horizon, 1 at one's feet."""
        return mix(self.palette.far, self.palette.near, nearness)

    def line(self, heights: list[float], level: float, reach: float) -> list[Point]:
        """Return `heights` (about -1 to 1) as a line across the canvas around `level`, `reach` pixels up and down."""
        step = self.canvas.width / (len(heights) - 1)
        return [(index * step, level - height * reach) for index, height in enumerate(heights)]

    def down_to(self, line: list[Point], base: float) -> list[Point]:
        """Return the area between `line` and `base`."""
        return [*line, (self.canvas.width, base), (0, base)]

    def layers(self, count: int, skyline: float, base: float) -> Iterator[tuple[float, float]]:
        """Yield the nearness (0 to 1) and the level in pixels of `count` layers, each nearer one lower."""
        for index in range(count):
            nearness = index / max(1, count - 1)
            yield nearness, skyline + (base - skyline) * 0.78 * nearness**1.15

    def haze(self, strength: float) -> None:
        """Let the light spill over what is painted so far."""
        radius = self.canvas.short * self.rng.uniform(0.6, 0.95)  # one size would add up to rings
        self.canvas.glow(self.light, radius, self.palette.glow, strength, flatness=1.5)
