"""Recipes: the settings inside of an image's file; no pixel is touched, no key is in it, and nothing in one is trusted."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from gradient_notebook import GradientNotebookError, ImageGenerateParams, InvalidRequestError, read_recipe, sweep
from gradient_notebook.recipes import KEYWORD, with_recipe
from gradient_notebook.simulator import Simulator

PARAMS = ImageGenerateParams.of(
    {
        "prompt": "Ein Fuchs, „rot“ 🦊\nund <b>",
        "quality": "low",
        "size": "1024x1024",
        "user": "ann",
        "extra": {"seed": 7},
    }
)


def encoded(kind: str, mode: str = "RGB", **how: Any) -> bytes:
    image = Image.radial_gradient("L").resize((33, 21)).convert(mode)
    if mode == "RGBA":
        image.putalpha(Image.linear_gradient("L").resize((33, 21)))
    buffer = BytesIO()
    image.save(buffer, kind, **how)
    return buffer.getvalue()


def exif() -> Image.Exif:
    found = Image.Exif()
    found[0x010E] = "A description"
    found.get_ifd(0x8769)[0x9286] = b"ASCII\0\0\0another comment"
    return found


FILES = {
    "png": encoded("PNG"),
    "png with alpha": encoded("PNG", "RGBA"),
    "jpeg": encoded("JPEG"),
    "progressive jpeg": encoded("JPEG", progressive=True, exif=exif().tobytes()),
    "webp": encoded("WEBP"),
    "lossless webp with alpha": encoded("WEBP", "RGBA", lossless=True),
    "lossy webp with alpha": encoded("WEBP", "RGBA"),
    "webp with exif": encoded("WEBP", exif=exif().tobytes()),
}


@pytest.mark.parametrize("data", FILES.values(), ids=FILES)
def test_a_copy_has_the_same_pixels_and_the_settings(data: bytes, tmp_path: Path) -> None:
    """Whatever the format; by its path and as an image, and also when it is written again."""
    copy = with_recipe(data, PARAMS)
    before, after = Image.open(BytesIO(data)), Image.open(BytesIO(copy))
    assert (after.mode, after.size, after.tobytes()) == (before.mode, before.size, before.tobytes())
    path = tmp_path / "copy"
    path.write_bytes(copy)
    wanted = ImageGenerateParams.of({name: value for name, value in PARAMS.given().items() if name != "user"})
    assert read_recipe(path) == read_recipe(str(path)) == read_recipe(after) == wanted
    assert b"ann" not in copy
    again = ImageGenerateParams.of({"prompt": "An otter"})
    path.write_bytes(with_recipe(copy, again))
    assert read_recipe(path) == again
    after = Image.open(BytesIO(path.read_bytes()))
    assert after.getexif().get(0x010E) == before.getexif().get(0x010E)


def test_a_sweep_saves_copies_beside_untouched_originals(configured: Simulator) -> None:
    """Each with the settings of its cell."""
    study = sweep("A fox in {{style}}", style=["ink", "oil"], quality="low", output_format=["png", "webp"]).result()
    saved = study.save("study", recipes=True)
    assert [path.read_bytes() for path in saved.images] == [cell.bytes for cell in study]
    copies = [saved.folder / "recipes" / path.name for path in saved.images]
    assert [read_recipe(path) for path in copies] == [cell.params for cell in study]
    with pytest.raises(GradientNotebookError, match="no recipe in this image"):
        read_recipe(saved.images[0])


@pytest.mark.parametrize("secret", ["sk-do-abcdefgh12345678", "dop_v1_" + "a" * 64])
def test_a_key_is_not_written(secret: str) -> None:
    """Wherever it stands; a word that only looks a little like one is."""
    for values in ({"prompt": f"a {secret}"}, {"prompt": "a", "extra": {"token": secret}}):
        with pytest.raises(InvalidRequestError, match="looks like a key"):
            with_recipe(FILES["png"], ImageGenerateParams.of(values))
    assert with_recipe(FILES["png"], ImageGenerateParams.of({"prompt": "a task-do-list on a wall"}))


def test_what_has_no_room_or_no_place_is_refused() -> None:
    """A format without one, and settings that are too long."""
    with pytest.raises(InvalidRequestError, match="gif holds no recipe"):
        with_recipe(encoded("GIF", "P"), PARAMS)
    with pytest.raises(InvalidRequestError, match="too long"):
        with_recipe(FILES["jpeg"], ImageGenerateParams.of({"prompt": "a", "extra": {"x": "y" * 50_000}}))


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_a_broken_file_has_no_copy(kind: str) -> None:
    """It says so, in words of ours."""
    for at in range(13, 60, 7):
        with pytest.raises(GradientNotebookError):
            with_recipe(FILES[kind][:at], PARAMS)


def png_with(text: str) -> Image.Image:
    chunks = PngImagePlugin.PngInfo()
    chunks.add_text(KEYWORD, text)
    return Image.open(BytesIO(encoded("PNG", pnginfo=chunks)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        "null",
        '{"params": []}',
        '{"params": {}}',
        '{"params": {"prompt": 7}}',
        '{"params": {"prompt": ""}}',
        '{"params": {"prompt": "a", "n": 1000000}}',
        '{"params": {"prompt": "a", "n": NaN}}',
        '{"params": {"prompt": "a", "api_key": "x"}}',
        '{"params": {"prompt": "a", "__class__": "x"}}',
        '{"params": {"prompt": "a", "extra": ' + "[" * 10_000 + "]" * 10_000 + "}}",
        '{"params": {"prompt": "a", "n": ' + "9" * 10_000 + "}}",
        '{"params": {"prompt": "' + "a" * 100_000 + '"}}',
        '{"params": {"prompt": "a", "size": "\\u001b[31mred"}}',
    ],
)
def test_a_recipe_that_is_none_is_an_error_in_words(text: str) -> None:
    """Of one or two lines, with nothing in it that controls a terminal."""
    with pytest.raises((GradientNotebookError, InvalidRequestError)) as caught:
        read_recipe(png_with(text))
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_what_can_be_sent_is_read() -> None:
    """Also what other versions add beside the settings."""
    text = json.dumps({"version": 9, "more": 1, "params": {"prompt": "a", "n": 2}})
    assert read_recipe(png_with(text)) == ImageGenerateParams.of({"prompt": "a", "n": 2})


@pytest.mark.parametrize("source", [7, None, b"bytes", "missing.png", "~nobody-there/x.png", "/dev/zero", "."])
def test_what_is_no_image_is_told(source: Any) -> None:
    """A file that never ends is not read."""
    with pytest.raises(GradientNotebookError):
        read_recipe(source)


def test_a_file_that_is_no_image_is_named(tmp_path: Path) -> None:
    """It is no answer of the service: nothing of it may have been billed."""
    (tmp_path / "broken.png").write_bytes(FILES["png"][:100])
    with pytest.raises(GradientNotebookError, match=r"The image in .*broken\.png cannot be opened") as caught:
        read_recipe(tmp_path / "broken.png")
    assert "billed" not in str(caught.value)


@given(data=st.sampled_from(list(FILES.values())), at=st.integers(0, 2_000), byte=st.integers(0, 255))
def test_a_damaged_file_is_read_or_told(data: bytes, at: int, byte: int) -> None:
    """Nothing but our own errors comes out of it."""
    copy = bytearray(with_recipe(data, PARAMS))
    copy[at % len(copy)] = byte
    path = Path("damaged")
    path.write_bytes(copy)
    try:
        read_recipe(path)
    except GradientNotebookError:
        return
