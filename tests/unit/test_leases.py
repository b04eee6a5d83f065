"""Sweeps by way of leases, whatever moves them: money, pace and claims, with workers that live in this process."""

from __future__ import annotations

import base64
import errno
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import runners as kills
from engines import Here

from gradient_notebook import InvalidRequestError, Sweep, configure, history, sweep
from gradient_notebook.cluster import broker, roster, steering, words, worker
from gradient_notebook.cluster.claims import Claims, Done, cell_name, new_record
from gradient_notebook.cluster.lease import Sealed
from gradient_notebook.jobs import spending
from gradient_notebook.simulator import Simulator
from gradient_notebook.simulator.generations import TINY_PICTURE
from gradient_notebook.storage import archive as archives
from gradient_notebook.storage.archive import Archive, get_default
from gradient_notebook.storage.leases import unknown_of
from gradient_notebook.storage.ledger import ImageRecord, Record
from gradient_notebook.storage.owner import this_process
from gradient_notebook.sweeps.leasing import order_of
from gradient_notebook.sweeps.on_cluster import run_with

PATIENCE_S = 60.0
PRICE = {"per_image": 0.01}
BUSY = {"status": 429, "headers": {"retry-after": "1"}, "body": {"message": "too many"}}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Simulator, "default_painter", kills.Small)
    monkeypatch.setattr(broker, "TICK_S", 0.02)
    monkeypatch.setattr(broker, "AWAY_S", 0.3)
    monkeypatch.setattr(broker, "NOBODY_S", 0.3)
    monkeypatch.setattr(worker, "_kits", {})


def planned(count: int, **how: Any) -> Sweep:
    return sweep("hill {{i}}", i=range(count), **{"quality": "low", "yes": True, "start": False, **how})


def archive() -> Archive:
    found = get_default()
    assert found
    return found


def posts(service: Simulator) -> Counter[str]:
    return Counter(post.body["prompt"] for post in service.posts)


def until(condition: Callable[[], Any]) -> None:
    ends_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < ends_s
        threading.Event().wait(0.01)


def folders() -> list[Path]:
    """Return what is left of claims."""
    return list((archive().folder / "cluster").rglob("*"))


# How leases are made


def test_all_cells_are_made_each_of_them_once(configured: Simulator) -> None:
    """In leases that leave work for every worker; record, original and small picture are where a run here has them."""
    engine = Here(3)
    study = run_with(planned(40), engine).result(timeout=PATIENCE_S)
    assert study.outcomes == {"done": 40}
    assert set(posts(configured).values()) == {1}
    sizes = [len(lease.orders) for _, lease in engine.leases]
    assert (sum(sizes), max(sizes)) == (40, 7)
    assert {one for one, _ in engine.leases} == set(engine.there)
    assert [image.size for image in study[7:8].images] == [(32, 32)]
    entry = history(study[7].record_id)[0]
    assert (entry.outcome, entry.prompt) == ("done", "hill 7")
    assert archive().ledger.thumbnails([study[7].paths[0].name])
    assert folders() == []
    assert planned(40).plan.to_make == 0


def test_large_runs_go_in_leases_of_fifty(configured: Simulator) -> None:
    """Two for each worker are out, and no more."""
    configured.seconds_per_image = 600
    engine = Here(2)
    study = run_with(planned(1000), engine)
    until(lambda: len(engine.leases) == 4)
    assert {len(lease.orders) for _, lease in engine.leases} == {50}
    study.cancel()
    study.result(timeout=PATIENCE_S)
    assert len(engine.leases) == 4


def test_what_others_have_made_meanwhile_is_not_made(configured: Simulator) -> None:
    """As in a run of this process."""
    first, second = planned(4), sweep("hill {{i}}", i=range(6), quality="low", start=False)
    first.start().result()
    run_with(second, Here()).result(timeout=PATIENCE_S)
    assert (second.outcomes, len(configured.posts)) == ({"done": 6}, 6)
    assert [cell.reused for cell in second] == [True] * 4 + [False] * 2


def test_what_ends_with_an_error_is_an_outcome(configured: Simulator) -> None:
    """A refusal, an error of the server, a broken answer: told as in a run here, and not sent again."""
    configured.script(
        [
            {"status": 400, "body": {"error": {"message": "no", "code": "moderation_blocked"}}},
            {"status": 500, "body": {"message": "broken"}},
            {"cut": "before_headers"},
        ]
    )
    configure(concurrency=1)
    study = run_with(planned(5), Here(1)).result(timeout=PATIENCE_S)
    assert [cell.outcome for cell in study] == ["refused", "failed", "unknown", "done", "done"]
    assert len(configured.posts) == 5
    again = run_with(study, Here(1)).result(timeout=PATIENCE_S)
    assert [cell.outcome for cell in again][1:] == ["failed", "unknown", "done", "done"]
    assert len(configured.posts) == 5
    study.retry(unknown=True).result(timeout=PATIENCE_S)
    assert (study.outcomes, len(configured.posts)) == ({"refused": 1, "done": 4}, 7)


def test_a_wrong_key_ends_all(configured: Simulator) -> None:
    """Every other cell would end so, too."""
    configured.script([{"status": 401, "body": {"id": "unauthorized", "message": "no"}}] * 100)
    configure(concurrency=1)
    study = run_with(planned(100), Here(1)).result(timeout=PATIENCE_S)
    assert len(configured.posts) <= 20
    assert study.outcomes == {"failed": 100}
    assert "not made" in " ".join(study.notes)


def test_it_is_paused_resumed_and_cancelled(configured: Simulator) -> None:
    """As a run of this process: what has been sent comes to its end, and nothing more is sent."""
    configured.seconds_per_image = 0.05
    configure(concurrency=2)
    engine = Here()
    study = run_with(planned(200), engine)
    assert configured.wait_for(lambda: len(configured.posts) >= 4)
    study.pause()
    until(lambda: engine.said and engine.said[-1]["is_paused"] and "running" not in study.outcomes)
    sent = len(configured.posts)
    threading.Event().wait(0.3)
    assert (len(configured.posts), study.status) == (sent, "paused")
    study.resume()
    assert configured.wait_for(lambda: len(configured.posts) > sent)
    assert study.cancel()
    study.result(timeout=PATIENCE_S)
    assert study.status == "cancelled"
    assert len(configured.posts) < 200
    assert sum(study.outcomes.values()) == 200
    assert set(posts(configured).values()) == {1}


# Money


@pytest.mark.parametrize("name", ["budget", "budget_per_day"])
def test_a_budget_of_a_hundred_images_makes_a_hundred(configured: Simulator, name: str) -> None:
    """Under four workers never 101, and not 99 either; what is over is told, and made when there is more."""
    configure(prices=PRICE, concurrency=8, **{name: 1.0})
    study = run_with(planned(150), Here(4)).result(timeout=PATIENCE_S)
    assert (len(configured.posts), study.outcomes) == (100, {"done": 100, "failed": 50})
    assert name in study.notes[-1]
    assert str(study.cost).startswith("$1.00")
    configure(**{name: 1.2})
    study.retry().result(timeout=PATIENCE_S)
    assert (len(configured.posts), study.outcomes) == (120, {"done": 120, "failed": 30})


def test_what_is_cheaper_than_its_most_leaves_room(configured: Simulator) -> None:
    """Leases reserve the most; as they end, what is left over is lent again, and no more is ever spent."""
    configure(prices={"input_text_tokens": 5, "output_image_tokens": 40}, concurrency=4, budget=0.12)
    study = run_with(planned(40, size="1024x1024"), Here(3)).result(timeout=PATIENCE_S)
    spent = float(next(iter(study.cost.amounts.values())))
    assert 0.12 - 0.0114 < spent <= 0.12
    assert study.outcomes["done"] == len(configured.posts)


def test_what_is_not_known_stays_reserved(configured: Simulator) -> None:
    """Of a cell that was sent without an answer."""
    configured.script([{"cut": "before_headers"}] * 4)
    configure(prices=PRICE, budget_per_day=0.1)
    study = run_with(planned(20), Here()).result(timeout=PATIENCE_S)
    assert len(configured.posts) == 10
    assert study.outcomes == {"unknown": 4, "done": 6, "failed": 10}
    total = archive().ledger.totals(0)["$"]
    assert (total.spent, total.uncertain, total.reserved) == (Decimal("0.06"), Decimal("0.04"), 0)


# Pace


def test_a_storm_of_429_slows_all_workers_and_costs_no_cell(configured: Simulator) -> None:
    """Nothing is sent as long as the service says, by whatever worker; then all of it is made, and nothing twice."""
    configured.script([None] * 6 + [BUSY] * 4)
    configure(concurrency=4)
    engine = Here(4)
    study = run_with(planned(16), engine).result(timeout=PATIENCE_S)
    assert study.outcomes == {"done": 16}
    assert len(configured.posts) == 20
    busy = max(post.at for post in configured.posts[:14] if not post.usage)
    assert not [post for post in configured.posts if busy + 0.2 < post.at < busy + 0.95]
    assert [said for said in engine.said if said["rate"] and said["hold_s"] > 0.5]


def test_the_granted_rate_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """By each worker, however many cells wait."""
    import asyncio

    heard = steering.Steering()
    heard.hear(rate=20, hold_s=0.1, is_paused=False, stop="")

    async def turns() -> float:
        began = time.monotonic()
        assert all(await asyncio.gather(*(heard.turn() for _ in range(11))))
        return time.monotonic() - began

    assert asyncio.run(turns()) >= 0.1 + 10 / 20 - 0.05


def test_without_a_word_from_the_broker_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is gone, and nobody counts the money."""
    import asyncio

    heard = steering.Steering()
    assert asyncio.run(heard.turn())
    monkeypatch.setattr(steering, "ORPHANED_S", -1)
    assert not asyncio.run(heard.turn())


def test_a_service_that_is_away_gets_its_cells_when_it_is_back(configured: Simulator, held: Any) -> None:
    """Nothing was sent, so nothing is lost; without retries they fail, and say why."""
    from gradient_notebook import Settings

    url = f"http://127.0.0.1:{held.getsockname()[1]}"
    settings = Settings(endpoint=url, key="sk-do-x", max_retries=0)
    study = run_with(planned(6, settings=settings), Here()).result(timeout=PATIENCE_S)
    assert set(study.outcomes) == {"failed"}
    assert {cell.sent for cell in study} == {False}


# What dies


def test_a_lease_that_fails_is_made_by_others(configured: Simulator) -> None:
    """What it has not claimed was not sent."""
    engine = Here()
    engine.failures = 2
    study = run_with(planned(12), engine).result(timeout=PATIENCE_S)
    assert (study.outcomes, len(configured.posts)) == ({"done": 12}, 12)


def test_leases_that_always_fail_end_the_run(configured: Simulator) -> None:
    """With the reason; nothing is sent, so nothing stays reserved."""
    configure(prices=PRICE, budget_per_day=1)
    engine = Here()
    engine.failures = 1000
    study = run_with(planned(12), engine).result(timeout=PATIENCE_S)
    assert (set(study.outcomes), len(configured.posts)) == ({"failed"}, 0)
    assert "the worker has died" in study.notes[-1]
    assert (unknown_of(archive().ledger, study.id), archive().ledger.totals(0)) == ([], {})
    assert spending.of_process.totals() == {}


def test_a_cluster_that_goes_away_ends_the_run(configured: Simulator) -> None:
    """What came is kept; the rest is told, and another cluster makes it."""
    configured.seconds_per_image = 0.05
    engine = Here()
    study = run_with(planned(60), engine)
    assert configured.wait_for(lambda: len(configured.posts) >= 10)
    engine.connected, engine.closed = False, True
    study.result(timeout=PATIENCE_S)
    assert "is gone" in " ".join(study.notes)
    assert study.outcomes["failed"] > 0
    again = run_with(planned(60), Here()).result(timeout=PATIENCE_S)
    until(lambda: sum(again.outcomes.get(name, 0) for name in ("done", "unknown")) == 60)
    assert set(posts(configured).values()) == {1}


def dead_broker(study: Sweep, count: int) -> list[Record]:
    """Leave what a broker leaves that was killed when a lease of so many cells was out."""
    put = archive().ledger
    from gradient_notebook.storage.runs import put_run

    put_run(put, study._run)
    records = []
    for cell in study[:count]:
        order = order_of(study.id, cell)
        values: dict[str, Any] = {"endpoint": "x", "owner": this_process() + "0", "identity": cell.identity}
        record = Record(
            id=order.record_id,
            started_at=time.time(),
            model="m",
            prompt=cell.prompt,
            params=cell.params.given(),
            run=study.id,
            cell=cell.index,
            images=(ImageRecord(position=0),),
            **values,
        )
        put.put(record)
        records.append(record)
    return records


def test_what_a_dead_broker_has_leased_is_reconciled(configured: Simulator) -> None:
    """Not claimed: it was not sent, and is made. Claimed: it may have been billed. Done, or stored at least: it is there."""
    study = planned(7)
    records = dead_broker(study, 6)
    claims = Claims(archive().folder, study.id)
    claims.begin()
    claims.open("lease")
    for record in (*records[:4], records[5]):
        name = order_of(study.id, study[record.cell]).name
        assert claims.claim(name, record.id, "lease", "tcp://nobody 1") == "mine"
    data = study_image()
    archive().write(archive().path_of(data), data)
    kept = ImageRecord(position=0, outcome="done", file=archive().path_of(data).name, byte_count=len(data))
    claims.finish(Done(Record(**{**vars(records[1]), "images": (kept,), "ended_at": time.time(), "outcome": "done"})))
    temporary = archive().originals / f".temporary-{records[2].id}-0-{archive().path_of(data).name}"
    temporary.write_bytes(data)
    again = planned(7)
    assert [cell.outcome for cell in again] == ["unknown", "done", "done", "unknown", "queued", "unknown", "queued"]
    assert {record.id for record in unknown_of(archive().ledger, study.id)} == {records[at].id for at in (0, 3, 5)}
    # A worker that lives on sends nothing more, and what it ends is taken.
    assert claims.claim(order_of(study.id, study[6]).name, new_record("x" * 32), "lease", "tcp://nobody 1") == "over"
    claims.finish(Done(Record(**{**vars(records[3]), "images": (kept,), "ended_at": time.time(), "outcome": "done"})))
    claims.release(order_of(study.id, study[5]).name)  # nothing was sent, says a worker that lives on
    run_with(again, Here()).result(timeout=PATIENCE_S)
    assert [cell.outcome for cell in again] == ["unknown", *["done"] * 6]
    assert posts(configured) == {"hill 4": 1, "hill 5": 1, "hill 6": 1}


def study_image() -> bytes:

    return base64.b64decode(TINY_PICTURE)


def test_a_run_of_this_process_continues_what_leases_have_left(configured: Simulator) -> None:
    """And the other way round: what this process has sent, no claim says, and is not forgotten."""
    study = planned(4)
    dead_broker(study, 2)
    claims = Claims(archive().folder, study.id)
    claims.begin()
    claims.open("lease")
    claims.claim(order_of(study.id, study[0]).name, "x", "lease", "tcp://nobody 1")
    sent_here = Record(**{**vars(dead_broker(study, 3)[2]), "id": "0123456789ab"})
    archive().ledger.put_all(
        [sent_here], [record.id for record in unknown_of(archive().ledger, study.id) if record.cell == 2]
    )
    again = planned(4).start().result()
    assert [cell.outcome for cell in again] == ["unknown", "done", "unknown", "done"]
    assert posts(configured) == {"hill 1": 1, "hill 3": 1}


# Claims


def test_a_claim_is_made_once(tmp_path: Path) -> None:
    """By whoever is first; where its lease holds no more, it is none."""
    claims, name = Claims(tmp_path, "run"), cell_name("run", "x", 0)
    claims.begin()
    claims.open("first")
    found: list[str] = []

    def claim(number: int) -> None:
        found.append(claims.claim(name, "r", "first", f"worker {number}"))

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(found) == {"mine": 1, "taken": 15}
    claims.release(name)
    claims.close("first")
    assert (claims.claim(name, "r", "first", "worker 1"), claims.claimed()) == ("over", set())
    claims.open("second")
    claims.begin()
    assert (claims.claim(name, "r", "second", "worker 1"), claims.claimed()) == ("over", set())
    claims.open("third")
    assert claims.claim(name, "r", "third", "worker 2") == "mine"
    claims.end()
    assert claims.claim(name, "r", "third", "worker 2") == "over"


# Disks


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """A disk that takes no original while the list is not empty."""
    full: list[bool] = [True]
    fill = archives.fill

    def refuse(descriptor: int, path: Path, data: bytes) -> None:
        if full:
            import os

            os.close(descriptor)
            path.unlink()
            raise OSError(errno.ENOSPC, "No space left on device")
        fill(descriptor, path, data)

    monkeypatch.setattr(archives, "fill", refuse)
    return full


def test_a_full_disk_costs_no_image_that_was_paid_for(
    configured: Simulator, full_disk: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes by message, and the worker gets nothing more; where that was the last one, the rest is told."""
    configure(concurrency=2)
    study = run_with(planned(30), Here(1)).result(timeout=PATIENCE_S)
    made = [cell for cell in study if cell.outcome == "done"]
    assert len(made) == len(configured.posts) <= 4
    assert all(cell.image and cell.image.size == (32, 32) for cell in made)
    assert "disk is full" in " ".join(study.notes)
    assert "No space left" in " ".join(study.notes)
    full_disk.clear()
    study.retry().result(timeout=PATIENCE_S)
    assert study.outcomes == {"done": 30}


def test_a_disk_that_has_room_again_is_used_again(
    configured: Simulator, full_disk: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within the same run, as soon as it is looked again."""
    monkeypatch.setattr(roster, "_ASIDE_S", 0.1)
    monkeypatch.setattr(broker, "NOBODY_S", PATIENCE_S)
    configure(concurrency=1)
    study = run_with(planned(12), Here(1))
    until(lambda: "disk is full" in " ".join(study.notes))
    full_disk.clear()
    assert study.result(timeout=PATIENCE_S).outcomes == {"done": 12}


# Who cannot make images


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (ModuleNotFoundError("No module", name="gradient_notebook"), "2 of 2 workers have no gradient_notebook: a, b"),
        (ModuleNotFoundError("No module", name="gradient_notebook.cluster"), "gradient_notebook of another version"),
        ({"lacks": "version", "version": "0.0.9"}, "have gradient_notebook 0.0.9, and this process has 1.2"),
        ({"lacks": "folder", "version": "1.2"}, "do not see the folder of the archive"),
        ({"lacks": "disk", "version": "1.2"}, "have no room on the disk"),
        ({"lacks": "key", "version": "1.2"}, "have no key"),
        (OSError("gone"), "do not answer (OSError: gone)"),
    ],
)
def test_what_a_worker_lacks_is_said(told: Any, said: str) -> None:
    """With what to do about it, and that nothing was sent."""
    error = words.refusal({"a": told, "b": told}, version="1.2", folder="/shared")
    assert said in str(error)
    assert "Nothing was sent" in str(error)


def test_before_anything_is_sent_all_workers_are_looked_at(
    configured: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that cannot make images ends it; later ones get nothing, and a note says why."""
    engine = Here(2)
    engine.answers = {"worker-1": {"lacks": "folder", "version": "x"}}
    with pytest.raises(InvalidRequestError, match="1 of 2 workers do not see the folder"):
        run_with(planned(4), engine)
    monkeypatch.setattr(roster, "_FIRST_S", 0)
    with pytest.raises(InvalidRequestError, match="has no workers"):
        run_with(planned(4), Here(0))
    assert (configured.posts, folders()) == ([], [])
    configured.seconds_per_image = 0.05
    engine = Here(1)
    engine.answers = {"late": {"lacks": "key", "version": "x"}}
    study = run_with(planned(20), engine)
    engine.there.append("late")
    study.result(timeout=PATIENCE_S)
    assert {one for one, _ in engine.leases} == {"worker-0"}
    assert "have no key: late" in " ".join(study.notes)


def test_the_key_goes_only_where_nobody_reads_it(configured: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere workers need their own; this process has none in its environment."""
    engine = Here(1)
    engine.is_private = False
    study = planned(2)
    monkeypatch.delenv("GRADIENT_MODEL_ACCESS_KEY")
    with pytest.raises(InvalidRequestError, match="have no key"):
        run_with(study, engine)
    monkeypatch.setenv("GRADIENT_MODEL_ACCESS_KEY", "sk-do-of-the-workers")
    run_with(study, engine).result(timeout=PATIENCE_S)
    assert {post.headers["authorization"] for post in configured.posts} == {"Bearer sk-do-of-the-workers"}
    assert worker._kits == {}
    assert "secret" not in f"{Sealed(lambda: 'secret')!r}"


def test_what_makes_no_sense_is_refused(configured: Simulator) -> None:
    """Before anything is sent."""
    with pytest.raises(InvalidRequestError, match=r"expected a dask\.distributed\.Client"):
        planned(1).run(on=object())
    running = planned(2).start()
    configured.seconds_per_image = 600
    with pytest.raises(InvalidRequestError, match=r"runs already|is being made"):
        run_with(planned(2) if running.done() else running, Here())
    running.cancel()
    configure(archive=False)
    with pytest.raises(InvalidRequestError, match="keeps no archive"):
        run_with(planned(1), Here())
