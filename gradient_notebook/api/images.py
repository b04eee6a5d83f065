"""What files of images begin with, and which extension they have: known from their bytes, not from what was asked for."""

from __future__ import annotations

SIGNATURES = {
    "png": (b"\x89PNG\r\n\x1a\n",),
    "jpeg": (b"\xff\xd8\xff",),
    "webp": (b"RIFF",),
    "gif": (b"GIF87a", b"GIF89a"),
    "avif": (b"ftypavif", b"ftypavis"),
}
LONGEST_SIGNATURE = 12
"""Bytes of a file that tell its format."""


def format_of(data: bytes) -> str:
    """Return `png`, `jpeg`, `webp`, `gif` or `avif`, or an empty string for what begins like none of them."""
    if data[4:8] == b"ftyp":  # after the length of this first box
        data = data[4:LONGEST_SIGNATURE]
    found = next((name for name, signatures in SIGNATURES.items() if data.startswith(signatures)), "")
    # WAV and AVI begin with RIFF, too.
    return "" if found == "webp" and data[8:12] != b"WEBP" else found


def is_svg(data: bytes) -> bool:
    """Whether it is a drawing: text, which may begin with a declaration."""
    begins = data[:_SVG_BEGINS].lstrip(b"\xef\xbb\xbf \t\r\n")
    return begins.startswith(b"<svg") or (
        begins.startswith((b"<?xml", b"<!DOCTYPE svg", b"<!--")) and b"<svg" in begins
    )


_SVG_BEGINS = 2_000  # bytes: a declaration and comments may come before


def extension(data: bytes) -> str:
    """Return the file extension for what the bytes are, `.bin` for what is no known image."""
    return f".{format_of(data) or ('svg' if is_svg(data) else 'bin')}"


_ENDS = {"png": b"IEND\xaeB`\x82", "jpeg": b"\xff\xd9", "gif": b";"}


def ends_as_image(data: bytes | bytearray) -> bool:
    """Whether a file ends as one of its format does; there it may also end by chance."""
    kind = format_of(bytes(data[:LONGEST_SIGNATURE]))
    if kind == "webp":
        return len(data) >= 8 + int.from_bytes(data[4:8], "little")
    return kind in _ENDS and data.endswith(_ENDS[kind])
