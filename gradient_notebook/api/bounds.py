"""Where what comes over the wire ends, if it does not end by itself: the most of everything, in bytes, numbers, seconds.

What happens at each of them stands in a table of `CONTRIBUTING.md`; the settings have those that a user may want to change.
"""

from __future__ import annotations

_KIB, _MIB = 1024, 1024 * 1024

MAX_ANSWER_BYTES = 4096 * _MIB
"""One answer, unpacked: ten images of the largest size, each with partial images."""
MAX_HEADER_BYTES = 100 * _KIB
"""The headers of an answer together; httpcore's own, which cannot be set."""
MAX_ERROR_BYTES = 4 * _MIB
"""The body of an error, or a list of models: it is read for its words."""
MAX_TEXT_BYTES = 64 * _MIB
"""The text of one event or answer beside its images: an endless line must not fill the memory."""
MAX_VALUES = 1_000_000
"""The values of one event or answer: each takes far more memory than its text."""
MAX_EVENTS = 1_000_000
"""The events of one stream."""

MAX_IMAGE_BYTES = 128 * _MIB
"""The file of one image."""
MAX_WAITING_BYTES = 2 * MAX_IMAGE_BYTES
"""All images together of one event or answer, of which nobody can take any yet."""
MAX_PIXELS = 50_000_000
"""The pixels of an image that is opened: 30 times the largest that the API documents."""
MAX_PARTIAL_BYTES = MAX_IMAGE_BYTES
"""The partial images of one image that are kept in memory together."""
MAX_EXTRA_IMAGES = 10
"""Images that nobody asked for and that are kept in memory: as many as may be asked for."""
MAX_IMAGES = 1_000
"""The images of one answer, whether kept in memory or on disk."""

MAX_ADDRESS_CHARACTERS = 8_000
"""The address of an image: a signed one has some hundreds."""
MAX_REDIRECTS = 5
"""On the way to an image at an address. The request itself follows none."""
MAX_FETCH_S = 120.0
"""An image at an address, with all redirects and attempts."""
MAX_FETCH_SILENCE_S = 30.0
"""Silence on the way to it: it is made already, and has only to be sent."""

MAX_ERROR_S = 60.0
"""The body of an error or a list of models, from its first byte on."""
MAX_AFTER_LAST_S = 1.0
"""What an answer may go on for when all that was asked for is here."""

MAX_CLIENTS = 32
"""Clients of different settings that the process keeps for the next request."""
