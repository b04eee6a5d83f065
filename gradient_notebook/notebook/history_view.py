"""The history as something to look at: small pictures with what they are of, without a script and without a kernel."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import pybase64

from ..api.errors import InvalidRequestError
from ..api.events import LONGEST_PROMPT
from ..api.images import extension
from ..api.params import ImageGenerateParams
from ..api.text import clean, shortened
from ..history.query import History, history
from ..storage.archive import Archive, damage_of
from . import formatting, html, thumbnails
from .magic_args import HISTORY_PARSER, unknown, words_of

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
    pictures = _thumbnails(entries, archive)
    numbers = [""] if first is None else [f"[{first + at}] " for at in range(len(entries))]
    cells = [_cell(number, entry, pictures) for number, entry in zip(numbers, entries, strict=False)]
    lines = [_line(number, entry) for number, entry in zip(numbers, entries, strict=False)]
    notes = [clean(note) for note in archive.ledger.notes]
    if not entries:
        lines = ["No images yet, or none that match."]
        cells = [escape(lines[0])]
    if more > 0:
        lines.append(f"{more:,} older: {made_by}[{(first or 0) + len(entries)}:]")
        cells.append(f"<div>{escape(lines[-1])}</div>")
    lines += notes
    cells += [html.box(formatting.Box(note, kind="done"))["text/html"] for note in notes]
    return {
        "text/html": f'<div style="{html.QUIET}">{"".join(cells)}</div>',
        "text/plain": "\n".join(lines),
    }


def _thumbnails(entries: Sequence[HistoryEntry], archive: Archive) -> dict[str, bytes]:
    """Return a small picture of each entry that has one, by the entry's id; what is made is kept for the next time."""
    files = {entry.id: _files(entry) for entry in entries}
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


def _files(entry: HistoryEntry) -> list[Path]:
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
    found = dict.fromkeys(filter(None, map(damage_of, _files(entry))))
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


def _line(number: str, entry: HistoryEntry) -> str:
    known = [f"{entry.started:%Y-%m-%d %H:%M}", _outcome(entry), _damage(entry), _settings(entry), _numbers(entry)]
    prompt = shortened(" ".join(_prompt(entry).split()), _PROMPT_CHARACTERS)
    below = [prompt, *_reasons(entry)]
    what = clean(formatting.DOT.join([*filter(None, known), _record(entry)]))
    return "\n    ".join([f"{number}{what}", *below])


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


def _cell(number: str, entry: HistoryEntry, pictures: dict[str, bytes]) -> str:
    prompt = escape(shortened(_prompt(entry), _PROMPT_CHARACTERS))
    # A prompt may have 32,000 characters, and the output stays in the notebook.
    said = [_prompt(entry)[:1_000], *(clean(error) for error in entry.errors), f"Record {clean(entry.id)}"]
    whole = escape("\n".join(said))
    outcome, damage = _unbroken(_outcome(entry)), _unbroken(_damage(entry))
    lines = [
        f'<div style="{html.STRONG}"><b>{number}</b>{prompt}</div>',
        f'<div><span style="color:var({html.color_of(entry.outcome)})">●</span> {outcome}</div>' if outcome else "",
        f'<div><span style="color:var({html.color_of("failed")})">●</span> {damage}</div>' if damage else "",
        f"<div>{_unbroken(clean(_settings(entry)))}</div>",
        f"<div>{_unbroken(_numbers(entry))}</div>",
        f"<div>{entry.started:%Y-%m-%d&nbsp;%H:%M}</div>",
        f"<div>{_unbroken(_record(entry))}</div>",
        *(f'<div style="overflow-wrap:anywhere">{escape(reason)}</div>' for reason in _reasons(entry)),
    ]
    style = f"display:inline-block;vertical-align:top;width:{_WIDTH_PX}px;margin:0 14px 18px 0"
    return f'<div style="{style}" title="{whole}">{_picture(entry, pictures.get(entry.id))}{"".join(lines)}</div>'


def _unbroken(words: str) -> str:
    """Return escaped words that are broken at their dots only."""
    return escape(formatting.DOT.join(part.replace(" ", "\u00a0") for part in words.split(formatting.DOT)))


def _picture(entry: HistoryEntry, data: bytes | None) -> str:
    frame = (
        f"width:{_WIDTH_PX}px;height:{_WIDTH_PX}px;border-radius:4px;margin-bottom:6px;"
        "background:color-mix(in srgb,currentColor 8%,transparent)"
    )
    if data is None:
        words: str = entry.outcome
        if _files(entry):
            words = _damage(entry) or "cannot be shown"
        return f'<div style="{frame};line-height:{_WIDTH_PX}px;text-align:center">{escape(words)}</div>'
    alt = escape(shortened(_prompt(entry), _PROMPT_CHARACTERS))
    source = f"data:image/{extension(data)[1:]};base64,{pybase64.b64encode_as_string(data)}"
    return f'<img src="{source}" alt="{alt}" style="{frame};object-fit:contain;display:block">'


def history_from_line(line: str) -> History:
    """Return what a line of `%imagegen_history` asks for."""
    found, rest = HISTORY_PARSER.parse_known_args(words_of(line, HISTORY_PARSER))
    if rest:
        raise unknown(rest[0], HISTORY_PARSER)
    values = vars(found)
    return history(" ".join(values.pop("words")), **values)
