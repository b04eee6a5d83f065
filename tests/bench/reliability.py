"""Nothing is lost and nothing sent twice, counted: `python tests/bench/reliability.py [requests N] [kills N] ...`.

Without arguments everything is done at full length, which takes half an hour. The exit status is 1 where something
happened that must not.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from counted import Figure, draw
from run import use_checkout

Part = Callable[[int], list[Figure]]


def requests(count: int) -> list[Figure]:
    """Count requests to a service and a way to it that misbehave."""
    import faulty

    return faulty.figures(count)


def kills(count: int) -> list[Figure]:
    """Count processes that are killed while they make images."""
    import kills

    return kills.figures(count)


def runners(count: int) -> list[Figure]:
    """Count processes that make a sweep, and are killed and followed by others."""
    import runners

    return runners.figures(count)


def clusters(cells: int) -> list[Figure]:
    """Count the cells of a sweep on a Dask cluster, one of whose workers is killed after every 50 of them."""
    import clusters

    return clusters.figures(cells)


def cluster_runners(count: int) -> list[Figure]:
    """Count processes that make a sweep on a Dask cluster, and are killed and followed by others."""
    import clusters

    return clusters.runner_figures(count)


def forks(count: int) -> list[Figure]:
    """Count forks of a process while its requests run."""
    import forks

    return forks.figures(count)


def prunes(count: int) -> list[Figure]:
    """Count prunes and deletions while images arrive in other processes."""
    import prunes

    return prunes.figures(count)


def generations(count: int) -> list[Figure]:
    """Count generations in one kernel, and what they leave behind in it."""
    import generations

    return generations.figures(count)


def decoder(count: int) -> list[Figure]:
    """Count streams that are cut at random places."""
    import cuts

    return cuts.figures(count)


PARTS: Mapping[str, tuple[Part, int]] = {
    "requests": (requests, 10_000),
    "kills": (kills, 200),
    "runners": (runners, 200),
    "clusters": (clusters, 10_000),
    "cluster_runners": (cluster_runners, 200),
    "forks": (forks, 200),
    "prunes": (prunes, 1_000),
    "generations": (generations, 2_000),
    "decoder": (decoder, 20_000),
}


def chosen(words: Sequence[str]) -> dict[str, int]:
    """Return how much of which part is asked for: all of all if nothing is."""
    names, numbers = words[::2], words[1::2]
    if len(words) % 2 or not set(names) <= PARTS.keys() or not all(number.isdecimal() for number in numbers):
        raise argparse.ArgumentTypeError(f"{' '.join(words)}: expected pairs of {', '.join(PARTS)} and a number")
    asked = dict(zip(names, map(int, numbers), strict=True))
    return asked or {name: full for name, (_, full) in PARTS.items()}


def main() -> int:
    """Count, print the figures of each part as soon as they are there, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="PART N", help=f"one of {', '.join(PARTS)}, and how many")
    words = parser.parse_args().words
    try:
        asked = chosen(words)
    except argparse.ArgumentTypeError as error:
        parser.error(str(error))
    use_checkout()
    defects = sum(_part(name, count) for name, count in asked.items())
    print(f"\n{defects} defects" if defects else "\nNo defects")
    return 1 if defects else 0


def _part(name: str, count: int) -> int:
    begun_s = time.perf_counter()
    print(f"\n## {name} {count:,}\n", flush=True)
    found = PARTS[name][0](count)
    print(draw(found))
    print(f"\n{time.perf_counter() - begun_s:.0f} s", flush=True)
    return sum(figure.is_defect for figure in found)


if __name__ == "__main__":
    sys.exit(main())
