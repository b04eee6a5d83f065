"""A painter for tests that look at no picture: colored noise of the right size, a different one for every request.

At 1536x1024 a picture and its file take some 10 ms of one processor; the real painter takes 400.
"""

from __future__ import annotations

import io
import random

from PIL import Image

from .canvas import Size
from .painting import file_options

_CELL_PX = 32  # large cells compress well, and a file of some 20 kB takes no time to send


class Noise:
    """Noise for a prompt; takes and gives what `Painting` does."""

    def __init__(
        self, prompt: str, *, size: Size, seed: str = "", quality: str = "high", transparent: bool = False
    ) -> None:
        self.prompt = prompt
        self._size = size
        self._seed = f"{seed}\n{prompt}\n{quality}"
        self._mode = "RGBA" if transparent else "RGB"

    def encoded(self, file_format: str, compression: int | None = None, *, sharpness: float = 1) -> bytes:
        """Return a picture as a file: png, webp or jpeg; each `sharpness` has its own."""
        cells = (-(-self._size[0] // _CELL_PX), -(-self._size[1] // _CELL_PX))
        noise = random.Random(f"{self._seed}\n{sharpness}").randbytes(cells[0] * cells[1] * len(self._mode))
        picture = Image.frombytes(self._mode, cells, noise).resize(self._size, Image.Resampling.NEAREST)
        options = file_options(file_format, compression, self.prompt)
        options.pop("compress_type", None)  # which fits grain: these cells are all repetitions
        buffer = io.BytesIO()
        picture.save(buffer, file_format, **options)
        return buffer.getvalue()
