"""What is measured in processes of their own: memory, imports, a kernel."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from contestants import there
from server import Server
from table import Row

if TYPE_CHECKING:
    from jupyter_client.blocking.client import BlockingKernelClient

HERE = Path(__file__).parent
UNBOUNDED = "resident; informative: nothing bounds how many come at once"
IMPORTS = {
    "ours": "import gradient_notebook",
    "openai": "import openai",
    "gradient": "import gradient",
}
FIRST_CLIENTS = {
    "ours": """
import asyncio, gradient_notebook
async def ready(): return gradient_notebook.AsyncClient(model_access_key="sk-do-x", inference_endpoint="http://127.0.0.1:9")._http
asyncio.run(ready())""",
    "openai": "import openai; openai.AsyncOpenAI(api_key='x')",
    "gradient": "import gradient; gradient.AsyncGradient(access_token='x', model_access_key='x', agent_access_key='x')",
    "httpx": """
import asyncio, httpx
async def ready(): return httpx.AsyncClient()
asyncio.run(ready())""",
}
LOAD = """
from time import perf_counter
begun_s = perf_counter()
get_ipython().run_line_magic("load_ext", "gradient_notebook")
print(1e3 * (perf_counter() - begun_s))"""


def memory(server: Server, names: Sequence[str]) -> Iterator[Row]:
    """Measure what one stream takes beside its images."""
    peaks = {name: _memory(name, server.url()) for name in there(*names)}
    what = "peak memory over the images, one stream"
    yield Row(what=what, reached=peaks.pop("ours"), unit="MiB", target=6, peers=peaks, note="tracemalloc")


def many(server: Server) -> Iterator[Row]:
    """Measure the memory of 256 images at once."""
    peaks = {name: _memory(name, server.url(), "256") for name in there("ours", "openai")}
    what = "256 images at once, dropped: peak of the process"
    yield Row(what=what, reached=peaks.pop("ours"), unit="MiB", peers=peaks, note=UNBOUNDED)


def _memory(name: str, url: str, *count: str) -> float:
    return float(_output(str(HERE / "memory.py"), name, url, *count))


def _output(*arguments: str) -> str:
    return subprocess.run([sys.executable, *arguments], stdout=subprocess.PIPE, text=True, check=True).stdout


def imports(rounds: int, names: Sequence[str]) -> Iterator[Row]:
    """Measure what Python takes longer to start with the package, and with a client that can send."""
    for what, codes, target in (
        ("import gradient_notebook", IMPORTS, 15),
        ("first client, ready to send, with the import", FIRST_CLIENTS, 110),
    ):
        over_bare = _over_bare({name: codes[name] for name in there(*names) if name in codes}, rounds)
        yield Row(what=what, reached=over_bare.pop("ours"), unit="ms", target=target, peers=over_bare)


def _over_bare(codes: Mapping[str, str], rounds: int) -> dict[str, float]:
    over_ms: dict[str, list[float]] = {name: [] for name in codes}
    for code in codes.values():
        _seconds(code)  # compiled and in the page cache
    for _ in range(rounds):
        bare_s = _seconds("pass")
        for name, code in codes.items():
            over_ms[name].append(1e3 * (_seconds(code) - bare_s))
    return {name: median(measured) for name, measured in over_ms.items()}


def _seconds(code: str) -> float:
    begun_s = time.perf_counter()
    _output("-c", code)
    return time.perf_counter() - begun_s


def load_ext(rounds: int) -> Iterator[Row]:
    """Measure `%load_ext gradient_notebook` in a kernel that runs."""
    if importlib.util.find_spec("jupyter_client") and importlib.util.find_spec("ipykernel"):
        measured = median(_loading_ms() for _ in range(rounds))
        yield Row(what="%load_ext in a running kernel", reached=measured, unit="ms", target=50)


def _loading_ms() -> float:
    from jupyter_client.manager import start_new_kernel

    with tempfile.TemporaryDirectory() as folder:
        manager, client = start_new_kernel(stderr=subprocess.DEVNULL, env={**os.environ, "IPYTHONDIR": folder})
        try:
            return float(_printed(client, LOAD).split()[-1])  # before it may stand that the simulator paints
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)


def _printed(client: BlockingKernelClient, code: str) -> str:
    texts: list[str] = []

    def note(message: dict[str, Any]) -> None:
        if message["msg_type"] == "stream":
            texts.append(message["content"]["text"])

    client.execute_interactive(code, output_hook=note, timeout=60)
    return "".join(texts)
