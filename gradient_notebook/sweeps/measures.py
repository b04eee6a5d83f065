"""What is known to measure of an image, by name. The libraries are those of the extra `analysis`, loaded when used."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image

Measure = Callable[["Image"], Any]


def sharpness(image: Image) -> float:
    """Return the variance of the Laplacian, in gray levels of 0 to 255: the more detail at the scale of a pixel, the higher."""
    import numpy as np

    gray = np.asarray(image.convert("L"), dtype=np.float32)
    # Not `convolve`: five views of one array take a fifth of the time.
    edges = 4 * gray[1:-1, 1:-1] - gray[:-2, 1:-1] - gray[2:, 1:-1] - gray[1:-1, :-2] - gray[1:-1, 2:]
    return float(edges.var()) if edges.size else 0.0


def colorfulness(image: Image) -> float:
    """Return how colorful an image is, by Hasler and Süsstrunk (2003): 0 for gray, some 15 slightly, 45 fairly, 80 and more highly."""
    import numpy as np

    red, green, blue = np.moveaxis(np.asarray(image.convert("RGB"), dtype=np.float32), 2, 0)
    first, second = red - green, (red + green) / 2 - blue
    return float(np.hypot(first.std(), second.std()) + 0.3 * np.hypot(first.mean(), second.mean()))


def phash(image: Image) -> str:
    """Return the perceptual hash, 64 bits in hexadecimal digits: images that look alike differ in a few of them."""
    import imagehash

    return str(imagehash.phash(image))


def ssim_to(reference: Image) -> Measure:
    """Return what measures how alike an image and the reference are in structure: 1 for the same."""
    import numpy as np
    from skimage.metrics import structural_similarity

    wanted = np.asarray(reference.convert("RGB"))

    def ssim(image: Image) -> float:
        if image.size != reference.size:
            told = "{}x{}".format
            raise ValueError(f"it has {told(*image.size)} pixels, the reference {told(*reference.size)}")
        return float(structural_similarity(np.asarray(image.convert("RGB")), wanted, channel_axis=2, data_range=255))

    return ssim


SSIM = "ssim"
PLAIN: dict[str, Measure] = {"sharpness": sharpness, "colorfulness": colorfulness, "phash": phash}
"""What needs nothing but the image."""
NEEDED = {"sharpness": "numpy", "colorfulness": "numpy", "phash": "imagehash", SSIM: "skimage"}
"""The library of each."""
