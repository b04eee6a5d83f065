"""Ratings and votes: kept beside the records in the ledger, by image, and gone with them."""

from __future__ import annotations

import dataclasses
import random
import threading
from typing import Any

import pytest

from gradient_notebook import GradientNotebookError, InvalidRequestError, configure, generate, history, session, sweep
from gradient_notebook.simulator import Simulator
from gradient_notebook.storage.archive import get_default
from gradient_notebook.storage.ratings import Rating, rate, ratings

from .test_reuse import restart
from .test_sweeps import REFUSED, misbehaving, numbered

__all__ = ["misbehaving"]


def test_what_is_thought_of_an_image_is_there_in_every_kernel(configured: Simulator) -> None:
    """By a cell, by the history, by a table, by another sweep that has the same image."""
    study = numbered(2).result()
    study[1].stars, study[1].tags, study[1].note = 4, ["cover", "print", "cover"], "Warm light."
    restart()
    again = numbered(3).result()
    assert (again[1].stars, again[1].tags, again[1].note) == (4, ("cover", "print"), "Warm light.")
    assert (again[0].stars, again[0].tags, again[0].note) == (None, (), "")
    assert history("hill 1")[0].rating == Rating(stars=4, tags=("cover", "print"), note="Warm light.")
    row = again.to_frame().iloc[1]
    assert (row["stars"], row["tags"], row["note"]) == (4, ["cover", "print"], "Warm light.")


def test_an_entry_is_rated_by_image(configured: Simulator) -> None:
    """What is not given stays; each image has its own."""
    generate("hill", n=2, quality="low")
    entry = history()[0]
    entry.rate(stars=5, note="Yes.")
    entry.rate(tags=["cover"])
    entry.rate(stars=1, image=1)
    assert entry.rating == Rating(stars=5, tags=("cover",), note="Yes.")
    entry.rate(stars=None, tags=(), note="")
    assert entry.rating == Rating()
    with pytest.raises(InvalidRequestError, match="has 2"):
        entry.rate(stars=1, image=2)


def test_they_survive_a_record_that_is_written_again_and_go_with_one_that_is_deleted(configured: Simulator) -> None:
    """And none is kept for a record that is gone."""
    study = numbered(2).result()
    study[0].stars = 3
    archive = get_default()
    assert archive
    entry = history("hill 0")[0]
    archive.ledger.put(dataclasses.replace(entry.record, outcome="done"))
    assert study[0].stars == 3
    entry.delete()
    assert study[0].stars is None
    with pytest.raises(GradientNotebookError, match="no record of this image"):
        study[0].stars = 2


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("stars", 6, "expected 0 to 5"),
        ("stars", -1, "expected 0 to 5"),
        ("stars", True, "expected 0 to 5"),
        ("stars", 2.5, "expected 0 to 5"),
        ("stars", "4", "expected 0 to 5"),
        ("tags", "cover", "expected a list"),
        ("tags", 7, "expected a list"),
        ("tags", [""], "expected 1 to 80"),
        ("tags", ["x" * 81], "expected 1 to 80"),
        ("note", 7, "expected text"),
        ("note", "x" * 10_001, "expected text"),
        ("tags", ["cover", "sk-do-of-somebody"], "tags contains what looks like a key"),
        ("note", "Made with sk-do-of-somebody.", "note contains what looks like a key"),
    ],
)
def test_what_is_no_rating_is_refused(configured: Simulator, name: str, value: Any, words: str) -> None:
    """And what there was stays; a key is not repeated."""
    cell = numbered(1).result()[0]
    cell.stars = 2
    with pytest.raises(InvalidRequestError, match=words) as told:
        setattr(cell, name, value)
    assert "somebody" not in str(told.value)
    assert (cell.stars, cell.tags, cell.note) == (2, (), "")


def test_what_has_no_image_has_no_rating(misbehaving: Any) -> None:
    """Nor what no archive keeps."""
    misbehaving([REFUSED])
    study = numbered(1).result()
    assert study[0].stars is None
    with pytest.raises(InvalidRequestError, match="has no image"):
        study[0].stars = 1
    configure(archive=False)
    with pytest.raises(InvalidRequestError, match="has no image"):
        numbered(1).result()[0].stars = 1


def test_two_that_rate_at_once_keep_both(configured: Simulator) -> None:
    """Stars by one kernel and tags by another are two changes of one rating."""
    cell = numbered(1).result()[0]
    archive, key = get_default(), cell._key()
    assert archive
    assert key
    changes = [{"note": f"{number}"} for number in range(10)] + [{"stars": 3}, {"tags": ("a",)}]
    threads = [threading.Thread(target=rate, args=(archive.ledger, key), kwargs=change) for change in changes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = ratings(archive.ledger, [key])[key]
    assert (found.stars, found.tags, found.note.isdigit()) == (3, ("a",), True)


@pytest.mark.parametrize("table", ["texts", "ratings", "votes"])
def test_a_ledger_that_is_mended_keeps_them(configured: Simulator, table: str) -> None:
    """Nobody can give them again as they were; where their own table is gone, new ones can be given."""
    study = numbered(2).result()
    study[0].stars = 3
    study.prefer(study[0], study[1])
    archive = get_default()
    assert archive
    archive.ledger.write(lambda connection: connection.execute(f"DROP TABLE {table}"))
    assert len(history()) == 2
    assert study[0].stars == (None if table == "ratings" else 3)
    assert study.ranking["i"][0].won == (0 if table == "votes" else 1)
    assert archive.ledger.path.with_name("ledger.damaged-1.sqlite").exists()
    study[1].stars = 4
    study.prefer(study[0], study[1])
    assert study[1].stars == 4


def test_the_history_is_searched_by_stars(configured: Simulator) -> None:
    """At least so many, on any of a generation's images, together with all else; what has none is not found."""
    study = numbered(4).result()
    study[0].stars, study[1].stars, study[2].tags = 5, 3, ["cover"]
    generate("lake", n=2, quality="low")
    history("lake")[0].rate(stars=4, image=1)
    assert [entry.prompt for entry in history(stars=4)] == ["lake", "hill 0"]
    assert {entry.prompt for entry in history("hill", stars=0)} == {"hill 0", "hill 1"}
    assert len(history("hill 1", stars=4, outcome="done")) == 0
    assert repr(history(stars=4)[0]) == repr(history("lake")[0])
    with pytest.raises(InvalidRequestError, match="expected 0 to 5"):
        history(stars=7)


def test_the_best_have_the_most_stars(configured: Simulator) -> None:
    """All of them; none where nobody has given any."""
    study = numbered(4).result()
    assert len(study.best) == 0
    study[1].stars = study[3].stars = 4
    study[0].stars = 2
    assert [cell.index for cell in study.best] == [1, 3]
    assert [cell.index for cell in study[:1].best] == [0]


def test_votes_rank_the_labels_of_each_axis(configured: Simulator) -> None:
    """By what was preferred; votes between images of one label say nothing of it."""
    study = sweep("{{animal}} in {{style}}", animal=["fox", "owl"], style=["ink", "oil", "pen"], quality="low").result()
    order = {"pen": 0, "ink": 1, "oil": 2}
    random.seed(7)
    seen = []
    while pair := study.pair():
        better, worse = sorted(pair, key=lambda cell: order[cell.axes["style"]])
        if better.axes["style"] == worse.axes["style"]:
            better, worse = sorted(pair, key=lambda cell: cell.axes["animal"])
        study.prefer(better, worse)
        seen.append(frozenset((better.index, worse.index)))
    assert len(seen) == len(set(seen)) == 15
    restart()
    again = sweep("{{animal}} in {{style}}", animal=["fox", "owl"], style=["ink", "oil", "pen"], quality="low")
    styles = again.ranking["style"]
    assert [standing.label for standing in styles] == ["pen", "ink", "oil"]
    assert [(standing.won, standing.lost) for standing in styles] == [(8, 0), (4, 4), (0, 8)]
    assert 1 > styles[0].strength > styles[1].strength == pytest.approx(0.5, abs=0.01)
    assert sum(standing.won for standing in again.ranking["animal"]) == 9
    assert [standing.label for standing in again.sel(animal="fox").ranking["style"]] == ["pen", "ink", "oil"]


def test_pairs_are_of_those_that_were_seen_least(configured: Simulator) -> None:
    """So that few votes reach all; images of one cell's labels are no pair."""
    study = sweep("hill {{i}}", i=range(4), quality="low", repeat=2).result()
    seen: list[int] = []
    for _ in range(4):
        pair = study.pair()
        assert pair
        assert pair[0].axes != pair[1].axes
        study.prefer(*pair)
        seen += [cell.index for cell in pair]
    assert len(set(seen)) >= 7
    assert study[:2].pair() is None


def test_only_cells_of_the_sweep_are_voted_on(configured: Simulator) -> None:
    """Two of them, with images that the archive has."""
    study, other = numbered(2).result(), sweep("lake", quality="low").result()
    for pair in ((study[0], other[0]), (study[0], study[0]), ("a", study[0])):
        with pytest.raises(InvalidRequestError):
            study.prefer(*pair)  # type: ignore[arg-type]
    assert study.ranking["i"][0].strength == 0.5
    assert session.archive
