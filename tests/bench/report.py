"""What was measured, as a table: a line each, a column for each contestant, medians of the rounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median

from contestants import CONTESTANTS, FLOOR, OURS
from processes import BARE_HTTPX
from rounds import Bench
from table import drawn, short

NOTHING = "–"
MISSED = " (missed)"

Cell = Callable[[str], float | None]
"""The figure of a contestant; None where there is none."""


@dataclass(frozen=True)
class Row:
    """One line: what it is, the figure of each contestant, and what this package is to reach at most."""

    what: str
    cell: Cell
    target: float | None = None
    unit: str = ""
    scenario: str = ""
    floor_ms: float | None = None
    """What the floor takes, where the figures are times as much."""

    def values(self) -> dict[str, float]:
        """Return the figures there are."""
        return {name: value for name in CONTESTANTS if (value := self.cell(name)) is not None}


def rows(bench: Bench) -> Iterator[Row]:
    """Yield the lines of the table."""
    for scenario, what, target in (
        ("large", "stream, an event a write", None),
        ("16k", "stream, 16 KiB writes", 3),
        ("tls", "stream, TLS", None),
        ("n1", "one image, not streamed", 4),
        ("n4", "four images, not streamed", 4),
        ("paced", "stream, paced to 200 Mbit/s", None),
    ):
        if scenario in bench.runs:
            yield _over_floor(bench, scenario, f"{what}: wall over floor", "wall_s")
            yield _over_floor(bench, scenario, f"{what}: CPU over floor", "cpu_s", target)
    what = "last byte of an event to its image, paced"
    yield Row(what, _late_ms(bench, median), 0.2, "ms", "paced")
    yield Row(f"{what}: the least of all", _late_ms(bench, min), None, "ms", "paced")
    yield Row("worst stall of the event loop, paced", _median(bench, "paced", "stall_s", 1e3), 2, "ms", "paced")
    what = "peak memory over the images, one stream"
    yield Row(f"{what}: allocated", _median(bench, "memory", "allocated_mib"), 3, "MiB", "memory")
    yield Row(f"{what}: resident", _median(bench, "memory", "resident_mib"), None, "MiB", "memory")
    yield Row("stream, 1 KiB writes over 64 KiB writes: CPU", _ratio(bench, "1k", "64k", "cpu_s"), scenario="1k")
    yield Row("decoder alone, 1 KiB reads over 64 KiB reads", _decoder(bench), 4, scenario="decoder 1k")
    for scenario in bench.runs:
        count, _, kind = scenario.partition(" ")
        if kind == "at once":
            yield _over_floor(bench, scenario, f"{int(count):,} images at once: wall over floor", "wall_s")
            target = 170 if int(count) >= 256 else None
            what = f"{int(count):,} images at once, dropped: peak of the process"
            yield Row(what, _median(bench, scenario, "peak_mib"), target, "MiB", scenario)
    for clock, key in (("wall", "wall_s"), ("CPU", "cpu_s")):
        import_ms, generate_ms = (_import_ms(bench, ours, key) for ours in ("ours", "ours, generate"))
        yield Row(f"import, over bare Python: {clock}", import_ms, 12, "ms", "import")
        yield Row(f"import with `generate`, over bare Python: {clock}", generate_ms, 60, "ms", "import")
        first_image_ms = _median(bench, "first image", key, 1e3)
        yield Row(f"first image, import included, over bare Python: {clock}", first_image_ms, None, "ms", "first image")
        yield Row(f"the same over bare httpx: {clock}", _first_image(bench, key), 1, "", "first image")
        load_ms = _ours_alone(_median(bench, "load_ext", key, 1e3, "ours"))
        yield Row(f"`%load_ext` in a running kernel: {clock}", load_ms, 40, "ms")


def draw(bench: Bench) -> str:
    """Return the table as Markdown."""
    return drawn([("what", "to reach", *CONTESTANTS), *(_cells(bench, row) for row in rows(bench))])


def _cells(bench: Bench, row: Row) -> list[str]:
    values = row.values()
    target = "" if row.target is None else f"<= {row.target:g} {row.unit}".rstrip()
    return [
        f"{row.what}{f', {row.unit}' if row.unit else ''}",
        target,
        *(_text(bench, row, values, n) for n in CONTESTANTS),
    ]


def _text(bench: Bench, row: Row, values: Mapping[str, float], name: str) -> str:
    if name not in bench.names:
        return "not installed" if name in bench.absent else "left out"
    if name in bench.failures or f"{row.scenario}: {name}" in bench.failures:
        return "failed"
    if name not in values:
        return NOTHING
    if name == FLOOR and row.floor_ms is not None:
        return f"1 ({short(row.floor_ms)} ms)"
    missed = name in OURS and row.target is not None and values[name] > row.target
    return short(values[name]) + MISSED * missed


def _over_floor(bench: Bench, scenario: str, what: str, key: str, target: float | None = None) -> Row:
    floor = _median(bench, scenario, key, 1e3)(FLOOR)

    def cell(name: str) -> float | None:
        return _of_pairs(bench, (scenario, name), (scenario, FLOOR), key)

    return Row(what, cell, target, scenario=scenario, floor_ms=floor)


def _ratio(bench: Bench, scenario: str, over: str, key: str) -> Cell:
    return lambda name: _of_pairs(bench, (scenario, name), (over, name), key)


def _of_pairs(bench: Bench, mine: tuple[str, str], over: tuple[str, str], key: str) -> float | None:
    """Return the median of the ratios within each round."""
    first, second = (bench.runs.get(scenario, {}).get(name) for scenario, name in (mine, over))
    if not (first and second):
        return None
    ratios: list[float] = [one[key] / other[key] for one, other in zip(first, second, strict=True)]
    return median(ratios)


def _median(bench: Bench, scenario: str, key: str, factor: float = 1, name_there: str = "") -> Cell:
    def cell(name: str) -> float | None:
        figures = [run[key] for run in bench.runs.get(scenario, {}).get(name_there or name, []) if key in run]
        return factor * median(figures) if figures and None not in figures else None

    return cell


def _late_ms(bench: Bench, one_of: Callable[[list[float]], float]) -> Cell:
    def cell(name: str) -> float | None:
        runs = bench.runs.get("paced", {}).get(name, [])
        late = [there - sent for run in runs for there, sent in zip(run["seen_s"], run["sent_s"], strict=True)]
        return 1e3 * one_of(late) if late else None

    return cell


def _decoder(bench: Bench) -> Cell:
    ratio = _ratio(bench, "decoder 1k", "decoder 64k", "cpu_s")
    return lambda name: ratio("ours async") if name in OURS else None


def _import_ms(bench: Bench, ours: str, key: str) -> Cell:
    """Return what an import takes, which both clients of a package share; `ours` is how ours was measured."""

    def cell(name: str) -> float | None:
        there = ours if name in OURS else name.replace(" async", " sync")
        return _median(bench, "import", key, 1e3, there)(name)

    return cell


def _first_image(bench: Bench, key: str) -> Cell:
    return lambda name: _of_pairs(bench, ("first image", name), ("first image", BARE_HTTPX), key)


def _ours_alone(cell: Cell) -> Cell:
    return lambda name: cell(name) if name in OURS else None
