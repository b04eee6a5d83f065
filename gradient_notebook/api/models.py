"""What is known of model families, as data: sizes, qualities, formats, tokens, retirement. Advice, not law.

Each fact has the date when it was looked up. None is needed for a request to go out: the service has the last word.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Generic, NamedTuple, TypeVar

# The documented id. Its maker has ended this model, so nothing else may depend on it.
DEFAULT_MODEL = "openai-gpt-image-1"
AUTO = "auto"
SIZE = re.compile(r"([1-9]\d{0,5})x([1-9]\d{0,5})", re.ASCII)
"""Width x height in pixels."""
PARTIAL_IMAGE_TOKENS = 100
"""Output tokens of one partial image, about."""
WARNING_DAYS = 30
"""How long before its end a model is said to end."""

T = TypeVar("T")
Names = tuple[str, ...]
Tokens = Mapping[str, Mapping[str, int]]


class Fact(NamedTuple, Generic[T]):
    """What is known, and the day when it was looked up."""

    value: T
    looked_up: str


_NONE: Fact[Names] = Fact((), "")
_NO_TOKENS: Fact[Tokens] = Fact({}, "")
_NO_END: Fact[dt.date | None] = Fact(None, "")


class Grid(NamedTuple):
    """The sizes that a family takes beside a list: edges in pixels, their ratio, and pixels in all."""

    step: int
    longest_edge: int
    largest_ratio: int
    fewest_pixels: int
    most_pixels: int

    def takes(self, width: int, height: int) -> bool:
        """Whether a size lies on the grid and within its bounds."""
        on_grid = width % self.step == 0 and height % self.step == 0
        fits = max(width, height) <= min(self.longest_edge, self.largest_ratio * min(width, height))
        return on_grid and fits and self.fewest_pixels <= width * height <= self.most_pixels

    def near(self, width: int, height: int) -> Iterator[tuple[int, int]]:
        """Yield for each width that it takes the heights on both sides of the shape that is asked for."""
        for one in range(self.step, self.longest_edge + 1, self.step):
            lowest = max(self.step, one / self.largest_ratio, self.fewest_pixels / one)
            highest = min(self.longest_edge, one * self.largest_ratio, self.most_pixels / one)
            low, high = math.ceil(lowest / self.step), math.floor(highest / self.step)
            if low <= high:
                exact = one * height / width / self.step
                yield from ((one, min(max(at, low), high) * self.step) for at in (math.floor(exact), math.ceil(exact)))

    def __str__(self) -> str:
        return (
            f"multiples of {self.step} up to {self.longest_edge:,}, up to {self.largest_ratio}:1, "
            f"{self.fewest_pixels:,} to {self.most_pixels:,} pixels"
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Family:
    """Models that take the same values."""

    name: str
    variants: str = ""
    """A regular expression for what may follow the name in an id."""
    sizes: Fact[Names]
    """All of them, or the usual ones where there is a grid."""
    grid: Fact[Grid] | None = None
    qualities: Fact[Names]
    formats: Fact[Names]
    whole_only: Fact[Names] = _NONE
    """Formats that are not streamed."""
    output_tokens: Fact[Tokens] = _NO_TOKENS
    """Of one image, by quality and size."""
    shutdown: Fact[dt.date | None] = _NO_END
    """The day on which the maker ends it."""

    @property
    def known(self) -> dict[str, Names]:
        """The values that are known, by parameter; those of `size` are examples where there is a grid."""
        return {"size": self.sizes.value, "quality": self.qualities.value, "output_format": self.formats.value}

    def takes(self, name: str, value: str) -> bool:
        """Whether the family is known to take a value; other parameters are the same for all families."""
        if name == "size" and self.grid and (size := SIZE.fullmatch(value)):
            return self.grid.value.takes(*map(int, size.groups()))
        return name not in self.known or value in self.known[name]

    def nearest_size(self, size: str) -> str:
        """Return the size, as WIDTHxHEIGHT, that the family takes and that is nearest to another in shape and pixels."""
        return _nearest(self, size)

    def tokens_of_one(self, quality: str, size: str) -> tuple[int, int] | None:
        """Return the least and the most output tokens of an image; None where they are not known."""
        table = self.output_tokens.value
        qualities = [one for one in self.qualities.value if one != AUTO] if quality == AUTO else [quality]
        if size == AUTO and self.grid:
            return None  # the service may choose any
        sizes = [one for one in self.sizes.value if one != AUTO] if size == AUTO else [size]
        counts = [table.get(q, {}).get(s) for q in qualities for s in sizes]
        known = [count for count in counts if count is not None]
        return (min(known), max(known)) if len(known) == len(counts) else None


@lru_cache(maxsize=256)
def _nearest(family: Family, size: str) -> str:
    """Return the size nearest to another: its shape counts for more than its pixels."""
    width, height = pixels(size)

    def far(one: tuple[int, int]) -> float:
        shape, area = one[0] / one[1], one[0] * one[1]
        return 3 * abs(math.log(shape * height / width)) + abs(math.log(area / (width * height)))

    fixed = (pixels(one) for one in family.sizes.value if one != AUTO)
    return "{}x{}".format(*min(family.grid.value.near(width, height) if family.grid else fixed, key=far))


def pixels(size: str) -> tuple[int, int]:
    """Return width and height of a size written as WIDTHxHEIGHT."""
    width, height = size.split("x")
    return int(width), int(height)


_READ = "2026-11-27"
_FIXED: Fact[Names] = Fact((AUTO, "1024x1024", "1536x1024", "1024x1536"), _READ)
_ANY: Fact[Names] = Fact((*_FIXED.value, "2048x2048", "2048x1152", "1152x2048", "3840x2160", "2160x3840"), _READ)
_GRID = Fact(Grid(step=16, longest_edge=3840, largest_ratio=3, fewest_pixels=655_360, most_pixels=8_294_400), _READ)
_QUALITIES: Fact[Names] = Fact((AUTO, "high", "medium", "low"), _READ)
_MORE_QUALITIES: Fact[Names] = Fact((AUTO, "max", "xhigh", "high", "medium", "low"), _READ)
_FORMATS: Fact[Names] = Fact(("png", "webp", "jpeg"), _READ)
_DATED = r"(-\d{4}-\d{2}-\d{2})?"

FAMILIES = (
    Family(
        name="gpt-image-1",
        variants=_DATED,
        sizes=_FIXED,
        qualities=_QUALITIES,
        formats=_FORMATS,
        output_tokens=Fact(
            {
                "low": {"1024x1024": 272, "1024x1536": 408, "1536x1024": 400},
                "medium": {"1024x1024": 1056, "1024x1536": 1584, "1536x1024": 1568},
                "high": {"1024x1024": 4160, "1024x1536": 6240, "1536x1024": 6208},
            },
            _READ,
        ),
        shutdown=Fact(dt.date(2026, 10, 23), _READ),
    ),
    *(
        Family(
            name=name,
            variants=_DATED,
            sizes=_FIXED,
            qualities=_QUALITIES,
            formats=_FORMATS,
            shutdown=Fact(dt.date(2026, 12, 1), _READ),
        )
        for name in ("gpt-image-1.5", "gpt-image-1-mini")
    ),
    Family(
        name="gpt-image-2",
        variants=_DATED,
        sizes=_ANY,
        grid=_GRID,
        qualities=_QUALITIES,
        formats=_FORMATS,
        output_tokens=Fact({"high": {"1024x1024": 7024, "1536x1024": 5488}}, _READ),
    ),
    Family(
        name="gpt-image-2.5", variants="(-.+)?", sizes=_ANY, grid=_GRID, qualities=_MORE_QUALITIES, formats=_FORMATS
    ),
    Family(
        name="gpt-image-2.6",
        variants="(-.+)?",
        sizes=_ANY,
        grid=_GRID,
        qualities=_MORE_QUALITIES,
        formats=Fact((*_FORMATS.value, "gif", "svg"), _READ),
        whole_only=Fact(("gif", "svg"), _READ),
    ),
)


def family_of(model: str) -> Family | None:
    """Return the family of a model's id, with the provider's `openai-` or without; None where it is not known."""
    bare = re.sub(r"^openai[-/]", "", model.lower())
    return next((one for one in FAMILIES if re.fullmatch(re.escape(one.name) + one.variants, bare)), None)


def known_values(name: str) -> tuple[str, ...]:
    """Return the values of a parameter that any family takes."""
    lists = sorted(
        (family.known[name] for family in FAMILIES), key=len, reverse=True
    )  # the longest has the order of all
    return tuple(dict.fromkeys(value for values in lists for value in values))
