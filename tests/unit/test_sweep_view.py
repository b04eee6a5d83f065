"""What is to be seen of a sweep: where its cells stand, what is said of it, what travels to the browser, what is kept."""

from __future__ import annotations

import gc
import io
import re
import weakref
from typing import Any

import pytest

from gradient_notebook import Sweep, configure, sweep
from gradient_notebook.notebook import sweep_line, sweep_sheet, sweep_words
from gradient_notebook.notebook.grid_layout import MOST_COLUMNS, Layout, layout_of
from gradient_notebook.notebook.sweep_view import show_sweep
from gradient_notebook.notebook.widgets import grid
from gradient_notebook.simulator import Simulator

REFUSED = {"status": 400, "body": {"error": {"code": "moderation_blocked", "message": "No <b>."}}}
UNKNOWN = {"cut": "before_headers"}
SMALL = {"quality": "low", "size": "1024x1024"}


def planned(prompt: Any = "{{a}} {{b}}", **axes: Any) -> Sweep:
    return sweep(prompt, start=False, yes=True, **axes)


def labeled(layout: Layout) -> tuple[list[str], list[str], int]:
    return layout.columns or layout.captions, layout.rows, layout.across


@pytest.mark.parametrize(
    ("axes", "expected"),
    [
        ({"a": ["x", "y"], "b": ["1", "2"]}, (["1", "2"], ["x", "y"], 2)),
        ({"a": ["x", "y"], "b": "1"}, (["x", "y"], [""], 2)),
        ({"a": ["x", "y"], "b": "1", "repeat": 3}, (["1", "2", "3"], ["x", "y"], 3)),
        ({"a": ["x", "y"], "b": ["1", "2"], "repeat": 2}, (["1", "2"], ["x", "y"], 4)),
        ({"a": ["x", "y"], "b": [1, 2.5]}, (["b 1", "b 2.5"], ["x", "y"], 2)),
        ({"a": ["x", "y"], "b": ["1", "2"], "pair": True}, (["x · 1", "y · 2"], [""], 2)),
        ({"a": "x", "b": "y", "repeat": 2}, (["1", "2"], [""], 2)),
        (
            {"a": ["x", "y"], "b": ["1", "2"], "quality": ["low", "high"]},
            (["1 · low", "1 · high", "2 · low", "2 · high"], ["x", "y"], 4),
        ),
        (
            {"a": ["x", "y"], "b": list("12345"), "quality": ["low", "high"]},
            (["low", "high"], [f"{a} · {b}" for a in "xy" for b in "12345"], 2),
        ),
        ({"a": ["x", "y"], "b": {"A": 1, "B": 2}}, (["A", "B"], ["x", "y"], 2)),
    ],
)
def test_axes_stand_across_and_down(configured: Simulator, axes: dict[str, Any], expected: Any) -> None:
    """The last across, the others down; one alone wraps, with captions; few columns take the axis before them along."""
    assert labeled(layout_of(planned(**axes))) == expected


def test_what_is_too_wide_wraps_below_headings(configured: Simulator) -> None:
    """However many there are, each has its caption, and each row its heading."""
    wide = list(map(str, range(MOST_COLUMNS + 1)))
    assert labeled(layout_of(planned(a=["x", "y"], b=wide))) == (wide, ["x", "y"], len(wide))
    assert labeled(layout_of(planned(a=["x", "y"], b="1", repeat=13)))[1:] == (["x", "y"], 13)
    layout = layout_of(planned(a=["x", "y"], b=wide[:10], repeat=2))
    assert (layout.columns, len(layout.rows), layout.rows[0]) == (["1", "2"], 20, "x · 0")


def test_rows_of_a_table_are_called_by_their_words(configured: Simulator) -> None:
    """By those that the prompt takes; by their numbers where it takes none."""
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"animal": ["fox", "otter"], "q": ["low", "high"]})
    made = sweep(table, "a {{animal}}", columns={"quality": "q"}, start=False)
    assert labeled(layout_of(made)) == (["fox", "otter"], [""], 2)
    made = sweep(table, "an animal", columns={"quality": "q"}, start=False)
    assert layout_of(made).captions == ["row 0", "row 1"]


def test_each_moment_has_its_words(configured: Simulator) -> None:
    """Before it starts the plan; at the end what came, with tokens; what is reused was billed before."""
    configure(prices={"input_text_tokens": 5, "output_image_tokens": 40})
    study = planned("{{a}}", a=["x", "y"], **SMALL)
    assert sweep_words.totals(study)[:2] == ["Not started", "2 images to make"]
    assert sweep_words.left_s(study) is None
    study.result()
    assert sweep_words.totals(study)[0] == "2 of 2 done"
    assert re.search(r" · [\d,]+ tokens · \$0\.\d+ · [\d.]+ s$", " · ".join(sweep_words.line(study)))
    again = planned("{{a}}", a=["x", "y"], **SMALL)
    assert sweep_words.line(again) == ["2 of 2 done", "2 reused, not billed"]


def test_a_title_has_what_was_written(configured: Simulator) -> None:
    """Words that hold for all are filled in, axes keep their braces, varied parameters have their values."""
    made = planned("{{a}} in {{b}}", a=["x", "y"], b="ink", quality=["low", "high"], size=["1024x1024"])
    assert sweep_words.title(made) == "{{a}} in ink · quality low, high · size 1024x1024"


@pytest.fixture
def failed(configured: Simulator) -> Sweep:
    """A sweep of which one was refused, one has no answer, and one is there."""
    configure(concurrency=1)
    configured.script([REFUSED, UNKNOWN])
    return planned("{{a}}", a=["x", "y", "z"], **SMALL).result()


def test_a_cell_without_an_image_says_why(failed: Sweep) -> None:
    """In the grid's words, in the page's, and as text."""
    assert [cell.outcome for cell in failed] == ["refused", "unknown", "done"]
    assert sweep_words.reason(failed[0]).startswith("refused: ")
    assert [sweep_words.reason(cell) for cell in failed[1:]] == ["no answer", ""]
    assert sweep_words.note(failed[1]).startswith("may be billed · record ")
    shown = show_sweep(failed)
    assert "No &lt;b&gt;." in shown["text/html"]
    assert shown["text/html"].count("<img") == 1
    assert "1 of 3 done · 1 refused · 1 without an answer" in shown["text/plain"]


def test_what_is_kept_of_many_is_bounded_and_says_what_is_left_out(configured: Simulator) -> None:
    """A thousand cells do not make a notebook of megabytes."""
    study = planned("{{a}}", a=range(70), **SMALL).result()
    page = sweep_sheet.sheet_of(study)["text/html"]
    assert (page.count("<img"), "10 more are not shown here." in page) == (sweep_sheet.MOST_CELLS, True)
    assert len(page) < 250_000


def test_only_cells_that_are_looked_at_are_sent_with_their_pictures(
    configured: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No trait has a picture; what somebody has scrolled past is not sent, and not made."""
    study = planned("{{a}}", a=range(120), **SMALL).result()
    sent: list[tuple[dict[str, Any], list[bytes]]] = []
    monkeypatch.setattr(grid.Grid, "send", lambda _, content, buffers=(): sent.append((content, list(buffers))))
    monkeypatch.setattr(grid.Background, "ask", lambda _: None)  # this test says when
    shown = grid.SweepGrid(study)

    def looks_at(view: str, *cells: int) -> list[int]:
        shown._seen({"view": view, "at": list(cells), "lacking": list(cells)})
        sent.clear()
        while shown._wanted:
            shown.update()
        assert [len(buffers) for _, buffers in sent] == [len(content["cells"]) for content, _ in sent]
        assert all(data[:2] == b"\xff\xd8" for _, buffers in sent for data in buffers)
        return [cell["at"] for content, _ in sent for cell in content["cells"]]

    shown._seen({"view": "1", "at": [0, 1], "lacking": [0, 1]})  # passed by, before anything was sent
    assert looks_at("1", 100, 101) == [100, 101]
    shown._seen({"view": "1", "at": [0], "lacking": [0]})
    assert sorted(looks_at("2", 119)) == [0, 119]
    assert looks_at("2", 500, -1) == []
    assert len(study._archive.ledger.thumbnails([cell.paths[0].name for cell in study])) == 4
    shown.view.close()


def test_the_grid_does_not_keep_a_sweep_alive(configured: Simulator) -> None:
    """A widget lives as long as its kernel: the sweep behind it need not."""
    study = planned("{{a}}", a=["x"], **SMALL)
    shown, there = grid.SweepGrid(study), weakref.ref(study)
    del study
    gc.collect()
    assert there() is None
    shown.view.actions["do"]({"type": "do", "what": "start"})
    shown.view.close()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_has_one_line_that_stays_at_the_end(configured: Simulator) -> None:
    """It is written over itself; where nobody sees it, nothing is written."""
    terminal, elsewhere = Terminal(), io.StringIO()
    study = planned("{{a}}", a=range(5), **SMALL)
    sweep_line.watch_sweep(study, elsewhere)
    sweep_line.watch_sweep(study, terminal)
    sweep_line.watch_sweep(study, terminal)  # who waits twice sees it once
    study.result()
    said = terminal.getvalue()
    assert said.count("\n") == 1
    assert re.search(r"\r\x1b\[K\[#{20}\] 5 of 5 done · .* tokens · .* s\n$", said)
    assert elsewhere.getvalue() == ""


def test_observers_hear_of_a_pause_and_of_the_end(configured: Simulator) -> None:
    """A grid would go on counting otherwise."""
    heard: list[str] = []
    study = planned("{{a}}", a=range(5), **SMALL)
    study._observe(lambda one, _: heard.append(one.status))
    study.start()
    study.pause()
    study.resume()
    study.result()
    assert heard[-1] == "done"
