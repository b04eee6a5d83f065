"""The painter: pictures that depend on the prompt, repeat themselves, and have the weight of real ones."""

from __future__ import annotations

import io
import itertools
import random

import pytest
from PIL import Image, ImageChops, ImageStat

from gradient_notebook.simulator.painter.painting import Painting

SMALL = (384, 256)
PROMPTS = (
    "A low sun over blue hills, film grain",
    "Snowy mountains at night",
    "A misty pine forest",
    "Desert dunes at golden hour",
    "City skyline by the river at dusk",
    "A ringed planet in deep space",
    "A cute baby sea otter floating on its back in calm blue water",
    "A black cat looking at the moon",
    "A field of poppies and sunflowers",
    "A lonely tree, a cabin and hot air balloons in winter",
    "A boat on the ocean, aurora and clouds",
    "nothing that anybody could draw",
    "日本の庭 🦦",
)


def distance(first: Image.Image, second: Image.Image) -> float:
    """Return the mean difference of two pictures in grey levels, over all channels."""
    difference = ImageStat.Stat(ImageChops.difference(first, second)).mean
    return sum(difference) / len(difference)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_every_prompt_paints_a_picture_with_something_in_it(prompt: str) -> None:
    """Every prompt gives a picture of the asked size in which light and shade differ."""
    image = Painting(prompt, size=SMALL).image()
    assert (image.size, image.mode) == (SMALL, "RGB")
    assert ImageStat.Stat(image.convert("L")).stddev[0] > 10


def test_the_same_arguments_paint_the_same_file() -> None:
    """A painting is a function of its arguments, to the byte, whatever else has drawn random numbers."""
    first = Painting(PROMPTS[0], size=SMALL, seed="1").encoded("png")
    random.seed(5)
    assert Painting(PROMPTS[0], size=SMALL, seed="1").encoded("png") == first


def test_prompt_and_seed_change_the_picture() -> None:
    """Another prompt or another seed is another picture, not another grain."""
    images = [Painting(prompt, size=SMALL, seed=seed).image() for prompt in PROMPTS[:2] for seed in "ab"]
    assert all(distance(first, second) > 4 for first, second in itertools.combinations(images, 2))


def test_colour_words_colour_what_they_stand_before() -> None:
    """The ground of `red hills` is redder than that of `blue hills`; a red thing leaves the ground alone."""

    def redness(prompt: str) -> float:
        image = Painting(prompt, size=SMALL).image()
        red, _, blue = ImageStat.Stat(image.crop((0, 160, 384, 220))).mean
        return red - blue

    assert redness("red hills at noon") > redness("a red fox in hills at noon") + 20
    assert redness("a red fox in hills at noon") > redness("blue hills at noon")


def test_partial_images_come_closer_to_the_finished_one() -> None:
    """Each sketch has the full size and is nearer to the finished picture than the one before it."""
    painting = Painting(PROMPTS[6], size=(768, 512))
    sketches = [painting.image(sharpness) for sharpness in (0.25, 0.5, 0.75, 1)]
    distances = [distance(sketch, sketches[-1]) for sketch in sketches]
    assert {sketch.size for sketch in sketches} == {(768, 512)}
    assert distances == sorted(distances, reverse=True)
    assert len(set(distances)) == 4


@pytest.mark.parametrize("prompt", [PROMPTS[0], PROMPTS[11]])
def test_files_have_the_weight_of_real_ones(prompt: str) -> None:
    """A PNG of 1536x1024 has 2 to 3 MB, whatever it shows, and so has its coarsest sketch."""
    painting = Painting(prompt, size=(1536, 1024))
    assert 2e6 < len(painting.encoded("png")) < 3e6
    assert 2e6 < len(painting.encoded("png", sharpness=0.25)) < 3e6


@pytest.mark.parametrize("file_format", ["png", "webp", "jpeg"])
def test_the_file_says_that_it_is_simulated(file_format: str) -> None:
    """Pillow reads the format that was asked for, and finds the simulator and the prompt in the file."""
    with Image.open(io.BytesIO(Painting(PROMPTS[0], size=SMALL).encoded(file_format))) as image:
        assert image.format == file_format.upper()
        text = {"png": image.info.get("simulated"), "jpeg": image.info.get("comment")}.get(file_format)
        text = text or image.getexif()[0x010E]
    assert f"gradient_notebook simulator: {PROMPTS[0]}" == (text.decode() if isinstance(text, bytes) else text)


def test_a_prompt_of_any_length_and_alphabet_can_be_saved() -> None:
    """The longest prompt in the widest alphabet still makes a file of each format."""
    painting = Painting("🦦" * 32_000, size=SMALL)
    for file_format in ("png", "webp", "jpeg"):
        with Image.open(io.BytesIO(painting.encoded(file_format))) as image:
            assert image.size == SMALL


def test_the_picture_says_that_it_is_simulated() -> None:
    """There is a mark in the lower right corner: the same light letters whatever lies behind them."""
    corners = [
        Painting(prompt, size=(1024, 1024)).image().convert("L").crop((850, 970, 1000, 1005)).point(_letters)
        for prompt in ("hills at night", "desert at sunset")
    ]
    light = [ImageStat.Stat(corner).mean[0] for corner in corners]
    in_both = ImageStat.Stat(ImageChops.darker(*corners)).mean[0]
    assert 8 < min(light) <= max(light) < 60
    assert in_both > 0.6 * max(light)


def _letters(grey: int) -> int:
    return 255 if grey > 170 else 0


def test_transparent_pictures_have_a_subject_on_nothing() -> None:
    """A transparent picture is clear at its corners and solid in its middle, as PNG and as WebP."""
    painting = Painting(PROMPTS[0], size=SMALL, transparent=True)
    for file_format in ("png", "webp"):
        with Image.open(io.BytesIO(painting.encoded(file_format))) as image:
            alpha = image.getchannel("A")
            assert (alpha.getpixel((0, 0)), alpha.getpixel((192, 128))) == (0, 255)


@pytest.mark.parametrize("file_format", ["webp", "jpeg"])
def test_compression_is_a_quality_in_percent(file_format: str) -> None:
    """More percent make a larger file; nothing said is 90."""
    painting = Painting(PROMPTS[0], size=SMALL)
    sizes = [len(painting.encoded(file_format, percent)) for percent in (0, 40, 90, 100)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1] / 2
    assert len(painting.encoded(file_format)) == sizes[2]


def test_lower_quality_is_less_sharp() -> None:
    """Low quality has softer edges than high quality of the same picture."""
    pictures = [Painting(PROMPTS[0], size=SMALL, quality=quality) for quality in ("low", "medium", "high")]
    edges = [
        ImageStat.Stat(ImageChops.difference(p._picture, ImageChops.offset(p._picture, 1, 0))).sum for p in pictures
    ]
    assert edges[0] < edges[1] < edges[2]
