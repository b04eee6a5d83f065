"""A parameter's control, made from the declaration: which one, what it may be set to now, and what is said of it."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ipywidgets
from traitlets import TraitError

from ...api.parameter import Parameter
from .bundle import TOOLTIP

NOT_GIVEN = "auto"
"""What a control says where nothing is given, and the service decides."""
_NO_UPPER_BOUND = 2**53 - 1
"""The largest number that a browser counts to."""
_SLIDER_STEPS = 1_000


class TypedText(ipywidgets.Textarea):  # type: ignore[misc] # ipywidgets has no types
    """A text area that knows whether its text was typed by a person, or set by code."""

    typed: str | None = None
    """The last text that came from a browser."""

    def set_state(self, sync_data: Mapping[str, Any]) -> None:
        """Take what the browser says."""
        self.typed = sync_data.get("value", self.typed)
        super().set_state(sync_data)


def make_control(parameter: Parameter) -> ipywidgets.ValueWidget:
    """Return the control that fits a parameter's type, allowed values and bounds."""
    words = {"description": parameter.label, TOOLTIP: f"{parameter.help} Allowed: {parameter.expected}."}
    default = "" if parameter.default is None else parameter.default
    if steps := _steps(parameter):
        # `continuous_update` would send a message for each step that the slider passes.
        return ipywidgets.SelectionSlider(options=steps, continuous_update=False, **words)
    if parameter.pattern:
        return ipywidgets.Combobox(value=default, options=parameter.choices, **words)
    if options := options_of(parameter):
        return ipywidgets.Dropdown(options=options, value=default, **words)
    if parameter.kind is bool:
        return ipywidgets.Checkbox(value=default, indent=False, **words)
    if parameter.kind is int and parameter.default is not None:
        bounds = {"min": parameter.minimum or 0, "max": parameter.maximum or _NO_UPPER_BOUND}
        return ipywidgets.BoundedIntText(value=default, **bounds, **words)
    if parameter.listed:
        # Under its label: what the service lists has long names, which differ at their ends.
        return ipywidgets.Combobox(value=default, **words).add_class("gradient-wide")
    kind = TypedText if parameter.multiline else ipywidgets.Text
    example = {dict: '{"seed": 7}', int: NOT_GIVEN}.get(parameter.kind, "")
    return kind(value=default, placeholder=example, **words)


def options_of(parameter: Parameter, choices: Sequence[str] = ()) -> tuple[Any, ...]:
    """Return what a dropdown offers, or of it only `choices`; nothing where there is nothing to choose."""
    offered: list[tuple[str, Any]] = [(choice, choice) for choice in choices or parameter.choices]
    if parameter.default is not None:
        return tuple(value for _, value in offered)
    if parameter.kind is bool:
        offered = [("yes", True), ("no", False)]
    return ((NOT_GIVEN, ""), *offered) if offered else ()


def _steps(parameter: Parameter) -> tuple[tuple[str, Any], ...]:
    """Return the steps of a slider for a number that need not be given, if it has two bounds near each other."""
    low, high = parameter.minimum, parameter.maximum
    if parameter.kind is not int or parameter.default is not None or low is None or high is None:
        return ()
    return (
        ((NOT_GIVEN, ""), *((str(n), n) for n in range(int(low), int(high) + 1))) if high - low <= _SLIDER_STEPS else ()
    )


def value_of(parameter: Parameter, control: ipywidgets.ValueWidget) -> Any:
    """Return what a control says, None where it says nothing; raise InvalidRequestError where it makes no sense."""
    value = control.value
    is_empty = isinstance(value, str) and not parameter.multiline and not value.strip()
    if is_empty and (parameter.default is None or parameter.pattern):
        return None
    if parameter.pattern:
        return parameter.check(value.strip())
    return parameter.parse(value) if isinstance(value, str) and parameter.kind is not str else value


def shown_as(parameter: Parameter, value: Any, control: ipywidgets.ValueWidget) -> Any:
    """Return what a control has to be set to for `value`."""
    if value is None or value == {}:
        return "" if parameter.default is None else parameter.default
    if isinstance(control, ipywidgets.Text) and parameter.kind is not str:
        return json.dumps(value, ensure_ascii=False)
    return value


def note(words: str, kind: str) -> str:
    """Return the HTML of a note: `why` or what is `wrong`, which is said to a screen reader at once."""
    role = ' role="alert"' if kind == "wrong" else ""
    return f'<div class="gradient-{kind}"{role}>{html.escape(words)}</div>' if words else ""


class Field:
    """A parameter's control, and under it why it cannot be set, or what is wrong."""

    def __init__(self, parameter: Parameter, layout: ipywidgets.Layout) -> None:
        self.parameter = parameter
        self.control = make_control(parameter)
        self.note = ipywidgets.HTML(layout=layout).add_class("gradient-note")
        self.box = ipywidgets.VBox([self.control, self.note], layout=layout).add_class("gradient-field")
        self._set_aside: Any = None
        self._known = parameter.choices

    def say(self, words: str, *, wrong: bool = False) -> None:
        """Say something under the control."""
        self.note.value = note(words, "wrong" if wrong else "why")

    def offer(self, choices: tuple[str, ...]) -> None:
        """Offer these values, which the chosen model takes; another one that is chosen stays."""
        self._known = choices
        if self.parameter.pattern and self.control.options != choices:
            self.control.options = choices

    def limit(self, refusal: Callable[[Any], str]) -> str:
        """Leave only what goes with the other controls, and return why the rest does not.

        `refusal` says why a value does not go with them, or an empty text.
        """
        reasons = {value: reason for value in self._candidates() if (reason := refusal(value))}
        if self.parameter.choices and not self.parameter.pattern:
            return self._leave_out(reasons)
        return self.disable(next(iter(reasons.values()), "") if len(reasons) == len(self._candidates()) else "")

    def disable(self, reason: str) -> str:
        """Disable the control for a reason, or enable it again where there is none. Return the reason."""
        self.control.disabled = bool(reason)
        return reason

    def _candidates(self) -> list[Any]:
        """Return values that stand for all that may be asked for."""
        parameter = self.parameter
        if parameter.choices:
            return list(self._offered())
        if parameter.kind is bool:
            return [True]
        return [] if parameter.minimum is None else [parameter.minimum]

    def _offered(self) -> dict[str, None]:
        """Return what is offered: what the model is known to take, and what is chosen all the same."""
        wanted = self._set_aside or self.control.value
        return dict.fromkeys([*self._known, *([wanted] if wanted else [])])

    def _leave_out(self, reasons: Mapping[Any, str]) -> str:
        """Offer the other choices only. A choice that has to go comes back when it can."""
        wanted = self._set_aside or self.control.value
        chosen = shown_as(self.parameter, None, self.control) if wanted in reasons else wanted
        self._set_aside = wanted if wanted != chosen else None
        self._offer([choice for choice in self._offered() if choice not in reasons], chosen)
        return "; ".join(f"{choice} {reason}" for choice, reason in reasons.items())

    def _offer(self, choices: Sequence[Any], chosen: Any) -> None:
        options = options_of(self.parameter, choices)
        if self.control.options != options:
            self.control.options = options  # which chooses the first
        if self.control.value != chosen:
            self.control.value = chosen

    def settle(self) -> None:
        """Take what the control says now for what is wanted: nothing else comes back."""
        self._set_aside = None

    def set(self, value: Any) -> None:
        """Set the control to a value of the parameter, or to nothing for None, whatever the others say."""
        self.settle()
        shown = shown_as(self.parameter, value, self.control)
        if self.parameter.choices and not self.parameter.pattern and shown not in self.control.options:
            self._offer([*self._known, shown], shown)
        else:
            self.control.value = shown

    def accept(self, shown: Any) -> None:
        """Set the control to what a browser says that it shows: a label where there are choices."""
        if isinstance(shown, int):
            self.parameter.check(shown)  # the control would put it between its bounds in silence
        try:
            if self.parameter.choices and isinstance(shown, str):
                self.set(self.parameter.check(shown.strip()) if shown.strip() else None)
            elif hasattr(self.control, "label"):
                self.control.label = shown
            else:
                # As the browser's own message does, so that a prompt counts as typed by a person.
                self.control.set_state({"value": shown})
        except TraitError:
            self.parameter.check(shown)
            raise
