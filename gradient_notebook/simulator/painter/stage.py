"""Who stands in front: the animals and robots of a prompt, how many, in which colors, and where."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass

from .canvas import Colour, Point, curve, ellipse, mix, scaled
from .creatures import INK, cat, dog, fox
from .cutout import Cutout
from .figure import brush
from .owl import owl
from .palette import SNOW, SPACE, TINTS, singular, words_of
from .robot import robot
from .scene import Scene

Painter = Callable[[Cutout, Colour], None]


@dataclass(frozen=True)
class Kind:
    """What can stand in front: its words, its painter and usual color, and how far it reaches to either side."""

    names: frozenset[str]
    paint: Painter
    colour: Colour
    span: Point


_DOGS = (
    "dog doggy doggie doggo hound puppy pup pooch terrier retriever labrador poodle husky corgi beagle collie spaniel"
)
_KINDS = (
    Kind(frozenset({"fox", "vixen", "foxy"}), fox, (214, 104, 42), (-62, 28)),
    Kind(frozenset(_DOGS.split()), dog, (190, 138, 86), (-46, 28)),
    Kind(frozenset({"cat", "kitten", "kitty", "tomcat", "feline", "tabby"}), cat, (150, 128, 112), (-52, 28)),
    Kind(
        frozenset({"robot", "android", "droid", "cyborg", "automaton", "bot", "mech", "humanoid"}),
        robot,
        (120, 164, 178),
        (-38, 44),
    ),
    Kind(frozenset({"owl", "owlet"}), owl, (150, 112, 78), (-26, 26)),
)
NAMES = frozenset().union(*(kind.names for kind in _KINDS))
"""All words for who can stand in front."""
_FUR: dict[str, Colour] = {
    "red": (196, 84, 36), "ginger": (222, 132, 60), "orange": (226, 128, 48), "golden": (216, 164, 92),
    "brown": (128, 86, 56), "chocolate": (96, 62, 44), "black": (46, 44, 50), "white": (238, 234, 228),
    "arctic": (236, 238, 240), "grey": (140, 142, 150), "gray": (140, 142, 150), "silver": (178, 182, 190),
    "cream": (234, 214, 180), "yellow": (228, 190, 96), "retriever": (216, 164, 92), "husky": (132, 138, 150),
    "corgi": (214, 144, 78), "chestnut": (150, 84, 50), "snowy": (238, 236, 232), "tawny": (168, 112, 66),
    "barn": (212, 164, 100),
}  # fmt: skip
"""What a color word means on an animal; other words mean what they say."""
_NUMBERS = {
    "two": 2,
    "pair": 2,
    "couple": 2,
    "three": 3,
    "several": 3,
    "some": 3,
    "family": 3,
    "group": 4,
    "four": 4,
    "five": 5,
}
_YOUNG = {"puppy", "pup", "kitten", "owlet", "baby", "little", "tiny", "small", "young"}
_BARE = frozenset(words_of("sea ocean beach coast shore island desert dune sahara sand city town street"))
"""Where no grass grows."""
_MOST = 5
_ENDS = {"a", "an", "the", "and", "with", "of", "in", "on", "at", "by", "near", "beside", "one", "under"}


@dataclass(frozen=True)
class Member:
    """One of those who stand in front."""

    kind: Kind
    colour: Colour
    young: bool


def cast_of(prompt: str) -> list[Member]:
    """Return who stands in front in the order of the `prompt`; a plural without a number means two."""
    said = re.findall(r"[^\W_]+", prompt.lower())
    cast: list[Member] = []
    for at, written in enumerate(said):
        kind, following = _kind_of(written), _kind_of(said[at + 1]) if at + 1 < len(said) else None
        if kind is None or kind is following:  # `a puppy dog` is one
            continue
        described = [singular(written), *_description(said[:at])]
        count = next(
            (number for word in described if (number := _number(word))), 2 if singular(written) != written else 1
        )
        colour = next((tint for word in described if (tint := _tint(word, kind))), kind.colour)
        cast += [Member(kind, colour, not _YOUNG.isdisjoint(described))] * count
    return cast[:_MOST]


def _kind_of(word: str) -> Kind | None:
    return next((kind for kind in _KINDS if singular(word) in kind.names), None)


def _description(before: list[str]) -> list[str]:
    """Return the words that describe what comes next, the nearest first."""
    words: list[str] = []
    for word in reversed(before[-4:]):
        if word in _ENDS or (_kind_of(word) and word not in _FUR):
            break
        words.append(word)
    return words


def _number(word: str) -> int:
    return int(word) if word.isdecimal() and len(word) == 1 else _NUMBERS.get(word, 0)


def _tint(word: str, kind: Kind) -> Colour | None:
    return TINTS.get(word) if kind.paint is robot else _FUR.get(word) or TINTS.get(word)


def stage(scene: Scene, cast: list[Member], room: Point = (0, 1), tall: float = 0.52) -> None:
    """Paint the ground in front and the `cast` on it.

    Args:
        scene: the picture so far.
        cast: who stands there, side by side.
        room: the part of the width that they have, 0 to 1.
        tall: how high they are at most, in shares of the picture's height.
    """
    canvas, rng = scene.canvas, scene.rng
    _ground(scene)
    left, right = (canvas.width * (0.03 + 0.94 * share) for share in room)
    slot = (right - left) / len(cast)
    aside = slot * (-0.11 if scene.light[0] > canvas.width / 2 else 0.11)  # out of the sun
    for index, member in enumerate(cast):
        reach = member.kind.span
        height = min(canvas.height * tall, slot * (76 if len(cast) == 1 else 86) / (reach[1] - reach[0])) * (
            0.78 if member.young else 1
        )
        x = left + slot * (index + 0.5) + (aside if len(cast) == 1 else 0)
        mirrored = x > canvas.width / 2 if len(cast) > 1 else scene.light[0] < canvas.width / 2
        x -= (reach[0] + reach[1]) / 2 * height / 100 * (-1 if mirrored else 1)
        foot = x, canvas.height * 0.915 + height * rng.uniform(-0.015, 0.015)
        figure = Cutout(scene, foot, height, member.colour, mirrored=mirrored)
        member.kind.paint(figure, member.colour)
        figure.shadow(reach)
        figure.settle()


def _ground(scene: Scene) -> None:
    """Paint a low rise across the whole width, and what grows or lies on it."""
    canvas, unit = scene.canvas, scene.unit
    top = canvas.height * 0.86
    line = [(-unit, top + unit * 3), (canvas.width * 0.3, top), (canvas.width * 0.65, top - unit * 0.6)]
    line = curve([*line, (canvas.width + unit, top + unit * 3)], 16, closed=False)
    upper, lower = _soil(scene)
    canvas.shape([*line, (canvas.width, canvas.height), (0, canvas.height)], upper, lower)
    rim = brush(line, unit * 0.5, unit * 0.5)
    canvas.shape(rim, mix(upper, scene.palette.glow, 0.4), opacity=0.5, blur=unit * 0.25)
    rng = random.Random(scene.rng.random())
    for _ in range(70 * scene.detail):
        near = rng.random()
        x, y = rng.uniform(0, canvas.width), canvas.height * (0.865 + 0.13 * near)
        tone = mix(mix(upper, lower, near), scene.palette.glow if rng.random() < 0.5 else INK, rng.uniform(0.05, 0.22))
        _speck(scene, rng, (x, y), unit * (0.7 + 1.1 * near), tone)


def _speck(scene: Scene, rng: random.Random, place: Point, size: float, tone: Colour) -> None:
    """Paint a blade of grass, or what there is in its place on sand, snow and dust."""
    x, y = place
    if scene.words & (_BARE | SNOW | SPACE):
        scene.canvas.shape(ellipse(place, size * 0.7, size * 0.16), tone, opacity=0.5, blur=size * 0.06)
        return
    lean = rng.uniform(-0.6, 0.6) * size
    blade = [(x, y), (x + lean * 0.3, y - size * 0.8), (x + lean, y - size * 1.5)]
    scene.canvas.shape(brush(blade, size * 0.22, 0), tone, opacity=0.8)


def _soil(scene: Scene) -> tuple[Colour, Colour]:
    near = mix(scene.palette.near, scene.palette.far, 0.3)
    if scene.has(singular("mars")):
        near = mix(near, (178, 92, 56), 0.6)
    elif scene.words & SNOW:
        near = mix(near, (236, 242, 252), 0.3 if scene.palette.dark else 0.6)
    elif scene.words & _BARE and not scene.words & SPACE:
        near = mix(near, scaled((214, 184, 140), 0.45 if scene.palette.dark else 0.85), 0.4)
    return near, scaled(near, 0.62)
