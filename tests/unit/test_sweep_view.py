"""What is to be seen of a sweep: where its cells stand, what is said of it, what travels to the browser, what is kept."""

from __future__ import annotations

import gc
import io
import re
import threading
import weakref
from pathlib import Path
from typing import Any

import pytest

from gradient_notebook import Cells, Sweep, configure, sweep
from gradient_notebook.notebook import sweep_line, sweep_sheet, sweep_words
from gradient_notebook.notebook.sweep_cell import show_cell
from gradient_notebook.notebook.sweep_view import show_sweep
from gradient_notebook.notebook.widgets import grid
from gradient_notebook.notebook.widgets.grid import state_of
from gradient_notebook.simulator import Simulator
from gradient_notebook.sweeps import layout
from gradient_notebook.sweeps.layout import MOST_COLUMNS, Layout
from gradient_notebook.sweeps.marks import score_words

REFUSED = {"status": 400, "body": {"error": {"code": "moderation_blocked", "message": "No <b>."}}}
UNKNOWN = {"cut": "before_headers"}
SMALL = {"quality": "low", "size": "1024x1024"}


def planned(prompt: Any = "{{a}} {{b}}", **axes: Any) -> Sweep:
    return sweep(prompt, start=False, yes=True, **axes)


def layout_of(cells: Cells) -> Layout:
    return layout.layout_of(cells._cells, cells._axes)


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


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (lambda study: study.sel(a="y"), (["1", "2", "3"], [""], 3)),
        (lambda study: study.sel(b=["1", "3"]), (["1", "3"], ["x", "y"], 2)),
        (lambda study: study[:5], (["1", "2", "3"], ["x", "y"], 3)),
        (lambda study: study[::-1], (["3", "2", "1"], ["y", "x"], 3)),
        (lambda study: study[1:5], (["x · 2", "x · 3", "y · 1", "y · 2"], [""], 4)),
        (lambda study: study[2:1], ([""], [""], 1)),
        (lambda study: study[4:5], ([""], [""], 1)),
    ],
)
def test_a_part_stands_as_the_whole_does(configured: Simulator, part: Any, expected: Any) -> None:
    """As a table where it has every combination of its labels, up to where it ends; else each cell has all of them."""
    assert labeled(layout_of(part(planned(a=["x", "y"], b=["1", "2", "3"])))) == expected


def test_cells_that_are_alike_are_numbered(configured: Simulator) -> None:
    """Also where a part does not have all of them, or two axes go in pairs."""
    study = planned(a=["x", "y"], b="1", repeat=2)
    assert layout_of(study[1:]).captions == ["x · 2", "y · 1", "y · 2"]
    assert layout_of(planned(a=["x", "y"], b=["1", "2"], pair=True, repeat=2)).captions[1:3] == [
        "x · 1 · 2",
        "y · 2 · 1",
    ]


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


@pytest.fixture
def marked(configured: Simulator) -> Sweep:
    """A sweep whose cells have scores, and one of them stars."""
    study = planned("{{a}} {{b}}", a=["x", "y"], b=["1", "2"], **SMALL).result()
    study[0].stars = 3
    study.score(lambda _: 12345.678, name="clarity")
    return study.score(lambda _: 0.012345, name="contrast")


def test_scores_and_stars_stand_under_the_pictures(marked: Sweep, tmp_path: Path) -> None:
    """On what stays in a notebook, on the sheet, in words, and on the page of a folder; in as many digits as tell them apart."""
    said = "clarity 12,346 · contrast 0.0123"
    page = show_sweep(marked)["text/html"]
    assert (page.count(said), page.count(f"★★★ 3 stars · {said}")) == (4, 1)
    assert "scores clarity, contrast" in show_sweep(marked)["text/plain"]
    alt = marked.grid().alt
    assert alt.count("clarity 12,346, contrast 0.0123") == 4
    assert alt.count("★★★") == 1
    marked.save(tmp_path / "out")
    saved = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert [saved.count(f">{mark}<") for mark in ("clarity 12,346", "contrast 0.0123", "★★★ 3 stars")] == [4, 4, 1]


def test_a_sheet_has_room_for_what_stands_under_its_pictures(marked: Sweep) -> None:
    """A line for each score, and one for the stars."""
    before = planned("{{a}} {{b}}", a=["x", "y"], b=["1", "2"], **SMALL)
    before[0].stars = None
    assert marked.grid(64).height > before.grid(64).height + 4 * 10


def test_a_grid_has_a_line_for_each_score(marked: Sweep) -> None:
    """Beside the one that each picture has: none is cut off by another."""
    assert state_of(marked)["lines_below"] == 3
    assert state_of(planned("{{a}}", a=["x", "z"], **SMALL))["lines_below"] == 1


def test_a_sweep_says_what_was_measured(marked: Sweep) -> None:
    """Shown by itself, as text, and where nothing is asked to be measured."""
    assert repr(marked.score()).endswith("4 done, scored by clarity, contrast>")
    assert repr(marked.sel(a="x")) == "<Cells: 2 cells, 2 done, scored by clarity, contrast>"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        *[
            (3, "3"),
            (12345, "12,345"),
            (99.96, "100"),
            (1234.5, "1,234"),
            (33.0, "33.0"),
            (-2.0, "-2.00"),
            (0.0, "0.00"),
        ],
        *[(float("nan"), "–"), (None, "–"), ("f0e1" * 4, "f0e1" * 4), (1e-7, "1.00e-07"), (1e300, "1e+300")],
        *[(2**63 - 1, "9.22e+18"), (float("-inf"), "-inf")],
    ],
)
def test_a_score_has_as_many_digits_as_are_read(value: Any, said: str) -> None:
    """Three, and all of a large number's that can be read; what is missing is a dash."""
    assert score_words(value) == said


def test_a_grid_shows_a_new_score(configured: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under the pictures that somebody looks at, without being shown again."""
    study = planned("{{a}}", a=["x", "y"], **SMALL).result()
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(grid.Grid, "send", lambda _, content, **__: sent.append(content))
    monkeypatch.setattr(grid.Background, "ask", lambda _: None)
    shown = grid.SweepGrid(study)
    shown._seen({"view": "1", "at": [0], "lacking": []})
    shown.update()
    sent.clear()
    study.score(lambda _: 7, name="luck")
    shown.update()
    assert [cell["note"].split("\n")[-1] for content in sent for cell in content["cells"]] == ["luck 7"]
    shown.view.close()


def test_a_page_says_what_was_varied(configured: Simulator, tmp_path: Path) -> None:
    """The prompt as it was written, the axes with their labels, and which of them go across and down."""
    study = planned("A {{a}} in {{b}} {{c}}", a=["fox", "owl"], b=["ink", "oil"], c="dots", **SMALL).result()
    study.save(tmp_path / "all")
    page = (tmp_path / "all" / "index.html").read_text(encoding="utf-8")
    assert "<h1>A {{a}} in {{b}} dots</h1>" in page
    assert "<p>Varied: a fox, owl · b ink, oil</p>" in page
    assert ">a / b</td>" in page
    study.sel(a="fox").save(tmp_path / "some")
    assert "dots · fox</h1>" in (tmp_path / "some" / "index.html").read_text(encoding="utf-8")


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


def test_a_part_shows_as_the_whole_does(failed: Sweep) -> None:
    """Its pictures with labels and alternative texts, how many there are of it, and what failed; one cell has a caption."""
    for part in (failed[1:], failed.sel(a=["y", "z"])):
        shown = show_sweep(part)
        assert re.findall(r'alt="([^"]*)"', shown["text/html"]) == ["z"]
        assert "1 of 2 done · 1 without an answer" in shown["text/html"]
        assert ">no answer<" in shown["text/html"]
    assert "<b" in show_sweep(failed[2:])["text/html"]
    assert "{{a}} · z" in show_sweep(failed.sel(a="z"))["text/plain"]
    assert "0 of 0 done" in show_sweep(failed.sel(a="z")[1:])["text/plain"]


def test_a_cell_shows_as_its_picture_with_what_it_is(failed: Sweep, marked: Sweep) -> None:
    """Its labels, settings, tokens, marks and record; one without an image says why; a file that is gone is told."""
    shown = show_cell(marked[0])
    assert re.findall(r'<img src="data:image/jpeg;base64,[^"]+" alt="([^"]*)"', shown["text/html"]) == ["x · 1: x 1"]
    assert re.search(
        r"x · 1 · .*size 1024x1024 · quality low · done · .* tok.* · record \w{6} · ★★★ 3 stars · clarity",
        shown["text/plain"],
    )
    assert "<img" not in show_cell(failed[0])["text/html"]
    assert "refused: " in show_cell(failed[0])["text/plain"]
    assert "No &lt;b&gt;." in show_cell(failed[0])["text/html"]
    marked[1].paths[0].unlink()
    assert "The original file is not available" in show_cell(marked[1])["text/plain"]
    assert "queued" in show_cell(planned("{{a}}", a=["q"])[0])["text/plain"]


class Sent:
    """What a grid sends to the browser; it works when a test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.messages: list[tuple[dict[str, Any], list[bytes]]] = []
        monkeypatch.setattr(
            grid.Grid, "send", lambda _, content, buffers=(): self.messages.append((content, list(buffers)))
        )
        monkeypatch.setattr(grid.Background, "ask", lambda _: None)

    def cells(self, shown: grid.SweepGrid) -> list[dict[str, Any]]:
        """Return what is sent of cells from now on, until there is nothing more to send."""
        self.messages.clear()
        while shown._wanted:
            shown.update()
        return [cell for content, _ in self.messages for cell in content["cells"]]


STOPS = {"cut": "between_events", "silence": True}
"""After the first partial image nothing more comes."""


def seen_to_run(study: Sweep) -> None:
    """Return when each of its cells has a partial image."""
    changed = threading.Event()
    study._observe(lambda *_: changed.set())
    study.start()
    while not all(study._partial_of(cell.index) for cell in study):
        assert changed.wait(30)
        changed.clear()


def test_a_cell_that_runs_shows_its_newest_partial_image(
    configured: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small, to who looks at it, with dots for what has come; no trait has it, and nothing is kept of it."""
    configured.script([STOPS] * 3)
    sent = Sent(monkeypatch)
    study = planned("{{a}}", a=["x", "y", "z"], stream=True, partial_images=2, **SMALL)
    shown = grid.SweepGrid(study)
    shown._seen({"view": "1", "at": [1], "lacking": []})
    seen_to_run(study)
    (told,) = sent.cells(shown)
    assert (told["at"], told["outcome"], told["note"], told["mime"]) == (1, "r", "●○", "image/jpeg")
    ((_, (picture,)),) = sent.messages
    assert len(picture) < 40_000
    assert sent.cells(shown) == []
    shown._seen({"view": "1", "at": [1, 2], "lacking": []})  # scrolled: what comes into view is sent
    assert [told["at"] for told in sent.cells(shown)] == [2]
    assert not any(isinstance(value, bytes) for value in shown.view.trait_values().values())
    study.cancel()
    study._wait()
    assert [cell for cell in sent.cells(shown) if cell["outcome"] == "r"] == []
    assert study._partial_of(1) is None
    shown.view.close()


def test_a_grid_of_a_part_tells_of_its_cells_alone(configured: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """By their places in it; it has no button, since those would be for all of the sweep."""
    configured.script([STOPS] * 4)
    sent = Sent(monkeypatch)
    study = planned("{{a}}", a=list("wxyz"), stream=True, partial_images=2, **SMALL)
    part = study[2:]
    shown = grid.SweepGrid(part)
    shown._seen({"view": "1", "at": [0, 1], "lacking": []})
    seen_to_run(study)
    shown.update()
    assert sorted(cell["at"] for content, _ in sent.messages for cell in content["cells"]) == [0, 1]
    assert (shown.view.outcomes, shown.view.plan["part"], shown.view.state["parts"][:1]) == (
        "rr",
        True,
        ["0 of 2 done"],
    )
    shown.view.actions["do"]({"type": "do", "what": "cancel"})
    assert study.status == "running"
    study.cancel()
    study._wait()
    shown.update()
    assert shown.view.outcomes in ("cc", "uu")
    shown.view.close()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_has_one_line_that_stays_at_the_end(configured: Simulator) -> None:
    """It is written over itself; where nobody sees it, nothing is written."""
    terminal, elsewhere = Terminal(), io.StringIO()
    study = planned("{{a}}", a=range(5), **SMALL)
    sweep_line.write_line(study, elsewhere)
    sweep_line.write_line(study, terminal)
    sweep_line.write_line(study, terminal)  # who waits twice sees it once
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
