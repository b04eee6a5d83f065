"""Sweeps: each cell is accounted for, none is sent twice, and what the archive has is not made again."""

from __future__ import annotations

import asyncio
import datetime as dt
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gradient_notebook import (
    BudgetExceededError,
    GradientNotebookError,
    InvalidRequestError,
    Sweep,
    configure,
    history,
    session,
    sweep,
)
from gradient_notebook.simulator import Simulator
from gradient_notebook.sweeps.cell import Cell

from .test_reuse import restart

REFUSED = {"status": 400, "body": {"error": {"code": "moderation_blocked", "message": "No."}}}
FAILED = {"status": 400, "body": {"id": "bad_request", "message": "Not this one."}}
UNKNOWN = {"status": 500, "body": {"id": "server_error", "message": "Oh."}}


def numbered(count: int, **how: Any) -> Sweep:
    return sweep("hill {{i}}", i=range(count), **{"quality": "low", "yes": True, **how})


def files(cells: Any) -> list[str]:
    return [path.name for cell in cells for path in cell.paths]


def prompts(simulator: Simulator) -> list[str]:
    return sorted(post.body["prompt"] for post in simulator.posts)


@pytest.fixture
def misbehaving(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Any:
    """Start a service with a script of faults, and use it: `misbehaving([...])`."""

    def start(faults: list[Any]) -> Simulator:
        simulator = Simulator(seconds_per_image=0, faults=faults)
        simulator.__enter__()
        request.addfinalizer(lambda: simulator.__exit__(None, None, None))
        monkeypatch.setenv("GRADIENT_INFERENCE_ENDPOINT", simulator.url)
        monkeypatch.setenv("GRADIENT_MODEL_ACCESS_KEY", "sk-do-for-tests-only")
        return simulator

    return start


def test_all_cells_are_made_each_once_and_in_their_places(configured: Simulator) -> None:
    """However many run at a time; each image lies in the archive, and its record names the run."""
    configure(concurrency=3)
    study = numbered(9).result()
    assert (study.outcomes, study.status, study.done()) == ({"done": 9}, "done", True)
    assert prompts(configured) == [f"hill {i}" for i in range(9)]
    assert [cell.axes for cell in study] == [{"i": i} for i in range(9)]
    assert [cell.prompt for cell in study] == [cell.params.prompt for cell in study] == [f"hill {i}" for i in range(9)]
    assert len(set(files(study))) == 9
    assert {entry.record.run for entry in history()} == {study.id}
    assert [history(cell.record_id)[0].prompt for cell in study] == [cell.prompt for cell in study]
    assert [image.size for image in study.images] == [(1024, 1024)] * 9
    assert study[4].bytes == study[4].paths[0].read_bytes()
    assert study.usage
    assert study.usage.total_tokens == history().usage.total_tokens  # type: ignore[union-attr]


def test_the_same_sweep_makes_what_is_missing(configured: Simulator) -> None:
    """A value more on an axis makes its cells only; the k-th of identical cells is the k-th image."""
    first = sweep("hill", quality=["low"], repeat=2).result()
    more = sweep("hill", quality=["low", "high"], repeat=3, start=False)
    assert (more.plan.count, more.plan.to_make, more.plan.outcomes) == (6, 4, {"done": 2, "queued": 4})
    more.result()
    assert files(more)[:2] == files(first)
    assert [cell.reused for cell in more] == [True, True, False, False, False, False]
    assert len(configured.posts) == len(set(files(more))) == 6
    again = sweep("hill", quality=["low", "high"], repeat=3)
    assert (again.id, again.status, files(again), len(configured.posts)) == (more.id, "done", files(more), 6)


def test_another_kernel_continues_after_a_kill(configured: Simulator) -> None:
    """Killed in the middle, whatever had come is there; the rest is made, and none twice."""
    code = (
        "import os\n"
        "from gradient_notebook import sweep\n"
        "study = sweep('hill {{i}}', i=range(12), quality='low')\n"
        "study._observe(lambda s, _: s.outcomes.get('done', 0) >= 5 and os._exit(9))\n"
        "study.result()\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    sent = len(configured.posts)
    assert sent < 12
    study = numbered(12).result()
    unknown = [cell for cell in study if cell.outcome == "unknown"]
    assert sum(cell.reused for cell in study) >= 5
    assert study.outcomes.get("done", 0) + len(unknown) == 12
    assert prompts(configured) == sorted({post.body["prompt"] for post in configured.posts})


def test_fresh_makes_all_of_it_and_is_what_continues(configured: Simulator) -> None:
    """A new run; without `fresh` it is shown from then on, and the older one no more."""
    first = numbered(2).result()
    second = numbered(2, fresh=True).result()
    assert (len(configured.posts), first.id != second.id) == (4, True)
    assert set(files(first)).isdisjoint(files(second))
    assert files(numbered(2)) == files(second)
    assert len(configured.posts) == 4


def test_an_image_that_was_made_for_a_cell_of_the_notebook_counts(configured: Simulator) -> None:
    """Whoever asked: the same request has the same answer, streamed or not."""
    from gradient_notebook import generate

    generate("hill 0", quality="low", stream=True, partial_images=1)
    assert [cell.reused for cell in numbered(2).result()] == [True, False]


def test_what_fails_is_a_cell_and_why_is_told(misbehaving: Any) -> None:
    """A refusal and a failure leave the others alone; what failed can be made again, what was refused is not."""
    configure(concurrency=1)
    service = misbehaving([REFUSED, FAILED, UNKNOWN])
    study = numbered(5).result()
    assert [cell.outcome for cell in study] == ["refused", "failed", "failed", "done", "done"]
    assert [bool(cell.error) for cell in study] == [True, True, True, False, False]
    assert "Not this one." in str(study[1].error)
    assert (study[0].image, study[0].images, study[0].bytes) == (None, [], None)
    study.retry().result()
    assert [cell.outcome for cell in study] == ["refused", "done", "failed", "done", "done"]
    assert study.notes == [
        "1 refused, not made again: change their prompts.",
        "1 not made again, since they may have been billed: retry(unknown=True) makes them.",
    ]
    assert len(service.posts) == 6
    again = numbered(5)
    assert ([cell.outcome for cell in again], len(service.posts)) == (["refused", "done", "failed", "done", "done"], 6)
    assert (again.retry(unknown=True).result().outcomes, len(service.posts)) == ({"refused": 1, "done": 4}, 7)


def test_what_may_be_billed_is_made_again_only_if_one_says_so(misbehaving: Any) -> None:
    """Neither by `retry`, nor by the same sweep in another kernel."""
    configure(concurrency=1)
    service = misbehaving([{"cut": "before_headers"}])
    study = numbered(2).result()
    assert [cell.outcome for cell in study] == ["unknown", "done"]
    study.retry().result()
    assert "may have been billed" in study.notes[0]
    again = numbered(2)
    assert ([cell.outcome for cell in again], len(service.posts)) == (["unknown", "done"], 2)
    again.retry(unknown=True).result()
    assert (again.outcomes, len(service.posts)) == ({"done": 2}, 3)


def test_cancelled_it_sends_nothing_more(configured: Simulator) -> None:
    """What has come stays, and the rest can be made later."""
    configure(concurrency=1)
    study, seen = numbered(20, start=False), threading.Event()
    study._observe(lambda study, _: study.outcomes.get("done") and seen.set())
    study.start()
    assert seen.wait(30)
    assert study.cancel()
    study.result()
    assert (study.status, study.cancelled(), study.cancel()) == ("cancelled", True, False)
    assert set(study.outcomes) == {"done", "cancelled"}
    assert len(configured.posts) < 20
    study.retry().result()  # what had been sent may have been billed
    assert study.outcomes.get("cancelled", 0) == len(study.notes) <= 1
    study.retry(unknown=True).result()
    assert study.outcomes == {"done": 20}
    assert study.status == "done"


def test_interrupting_the_wait_cancels(configured: Simulator) -> None:
    """As it does for a job."""
    configured.seconds_per_image = 600
    study = numbered(3)

    async def give_up() -> None:
        await asyncio.wait_for(study, 0.5)

    with pytest.raises(TimeoutError):
        asyncio.run(give_up())
    assert study.result().status == "cancelled"
    with pytest.raises(TimeoutError, match="goes on"):
        numbered(3, fresh=True).result(timeout=0.2)


def test_paused_it_sends_nothing_until_it_goes_on(configured: Simulator) -> None:
    """What runs comes to its end."""
    configure(concurrency=1)
    study = numbered(8, start=False).start().pause()
    assert study.status == "paused"
    sent = len(configured.posts)
    with pytest.raises(TimeoutError):
        study.result(timeout=0.5)
    assert len(configured.posts) <= sent + 3
    assert study.resume().result().outcomes == {"done": 8}
    assert len(configured.posts) == 8


def test_without_an_archive_the_images_are_kept_in_memory(configured: Simulator) -> None:
    """As files; nothing is reused, since nothing is there."""
    session.archive = False
    study = numbered(2).result()
    assert [image.size for image in study.images] == [(1024, 1024)] * 2
    assert (study[0].paths, study[0].record_id, bool(study[0].bytes)) == ([], None, True)
    assert numbered(2, start=False).plan.to_make == 2


def test_an_original_that_is_gone_is_made_again(configured: Simulator) -> None:
    """The plan counts it."""
    numbered(2).result()[0].paths[0].unlink()
    again = numbered(2, start=False)
    assert again.plan.to_make == 1
    assert (again.result().outcomes, len(configured.posts)) == ({"done": 2}, 3)


def test_cells_hold_little(configured: Simulator) -> None:
    """No cell keeps an image, or a job: thousands of them fit in memory."""
    study = numbered(3).result()
    assert study._jobs == {}
    for cell in study:
        held = [getattr(cell, name) for name in Cell.__slots__]
        assert not any(isinstance(value, (bytes, bytearray)) and len(value) > 1000 for value in held)
        assert cell._data == ()


def test_selecting(configured: Simulator) -> None:
    """By one label or several; what is not there is named with the nearest."""
    study = sweep("{{animal}} {{b}}", animal=["fox", "owl"], b={"x": "1", "y": "2", 3: "3"}, start=False)
    assert [cell.prompt for cell in study.sel(animal="owl", b=["x", 3])] == ["owl 1", "owl 3"]
    assert [cell.prompt for cell in study[1:3]] == ["fox 2", "fox 3"]
    assert study[-1].index == 5
    for wrong, words in (
        ({"animals": 1}, "Did you mean animal"),
        ({"animal": "foxx"}, "Did you mean fox"),
        ({"b": "zzzz"}, "It has 'x', 'y', 3"),
    ):
        with pytest.raises(InvalidRequestError, match=f"(?s){words}"):
            study.sel(**wrong)


def test_one_that_runs_is_not_retried(configured: Simulator) -> None:
    """It says so."""
    configured.seconds_per_image = 600
    study = numbered(2)
    with pytest.raises(InvalidRequestError, match="still runs"):
        study.retry()
    study.cancel()
    study.result()


def test_a_script_that_ends_waits_for_it(configured: Simulator) -> None:
    """As for a job: what was started is wanted."""
    code = "from gradient_notebook import sweep\nsweep('hill {{i}}', i=range(6), quality='low')"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "waiting for" in ended.stderr
    assert [entry.outcome for entry in history()] == ["done"] * 6


def test_a_key_in_an_axis_is_refused(configured: Simulator) -> None:
    """Before it reaches a request, or the ledger."""
    with pytest.raises(InvalidRequestError) as caught:
        sweep("{{a}}", a=["fox", "sk-do-for-tests-only"])
    assert "sk-do-for-tests-only" not in f"{caught.value}{vars(caught.value)}"
    restart()


PER_IMAGE = {"openai-gpt-image-2": {"per_image": 1}}


def test_a_sweep_stays_within_the_budget(configured: Simulator) -> None:
    """It makes what there is room for, says what it has not made, and goes on when there is more."""
    configure(model="openai-gpt-image-2", prices=PER_IMAGE, budget=5, concurrency=4)
    study = numbered(12).result()
    assert (study.outcomes, len(configured.posts)) == ({"done": 5, "failed": 7}, 5)
    assert {(cell.sent, "budget" in str(cell.error)) for cell in study if cell.outcome == "failed"} == {(False, True)}
    assert study.notes[0].startswith("7 not made: ")
    session.budget = 20
    assert study.retry().result().outcomes == {"done": 12}
    assert len(configured.posts) == 12


def test_what_runs_gives_back_what_it_did_not_cost(configured: Simulator) -> None:
    """The most that several may cost is more than they do: what a budget refuses at first is made when they have ended."""
    prices = {"openai-gpt-image-1": {"input_text_tokens": 1000, "output_image_tokens": 1000}}
    configure(model="openai-gpt-image-1", prices=prices, concurrency=4)
    one = numbered(1, size="1024x1024").result()
    study = sweep("hill", quality="low", size="1024x1024", repeat=6, start=False)
    price, cost = session.price_of("openai-gpt-image-1"), one.cost.amount
    assert price
    assert cost
    most = price.most_of_one(study[0].params)
    assert most
    assert most > cost
    session.budget = float(6 * cost + most)
    assert study.result().outcomes == {"done": 6}


def test_a_sweep_that_may_cost_too_much_is_not_begun(configured: Simulator) -> None:
    """What it may cost is told with its plan."""
    configure(model="openai-gpt-image-2", prices=PER_IMAGE)
    with pytest.raises(BudgetExceededError, match=r"(?s)this may cost \$3\.00.*3 images to make"):
        numbered(3, max_cost=2.99)
    assert configured.posts == []
    assert numbered(3, max_cost=3).result().outcomes == {"done": 3}
    assert numbered(3, max_cost=0).outcomes == {"done": 3}  # nothing is to be made


_OF_QUALITIES = {"openai-gpt-image-1": {"per_image": {"low": 0.01, "high": 0.2}}}
_OF_TOKENS = {"input_text_tokens": 5, "output_image_tokens": 40}


@pytest.mark.parametrize(
    ("prices", "asked", "said"),
    [
        (None, {}, r"not known: no prices are set\nSet yours"),
        (
            _OF_QUALITIES,
            {"model": "openai-gpt-image-2"},
            "not known: the prices that are set have none for openai-gpt-im",
        ),
        (
            _OF_QUALITIES,
            {"quality": ["low", "medium"], "size": "1024x1024"},
            r"for medium 1024x1024 \(cell 1\)\nAdd it",
        ),
        (_OF_QUALITIES, {"size": "1024x1024"}, r"none per image for medium 1024x1024 \(cell 0\)\nAdd it"),
        (
            _OF_TOKENS,
            {"model": "fal-ai/flux/schnell"},
            "tokens an image of fal-ai/flux/schnell takes.*\nSet a price per_im",
        ),
    ],
)
def test_what_is_missing_of_a_cost_is_named(configured: Simulator, prices: Any, asked: Any, said: str) -> None:
    """Prices, the price of a model, of a quality and size, or of its tokens: exactly what is to be given, and the plan."""
    configure(model="openai-gpt-image-1", prices=prices)
    with pytest.raises(BudgetExceededError, match=rf"(?s)max_cost=2: the most.*{said}.*to make"):
        sweep("A hill", max_cost=2, **asked)
    assert configured.posts == []


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"a": ["fox", "owl"], "quality": ["low"]}, ["fox · low: a fox", "owl · low: a owl"]),
        ({"prompt": {"plain": "A fox", "long": "A very red fox"}}, ["plain: A fox", "long: A very red fox"]),
        ({"prompt": ["A fox", "An owl"]}, ["A fox", "An owl"]),
        ({"a": "fox", "repeat": 2}, ["a fox", "a fox"]),
    ],
)
def test_a_plan_names_its_first_requests_by_their_labels(configured: Simulator, asked: Any, said: list[str]) -> None:
    """And by their prompts; a prompt that is its own label is not said twice."""
    plan = sweep(asked.pop("prompt", "a {{a}}"), start=False, **asked).plan
    assert str(plan).splitlines()[1:] == [f"  {line}" for line in said]


def test_what_somebody_has_made_meanwhile_is_not_made_again(configured: Simulator) -> None:
    """Between the plan and the request, in whatever way: two that were planned at the same time pay once."""
    first, second = (sweep("hill {{i}}", i=list(range(4)), quality="low", start=False) for _ in range(2))
    wider = sweep("hill {{i}}", i=list(range(6)), quality="low", start=False)
    first.result()
    second.result()
    wider.result()
    assert (second.outcomes, wider.outcomes) == ({"done": 4}, {"done": 6})
    assert len(configured.posts) == 6
    assert [cell.reused for cell in wider] == [True] * 4 + [False] * 2


def test_what_is_wrong_for_all_is_not_asked_for_all(misbehaving: Any) -> None:
    """A key that is refused is refused for each cell: what has not been sent is given up, and can be made later."""
    configure(concurrency=1)
    unauthorized = {"status": 401, "body": {"id": "unauthorized", "message": "Unable to authenticate you"}}
    service = misbehaving([unauthorized] * 20)
    study = numbered(20).result()
    sent = len(service.posts)  # the next one may have been on its way by then
    assert (study.outcomes, sent <= 2) == ({"failed": 20}, True)
    assert sum(cell.sent is False for cell in study) == 20 - sent
    assert study.notes == [f"{20 - sent} not made: Unable to authenticate you. Then retry() makes them."]


def test_several_images_go_by_repeat_alone(configured: Simulator) -> None:
    """In `extra`, too: what a cell makes is one image, which the plan counts."""
    with pytest.raises(InvalidRequestError, match="repeat=3"):
        numbered(2, extra={"n": 5})


def test_a_key_in_a_label_or_a_table_is_refused(configured: Simulator) -> None:
    """All of it is kept with the run, and shown; columns that nobody uses are not kept at all."""
    key = "sk-do-for-tests-only"
    with pytest.raises(InvalidRequestError, match="key"):
        sweep("{{a}}", a={key: "fox"})
    table = pd.DataFrame({"animal": ["fox"], "private": [key]})
    assert key not in str(sweep(table, "a {{animal}}", start=False)._axes.as_json())


def test_prompts_that_begin_alike_are_different(configured: Simulator) -> None:
    """However long what they have in common is."""
    long = "a hill in the evening sun with " * 5
    study = sweep([long + "a tree", long + "a house"], quality="low", start=False)
    assert [cell.prompt[-7:] for cell in study] == [" a tree", "a house"]
    assert len(study.sel(prompt=long + "a tree")) == 1


def test_values_that_json_does_not_know_end_it_as_others_do(configured: Simulator) -> None:
    """Dates, and numbers of NumPy: whoever waits for it is not kept waiting."""
    study = sweep("a day {{d}} {{i}}", d=[dt.date(2026, 1, 1)], i=[np.int64(1)], quality="low")
    assert study.result(timeout=60).outcomes == {"done": 1}


def test_an_original_that_was_changed_is_no_answer(configured: Simulator) -> None:
    """By its size before it is made again; by its hash when it is opened."""
    study = numbered(2).result()
    study[0].paths[0].write_bytes(b"")
    data = study[1].paths[0].read_bytes()
    study[1].paths[0].write_bytes(data[:-1] + b"x")
    assert numbered(2, start=False).plan.to_make == 1
    with pytest.raises(GradientNotebookError, match="was changed"):
        _ = study[1].image


def test_what_has_ended_stays_as_it_is(configured: Simulator) -> None:
    """Starting it again makes nothing, and a pause before the start holds."""
    configure(concurrency=1)
    study = numbered(5, start=False).pause().start()
    assert study.status == "paused"
    with pytest.raises(TimeoutError):
        study.result(timeout=0.3)
    assert configured.posts == []
    study.cancel()
    study.result()
    assert (study.start().status, study.outcomes, configured.posts) == ("cancelled", {"cancelled": 5}, [])
