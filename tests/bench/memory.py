"""Memory, measured in a process of its own: `python memory.py CONTESTANT URL [IMAGES AT ONCE]`.

Without a number: MiB that one stream takes at its peak beyond its images, which are kept (tracemalloc: what Python
and its extensions allocate by Python's allocators; the peers' Rust parsers escape it). With a number: MiB of resident
memory of the whole process at its peak while as many images come at once, and are dropped.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import sys
import tracemalloc
from pathlib import Path

from contestants import CONTESTANTS, Contestant

MIB = 1024 * 1024
STATUS = Path("/proc/self/status")


async def stream_peak(client: Contestant) -> float:
    """Return what one stream takes beyond its images, everything being imported and warm."""
    await client.stream(len_only)
    gc.collect()
    tracemalloc.start()
    images = await client.stream(lambda image: image)
    _, peak = tracemalloc.get_traced_memory()
    return (peak - sum(map(len, images))) / MIB


def len_only(image: bytes) -> bytes:
    """Drop an image as soon as it is there."""
    return image[:8]


async def many_peak(client: Contestant, count: int) -> float:
    """Return the peak of the process while `count` images come at once."""

    async def one() -> None:
        await client.answer(1)

    await asyncio.gather(*(one() for _ in range(count)))
    return resident_peak()


def resident_peak() -> float:
    """Return the peak of this program's resident memory; where Linux's /proc is missing, of its process's."""
    if STATUS.exists():
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (MIB if sys.platform == "darwin" else 1024)


async def main(name: str, url: str, count: int = 0) -> None:
    """Measure, and print the MiB."""
    client = CONTESTANTS[name](url)
    print(await many_peak(client, count) if count else await stream_peak(client))
    await client.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])))
