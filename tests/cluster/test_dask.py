"""Sweeps on a Dask cluster of processes: what dies costs no second post and no finished image, and the key is nowhere."""

from __future__ import annotations

import asyncio
import pickle
import re
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import clusters
import pytest
import runners as kills

import gradient_notebook as gn
from gradient_notebook import InvalidRequestError, Sweep, configure, sweep
from gradient_notebook.cluster import broker
from gradient_notebook.cluster.on_dask import cluster_of
from gradient_notebook.notebook.widgets.grid import state_of
from gradient_notebook.simulator import Simulator
from gradient_notebook.storage.archive import get_default

distributed = pytest.importorskip("distributed")

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")

KEY = "sk-do-of-a-cluster-test"
PATIENCE_S = 60.0


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Simulator, "default_painter", kills.Small)


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """The client of a cluster of two processes."""
    with clusters.cluster(2) as found:
        yield found


def planned(count: int, service: Simulator, **how: Any) -> Sweep:
    settings = gn.Settings(endpoint=service.url, key=KEY)
    return sweep(
        "hill {{i}}", i=range(count), **{"quality": "low", "yes": True, "start": False, "settings": settings, **how}
    )


def posts(service: Simulator) -> Counter[str]:
    return Counter(post.body["prompt"] for post in service.posts)


def until(condition: Callable[[], Any]) -> None:
    ends_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < ends_s
        threading.Event().wait(0.02)


@pytest.mark.parametrize("cells", [300, pytest.param(1_000, marks=pytest.mark.slow)])
def test_a_killed_worker_costs_no_second_post_and_no_image(cells: int) -> None:
    """After every 50 finished cells: each is posted once at most, what is finished stays, and each unknown is reported."""
    assert [figure for figure in clusters.figures(cells) if figure.is_defect] == []


@pytest.mark.parametrize("count", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_a_killed_runner_is_followed_by_another(count: int) -> None:
    """At random moments: the workers live on, what they have in hand is waited for, and nothing is posted twice."""
    assert [figure for figure in clusters.runner_figures(count) if figure.is_defect] == []


def test_a_killed_scheduler_ends_the_run_and_another_cluster_goes_on(
    service: Simulator, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came is kept, what may have been billed is told, and the rest is made elsewhere."""
    monkeypatch.setattr(broker, "AWAY_S", 2.0)
    service.seconds_per_image = 0.1
    with clusters.scheduler() as other, clusters.workers_of(other, 2):
        study = planned(80, service).run(on=other)
        until(lambda: study.outcomes.get("done", 0) >= 10)
        done = {cell.index for cell in study if cell.outcome == "done"}
        other.process.kill()
        study.result(timeout=PATIENCE_S)
        assert "The Dask cluster is gone" in " ".join(study.notes)
        assert done <= {cell.index for cell in study if cell.outcome == "done"}
        # Its workers may live on for a while.
        study.run(on=client).result(timeout=PATIENCE_S)
    assert set(study.outcomes) <= {"done", "unknown"}
    assert study.outcomes.get("unknown", 0) <= 8
    assert set(posts(service).values()) == {1}
    assert set(posts(service)) >= {cell.prompt for cell in study if cell.outcome == "done"}


def test_the_key_is_nowhere(service: Simulator, client: Any) -> None:
    """Not in the graph, a task's name, an event, a log, a page of the dashboard, or a file; also where a server repeats it."""
    service.script([{"status": 400, "body": {"error": {"message": f"{KEY} is wrong"}}}, None, *[{"delay": 600}] * 40])
    study = planned(12, service).run(on=client)
    until(lambda: len(service.posts) >= 8 and study.outcomes.get("failed"))
    shown = seen_on(client)
    assert any(b"hill 0" in text for text in shown["graph"])
    assert any(b"gradient-notebook" in text for text in shown["pages"])
    study.cancel()
    study.result(timeout=PATIENCE_S)
    shown["logs"] += seen_on(client)["logs"]
    archive = get_default()
    assert archive
    kept = [path.read_bytes() for path in archive.folder.rglob("*") if path.is_file()]
    assert [
        name for name, texts in {**shown, "kept": kept}.items() if any(KEY.encode() in text for text in texts)
    ] == []
    assert {post.headers["authorization"] for post in service.posts} == {f"Bearer {KEY}"}


def seen_on(client: Any) -> dict[str, list[bytes]]:
    """Return whatever a cluster shows and keeps of what runs on it."""
    graph = client.run_on_scheduler(
        lambda dask_scheduler: [pickle.dumps((str(one), task.run_spec)) for one, task in dask_scheduler.tasks.items()]
    )
    base = client.dashboard_link.rpartition("/")[0]
    pages: dict[str, bytes] = {}
    queue = ["/info/main/workers.html", "/info/main/logs.html", "/json/identity.json", "/metrics", "/status"]
    while queue:
        page = queue.pop()
        if page in pages or len(pages) > 100:
            continue
        with suppress(OSError), urllib.request.urlopen(base + page, timeout=10) as answer:
            pages[page] = answer.read()
            links = re.findall(rb'href="([^"#?]+)"', pages[page])
            queue += [
                "/info/" + link.decode().removeprefix("../")
                for link in links
                if b":" not in link and b"static" not in link
            ]
    logs = [repr((client.get_scheduler_logs(), client.get_worker_logs(), client.get_events())).encode()]
    states = client.run(lambda dask_worker: repr(dask_worker._to_dict(exclude=["config"])).encode())
    spilled = client.run(
        lambda dask_worker: [
            path.read_bytes() for path in Path(dask_worker.local_directory).rglob("*") if path.is_file()
        ]
    )
    files = [data for found in spilled.values() for data in found]
    return {
        "graph": graph,
        "pages": list(pages.values()),
        "logs": logs,
        "states": list(states.values()),
        "files": files,
    }


_POISON = """
import sys
class Nowhere:
    def find_spec(self, name, *_):
        if name.partition(".")[0] == "gradient_notebook":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Nowhere())
"""


def test_workers_without_the_package_or_of_another_version_are_told(service: Simulator, tmp_path: Path) -> None:
    """Before anything is sent."""
    version = gn.__version__
    poison = tmp_path / "poison.py"
    poison.write_text(_POISON)
    with clusters.cluster(1) as client:
        client.run(lambda: __import__("gradient_notebook").__dict__.update(__version__="0.0.9"))
        with pytest.raises(InvalidRequestError, match=rf"1 of 1 workers have gradient_notebook 0\.0\.9, .*{version}"):
            planned(2, service).run(on=client)
        with clusters.workers_of(client, 0) as workers:
            workers.start("--preload", str(poison))
            until(lambda: len(client.nthreads()) == 2)
            client.run(lambda: __import__("gradient_notebook").__dict__.update(__version__=version), on_error="ignore")
            with pytest.raises(InvalidRequestError, match="1 of 2 workers have no gradient_notebook: tcp://"):
                planned(2, service).run(on=client)
    assert service.posts == []


def test_a_full_disk_on_a_worker_costs_no_image(service: Simulator) -> None:
    """Of a file system's own refusal: the image comes by message, and the worker gets nothing more."""
    import resource

    configure(concurrency=2)
    with clusters.cluster(1) as client:
        study = planned(20, service)
        limit = 600
        service.seconds_per_image = 0.2
        study.run(on=client)
        assert service.wait_for(lambda: len(service.posts) >= 2)
        client.run(lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY)))
        until(lambda: any("disk is full" in note for note in study.notes))
        client.run(lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2))
        study.cancel()
        study.result(timeout=PATIENCE_S)
    sent = set(posts(service))
    assert {cell.prompt for cell in study if cell.outcome in ("done", "cancelled") and cell.record_id} == sent
    assert all(cell.image for cell in study if cell.outcome == "done")
    assert study.outcomes["done"] >= 2


def test_a_client_that_cannot_be_used_is_refused(
    service: Simulator, monkeypatch: pytest.MonkeyPatch, client: Any
) -> None:
    """One that is closed; none at all; without Dask."""
    closed = distributed.Client(client.scheduler.address, set_as_default=False)
    closed.close()
    with pytest.raises(InvalidRequestError, match="on=: the Client is closed"):
        planned(1, service).run(on=closed)
    with pytest.raises(InvalidRequestError, match=r"on=dict: expected a dask\.distributed\.Client"):
        planned(1, service).run(on={})
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InvalidRequestError, match=r"pip install 'gradient-notebook\[dask\]'"):
        planned(1, service).run(on=client)
    assert service.posts == []


def test_an_asynchronous_client_is_taken_as_well(service: Simulator, client: Any) -> None:
    """Awaited on its own loop."""

    async def work() -> Sweep:
        async with distributed.Client(client.scheduler.address, asynchronous=True, set_as_default=False) as other:
            return await planned(12, service).run(on=other)

    assert asyncio.run(work()).outcomes == {"done": 12}
    assert set(posts(service).values()) == {1}


def test_the_dashboard_is_named_and_others_watch_it(service: Simulator, client: Any) -> None:
    """As any run: another view sees it, pauses it and cancels it."""
    service.seconds_per_image = 0.1
    study = planned(60, service).run(on=client)
    assert client.dashboard_link in " ".join(study.notes)
    assert state_of(study)["dashboard"] == client.dashboard_link
    until(lambda: study.outcomes.get("done"))
    view = Sweep.attach(study.id)
    until(lambda: view.outcomes.get("done"))
    assert view.status == "running"
    with pytest.raises(InvalidRequestError, match="is being made"):
        planned(60, service).run(on=client)
    view.cancel()
    study.result(timeout=PATIENCE_S)
    assert view.result(timeout=PATIENCE_S).outcomes == study.outcomes
    assert (study.status, state_of(study)["dashboard"]) == ("cancelled", "")


def test_the_key_goes_over_tls_or_on_one_machine(client: Any) -> None:
    """Nowhere else; there the workers need their own."""
    engine = cluster_of(client)
    places = {
        "tcp://127.0.0.1:1": (True, True),
        "tcp://[::1]:1": (True, True),
        "inproc://10.0.0.7/1/1": (True, True),
        "tls://10.0.0.7:1": (True, False),
        "tcp://10.0.0.7:1": (False, False),
        "ucx://10.0.0.7:1": (False, False),
        "tcp://workers.example:1": (False, False),
    }
    for place, (is_private, is_local) in places.items():
        engine._addresses = ["tcp://127.0.0.1:2", place]
        assert (engine.is_private, engine.is_local) == (is_private, is_local), place
