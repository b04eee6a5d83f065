"""What makes two requests the same one: an answer to one of them is an answer to the other."""

from __future__ import annotations

import hashlib
import json

from .params import PARAMETERS, ImageGenerateParams

NOT_OF_THE_IMAGE = ("n", "stream", "partial_images", "user")
"""What may differ: how many come at once, what is shown on the way, and for whom it is."""


def identity(params: ImageGenerateParams, service: str) -> str:
    """Return the identity of each image of a request: the same for whatever asks the same service for the same.

    A value that is not given is the service's default, as if it were given. Each of n images is a request by itself.

    Args:
        params: what is asked for.
        service: which service answers, `Settings.known_as`: a simulated image never answers a real request.

    >>> from gradient_notebook import ImageGenerateParams
    >>> one, same, other = (ImageGenerateParams.of({"prompt": "A fox", **more}) for more in ({}, {"n": 2}, {"size": "1024x1024"}))
    >>> identity(one, "host") == identity(same, "host") != identity(other, "host")
    True
    """
    # In `extra` stands what other servers know, and what overrules a parameter.
    named = {name: params.effective(name) for name in PARAMETERS if name not in (*NOT_OF_THE_IMAGE, "extra")}
    others = {name: value for name, value in params.extra.items() if name not in NOT_OF_THE_IMAGE}
    asked = {name: value for name, value in {**named, **others}.items() if value is not None}
    text = json.dumps([service, asked], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]


_LENGTH = 32
"""Hexadecimal digits, 128 bits: no two of a lifetime's requests share them by chance."""
