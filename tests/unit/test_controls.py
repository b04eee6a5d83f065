"""The form: a fitting control for each parameter, what may be set when, and what a form full of settings asks for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import ipywidgets
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from gradient_notebook.api.errors import InvalidRequestError
from gradient_notebook.api.models import DEFAULT_MODEL
from gradient_notebook.api.parameter import Parameter
from gradient_notebook.api.params import ALWAYS_SENT, PARAMETERS, ImageGenerateParams, choices_of
from gradient_notebook.notebook.widgets.controls import make_control, shown_as, value_of
from gradient_notebook.notebook.widgets.form import Form

from .examples import of_full

HTML = "<img src=x onerror=alert(1)>"
KINDS = {
    "prompt": ipywidgets.Textarea,
    "model": ipywidgets.Combobox,
    "n": ipywidgets.BoundedIntText,
    "size": ipywidgets.Combobox,
    "quality": ipywidgets.Dropdown,
    "output_compression": ipywidgets.SelectionSlider,
    "stream": ipywidgets.Checkbox,
    "user": ipywidgets.Text,
    "extra": ipywidgets.Text,
}


def settable(parameter: Parameter) -> list[Any]:
    """Values that a person may set_default, of the parameters that others depend on."""
    low = parameter.minimum or 0
    high = 3 if parameter.maximum is None else parameter.maximum
    numbers = [low, low + 1, high, *([""] if parameter.default is None else [])]
    kinds: dict[type, list[Any]] = {bool: [True, False], int: numbers}
    if parameter.name == "model":
        return [DEFAULT_MODEL, "gpt-image-2", "gpt-image-2.6", "other"]
    return list(parameter.choices) or kinds.get(parameter.kind, [])


CHANGES = [(name, value) for name, parameter in PARAMETERS.items() for value in settable(parameter)]


@pytest.fixture(scope="module")
def form() -> Iterator[Form]:
    yield Form("image", dict, lambda _: "", "")
    ipywidgets.Widget.close_all()


@pytest.fixture(autouse=True)
def empty(form: Form) -> None:
    """Each test begins with an empty form."""
    form.fill({})


def set_default(form: Form, name: str, value: Any) -> bool:
    """Set a control as a person does, who cannot where it is disabled or not offered; return whether it stays so."""
    control = form.controls[name]
    if control.disabled or (PARAMETERS[name].choices and value not in control.options):
        return True
    control.value = value
    return bool(control.value == value)


def note(form: Form, name: str) -> str:
    return str(form.fields[name].note.value)


def test_each_parameter_has_the_control_that_fits(form: Form) -> None:
    """Kind, label, bounds and choices come from the declaration, and the tooltip from its help text."""
    assert list(form.controls) == list(PARAMETERS)
    assert {name: isinstance(form.controls[name], kind) for name, kind in KINDS.items()} == dict.fromkeys(KINDS, True)
    for name, parameter in PARAMETERS.items():
        control = form.controls[name]
        assert control.description == parameter.label
        assert parameter.help in control.tooltip
        if parameter.choices:
            assert control.options == choices_of(parameter, DEFAULT_MODEL)
    assert (form.controls["n"].min, form.controls["n"].max) == (1, 10)
    assert [value for _, value in form.controls["output_compression"].options] == ["", *range(101)]


DECLARED: dict[str, tuple[dict[str, Any], Any]] = {
    "text": ({}, "x"),
    "listed": ({"listed": True}, "x"),
    "choice": ({"choices": ("a", "b"), "default": "a"}, "b"),
    "choice without a default": ({"choices": ("a", "b")}, "b"),
    "switch": ({"kind": bool, "default": False}, True),
    "switch without a default": ({"kind": bool}, False),
    "number": ({"kind": int, "minimum": 1, "maximum": 4, "default": 2}, 3),
    "percentage": ({"kind": int, "minimum": 0, "maximum": 100}, 0),
    "unbounded number": ({"kind": int, "default": 0}, 7),
    "unbounded number without a default": ({"kind": int, "minimum": 0}, 0),
    "large number": ({"kind": int, "minimum": 0}, 2**32),
    "mapping": ({"kind": dict}, {"a": [1]}),
}


@pytest.mark.parametrize("declared", DECLARED)
def test_a_parameter_of_any_kind_has_a_control_and_holds_its_values(declared: str) -> None:
    """A control says what it was set to; what was never set is not given, or the service's own default."""
    traits, value = DECLARED[declared]
    parameter = Parameter(name="new", label="New", help="What it is.", **traits)
    unset = [None, parameter.default, {}]
    control = make_control(parameter)
    assert value_of(parameter, control) in unset
    assert (control.description, "What it is." in control.tooltip) == ("New", True)
    control.value = shown_as(parameter, value, control)
    assert value_of(parameter, control) == value
    control.value = shown_as(parameter, None, control)
    assert value_of(parameter, control) in unset


def test_a_wide_range_is_no_slider_of_all_its_numbers() -> None:
    """What a browser gets of a control is small, however many values there are."""
    parameter = Parameter(name="seed", label="Seed", help="h", kind=int, minimum=0, maximum=100_000)
    assert len(json.dumps(make_control(parameter).get_state(), default=str)) < 20_000


@settings(max_examples=of_full(60))
@given(changes=st.lists(st.sampled_from(CHANGES), max_size=12))
@example([("background", "transparent"), ("output_format", "jpeg"), ("background", "opaque")])
@example([("output_format", "jpeg"), ("output_compression", 0), ("output_format", "png")])
@example([("partial_images", 1), ("stream", True), ("partial_images", 0)])
def test_no_order_of_settings_asks_for_what_cannot_be(form: Form, changes: list[tuple[str, Any]]) -> None:
    """Whatever is chosen in whatever order stays chosen, makes a request that is right, and what is off says why."""
    form.fill({})
    for change in changes:
        assert set_default(form, *change)
        ImageGenerateParams.of({**form.given(), "prompt": "a"})
        for name, parameter in PARAMETERS.items():
            control = form.controls[name]
            assert not control.disabled or "gradient-why" in note(form, name)
            for choice in choices_of(parameter, form.controls["model"].value):
                assert choice in control.options or f"{choice} needs " in note(form, name)


@settings(max_examples=of_full(25), phases=[Phase.generate])  # shrinking would take minutes
@given(changes=st.lists(st.sampled_from(CHANGES), max_size=12), others=st.permutations(CHANGES))
def test_there_is_no_dead_end(form: Form, changes: list[tuple[str, Any]], others: list[tuple[str, Any]]) -> None:
    """Whatever is disabled, or no longer offered, can be had again by changes of what can be set."""
    form.fill({})
    for change in changes:
        set_default(form, *change)
    had: set[tuple[str, Any]] = set()
    # At the end in the order of the declaration: a model that streams comes before the switch for it.
    for change in [*others, *others, *CHANGES]:
        set_default(form, *change)
        for name, control in form.controls.items():
            offered = control.options if PARAMETERS[name].choices else [""]
            had |= {(name, choice) for choice in offered if not control.disabled}
    assert had == {(name, choice) for name, parameter in PARAMETERS.items() for choice in parameter.choices or [""]}


def test_what_does_not_apply_is_disabled_and_says_why(form: Form) -> None:
    """Compression goes with webp and jpeg, transparency not with jpeg, partial images only with a stream."""
    set_default(form, "partial_images", 2)
    compression, partials = form.controls["output_compression"], form.controls["partial_images"]
    assert (compression.disabled, "png is always lossless" in note(form, "output_compression")) == (True, True)
    assert (partials.disabled, "only with Stream" in note(form, "partial_images")) == (True, True)
    set_default(form, "stream", value=True)
    set_default(form, "output_format", "jpeg")
    assert (compression.disabled, partials.disabled) == (False, False)
    assert note(form, "output_compression") == note(form, "partial_images") == ""
    assert form.controls["background"].options == ("auto", "opaque")
    assert "jpeg has no transparency" in note(form, "background")


def test_a_choice_that_had_to_go_comes_back(form: Form) -> None:
    """Trying another format does not cost a setting."""
    set_default(form, "background", "transparent")
    set_default(form, "output_format", "jpeg")
    assert "background" not in form.given()
    set_default(form, "output_format", "webp")
    assert form.given()["background"] == "transparent"


def test_what_is_chosen_instead_stays(form: Form) -> None:
    """A choice made in the place of one that had to go is not undone by it, nor when it could come back."""
    set_default(form, "background", "transparent")
    set_default(form, "output_format", "jpeg")
    set_default(form, "background", "opaque")
    assert form.given()["background"] == "opaque"
    set_default(form, "output_format", "png")
    assert form.given()["background"] == "opaque"


NAMES = [name for name in PARAMETERS if name != "extra"]
EXTRA = st.dictionaries(st.text(max_size=3), st.none() | st.integers() | st.text(max_size=3), max_size=2)


def plain(parameter: Parameter) -> st.SearchStrategy[Any]:
    if parameter.choices:
        return st.none() | st.sampled_from(parameter.choices)
    text = st.text("ab {}'\"<&é\n" if parameter.multiline else "ab {}'\"<&é", min_size=1).map(lambda words: f"{words}a")
    kinds = {bool: st.booleans(), int: st.integers(parameter.minimum, parameter.maximum or 9), dict: EXTRA, str: text}
    return (
        kinds[parameter.kind]
        if parameter.name in ALWAYS_SENT or parameter.kind is dict
        else st.none() | kinds[parameter.kind]
    )


def without_conflicts(values: dict[str, Any]) -> ImageGenerateParams:
    try:
        return ImageGenerateParams.of(values)
    except InvalidRequestError as error:
        return without_conflicts({name: value for name, value in values.items() if name != error.param})


@settings(max_examples=of_full(80))
@given(values=st.fixed_dictionaries({name: plain(parameter) for name, parameter in PARAMETERS.items()}))
def test_a_form_filled_with_parameters_asks_for_them(form: Form, values: dict[str, Any]) -> None:
    """What is read from the form is what was filled in, whatever was there before; no text or number is changed."""
    params = without_conflicts(values)
    form.fill(params.given())
    back = ImageGenerateParams.of(form.given())
    for name in NAMES:
        if name != "partial_images" or params.stream:
            assert (back.effective(name) or None) == (params.effective(name) or None) or name == "output_compression"
    # With png it has no effect, whatever was asked for.
    assert back.output_compression == (None if back.effective("output_format") == "png" else params.output_compression)
    assert back.extra == params.extra
    assert form.given().keys() <= params.given().keys()


def test_a_default_of_the_session_is_given_even_if_it_is_the_services(form: Form) -> None:
    """Where the session says otherwise, the service's default has to be asked for."""
    other = Form("image", lambda: {"quality": "low"}, lambda _: "", "")
    other.fill({})
    assert other.given()["quality"] == "auto"
    assert "quality" not in form.given()


SAID = {
    "prompt": "new",
    "model": "other",
    "n": 3,
    "size": "1536x1024",
    "quality": "low",
    "background": "opaque",
    "output_format": "jpeg",
    "output_compression": "40",
    "stream": True,
    "partial_images": 2,
    "user": "me",
    "extra": '{"a": 1}',
}


@pytest.mark.parametrize("before", [{}, {"output_format": "webp", "background": "transparent"}, {"quality": "high"}])
def test_what_the_browser_shows_wins(form: Form, before: dict[str, Any]) -> None:
    """Each value as the browser has it, choices by their labels, replaces what the control said."""
    form.fill({"prompt": "old", **before})
    form.accept(SAID)
    assert form.given() == {**SAID, "output_compression": 40, "extra": {"a": 1}}


def test_what_the_browser_says_nothing_of_stays(form: Form) -> None:
    """A click that brings no form along changes none of it."""
    wanted = {"prompt": "x", "output_format": "jpeg", "background": "opaque", "quality": "low", "n": 1}
    form.fill(wanted)
    form.accept({})
    assert form.given() == {name: value for name, value in wanted.items() if name != "n"}
    form.accept({"n": 2, "unknown": 1})
    assert form.given() == {**wanted, "n": 2}


@pytest.mark.parametrize(
    ("said", "culprit"),
    [
        ({"output_format": "jpeg", "background": "transparent"}, "background"),
        ({"size": "9 by 9"}, "size"),
        ({"quality": "hihg"}, "quality"),
        ({"n": "many"}, "n"),
        ({"n": None}, "n"),
        ({"stream": "yes"}, "stream"),
    ],
)
def test_what_the_browser_says_and_cannot_be_is_told(form: Form, said: dict[str, Any], culprit: str) -> None:
    """Nothing that somebody has chosen is left out or replaced in silence; and the form can be used afterwards."""
    with pytest.raises(InvalidRequestError) as caught:
        form.accept({**said, "prompt": "x"})
    assert caught.value.param == culprit
    form.show_error(culprit, f"{caught.value} {HTML}")
    assert 'role="alert"' in note(form, culprit)
    assert "<img" not in note(form, culprit)
    form.accept({"prompt": "x", "output_format": "png", "background": "transparent", "size": "auto", "n": 1})
    assert form.given()["background"] == "transparent"
    assert 'role="alert"' not in note(form, culprit)


def test_a_complaint_stays_until_its_control_is_changed(form: Form) -> None:
    """Other changes leave it; the control's own takes it away."""
    form.show_error("prompt", "wrong")
    set_default(form, "size", "1024x1024")
    assert "wrong</div>" in note(form, "prompt")
    form.controls["prompt"].value = "x"
    assert note(form, "prompt") == ""


def test_a_complaint_holds_no_choice_back(form: Form) -> None:
    """What can be chosen again is offered, also where something was wrong."""
    form.fill({"output_format": "jpeg"})
    form.show_error("background", "wrong")
    set_default(form, "output_format", "png")
    assert "transparent" in form.controls["background"].options


def test_extra_fields_are_checked_while_they_are_typed(form: Form) -> None:
    """What is no mapping is told beside the control; given() raises it."""
    for text, words in [("{", "expected a mapping"), ("[1]", "mapping")]:
        form.controls["extra"].value = text
        assert 'role="alert"' in note(form, "extra")
        assert words in note(form, "extra")
        with pytest.raises(InvalidRequestError, match=words):
            form.given()
    form.controls["extra"].value = '{"seed": 7}'
    assert (note(form, "extra"), form.given()["extra"]) == ("", {"seed": 7})


def test_the_choices_are_those_of_the_chosen_model(form: Form) -> None:
    """What was chosen before stays, and is noted: it is sent as it is."""
    form.fill({"model": "gpt-image-2.6", "quality": "max", "size": "3840x2160"})
    assert form.controls["quality"].options == ("auto", "max", "xhigh", "high", "medium", "low")
    assert note(form, "quality") == note(form, "size") == ""
    set_default(form, "model", DEFAULT_MODEL)
    assert form.controls["quality"].options == ("auto", "high", "medium", "low", "max")
    assert form.controls["size"].options == ("auto", "1024x1024", "1536x1024", "1024x1536")
    assert "max is sent as it is" in note(form, "quality")
    assert "3840x2160 is sent as it is. The nearest size that it takes is 1536x1024." in note(form, "size")
    assert {"quality": "max", "size": "3840x2160"}.items() <= form.given().items()
    set_default(form, "quality", "low")
    assert form.controls["quality"].options == ("auto", "high", "medium", "low")


def test_any_size_can_be_typed(form: Form) -> None:
    """As WIDTHxHEIGHT; what is none is told beside the control, and an empty one is the service's default."""
    form.controls["size"].value = " 1234x567 "
    assert form.given()["size"] == "1234x567"
    form.controls["size"].value = "1234"
    assert 'role="alert"' in note(form, "size")
    with pytest.raises(InvalidRequestError, match="size='1234': expected auto or WIDTHxHEIGHT"):
        form.given()
    form.controls["size"].value = ""
    assert (note(form, "size"), form.given().get("size")) == ("", None)


def test_what_stands_in_extra_may_be_anything(form: Form) -> None:
    """It is shown, and goes out; nothing of the form breaks at it."""
    for extra in ('{"size": [1, 2]}', '{"quality": {"a": 1}}', '{"output_format": 3}'):
        form.controls["extra"].value = extra
        assert ImageGenerateParams.of({**form.given(), "prompt": "a"}).extra == json.loads(extra)
    form.controls["extra"].value = '{"model": 5}'
    with pytest.raises(InvalidRequestError, match="model=5: expected text"):
        ImageGenerateParams.of({**form.given(), "prompt": "a"})


def test_what_comes_in_one_piece_is_not_streamed(form: Form) -> None:
    """Stream says why it is off; with another format it is what it was."""
    form.fill({"model": "gpt-image-2.6", "stream": True, "partial_images": 2, "output_format": "svg"})
    assert not {"stream", "partial_images"} & form.given().keys()
    assert "only with Stream" in note(form, "partial_images")
    assert "sends svg without streaming only" in note(form, "stream")
    set_default(form, "output_format", "png")
    assert {"stream": True, "partial_images": 2}.items() <= form.given().items()
