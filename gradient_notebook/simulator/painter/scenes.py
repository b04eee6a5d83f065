"""Composition: which words of a prompt call for which painter, and where things stand."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from .abstract import ribbons, space
from .animals import cat_watching, otter
from .canvas import Canvas
from .castle import CASTLE, castle
from .creatures import cat
from .land import dunes, forest, hills, mountains
from .lighthouse import LIGHTHOUSE, lighthouse
from .owl import on_a_branch, owl
from .palette import HOUR_WORDS, NIGHT, SNOW, SPACE, palette_of, words_of
from .scene import Scene
from .sky import paint_sky, snowfall
from .stage import NAMES, Member, cast_of, stage
from .things import FIGURES, boat, flowers, house, tree
from .town import town
from .water import reflect

Figure = Callable[[Scene, float], None]
Ground = Callable[[Scene, float, float], None]


def _vocabulary(text: str) -> frozenset[str]:
    return frozenset(words_of(text))


_GROUNDS: tuple[tuple[frozenset[str], Ground], ...] = (
    (
        _vocabulary(
            "city town skyline skyscraper building street tokyo york paris london berlin metropolis downtown cityscape"
        ),
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
_SUBJECTS = LIGHTHOUSE.union(CASTLE, NAMES, *(names for names, _ in FIGURES))
"""What can be in front."""
_OUT_OF_SIGHT = re.compile(
    rf"(?<=\bfrom )(?:\w+ ){{0,3}}?(?:{'|'.join(sorted(_SUBJECTS))})s?\b|\bbarn(?=[ -]owls?\b)", re.IGNORECASE
)
"""What a prompt names and the picture cannot show: from where it is seen, and the barn of an owl."""
_WATCHING = frozenset({"looking", "watching", "gazing", "staring", "behind", "silhouette"})
"""How a cat is seen from behind."""
_PLACES = _WATER.union(*(names for names, _ in _GROUNDS))


def paint_scene(canvas: Canvas, prompt: str, detail: int = 2) -> None:
    """Paint what `prompt` says onto the canvas; what nobody can draw becomes an abstract picture of its colours."""
    prompt = _OUT_OF_SIGHT.sub("", prompt)
    words = words_of(prompt)
    palette = palette_of(words, _PLACES, canvas.rng)
    scene = Scene(canvas, palette, frozenset(words), (0, 0), detail)
    ground = next((painter for word in words for names, painter in _GROUNDS if word in names), None)
    wet = not _WATER.isdisjoint(words)
    figures = _figures(scene, prompt)
    at_sea = scene.has(*LIGHTHOUSE) and not ground
    wet = wet or otter in figures or boat in figures or at_sea
    scene.wet = wet
    earthly = ground or wet or figures or scene.words & HOUR_WORDS
    if scene.words & SPACE and not (ground or wet):
        _in_space(scene, figures)
    elif earthly and not scene.has("abstract", "pattern", "texture"):
        _outdoors(scene, ground, wet, figures)
    else:
        ribbons(scene)


def _figures(scene: Scene, prompt: str) -> list[Figure]:
    """Return the painters of what the prompt names, back to front."""
    found = [painter for names, painter in FIGURES if names & scene.words]
    if re.search(r"\btree\b", prompt, re.IGNORECASE) and tree not in found:
        found.insert(0, tree)
    cast, named = cast_of(prompt), [word for word in words_of(prompt) if word in _SUBJECTS]
    building = next((word for word in named if word in CASTLE | LIGHTHOUSE), "")
    keep, lamp = building in CASTLE, building in LIGHTHOUSE
    if [member.kind.paint for member in cast] == [cat] and scene.words & _WATCHING and not keep:
        found.append(cat_watching)
    elif cast:
        crowded = keep or lamp or bool({otter, tree, house}.intersection(found))
        found.append(partial(_in_front, cast, crowded=crowded, small=lamp and named[0] == building))
    if flowers in found:
        found.append(found.pop(found.index(flowers)))
    if keep:
        found.insert(0, partial(_castle_behind, cast))
    if lamp:
        found.insert(0, partial(lighthouse, far=named[0] != building))
    return found


def _in_front(cast: list[Member], scene: Scene, _shore: float, *, crowded: bool, small: bool) -> None:
    """Paint the `cast`: on either side of a castle, beside whatever else there is, or large; owls alone on a branch."""
    if not crowded and all(member.kind.paint is owl for member in cast):
        on_a_branch(scene, [(member.colour, member.young) for member in cast])
    elif not crowded:
        stage(scene, cast)
    elif len(cast) > 1 and not CASTLE.isdisjoint(scene.words):
        stage(scene, cast, tall=0.42)
    else:
        on_the_left = (scene.light[0] > scene.canvas.width / 2) == (not CASTLE.isdisjoint(scene.words))
        stage(scene, cast, (0, 0.55) if on_the_left else (0.45, 1), tall=0.27 if small or scene.has("otter") else 0.42)


def _castle_behind(cast: list[Member], scene: Scene, _shore: float) -> None:
    """Paint a castle in the middle, or beside the one who is in front of it."""
    place = 0.62 if scene.light[0] > scene.canvas.width / 2 else 0.38
    castle(scene, place if len(cast) == 1 else 0.5)


def _in_space(scene: Scene, figures: list[Figure]) -> None:
    """Paint space; who comes with it stands on the dust of a moon."""
    space(scene)
    if not figures:
        return
    scene.palette = replace(NIGHT, far=(134, 132, 150), near=(92, 90, 108), horizon=(60, 62, 96))
    scene.light = scene.canvas.width * 0.25, scene.canvas.height * 0.1
    for figure in figures:
        figure(scene, scene.canvas.height * 0.7)


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
