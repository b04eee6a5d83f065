"""The benchmark in its smallest form: its table has its rows, and wrong images are refused before anything is timed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import gathered
import growth
import pytest
import report
import run
from contestants import CONTESTANTS, FLOOR, OURS
from rounds import Bench, Pythons, Worker, WorkerError, WrongImageError
from server import Kind, Server
from table import put

NOWHERE = Path("no-such-environment") / "python"
PEER = "openai async"
SMALLEST = run.Plan((FLOOR, *OURS, PEER), rounds=1, slow_rounds=1, at_once=[3], at_once_rounds=1, alone=[], kernels=0)


NOT_EVERYWHERE = ("`%load_ext`", "peak memory over the images, one stream: resident", "stream, TLS")
"""Rows that need a kernel, which is not started here, Linux, or the `openssl` command."""


def always(table: Iterable[str]) -> set[str]:
    """Return the rows that are there on every machine, and with every number at once."""
    return {what for what in table if not what.startswith(NOT_EVERYWHERE) and "at once" not in what}


def headings(table: str) -> list[str]:
    return [cell.strip() for cell in table.splitlines()[0].split(" | ")]


def rows(table: str) -> dict[str, list[str]]:
    lines = [line for line in table.splitlines() if " | " in line][1:]
    return {cells[0]: cells[1:] for line in lines if (cells := [cell.strip() for cell in line.split(" | ")])}


@pytest.mark.slow
def test_the_table_has_a_figure_in_each_row_and_says_who_is_not_installed() -> None:
    """The floor and this package are measured by processes of their own; the README has the same rows."""
    bench = run.measure(SMALLEST, NOWHERE)
    table = run.text(bench, SMALLEST)
    names = headings(table)[2:]
    assert names == list(CONTESTANTS)
    for what, (_, *figures) in rows(table).items():
        by_name = dict(zip(names, figures, strict=True))
        assert by_name[PEER] == "not installed"
        if not what.startswith(NOT_EVERYWHERE):
            assert by_name["ours async"] != report.NOTHING, what
        if "over floor" in what:
            assert by_name[FLOOR].startswith("1 ("), what
    committed = run.README.read_text(encoding="utf-8").partition(run.BEGIN)[2].partition(run.END)[0]
    assert always(rows(committed)) == always(rows(table))
    assert "256 images at once: wall over floor" in rows(committed)
    figures = json.loads(run.as_json(bench))
    assert set(figures["rounds"]["16k"]) == {FLOOR, *OURS}
    assert PEER in figures["not_installed"]


@pytest.mark.parametrize("kind", ["stream", "answer"])
def test_a_wrong_image_is_refused_before_anything_is_timed(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    """One other bit in the last image, and there are no figures."""
    timed: list[Any] = []
    monkeypatch.setattr(Bench, "take_turns", lambda *arguments: timed.append(arguments))
    with pytest.raises(WrongImageError, match=FLOOR):
        run.measure(run.Plan([FLOOR]), NOWHERE, corrupt=kind)
    assert timed == []


def test_an_image_that_is_lost_while_it_is_timed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A contestant that delivers less is faster."""
    with Server() as server:
        bench = Bench(server, Pythons(NOWHERE), [FLOOR])
        order = {"do": "answer", "url": server.url(), "n": 4}
        ask = Worker.ask
        monkeypatch.setattr(Worker, "ask", lambda self, **order: ask(self, **{**order, "n": 1}))
        with bench.workers() as workers, pytest.raises(WrongImageError, match="sizes"):
            bench.take_turns({"n4": order}, workers, 1)


def test_a_peer_that_fails_is_told_and_this_package_must_not() -> None:
    """The newest peer may have changed: its column says so, and the others are measured."""
    with Server() as server:
        bench = Bench(server, Pythons(None), [FLOOR, *OURS, PEER], failures={PEER: "it has changed"})
        with bench.workers([FLOOR]) as workers:
            bench.take_turns({"16k": {"do": "stream", "url": server.url()}}, workers, 1)
            with pytest.raises(WorkerError, match="floor"):
                bench.take_turns({"16k": {"do": "no such thing"}}, workers, 1)
    assert (
        rows(report.draw(bench))["stream, 16 KiB writes: CPU over floor"][1 + list(CONTESTANTS).index(PEER)] == "failed"
    )


def test_a_table_takes_the_place_of_the_last_one(tmp_path: Path) -> None:
    """What stands before and behind it stays."""
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{run.BEGIN}{run.END}behind\n")
    for table in ("first", "second"):
        put(readme, table, run.BEGIN, run.END)
    assert readme.read_text() == f"before\n{run.BEGIN}\nsecond\n\n{run.END}behind\n"


def test_a_sweep_is_measured_beside_what_one_would_write_by_hand() -> None:
    """All images come, each by one post; who is not installed has no figures, and says so."""
    figures = gathered.measured("ours", 5, 0.01)
    assert figures
    assert (figures["done"], figures["posts"], figures["ideal_s"]) == (5, 5, 5 * 0.01 / gathered.AT_A_TIME)
    assert figures["wall_s"] > figures["ideal_s"]
    assert 0 < figures["early_mib"] <= figures["end_mib"]
    assert gathered.measured("gather", 5, 0.01, NOWHERE) is None
    assert gathered.row("gather", 5, None).endswith("| not installed")


def test_growth_tells_what_is_worse_than_linear(tmp_path: Path) -> None:
    """The exponent is that of the power which the points lie on, and a square is told."""
    sizes = (10, 20, 40, 80)
    assert growth.exponent([(size, 3 * size**2) for size in sizes]) == pytest.approx(2)
    assert growth.exponent([(size, 5) for size in sizes]) == pytest.approx(0)
    first, second = growth.LINES[:2]
    table = growth.table(
        {
            first.what: [(size, 0.001 * size**2, 50 + size) for size in sizes],
            second.what: [(size, 0.001 * size, 50.0) for size in sizes],
        }
    )
    told = rows(table)
    assert told[first.what][3:] == ["2.00 (worse than linear)", "1,024"]
    assert told[second.what][3:] == ["1.00", "0.00"]
    committed = growth.README.read_text(encoding="utf-8").partition(growth.BEGIN)[2]
    assert set(rows(committed.partition(growth.END)[0])) == {line.what for line in growth.LINES}


def test_a_line_of_growth_has_its_points() -> None:
    """Each is measured in a process of its own, at several sizes; a function is no line of two."""
    names = [line.measure.__name__ for line in growth.LINES]
    assert len({*names}) == len(names)
    counts = [count for count, cpu_s, _ in growth.measured(growth.LINES[2]) if cpu_s > 0]
    assert counts == sorted(counts)
    assert len(counts) == 4
