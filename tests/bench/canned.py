"""The service with canned pictures of real size: `python canned.py` prints its address, and ends with its input."""

from __future__ import annotations

import io
import random
import sys
from base64 import b64encode

from PIL import Image

from gradient_notebook.simulator import Fault, Simulator

SIZE = (1536, 1024)
PICTURES = 8
"""How many different finished images there are: so many files lie in an archive."""
SMOOTH = 16
"""One pixel of noise becomes so many in a row: that makes a file of some 2.4 MB."""
ANSWERS = 100_000


def picture(number: int) -> str:
    """Return a PNG as base64."""
    chance = random.Random(number)
    small = (SIZE[0] // SMOOTH, SIZE[1] // SMOOTH)
    noise = Image.frombytes("RGB", small, chance.randbytes(3 * small[0] * small[1]))
    buffer = io.BytesIO()
    noise.resize(SIZE, Image.Resampling.BICUBIC).save(buffer, "PNG", compress_level=1)
    return b64encode(buffer.getvalue()).decode()


def faults() -> list[Fault]:
    """Return more answers than anybody asks for; each has one of the pictures."""
    partial = picture(PICTURES)
    different = [Fault(image_base64=picture(number), partial_base64=partial) for number in range(PICTURES)]
    return different * (ANSWERS // PICTURES)


def main() -> None:
    """Serve until the standard input is closed."""
    with Simulator(seconds_per_image=0, requests_per_hour=10 * ANSWERS, faults=faults()) as service:
        print(service.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
