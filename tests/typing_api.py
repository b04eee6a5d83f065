"""Checked by mypy and pyright, never run: the types that a user's editor shows, and the mistakes that it marks.

Each `type: ignore` is a mistake that has to be one: both checkers complain about one that is not needed.
"""

from __future__ import annotations

from typing import assert_type

from PIL.Image import Image

from gradient_notebook import (
    AsyncClient,
    Client,
    ImageGenCompletedEvent,
    ImageGenerateResponse,
    ImageGenPartialImageEvent,
    Job,
    Panel,
    Settings,
    configure,
    generate,
    history,
    submit,
)


def blocking(client: Client) -> None:
    assert_type(client.images.generate(prompt="x"), ImageGenerateResponse)
    assert_type(client.images.generate(prompt="x").data[0].b64_json, str)
    for event in client.images.generate(prompt="x", stream=True, partial_images=1):
        assert_type(event, ImageGenPartialImageEvent | ImageGenCompletedEvent)
    assert_type(client.settings, Settings)


async def asynchronous(client: AsyncClient) -> None:
    assert_type(await client.images.generate(prompt="x"), ImageGenerateResponse)
    async for event in await client.images.generate(prompt="x", stream=True, partial_images=1):
        assert_type(event, ImageGenPartialImageEvent | ImageGenCompletedEvent)


def jobs() -> None:
    job = submit("x")
    assert_type(job, Job)
    assert_type(job.elapsed_s, float)


def images(count: int) -> None:
    assert_type(generate("x"), Image)
    assert_type(generate("x", n=1, size="1536x1024", quality="low"), Image)
    assert_type(generate("x", n=count), Image | list[Image])
    assert_type(history("x")[0].image, Image | None)


def mistakes(client: Client, client_async: AsyncClient) -> None:
    generate("x", sise="big")  # type: ignore[call-overload]
    generate("x", n="two")  # type: ignore[call-overload]
    generate("x", quality=3)  # type: ignore[call-overload]
    generate()  # type: ignore[call-overload]
    submit("x", partial_images="2")  # type: ignore[arg-type]
    submit("x", streaming=True)  # type: ignore[call-arg]
    client.images.generate(prompt="x", output_fromat="png")  # type: ignore[call-overload]
    client.images.generate("x")  # type: ignore[call-overload]
    client_async.images.generate(prompt="x", timeout="1")  # type: ignore[call-overload]
    Panel("otter", sise="1024x1024")  # type: ignore[call-arg]
    client.with_options(base_url="https://host")  # type: ignore[arg-type]
    Client(key="sk-do")  # type: ignore[call-arg]
    configure(1)  # type: ignore[call-arg]
