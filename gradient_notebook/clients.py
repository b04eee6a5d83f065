"""The public clients: the SDK's arguments, settings from `connect`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .api.credentials import Key, first_given
from .api.errors import InvalidSettingsError
from .api.settings import Timeout
from .connect import Settings, discover, key_for_inference
from .jobs import sync_client
from .jobs.metered import MeteredClient
from .session import session

if TYPE_CHECKING:
    from .api.transport import HTTPClient


class AsyncClient(MeteredClient):
    """The image generation API, asynchronously, with the SDK's names. Usable from any event loop.

    The session's budgets hold for it, too; it keeps no records.

    Args:
        model_access_key: the key; from the environment and the other places of `Settings.discover` unless given.
        access_token: another name for it. A control-plane token gives way to a model access key in the environment.
        inference_endpoint, base_url: where requests go; https://inference.do-ai.run unless given or in the environment.
        settings: all of that, and the limits, in one.
        timeout: seconds of silence allowed within an answer, 300 unless given; or an `httpx.Timeout`.
        max_retries: retries of requests that never reached the model, 4 unless given; no other is sent again.
        default_headers: further headers of each request.
        http_client: an httpx.AsyncClient of your own, which you close yourself.

    Raises:
        InvalidSettingsError: a key or an endpoint that cannot be used.

    >>> import asyncio
    >>> from gradient_notebook import AsyncClient
    >>> async def main():
    ...     async with AsyncClient() as client:
    ...         return await client.images.generate(prompt="A red fox", quality="low")
    >>> len(asyncio.run(main()).data)
    1
    """

    settings: Settings

    def __init__(
        self,
        *,
        model_access_key: str | None = None,
        access_token: str | None = None,
        inference_endpoint: str | None = None,
        base_url: str | None = None,
        settings: Settings | None = None,
        timeout: float | Timeout | None = None,
        max_retries: int | None = None,
        default_headers: Mapping[str, str] | None = None,
        http_client: HTTPClient | None = None,
    ) -> None:
        key = key_for_inference(first_given(model_access_key), first_given(access_token))
        del model_access_key, access_token
        found = _settings(key, inference_endpoint or base_url, settings, timeout, max_retries)
        super().__init__(found, default_headers=default_headers, http_client=http_client)

    def with_defaults(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a call's options with the session's model, where they name none."""
        return session.with_model(options)


class Client(sync_client.Client):
    """The image generation API, synchronously, with the SDK's names; also inside a running loop.

    Its connections are the package's, shared by all that has the same settings. The session's budgets hold for it, too; it
    keeps no records.

    Args:
        model_access_key: the key; from the environment and the other places of `Settings.discover` unless given.
        access_token: another name for it. A control-plane token gives way to a model access key in the environment.
        inference_endpoint, base_url: where requests go; https://inference.do-ai.run unless given or in the environment.
        settings: all of that, and the limits, in one.
        timeout: seconds of silence allowed within an answer, 300 unless given; or an `httpx.Timeout`.
        max_retries: retries of requests that never reached the model, 4 unless given; no other is sent again.
        default_headers: further headers of each request.
        http_client: left out; `AsyncClient` takes one.

    Raises:
        InvalidSettingsError: a key or an endpoint that cannot be used; an `http_client`.

    >>> from gradient_notebook import Client
    >>> response = Client().images.generate(prompt="A red fox", quality="low", size="1024x1024")
    >>> response.size, len(response.data)
    ('1024x1024', 1)
    """

    settings: Settings

    def __init__(
        self,
        *,
        model_access_key: str | None = None,
        access_token: str | None = None,
        inference_endpoint: str | None = None,
        base_url: str | None = None,
        settings: Settings | None = None,
        timeout: float | Timeout | None = None,
        max_retries: int | None = None,
        default_headers: Mapping[str, str] | None = None,
        http_client: Any = None,
    ) -> None:
        key = key_for_inference(first_given(model_access_key), first_given(access_token))
        # Before anything can raise: a traceback that shows locals would show the key.
        del model_access_key, access_token
        if http_client is not None:
            what = "http_client: the synchronous client has no connections of its own"
            raise InvalidSettingsError(what, "Give an httpx.AsyncClient to AsyncClient, or leave it out.")
        found = _settings(key, inference_endpoint or base_url, settings, timeout, max_retries)
        super().__init__(found, default_headers=default_headers)


def _settings(
    key: Key | None,
    endpoint: object,
    settings: Settings | None,
    timeout: float | Timeout | None,
    max_retries: int | None,
) -> Settings:
    # As text: SDK code may give an httpx.URL.
    found = settings or discover(key=key, endpoint=None if endpoint is None else str(endpoint))
    return found.replace(timeout=timeout, max_retries=max_retries)
