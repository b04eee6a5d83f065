"""Parameters as code, in a real kernel: what the service gets from it."""

from __future__ import annotations

from typing import Any

import pytest

from gradient_notebook.api.params import ImageGenerateParams
from gradient_notebook.notebook.codegen import as_cell, as_python
from gradient_notebook.simulator import Simulator

from .kernel import Kernel

pytestmark = pytest.mark.kernel

_STREAMED = {"stream": True, "partial_images": 2}
_NASTY = "\n  >>> {{1/0}} }} '\"\\ $HOME {image}\r\n%%time\n!ls\nimage?\n\u2028\x0c\0 🦊 "


@pytest.mark.parametrize(
    "values",
    [
        _STREAMED,
        {"n": 2, "stream": False, "partial_images": 1},
        {"output_format": "jpeg", "output_compression": 40, **_STREAMED},
        {"extra": {"seed": 7, "a=b": {"{{c}}": None}, "": "é"}, "user": "it's {{me}} $HOME?", **_STREAMED},
        {"prompt": _NASTY, **_STREAMED},
        {"prompt": "%%time\n\n{{1/0}}\n... {image} $HOME\n!ls\nimage?", **_STREAMED},
    ],
    ids=["streamed", "two", "jpeg", "extra", "nasty", "raw"],
)
def test_cell_and_python_send_the_same_body(kernel: Kernel, simulator: Simulator, values: dict[str, Any]) -> None:
    """The service gets from either exactly what the parameters are."""
    params = ImageGenerateParams.of({"prompt": "A fox", "quality": "low", "model": "openai-gpt-image-2.5", **values})

    for code in (as_cell(params, "fox"), as_python(params, "fox")):
        cell = kernel.run(code)
        assert cell.status == "ok", cell

    assert [post.body for post in simulator.posts] == [params.body()] * 2


def test_a_cell_is_right_where_the_session_says_otherwise(kernel: Kernel, simulator: Simulator) -> None:
    """The session's defaults, as they are when the cell is written, change nothing of what it sends."""
    params = ImageGenerateParams.of({"prompt": "A fox", "quality": "low", **_STREAMED})
    session = {"stream": False, "model": "gpt-image-1", "size": "1536x1024"}
    kernel.run("\n".join(f"%config ImageGen.{name} = {value!r}" for name, value in session.items()))

    cell = kernel.run(as_cell(params, session={**_STREAMED, **session}))

    assert cell.status == "ok", cell
    assert simulator.posts[0].body == {**params.body(), "size": "auto"}
