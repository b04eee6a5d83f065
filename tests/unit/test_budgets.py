"""Budgets: what may cost more than is left is not sent, whoever asks for it at once, dies in between or sets a clock."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import gradient_notebook as gn
from gradient_notebook import history, session
from gradient_notebook.api.params import ImageGenerateParams
from gradient_notebook.jobs import metered, numbering, spending
from gradient_notebook.jobs.job import Job
from gradient_notebook.notebook.cost_view import cost_report
from gradient_notebook.simulator import Fault, Simulator
from gradient_notebook.simulator.generations import TINY_PICTURE
from gradient_notebook.storage import clock
from gradient_notebook.storage.archive import get_default
from gradient_notebook.storage.budget import Total
from gradient_notebook.storage.ledger import VERSION, ImageRecord, Ledger, Record

PRICES = {"input_text_tokens": 5, "output_image_tokens": 40}
SMALL: dict[str, Any] = {"quality": "low", "size": "1024x1024"}
TINY = Fault(image_base64=TINY_PICTURE.decode())
ONE = Decimal("0.010885")
"""What an image of a prompt of one letter costs, 272 output tokens and 1 of text."""
MOST = Decimal("0.011385")
"""What is reserved for it: 100 tokens of text more."""
CASES = [{}, {"n": 2}, {"n": 2, "stream": True, "partial_images": 1}]


@pytest.fixture
def priced(configured: Simulator) -> Simulator:
    """A service whose pictures cost no time, and its prices."""
    configured.script([TINY] * 200)
    gn.configure(prices=PRICES)
    return configured


def bill(service: Simulator) -> Decimal:
    """Return what the service bills for all that it has received, as if it had made all of it."""
    total = Decimal()
    for post in service.posts:
        body = post.body
        output = 272 + 100 * (body.get("partial_images") or 0)
        total += (body.get("n", 1) * output * 40 + -(-len(body["prompt"]) // 4) * 5) / Decimal(1_000_000)
    return total


def errors_of(jobs: Sequence[Job]) -> list[Exception]:
    """Wait for all, and return why those failed that did."""
    return [error for job in jobs if (error := job.exception(timeout=120))]


@pytest.mark.parametrize("name", ["budget", "budget_per_day"])
@pytest.mark.parametrize("archive", [True, False], ids=["archive", "memory"])
def test_at_once_they_never_spend_more(priced: Simulator, name: str, archive: bool) -> None:
    """Of 32 that begin together those are sent that have room; the others say what is left, and nothing of them is kept."""
    gn.configure(concurrency=32, archive=archive, **{name: 0.12})
    refused = errors_of([gn.submit("x", **SMALL, **CASES[at % 3]) for at in range(32)])
    assert bill(priced) <= Decimal("0.12")
    assert len(priced.posts) >= 5
    assert {type(error) for error in refused} == {gn.BudgetExceededError}
    assert all("is left" in str(error) and "Nothing was sent." in str(error) for error in refused)
    total = spending.of_process.totals()["$"]
    assert (total.spent, total.reserved, total.uncertain) == (bill(priced), 0, 0)
    if archive:
        assert spending.today()["$"] == total
        assert {entry.outcome for entry in history()} == {"done"}
        assert history().cost == gn.Cost.of(bill(priced), "$")


_SPENDING = """
import sys
import gradient_notebook as gn
gn.configure(prices={"input_text_tokens": 5, "output_image_tokens": 40}, budget_per_day=0.12, concurrency=8)
jobs = [gn.submit("x", quality="low", size="1024x1024") for _ in range(8)]
errors = [job.exception() for job in jobs]
assert {type(error) for error in errors if error} <= {gn.BudgetExceededError}, errors
"""


def in_another_process(code: str, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", code, *arguments], env=os.environ, stderr=subprocess.DEVNULL)


def test_processes_share_the_budget_of_a_day(priced: Simulator) -> None:
    """Two that begin together, and then a third that finds nothing left."""
    processes = [in_another_process(_SPENDING) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert Decimal("0.12") - MOST < bill(priced) <= Decimal("0.12")
    gn.configure(budget_per_day=0.12)
    with pytest.raises(gn.BudgetExceededError, match=r"budget_per_day=\$0\.12: this may cost up to \$0\.01, and"):
        gn.generate("x", **SMALL)


_KILLED = """
import os, signal, sys
import gradient_notebook as gn
from gradient_notebook.jobs import runner, recorder, spending
from gradient_notebook.storage.ledger import Ledger
gn.configure(prices={"input_text_tokens": 5, "output_image_tokens": 40}, budget_per_day=1)
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
def then_die(kind, name):
    do = getattr(kind, name)
    def done(*arguments, **named):
        do(*arguments, **named)
        die()
    setattr(kind, name, done)
match sys.argv[1]:
    case "before": Ledger.reserve = die
    case "reserved": then_die(Ledger, "reserve")
    case "sent": runner.Runner._take = die
    case "arrived": runner.Runner._finish = die
    case "stored": then_die(recorder.Recorder, "store")
    case "ended": then_die(recorder.Recorder, "end")
gn.generate("x", quality="low", size="1024x1024", stream=True, partial_images=1)
"""
POINTS = {
    "before": (0, 0),
    "reserved": (0, MOST + Decimal("0.004")),
    "sent": (1, MOST + Decimal("0.004")),
    "arrived": (1, MOST + Decimal("0.004")),
    "stored": (1, ONE + Decimal("0.004")),
    "ended": (1, ONE + Decimal("0.004")),
}
"""How many requests the service has then received, and what counts."""


@pytest.mark.parametrize("point", POINTS)
def test_what_a_killed_process_may_have_spent_counts(priced: Simulator, point: str) -> None:
    """At its reservation from before it was sent, at its usage from the moment when that is on disk."""
    killed_at(priced, point)


KILLS = int(os.environ.get("KILLS", "8"))
"""How often at each point; `make reliability` says fifty."""


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_what_a_killed_process_may_have_spent_counts_each_time(priced: Simulator, point: str) -> None:
    """Again and again: what counts grows by the same each time, and never is less than what was billed."""
    for times in range(1, KILLS + 1):
        priced.script([TINY])
        killed_at(priced, point, times)


def killed_at(service: Simulator, point: str, times: int = 1) -> None:
    process = in_another_process(_KILLED, point)
    assert process.wait(60) == -signal.SIGKILL
    received, counted = POINTS[point]
    assert len(service.posts) == times * received
    total = spending.today().get("$", Total())
    assert (total.used, total.reserved) == (times * counted, 0)
    assert total.used >= bill(service)


def test_what_is_known_to_cost_nothing_is_given_back(configured: Simulator) -> None:
    """A refusal and a wrong request do; a 500, which may be billed, stays counted, and is told."""
    gn.configure(prices=PRICES, budget=0.02, budget_per_day=0.02)
    refusal = {"error": {"message": "no", "code": "moderation_blocked"}}
    for status, body, used in ((400, refusal, 0), (422, {}, 0), (500, {}, MOST)):
        configured.script([Fault(status=status, body=body)])
        with pytest.raises(gn.APIError):
            gn.generate("x", **SMALL)
        assert (spending.of_process.totals()["$"].used, spending.today()["$"].used) == (used, used)
    with pytest.raises(gn.BudgetExceededError, match=r"\(\$0\.00 spent, \$0\.01 that may have been billed\)"):
        gn.generate("x", **SMALL)
    assert history(outcome="failed").cost == gn.Cost(amounts={"$": Decimal()}, unknown=1)
    assert "up to $0.01 for 1 image that may have been billed" in cost_report()


def test_what_was_not_sent_yet_is_given_back(configured: Simulator) -> None:
    """Of four streams two wait for their turn: they are cancelled before they were sent."""
    configured.script([Fault(silence=True)] * 4)
    gn.configure(prices=PRICES, budget=1, concurrency=2)
    job = gn.submit("x", **SMALL, n=4, stream=True, partial_images=1)
    assert configured.wait_for(lambda: len(configured.posts) == 2)
    assert spending.of_process.totals()["$"].reserved == 4 * (MOST + Decimal("0.004"))
    job.cancel()
    with pytest.raises(gn.JobCancelledError):
        job.result()
    assert spending.of_process.totals()["$"].used == 2 * (MOST + Decimal("0.004"))
    assert job.cost.unknown == 2


@pytest.mark.parametrize("where", ["busy", "closed"])
def test_what_waits_to_be_sent_again_is_given_back(
    configured: Simulator, held: socket.socket, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Cancelled in its wait, it certainly has not reached the model: nothing was sent, and nothing stays counted."""
    configured.script([Fault(status=429, headers={"retry-after": "60"})])
    gn.configure(prices=PRICES, budget=1, budget_per_day=1, max_wait_s=100, max_retries=20)
    if where == "closed":
        monkeypatch.setenv("GRADIENT_INFERENCE_ENDPOINT", f"http://127.0.0.1:{held.getsockname()[1]}")
    job, waits = gn.submit("x", **SMALL), threading.Event()
    job._observe(lambda job: waits.set() if job._slots[0].wait else None)
    assert waits.wait(60)
    assert spending.of_process.totals()["$"].reserved == MOST
    job.cancel()
    with pytest.raises(gn.JobCancelledError, match=r"Nothing was sent\.") as caught:
        job.result()
    assert (caught.value.sent, job.cost.unknown, history()[0].cost.unknown) == (False, 0, 0)
    assert spending.today()["$"].used == spending.of_process.totals()["$"].used == 0


@pytest.mark.parametrize(("fault", "used"), [(Fault(status=429, headers={"retry-after": "60"}), 0), (TINY, ONE)])
def test_what_a_client_waits_to_send_again_is_given_back(
    configured: Simulator, monkeypatch: pytest.MonkeyPatch, fault: Fault, used: Decimal
) -> None:
    """As a job's is; what goes out after the wait counts."""
    configured.script([Fault(status=429, headers={"retry-after": "0"}), fault])
    gn.configure(prices=PRICES, budget=1, budget_per_day=1, max_wait_s=100)

    async def ask() -> None:
        long, tell = asyncio.Event(), metered.SessionMeter.wait

        def told(self: Any, wait: Any) -> None:
            tell(self, wait)
            if wait and wait.attempt == 3:
                long.set()

        monkeypatch.setattr(metered.SessionMeter, "wait", told)
        async with gn.AsyncClient() as client:
            task = asyncio.create_task(client.images.generate(prompt="x", **SMALL))
            await asyncio.wait(
                {task, asyncio.create_task(long.wait())}, return_when=asyncio.FIRST_COMPLETED, timeout=60
            )
            task.cancel()
            await asyncio.wait({task})

    asyncio.run(ask())
    assert spending.today()["$"].used == spending.of_process.totals()["$"].used == used


def test_more_than_max_cost_is_not_sent(priced: Simulator) -> None:
    """The error has the numbers; what fits is sent."""
    with pytest.raises(gn.BudgetExceededError, match=r"^max_cost=\$0\.02: this may cost up to \$0\.03\.") as caught:
        gn.generate("x", **SMALL, n=3, max_cost=0.02)
    assert (caught.value.cost, caught.value.param, caught.value.may_be_billed) == (float(3 * MOST), "max_cost", False)
    with pytest.raises(gn.InvalidRequestError, match="max_cost=-1: expected a number, 0 or more"):
        gn.generate("x", max_cost=-1)
    assert priced.posts == []
    gn.generate("x", **SMALL, max_cost=0.02)
    assert len(priced.posts) == 1


@pytest.mark.parametrize(
    ("prices", "asked", "advice"),
    [
        (None, SMALL, "no prices are set.\nNothing was sent. Set yours, per million tokens: configure(prices="),
        ({"gpt-image-9": PRICES}, SMALL, "the prices that are set have none for openai-gpt-image-1."),
        (PRICES, {"model": "openai-gpt-image-2"}, "or set prices with per_image"),
        (PRICES, {"size": "512x512"}, "or set prices with per_image"),
    ],
    ids=["no prices", "no price", "no tokens", "no such size"],
)
def test_what_has_no_known_most_is_refused_under_a_budget(
    priced: Simulator, prices: Any, asked: dict[str, Any], advice: str
) -> None:
    """It says what is missing, and what to do; without a budget it is sent, and its cost is unknown."""
    gn.configure(prices=prices, budget=5)
    with pytest.raises(
        gn.BudgetExceededError, match=r"budget=\$5\.00: the most that this may cost is not known"
    ) as caught:
        gn.generate("x", **asked)
    assert advice in str(caught.value)
    assert priced.posts == []


def test_a_price_per_image_is_a_known_most(priced: Simulator) -> None:
    """Also of a model of which nothing else is known."""
    gn.configure(prices={"openai-gpt-image-2": {"per_image": 0.05}}, budget=0.12)
    gn.generate("x", model="openai-gpt-image-2", n=2)
    assert spending.of_process.totals() == {"$": Total(spent=Decimal("0.10"))}
    with pytest.raises(gn.BudgetExceededError):
        gn.generate("x", model="openai-gpt-image-2")


def test_a_record_keeps_the_price_of_its_time(configured: Simulator) -> None:
    """New prices hold for what begins after them, also while something runs; without a price the cost is unknown for good."""
    gn.generate("a", **SMALL)
    configured.script([Fault(delay=0.5)])
    gn.configure(prices=PRICES)
    running = gn.submit("b", **SMALL, stream=True, partial_images=1)
    assert configured.wait_for(lambda: len(configured.posts) == 2)
    gn.configure(prices={"input_text_tokens": 50, "output_image_tokens": 400})
    running.result()
    gn.generate("c", **SMALL)
    assert [str(entry.cost) for entry in history()] == ["$0.11", "$0.01", "1 image of unknown cost"]
    gn.configure(prices=None)
    assert str(history().cost) == "$0.12 and 1 image of unknown cost"
    assert running.cost == history()[1].cost


def test_money_of_another_currency_is_not_added_up(priced: Simulator) -> None:
    """A budget counts what is in its own, and a note says so, once."""
    gn.generate("x", **SMALL)
    gn.configure(currency="€", budget=0.025)
    jobs = [gn.submit("x", **SMALL) for _ in range(2)]
    assert errors_of(jobs) == []
    note = "The budget counts € alone: what was spent in $ does not count."
    assert [found for job in jobs for found in job.notes if "budget" in found] == [note]
    assert str(history().cost) in ("$0.01 and €0.02", "€0.02 and $0.01")
    assert history().to_frame()["currency"].tolist() == ["€", "€", "$"]


def test_what_the_embedded_simulator_makes_is_counted_apart() -> None:
    """It is billed by nobody, and uses up no budget of money."""
    gn.configure(prices=PRICES, budget=0.012)
    gn.generate("x", **SMALL)
    assert str(history().cost) == "$0.01 simulated"
    assert spending.of_process.totals().keys() == {"$ simulated"}
    with pytest.raises(gn.BudgetExceededError):
        gn.generate("x", **SMALL)


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Set the clock, as far as the package reads it."""
    now = [time.time()]
    monkeypatch.setattr(clock, "now", lambda: now[0])
    return lambda seconds: now.__setitem__(0, seconds)


def test_a_day_is_a_local_one_and_a_clock_that_jumps_back_gives_nothing_back(
    priced: Simulator, at: Callable[[float], None]
) -> None:
    """At midnight there is a new budget; what is dated later than now, by whoever, counts."""
    noon = dt.datetime.fromisoformat("2026-11-20T12:00").timestamp()
    gn.configure(budget_per_day=0.012)
    for seconds in (noon, dt.datetime.fromisoformat("2026-11-21T00:00:01").timestamp()):
        at(seconds)
        gn.generate("x", **SMALL)
        with pytest.raises(gn.BudgetExceededError):
            gn.generate("x", **SMALL)
    at(noon - 86_400)
    with pytest.raises(gn.BudgetExceededError):
        gn.generate("x", **SMALL)
    assert len(priced.posts) == 2


@pytest.mark.parametrize("archive", [True, False], ids=["archive", "memory"])
def test_deleting_the_history_gives_no_money_back(priced: Simulator, archive: bool) -> None:
    """What was spent stays spent."""
    gn.configure(budget_per_day=0.012, archive=archive)
    gn.generate("x", **SMALL)
    if archive:
        history().delete()
    with pytest.raises(gn.BudgetExceededError):
        gn.generate("x", **SMALL)


def test_a_ledger_that_was_damaged_still_knows_what_was_spent(priced: Simulator) -> None:
    """By what can be read of it: what was counted, or else the records."""
    gn.configure(budget_per_day=1)
    gn.generate("x", **SMALL)
    ledger = get_default().ledger
    with ledger._open("mode=rw") as connection:
        connection.execute("DROP TABLE spending")
    assert len(history()) == 1
    gn.generate("x", **SMALL)
    assert spending.today()["$"].used == bill(priced)
    assert any("damaged" in note for note in history().notes) or len(list(ledger.path.parent.glob("*damaged*"))) == 1


def test_a_day_that_cannot_be_looked_up_is_not_spent_on(priced: Simulator, tmp_path: Path) -> None:
    """Where the ledger cannot be written nobody knows what others have spent; this process's own budget needs no ledger."""
    gn.configure(archive_dir=str(tmp_path), budget=1, budget_per_day=1)
    get_default().ledger.path.mkdir()
    with pytest.raises(gn.BudgetExceededError, match="what today has cost is not known"):
        gn.generate("x", **SMALL)
    assert priced.posts == []
    gn.configure(budget_per_day=None)
    gn.generate("x", **SMALL)
    assert spending.of_process.totals()["$"].spent == ONE


def test_totals_by_day_model_and_outcome(priced: Simulator) -> None:
    """The history adds up, and a table has the numbers."""
    gn.generate("x", **SMALL)
    gn.generate("x", **SMALL, model="openai-gpt-image-1.5")
    one = gn.Cost.of(ONE, "$")
    by_model = history().cost_by("model")
    assert by_model["openai-gpt-image-1"] == one
    assert history().cost_by("outcome") == {"done": history().cost}
    assert list(history().cost_by("day")) == [f"{dt.datetime.now().astimezone():%Y-%m-%d}"]
    with pytest.raises(
        gn.InvalidRequestError, match=r"cost_by\('days'\): expected one of day, model, outcome\nDid you mean day"
    ):
        history().cost_by("days")
    frame = history().to_frame()
    assert frame["cost"].sum() == pytest.approx(float(history().cost.amount))
    assert frame["images_of_unknown_cost"].sum() == 0


def test_the_report_says_what_was_spent_what_is_left_and_at_which_prices(priced: Simulator) -> None:
    """Three lines and the prices; without prices how to set them."""
    gn.configure(budget=5, budget_per_day=1)
    gn.generate("x", **SMALL)
    lines = cost_report().splitlines()
    assert lines[0] == "This session  $0.01; $4.99 of $5.00 left"
    assert lines[1] == "Today         $0.01; $0.99 of $1.00 left"
    assert lines[2] == "This month    $0.01"
    assert lines[3].startswith("Price of all models: $5.00 per million input text tokens, $40.00 per million")
    gn.configure(prices=None)
    assert "No prices are set: %config ImageGen.prices = {" in cost_report()


def test_the_most_of_a_request_is_never_less_than_its_cost(priced: Simulator) -> None:
    """For each size and quality, with partial images and a long prompt, in letters that take many bytes."""
    price = session.price_of("openai-gpt-image-1")
    for look in ({"quality": "high", "size": "1024x1536"}, {}, {"stream": True, "partial_images": 3, "quality": "low"}):
        params = ImageGenerateParams.of({"prompt": "水獺" * 50, "model": "openai-gpt-image-1", **look})
        most = price.most_of_one(params)
        job = gn.submit(**params.given())
        job.result()
        assert job.cost.amount <= most


def of_client(**options: Any) -> Any:
    return gn.Client().images.generate(prompt="x", **SMALL, **options)


def of_async_client(**options: Any) -> Any:
    async def ask() -> Any:
        async with gn.AsyncClient() as client:
            answer = await client.images.generate(prompt="x", **SMALL, **options)
            return [event async for event in answer] if options.get("stream") else answer

    return asyncio.run(ask())


@pytest.mark.parametrize("ask", [of_client, of_async_client])
@pytest.mark.parametrize("archive", [True, False], ids=["archive", "memory"])
def test_budgets_hold_for_the_clients_too(priced: Simulator, ask: Callable[..., Any], archive: bool) -> None:
    """Streaming or not, they reserve and settle as jobs do; what is refused is not sent."""
    gn.configure(archive=archive, budget=1, budget_per_day=0.05)
    ask(n=2)
    list(ask(stream=True, partial_images=1))
    assert spending.today() == spending.of_process.totals() == {"$": Total(spent=bill(priced))}
    with pytest.raises(gn.BudgetExceededError, match="budget_per_day="):
        ask(n=2)
    assert len(priced.posts) == 2


@pytest.mark.parametrize("ask", [of_client, of_async_client])
def test_what_a_client_was_refused_is_given_back(configured: Simulator, ask: Callable[..., Any]) -> None:
    """And what may have been billed is not."""
    gn.configure(prices=PRICES, budget=1, budget_per_day=1)
    for status, used in ((422, 0), (500, MOST)):
        configured.script([Fault(status=status, body={})])
        with pytest.raises(gn.APIError):
            ask()
        assert spending.today()["$"].used == spending.of_process.totals()["$"].used == used


def test_a_stream_that_nobody_reads_stays_counted(configured: Simulator) -> None:
    """Closed before its image came, it may have been billed."""
    gn.configure(prices=PRICES, budget=1, budget_per_day=1)
    with gn.Client().images.generate(prompt="x", **SMALL, stream=True, partial_images=1) as events:
        next(events)
    assert spending.today() == {"$": Total(uncertain=MOST + Decimal("0.004"), uncertain_images=1)}


def test_a_panel_shows_what_it_may_cost_and_what_is_left(priced: Simulator) -> None:
    """In two short lines beside Generate; without prices in one, of tokens."""
    panel = gn.Panel(prompt="x", **SMALL)
    gn.configure(prices=None)
    panel.form.show_estimate()
    assert panel.form._estimate.value == "≈ 472 tokens"
    gn.configure(prices=PRICES, budget=5, budget_per_day=0.05)
    panel.generate().result()
    panel.job._wait()
    assert panel.form._estimate.value == "≈ 472 tokens · $0.02<br>session $0.02 · $0.03 left"
    panel.close()


def test_a_panel_says_why_nothing_was_sent(priced: Simulator) -> None:
    """A budget that is too small for one image is told where the image would have been."""
    gn.configure(budget=0.001)
    panel = gn.Panel(prompt="x", **SMALL)
    with pytest.raises(gn.BudgetExceededError):
        panel.generate().result()
    assert "budget=$0.001: this may cost up to $0.02, and $0.001 is left" in str(panel._gallery.finished)
    assert priced.posts == []
    panel.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_process_that_was_forked_has_spent_nothing_yet(priced: Simulator) -> None:
    """A budget is one process's; that of a day is shared."""
    gn.configure(budget_per_day=1)
    gn.generate("x", **SMALL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # there are threads, which the child does not use
        if not (child := os.fork()):
            told = spending.of_process.totals(), spending.today()["$"].used
            os._exit(0 if told == ({}, ONE) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert spending.of_process.totals()["$"].used == ONE


def test_what_is_reused_costs_nothing_and_is_not_refused(priced: Simulator) -> None:
    """Only what is made is reserved: of two images one is there already."""
    gn.configure(budget=0.025, budget_per_day=0.025)
    gn.generate("x", **SMALL, reuse=True)
    numbering.numbers.__init__()  # type: ignore[misc] # as in a new process
    job = gn.submit("x", **SMALL, n=2, reuse=True)
    assert len(job.result()) == 2
    assert (job.cost, len(priced.posts)) == (gn.Cost.of(ONE, "$"), 2)
    numbering.numbers.__init__()  # type: ignore[misc]
    gn.configure(budget=0)
    refused = gn.submit("x", **SMALL, n=3, reuse=True)
    assert len(refused.result()) == 2  # the third is made by nobody
    assert isinstance(refused.errors[0], gn.BudgetExceededError)
    assert refused.id in {entry.id for entry in history()}
    numbering.numbers.__init__()  # type: ignore[misc]
    again = gn.submit("x", **SMALL, n=2, reuse=True)
    assert len(again.result()) == 2
    assert (again.cost, len(priced.posts)) == (gn.Cost(), 2)


def test_a_sweep_says_what_it_costs_and_stops_at_a_budget(priced: Simulator) -> None:
    """Its plan has the least and the most; what has no room is not sent, and is made when there is."""
    gn.configure(budget=0.04, concurrency=1)
    asked: dict[str, Any] = {"quality": ["low", None], "size": "1024x1024"}
    plan = gn.sweep("{{animal}}", animal=["a", "b"], **asked, start=False).plan
    assert [str(cost) for cost in plan.cost] == ["$0.04", "$0.35"]
    assert "$0.04–$0.35" in str(plan)
    study = gn.sweep("{{letter}}", letter=list("abcde"), **SMALL).result()
    assert study.outcomes == {"done": 3, "failed": 2}
    assert str(study.cost) == "$0.03"
    assert "budget=$0.04: this may cost up to $0.01" in study.sel(letter="e")[0].error
    gn.configure(budget=1)
    assert gn.sweep("{{letter}}", letter=list("abcde"), **SMALL).result().outcomes == {"done": 5}
    assert len(priced.posts) == 5


def test_what_an_earlier_version_has_recorded_is_of_unknown_cost(priced: Simulator, tmp_path: Path) -> None:
    """It counts as that in every sum; what was refused then cost nothing."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    images = (ImageRecord(position=0, outcome="done"), ImageRecord(position=1, outcome="refused"))
    ledger.put(Record(id="old", started_at=time.time(), model="m", prompt="x", params={}, endpoint="", images=images))
    with ledger._open("mode=rw") as connection:
        connection.execute("DROP TABLE spending")
        for column in ("generations DROP COLUMN currency", "generations DROP COLUMN most", "images DROP COLUMN cost"):
            connection.execute(f"ALTER TABLE {column}")
        connection.execute(f"PRAGMA user_version = {VERSION - 1}")
    gn.configure(archive_dir=str(tmp_path))
    assert str(history().cost) == "1 image of unknown cost"
    gn.generate("x", **SMALL)
    assert str(history().cost) == "$0.01 and 1 image of unknown cost"
    assert spending.today() == {None: Total(unknown=1), "$": Total(spent=ONE)}
    assert cost_report().splitlines()[1] == "Today         $0.01 and 1 image of unknown cost"
