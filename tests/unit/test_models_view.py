"""The table of a service's models."""

from __future__ import annotations

import pytest

import gradient_notebook as gn
from gradient_notebook.api.events import Model, ModelListResponse
from gradient_notebook.notebook.models_view import show_models
from gradient_notebook.session import session


def table(*ids: str) -> str:
    return show_models(ModelListResponse(data=[Model(id=one) for one in ids]), "https://a.example")["text/plain"]


def test_each_model_is_told_with_its_family_and_its_end() -> None:
    """What is not known is said to be unknown."""
    head, *lines = table("openai-gpt-image-1.5", "flux-1.1-pro", "llama").splitlines()
    assert head.split() == ["Model", "Family", "Ends", "Used"]
    assert [line.split() for line in lines[:2]] == [
        ["openai-gpt-image-1.5", "gpt-image-1.5", "2026-12-01"],
        ["flux-1.1-pro", "unknown"],
    ]


@pytest.mark.parametrize("source", ["documented", "environment", "config"])
def test_it_says_which_one_is_used_and_why(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The session's, the environment's, or the documented one."""
    why = {
        "documented": "yes: the documented default",
        "environment": "yes: GRADIENT_IMAGE_MODEL",
        "config": "yes: %config ImageGen.model",
    }
    if source == "environment":
        monkeypatch.setenv("GRADIENT_IMAGE_MODEL", "my-image")
        session.reset()
    elif source == "config":
        gn.configure(model="my-image")
    lines = table("openai-gpt-image-1", "my-image").splitlines()
    assert [line.split("  ")[0] for line in lines if "yes:" in line] == [
        "openai-gpt-image-1" if source == "documented" else "my-image"
    ]
    assert sum(why[source] in line for line in lines) == 1


def test_a_model_that_the_service_does_not_list_is_told_with_the_way_to_another() -> None:
    """Nothing switches by itself."""
    gn.configure(model="gone")
    *_, what, how = table("openai-gpt-image-2", "llama").splitlines()
    assert what == "The service does not list gone (%config ImageGen.model)."
    assert how == "configure(model='openai-gpt-image-2') sets another."
    assert session.model == "gone"


def test_a_service_that_lists_nothing_is_told() -> None:
    """And so is one whose models do not say that they make images: all are shown."""
    assert table().splitlines()[0] == "The service lists no models."
    assert "No image models found: these are all models." in table("llama")
    assert "llama" in table("llama").splitlines()[1]


def test_a_name_is_text() -> None:
    """It comes from elsewhere."""
    shown = show_models(ModelListResponse(data=[Model(id="<b>image</b>")]), "https://a.example")
    assert "<b>image" not in shown["text/html"]
    assert "&lt;b&gt;image" in shown["text/html"]
