"""What differs between the requests of several images, as a table: settings, words of the prompt, tokens, cost, seconds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from ..api.errors import GradientNotebookError
from ..api.events import Usage
from ..api.params import PARAMETERS, ImageGenerateParams
from ..api.text import clean
from ..history.entry import HistoryEntry
from ..jobs.job import Job
from ..money.cost import Cost
from ..recipes import read_recipe
from ..storage.archive import get_default
from ..storage.runs import with_file
from . import formatting, html
from .labeled import Labeled

_PROMPT_CHARACTERS = 4_000
"""More is not compared word by word, which takes the square of it."""
_UNKNOWN = "–"
_PIXELS = "pixels"
_SECONDS = "seconds"
_NOTABLE_S = 1.0
"""What differs by less is chance."""
_NOT_ASKED = frozenset({"prompt", "user"})

_WORD = re.compile(r"(?:[\u3040-\u30ff\u3400-\u9fff]|\w+|[^\w\s])\s*")
"""A word and the space behind it; of Chinese and Japanese, which have none, a character."""

Words = list[tuple[str, bool]]
"""A text in pieces, each with whether it differs from the other texts."""


class Row(NamedTuple):
    """One thing that differs: what it is for each image."""

    name: str
    values: list[Words]


class Differences(NamedTuple):
    """What is known of several images together."""

    prompt: str
    """What all have as their prompt; empty where they differ, or where none is known."""
    rows: list[Row]
    is_known: bool
    """Whether the requests of all of them are known."""

    @property
    def lines(self) -> list[str]:
        """It as lines of text; words of a prompt that differ stand in brackets."""
        return [f"{row.name}: {' | '.join(map(_bracketed, row.values))}" for row in self.rows]

    def html(self, labels: Sequence[str]) -> str:
        """Return it as a table under pictures with these labels."""
        plain = "border:0;padding:1px 14px 1px 0;background:none;text-align:left;vertical-align:top"
        strong = f"{plain};{html.STRONG}"
        head = "".join(f'<th scope="col" style="{strong}">{escape(label)}</th>' for label in labels)
        rows = "".join(
            f'<tr style="background:none"><th scope="row" style="{plain};font-weight:normal">{escape(row.name)}</th>'
            + "".join(f'<td style="{strong}">{_marked(words)}</td>' for words in row.values)
            + "</tr>"
            for row in self.rows
        )
        title = f'<div style="{html.STRONG}"><b>{escape(self.prompt)}</b></div>' if self.prompt else ""
        table = (
            f'<table style="border-collapse:collapse"><tr style="background:none"><td></td>{head}</tr>{rows}</table>'
        )
        return f'<div style="{html.QUIET}">{title}{table if rows else ""}</div>'


def _bracketed(words: Words) -> str:
    some_same = any(not differs for _, differs in words)
    return "".join(f"[{text}]" if differs and some_same else text for text, differs in words)


def _marked(words: Words) -> str:
    return "".join(f"<b>{escape(text)}</b>" if differs else f"<span>{escape(text)}</span>" for text, differs in words)


def differences(images: Sequence[Labeled]) -> Differences:
    """Return what differs between the requests of these images, as far as they are known."""
    known = [_Known.of(one) for one in images]
    prompts = [clean(one.params.prompt, _PROMPT_CHARACTERS, lines=True) if one.params else None for one in known]
    told = {prompt for prompt in prompts if prompt is not None}
    rows = []
    if len(told) > 1:
        pieces = iter(compared_words([prompt for prompt in prompts if prompt is not None]))
        rows.append(Row("prompt", [[(_UNKNOWN, False)] if prompt is None else next(pieces) for prompt in prompts]))
    values = [dict(one.values()) for one in known]
    for name in dict.fromkeys(name for one in values for name in one):
        each = [one.get(name) for one in values]
        if len({value for value in each if value is not None}) > 1:
            rows.append(Row(name, [[(_UNKNOWN if value is None else value, False)] for value in each]))
    if any(row.name == "size" for row in rows):
        rows = [row for row in rows if row.name != _PIXELS]  # which says the same again
    took = [one.elapsed_s for one in known if one.elapsed_s is not None]
    if took and max(took) - min(took) < _NOTABLE_S:
        rows = [row for row in rows if row.name != _SECONDS]
    prompt = prompts[0] if len(told) == 1 and None not in prompts else None
    return Differences(prompt or "", rows, is_known=all(one.params for one in known))


class _Known(NamedTuple):
    """What is known of one image."""

    size: str
    params: ImageGenerateParams | None = None
    usage: Usage | None = None
    cost: Cost = Cost()
    elapsed_s: float | None = None

    @classmethod
    def of(cls, found: Labeled) -> _Known:
        image, source = found.image, found.source or _entry_of(found)
        size = f"{image.width}×{image.height}"
        try:
            if isinstance(source, Job):
                return cls(size, source.params, source.usage, source.cost, source._working_s)
            if source:
                return cls(size, source.params, source.usage, source.cost, source.elapsed_s)
            return cls(size, read_recipe(image))
        except GradientNotebookError:
            return cls(size)

    def values(self) -> Iterator[tuple[str, str]]:
        """Yield what is told of it, by its name."""
        yield _PIXELS, self.size
        if self.params is None:
            return
        yield from ((name, self.params.text(name)) for name in PARAMETERS if name not in _NOT_ASKED)
        if self.usage and self.usage.total_tokens is not None:
            yield "tokens", f"{self.usage.total_tokens:,}"
        if self.cost:
            yield "cost", str(self.cost)
        if self.elapsed_s is not None:
            yield _SECONDS, formatting.seconds(self.elapsed_s)


def _entry_of(found: Labeled) -> HistoryEntry | None:
    """Return the record of an image that a variable holds: it was opened from a file of the archive."""
    name = str(getattr(found.image, "filename", "") or "")
    archive = get_default() if name else None
    if archive is None or Path(name).parent != archive.originals:
        return None
    try:
        record = with_file(archive.ledger, Path(name).name)
    except OSError:
        return None
    return HistoryEntry(record, archive) if record else None


def compared_words(texts: Sequence[str]) -> list[Words]:
    """Return texts in pieces, with the words marked that not all of them have."""
    from difflib import SequenceMatcher

    split = [_WORD.findall(text) for text in texts]
    bare = [[word.strip() for word in words] for words in split]
    found = []
    for at, words in enumerate(split):
        common = set(range(len(words)))
        for other, others in enumerate(bare):
            if other != at:
                matcher = SequenceMatcher(None, bare[at], others, autojunk=False)
                blocks = matcher.get_matching_blocks()
                common &= {index for block in blocks for index in range(block.a, block.a + block.size)}
        found.append(_pieces(words, common))
    return found


def _pieces(words: Sequence[str], common: set[int]) -> Words:
    """Return words as few pieces, those that are not common apart; the space behind one is marked only within a piece."""
    pieces: Words = []
    for at, word in enumerate(words):
        differs = at not in common
        last, before = pieces[-1] if pieces else ("", differs)
        if before == differs:
            pieces[-1:] = [(last + word, differs)]
            continue
        bare = last.rstrip() if before else last
        pieces[-1] = (bare, before)
        pieces.append((last[len(bare) :] + word, differs) if not differs else (word, differs))
    return pieces
