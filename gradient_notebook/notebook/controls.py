"""Controls for the parameters, made from the declaration: which control, what it may be set to now, and what is wrong."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import ipywidgets
from traitlets import TraitError

from ..api.errors import InvalidRequest
from ..api.params import PARAMETERS, ImageGenerateParams, Parameter

NOT_GIVEN = "auto"
"""What a slider says where nothing is given, and the service decides."""
_NO_UPPER_BOUND = 2**31 - 1


class TypedText(ipywidgets.Textarea):  # type: ignore[misc] # ipywidgets has no types
    """A text area that knows whether its text is being typed by a person, or set by code."""

    typing = False

    def set_state(self, sync_data: Mapping[str, Any]) -> None:
        """Take what the browser says."""
        self.typing = True
        try:
            super().set_state(sync_data)
        finally:
            self.typing = False


def make_control(parameter: Parameter) -> ipywidgets.ValueWidget:
    """Return the control that fits a parameter's type, allowed values and bounds."""
    words = {"description": parameter.label, "tooltip": f"{parameter.help} Allowed: {parameter.expected}."}
    low, high = parameter.minimum, parameter.maximum
    if parameter.choices:
        return ipywidgets.Dropdown(options=parameter.choices, value=parameter.default, **words)
    if parameter.kind is bool:
        return ipywidgets.Checkbox(value=parameter.default, indent=False, **words)
    if parameter.kind is int and parameter.optional and low is not None and high is not None:
        steps = [(NOT_GIVEN, ""), *((str(value), value) for value in range(low, high + 1))]
        return ipywidgets.SelectionSlider(options=steps, continuous_update=False, **words)
    if parameter.kind is int:
        bounds = {"min": low or 0, "max": _NO_UPPER_BOUND if high is None else high}
        return ipywidgets.BoundedIntText(value=parameter.default, **bounds, **words)
    if parameter.listed:
        return ipywidgets.Combobox(value=parameter.default or "", **words)
    kind = TypedText if parameter.multiline else ipywidgets.Text
    example = '{"seed": 7}' if parameter.kind is dict else ""
    return kind(value=parameter.default or "", placeholder=example, **words)


def value_of(parameter: Parameter, control: ipywidgets.ValueWidget) -> Any:
    """Return what a control says, None where it says nothing; raise InvalidRequest where it makes no sense."""
    value = control.value
    if parameter.kind is dict:
        return parameter.parse(value) if value.strip() else {}
    return None if parameter.optional and value == "" else value


def shown_as(parameter: Parameter, value: Any) -> Any:
    """Return what a control has to be set to for `value`."""
    if parameter.kind is dict:
        return json.dumps(value, ensure_ascii=False) if value else ""
    if value is not None:
        return value
    return "" if parameter.default is None else parameter.default


class Field:
    """A parameter's control, and under it why it cannot be set, or what is wrong."""

    def __init__(self, parameter: Parameter, layout: ipywidgets.Layout) -> None:
        self.parameter = parameter
        self.control = make_control(parameter)
        self.note = ipywidgets.HTML(layout=layout).add_class("gradient-note")
        self.box = ipywidgets.VBox([self.control, self.note], layout=layout).add_class("gradient-field")
        self._set_aside: Any = None

    def say(self, words: str, *, wrong: bool = False) -> None:
        """Say something under the control; what is wrong is said to a screen reader at once."""
        role = ' role="alert"' if wrong else ""
        kind = "wrong" if wrong else "why"
        self.note.value = f'<div class="gradient-{kind}"{role}>{html.escape(words)}</div>' if words else ""

    def limit(self, refusal: Callable[[Any], str]) -> None:
        """Leave only what goes with the other controls; `refusal` says why a value does not, or an empty text."""
        reasons = {value: reason for value in self._candidates() if (reason := refusal(value))}
        if self.parameter.choices:
            self._leave_out(reasons)
        else:
            self.disable(next(iter(reasons.values()), "") if len(reasons) == len(self._candidates()) else "")

    def disable(self, reason: str) -> None:
        """Disable the control for a reason, or enable it again where there is none."""
        self.control.disabled = bool(reason)
        self.say(reason)

    def _candidates(self) -> list[Any]:
        """Return values that stand for all that may be asked for."""
        parameter = self.parameter
        if parameter.choices:
            return list(parameter.choices)
        if parameter.kind is bool:
            return [True]
        return [bound for bound in (parameter.minimum, parameter.maximum) if bound is not None]

    def _leave_out(self, reasons: Mapping[Any, str]) -> None:
        """Offer the other choices only. A choice that has to go comes back when it can."""
        wanted = self._set_aside or self.control.value
        left = tuple(choice for choice in self.parameter.choices if choice not in reasons)
        chosen = wanted if wanted in left else self.parameter.default
        self._set_aside = wanted if wanted != chosen else None
        if self.control.options != left:
            self.control.options = left  # which chooses the first
        if self.control.value != chosen:
            self.control.value = chosen
        self.say("; ".join(f"{choice} {reason}" for choice, reason in reasons.items()))

    def restore(self) -> None:
        """Offer all choices again, and forget what was wrong."""
        self._set_aside = None
        if self.parameter.choices and self.control.options != self.parameter.choices:
            self.control.options = self.parameter.choices


class Form:
    """The controls of all parameters. `session` are the session's defaults; `changed` is called after each change."""

    def __init__(self, session: Mapping[str, Any], changed: Callable[[], None]) -> None:
        self.layout = ipywidgets.Layout()
        """The one of all boxes and notes: each would be another message to the browser."""
        self.fields = {name: Field(parameter, self.layout) for name, parameter in PARAMETERS.items()}
        self.controls = {name: field.control for name, field in self.fields.items()}
        self._session = dict(session)
        self._changed = changed
        self._held = False
        self._wrong: set[str] = set()
        for name, field in self.fields.items():
            field.control.observe(lambda _, name=name: self._touched(name), "value")

    def given(self) -> dict[str, Any]:
        """Return the parameters that the form gives; raise InvalidRequest where a control makes no sense.

        What is left at the service's own default is not given, unless the session's default is another.
        """
        values = {name: self._value(name) for name, field in self.fields.items() if not field.control.disabled}
        return {name: value for name, value in values.items() if value is not None and not self._left(name, value)}

    def _value(self, name: str) -> Any:
        return value_of(PARAMETERS[name], self.controls[name])

    def _left(self, name: str, value: Any) -> bool:
        return name not in self._session and value in (PARAMETERS[name].default, {})

    def fill(self, values: Mapping[str, Any]) -> None:
        """Set all controls; what `values` does not name is not given."""
        with self._holding():
            for name, field in self.fields.items():
                field.control.value = shown_as(field.parameter, values.get(name))

    def accept(self, said: Mapping[str, Any]) -> None:
        """Set the controls to what the browser says that they show, by label where there are choices.

        Raises InvalidRequest where that does not go together: nothing is left out that somebody has chosen.
        """
        with self._holding():
            for name, value in said.items():
                if name in self.fields:
                    self._accept(self.fields[name], value)
            for name, field in self.fields.items():
                if field.parameter.choices and (refusal := self._refusal(name, field.control.value)):
                    raise refusal

    def _accept(self, field: Field, value: Any) -> None:
        try:
            if hasattr(field.control, "label"):
                field.control.label = value
            else:
                field.control.set_state({"value": value})
        except TraitError:
            field.parameter.check(value)
            raise

    @contextmanager
    def _holding(self) -> Iterator[None]:
        """Look at the whole only when all of it is set."""
        self._held = True
        for field in self.fields.values():
            field.restore()
        try:
            yield
        finally:
            self._held = False
            self.refresh()

    def complain(self, name: str, words: str) -> None:
        """Say beside a control what is wrong with it, until it is changed."""
        self._wrong.add(name)
        self.fields[name].say(words, wrong=True)

    def forgive(self) -> None:
        """Take back what was said to be wrong."""
        self._wrong.clear()
        self.refresh()

    def _touched(self, name: str) -> None:
        if not self._held:
            self._wrong.discard(name)
            self.refresh()

    def refresh(self) -> None:
        """Enable what applies and disable what does not, and say why."""
        self._held = True
        try:
            for name, field in self.fields.items():
                self._refresh(name, field)
        finally:
            self._held = False
        self._changed()

    def _refresh(self, name: str, field: Field) -> None:
        if name in self._wrong:
            return
        field.limit(lambda value: self._reason(name, value))
        needed = self.fields.get(field.parameter.only_with)
        if needed and not needed.control.disabled and not needed.control.value:
            field.disable(f"only with {needed.parameter.label}")
        elif field.parameter.kind is dict:
            self._check(name)

    def _check(self, name: str) -> None:
        try:
            self._value(name)
        except InvalidRequest as error:
            self.fields[name].say(error.what, wrong=True)

    def _reason(self, name: str, value: Any) -> str:
        refusal = self._refusal(name, value)
        return refusal.what.partition(": ")[2] if refusal else ""

    def _refusal(self, name: str, value: Any) -> InvalidRequest | None:
        """Return why a parameter cannot have a value while the others are as they are."""
        values = {**self._others(name), "prompt": "a", name: value}
        while True:
            try:
                ImageGenerateParams.of(values)
            except InvalidRequest as error:
                if error.parameter == name or values.pop(error.parameter or "", None) is None:
                    return error if error.parameter == name else None
            else:
                return None

    def _others(self, name: str) -> dict[str, Any]:
        """Return what other controls say, as far as it makes sense."""
        values = {}
        for other, field in self.fields.items():
            applies = not field.control.disabled or field.parameter.only_with == name
            if other != name and applies and field.parameter.kind is not dict:
                values[other] = value_of(field.parameter, field.control)
        return values
