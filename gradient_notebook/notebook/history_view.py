"""The history as something to look at: small pictures with what they are of, without a script and without a kernel."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import pybase64

from ..api.errors import InvalidRequestError
from ..api.events import LONGEST_PROMPT
from ..api.images import extension
from ..api.params import ImageGenerateParams
from ..api.text import clean, shortened
from ..history.query import History, history
from ..storage.archive import Archive, damage_of
from ..storage.outcome import Outcome
from ..storage.ratings import ratings
from . import formatting, html, thumbnails
from .magic_args import HISTORY_PARSER, unknown, words_of
from .rating_words import rating_words

if TYPE_CHECKING:
    from ..history.entry import HistoryEntry

_WIDTH_PX = 160
_PROMPT_CHARACTERS = 60
_REASON_CHARACTERS = 160


def show_history(
    entries: Sequence[HistoryEntry], archive: Archive, *, more: int = 0, made_by: str = "", first: int | None = 0
) -> dict[str, str]:
    """Return `entries` as HTML with small pictures, and as lines of text.

    `more` is how many are not shown. The first is number `first`, or has none, of what `made_by` gives.
    """
    pictures = small_pictures(entries, archive)
    given = ratings_of(entries, archive)
    cells = [
        _cell(number, entry, pictures.get(entry.id), given.get(entry.id, ""))
        for number, entry in zip(labels(entries, first), entries, strict=True)
    ]
    lines = [
        _line(number, entry, given.get(entry.id, ""))
        for number, entry in zip(labels(entries, first), entries, strict=True)
    ]
    if not entries:
        lines = ["No images yet, or none that match."]
        cells = [escape(lines[0])]
    older = older_words(entries, more, made_by, first)
    notes = [clean(note) for note in archive.ledger.notes]
    cells += [f"<div>{escape(words)}</div>" for words in older]
    cells += [html.box(formatting.Box(note, kind="done"))["text/html"] for note in notes]
    return {
        "text/html": f'<div style="{html.QUIET}">{"".join(cells)}</div>',
        "text/plain": "\n".join([*lines, *older, *notes]),
    }


def labels(entries: Sequence[HistoryEntry], first: int | None) -> list[str]:
    """Return the numbers of entries as they are shown; empty ones where they have none."""
    return ["" if first is None else f"[{first + at}] " for at in range(len(entries))]


def older_words(entries: Sequence[HistoryEntry], more: int, made_by: str, first: int | None) -> list[str]:
    """Return what shows those that are left out, if any are."""
    return [f"{more:,} older: {made_by}[{(first or 0) + len(entries)}:]"] if more > 0 else []


def ratings_of(entries: Sequence[HistoryEntry], archive: Archive) -> dict[str, str]:
    """Return what is thought of the images of entries, in words, by the entry's id, as far as anything is."""
    keys = {entry.id: [entry._key(at) for at in range(len(entry.paths))] for entry in entries}
    with contextlib.suppress(OSError):  # the history is worth having without them
        found = ratings(archive.ledger, [key for its in keys.values() for key in its])
        return {
            one: formatting.DOT.join(
                f"image {at + 1}: {rating_words(found[key])}" if at else rating_words(found[key])
                for at, key in enumerate(its)
                if key in found
            )
            for one, its in keys.items()
        }
    return {}


def small_pictures(entries: Sequence[HistoryEntry], archive: Archive) -> dict[str, bytes]:
    """Return a small picture of each entry that has one, by the entry's id; what is made is kept for the next time."""
    files = {entry.id: files_of(entry) for entry in entries}
    known = thumbnails.kept(archive, [path.name for paths in files.values() for path in paths])
    made: dict[str, bytes] = {}
    shown: dict[str, bytes] = {}
    for entry_id, paths in files.items():
        for path in paths:
            small = known.get(path.name) or thumbnails.made(path)
            if small is None:
                continue  # no image; there may be others
            made |= {} if path.name in known else {path.name: small}
            shown[entry_id] = small
            break
    thumbnails.keep(archive, made)
    return shown


def files_of(entry: HistoryEntry) -> list[Path]:
    """Return what there is to show: finished images, or where there are none the newest partial ones."""
    return entry.paths or entry.partial_paths


def _settings(entry: HistoryEntry) -> str:
    """Return the settings that matter most, as the service says it has used them, or else as they were asked for."""
    reported = next((image.reported for image in entry.record.images if image.reported), {})
    known = {name: reported.get(name) or entry.record.params.get(name) for name in ("size", "quality", "output_format")}
    try:
        # A stand-in for the prompt, which the summary leaves out: a request may not be without one.
        return formatting.summary(ImageGenerateParams.of({"prompt": "a", **known}))
    except InvalidRequestError:  # of another server, or another time
        return formatting.DOT.join(str(value) for value in known.values() if value)


def _outcome(entry: HistoryEntry) -> str:
    """Return how it ended, where it is not done, and what is to be seen of it then."""
    if entry.outcome == "done":
        return ""
    is_partial = entry.partial_paths and not entry.paths
    return formatting.DOT.join([entry.outcome, *(["partial image"] if is_partial else [])])


def _damage(entry: HistoryEntry) -> str:
    """Return what has become of its files since they were written, as `original file missing`."""
    found = dict.fromkeys(filter(None, map(damage_of, files_of(entry))))
    return f"original file {' or '.join(found)}" if found else ""


def _numbers(entry: HistoryEntry) -> str:
    usage, count = entry.usage, len(entry.paths)
    known = [
        f"{count} images" if count > 1 else "",
        f"{usage.total_tokens:,} tokens" if usage and usage.total_tokens is not None else "",
        f"{entry.cost}" if entry.record.currency else "",
        formatting.seconds(entry.elapsed_s) if entry.elapsed_s is not None else "",
    ]
    return formatting.DOT.join(filter(None, known))


def _line(number: str, entry: HistoryEntry, given: str) -> str:
    known = [f"{entry.started:%Y-%m-%d %H:%M}", _outcome(entry), _damage(entry), _settings(entry), _numbers(entry)]
    below = [title(entry), *_reasons(entry)]
    what = clean(formatting.DOT.join([*filter(None, [*known, given]), _record(entry)]))
    return "\n    ".join([f"{number}{what}", *below])


def title(entry: HistoryEntry) -> str:
    """Return the beginning of its prompt."""
    return shortened(" ".join(_prompt(entry).split()), _PROMPT_CHARACTERS)


def whole(entry: HistoryEntry) -> str:
    """Return all that is to be known of it in words."""
    # A prompt may have 32,000 characters, and the output stays in the notebook.
    said = [_prompt(entry)[:1_000], *(clean(error) for error in entry.errors), f"Record {clean(entry.id)}"]
    return "\n".join(said)


class Detail(NamedTuple):
    """A line about an entry, which may be marked by the color of an outcome."""

    words: str
    outcome: Outcome | Literal[""] = ""


def details(entry: HistoryEntry) -> list[Detail]:
    """Return what stands under its prompt, line by line; where words may be broken, they have spaces."""
    lines = [
        Detail(_unbroken(_outcome(entry)), entry.outcome),
        Detail(_unbroken(_damage(entry)), "failed"),
        Detail(_unbroken(clean(_settings(entry)))),
        Detail(_unbroken(_numbers(entry))),
        Detail(f"{entry.started:%Y-%m-%d\u00a0%H:%M}"),
        Detail(_unbroken(_record(entry))),
        *map(Detail, _reasons(entry)),
    ]
    return [line for line in lines if line.words]


def _record(entry: HistoryEntry) -> str:
    return f"record {clean(entry.id)[: formatting.RECORD_CHARACTERS]}"


def _reasons(entry: HistoryEntry) -> list[str]:
    """Return why images did not come, and what the service's support asks for then."""
    if not entry.errors:
        return []
    ids = [f"Request ID: {', '.join(map(clean, entry.request_ids))}"] if entry.request_ids else []
    return [*(clean(error, _REASON_CHARACTERS) for error in entry.errors), *ids]


def _prompt(entry: HistoryEntry) -> str:
    return clean(entry.prompt, LONGEST_PROMPT, lines=True)


def _cell(number: str, entry: HistoryEntry, data: bytes | None, given: str) -> str:
    lines = [f'<div style="{html.STRONG}"><b>{number}</b>{escape(title(entry))}</div>']
    lines += [f'<div style="{html.STRONG}">{escape(given)}</div>'] if given else []
    for words, outcome in details(entry):
        mark = f'<span style="color:var({html.color_of(outcome)})">●</span> ' if outcome else ""
        lines.append(f'<div style="overflow-wrap:anywhere">{mark}{escape(words)}</div>')
    style = f"display:inline-block;vertical-align:top;width:{_WIDTH_PX}px;margin:0 14px 18px 0"
    return f'<div style="{style}" title="{escape(whole(entry))}">{_picture(entry, data)}{"".join(lines)}</div>'


def _unbroken(words: str) -> str:
    """Return words that are broken at their dots only."""
    return formatting.DOT.join(part.replace(" ", "\u00a0") for part in words.split(formatting.DOT))


def missing(entry: HistoryEntry) -> str:
    """Return what stands in the place of a picture that there is not."""
    return (_damage(entry) or "cannot be shown") if files_of(entry) else entry.outcome


def _picture(entry: HistoryEntry, data: bytes | None) -> str:
    frame = (
        f"width:{_WIDTH_PX}px;height:{_WIDTH_PX}px;border-radius:4px;margin-bottom:6px;"
        "background:color-mix(in srgb,currentColor 8%,transparent)"
    )
    if data is None:
        return f'<div style="{frame};line-height:{_WIDTH_PX}px;text-align:center">{escape(missing(entry))}</div>'
    alt = escape(title(entry))
    source = f"data:image/{extension(data)[1:]};base64,{pybase64.b64encode_as_string(data)}"
    return f'<img src="{source}" alt="{alt}" style="{frame};object-fit:contain;display:block">'


def history_from_line(line: str) -> History:
    """Return what a line of `%imagegen_history` asks for."""
    found, rest = HISTORY_PARSER.parse_known_args(words_of(line, HISTORY_PARSER))
    if rest:
        raise unknown(rest[0], HISTORY_PARSER)
    values = vars(found)
    return history(" ".join(values.pop("words")), **values)
