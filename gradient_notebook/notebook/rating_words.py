"""Stars, tags and a note in words, as they stand under a picture that needs no kernel."""

from __future__ import annotations

from ..api.text import clean, shortened
from ..history.rating import stars_words
from ..storage.ratings import Rating
from .formatting import DOT

_NOTE_CHARACTERS = 160


def rating_words(rating: Rating) -> str:
    """Return what is thought of an image, as `★★★ 3 stars · cover, print · Warm light.`; nothing where nothing is."""
    tags = ", ".join(clean(tag) for tag in rating.tags)
    return DOT.join(filter(None, [stars_words(rating.stars), tags, shortened(clean(rating.note), _NOTE_CHARACTERS)]))
