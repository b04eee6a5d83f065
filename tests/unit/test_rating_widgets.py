"""Stars, tags and notes that are given in a browser: kept by image, seen wherever it is shown, refused in words."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from gradient_notebook import GradientNotebookError, Sweep, configure, generate, history, session, show
from gradient_notebook.history.query import History
from gradient_notebook.notebook import history_shown, history_view, sweep_sheet, sweep_view
from gradient_notebook.notebook.widgets import background
from gradient_notebook.notebook.widgets.grid import SweepGrid
from gradient_notebook.notebook.widgets.history import HistoryCards
from gradient_notebook.notebook.widgets.panel import Panel
from gradient_notebook.simulator import Simulator
from gradient_notebook.storage.archive import get_default
from gradient_notebook.storage.ledger import Ledger
from gradient_notebook.storage.ratings import Rating
from gradient_notebook.storage.schema import VERSION

from .test_panel import Wire, ask, shelled, wired
from .test_sweeps import REFUSED, misbehaving, numbered

__all__ = ["misbehaving"]

wire = pytest.fixture(wired)
shell = pytest.fixture(shelled)


class Grid:
    """The grid of a sweep, as a browser talks to it."""

    def __init__(self, study: Sweep, wire: Wire) -> None:
        self.shown, self.wire = SweepGrid(study), wire
        self.view = self.shown.view
        while self.shown._wanted:
            self.shown.update()

    def rate(self, image: Any, **change: Any) -> str | None:
        """Give something to an image, and return what is said of it where it is not kept."""
        self.view._handle_custom_msg({"type": "rate", "id": "1", "image": image, **change}, [])
        error: str | None = self.wire.answers("1")[-1][0].get("error")
        return error

    def stars(self) -> dict[str, int | None]:
        return {name: rating["stars"] for name, rating in self.view.ratings.items()}


@pytest.fixture
def study(configured: Simulator) -> Sweep:
    return numbered(3).result()


@pytest.fixture
def grid(study: Sweep, wire: Wire) -> Grid:
    return Grid(study, wire)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done on a thread of its own is done when it is asked for."""
    monkeypatch.setattr(background.Background, "ask", lambda self: self._work())


def test_what_is_given_in_a_grid_is_kept_by_image(study: Sweep, grid: Grid) -> None:
    """What is not given stays; None takes stars away."""
    assert grid.rate("1", stars=4) is None
    assert grid.rate("1", tags=["cover", "print"]) is None
    assert grid.rate("2", note="Warm.") is None
    assert (study[1].stars, study[1].tags, study[2].note) == (4, ("cover", "print"), "Warm.")
    assert history("hill 1")[0].rating == Rating(stars=4, tags=("cover", "print"))
    assert grid.stars() == {"1": 4, "2": None}
    grid.rate("1", stars=None, tags=[])
    assert grid.stars() == {"2": None}


@pytest.mark.parametrize(
    ("image", "change", "words"),
    [
        ("1", {"stars": 6}, "stars=6: expected 0 to 5"),
        ("1", {"stars": "4"}, "stars='4': expected 0 to 5"),
        ("1", {"tags": "cover"}, "tags='cover': expected a list of words"),
        ("1", {"tags": ["x" * 81]}, "expected 1 to 80 characters"),
        ("1", {"note": ["a"]}, "expected text of at most 10,000 characters"),
        ("7", {"stars": 1}, "no image here that the archive keeps\nRatings are kept beside images."),
        (None, {"stars": 1}, "no image here that the archive keeps"),
        ("1", {"stars": {}}, "stars={}: expected 0 to 5"),
    ],
)
def test_what_cannot_be_given_is_told_and_changes_nothing(
    study: Sweep, grid: Grid, image: Any, change: dict[str, Any], words: str
) -> None:
    """In the answer that the browser waits for: what it has shown before goes back there."""
    study[1].stars = 2
    assert words in (grid.rate(image, **change) or "")
    assert (study[1].stars, grid.stars()) == (2, {"1": 2})


def read_only(_: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Ledger, "write", refuse)


def newer(study: Sweep, _: pytest.MonkeyPatch) -> None:
    archive = study._archive
    assert archive
    with sqlite3.connect(archive.ledger.path) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()


def deleted(_: Sweep, __: pytest.MonkeyPatch) -> None:
    history("hill 1").delete()


NOT_TAKEN: dict[str, tuple[Callable[..., None], str, int | None]] = {
    "read-only": (read_only, "The rating could not be kept: [Errno 30] Read-only file system", 2),
    "newer": (newer, "of a newer gradient_notebook: it is only read", 2),
    "deleted": (deleted, "There is no record of this image any more\nIt was deleted, and ratings with it.", None),
}


@pytest.mark.parametrize("why", NOT_TAKEN)
def test_what_the_ledger_does_not_take_is_told(
    study: Sweep, grid: Grid, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    """And what there is is shown again."""
    happens, words, left = NOT_TAKEN[why]
    grid.rate("1", stars=2)
    happens(study, monkeypatch)
    assert words in (grid.rate("1", stars=5) or "")
    assert grid.stars().get("1") == left


def test_what_has_no_image_cannot_be_rated(misbehaving: Any, wire: Wire) -> None:
    """A refused cell, and all cells where there is no archive."""
    misbehaving([REFUSED])
    assert "no image here" in (Grid(numbered(1).result(), wire).rate("0", stars=3) or "")
    configure(archive=False)
    made = numbered(1).result()
    assert made[0].outcome == "done"
    assert "no image here" in (Grid(made, wire).rate("0", stars=3) or "")


def test_an_image_that_is_made_again_has_stars_of_its_own(misbehaving: Any, wire: Wire) -> None:
    """A cell that was refused before can be rated as soon as it has an image."""
    misbehaving([{"status": 400, "body": {"id": "bad_request", "message": "Not this one."}}])
    study = numbered(1).result()
    grid = Grid(study, wire)
    study.retry()
    study.result()
    grid.shown._seen({"view": "1", "at": [0], "lacking": [0]})
    while grid.shown._wanted:
        grid.shown.update()
    assert grid.rate("0", stars=3) is None
    assert study[0].stars == 3


def test_all_that_show_an_image_agree(study: Sweep, grid: Grid, wire: Wire) -> None:
    """Another grid, the history, and what is given by Python; what another process gives is seen when it is shown again."""
    other = Grid(numbered(2).result(), wire)
    cards = HistoryCards(list(history("hill 1")), study._archive, 0, [])  # type: ignore[arg-type]
    name = f"{study[1].record_id}.0"
    grid.rate("1", stars=4)
    assert (other.stars(), cards.view.ratings[name]["stars"]) == ({"1": 4}, 4)
    study[1].stars = 1
    assert (grid.stars(), cards.view.ratings[name]["stars"]) == ({"1": 1}, 1)
    assert study._archive
    study._archive.ledger.write(lambda connection: connection.execute("UPDATE ratings SET stars = 5"))
    assert grid.stars() == {"1": 1}
    grid.shown.rater.refresh()
    assert grid.stars() == {"1": 5}


def test_the_gallery_rates_its_finished_images(configured: Simulator, shell: InteractiveShell, wire: Wire) -> None:
    """By its names for them; one that did not come has no stars; a new panel has them again."""
    configured.script([None, REFUSED])
    panel = Panel("otter", prompt="A fox", n=2, quality="low", size="1024x1024")
    panel.generate().exception()
    ask(panel, "rate", id="1", image="1.0", stars=5)
    ask(panel, "rate", id="2", image="1.1", stars=5)
    done = [tile["status"] for tile in panel._gallery.finished[0]["tiles"]].index("done")
    assert panel._gallery.ratings == {f"1.{done}": {"stars": 5, "tags": (), "note": ""}}
    assert history("fox")[0].rating.stars == 5
    [error] = [content["error"] for one in "12" for content, _ in wire.answers(one) if "error" in content]
    assert "no image here" in error
    again = Panel("otter")
    assert again._bringing_back
    again._bringing_back.result()
    assert [rating["stars"] for rating in again._gallery.ratings.values()] == [5]
    assert again._gallery.ratings.keys() == {"1.0"}  # only what came is there


def test_the_history_shows_each_image_and_rates_it(configured: Simulator, wire: Wire) -> None:
    """All of a generation, by their positions; a partial one has no stars; no trait has a picture."""
    configured.script([None, {"cut": "in_final"}])
    generate("hill", n=2, quality="low", size="1024x1024")
    with pytest.raises(GradientNotebookError):
        generate("lake", quality="low", stream=True, partial_images=1)
    archive = get_default()
    assert archive
    cards = HistoryCards(list(history()), archive, 0, ["1 older"])
    shown = [(entry["prompt"], entry["number"], entry["rated"]) for entry in cards.view.entries]
    assert shown == [("lake", "[0]", False), ("hill", "[1]", True), ("hill", "[1]", True)]
    names = [entry["name"] for entry in cards.view.entries]
    for name in names:
        cards.view._handle_custom_msg({"type": "rate", "id": name, "image": name, "stars": 3}, [])
    assert "no image here" in wire.answers(names[0])[0][0]["error"]
    assert list(cards.view.ratings) == names[1:]
    cards.view._handle_custom_msg({"type": "picture", "key": names[2]}, [])
    cards.view._handle_custom_msg({"type": "original", "id": "o", "image": names[2]}, [])
    [_, _, pictures] = wire[-2]
    assert pictures[0][:2] == b"\xff\xd8"
    assert wire.answers("o")[0][1] == [history("hill")[0].paths[1].read_bytes()]
    assert len(str(cards.view.get_state())) - len(str(cards.view._esm)) - len(str(cards.view._css)) < 10_000


def test_an_original_that_is_gone_is_told(configured: Simulator, wire: Wire) -> None:
    """Whoever looks at it large keeps the small picture."""
    generate("hill", quality="low")
    entry = history()[0]
    cards = HistoryCards([entry], entry._archive, 0, [])
    entry.paths[0].unlink()
    cards.view._handle_custom_msg({"type": "original", "id": "o", "image": f"{entry.id}.0"}, [])
    assert wire.answers("o")[0][0]["error"].startswith("The original file is missing")


class Places(list[str]):
    """What stands behind a widget, as it is brought up to date."""

    def update(self, image: tuple[dict[str, str], Any], _: Any) -> None:
        self.append(image[0]["text/html"])


def test_what_stands_behind_a_widget_follows(study: Sweep, wire: Wire, at_once: None) -> None:
    """What a saved notebook shows has the stars that were given after the cell had run."""
    shown = sweep_view.shown_of(study)
    entry = history("hill 1")[0]
    cards = history_shown.HistoryShown([entry], entry._archive, {"first": 0})
    behind = Places(), Places()
    shown._places, cards._place = [behind[0]], behind[1]  # type: ignore[list-item, assignment]
    study[1].stars = 3
    for pages in behind:
        assert "★★★" in pages[-1]


def test_a_history_that_is_shown_often_costs_no_more_for_each_star(study: Sweep, wire: Wire, at_once: None) -> None:
    """Each page has its pictures in it: only the newest follow. All widgets do."""
    entry = history("hill 1")[0]
    places = [Places() for _ in range(history_shown._MOST_PLACES + 2)]
    all_shown = [history_shown.HistoryShown([entry], entry._archive, {"first": 0}) for _ in places]
    for shown, place in zip(all_shown, places, strict=True):
        shown._place = place  # type: ignore[assignment]
    study[1].stars = 3
    assert [len(place) for place in places] == [0, 0] + [1] * history_shown._MOST_PLACES
    assert all(shown._cards.view.ratings for shown in all_shown)


def test_stars_tags_and_notes_stand_in_what_needs_no_kernel(
    study: Sweep, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As text, escaped: in the history as a page and as lines, under a sweep's pictures, and under those of `show`."""
    study[1].stars, study[1].tags, study[1].note = 1, ["<b>"], "Warm & wide."
    generate("lake", n=2, quality="low")
    history("lake")[0].rate(stars=0, image=1)
    expected = "★ 1 star · &lt;b&gt; · Warm &amp; wide."
    bundle = history()._repr_mimebundle_()
    assert expected in bundle["text/html"]
    assert "★ 1 star · <b> · Warm & wide." in bundle["text/plain"]
    assert "image 2: 0 stars" in bundle["text/plain"]
    assert bundle["text/html"].count("star") == 2
    assert "★" in sweep_sheet.sheet_of(study)["text/html"]
    shown: list[dict[str, str]] = []
    monkeypatch.setattr("IPython.display.display", lambda data, **_: shown.append(data))
    monkeypatch.setattr("gradient_notebook.notebook.execution.shows_pictures", lambda: True)
    show(study)
    show(history("lake"))
    assert expected in shown[0]["text/html"]
    assert shown[1]["text/html"].count("0 stars") == 1


def test_a_history_without_ratings_is_shown_all_the_same(
    study: Sweep, monkeypatch: pytest.MonkeyPatch, wire: Wire
) -> None:
    """Where they cannot be read, all else can."""

    def refuse(*_: Any) -> None:
        raise OSError("no")

    study[0].stars = 3
    for module in (history_view, "gradient_notebook.notebook.widgets.rating"):
        monkeypatch.setattr(f"{module}.ratings" if isinstance(module, str) else f"{module.__name__}.ratings", refuse)
    assert history()._repr_mimebundle_()["text/html"].count("<img") == 3
    assert Grid(study, wire).stars() == {}


def test_without_a_notebook_a_history_is_a_page(study: Sweep) -> None:
    """IPython makes it where nothing could be rated: in a terminal, in a program, and of nothing."""
    found: Sequence[History] = [history(), history("nothing like it")]
    for one in found:
        with pytest.raises(NotImplementedError):
            one._ipython_display_()
    assert session.archive
