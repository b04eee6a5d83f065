"""The declaration: validation, the body, the rules between parameters."""

from __future__ import annotations

import pickle
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradient_notebook.api.errors import InvalidRequestError
from gradient_notebook.api.params import OUTPUT_TOKENS, PARAMETERS, ImageGenerateParams, estimated_output_tokens


def make(**values: Any) -> ImageGenerateParams:
    return ImageGenerateParams.of({"prompt": "x", **values})


def test_all_documented_parameters_are_declared() -> None:
    """The twelve of the API, and `extra`."""
    documented = (
        "prompt model n size quality background moderation output_format output_compression stream partial_images user"
    )
    assert list(PARAMETERS) == [*documented.split(), "extra"]


def test_what_is_not_given_is_not_sent() -> None:
    """Only what the wire requires is always sent; nothing is ever sent as null."""
    assert make().body() == {"prompt": "x", "model": "openai-gpt-image-1", "n": 1}
    assert make(n=None, model=None).body() == make().body()
    assert make(size="auto", user=None).body() == {"prompt": "x", "model": "openai-gpt-image-1", "n": 1, "size": "auto"}


def test_extra_goes_through_as_it_is() -> None:
    """What another server understands stands in the body beside the parameters."""
    extra = {"seed": 7, "nested": {"a": [1]}}
    assert make(extra=extra).body() == {**make().body(), **extra}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"size": "big"}, "size='big': expected one of auto, 1024x1024, 1536x1024, 1024x1536"),
        ({"quality": "HIGH"}, "quality='HIGH': expected one of auto, high, medium, low"),
        ({"n": 0}, "n=0: expected a whole number, 1 to 10"),
        ({"n": 11}, "n=11: expected a whole number, 1 to 10"),
        ({"n": True}, "n=True: expected a whole number, 1 to 10"),
        ({"n": 2.0}, "n=2.0: expected a whole number, 1 to 10"),
        ({"n": "1"}, "n='1': expected a whole number, 1 to 10"),
        ({"prompt": ""}, "prompt='': expected text, 1 to 32,000 characters"),
        ({"prompt": ["x"]}, "prompt=['x']: expected text, 1 to 32,000 characters"),
        ({"prompt": " \n"}, "prompt=' \\n': expected text, 1 to 32,000 characters"),
        ({"prompt": "a\ud800"}, "prompt='a\\ud800': expected text"),
        ({"prompt": "x" * 32_001}, "(32,001 characters): expected text, 1 to 32,000 characters"),
        (
            {"output_compression": 101, "output_format": "webp"},
            "output_compression=101: expected a whole number, 0 to 100",
        ),
        ({"partial_images": -1}, "partial_images=-1: expected a whole number, 0 or more"),
        ({"user": "a\u2028b"}, "user='a\\u2028b': expected text on one line, 0 to 256 characters"),
        ({"user": "x" * 257}, "(257 characters): expected text on one line, 0 to 256 characters"),
        ({"model": ""}, "model='': expected text on one line, 1 or more characters"),
        ({"stream": "yes"}, "stream='yes': expected True or False"),
        ({"extra": {"size": 1}}, "extra={'size': 1}: size is a parameter of its own"),
        ({"extra": {"f": float("nan")}}, "expected a mapping of JSON values"),
        ({"extra": [1]}, "extra=[1]: expected a mapping of JSON values"),
        ({"sise": "big"}, "sise='big': no such parameter\nDid you mean size?"),
        ({"stream": True}, "stream=True: needs partial_images of 1 or more"),
        ({"stream": True, "partial_images": 0}, "stream=True: needs partial_images of 1 or more"),
        (
            {"background": "transparent", "output_format": "jpeg"},
            "background='transparent': needs output_format png or webp",
        ),
        ({"output_compression": 50}, "output_compression=50: needs output_format webp or jpeg"),
        ({"output_compression": 50, "output_format": "png"}, "output_compression=50: needs output_format webp or jpeg"),
    ],
)
def test_a_mistake_names_the_thing_the_value_and_what_is_allowed(values: dict[str, Any], message: str) -> None:
    """Every wrong value is refused with one short message, and the parameter that is wrong."""
    with pytest.raises(InvalidRequestError, match=re.escape(message)) as caught:
        make(**values)
    assert caught.value.param in values
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("name", [name for name, parameter in PARAMETERS.items() if parameter.choices])
def test_every_declared_choice_is_accepted_and_no_other(name: str) -> None:
    """Each allowed value makes a request that sends it, and what is none is told with all that are."""
    for choice in PARAMETERS[name].choices:
        assert make(**{name: choice}).body()[name] == choice
    for wrong in ("gif", 3, True, PARAMETERS[name].choices[0].upper()):
        with pytest.raises(
            InvalidRequestError, match=f"^{name}={wrong!r}: expected one of {', '.join(PARAMETERS[name].choices)}"
        ):
            make(**{name: wrong})


def test_whole_numbers_of_numpy_are_whole_numbers() -> None:
    """A number from an array counts, and is sent as a plain one."""
    numpy = pytest.importorskip("numpy")
    assert type(make(n=numpy.int64(3)).n) is int


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=200).filter(lambda text: text.strip()))
def test_any_text_is_sent_unchanged(prompt: str) -> None:
    """Whatever can be written can be a prompt, to the last space."""
    assert make(prompt=prompt).body()["prompt"] == prompt


def test_parameters_cannot_be_changed_afterwards() -> None:
    """What was checked stays what is sent."""
    params = make(extra={"a": [1]})
    with pytest.raises(AttributeError):
        params.size = "big"
    assert params.replace(size="1024x1024").size == "1024x1024"


def test_the_estimate_is_the_documented_token_count() -> None:
    """Known settings give one number; auto gives a range; partial images count only in a stream."""
    exact = make(size="1536x1024", quality="high", n=2, stream=True, partial_images=3)
    assert estimated_output_tokens(exact) == (2 * 6508, 2 * 6508)
    assert estimated_output_tokens(make(partial_images=3)) == (272, 6240)
    assert estimated_output_tokens(make(quality="low")) == (272, max(OUTPUT_TOKENS["low"].values()))


def test_parameters_are_a_value() -> None:
    """They can be hashed, compared and pickled, and nothing in them can be changed, however deep."""
    params = ImageGenerateParams.of({"prompt": "a", "extra": {"seed": 7, "style": {"names": ["ink", "oil"]}}})
    same = ImageGenerateParams.of({"prompt": "a", "extra": {"style": {"names": ["ink", "oil"]}, "seed": 7}})

    assert (params, hash(params)) == (same, hash(same))
    assert pickle.loads(pickle.dumps(params)) == params
    assert params.body()["style"] == {"names": ["ink", "oil"]}
    for change in (
        lambda: params.extra.update(n=9),
        params.extra["style"].clear,
        lambda: params.extra["style"]["names"].append("pen"),
        lambda: params.extra.__setitem__("n", 9),
        lambda: params.extra.__ior__({"n": 9}),
    ):
        with pytest.raises(TypeError, match="can't be changed"):
            change()
