"""`vote`: blind pairs, each kept as it is given, and the ranking that follows."""

from __future__ import annotations

from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

import gradient_notebook as gn
from gradient_notebook.notebook.ranking_words import result, standings
from gradient_notebook.notebook.widgets.vote import Ballot
from gradient_notebook.simulator import Simulator
from gradient_notebook.storage.archive import Archive


@pytest.fixture
def study(configured: Simulator) -> gn.Sweep:
    """Four cells, of which no two are alike: six pairs."""
    return gn.sweep("a {{animal}}", animal=["fox", "owl"], quality=["low", "high"], size="1024x1024").result()


def ballot(study: gn.Cells, pairs: int = 30) -> Ballot:
    return Ballot(study, pairs, lambda _: None)


def say(asked: Ballot, kind: str, **content: Any) -> None:
    """As if the browser had said it."""
    asked.view._on_message(asked.view, {"type": kind, **content}, [])


def votes(asked: Ballot, choice: str) -> None:
    say(asked, "vote", pair=asked.view.state["pair"], choice=choice)


def test_each_vote_is_kept_as_it_is_given(study: gn.Sweep) -> None:
    """A kernel that dies then loses nothing: the next vote goes on from there."""
    asked = ballot(study)
    assert (asked.view.state["done"], asked.view.state["count"]) == (0, 6)
    assert asked._pair
    winner, loser = asked._pair[1], asked._pair[0]
    votes(asked, "right")
    assert (asked.view.state["done"], asked.view.state["given"]) == (1, 1)
    again = gn.sweep("a {{animal}}", animal=["fox", "owl"], quality=["low", "high"], size="1024x1024").result()
    for axis, its in again.ranking.items():
        if winner.axes[axis] != loser.axes[axis]:
            assert [(one.label, one.won) for one in its] == [(winner.axes[axis], 1), (loser.axes[axis], 0)]
    assert ballot(again).view.state["count"] == 5


def test_nothing_that_is_sent_says_what_a_pair_is(study: gn.Sweep) -> None:
    """Neither labels nor prompts nor a ranking, until the end."""
    asked = ballot(study)
    for _ in range(3):
        assert not [word for word in ("fox", "owl", "high") if word in str(asked.view.state)]
        votes(asked, "left")
    say(asked, "end")
    assert [each["axis"] for each in asked.view.state["ranking"]] == ["animal", "quality"]


def test_what_is_passed_over_is_not_asked_again_and_no_vote(study: gn.Sweep) -> None:
    """Each pair comes once; when none is left there is the ranking, and no way on."""
    asked = ballot(study)
    seen = set()
    while asked._pair:
        seen.add(frozenset(cell.index for cell in asked._pair))
        votes(asked, "skip")
    state = asked.view.state
    assert (len(seen), state["given"], state["over"], state["more"]) == (6, 0, True, False)
    assert all(one.won == 0 for its in study.ranking.values() for one in its)


def test_a_key_that_comes_twice_is_one_vote(study: gn.Sweep) -> None:
    """The second is about a pair that is gone; so is what comes after the end, or what nobody says."""
    asked = ballot(study)
    first = asked.view.state["pair"]
    say(asked, "vote", pair=first, choice="left")
    say(asked, "vote", pair=first, choice="left")
    say(asked, "vote", pair=asked.view.state["pair"], choice="both")
    say(asked, "end")
    votes(asked, "left")
    assert asked.view.state["given"] == 1


def test_as_many_are_asked_for_as_was_said_and_then_as_many_again(study: gn.Sweep) -> None:
    """`Go on` after an end in the middle goes on there."""
    asked = ballot(study, 2)
    votes(asked, "left")
    say(asked, "end")
    assert asked.view.state["more"]
    say(asked, "go_on")
    assert (asked.view.state["over"], asked.view.state["done"]) == (False, 1)
    votes(asked, "skip")
    assert asked.view.state["over"]
    say(asked, "go_on")
    assert (asked.view.state["done"], asked.view.state["count"], asked.view.state["given"]) == (0, 2, 1)


def test_a_vote_that_cannot_be_kept_is_told_and_the_pair_stays(
    study: gn.Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk may be full."""
    asked = ballot(study)

    def full(*_: Any) -> None:
        raise gn.GradientNotebookError("The vote could not be kept: no space")

    monkeypatch.setattr(gn.Sweep, "prefer", full)
    pair = asked._pair
    votes(asked, "left")
    assert (asked._pair, asked.view.state["done"]) == (pair, 0)
    assert "no space" in asked.view.state["error"]


def test_only_the_pair_in_view_is_in_memory(study: gn.Sweep) -> None:
    """A widget lives as long as its kernel."""
    asked = ballot(study)
    for _ in range(3):
        votes(asked, "skip")
    assert set(asked.view._pictures) == {f"{asked.view.state['pair']}.{place}" for place in (0, 1)}


def test_what_cannot_be_voted_on_is_told(configured: Simulator) -> None:
    """One image alone, and a number of pairs that is none."""
    study = gn.sweep("a {{animal}}", animal=["fox"], quality="low").result()
    with pytest.raises(gn.InvalidRequestError, match="There are no two images to choose from"):
        study.vote()
    with pytest.raises(gn.InvalidRequestError, match="pairs=0: expected 1 or more"):
        study.vote(0)


def test_of_deleted_images_nothing_is_asked_and_nothing_ranked(study: gn.Sweep) -> None:
    """While pairs are asked for and before; it is said without a path, and those that are left are asked for."""
    asked = ballot(study)
    assert asked._pair
    rest = [cell for cell in study if not any(cell is one for one in asked._pair)]
    for cell in asked._pair:
        gn.history(cell.record_id or "").delete()
    votes(asked, "skip")
    assert {cell.index for cell in asked._pair} == {cell.index for cell in rest}
    rest[0].image  # noqa: B018 - it opens
    gn.history().delete()
    votes(asked, "skip")
    state = asked.view.state
    assert (state["over"], state["more"], state["ranking"]) == (True, False, [])
    assert state["error"] == "These images were deleted from the history."
    with pytest.raises(gn.InvalidRequestError, match="These images were deleted from the history") as told:
        study.vote()
    assert str(Archive().originals) not in f"{told.value}"
    with pytest.raises(gn.GradientNotebookError, match=r"^The image was deleted from the history\.$"):
        rest[0].image  # noqa: B018


def test_where_nobody_has_voted_there_is_no_ranking(study: gn.Sweep) -> None:
    """Each label at 50 % would say that they are as good as each other."""
    asked = ballot(study)
    say(asked, "end")
    assert asked.view.state["ranking"] == []
    assert result(study.ranking, 0)["text/plain"].splitlines() == ["Ranking", "No votes yet."]
    study.prefer(study.sel(animal="owl", quality="low")[0], study.sel(animal="fox", quality="low")[0])
    assert [each["axis"] for each in standings(study.ranking)] == ["animal"]


def test_a_terminal_has_the_ranking(study: gn.Sweep, capsys: pytest.CaptureFixture[str]) -> None:
    """And is told how to vote there; in a notebook the same stays below."""
    InteractiveShell.instance()
    study.prefer(study.sel(animal="owl")[0], study.sel(animal="fox")[0])
    study.vote()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("animal: owl 6")
    assert "(1 won, 0 lost), fox" in lines[0]
    assert "study.prefer(*study.pair())" in lines[-1]
    assert lines[0] in result(study.ranking, 1)["text/plain"]
