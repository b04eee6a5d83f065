"""Recipes: the settings of an image inside of its file, put there without touching a pixel, and read from what anybody sends.

A file is put together from its own pieces and one more: decoding and saving it again would lose quality, or change it.
"""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .api import bounds
from .api.credentials import CONTROL_PLANE_PREFIXES, KEY_PREFIX
from .api.errors import GradientNotebookError, InvalidRequestError
from .api.images import ends_as_image, format_of
from .api.params import PARAMETERS, ImageGenerateParams
from .api.text import SHORT, clean

if TYPE_CHECKING:
    from PIL.Image import Image

KEYWORD = "gradient_notebook"
"""What the text chunk of a PNG is called."""
_PRIVATE = frozenset({"user"})
"""What a recipe leaves out: who gets the image need not know who asked for it."""
_USER_COMMENT, _EXIF_IFD = 0x9286, 0x8769
_ASCII = b"ASCII\0\0\0"
_LONGEST = 40_000
"""Bytes of a recipe: a JPEG's segment has room for 65,533."""
_DEEPEST = 32
_ENDING = ("png", "jpeg", "webp")
"""The formats that have a place for a recipe."""
_KEY = re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join((KEY_PREFIX, *CONTROL_PLANE_PREFIXES))})[\w.~+/-]{{8,}}")


def with_recipe(data: bytes, params: ImageGenerateParams) -> bytes:
    """Return a copy of an image's file with the settings inside, as text of a PNG, or as EXIF of a JPEG or a WebP.

    Raises:
        InvalidRequestError: settings that hold a key, or are too long; or a file of another format.
    """
    recipe = _encoded(params)
    kind = format_of(data)
    try:
        if kind in _ENDING and not ends_as_image(data):
            raise ValueError("it has no end")
        if kind == "png":
            return _in_png(data, recipe)
        if kind in _ENDING:
            exif = _exif(data, recipe)
            return _in_jpeg(data, exif) if kind == "jpeg" else _in_webp(data, exif)
    except (struct.error, IndexError, OverflowError, ValueError) as error:
        if isinstance(error, GradientNotebookError):
            raise
        raise InvalidRequestError("The file is not whole: a copy with its recipe cannot be made", sent=None) from error
    raise InvalidRequestError(
        f"A file of the format {kind or 'unknown'} holds no recipe", "PNG, JPEG and WebP do.", sent=None
    )


def _encoded(params: ImageGenerateParams) -> bytes:
    given = {name: value for name, value in params.given().items() if name not in _PRIVATE}
    text = json.dumps({"version": 1, "params": given}, separators=(",", ":"))  # all of it ASCII
    if _KEY.search(text):
        what = "The settings hold what looks like a key: they are not written into an image"
        raise InvalidRequestError(what, "Whoever gets the image would have it.", sent=None)
    if len(text) > _LONGEST:
        raise InvalidRequestError(f"The settings are too long for an image: {len(text):,} bytes", sent=None)
    return text.encode("ascii")


def _in_png(data: bytes, recipe: bytes) -> bytes:
    body = b"tEXt" + KEYWORD.encode() + b"\0" + recipe
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    at, kept = 8, []
    while at < len(data):
        end = at + 12 + struct.unpack(">I", data[at : at + 4])[0]
        if not data[at + 4 : end].startswith(b"tEXt" + KEYWORD.encode() + b"\0"):
            kept.append(data[at:end])
        at = end
    return b"".join([data[:8], kept[0], chunk, *kept[1:]])  # the header stands first


def _exif(data: bytes, recipe: bytes) -> bytes:
    """Return the file's EXIF with the recipe in it, from the byte order on."""
    from .imaging import open_image

    found = open_image(data).getexif()
    found.get_ifd(_EXIF_IFD)[_USER_COMMENT] = _ASCII + recipe
    found[_EXIF_IFD] = found.get_ifd(_EXIF_IFD)
    return bytes(found.tobytes()).removeprefix(b"Exif\0\0")


def _in_jpeg(data: bytes, exif: bytes) -> bytes:
    kept, at = b"", 2
    while data[at] == 0xFF and data[at + 1] not in (0xDA, 0xD9):
        if data[at + 1] == 0xFF:  # a byte that only fills
            at += 1
            continue
        (length,) = struct.unpack(">H", data[at + 2 : at + 4])
        segment = data[at : at + 2 + length]
        if not (segment[1] == 0xE1 and segment[4:10] == b"Exif\0\0"):
            kept += segment
        at += 2 + length
    body = b"Exif\0\0" + exif
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + kept + data[at:]


def _in_webp(data: bytes, exif: bytes) -> bytes:
    chunks = [chunk for chunk in _chunks(data) if chunk[0] != b"EXIF"]
    if chunks[0][0] != b"VP8X":
        from .imaging import open_image

        image = open_image(data)
        flags = 0x10 if image.has_transparency_data else 0
        edges = b"".join((edge - 1).to_bytes(3, "little") for edge in image.size)
        chunks.insert(0, (b"VP8X", bytes([flags, 0, 0, 0]) + edges))
    head = chunks[0][1]
    chunks[0] = (b"VP8X", bytes([head[0] | 0x08]) + head[1:])
    # The order is the format's: EXIF stands behind the picture, and before XMP.
    at = next((index for index, (name, _) in enumerate(chunks) if name == b"XMP "), len(chunks))
    chunks.insert(at, (b"EXIF", exif))
    body = b"WEBP" + b"".join(
        name + struct.pack("<I", len(held)) + held + b"\0" * (len(held) % 2) for name, held in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 12
    while at + 8 <= len(data):
        (length,) = struct.unpack("<I", data[at + 4 : at + 8])
        found.append((data[at : at + 4], data[at + 8 : at + 8 + length]))
        at += 8 + length + length % 2
    return found


def read_recipe(source: Image | Path | str) -> ImageGenerateParams:
    """Return the settings that an image was made with, if they are inside: `generate(**read_recipe(path).given())`.

    What is read may come from anybody: it is checked like what is typed, and nothing of it is sent before you do.

    Args:
        source: a PIL image, or the path of a PNG, a JPEG or a WebP.

    Raises:
        GradientNotebookError: the file cannot be read, is no image, or has no recipe inside.
        InvalidRequestError: a recipe with values that cannot be sent.

    >>> from gradient_notebook import read_recipe, sweep
    >>> study = sweep("A red fox in {{style}}", style=["ink", "oil"], quality="low").result()
    >>> saved = study.save("foxes", recipes=True)
    >>> read_recipe("foxes/recipes/0-ink.png").prompt
    'A red fox in ink'
    """
    return _recipe_of(_opened(source))


def recipe_in(data: bytes, name: str) -> ImageGenerateParams:
    """Return the settings inside of an image's file; raise GradientNotebookError as `read_recipe` does, with the file's name."""
    from .imaging import open_image

    try:
        image = open_image(bytes(data))
    except GradientNotebookError as error:
        raise GradientNotebookError(
            f"{name} is no image that can be opened", "PNG, JPEG and WebP have recipes."
        ) from error
    try:
        return _recipe_of(image)
    except GradientNotebookError as error:
        raise GradientNotebookError(f"{name}: {error.summary}", error.hint) from error


def _recipe_of(image: Image) -> ImageGenerateParams:
    text = _text_in(image)
    if not text:
        what = "There is no recipe in this image"
        raise GradientNotebookError(
            what, "study.save(…, recipes=True) writes copies that have one. Some programs remove it."
        )
    return _checked(text)


def _opened(source: Any) -> Image:
    if not isinstance(source, (str, Path)):
        if not hasattr(source, "getexif"):
            what = f"source={clean(repr(source), SHORT)}: expected an image or a path"
            raise InvalidRequestError(what, param="source", sent=None)
        image: Image = source
        return image
    from .imaging import open_image

    try:
        path = Path(source).expanduser()
        if path.exists() and not path.is_file():
            raise GradientNotebookError(f"{path} is no file.")
        if path.stat().st_size > bounds.MAX_IMAGE_BYTES:
            raise GradientNotebookError(f"{path}: at most {bounds.MAX_IMAGE_BYTES:,} bytes are read.")
        return open_image(path.read_bytes(), of=path)
    except (OSError, ValueError, RuntimeError) as error:
        if isinstance(error, GradientNotebookError):
            raise
        raise GradientNotebookError(f"The image cannot be read: {error}") from error


def _text_in(image: Image) -> str:
    text = image.info.get(KEYWORD)
    if isinstance(text, str):
        return text
    try:
        comment = image.getexif().get_ifd(_EXIF_IFD).get(_USER_COMMENT)
    except Exception:  # noqa: BLE001 - Pillow raises whatever it stumbles over in what anybody may have written
        return ""
    if isinstance(comment, bytes) and comment.startswith(_ASCII + b"{"):
        return comment.removeprefix(_ASCII).rstrip(b"\0").decode("ascii", "replace")
    return ""


def _checked(text: str) -> ImageGenerateParams:
    try:
        if len(text) > _LONGEST:
            raise ValueError(f"it has {len(text):,} characters; at most {_LONGEST:,} are read.")
        if text.count("[") + text.count("{") > 1000 or _depth(text) > _DEEPEST:
            raise ValueError("it is nested too deeply.")
        recipe = json.loads(text)
        params = recipe.get("params") if isinstance(recipe, Mapping) else None
    except (ValueError, RecursionError) as error:
        raise GradientNotebookError(f"The recipe in this image cannot be read: {clean(str(error), 200)}") from error
    if not isinstance(params, Mapping):
        raise GradientNotebookError("The recipe in this image has no `params`.")
    unknown = [name for name in params if name not in PARAMETERS]
    if unknown:
        raise GradientNotebookError(f"The recipe in this image has {clean(unknown[0], SHORT)}, which is no parameter")
    if "prompt" not in params:
        raise GradientNotebookError("The recipe in this image has no prompt")
    return ImageGenerateParams.of(params)


def _depth(text: str) -> int:
    depth = deepest = 0
    for character in text:
        depth += (character in "[{") - (character in "]}")
        deepest = max(deepest, depth)
    return deepest
