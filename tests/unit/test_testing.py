"""What exercises check: what was asked for and what it took, and what is said where it is not as expected."""

from __future__ import annotations

import os

import pytest

from gradient_notebook import Client, InvalidRequestError, generate, testing
from gradient_notebook.connect import discover, is_billed
from gradient_notebook.simulator import Simulator


@pytest.fixture(name="service")
def _service() -> object:
    with testing.simulator(seed=7) as service:
        yield service


def test_a_request_is_found_by_what_it_says(service: Simulator) -> None:
    """From whatever front end; what is not given counts as its default."""
    generate("A red fox", quality="low", n=2)
    Client().images.generate(prompt="An owl", size="1024x1024", quality="high")
    testing.assert_requested(n=2, quality="low")
    testing.assert_requested(prompt="OWL", n=1, background="auto", times=1)
    testing.assert_requested(times=2)
    assert [body["prompt"] for body in testing.requested()] == ["A red fox", "An owl"]


def test_what_differs_is_told(service: Simulator) -> None:
    """Of the request that is nearest."""
    with pytest.raises(AssertionError, match="No request was made yet"):
        testing.assert_requested(n=2)
    generate("A red fox", quality="high")
    generate("An owl", quality="low")
    with pytest.raises(
        AssertionError, match=r"No request with prompt='owl', quality='high', n=1. .* quality is 'low'\."
    ):
        testing.assert_requested(prompt="owl", quality="high", n=1)
    with pytest.raises(AssertionError, match=r"Expected 3 requests .*, found 1"):
        testing.assert_requested(times=3, quality="low")
    with pytest.raises(InvalidRequestError, match="Did you mean quality"):
        testing.assert_requested(qualty="low")


@pytest.mark.parametrize(("asked", "found"), [((2,), 1), ((2, 2), 2), ((3,), 0)])
def test_streamed_images_count_together(service: Simulator, asked: tuple[int, ...], found: int) -> None:
    """The service streams one image a request; an answer that is a cell asks for n all the same."""
    for n in asked:
        generate("A red fox", n=n, quality="low", stream=True, partial_images=1)
    if found:
        testing.assert_requested(n=2, quality="low", times=found)
    else:
        with pytest.raises(AssertionError, match=f"n is {asked[0]}"):
            testing.assert_requested(n=2, quality="low")


def test_a_notebook_uses_one_until_it_says_stop() -> None:
    """A second call ends the first and begins again; the environment is as before at the end."""
    before = dict(os.environ)
    services, pictures = [], []
    for _ in range(2):
        services.append(testing.use_simulator(seed=7, seconds_per_image=0))
        assert testing.requested() == []
        pictures.append(generate("A red fox", quality="low").tobytes())
        assert len(services[-1].posts) == 1
    assert pictures[0] == pictures[1]
    assert [service._thread is not None for service in services] == [False, True]
    testing.stop_simulator()
    assert services[-1]._thread is None
    assert dict(os.environ) == before


def test_nothing_is_billed(service: Simulator) -> None:
    """Though a key is set: no budget is spent by an exercise, and no cost is shown as one."""
    assert not is_billed()
    assert not discover().is_billed
    os.environ["GRADIENT_INFERENCE_ENDPOINT"] = "http://127.0.0.1:1"
    assert is_billed()
    assert discover().is_billed


def test_tokens_are_counted(service: Simulator) -> None:
    """Of all that was made; a refusal takes none."""
    image = generate("A red fox", quality="low", size="1024x1024")
    assert image.size == (1024, 1024)
    used = testing.tokens_used()
    testing.assert_tokens_below(used + 1)
    with pytest.raises(AssertionError, match=f"{used:,} tokens; fewer than {used:,}"):
        testing.assert_tokens_below(used)


@pytest.mark.painted
def test_the_same_seed_gives_the_same_pictures() -> None:
    """In each simulator of its own, which leaves the environment as it was."""
    before = dict(os.environ)
    pictures = []
    for seed in (1, 1, 2):
        with testing.simulator(seed=seed):
            pictures.append(generate("A red fox", quality="low", size="1024x1024").tobytes())
    assert pictures[0] == pictures[1] != pictures[2]
    assert dict(os.environ) == before
