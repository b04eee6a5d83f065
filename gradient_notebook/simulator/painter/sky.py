"""The sky: its gradient, clouds, sun, moon, stars, northern lights, birds."""

from __future__ import annotations

import math

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from .canvas import Point, curve, ellipse, gradient, mix, waves
from .scene import Scene


def paint_sky(scene: Scene, skyline: float) -> None:
    """Paint everything above the ground, which begins about `skyline` pixels from the top."""
    canvas, palette = scene.canvas, scene.palette
    low = skyline / canvas.height
    stops = [(0.0, palette.top), (low * 0.52, palette.middle), (low, palette.horizon), (1.0, palette.horizon)]
    canvas.image = gradient(canvas.size, stops)
    if palette.dark:
        paint_stars(scene, skyline)
    if scene.has("aurora", "borealis", "northern"):
        _aurora(scene, skyline)
    if not palette.dark or scene.has("cloud", "cloudy"):
        _clouds(scene, skyline)
    _light(scene)
    if scene.has("bird", "gull", "seagull", "geese", "flock") or (not palette.dark and scene.rng.random() < 0.35):
        _birds(scene, skyline)


def _light(scene: Scene) -> None:
    canvas, palette, unit = scene.canvas, scene.palette, scene.unit
    if palette.dark:
        canvas.glow(scene.light, unit * 60, palette.glow, 0.55)
        _moon(scene, scene.light, unit * 5.2)
        return
    canvas.glow(scene.light, unit * 95, palette.glow, 0.85, flatness=1.25)
    canvas.glow(scene.light, unit * 30, palette.light, 0.7)
    canvas.shape(ellipse(scene.light, unit * 5, unit * 5), palette.light, opacity=0.96, blur=unit * 0.08)


def _moon(scene: Scene, centre: Point, radius: float) -> None:
    """Paint a moon with its seas; sometimes a crescent."""
    canvas, palette = scene.canvas, scene.palette
    rng = scene.rng
    canvas.shape(ellipse(centre, radius, radius), palette.light, mix(palette.light, palette.glow, 0.25))
    for _ in range(9):
        angle, away = rng.uniform(0, math.tau), radius * rng.uniform(0, 0.62)
        spot = centre[0] + away * math.cos(angle), centre[1] + away * math.sin(angle)
        size = radius * rng.uniform(0.08, 0.26)
        canvas.shape(ellipse(spot, size, size * 0.9), mix(palette.light, palette.glow, 0.6), opacity=0.3, blur=size / 5)


def paint_stars(scene: Scene, skyline: float) -> None:
    """Paint stars above `skyline` pixels, a few of them so bright that they glow."""
    canvas, rng = scene.canvas, scene.rng
    large = Image.new("L", (canvas.width * 2, canvas.height * 2))
    draw = ImageDraw.Draw(large)
    bright: list[Point] = []
    for _ in range(round(canvas.width * canvas.height / 2_600)):
        x, y = rng.uniform(0, canvas.width), skyline * 1.08 * rng.random() ** 1.2
        size = scene.unit * 0.07 * (1 + 2.2 * rng.random() ** 6)
        draw.ellipse((2 * (x - size), 2 * (y - size), 2 * (x + size), 2 * (y + size)), fill=rng.randint(50, 255))
        if size > scene.unit * 0.2:
            bright.append((x, y))
    if scene.has("galaxy", "milky", "galactic"):
        milky_way(scene, 0.8)
    canvas.paint(large.reduce(2), (255, 250, 240))
    for star in bright:
        canvas.glow(star, scene.unit * 1.6, (190, 210, 255), 0.6)


def milky_way(scene: Scene, strength: float) -> None:
    """Lay a band of luminous clouds across the sky."""
    canvas = scene.canvas
    band = Image.linear_gradient("L").point([round(255 * math.exp(-(((v - 128) / 42) ** 2))) for v in range(256)])
    angle = scene.rng.choice((-1, 1)) * scene.rng.uniform(22, 40)
    side = max(canvas.size) * 2
    turned = band.resize((side, side), Image.Resampling.BILINEAR).rotate(angle, Image.Resampling.BILINEAR)
    left, upper = (side - canvas.width) // 2, (side - canvas.height) // 2
    turned = turned.crop((left, upper, left + canvas.width, upper + canvas.height))
    fog = canvas.clouds((5, 4), 5).point([max(0, min(255, round((v - 80) * 1.7 * strength))) for v in range(256)])
    canvas.lighten(ImageChops.multiply(turned, fog), (176, 160, 214))


def _clouds(scene: Scene, skyline: float) -> None:
    canvas, palette, rng = scene.canvas, scene.palette, scene.rng
    cover = rng.uniform(0.25, 0.6) + (0.35 if scene.has("cloud", "cloudy", "storm", "stormy", "rain") else 0)
    threshold = 168 - 70 * cover
    levels = [max(0, min(255, round((value - threshold) * 4.2))) for value in range(256)]
    fog = canvas.clouds((4, 9), 5).point(levels)
    fade = gradient(canvas.size, [(0.0, (70,) * 3), (0.2, (190,) * 3), (skyline / canvas.height, (0,) * 3)]).getchannel(
        0
    )
    mask = ImageChops.multiply(fog, fade)
    canvas.paint(mask, mix(palette.middle, (255, 255, 255), 0.28), mix(palette.light, palette.glow, 0.35), opacity=0.62)


def _aurora(scene: Scene, skyline: float) -> None:
    """Paint curtains: small, column by column, then enlarged; their softness hides how small they were."""
    canvas, rng = scene.canvas, scene.rng
    across, down = 240, 120
    for number in range(3):
        small = Image.new("L", (across, down))
        foot, light = waves(rng, 1.1, 3, across), waves(rng, 7, 5, across)
        for x in range(across):
            bottom = down * (0.6 - 0.13 * number + 0.16 * foot[x])
            power = 150 * max(0.08, 0.5 + 0.6 * light[x])
            for y in range(max(0, round(bottom))):
                small.putpixel((x, min(y, down - 1)), round(power * math.exp(-(bottom - y) / (down * 0.17))))
        mask = Image.new("L", canvas.size)
        mask.paste(small.resize((canvas.width, round(skyline)), Image.Resampling.BICUBIC))
        mask = mask.filter(ImageFilter.GaussianBlur(scene.unit * 0.5))
        tint = gradient(
            canvas.size, [(0, (120, 70, 210)), (0.3, (60, 200, 170)), (0.6, (90, 255, 150)), (1, (90, 255, 150))]
        )
        canvas.image = Image.composite(ImageChops.screen(canvas.image, tint), canvas.image, mask)


def _birds(scene: Scene, skyline: float) -> None:
    rng, unit = scene.rng, scene.unit
    ink = mix(scene.palette.near, scene.palette.middle, 0.2)
    middle = scene.canvas.width * rng.uniform(0.2, 0.8), skyline * rng.uniform(0.35, 0.7)
    for _ in range(rng.randint(4, 9)):
        x, y = middle[0] + rng.gauss(0, unit * 9), middle[1] + rng.gauss(0, unit * 3.5)
        span, lift = unit * rng.uniform(0.7, 1.5), rng.uniform(0.25, 0.6)
        upper = [(x - span, y - span * lift * 0.5), (x - span * 0.5, y - span * lift), (x, y)]
        upper += [(x + span * 0.5, y - span * lift), (x + span, y - span * lift * 0.5)]
        lower = [(px, py + span * 0.16 * (1 - abs(px - x) / span)) for px, py in reversed(upper)]
        scene.canvas.shape(_open(upper) + _open(lower), ink, opacity=0.85)


def snowfall(scene: Scene) -> None:
    """Let it snow, the nearer flakes larger and softer."""
    canvas, rng = scene.canvas, scene.rng
    for size, blur, count in ((0.14, 0.0, 260), (0.3, 0.1, 110), (0.75, 0.5, 26)):
        places = [(rng.uniform(0, canvas.width), rng.uniform(0, canvas.height)) for _ in range(count)]
        radii = [scene.unit * size * rng.uniform(0.6, 1.2) for _ in range(count)]
        flakes = [ellipse(place, radius, radius, points=12) for place, radius in zip(places, radii, strict=True)]
        canvas.paint(canvas.mask(flakes, blur=scene.unit * blur), (250, 252, 255), opacity=0.75)


def _open(points: list[Point]) -> list[Point]:
    """Return a smooth open line through `points`."""
    return curve(points, 6, closed=False)
