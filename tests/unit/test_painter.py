"""The painter: pictures that depend on the prompt, repeat themselves, and have the weight of real ones."""

from __future__ import annotations

import io
import itertools
import random

import pytest
from PIL import Image, ImageChops, ImageFilter, ImageStat

from gradient_notebook.simulator.painter.canvas import Canvas
from gradient_notebook.simulator.painter.painting import Painting
from gradient_notebook.simulator.painter.scenes import paint_scene
from gradient_notebook.simulator.painter.stage import cast_of

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
    "Two foxes and a robot in front of a castle in the snow at night",
    "A puppy on the moon",
    "A field of poppies and sunflowers",
    "A lonely tree, a cabin and hot air balloons in winter",
    "A boat on the ocean, aurora and clouds",
    "A lighthouse on a rock, storm coming",
    "Three owls in the snow at night",
    "A cat and an owl in a pine forest in winter",
    "An owl and a lighthouse in hills",
    "nothing that anybody could draw",
    "日本の庭 🦦",
)


Image.init()
FORMATS = [name for name in ("png", "webp", "jpeg", "gif", "avif") if name.upper() in Image.SAVE]


def distance(first: Image.Image, second: Image.Image) -> float:
    """Return the mean difference of two pictures in grey levels, over all channels."""
    difference = ImageStat.Stat(ImageChops.difference(first, second)).mean
    return sum(difference) / len(difference)


def painted(prompt: str, size: tuple[int, int] = SMALL) -> Image.Image:
    """Return what `prompt` paints where chance is the same for every prompt, without grain and mark."""
    canvas = Canvas(size, random.Random(4))
    paint_scene(canvas, prompt)
    return canvas.image


def middle(image: Image.Image) -> Image.Image:
    """Return the part of a picture that one looks at."""
    width, height = image.size
    return image.crop((width // 6, height // 3, width - width // 6, height - height // 20))


@pytest.mark.parametrize("prompt", PROMPTS)
def test_every_prompt_paints_a_picture_with_something_in_it(prompt: str) -> None:
    """Every prompt gives a picture of the asked size in which light and shade differ."""
    image = Painting(prompt, size=SMALL).image()
    assert (image.size, image.mode) == (SMALL, "RGB")
    assert ImageStat.Stat(image.convert("L")).stddev[0] > 10


SIZES = ((384, 256), (256, 256), (256, 384), (384, 216), (216, 384), (96, 64))
"""Every ratio that the families have, and a thumbnail."""
SUBJECTS = ("fox", "dog", "cat", "robot", "owl", "castle", "lighthouse")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("subject", SUBJECTS)
def test_what_a_prompt_names_stands_in_the_middle(subject: str, size: tuple[int, int]) -> None:
    """In a picture of any shape, the same landscape has something in its middle that was not there, and only there."""
    without, image = painted("hills at noon", size), painted(f"a {subject} in hills at noon", size)
    sky = (0, 0, size[0], size[1] // 8)
    assert distance(without.crop(sky), image.crop(sky)) == 0
    assert distance(middle(without), middle(image)) > 9


def test_no_two_subjects_look_alike() -> None:
    """Each subject is another figure, not the same one by another name."""
    images = [middle(painted(f"a grey {subject} in hills at noon")) for subject in SUBJECTS]
    assert all(distance(first, second) > 6 for first, second in itertools.combinations(images, 2))


@pytest.mark.parametrize(
    ("prompt", "cast"),
    [
        ("A vixen", "fox"),
        ("a red fox and a robot in front of a castle", "fox robot"),
        ("two kittens, a puppy", "cat cat dog"),
        ("Foxes in the snow", "fox fox"),
        ("3 androids and the huskies", "robot robot robot dog dog"),
        ("a puppy dog", "dog"),
        ("9 dogs", "dog dog dog dog dog"),
        ("1000 cats", "cat cat"),
        ("two castles and a fox", "fox"),
        ("three small red foxes", "fox fox fox"),
        ("two trees by a dog", "dog"),
        ("two barn owls and an owlet", "owl owl owl"),
        ("a fowl, an owlish growl", ""),
        ("foxgloves, a catalog, hot dogma", ""),
    ],
)
def test_the_words_say_who_stands_there_and_how_many(prompt: str, cast: str) -> None:
    """Other words for the same, plurals and numbers are understood; what only begins alike is not; five are enough."""
    assert " ".join(member.kind.paint.__name__ for member in cast_of(prompt)) == cast


def test_several_stand_beside_each_other() -> None:
    """The second of two changes the other half of the picture, and the castle behind them stays in sight."""
    halves = (0, 85, 192, 240), (192, 85, 384, 240)
    landscape, both = painted("hills at noon"), painted("a fox and a robot in hills at noon")
    with_castle = painted("a fox and a robot in front of a castle in hills at noon")
    assert all(distance(landscape.crop(half), both.crop(half)) > 12 for half in halves)
    between = (170, 75, 214, 165)
    assert distance(both.crop(between), with_castle.crop(between)) > 20


def test_colour_words_colour_who_they_stand_before() -> None:
    """A white dog is lighter than a black one, and a blue robot bluer than a red one; the other one keeps its color."""

    def tones(prompt: str) -> list[float]:
        return ImageStat.Stat(painted(prompt).crop((120, 120, 280, 240))).mean

    assert sum(tones("a white dog in hills at noon")) > sum(tones("a black dog in hills at noon")) + 60
    blue, red = tones("a blue robot in hills at noon"), tones("a red robot in hills at noon")
    assert blue[2] - blue[0] > red[2] - red[0] + 15
    assert [m.colour == cast_of("a fox")[0].colour for m in cast_of("a black cat, a fox")] == [False, True]


def test_a_castle_is_lit_at_night() -> None:
    """The windows of the towers glow at night and not at noon."""

    def glowing(hour: str) -> int:
        _, green, blue = painted(f"a castle, {hour}").crop((60, 60, 324, 145)).split()  # above the gate
        return sum(ImageChops.subtract(green, blue).histogram()[35:])

    assert glowing("night") > 40
    assert glowing("noon") < 10


def test_a_lighthouse_sends_its_light_when_it_is_dark() -> None:
    """On either side of the lantern the sky is lighter than without a lighthouse: at night, less at dusk, not at noon."""

    def added(hour: str) -> float:
        sky = (0, 20, 384, 90)
        bare, image = (painted(f"{subject} sea at {hour}").crop(sky) for subject in ("the", "a lighthouse in the"))
        lighter = ImageChops.subtract(image, bare).convert("L")
        return min(ImageStat.Stat(lighter.crop(half)).mean[0] for half in ((0, 0, 60, 70), (324, 0, 384, 70)))

    assert added("night") > added("dusk") > 1
    assert added("noon") == 0


def test_a_lighthouse_is_mirrored_in_the_sea() -> None:
    """The water below its rock shows the tower, red as it is; a lighthouse in the hills has no sea to stand in."""

    def red(prompt: str) -> int:
        tones, green, _ = painted(prompt).crop((0, 205, 384, 256)).split()
        return sum(ImageChops.subtract(tones, green).histogram()[8:])

    assert red("a lighthouse by the sea at noon") > 30
    assert red("the sea at noon") == red("a lighthouse in hills at noon") == 0


@pytest.mark.parametrize("other", ["fox", "boat"])
def test_what_is_named_first_is_in_front(other: str) -> None:
    """A lighthouse that is named first is high; one that somebody else is named before is small and far away."""
    high = (0, 25, 384, 70)
    without = painted(f"a {other} by the sea at noon").crop(high)

    def tower(prompt: str) -> int:
        difference = ImageChops.difference(without, painted(f"{prompt} by the sea at noon").crop(high))
        return sum(difference.convert("L").histogram()[40:])

    assert tower(f"a lighthouse and a {other}") > 300
    assert tower(f"a {other} and a lighthouse") < 30


def test_from_where_it_is_seen_is_not_in_the_picture() -> None:
    """A lighthouse `seen from a ship` has no ship beside it, but a lighthouse with a ship has."""
    alone = painted("a lighthouse at noon")
    assert distance(alone, painted("a lighthouse at noon, seen from the old ships")) == 0
    assert distance(alone, painted("a lighthouse at noon, with the old ships")) > 0.3


@pytest.mark.parametrize("word", ["lighthouses", "beacon", "pharos"])
def test_other_words_for_a_lighthouse_paint_one(word: str) -> None:
    """Plurals and synonyms paint the same."""
    assert distance(painted(f"the {word} at night"), painted("the lighthouse at night")) == 0


@pytest.mark.parametrize("owls", ["an owl", "two owls", "5 owls"])
def test_owls_share_a_branch_that_reaches_the_edge(owls: str) -> None:
    """Owls alone, however many, sit on a branch from one edge of the picture, and nothing is on the ground."""
    landscape, image = painted("hills at noon"), painted(f"{owls} in hills at noon")
    edges, ground = ((0, 150, 6, 240), (378, 150, 384, 240)), (0, 250, 384, 256)
    assert max(distance(landscape.crop(edge), image.crop(edge)) for edge in edges) > 3
    assert distance(landscape.crop(ground), image.crop(ground)) < 3


@pytest.mark.parametrize(("one", "many"), [("city", "cities"), ("fortress", "fortresses"), ("beach", "beaches")])
def test_a_plural_is_the_same_word(one: str, many: str) -> None:
    """What a word paints, its plural paints as well."""
    assert distance(painted(f"the {one} at night"), painted(f"the {many} at night")) == 0


@pytest.mark.parametrize("prompt", [PROMPTS[0], PROMPTS[8]])
@pytest.mark.parametrize("quality", ["low", "max"])
def test_the_same_arguments_paint_the_same_file(prompt: str, quality: str) -> None:
    """A painting is a function of its arguments, to the byte, whatever else has drawn random numbers."""
    random.seed(4)
    first = Painting(prompt, size=SMALL, seed="1", quality=quality).encoded("png")
    random.seed(5)
    assert Painting(prompt, size=SMALL, seed="1", quality=quality).encoded("png") == first


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


@pytest.mark.parametrize("file_format", FORMATS)
def test_the_file_says_that_it_is_simulated(file_format: str) -> None:
    """Pillow reads the format that was asked for, and finds the simulator and the prompt in the file."""
    with Image.open(io.BytesIO(Painting(PROMPTS[0], size=SMALL).encoded(file_format))) as image:
        assert image.format == file_format.upper()
        comments = {"png": "simulated", "jpeg": "comment", "gif": "comment"}
        text = image.info[comments[file_format]] if file_format in comments else image.getexif()[0x010E]
    assert f"gradient_notebook simulator: {PROMPTS[0]}" == (text.decode() if isinstance(text, bytes) else text)


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_prompt_of_any_length_and_alphabet_can_be_saved(file_format: str) -> None:
    """The longest prompt in the widest alphabet still makes a file of each format."""
    data = Painting("🦦" * 32_000, size=SMALL).encoded(file_format)
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == SMALL


def test_a_gif_looks_like_the_picture() -> None:
    """256 colors are close enough to all of them, and the mark is in it."""
    painting = Painting(PROMPTS[8], size=(768, 512))
    with Image.open(io.BytesIO(painting.encoded("gif"))) as image:
        assert image.mode == "P"
        found = image.convert("RGB")
    assert distance(found, painting.image()) < 8
    mark = (680, 490, 760, 508)
    assert distance(found.crop(mark), painting.image().crop(mark)) < 10


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
    """A transparent picture is clear at its corners and solid in its middle, as PNG, WebP and GIF."""
    painting = Painting(PROMPTS[0], size=SMALL, transparent=True)
    for file_format in ("png", "webp", "gif"):
        with Image.open(io.BytesIO(painting.encoded(file_format))) as image:
            alpha = image.convert("RGBA").getchannel("A")
            assert (alpha.getpixel((0, 0)), alpha.getpixel((192, 128))) == (0, 255)


@pytest.mark.parametrize("file_format", [name for name in FORMATS if name not in {"png", "gif"}])
def test_compression_is_a_quality_in_percent(file_format: str) -> None:
    """More percent make a larger file; nothing said is 90."""
    painting = Painting(PROMPTS[0], size=SMALL)
    sizes = [len(painting.encoded(file_format, percent)) for percent in (0, 40, 90, 100)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1] / 2
    assert len(painting.encoded(file_format)) == sizes[2]


QUALITIES = ("low", "medium", "high", "xhigh", "max")


@pytest.mark.parametrize(
    ("prompt", "size"),
    [(PROMPTS[0], SMALL), (PROMPTS[4], SMALL), (PROMPTS[8], SMALL), ("a dog", (540, 960))],
)
def test_each_quality_is_sharper_than_the_one_below(prompt: str, size: tuple[int, int]) -> None:
    """A little blur takes more from a picture of a better quality."""
    pictures = [Painting(prompt, size=size, quality=quality)._picture for quality in QUALITIES]
    lost = [
        sum(ImageStat.Stat(ImageChops.difference(picture, picture.filter(ImageFilter.GaussianBlur(1)))).rms)
        for picture in pictures
    ]
    assert lost == sorted(lost)
    assert len(set(lost)) == len(lost)
    assert lost[0] < lost[2] / 1.8


@pytest.mark.parametrize("prompt", [PROMPTS[0], PROMPTS[4], PROMPTS[8]])
def test_low_and_high_quality_differ_at_a_glance(prompt: str) -> None:
    """A preview of 240 pixels shows which one is which, and still the same picture."""
    low, high = (
        Painting(prompt, size=(768, 512), quality=quality).image().resize((240, 160), Image.Resampling.BOX)
        for quality in ("low", "high")
    )
    assert 2.5 < distance(low, high) < 14


def test_an_unknown_quality_is_high() -> None:
    """A name that the painter has never heard of paints what `high` does."""
    files = [Painting(PROMPTS[8], size=SMALL, quality=quality).encoded("png") for quality in ("hd", "high")]
    assert files[0] == files[1]
