"""The identity of a request: what it depends on, field by field, and what it does not."""

from __future__ import annotations

import random
import subprocess
import sys
from typing import Any

import pytest

from gradient_notebook import ImageGenerateParams, history, submit
from gradient_notebook.api.identity import NOT_OF_THE_IMAGE, identity
from gradient_notebook.api.params import PARAMETERS
from gradient_notebook.simulator import Simulator

BASE: dict[str, Any] = {"prompt": "A fox"}
OTHER: dict[str, Any] = {
    "prompt": "A fox.",
    "model": "openai-gpt-image-2",
    "n": 3,
    "size": "1024x1024",
    "quality": "low",
    "background": "opaque",
    "moderation": "low",
    "output_format": "webp",
    "output_compression": 100,
    "stream": True,
    "partial_images": 2,
    "user": "somebody",
    "extra": {"seed": 7},
}


def of(service: str = "host", **changes: Any) -> str:
    return identity(ImageGenerateParams.of({**BASE, **changes}), service)


@pytest.mark.parametrize("name", PARAMETERS)
def test_each_parameter_counts_unless_it_changes_nothing_of_the_image(name: str) -> None:
    """What is asked for makes a request another one; how it comes, and for whom, does not."""
    others = {"partial_images": 1} if name == "stream" else {}
    same = of(**{name: OTHER[name]}, **others) == of()
    assert same == (name in NOT_OF_THE_IMAGE)


@pytest.mark.parametrize("name", [name for name in PARAMETERS if PARAMETERS[name].default is not None])
def test_a_default_counts_as_the_value_that_it_stands_for(name: str) -> None:
    """Giving a default is giving nothing, by name or in `extra`."""
    default = PARAMETERS[name].default
    assert of(**{name: default}) == of(extra={name: default}) == of(**{name: None}) == of()


def test_extra_counts_as_what_it_overrules() -> None:
    """What is sent counts, not where it was written."""
    assert of(quality="high", extra={"quality": "low"}) == of(quality="low") != of(quality="high")
    assert of(extra={"model": "openai-gpt-image-2"}) == of(model="openai-gpt-image-2")
    assert of(extra={"n": 2, "user": "x"}) == of()


def test_the_order_counts_nothing() -> None:
    """However the parameters are ordered, and whatever stands in `extra`."""
    names = [name for name in OTHER if name not in ("n", "extra")]
    first = of(**{name: OTHER[name] for name in names}, extra={"a": 1, "b": {"c": 2, "d": 3}})
    random.Random(1).shuffle(names)
    assert of(extra={"b": {"d": 3, "c": 2}, "a": 1}, **{name: OTHER[name] for name in names}) == first


def test_another_service_gives_another_answer() -> None:
    """An image of the simulator never answers a request to the service."""
    assert of("simulator") != of("inference.do-ai.run")


def test_it_is_the_same_in_every_process() -> None:
    """It is kept on disk, and looked for by kernels that come later."""
    code = (
        "from gradient_notebook.api.identity import identity\n"
        "from gradient_notebook import ImageGenerateParams\n"
        "print(identity(ImageGenerateParams(prompt='A fox'), 'host'))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == of()


def test_the_record_has_it_whatever_the_port_is(configured: Simulator) -> None:
    """Two servers of one name are one service; without a name the address counts."""
    first = submit("A fox", quality="low")
    first.result()
    assert history()[0].record.identity == identity(first.params, first._settings.known_as)
    assert first._settings.known_as == configured.url.partition("://")[2]
