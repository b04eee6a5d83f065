"""What a prompt holds controls nothing where it is shown: no terminal, no page, no line around it."""

from __future__ import annotations

import contextlib
import re
import sqlite3

import gradient_notebook as gn
from gradient_notebook.notebook import formatting, html, static_output
from gradient_notebook.simulator import Simulator
from gradient_notebook.storage.archive import get_default

_EVIL_PROMPT = "a \x1b[31mred\x1b]0;title\x07 \x9b2J fox\u202e txt \x07\n\u2066on two lines"
_CONTROLLING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def test_a_prompt_controls_nothing_where_it_is_shown(configured: Simulator) -> None:
    """In text, in alternative texts, in the history's lines, pictures and tooltips, and in the code of it."""
    job = gn.submit(_EVIL_PROMPT, quality="low")
    job.result()
    data, metadata = static_output.image_of(job, 64)
    shown = [data["text/plain"], *(values["alt"] for values in metadata.values())]
    (entry,) = gn.history()
    assert entry.prompt == configured.posts[0].body["prompt"] == _EVIL_PROMPT
    for bundle in (entry._repr_mimebundle_(), gn.history()._repr_mimebundle_(), html.record(["fox"], job.params)):
        shown += [bundle["text/plain"], bundle["text/html"]]
    shown += [repr(entry), repr(job), entry.as_cell(), entry.as_python(), formatting.Box(_EVIL_PROMPT).text]
    for text in shown:
        assert not _CONTROLLING.search(text), text
    assert re.sub(r"\s+", " ", data["text/plain"]) == "a red fox txt on two lines"


def test_a_damaged_ledger_controls_nothing_where_it_is_named(configured: Simulator) -> None:
    """What somebody has written into it is shown as any text from elsewhere."""
    gn.generate("fox", quality="low")
    with contextlib.closing(sqlite3.connect(get_default().ledger.path)) as connection:
        connection.execute("UPDATE generations SET id = char(27) || '[2J' || char(8238), model = 7")
        connection.commit()
    found = gn.history()
    bundle = found._repr_mimebundle_()
    for text in (repr(found), *found.notes, bundle["text/plain"], bundle["text/html"]):
        assert not _CONTROLLING.search(text), text
