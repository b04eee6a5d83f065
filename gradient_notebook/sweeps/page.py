"""The page beside a saved sweep's files: a grid with labels, which needs no server and runs nothing. All text is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from urllib.parse import quote

from ..api.text import clean
from .axes import Axes
from .cell import Cell
from .labels import DOT, alt_words, axis_words, reason_words, shared_words, title_of
from .layout import Layout, layout_of, lines_of
from .marks import marks_of

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --quiet: #5f6368; --bad: #b3261e; --warn: #8a5a00 }
@media (prefers-color-scheme: dark) { :root { --quiet: #a8adb3; --bad: #f2b8b5; --warn: #f0c36d } }
body { font: 15px/1.45 system-ui, sans-serif; margin: 24px; background: Canvas; color: CanvasText }
h1 { font-size: 20px; overflow-wrap: anywhere }
.scroll { overflow-x: auto }
table { border-collapse: separate; border-spacing: 8px }
th { font-weight: 600; text-align: left; vertical-align: top; max-width: 240px; overflow-wrap: break-word }
td { vertical-align: top; width: 256px; min-width: 160px }
img { width: 100%; height: auto; display: block; border-radius: 4px; background: #8882 }
a:focus-visible { outline: 2px solid Highlight; outline-offset: 2px }
p, figcaption { margin: 4px 0 0; color: var(--quiet); overflow-wrap: anywhere; font-size: 13px }
figure { margin: 0 }
.corner { width: auto; min-width: 0; overflow-wrap: break-word; color: var(--quiet); font-size: 13px }
.mark { display: block; color: CanvasText; font-variant-numeric: tabular-nums }
.none { border: 1px solid var(--line); border-left: 3px solid var(--bad); border-radius: 4px; padding: 12px; min-height: 96px }
.none p { color: CanvasText }
.refused { border-left-color: var(--warn) }
"""
_SHOWN_AS_IMAGE = (".png", ".jpeg", ".webp", ".gif", ".avif")


def page(cells: Sequence[Cell], axes: Axes, files: Mapping[int, str]) -> str:
    """Return the page; `files` are the names of the images beside it, by the cells' indices."""
    layout = layout_of(cells, axes, len(cells))
    rows = _rows(layout, cells, files)
    told = escape(DOT.join(filter(None, [title_of(axes), shared_words(cells, axes)])))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{told}</title><style>{_STYLE}</style></head><body>\n"
        f"<h1>{told}</h1>\n{_axes(axes)}<p>{escape(_counted(cells))} The numbers are in cells.csv.</p>\n"
        f'<div class="scroll"><table>\n{chr(10).join(rows)}\n</table></div>\n</body></html>\n'
    )


def _axes(axes: Axes) -> str:
    """Return what varies, by name, with its first labels."""
    varied = [axis for axis in (axes.prompts, *axes.axes) if len(axis) > 1]
    return f"<p>Varied: {escape(DOT.join(map(axis_words, varied)))}</p>\n" if varied else ""


def _rows(layout: Layout, cells: Sequence[Cell], files: Mapping[int, str]) -> list[str]:
    span = f' colspan="{layout.span}"' if layout.span > 1 else ""
    head = "".join(f'<th scope="col"{span}>{escape(label)}</th>' for label in layout.columns)
    rows = [f"<tr><td class='corner'>{escape(layout.corner)}</td>{head}</tr>"] if head else []
    marks, at = marks_of(cells), 0
    for number, line in enumerate(lines_of(layout, cells)):
        label = f'<th scope="row">{escape(layout.rows[number])}</th>' if head else ""
        places = []
        for cell in line:
            places.append(_place(cell, files, layout.caption(at), marks.get(cell.index, ())))
            at += 1
        rows.append(f"<tr>{label}{''.join(places)}</tr>")
    return rows


def _counted(cells: Sequence[Cell]) -> str:
    outcomes = [cell.outcome for cell in cells]
    told = ", ".join(f"{outcomes.count(one):,} {one}" for one in dict.fromkeys(outcomes))
    return f"{len(cells):,} cell{'' if len(cells) == 1 else 's'}: {told or 'none'}."


def _place(cell: Cell, files: Mapping[int, str], caption: str, marks: Sequence[str]) -> str:
    alt, prompt = escape(alt_words(cell)), escape(clean(cell.prompt))
    labels = f"<b>{escape(caption)}</b><br>" if caption else ""
    below = f"{labels}{prompt}" + "".join(f'<span class="mark">{escape(mark)}</span>' for mark in marks)
    file = files.get(cell.index, "")
    if not file.endswith(_SHOWN_AS_IMAGE):
        told = "its file could not be read" if cell.outcome == "done" and not file else reason_words(cell)
        return f'<td><div class="none {escape(cell.outcome)}"><p>{escape(told)}</p></div><p>{below}</p></td>'
    source = escape(quote(file))
    picture = f'<a href="{source}"><img src="{source}" alt="{alt}" loading="lazy" decoding="async"></a>'
    return f"<td><figure>{picture}<figcaption>{below}</figcaption></figure></td>"
