"""Who is compared: the floor, this package, and those of its peers that are installed."""

from __future__ import annotations

import base64
import importlib.util
import json
import socket
from collections.abc import Callable, Iterable, Iterator
from io import BufferedReader, BytesIO
from typing import Any, Protocol
from urllib.parse import urlsplit

KEY = "sk-do-benchmark"
_BEFORE = b'"b64_json": "'
PATH = "/v1/images/generations"
ORDER = {"prompt": "A low sun over blue hills", "model": "openai-gpt-image-1"}
STREAM: dict[str, Any] = {**ORDER, "n": 1, "stream": True, "partial_images": 3}

Seen = Callable[[bytes], bytes]
"""Called with each image as soon as it is there as bytes; returns it."""


class Contestant(Protocol):
    """One way to images from an endpoint; the connection is kept from one call to the next."""

    async def stream(self, seen: Seen) -> list[bytes]:
        """Return the three partial images and the finished one."""

    async def answer(self, n: int) -> list[bytes]:
        """Return n images that are not streamed."""

    async def close(self) -> None:
        """Hang up."""


class Floor:
    """A blocking socket, dechunked by hand, each chunk decoded by pybase64: no HTTP client can be below it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._path = parts.path + PATH
        self._socket = socket.create_connection((parts.hostname, parts.port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._incoming = self._socket.makefile("rb", buffering=64 * 1024)

    async def stream(self, seen: Seen) -> list[bytes]:
        body = json.dumps(STREAM).encode()
        head = f"POST {self._path} HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(body)}\r\n\r\n"
        self._socket.sendall(head.encode() + body)
        while self._incoming.readline().strip():
            pass  # the answer's head
        return [seen(image) for image in _decoded(_chunks(self._incoming))]

    async def answer(self, n: int) -> list[bytes]:
        raise NotImplementedError

    async def close(self) -> None:
        self._incoming.close()
        self._socket.close()


def _chunks(incoming: BufferedReader) -> Iterator[bytes]:
    while size := int(incoming.readline(), 16):
        yield incoming.read(size)
        incoming.readline()
    incoming.readline()


def _decoded(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the images. The server begins a chunk with each event, so that no key is cut in two."""
    import pybase64

    image: BytesIO | None = None
    carry = b""
    for chunk in chunks:
        key = chunk.find(_BEFORE) if image is None else 0
        if key < 0:
            continue  # what an event has after its image
        start = key + len(_BEFORE) if image is None else 0
        image = image or BytesIO()
        end = chunk.find(b'"', start)
        text = carry + chunk[start : len(chunk) if end < 0 else end]
        whole = len(text) & ~3
        image.write(pybase64.b64decode(memoryview(text)[:whole], validate=True))
        carry = text[whole:]
        if end >= 0:
            yield image.getvalue()
            image = None


class Ours:
    """This package."""

    def __init__(self, url: str) -> None:
        from gradient_notebook import AsyncClient

        self._client = AsyncClient(model_access_key=KEY, inference_endpoint=url)

    async def stream(self, seen: Seen) -> list[bytes]:
        async with await self._client.images.generate(**STREAM) as events:
            return [seen(event.image_bytes) async for event in events]

    async def answer(self, n: int) -> list[bytes]:
        answer = await self._client.images.generate(**ORDER, n=n)
        return [image.image_bytes for image in answer.data]

    async def close(self) -> None:
        await self._client.aclose()


class _Generated:
    """A client that openai's generator wrote: it hands out base64."""

    _client: Any

    async def stream(self, seen: Seen) -> list[bytes]:
        events = await self._client.images.generate(**STREAM)
        return [seen(base64.b64decode(event.b64_json)) async for event in events]

    async def answer(self, n: int) -> list[bytes]:
        answer = await self._client.images.generate(**ORDER, n=n)
        return [base64.b64decode(image.b64_json) for image in answer.data]

    async def close(self) -> None:
        await self._client.close()


class OpenAI(_Generated):
    """`openai`, asynchronously."""

    def __init__(self, url: str) -> None:
        from openai import AsyncOpenAI

        self._client = AsyncOpenAI(api_key=KEY, base_url=f"{url}/v1", max_retries=0)


class Gradient(_Generated):
    """`gradient`, asynchronously."""

    def __init__(self, url: str) -> None:
        from gradient import AsyncGradient

        self._client = AsyncGradient(
            access_token=KEY, model_access_key=KEY, agent_access_key=KEY, inference_endpoint=url, max_retries=0
        )


class HttpxSse:
    """httpx and httpx-sse, by hand."""

    def __init__(self, url: str) -> None:
        import httpx

        self._url = url + PATH
        self._client = httpx.AsyncClient()

    async def stream(self, seen: Seen) -> list[bytes]:
        from httpx_sse import aconnect_sse

        async with aconnect_sse(self._client, "POST", self._url, json=STREAM) as source:
            return [seen(_image(event.json())) async for event in source.aiter_sse()]

    async def answer(self, n: int) -> list[bytes]:
        answer = await self._client.post(self._url, json={**ORDER, "n": n})
        return [_image(entry) for entry in answer.json()["data"]]

    async def close(self) -> None:
        await self._client.aclose()


def _image(message: dict[str, str]) -> bytes:
    return base64.b64decode(message["b64_json"])


CONTESTANTS: dict[str, Callable[[str], Contestant]] = {
    "floor": Floor,
    "ours": Ours,
    "openai": OpenAI,
    "gradient": Gradient,
    "httpx-sse": HttpxSse,
}
_MODULES = {"openai": "openai", "gradient": "gradient", "httpx-sse": "httpx_sse"}


def missing() -> list[str]:
    """Return the peers that are not installed."""
    return [name for name, module in _MODULES.items() if not importlib.util.find_spec(module)]


def there(*names: str) -> list[str]:
    """Return those of the names that can take part, in this order."""
    return [name for name in names if name not in missing()]
