"""Who is compared: the floor, this package, and its peers. Each is used as its own documentation has it.

Nothing here is imported before it is needed: a worker has one contestant, in the environment that it belongs to.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

from server import LARGE, PATH, images

KEY = "sk-do-benchmark"
PARAMS: dict[str, Any] = {"prompt": "A low sun over blue hills", "model": "openai-gpt-image-1"}
STREAM: dict[str, Any] = {**PARAMS, "n": 1, "size": LARGE, "stream": True, "partial_images": 3}

Seen = Callable[[bytes], bytes]
"""Called with each image as soon as it is there as bytes; returns it, or what is to be kept of it."""


class Contestant(Protocol):
    """One way to images from an endpoint; the connection is kept from one call to the next.

    The methods of some are coroutine functions, and each call returns immediately what `worker.py` awaits.
    """

    def stream(self, seen: Seen) -> Any:
        """Return the three partial images and the finished one."""

    def answer(self, n: int, size: str = LARGE) -> Any:
        """Return n images that are not streamed."""

    def at_once(self, count: int) -> Any:
        """Fetch `count` times one image at the same time, and drop each as it is there."""


def dropped(image: bytes) -> bytes:
    """Drop an image, not without a look at it."""
    if len(image) != len(images()[-1]):
        raise ValueError(f"An image of {len(images()[-1]):,} bytes has arrived as {len(image):,}.")
    return b""


class Floor:
    """A raw socket: see `floor.py`."""

    def __init__(self, url: str) -> None:
        import floor

        self._floor = floor.Floor(url + PATH)

    def stream(self, seen: Seen) -> list[bytes]:
        return self._floor.stream(STREAM, seen)

    def answer(self, n: int, size: str = LARGE) -> list[bytes]:
        return self._floor.answer({**PARAMS, "n": n, "size": size}, lambda image: image)

    def at_once(self, count: int) -> None:
        self._floor.at_once({**PARAMS, "n": 1, "size": LARGE}, count, dropped)


class _Sync:
    """What is common to the clients that block: many at once take a thread each."""

    answer: Callable[..., list[bytes]]

    def at_once(self, count: int) -> None:
        def one(_: int) -> bytes:
            return dropped(*self.answer(1))

        with ThreadPoolExecutor(count) as threads:
            assert len(list(threads.map(one, range(count)))) == count


class _Async:
    """What is common to the clients that are awaited."""

    answer: Callable[..., Any]

    async def at_once(self, count: int) -> None:
        async def one() -> bytes:
            return dropped(*await self.answer(1))

        assert len(await asyncio.gather(*(one() for _ in range(count)))) == count


class OursSync(_Sync):
    def __init__(self, url: str) -> None:
        from gradient_notebook import Client

        self._client = Client(model_access_key=KEY, inference_endpoint=url)

    def stream(self, seen: Seen) -> list[bytes]:
        with self._client.images.generate(**STREAM) as events:
            return [seen(event.image_bytes) for event in events]

    def answer(self, n: int, size: str = LARGE) -> list[bytes]:
        return [image.image_bytes for image in self._client.images.generate(**PARAMS, n=n, size=size).data]


class OursAsync(_Async):
    def __init__(self, url: str) -> None:
        from gradient_notebook import AsyncClient

        self._client = AsyncClient(model_access_key=KEY, inference_endpoint=url)

    async def stream(self, seen: Seen) -> list[bytes]:
        async with await self._client.images.generate(**STREAM) as events:
            return [seen(event.image_bytes) async for event in events]

    async def answer(self, n: int, size: str = LARGE) -> list[bytes]:
        answer = await self._client.images.generate(**PARAMS, n=n, size=size)
        return [image.image_bytes for image in answer.data]


def decode(chunks: Iterable[bytes]) -> int:
    """Feed this package's decoder with a stream; return the bytes of its images. The one look behind public names."""
    from gradient_notebook.api.decoders import StreamDecoder

    decoder = StreamDecoder(lambda error: ValueError(str(error)))
    return sum(len(event.image_bytes) for chunk in chunks for event in decoder.feed(chunk))


class _GeneratedSync(_Sync):
    """A client that openai's generator wrote: it hands out base64."""

    _client: Any

    def stream(self, seen: Seen) -> list[bytes]:
        with self._client.images.generate(**STREAM) as events:
            return [seen(base64.b64decode(event.b64_json)) for event in events]

    def answer(self, n: int, size: str = LARGE) -> list[bytes]:
        answer = self._client.images.generate(**PARAMS, n=n, size=size)
        return [base64.b64decode(image.b64_json) for image in answer.data]


class _GeneratedAsync(_Async):
    """The same, to be awaited."""

    _client: Any

    async def stream(self, seen: Seen) -> list[bytes]:
        async with await self._client.images.generate(**STREAM) as events:
            return [seen(base64.b64decode(event.b64_json)) async for event in events]

    async def answer(self, n: int, size: str = LARGE) -> list[bytes]:
        answer = await self._client.images.generate(**PARAMS, n=n, size=size)
        return [base64.b64decode(image.b64_json) for image in answer.data]


class OpenAISync(_GeneratedSync):
    def __init__(self, url: str) -> None:
        from openai import OpenAI

        self._client = OpenAI(api_key=KEY, base_url=f"{url}/v1", max_retries=0)


class OpenAIAsync(_GeneratedAsync):
    def __init__(self, url: str) -> None:
        from openai import AsyncOpenAI

        self._client = AsyncOpenAI(api_key=KEY, base_url=f"{url}/v1", max_retries=0)


class GradientSync(_GeneratedSync):
    def __init__(self, url: str) -> None:
        from gradient import Gradient

        self._client = Gradient(access_token="x", model_access_key=KEY, inference_endpoint=url, max_retries=0)


class GradientAsync(_GeneratedAsync):
    def __init__(self, url: str) -> None:
        from gradient import AsyncGradient

        self._client = AsyncGradient(access_token="x", model_access_key=KEY, inference_endpoint=url, max_retries=0)


class Pydo(_Sync):
    def __init__(self, url: str) -> None:
        from azure.core.pipeline.policies import HeadersPolicy
        from pydo import Client

        # Its own policy for the key refuses http, which is measured, too.
        key = HeadersPolicy({"Authorization": f"Bearer {KEY}"})
        self._client = Client(KEY, inference_endpoint=url, authentication_policy=key)

    def stream(self, seen: Seen) -> list[bytes]:
        with self._client.images.generate(**STREAM) as events:
            return [seen(_image(event)) for event in events]

    def answer(self, n: int, size: str = LARGE) -> list[bytes]:
        return [_image(entry) for entry in self._client.images.generate(**PARAMS, n=n, size=size)["data"]]


class HttpxSync(_Sync):
    """httpx, and httpx-sse for a stream, by hand."""

    def __init__(self, url: str) -> None:
        import httpx

        self._url = url + PATH
        self._client = httpx.Client(timeout=60)

    def stream(self, seen: Seen) -> list[bytes]:
        from httpx_sse import connect_sse

        with connect_sse(self._client, "POST", self._url, json=STREAM) as source:
            return [seen(_image(event.json())) for event in source.iter_sse()]

    def answer(self, n: int, size: str = LARGE) -> list[bytes]:
        answer = self._client.post(self._url, json={**PARAMS, "n": n, "size": size})
        return [_image(entry) for entry in answer.json()["data"]]


class HttpxAsync(_Async):
    """The same, to be awaited."""

    def __init__(self, url: str) -> None:
        import httpx

        self._url = url + PATH
        self._client = httpx.AsyncClient(timeout=60)

    async def stream(self, seen: Seen) -> list[bytes]:
        from httpx_sse import aconnect_sse

        async with aconnect_sse(self._client, "POST", self._url, json=STREAM) as source:
            return [seen(_image(event.json())) async for event in source.aiter_sse()]

    async def answer(self, n: int, size: str = LARGE) -> list[bytes]:
        answer = await self._client.post(self._url, json={**PARAMS, "n": n, "size": size})
        return [_image(entry) for entry in answer.json()["data"]]


def _image(message: Mapping[str, str]) -> bytes:
    return base64.b64decode(message["b64_json"])


@dataclass(frozen=True)
class Entry:
    """How a contestant is made, and what has to be installed for it; nothing: it is at home in this checkout."""

    make: Callable[[str], Contestant]
    distributions: tuple[str, ...] = ()

    @property
    def is_async(self) -> bool:
        """Whether it is awaited, so that it has an event loop to keep free."""
        return isinstance(self.make, type) and issubclass(self.make, _Async)


FLOOR = "floor"
OURS = ("ours sync", "ours async")
CONTESTANTS: dict[str, Entry] = {
    FLOOR: Entry(Floor),
    "ours sync": Entry(OursSync),
    "ours async": Entry(OursAsync),
    "openai sync": Entry(OpenAISync, ("openai",)),
    "openai async": Entry(OpenAIAsync, ("openai",)),
    "gradient sync": Entry(GradientSync, ("gradient",)),
    "gradient async": Entry(GradientAsync, ("gradient",)),
    "pydo": Entry(Pydo, ("pydo",)),
    "httpx-sse sync": Entry(HttpxSync, ("httpx", "httpx-sse")),
    "httpx-sse async": Entry(HttpxAsync, ("httpx", "httpx-sse")),
}
