"""The declaration: validation, the body, the rules between parameters."""

from __future__ import annotations

import pickle
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradient_notebook.api.errors import InvalidRequestError
from gradient_notebook.api.models import DEFAULT_MODEL
from gradient_notebook.api.params import PARAMETERS, ImageGenerateParams


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
    assert make().body() == {"prompt": "x", "model": DEFAULT_MODEL, "n": 1}
    assert make(n=None, model=None).body() == make().body()
    assert make(size="auto", user=None).body() == {"prompt": "x", "model": DEFAULT_MODEL, "n": 1, "size": "auto"}


def test_extra_goes_through_as_it_is() -> None:
    """What another server understands stands in the body beside the parameters."""
    extra = {"seed": 7, "nested": {"a": [1]}}
    assert make(extra=extra).body() == {**make().body(), **extra}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"size": "big"}, "size='big': expected auto or WIDTHxHEIGHT in pixels, such as 1024x1024"),
        ({"size": "0x0"}, "size='0x0': expected auto or WIDTHxHEIGHT in pixels"),
        ({"size": "1024"}, "size='1024': expected auto or WIDTHxHEIGHT in pixels"),
        ({"size": "1024x"}, "size='1024x': expected auto or WIDTHxHEIGHT in pixels"),
        ({"size": "²x²"}, "size='²x²': expected auto or WIDTHxHEIGHT in pixels"),
        ({"size": (1024, 1024)}, "size=(1024, 1024): expected auto or WIDTHxHEIGHT in pixels"),
        ({"quality": ""}, "quality='': expected text such as auto, max, xhigh, high, medium, low"),
        ({"quality": 3}, "quality=3: expected text such as auto, max, xhigh, high, medium, low"),
        ({"background": True}, "background=True: expected text such as auto, transparent, opaque"),
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
        ({"extra": {"n": 11}}, "n=11: expected a whole number, 1 to 10"),
        ({"extra": {"n": None}}, "n=None: expected a whole number, 1 to 10"),
        ({"extra": {"stream": "yes"}}, "stream='yes': expected True or False"),
        ({"extra": {"stream": True}}, "stream=True: needs partial_images of 1 or more"),
        ({"extra": {"f": float("nan")}}, "expected a mapping of JSON values"),
        ({"extra": [1]}, "extra=[1]: expected a mapping of JSON values"),
        ({"sise": "big"}, "sise='big': no such parameter\nDid you mean size?"),
        ({"stream": True}, "stream=True: needs partial_images of 1 or more"),
        ({"stream": True, "partial_images": 0}, "stream=True: needs partial_images of 1 or more"),
        (
            {"background": "transparent", "output_format": "jpeg"},
            "background='transparent': needs output_format png or webp",
        ),
        ({"output_compression": 99}, "output_compression=99: needs output_format webp or jpeg"),
        ({"output_compression": 50}, "output_compression=50: needs output_format webp or jpeg"),
        ({"output_compression": 50, "output_format": "png"}, "output_compression=50: needs output_format webp or jpeg"),
    ],
)
def test_a_mistake_names_the_thing_the_value_and_what_is_allowed(values: dict[str, Any], message: str) -> None:
    """Every wrong value is refused with one short message, and the parameter that is wrong."""
    with pytest.raises(InvalidRequestError, match=re.escape(message)) as caught:
        make(**values)
    assert caught.value.param in {**values, **(values["extra"] if isinstance(values.get("extra"), dict) else {})}
    assert len(str(caught.value)) < 300


KNOWN = [(name, choice) for name, parameter in PARAMETERS.items() for choice in parameter.choices]
LOOK_ALIKES = [
    ("quality", "xhigh"),
    ("quality", "hd"),
    ("quality", "standard"),
    ("quality", "highest"),
    ("quality", "ultra"),
    ("size", "512x512"),
    ("size", "1042x1024"),
    ("size", "1536x102"),
    ("size", "99999x1"),
    ("output_format", "avif"),
    ("background", "opaque2"),
    ("moderation", "none"),
]


@pytest.mark.parametrize(("name", "value"), [*KNOWN, *LOOK_ALIKES])
def test_known_is_not_allowed(name: str, value: str) -> None:
    """What is known is sent, and so is what nobody here has heard of: the service has the last word."""
    assert make(**{name: value}).body()[name] == value


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [
        ("quality", "hihg", "high"),
        ("quality", "mediu", "medium"),
        ("quality", "HIGH", "high"),
        ("quality", "atuo", "auto"),
        ("quality", "xhgih", "xhigh"),
        ("size", "1024*1024", "1024x1024"),
        ("size", "1536X1024", "1536x1024"),
        ("size", "640 × 480", "640x480"),
        ("size", "aut", "auto"),
        ("output_format", "PNG ", "png"),
        ("output_format", "jpg", "jpeg"),
        ("background", "Transparent", "transparent"),
        ("moderation", "lo", "low"),
    ],
)
def test_an_evident_misspelling_is_told_and_not_paid_for(name: str, value: str, meant: str) -> None:
    """Another case, white space, one letter dropped or two swapped; a number is another number."""
    with pytest.raises(InvalidRequestError, match=re.escape(f"{name}={value!r}: did you mean {meant}?")) as caught:
        make(**{name: value})
    assert caught.value.param == name


def test_extra_overrules_the_parameters() -> None:
    """Whoever writes it knows: it goes over what was given by name, unchecked, into the body and what is read of it."""
    params = make(quality="low", extra={"quality": "hihg", "size": None, "seed": 7})
    assert params.body() == {"prompt": "x", "model": DEFAULT_MODEL, "n": 1, "quality": "hihg", "size": None, "seed": 7}
    assert (params.effective("quality"), params.effective("size")) == ("hihg", "auto")
    assert make(background="transparent", extra={"output_format": "jpeg"}).body()["output_format"] == "jpeg"


def test_what_the_client_acts_on_counts_in_extra_as_by_name() -> None:
    """How many images, streamed or not, of which model: fan-out and decoding read it."""
    by_name = {"n": 3, "stream": True, "partial_images": 1, "model": "other"}
    assert make(extra={**by_name, "seed": 7}) == make(**by_name, extra={"seed": 7})


def test_what_is_not_streamed_says_nothing_of_streaming() -> None:
    """Some servers do not know the field."""
    assert "stream" not in make(stream=False).body()


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
