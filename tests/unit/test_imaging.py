"""Previews: small, of one kind, faithful enough."""

from __future__ import annotations

import contextlib
import functools
import io
import struct
import tracemalloc
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, features

from gradient_notebook import imaging
from gradient_notebook.api import bounds
from gradient_notebook.api.errors import InvalidResponseError
from gradient_notebook.api.images import extension
from gradient_notebook.imaging import SHOWN_HEIGHT, SHOWN_WIDTH, contact_sheet, open_image, preview, tiling

from .examples import of_full


def picture(size: tuple[int, int] = (1536, 1024), mode: str = "RGB", color: Any = (200, 40, 40)) -> Image.Image:
    return Image.new(mode, size, color)


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("size", "px", "shown"),
    [
        ((1536, 1024), 768, (768, 512)),
        ((1024, 1536), 768, (512, 768)),
        ((1024, 1024), 768, (768, 768)),
        ((300, 200), 768, (300, 200)),
    ],
)
def test_the_long_edge_is_bounded(size: tuple[int, int], px: int, shown: tuple[int, int]) -> None:
    """Width x height keep their ratio; a small picture stays as it is."""
    small = preview(picture(size), px)
    assert (small.width, small.height) == shown
    assert open_image(small.data).size == shown


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "CMYK", "RGBA", "LA"])
def test_an_opaque_picture_is_a_jpeg(mode: str) -> None:
    """Whatever its mode, an opaque picture becomes one JPEG."""
    image = picture().convert(mode) if mode != "LA" else picture(mode="LA", color=(9, 255))
    assert preview(image).mime == "image/jpeg"


def test_a_transparent_picture_stays_transparent() -> None:
    """A picture with transparency is a PNG that has it."""
    small = preview(picture(mode="RGBA", color=(200, 40, 40, 0)))
    assert small.mime == "image/png"
    assert open_image(small.data).convert("RGBA").getpixel((5, 5))[3] == 0


@pytest.mark.parametrize(
    ("count", "shape", "grid", "whole"),
    [
        (1, 1.5, (1, 1), (720, 480)),
        (1, 1.0, (1, 1), (480, 480)),
        (1, 2 / 3, (1, 1), (320, 480)),
        (2, 1.0, (2, 1), (960, 478)),
        (3, 2 / 3, (3, 1), (959, 476)),
        (4, 1.0, (2, 2), (480, 480)),
        (5, 1.0, (3, 2), (722, 480)),
        (10, 1.0, (5, 2), (961, 382)),
    ],
)
def test_images_together_are_as_large_as_they_can_be(
    count: int, shape: float, grid: tuple[int, int], whole: tuple[int, int]
) -> None:
    """480 pixels high alone, whatever their shape; several fill that and a width of 960, with few places empty."""
    tiles = tiling(count, shape)
    assert (tiles.columns, tiles.lines) == grid
    assert all(abs(a - b) <= 3 for a, b in zip(tiles.whole, whole, strict=True)), tiles.whole


@given(st.integers(1, 10), st.floats(1 / 3, 3))
def test_every_image_has_a_place(count: int, shape: float) -> None:
    """And no line is empty; nothing is higher than one alone, nor several wider than they may be."""
    tiles = tiling(count, shape)
    assert (tiles.lines - 1) * tiles.columns < count <= tiles.lines * tiles.columns
    assert tiles.whole[1] <= SHOWN_HEIGHT + 1
    assert count == 1 or tiles.whole[0] <= SHOWN_WIDTH + tiles.columns


def test_a_contact_sheet_shows_every_picture_in_a_tile_of_one_size() -> None:
    """Five pictures are rows of three and two, each in its place."""
    colors = [(250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 0), (0, 250, 250)]
    sheet = open_image(contact_sheet([picture(color=color) for color in colors]).data)
    tiles = tiling(5, picture().width / picture().height)
    assert sheet.size == tiles.whole
    for index, color in enumerate(colors):
        line, column = divmod(index, tiles.columns)
        place = (column * (tiles.width + 4) + tiles.width // 2, line * (tiles.height + 4) + tiles.height // 2)
        assert all(abs(a - b) < 30 for a, b in zip(sheet.getpixel(place), color, strict=True))


@pytest.mark.parametrize("data", [b"", b"not an image", encoded(picture())[:-5000], encoded(picture())[:100]])
def test_what_is_no_whole_image_is_said_to_be(data: bytes) -> None:
    """Bytes that are no image, or not all of one, raise our error and say how they begin."""
    with pytest.raises(InvalidResponseError, match="in the response cannot be opened"):
        open_image(data)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *chunks: bytes) -> bytes:
    """Return a PNG with these chunks before its picture, which is black."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    lines = zlib.compress(bytes((3 * min(width, 64) + 1) * min(height, 64)))
    return b"".join([b"\x89PNG\r\n\x1a\n", header, *chunks, chunk(b"IDAT", lines), chunk(b"IEND", b"")])


def webp(kind: bytes, width: int, height: int) -> bytes:
    """Return the beginning of a WebP file that says this size."""
    body = {
        b"VP8X": bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little"),
        b"VP8L": b"\x2f" + (width - 1 | height - 1 << 14).to_bytes(4, "little"),
        b"VP8 ": b"\x10\0\0\x9d\x01\x2a" + width.to_bytes(2, "little") + height.to_bytes(2, "little"),
    }[kind]
    body = kind + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body + bytes(64)


def jpeg(width: int, height: int) -> bytes:
    """Return a JPEG that says this size."""
    data = encoded(picture((8, 8)), "JPEG")
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def animated(kind: str) -> bytes:
    buffer = io.BytesIO()
    picture((9, 9)).save(buffer, kind, save_all=True, append_images=[picture((9, 9), color=(0, 9, 9))])
    return buffer.getvalue()


def refused(data: bytes) -> str:
    with pytest.raises(InvalidResponseError, match="in the response cannot be opened") as caught:
        open_image(data)
    assert f"({len(data):,} bytes)" in caught.value.summary
    return caught.value.hint


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", *(["AVIF"] if features.check("avif") else [])])
def test_each_of_the_formats_is_opened(kind: str) -> None:
    """Whichever was asked for, what came is paid for, and its file is named for what it is."""
    assert extension(encoded(picture((16, 16)), kind)) == f".{kind.lower()}"
    assert (open_image(encoded(picture(), kind)).format, open_image(png(64, 64)).size) == (kind, (64, 64))


@pytest.mark.parametrize("kind", ["BMP", "TIFF", "EPS", "PPM", "ICO"])
def test_no_other_format_is_opened(kind: str) -> None:
    """Decoders that no service needs are not given what a service sends."""
    assert refused(encoded(picture((16, 16)), kind)) == "Reason: it is none of PNG, JPEG, WebP, GIF and AVIF."


@pytest.mark.parametrize("name", ["png", "jpeg", "VP8X", "VP8L", "VP8 "])
def test_too_many_pixels_are_refused_before_they_are_decoded(name: str) -> None:
    """The size is told, and neither memory nor a warning of Pillow's is spent on it."""
    make = {"png": png, "jpeg": jpeg}.get(name, functools.partial(webp, name.encode()))
    tracemalloc.start()
    advice = refused(make(10_001, 10_000))  # where Pillow warns
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()
    assert advice == f"Reason: it has 10001 x 10000 pixels; at most {bounds.MAX_PIXELS:,} are allowed."
    assert "pixels" not in refused(make(7_000, 7_000)[:60])


def test_the_size_that_a_webp_begins_with_is_its_own() -> None:
    """Real files of each kind say their size where it is looked for."""
    for options in ({}, {"lossless": True}, {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0"}):
        buffer = io.BytesIO()
        picture((321, 123)).save(buffer, "WEBP", **options)
        assert imaging._webp_size(buffer.getvalue()) == (321, 123)


def test_too_many_bytes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file over the bound is not looked at."""
    data = encoded(picture())
    monkeypatch.setattr(bounds, "MAX_IMAGE_BYTES", len(data) - 1)
    assert refused(data) == f"Reason: at most {len(data) - 1:,} bytes are allowed."


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF"])
def test_an_animated_file_is_no_image(kind: str) -> None:
    """Only one image was asked for."""
    assert refused(animated(kind)) == "Reason: it is animated; only still images are allowed."


def test_a_text_that_unpacks_to_much_is_refused() -> None:
    """A PNG's own texts do not fill the memory."""
    text = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 26)))
    profile = chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(1 << 26)))
    for bomb in (text, profile):
        tracemalloc.start()
        assert "too large" in refused(png(64, 64, bomb))
        assert tracemalloc.get_traced_memory()[1] < 1 << 25
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["empty chunks", "fill bytes", "empty segments"])
def test_a_file_of_endless_pieces_is_refused(name: str) -> None:
    """The work that a file makes is bounded, however small its pieces are."""
    whole = encoded(picture((8, 8)), "JPEG")
    many = imaging._MOST_READS + 1
    data = {
        "empty chunks": png(64, 64, chunk(b"teSt", b"") * many),
        "fill bytes": whole[:2] + b"\xff" * many + whole[2:],
        "empty segments": whole[:2] + b"\xff\xe1\0\2" * many + whole[2:],
    }[name]
    assert refused(data) == "Reason: it consists of more than 100,000 pieces."


def test_a_picture_of_countless_passes_is_refused() -> None:
    """Each pass of a progressive JPEG goes over the whole picture; some ten are usual."""
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    assert open_image(data).size == (64, 64)
    last = data[data.rindex(b"\xff\xda") : -2]
    assert refused(data[:-2] + last * 100 + data[-2:]) == "Reason: it has more than 100 passes."


@settings(max_examples=of_full(300))
@given(
    kind=st.sampled_from(["PNG", "JPEG", "WEBP"]),
    changes=st.lists(st.tuples(st.integers(0, 400), st.binary(max_size=4)), min_size=1, max_size=5),
    end=st.integers(0, 400),
)
def test_a_damaged_file_is_an_image_or_our_error(kind: str, changes: list[tuple[int, bytes]], end: int) -> None:
    """Whatever Pillow stumbles over, nobody has to know its errors."""
    data = encoded(picture((24, 16)), kind)
    for at, new in changes:
        data = data[:at] + new + data[at + len(new) :]
    for damaged in (data, data[:end]):
        with contextlib.suppress(InvalidResponseError):
            assert open_image(damaged).width > 0


@pytest.mark.parametrize(
    ("begins", "kept_as"),
    [
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', ".svg"),
        (b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- made by x --><svg/>', ".svg"),
        (b"<!DOCTYPE svg><svg/>", ".svg"),
        (b'<?xml version="1.0"?><error/>', ".bin"),
        (b"<html><svg/></html>", ".bin"),
    ],
)
def test_a_drawing_is_kept_under_its_name_and_not_opened(begins: bytes, kept_as: str) -> None:
    """SVG is text that Pillow does not read: what can be done with it is said."""
    assert extension(begins) == kept_as
    with pytest.raises(
        InvalidResponseError, match="open the file in a browser" if kept_as == ".svg" else "none of PNG"
    ):
        open_image(begins)
