"""What is measured in a fresh process each time: imports, a first image, a kernel."""

from __future__ import annotations

import importlib.util
import os
import resource
import subprocess
import tempfile
import time
from typing import TYPE_CHECKING, Any

from contestants import KEY, PARAMS
from rounds import Bench, Figures, WorkerError
from server import PATH, TINY

if TYPE_CHECKING:
    from jupyter_client.blocking.client import BlockingKernelClient

BARE_HTTPX = "bare httpx"
"""Not a contestant: a request by httpx alone, in this checkout's environment."""
IMPORTS = {
    "ours": "import gradient_notebook",
    "ours, generate": "from gradient_notebook import generate",
    "openai sync": "import openai",
    "gradient sync": "import gradient",
    "pydo": "import pydo",
    "httpx-sse sync": "import httpx, httpx_sse",
}
_AWAITED = """
import asyncio
async def main():
    async with {client} as client:
        await client.images.generate(**{order})
asyncio.run(main())
"""
FIRST_IMAGES = {
    "ours sync": "from gradient_notebook import Client\n"
    "Client(model_access_key={key!r}, inference_endpoint={url!r}).images.generate(**{order})",
    "ours async": "from gradient_notebook import AsyncClient"
    + _AWAITED.replace("{client}", "AsyncClient(model_access_key={key!r}, inference_endpoint={url!r})"),
    "openai sync": "from openai import OpenAI\n"
    "OpenAI(api_key={key!r}, base_url={url!r} + '/v1').images.generate(**{order})",
    "openai async": "from openai import AsyncOpenAI"
    + _AWAITED.replace("{client}", "AsyncOpenAI(api_key={key!r}, base_url={url!r} + '/v1')"),
    "gradient sync": "from gradient import Gradient\n"
    "Gradient(access_token='x', model_access_key={key!r}, inference_endpoint={url!r}).images.generate(**{order})",
    "gradient async": "from gradient import AsyncGradient"
    + _AWAITED.replace(
        "{client}", "AsyncGradient(access_token='x', model_access_key={key!r}, inference_endpoint={url!r})"
    ),
    BARE_HTTPX: """
import asyncio, httpx
async def main():
    async with httpx.AsyncClient() as client:
        (await client.post({url!r} + {path!r}, json={order})).json()
asyncio.run(main())
""",
}
LOAD = """
from time import perf_counter, process_time
wall_s, cpu_s = perf_counter(), process_time()
get_ipython().run_line_magic("load_ext", "gradient_notebook")
print(perf_counter() - wall_s, process_time() - cpu_s)"""


def imports(bench: Bench, rounds: int) -> None:
    """Measure what Python takes longer to start with an import, and with a first image that is tiny."""
    url = bench.server.url(write_bytes=0, tls=bench.server.has_tls)
    values = {"key": KEY, "url": url, "path": PATH, "order": {**PARAMS, "n": 1, "size": TINY}}
    first_images = {name: code.format(**values) for name, code in FIRST_IMAGES.items()}
    for scenario, codes in (("import", IMPORTS), ("first image", first_images)):
        bench.progress(scenario)
        there = {name: code for name, code in codes.items() if _takes_part(bench, name)}
        _one_by_one(bench, scenario, there)  # everything is compiled then, and in the page cache
        measured = [_one_by_one(bench, scenario, there) for _ in range(rounds)]
        bench.runs[scenario] = {name: [figures[name] for figures in measured] for name in there}


def _one_by_one(bench: Bench, scenario: str, codes: dict[str, str]) -> dict[str, Figures]:
    """Return what each code takes over bare Python in its environment; a peer whose code fails is taken out."""
    over_bare: dict[str, Figures] = {}
    bare = {is_peer: _figures(bench, "pass", is_peer=is_peer) for is_peer in set(map(_is_peer, codes))}
    for name, code in list(codes.items()):
        is_peer = _is_peer(name)
        try:
            figures = _figures(bench, code, is_peer=is_peer)
        except subprocess.CalledProcessError as error:
            if not is_peer:
                raise
            bench.note(name, f"{scenario}: {name}", WorkerError(f"exit status {error.returncode}"))
            del codes[name]
        else:
            over_bare[name] = {key: figures[key] - bare[is_peer][key] for key in figures}
    return over_bare


def _is_peer(name: str) -> bool:
    return not name.startswith("ours") and name != BARE_HTTPX


def _takes_part(bench: Bench, name: str) -> bool:
    return not _is_peer(name) or (name in bench.names and name not in bench.failures)


def _figures(bench: Bench, code: str, *, is_peer: bool) -> Figures:
    python, environment = bench.pythons.of(is_peer=is_peer)
    wall_s, cpu_s = time.perf_counter(), _children_cpu_s()
    subprocess.run([python, "-c", code], env=environment, stdout=subprocess.DEVNULL, check=True)
    return {"wall_s": time.perf_counter() - wall_s, "cpu_s": _children_cpu_s() - cpu_s}


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def load_ext(bench: Bench, rounds: int) -> None:
    """Measure `%load_ext gradient_notebook` in a kernel that runs."""
    if importlib.util.find_spec("jupyter_client") and importlib.util.find_spec("ipykernel"):
        bench.progress("load_ext")
        bench.runs["load_ext"] = {"ours": [_loading() for _ in range(rounds)]}


def _loading() -> Figures:
    from jupyter_client.manager import start_new_kernel

    with tempfile.TemporaryDirectory() as folder:
        manager, client = start_new_kernel(stderr=subprocess.DEVNULL, env={**os.environ, "IPYTHONDIR": folder})
        try:
            wall_s, cpu_s = _printed(client, LOAD).split()[-2:]  # before them may stand a note of the extension's
            return {"wall_s": float(wall_s), "cpu_s": float(cpu_s)}
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
