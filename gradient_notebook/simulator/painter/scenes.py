"""Composition: which words of a prompt call for which painter, and where things stand."""

from __future__ import annotations

import re
from collections.abc import Callable

from .abstract import ribbons, space
from .animals import otter
from .canvas import Canvas
from .land import dunes, forest, hills, mountains
from .palette import HOUR_WORDS, SNOW, palette_of, words_of
from .scene import Scene
from .sky import paint_sky, snowfall
from .things import FIGURES, boat, tree
from .town import town
from .water import reflect

Figure = Callable[[Scene, float], None]
Ground = Callable[[Scene, float, float], None]


def _vocabulary(text: str) -> frozenset[str]:
    return frozenset(words_of(text))


_GROUNDS: tuple[tuple[frozenset[str], Ground], ...] = (
    (
        _vocabulary("city town skyline skyscraper building street tokyo york paris london berlin metropolis downtown"),
        town,
    ),
    (_vocabulary("mountain alp peak summit everest fjord himalaya glacier ridge cliff"), mountains),
    (_vocabulary("forest wood pine jungle taiga redwood conifer"), forest),
    (_vocabulary("desert dune sahara sand camel oasis"), dunes),
    (
        _vocabulary("hill village valley meadow field countryside landscape farm prairie grass vineyard garden park"),
        hills,
    ),
)
_WATER = _vocabulary("sea ocean lake water river bay harbor harbour beach coast shore island pond fjord lagoon")
_PLACES = _WATER.union(*(names for names, _ in _GROUNDS))
_SPACE = _vocabulary("space planet nebula galaxy saturn jupiter mars cosmos cosmic universe astronaut spaceship")


def paint_scene(canvas: Canvas, prompt: str) -> None:
    """Paint what `prompt` says onto the canvas; what nobody can draw becomes an abstract picture of its colours."""
    words = words_of(prompt)
    palette = palette_of(words, _PLACES, canvas.rng)
    scene = Scene(canvas, palette, frozenset(words), (0, 0))
    ground = next((painter for word in words for names, painter in _GROUNDS if word in names), None)
    wet = not _WATER.isdisjoint(words)
    figures = _figures(scene, prompt)
    wet = wet or otter in figures or boat in figures
    earthly = ground or wet or figures or scene.words & HOUR_WORDS
    if scene.words & _SPACE and not (ground or wet):
        space(scene)
    elif earthly and not scene.has("abstract", "pattern", "texture"):
        _outdoors(scene, ground, wet, figures)
    else:
        ribbons(scene)


def _figures(scene: Scene, prompt: str) -> list[Figure]:
    found = [painter for names, painter in FIGURES if names & scene.words]
    one_tree = re.search(r"\btree\b", prompt, re.IGNORECASE) and tree not in found
    return [tree, *found] if one_tree else found


def _outdoors(scene: Scene, ground: Ground | None, wet: bool, figures: list[Figure]) -> None:
    canvas, rng = scene.canvas, scene.rng
    shore = canvas.height * (0.6 if ground else rng.uniform(0.47, 0.54)) if wet else canvas.height * 1.0
    skyline = (
        shore - canvas.height * 0.1 if wet and ground else shore if wet else canvas.height * rng.uniform(0.52, 0.6)
    )
    if otter in figures:  # it wants the foreground, so the eye looks down on the water
        shore, skyline = canvas.height * 0.36, canvas.height * (0.3 if ground else 0.36)
    scene.light = canvas.width * rng.uniform(0.28, 0.72), skyline * _height_of_light(scene)
    paint_sky(scene, skyline)
    if ground:
        ground(scene, skyline, shore)
    elif not wet:
        hills(scene, skyline, shore)
    if wet:
        reflect(scene, shore)
    for figure in figures:
        figure(scene, shore if wet else skyline)
    if scene.words & SNOW and ground is not mountains:
        snowfall(scene)


def _height_of_light(scene: Scene) -> float:
    """Return where sun or moon stand: 0 at the top, 1 at the skyline."""
    if scene.palette.dark:
        return scene.rng.uniform(0.25, 0.42)
    return scene.rng.uniform(0.78, 0.93) if scene.palette.low_sun else scene.rng.uniform(0.3, 0.5)
