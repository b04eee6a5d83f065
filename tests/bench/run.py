"""The benchmark: `python tests/bench/run.py [--quick]`.

Everything runs against a server on the loopback device. Ratios are medians of what contestants took in the same
round; milliseconds do not travel to another machine. Peers that are not installed are left out.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import processes
import timing
from contestants import missing, there
from server import Server
from table import Row, draw

ROOT = Path(__file__).parents[2]


def measure(*, quick: bool) -> Iterator[Row]:
    """Yield the lines of the table."""
    names = ["ours"] if quick else ["ours", "openai", "gradient", "httpx-sse"]
    with Server() as server:
        yield from timing.time_here(server, rounds=3 if quick else 15, small_for=["floor", *names])
        yield from processes.memory(server, names)
        yield from processes.imports(rounds=2 if quick else 5, names=[*names, "httpx"])
        yield from processes.load_ext(rounds=1 if quick else 3)
        if not quick:
            yield from processes.many(server)


def use_checkout() -> None:
    """Measure this checkout, here and in the processes that are started, and no proxy."""
    sys.path.insert(0, str(ROOT))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and peers, and not the 256 images at once")
    arguments = parser.parse_args()
    use_checkout()
    begun_s = time.perf_counter()
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {', '.join(_versions())}")
    for name in missing():
        print(f"{name} is not installed: left out.")
    print()
    print(draw(measure(quick=arguments.quick)))
    print(f"\n{time.perf_counter() - begun_s:.0f} s{_load()}")


def _versions() -> Iterator[str]:
    names = ["httpx", "pybase64", *there("openai", "gradient", "httpx-sse")]
    return (f"{name} {version(name)}" for name in names)


def _load() -> str:
    if not hasattr(os, "getloadavg"):
        return ""
    return f"; load of the machine, others' work included: {os.getloadavg()[0]:.1f}"


if __name__ == "__main__":
    main()
