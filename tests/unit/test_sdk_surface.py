"""What SDK code uses around `images.generate` moves over: each name works, or its message says what to use."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

import gradient_notebook as gn
from gradient_notebook.api.models import DEFAULT_MODEL
from gradient_notebook.simulator import Simulator

PROMPT = {"prompt": "a red fox", "quality": "low"}


@pytest.fixture
def client(configured: Simulator) -> gn.Client:
    return gn.Client()


def test_a_response_becomes_plain_values(client: gn.Client) -> None:
    """`to_dict` leaves out what is not known, `model_dump` has None there, and both have the image as base64 text."""
    response = client.images.generate(**PROMPT)

    plain, dumped = response.to_dict(), response.model_dump()

    assert plain["data"][0]["b64_json"] == response.data[0].b64_json == dumped["data"][0]["b64_json"]
    assert plain["usage"] == response.usage.to_dict() == dumped["usage"]
    assert json.loads(response.to_json()) == plain
    assert json.loads(response.model_dump_json()) == dumped
    assert response.data[0].revised_prompt == plain["data"][0]["revised_prompt"]


def test_an_event_becomes_plain_values_without_what_is_ours(client: gn.Client) -> None:
    """An event has the documented fields, with None for what is not known only where the SDK has it."""
    *_, completed = client.images.generate(**PROMPT, stream=True, partial_images=1)

    assert set(completed.to_dict()) == {
        "type", "b64_json", "created_at", "size", "quality", "background", "output_format", "usage",
    }  # fmt: skip
    assert completed.model_dump()["revised_prompt"] is None


def test_the_request_id_is_on_the_response(client: gn.Client) -> None:
    """`_request_id`, `request_id` and the raw response's header are one."""
    raw = client.images.with_raw_response.generate(**PROMPT)

    assert raw.status_code == 200
    assert raw.headers["x-request-id"] == raw.request_id == raw.parse()._request_id == raw.parse().request_id
    with pytest.raises(gn.InvalidRequestError, match="a raw response is not streamed"):
        client.images.with_raw_response.generate(**PROMPT, stream=True, partial_images=1)


def test_extra_fields_go_where_the_sdk_puts_them(client: gn.Client, configured: Simulator) -> None:
    """`extra_body` into the body, declared names as if given by name; headers and query beside it; nothing else."""
    client.images.generate(
        prompt="a", extra_body={"seed": 1, "quality": "low"}, extra_headers={"x-team": "blue"}, extra_query={"a": "b"}
    )

    [post] = configured.posts
    assert post.body == {"prompt": "a", "model": DEFAULT_MODEL, "n": 1, "quality": "low", "seed": 1}
    assert post.headers["x-team"] == "blue"
    with pytest.raises(gn.InvalidRequestError, match="n=11: expected"):
        client.images.generate(prompt="a", extra_body={"n": 11})
    assert len(configured.posts) == 1


def test_the_key_goes_into_no_extra_header(client: gn.Client, configured: Simulator) -> None:
    """What is sent beside the body is searched for the key, too."""
    with pytest.raises(gn.InvalidRequestError, match="x-key contains your model access key"):
        client.images.generate(**PROMPT, extra_headers={"x-key": "sk-do-for-tests-only"})
    assert configured.posts == []


def test_timeouts_and_retries_are_those_of_the_call_or_the_client() -> None:
    """`timeout` is the silence allowed within an answer, and `max_retries` never means a second bill."""
    with Simulator(seconds_per_image=0, faults=[{"silence": True}, {"silence": True}]) as simulator:
        client = gn.Client(model_access_key="sk-do-for-tests-only", base_url=simulator.url, timeout=0.2, max_retries=3)
        for late in (client, client.with_options(timeout=0.1, max_retries=2)):
            with pytest.raises(gn.APITimeoutError) as caught:
                late.images.generate(**PROMPT)
            assert caught.value.sent
        assert len(client.images.generate(**PROMPT, timeout=30).data) == 1
        assert len(simulator.posts) == 3


def test_default_headers_go_with_each_request(configured: Simulator) -> None:
    """Of that client only."""
    with gn.Client(default_headers={"x-team": "blue"}) as client:
        client.images.generate(**PROMPT)
    gn.Client().images.generate(**PROMPT)

    assert [post.headers.get("x-team") for post in configured.posts] == ["blue", None]


def test_a_http_client_of_ones_own_is_used_and_left_open(configured: Simulator) -> None:
    """Its requests have the key; closing our client leaves it open. The synchronous client says that it takes none."""
    seen: list[httpx.Request] = []

    async def note(request: httpx.Request) -> None:
        seen.append(request)

    async def ask() -> bool:
        async with httpx.AsyncClient(event_hooks={"request": [note]}) as own:
            client = gn.AsyncClient(http_client=own)
            await client.images.generate(**PROMPT)
            await client.close()
            return own.is_closed

    assert asyncio.run(ask()) is False
    assert seen[0].headers["authorization"] == "Bearer sk-do-for-tests-only"
    with pytest.raises(gn.InvalidSettingsError, match=r"http_client.*\nGive an httpx.AsyncClient to AsyncClient"):
        gn.Client(http_client=object())


def test_one_model_is_retrieved(client: gn.Client) -> None:
    """Or the error names those that there are."""
    assert client.models.retrieve(DEFAULT_MODEL).id == DEFAULT_MODEL
    with pytest.raises(gn.NotFoundError, match="'gpt-9' cannot be used") as caught:
        client.models.retrieve("gpt-9")
    assert DEFAULT_MODEL in caught.value.image_models


def test_an_error_has_the_response_that_sdk_code_reads(client: gn.Client) -> None:
    """`.response` has the status and the headers."""
    with pytest.raises(gn.BadRequestError) as caught:
        client.images.generate(prompt="a [refuse]")
    assert (caught.value.status_code, caught.value.response.status_code) == (400, 400)
    assert caught.value.response.headers["x-request-id"] == caught.value.request_id
    assert caught.value.body["code"] == caught.value.code == "moderation_blocked"


@pytest.mark.parametrize("make", [gn.Client, gn.AsyncClient])
def test_what_is_left_out_names_what_to_use(make: Any, configured: Simulator) -> None:
    """`with_streaming_response` is left out."""
    with pytest.raises(AttributeError, match=r"use generate\(stream=True"):
        _ = make().images.with_streaming_response


def test_a_control_plane_token_gives_way_to_a_key_in_the_environment(
    configured: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in the SDK, where `access_token` is for another API."""
    assert gn.Client(access_token="dop_v1_abc").settings.key_source == "GRADIENT_MODEL_ACCESS_KEY"
    assert gn.Client(access_token="sk-do-another-key").settings.key_source == "argument"
    monkeypatch.delenv("GRADIENT_MODEL_ACCESS_KEY")
    assert gn.Client(access_token="dop_v1_abc").settings.key_source == "argument"


def test_other_options_leave_a_client_what_it_is(configured: Simulator) -> None:
    """`with_options` gives a client of the same class, which takes the session's model as before."""
    gn.configure(model="openai-gpt-image-2")

    async def ask() -> None:
        async with gn.AsyncClient().with_options(timeout=30) as client:
            assert isinstance(client, gn.AsyncClient)
            await client.images.generate(**PROMPT)

    asyncio.run(ask())
    client = gn.Client().with_options(max_retries=1)
    client.images.generate(**PROMPT)

    assert isinstance(client, gn.Client)
    assert [post.body["model"] for post in configured.posts] == ["openai-gpt-image-2"] * 2


def test_plain_values_take_what_pydantic_takes(client: gn.Client) -> None:
    """SDK code chooses fields, and leaves out what is not known, by pydantic's arguments."""
    response = client.images.generate(**PROMPT)

    assert set(response.model_dump(mode="json", include={"created", "usage"}, exclude={"usage"})) == {"created"}
    for how in ("exclude_none", "exclude_unset", "exclude_defaults"):
        assert (
            response.model_dump(**{how: True}) == response.to_dict(mode="json") == dict(json.loads(response.to_json()))
        )
    assert response.to_dict(exclude_unset=False) == response.model_dump()
    assert json.loads(response.model_dump_json(exclude={"data"})) == response.model_dump(exclude={"data"})
    assert dict(response)["data"] is response.data
    assert response.model_copy(update={"created": 1}).created == 1
    assert response.model_copy() == response


def test_a_timeout_of_httpx_is_one(client: gn.Client) -> None:
    """For a client, for other options, and for a call; what it leaves open stays as it was."""
    timeout = httpx.Timeout(None, read=60.0, connect=3.0)
    for settings in (gn.Client(timeout=timeout).settings, client.with_options(timeout=timeout).settings):
        assert (settings.read_timeout_s, settings.connect_timeout_s) == (60, 3)
    assert client.with_options(timeout=httpx.Timeout(None)).settings == client.settings
    assert client.images.generate(**PROMPT, timeout=timeout).data
    assert client.models.list(timeout=timeout).data


def test_a_client_says_what_it_was_made_with(client: gn.Client, configured: Simulator) -> None:
    """Its address, its timeout, its retries; headers are added to those that there are."""
    assert (client.base_url, client.timeout, client.max_retries) == (configured.url, 300, 4)
    first = gn.Client(base_url=httpx.URL(configured.url), default_headers={"x-a": "1"})
    with first.copy(default_headers={"x-b": "2"}) as second:
        second.images.generate(**PROMPT)
    [post] = configured.posts
    assert (post.headers["x-a"], post.headers["x-b"]) == ("1", "2")


def test_answers_have_their_http_side(client: gn.Client) -> None:
    """Raw responses, streams and errors: status, headers in any case, and what was said."""
    raw = client.images.with_raw_response.generate(**PROMPT)
    with client.images.generate(**PROMPT, stream=True, partial_images=1) as stream:
        answers = [raw.http_response, stream.response]
    with pytest.raises(gn.BadRequestError) as caught:
        client.images.generate(prompt="a [refuse]")
    answers.append(caught.value.response)

    assert [answer.status_code for answer in answers] == [200, 200, 400]
    assert all(answer.headers["X-Request-ID"] for answer in answers)
    assert raw.json() == json.loads(raw.text()) == raw.parse().to_dict()
    told = answers[-1].json()["error"]
    assert told["message"] in caught.value.message
    assert told["type"] == caught.value.type == "image_generation_user_error"
    assert json.loads(answers[-1].text) == answers[-1].json()


def test_the_list_of_models_is_its_own_only_page(client: gn.Client, configured: Simulator) -> None:
    """It iterates over models, and there is no other page; headers and query go with the question."""
    models = client.models.list(extra_headers={"x-team": "blue"}, extra_query={"a": "b"})
    assert [model.id for model in models] == [model.id for model in models.data]
    assert not models.has_next_page()
    assert configured.requests[-1].headers["x-team"] == "blue"


_CLIENT, _RESPONSE = "gn.Client()", "gn.Client().images.generate(prompt='a')"


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (f"{_CLIENT}.with_raw_response", r"use client\.images\.with_raw_response"),
        (f"{_CLIENT}.chat", r"client\.images and client\.models; use the SDK"),
        (f"{_CLIENT}.api_key", "use client.settings.key_source"),
        (f"{_CLIENT}.post", "extra_body="),
        (f"{_CLIENT}.images.edit", r"use generate\("),
        (f"{_CLIENT}.models.delete", r"use list\(\)"),
        (f"{_RESPONSE}.dict", r"use model_dump\(\)"),
        ("gn.Client(api_key='sk-do-a')", "use model_access_key="),
        (f"{_CLIENT}.with_options(model_access_key='sk-do-a')", r"use Client\("),
        (f"{_CLIENT}.models.list(page=1)", "leave it out"),
        ("gn.Client(agent_endpoint='a')", "use the SDK for agents"),
        ("gn.AsyncClient(max_retry=1)", "Did you mean max_retries"),
        ("gn.Gradient", "use Client"),
        ("gn.ConflictError", "use APIStatusError"),
    ],
)
def test_other_names_of_the_sdk_name_what_to_use(code: str, told: str, configured: Simulator) -> None:
    """Whoever looks for them reads it in the error; none shows a key."""
    with pytest.raises((AttributeError, TypeError, ImportError), match=told):
        eval(code, {"gn": gn})


def test_tab_offers_nothing_that_is_left_out(client: gn.Client) -> None:
    """Only those who look for it by name read of it."""
    assert {"with_options", "base_url"} <= set(dir(client)) - {"chat", "post"} == set(dir(client))
    assert "edit" not in dir(client.images)
