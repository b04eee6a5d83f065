"""The benchmark: `python tests/bench/run.py [--quick]`. See `README.md` beside it.

Everything runs against a server on the loopback device. Ratios are medians of what contestants took in the same
round; milliseconds do not travel to another machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import processes
import report
from certificate import make_certificate
from contestants import CONTESTANTS, FLOOR, OURS
from rounds import Bench, Order, Pythons, Worker, WorkerError, WrongImageError
from server import Kind, Server
from table import load, put

ROOT = Path(__file__).parents[2]
PEERS = ROOT / ".venv-bench" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
README = Path(__file__).parent / "README.md"
JSON = ROOT / "build" / "bench.json"
BEGIN, END = "<!-- The table is written by `run.py --write`. -->\n", "<!-- The end of the table. -->\n"
KIB = 1024
MEGABITS = 200
"""The paced link, slower than any contestant."""


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    names: Sequence[str] = tuple(CONTESTANTS)
    rounds: int = 15
    slow_rounds: int = 5
    """Of what takes a second and more each time."""
    at_once: Sequence[int] = (64, 256)
    at_once_rounds: int = 3
    alone: Sequence[int] = (1000,)
    """How many at once are measured without the peers, which take a minute and gigabytes."""
    kernels: int = 3


def plan_of(rounds: int, *, quick: bool) -> Plan:
    """Return the plan for a number of rounds."""
    if quick:
        return Plan((FLOOR, *OURS, "openai async", "httpx-sse async"), rounds, 2, [64], 1, [], 1)
    return Plan(rounds=rounds, slow_rounds=max(3, rounds // 3), at_once_rounds=max(2, rounds // 5))


def measure(plan: Plan, peers: Path = PEERS, *, corrupt: Kind | None = None) -> Bench:
    """Measure everything. Raise WrongImageError before anything is timed if an image is not what was sent."""
    with tempfile.TemporaryDirectory() as folder:
        certificate = make_certificate(Path(folder))
        pythons = Pythons(peers, certificate.environment if certificate else {})
        wanted = {name for entry in CONTESTANTS.values() for name in entry.distributions}
        versions = pythons.versions(sorted(wanted))
        absent = {name for name, entry in CONTESTANTS.items() if not versions.keys() >= set(entry.distributions)}
        names = [name for name in plan.names if name not in absent]
        with Server(certificate, corrupt) as server:
            bench = Bench(server, pythons, names, absent, versions, progress=_tell)
            with bench.workers() as workers:
                bench.check(workers)
                _streams(bench, workers, plan)
            with bench.workers(_many_at_once()) as workers:
                url = server.url()
                for count in plan.at_once:
                    order = {"do": "at_once", "url": url, "count": count}
                    bench.take_turns({f"{count} at once": order}, workers, plan.at_once_rounds, warm_up=False)
            for count in plan.alone:
                with bench.workers(
                    (FLOOR, "ours async")
                ) as workers:  # of their own: a peak is that of the whole process
                    order = {"do": "at_once", "url": url, "count": count}
                    bench.take_turns({f"{count} at once": order}, workers, 1, warm_up=False)
            processes.imports(bench, plan.slow_rounds)
            processes.load_ext(bench, plan.kernels)
    return bench


def _tell(line: str) -> None:
    print(line, file=sys.stderr)


def _streams(bench: Bench, workers: Mapping[str, Worker], plan: Plan) -> None:
    url = bench.server.url
    orders: dict[str, Order] = {
        "large": {"do": "stream", "url": url(write_bytes=0)},
        "16k": {"do": "stream", "url": url()},
        "n1": {"do": "answer", "url": url(), "n": 1},
        "n4": {"do": "answer", "url": url(), "n": 4},
    }
    if bench.server.has_tls:
        orders["tls"] = {"do": "stream", "url": url(write_bytes=0, tls=True)}
    bench.take_turns(orders, workers, plan.rounds)
    paced = {"do": "stream", "url": url(megabits=MEGABITS), "watch_loop": True}
    bench.take_turns({"paced": paced}, workers, plan.slow_rounds)
    orders = {f"{size}k": {"do": "stream", "url": url(write_bytes=size * KIB)} for size in (1, 64)}
    bench.take_turns(orders, workers, plan.slow_rounds)
    decoder = {f"decoder {size}k": {"do": "decode", "read_bytes": size * KIB} for size in (1, 64)}
    bench.take_turns(decoder, {name: workers[name] for name in workers if name == "ours async"}, plan.rounds)
    bench.take_turns({"memory": {"do": "memory", "url": url()}}, workers, plan.slow_rounds, warm_up=False)


def _many_at_once() -> list[str]:
    """Return who is asked for many images at once: who has a client to be awaited, and pydo, by a thread for each."""
    return [name for name, entry in CONTESTANTS.items() if entry.is_async or name in (FLOOR, "pydo")]


def use_checkout() -> None:
    """Measure this checkout, here and in the processes that are started, and no proxy."""
    sys.path.insert(0, str(ROOT))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    # An installed package has its bytecode; without it each start would compile this checkout, and no peer.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"


def text(bench: Bench, plan: Plan) -> str:
    """Return the table, and under what circumstances it was measured."""
    ours = ", ".join(f"{name} {version(name)}" for name in ("httpx", "pybase64"))
    peers = ", ".join(f"{name} {number}" for name, number in bench.versions.items()) or "none"
    notes = [
        f"Python {platform.python_version()}, {os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}; {ours}; peers: {peers}."
    ]
    notes += [
        f"{plan.rounds} rounds ({plan.slow_rounds} of what is slow, {plan.at_once_rounds} of many at once).{load()}"
    ]
    notes += [] if "tls" in bench.runs else ["TLS is not measured: there is no `openssl` command."]
    notes += [f"FAILED: {what}: {why}" for what, why in bench.failures.items()]
    return f"{report.draw(bench)}\n\n" + "\n".join(notes) + "\n"


def as_json(bench: Bench) -> str:
    """Return all figures of all rounds, and those of the table."""
    rows = [
        {"what": row.what, "unit": row.unit, "to_reach": row.target, "medians": row.values()}
        for row in report.rows(bench)
    ]
    machine = {"python": platform.python_version(), "cores": os.cpu_count(), "platform": platform.platform()}
    return json.dumps(
        {
            "machine": machine,
            "peers": bench.versions,
            "not_installed": sorted(bench.absent),
            "failures": bench.failures,
            "rows": rows,
            "rounds": bench.runs,
        },
        indent=1,
    )


def main() -> None:
    """Measure, print the table, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and peers, and not the 256 images at once")
    parser.add_argument("--rounds", type=int, help="how many rounds (default: 15, or 5 if quick)")
    parser.add_argument("--peers", type=Path, default=PEERS, help="the interpreter that has the peers")
    parser.add_argument("--json", type=Path, default=JSON, help="where all figures go (default: build/bench.json)")
    parser.add_argument("--write", action="store_true", help="put the table into tests/bench/README.md")
    arguments = parser.parse_args()
    use_checkout()
    begun_s = time.perf_counter()
    plan = plan_of(arguments.rounds or (5 if arguments.quick else 15), quick=arguments.quick)
    try:
        bench = measure(plan, arguments.peers)
    except (WrongImageError, WorkerError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
    table = text(bench, plan)
    print(f"\n{table}\n{time.perf_counter() - begun_s:.0f} s")
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(as_json(bench) + "\n", encoding="utf-8")
    if arguments.write:
        put(README, table.rstrip(), BEGIN, END)


if __name__ == "__main__":
    main()
