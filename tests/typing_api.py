"""Checked by mypy, never run: the types that a user's editor shows."""

from __future__ import annotations

from typing import assert_type

from gradient_notebook import (
    AsyncClient,
    Client,
    ImageGenCompletedEvent,
    ImageGenerateResponse,
    ImageGenPartialImageEvent,
    Job,
    Settings,
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
