"""A figure on a sheet of its own: painted as rounded forms, then lit by the hour and set into the landscape."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from .canvas import SUPERSAMPLING, Canvas, Colour, Point, Size, ellipse, gradient, luminance, mix, scaled
from .figure import Figure, brush
from .palette import Palette
from .scene import Scene
from .water import rippled

Flow = Callable[[Point], Point]
"""Where hair points to at a place, in the figure's units."""

_WARM, _COOL = (255, 246, 226), (24, 22, 58)  # what lit and shady sides go to


class _Sheet(Canvas):
    """A canvas that knows where something has been painted on it."""

    def __init__(self, side: int, rng: random.Random, base: Colour) -> None:
        super().__init__((side, side), rng)
        self.image = Image.new("RGB", self.size, base)  # what shines through soft edges
        self.alpha = Image.new("L", self.size)

    def lay(self, fill: Image.Image, corner: Size, mask: Image.Image) -> None:
        """Paste `fill` through `mask`, and remember where."""
        super().lay(fill, corner, mask)
        self.alpha.paste(255, corner, mask)


class Cutout(Figure):
    """A figure on a sheet of its own, a hundred units high, its feet in the origin; `settle` puts it into the scene.

    Its chance is its own, so that what it draws changes nothing else.
    """

    def __init__(self, scene: Scene, foot: Point, height: float, base: Colour, *, mirrored: bool = False) -> None:
        side = round(height * 1.7)
        self._sheet = _Sheet(side, random.Random(scene.rng.random()), base)
        self._place = round(foot[0] - side / 2), round(foot[1] - height * 1.4)
        self._landscape = scene
        origin = foot[0] - self._place[0], foot[1] - self._place[1]
        super().__init__(replace(scene, canvas=self._sheet), origin, height / 100, mirrored=mirrored)
        across, up = scene.light[0] - foot[0], foot[1] - height * 0.6 - scene.light[1]
        length = math.hypot(across, max(up, height)) or 1.0
        self.towards = across / length, -max(up, height) / length
        """Where the light comes from: at least a little from above."""
        self._lamps: list[tuple[list[Point], Colour, Colour, float]] = []

    def volume(self, points: Sequence[Point], colour: Colour, depth: float, bottom: Colour | None = None) -> None:
        """Paint a polygon as a rounded form: light where its edge faces the light, dark where it turns away."""
        placed, reach = self.place(points), depth * self.size
        margin = 2 * reach + 2
        left, upper = math.floor(min(x for x, _ in placed) - margin), math.floor(min(y for _, y in placed) - margin)
        width = math.ceil(max(x for x, _ in placed) + margin) - left
        height = math.ceil(max(y for _, y in placed) + margin) - upper
        large = Image.new("L", (width * SUPERSAMPLING, height * SUPERSAMPLING))
        outline = [((x - left) * SUPERSAMPLING, (y - upper) * SUPERSAMPLING) for x, y in placed]
        ImageDraw.Draw(large).polygon(outline, fill=255)
        mask = large.reduce(SUPERSAMPLING)
        self.scene.canvas.shape(placed, colour, bottom)
        lit, shady = self._sides(mask, reach)
        middle = mix(colour, bottom or colour, 0.5)
        for side, tone in ((shady, mix(scaled(middle, 0.5), _COOL, 0.3)), (lit, mix(middle, _WARM, 0.55))):
            self._sheet.image.paste(Image.new("RGB", mask.size, tone), (left, upper), side)

    def _sides(self, mask: Image.Image, reach: float) -> tuple[Image.Image, Image.Image]:
        """Return where the form of `mask` faces the light, and where it turns away."""
        coarse = max(1, int(reach / 4))
        soft = mask.reduce(coarse).filter(ImageFilter.GaussianBlur(reach / coarse))
        across, down = (round(part * reach / coarse) for part in self.towards)
        ahead, behind = ImageChops.offset(soft, -across, -down), ImageChops.offset(soft, across, down)
        sides = (ImageChops.subtract(behind, ahead), ImageChops.subtract(ahead, behind))
        lit, shady = (ImageChops.multiply(side.resize(mask.size, Image.Resampling.BICUBIC), mask) for side in sides)
        return lit, shady

    def hair(self, box: tuple[float, float, float, float], flow: Flow, length: float, count: int) -> None:
        """Comb what is painted so far within `box`: light and dark hairs that point along `flow`."""
        rng, seen = self.scene.rng, min(1.0, self.size / 4)  # small animals need fewer
        for tone, opacity in (((20, 14, 20), 0.15), ((255, 246, 230), 0.17)):
            hairs = []
            for _ in range(round(count * seen * self.scene.detail / 2)):
                x, y = rng.uniform(box[0], box[2]), rng.uniform(box[1], box[3])
                dx, dy = flow((x, y))
                reach = length * rng.uniform(0.5, 1.2)
                bend = rng.uniform(-0.2, 0.2) * reach
                line = [(x, y), (x + dx * reach / 2 + dy * bend, y + dy * reach / 2 - dx * bend)]
                hairs.append(brush([*line, (x + dx * reach, y + dy * reach)], length * 0.08, 0))
            self.texture(hairs, tone, opacity)

    def texture(self, shapes: Sequence[Sequence[Point]], tone: Colour, opacity: float) -> None:
        """Paint many small `shapes` thinly over what is painted so far, and nowhere else."""
        if not shapes:
            return
        sheet, placed = self._sheet, [self.place(shape) for shape in shapes]
        across, down = ([point[axis] for shape in placed for point in shape] for axis in (0, 1))
        left, upper = max(0, math.floor(min(across)) - 1), max(0, math.floor(min(down)) - 1)
        right, lower = min(sheet.width, math.ceil(max(across)) + 2), min(sheet.height, math.ceil(max(down)) + 2)
        if right <= left or lower <= upper:
            return
        part = Canvas((right - left, lower - upper), sheet.rng)
        moved = ([(x - left, y - upper) for x, y in shape] for shape in placed)
        mask = ImageChops.multiply(part.mask(moved), sheet.alpha.crop((left, upper, right, lower)))
        thin = mask.point([round(value * opacity) for value in range(256)])
        sheet.image.paste(tone, (left, upper, right, lower), thin)

    def lamp(self, points: Sequence[Point], top: Colour, bottom: Colour, reach: float) -> None:
        """Paint a polygon that shines by itself, `reach` units far."""
        self.area(points, top, bottom)
        self._lamps.append((self.place(points), top, bottom, reach * self.size))

    def settle(self, distance: float = 0) -> None:
        """Set the figure into its scene: in the colors of the hour, with a rim of light; hazy at a `distance`."""
        sheet, palette = self._sheet, self._landscape.palette
        picture = ImageChops.multiply(sheet.image, Image.new("RGB", sheet.size, ambience(palette)))
        shine = 0.75 if palette.dark or palette.low_sun else 0.4
        step = max(1, round(self.size * 0.9))
        across, down = (round(part * step) for part in self.towards)
        rim = ImageChops.subtract(sheet.alpha, ImageChops.offset(sheet.alpha, -across, -down))
        rim = rim.filter(ImageFilter.GaussianBlur(step * 0.35)).point([round(v * shine) for v in range(256)])
        picture = Image.composite(ImageChops.screen(picture, Image.new("RGB", sheet.size, palette.glow)), picture, rim)
        if distance:
            picture = Image.blend(picture, Image.new("RGB", sheet.size, palette.horizon), distance)
        self._landscape.canvas.image.paste(picture, self._place, sheet.alpha)
        self._shine()

    def _shine(self) -> None:
        canvas, strength = self._landscape.canvas, 0.8 if self._landscape.palette.dark else 0.45
        for points, top, bottom, reach in self._lamps:
            moved = [(x + self._place[0], y + self._place[1]) for x, y in points]
            canvas.shape(moved, top, bottom)
            middle = sum(x for x, _ in moved) / len(moved), sum(y for _, y in moved) / len(moved)
            canvas.glow(middle, reach, mix(top, bottom, 0.7), strength)

    def shadow(self, span: Point) -> None:
        """Lay the figure's shadow on the ground, darkest where it stands within `span`; call it before `settle`."""
        canvas, alpha = self._landscape.canvas, self._sheet.alpha
        foot = round(self.origin[1])
        fallen = alpha.crop((0, 0, alpha.width, foot)).transpose(Image.Transpose.FLIP_TOP_BOTTOM)
        fallen = fallen.resize((alpha.width, max(2, round(foot * 0.2))), Image.Resampling.BOX)
        slant = max(-1.4, min(1.4, self.towards[0] / self.towards[1])) * 1.6
        fallen = fallen.transform(
            fallen.size, Image.Transform.AFFINE, (1, slant, 0, 0, 1, 0), Image.Resampling.BILINEAR
        )
        fallen = fallen.filter(ImageFilter.GaussianBlur(self.size * 0.8)).point([round(v * 0.5) for v in range(256)])
        dark = scaled(self._landscape.palette.near, 0.35)
        below = self._place[0], self._place[1] + foot - round(self.size * 2)
        canvas.image.paste(Image.new("RGB", fallen.size, dark), below, fallen)
        middle, half = self.side * (span[0] + span[1]) / 2, (span[1] - span[0]) * 0.46
        at = self._place[0] + self.origin[0] + middle * self.size, self._place[1] + self.origin[1] + 0.6 * self.size
        canvas.shape(ellipse(at, half * self.size, 3.4 * self.size), dark, opacity=0.7, blur=1.6 * self.size)

    def reflection(self, below: float) -> None:
        """Lay the figure's image on the water, which begins `below` its origin, in units; call it after `settle`."""
        canvas, (left, upper) = self._landscape.canvas, self._place
        width, edge = self._sheet.width, round(self.origin[1] + below * self.size)
        above = canvas.image.crop((left, upper, left + width, upper + edge))
        above.putalpha(self._sheet.alpha.crop((0, 0, width, edge)))
        low = above.transpose(Image.Transpose.FLIP_TOP_BOTTOM).resize((width, round(edge * 0.72)))
        low = low.crop((0, 0, width, max(1, min(low.height, canvas.height - upper - edge))))
        waving = rippled(self.scene, low.filter(ImageFilter.GaussianBlur((self.size * 0.2, self.size * 0.9))))
        fade = gradient(waving.size, [(0.0, (150,) * 3), (1.0, (105,) * 3)]).getchannel(0)
        water = mix(self._landscape.palette.far, self._landscape.palette.near, 0.4)
        picture = Image.blend(waving.convert("RGB"), Image.new("RGB", waving.size, water), 0.3)
        canvas.image.paste(picture, (left, upper + edge), ImageChops.multiply(waving.getchannel("A"), fade))


def ambience(palette: Palette) -> Colour:
    """Return the color of the light that falls on everything, as a factor of 255."""
    light = mix(palette.horizon, palette.light, 0.5)
    pale = mix(light, (255, 255, 255), 0.5 if palette.low_sun else 0.8)
    return scaled(mix(light, palette.glow, 0.5), 165 / luminance(light)) if palette.dark else pale


def furry(outline: Sequence[Point], length: float, rng: random.Random) -> list[Point]:
    """Return a closed `outline` whose edge stands out in small tufts that lean downwards."""
    count = len(outline)
    area = sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(outline, [*outline[1:], outline[0]], strict=True))
    result = []
    for index, (x, y) in enumerate(outline):
        (x0, y0), (x1, y1) = outline[index - 1], outline[(index + 1) % count]
        along = math.copysign(math.hypot(x1 - x0, y1 - y0) or 1.0, area)
        reach = length * rng.random() ** 2
        result.append((x + reach * (y1 - y0) / along, y + reach * ((x0 - x1) / along + 0.4)))
    return result
