"""Colours: what the words of a prompt say of the hour, the weather and the tint."""

from __future__ import annotations

import itertools
import random
import re
from dataclasses import dataclass, replace

from .canvas import Colour, luminance, mix, scaled


def colour(hexadecimal: str) -> Colour:
    """Return the colour written as RRGGBB."""
    red, green, blue = bytes.fromhex(hexadecimal)
    return red, green, blue


@dataclass(frozen=True)
class Palette:
    """The colours of an hour: the sky from top to horizon, its light, and the ground from far to near."""

    top: Colour
    middle: Colour
    horizon: Colour
    light: Colour
    glow: Colour
    far: Colour
    near: Colour
    dark: bool = False
    low_sun: bool = True

    @classmethod
    def of(cls, colours: str, *, dark: bool = False, low_sun: bool = True) -> Palette:
        """Return the palette of seven colours, each written as RRGGBB."""
        top, middle, horizon, light, glow, far, near = map(colour, colours.split())
        return cls(top, middle, horizon, light, glow, far, near, dark, low_sun)

    def snowed(self) -> Palette:
        """Return the palette with snow on the ground."""
        bright = 0.3 if self.dark else 0.6
        return replace(self, far=mix(self.far, (228, 236, 248), bright), near=mix(self.near, (112, 132, 166), bright))

    def tinted(self, tint: Colour, sky: float, ground: float) -> Palette:
        """Return the palette with the hue of `tint`, by shares of 0 to 1, at the lightness that it had."""
        return replace(
            self,
            top=_tint(self.top, tint, sky),
            middle=_tint(self.middle, tint, sky),
            horizon=_tint(self.horizon, tint, sky * 0.8),
            glow=_tint(self.glow, tint, sky * 0.5),
            far=_tint(self.far, tint, ground),
            near=_tint(self.near, tint, ground),
        )


def _tint(original: Colour, tint: Colour, share: float) -> Colour:
    target = scaled(tint, luminance(original) / max(1.0, luminance(tint)))
    return mix(original, target, share)


#                             top    middle horizon light  glow   far    near
SUNSET = Palette.of("1b2a62 6a4d72 d79a72 fff0cc ffb87a 806a82 12141f")
DAWN = Palette.of("41598c c391a6 ffd8b4 fff4dc ffcaa0 a393b4 232c48")
DAY = Palette.of("2f6db4 7db2de e6eff0 fffdf0 fff4d0 9fbccb 24483e", low_sun=False)
DUSK = Palette.of("141a48 56417c c77f98 ffe4d8 ff9fa0 6a5a8c 100f22")
NIGHT = Palette.of("070b22 122150 38497c f4f0dc 8fa8e0 2c3a66 060a14", dark=True)
STORM = Palette.of("2e3a46 5d6b76 a8b0b2 eef0ea c8ced0 7b888f 1b2429", low_sun=False)

_HOURS = {
    "sunset evening golden goldenhour autumn warm low": SUNSET,
    "dawn sunrise morning spring pastel misty mist": DAWN,
    "day daylight noon midday sunny bright summer blue clear calm winter snow snowy": DAY,
    "dusk twilight neon synthwave": DUSK,
    "night midnight moon moonlit moonlight star starry galaxy aurora dark": NIGHT,
    "storm stormy rain rainy fog foggy cloudy overcast grey gray gloomy": STORM,
}
HOUR_WORDS = (
    frozenset(" ".join(_HOURS).split())
    .union({"sky", "sun", "cloud"})
    .difference({"blue", "clear", "calm", "warm", "low", "bright", "dark", "grey", "gray", "golden", "pastel", "neon"})
)
"""What lets a landscape be painted even if no landscape is named."""
_STRONG = {"sunset", "dawn", "sunrise", "dusk", "twilight", "night", "midnight", "storm", "stormy", "noon"}

TINTS = {
    name: colour(value)
    for name, value in {
        "red": "d0402f", "crimson": "b81f3a", "scarlet": "d8362a", "orange": "f08a2c", "amber": "f2a732",
        "yellow": "f0cc3c", "gold": "dfae3a", "golden": "dfae3a", "green": "4f9e58", "emerald": "1f9d6a",
        "olive": "8a8f3c", "teal": "1f9a94", "turquoise": "2fc0bb", "cyan": "34bfd6", "blue": "3f7fd0",
        "azure": "4a9ee8", "navy": "22407f", "indigo": "4a3fa8", "violet": "8a55c8", "purple": "8a3fa6",
        "magenta": "c83f9c", "pink": "ee7fa8", "rose": "e0708c", "lavender": "a894d8", "brown": "8a5c3c",
        "sepia": "9a7a50", "silver": "aab2bc", "grey": "808890", "gray": "808890", "white": "e8ecf0", "black": "30343c",
    }.items()
}  # fmt: skip

SNOW = frozenset({"snow", "snowy", "winter", "snowfall", "ice", "icy", "arctic"})
_EVERYTHING = {"tone", "shade", "palette", "mood", "colour", "color", "style", "hue", "theme", "haze", "mist"}
_PREPOSITIONS = {"in", "on", "at", "by", "with", "over", "under", "of", "near", "behind", "before", "above"}
_SKY = {"sky", "light", "sun", "sunset", "sunrise", "dawn", "dusk", "night", "cloud", "aurora", "glow", "hour", "moon"}


def words_of(prompt: str) -> list[str]:
    """Return the words of `prompt` in order, in lower case, without a plural's ending."""
    return [singular(word) for word in re.findall(r"[^\W\d_]+", prompt.lower())]


_WITH_IE = {"prairies", "collies", "doggies"}


def singular(word: str) -> str:
    """Return `word` without a plural's ending."""
    if word.endswith("ies") and len(word) > 4 and word not in _WITH_IE:
        return word[:-3] + "y"
    if word.endswith(("xes", "sses", "ches", "shes")):
        return word[:-2]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


SPACE = frozenset(words_of("space planet nebula galaxy saturn jupiter mars cosmos cosmic universe astronaut spaceship"))


def palette_of(words: list[str], places: frozenset[str], rng: random.Random) -> Palette:
    """Return the palette that the `words` ask for; chance decides what they leave open.

    A colour belongs to the sky or to one of the `places` that it stands before, to everything at the very end, and
    otherwise to a thing (a red fox), which says nothing of the landscape.
    """
    chosen = _hour(words) or rng.choice((SUNSET, SUNSET, DAWN, DAY, DUSK))
    for at, word in enumerate(words):
        following = set(itertools.takewhile(lambda word: word not in _PREPOSITIONS, words[at + 1 : at + 4]))
        if word in TINTS and not (word == "golden" and "hour" in following):
            if following & _SKY:
                chosen = chosen.tinted(TINTS[word], 0.75, 0.2)
            elif following & (places | _EVERYTHING) or at == len(words) - 1:
                chosen = chosen.tinted(TINTS[word], 0.65 if following.isdisjoint(places) else 0.2, 0.75)
    return chosen.snowed() if SNOW.intersection(words) else chosen


def _hour(words: list[str]) -> Palette | None:
    found = [(word, hour) for word in words for names, hour in _HOURS.items() if word in names.split()]
    strong = [hour for word, hour in found if word in _STRONG]
    return next(iter(strong or [hour for _, hour in found]), None)
