"""The public clients: the SDK's arguments, settings from `connect`."""

from __future__ import annotations

from .api import client as api_client
from .api.credentials import first_given
from .connect import Settings, discover
from .jobs import sync_client


class AsyncClient(api_client.AsyncClient):
    """The image generation API, asynchronously.

    Without arguments, key and endpoint come from the environment (`Settings.discover`). `access_token` is another
    name for the key, so that code for the SDK moves over. Usable from any event loop.
    """

    settings: Settings

    def __init__(
        self,
        *,
        model_access_key: str | None = None,
        access_token: str | None = None,
        inference_endpoint: str | None = None,
        settings: Settings | None = None,
    ) -> None:
        key = first_given(model_access_key, access_token)
        del model_access_key, access_token
        super().__init__(settings or discover(key=key, endpoint=inference_endpoint))


class Client(sync_client.Client):
    """The image generation API, synchronously; also inside a running loop. Arguments as of `AsyncClient`.

    Its connections are the package's, shared by all that has the same settings.
    """

    settings: Settings

    def __init__(
        self,
        *,
        model_access_key: str | None = None,
        access_token: str | None = None,
        inference_endpoint: str | None = None,
        settings: Settings | None = None,
    ) -> None:
        key = first_given(model_access_key, access_token)
        del model_access_key, access_token
        super().__init__(settings or discover(key=key, endpoint=inference_endpoint))
