"""The form of a panel: the fields of all parameters, grouped, and what stands around them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import ipywidgets

from ...api.advice import not_streamed, value_notes
from ...api.errors import GradientNotebookError, InvalidRequestError
from ...api.models import DEFAULT_MODEL
from ...api.params import PARAMETERS, ImageGenerateParams, broken_rule, choices_of
from ..magic_args import identifier
from .bundle import TOOLTIP
from .controls import Field, note, value_of


class Form:
    """What a person sets before an image is made.

    `session` returns the session's defaults, `estimate` what a request may cost, as HTML, and `notice` stands
    under all. The prompt holds `{{ }}` to be filled in only where `interpolates` is ticked: text that comes from code takes
    the tick off, and only a person puts it on again.
    """

    def __init__(
        self,
        name: str,
        session: Callable[[], Mapping[str, Any]],
        estimate: Callable[[ImageGenerateParams], str],
        notice: str,
    ) -> None:
        self.layout = ipywidgets.Layout()
        """The one of all boxes and notes: each would be another message to the browser."""
        self.fields = {name: Field(parameter, self.layout) for name, parameter in PARAMETERS.items()}
        self.controls = {name: field.control for name, field in self.fields.items()}
        self._session = session
        self._estimated = estimate
        self._held = False
        self._wrong: dict[str, str] = {}
        self._make_others(name, notice)
        self._group()
        self._listen()

    def _make_others(self, name: str, notice: str) -> None:
        self.variable = ipywidgets.Text(
            value=name, description="Variable", **{TOOLTIP: "Notebook variable that the image is assigned to."}
        )
        # Without the shared layout: `refresh` hides this one alone.
        self.interpolates = ipywidgets.Checkbox(
            value=True,
            indent=False,
            description="Insert {{ }}",
            **{TOOLTIP: "Insert values from the notebook for {{ }}."},
        )
        self._variable_note = self._html("note")
        self._estimate = self._html("estimate")
        self._notice = self._html("note", note(notice, "notice"))
        self.generate_button = _button("Generate", "generate", "Generate the image (Ctrl+Enter).", "primary")
        self._code_buttons = (
            _button("Copy as cell", "cell", "Copy the %%imagegen cell that makes the same request."),
            _button("Copy as Python", "python", "Copy the Python call that makes the same request."),
            _button(
                "Open recipe…", "recipe", "Fill the form with the settings inside of an image's file, or drop it here."
            ),
        )

    def _group(self) -> None:
        """Keep in view what is changed often, and fold the rest."""
        often = [name for name, parameter in PARAMETERS.items() if parameter.often]
        seldom = [name for name in PARAMETERS if name not in often]
        prompt, *others = [self.fields[name].box for name in often]
        title = f"More: {', '.join(PARAMETERS[name].label.lower() for name in seldom)}"
        folded = self._box("folded", *(self.fields[name].box for name in seldom))
        self._more = ipywidgets.Accordion([folded], titles=(title,), selected_index=None).add_class("gradient-more")
        self.box = self._box(
            "form",
            prompt,
            self.interpolates,
            # Right under the prompt: what one presses after typing stays in view on a projector, too.
            self._row(self.generate_button, self._estimate),
            *others,
            self._more,
            self._box("field", self.variable, self._variable_note),
            self._row(*self._code_buttons),
            self._notice,
        )

    def _box(self, kind: str, *children: ipywidgets.Widget) -> ipywidgets.VBox:
        return ipywidgets.VBox(children, layout=self.layout).add_class(f"gradient-{kind}")

    def _row(self, *children: ipywidgets.Widget) -> ipywidgets.Box:
        return ipywidgets.Box(children, layout=self.layout).add_class("gradient-row")

    def _html(self, kind: str, text: str = "") -> ipywidgets.HTML:
        return ipywidgets.HTML(text, layout=self.layout).add_class(f"gradient-{kind}")

    def _listen(self) -> None:
        for name, control in self.controls.items():
            control.observe(lambda _, name=name: self._touched(name), "value")
        self.controls["prompt"].observe(self._prompt_changed, "value")
        self.interpolates.observe(lambda _: self.show_estimate(), "value")
        self.variable.observe(lambda _: self._say_of_variable(""), "value")

    # What it says

    @property
    def name(self) -> str:
        """The variable's name; raises InvalidRequestError if it is none."""
        return identifier(self.variable.value.strip())

    @property
    def in_a_browser(self) -> dict[str, ipywidgets.ValueWidget]:
        """All controls by the names that a browser calls them, which are no names of parameters for two of them."""
        return {**self.controls, ".variable": self.variable, ".interpolates": self.interpolates}

    def given(self) -> dict[str, Any]:
        """Return the parameters that the form gives; raise InvalidRequestError where a control makes no sense.

        What is left at the service's own default is not given, unless the session's default is another.
        """
        session = self._session()
        given = {}
        for name, field in self.fields.items():
            value = None if field.control.disabled else self._value(name)
            is_default = name not in session and value in (field.parameter.default, {})
            if value is not None and not is_default:
                given[name] = value
        return given

    def _value(self, name: str) -> Any:
        return value_of(PARAMETERS[name], self.controls[name])

    # How it is set

    def fill(self, values: Mapping[str, Any], *, interpolates: bool = False) -> None:
        """Set all controls; what `values` does not name is not given."""
        self._wrong = {}
        session = self._session()
        with self._holding():
            for name, field in self.fields.items():
                # What has no effect now keeps what it would have, so that it need not be set twice.
                field.set(values.get(name, session.get(name) if field.parameter.only_with else None))
        # After the prompt, which takes the tick off when it is set by code.
        self.interpolates.value = interpolates or "{{" not in self.controls["prompt"].value

    def accept(self, shown: Mapping[str, Any]) -> None:
        """Set the controls to what a browser shows: their own messages may still be on their way.

        Raises InvalidRequestError where that does not go together: nothing is left out that somebody has chosen.
        """
        self._wrong = {}
        with self._holding():
            for name in self.fields.keys() & shown.keys():
                self.fields[name].accept(shown[name])
            # When all are set: only then is it known what goes together. A choice is put into its control even where it
            # was not offered, so that it is refused by name and not replaced in silence.
            for name, field in self.fields.items():
                if field.parameter.choices and (refusal := _refusal(self._others(name), name, field.control.value)):
                    raise refusal
        self.variable.value = shown.get(".variable", self.variable.value)
        self.interpolates.value = shown.get(".interpolates", self.interpolates.value)

    @contextmanager
    def _holding(self) -> Iterator[None]:
        """Look at the whole only when all of it is set."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
            self.refresh()

    def _touched(self, name: str) -> None:
        if self._held:
            return
        self.fields[name].settle()
        # A choice is wrong only beside others, which may have been changed now.
        settled = {wrong for wrong in self._wrong if wrong == name or PARAMETERS[wrong].choices}
        self._wrong = {wrong: words for wrong, words in self._wrong.items() if wrong not in settled}
        self.refresh()

    def _prompt_changed(self, change: Mapping[str, Any]) -> None:
        """Insert values only into what a person has typed: text that comes from elsewhere is data.

        It stays so when it has been deleted: it may be brought back.
        """
        if "{{" in change["new"] and change["new"] != change["owner"].typed:
            self.interpolates.value = False

    def offer_models(self, names: Sequence[str]) -> None:
        """Offer what the service lists."""
        for field in self.fields.values():
            if field.parameter.listed:
                field.control.options = tuple(names)

    # What is wrong

    def still_says(self, name: str, given: Mapping[str, Any]) -> bool:
        """Whether the form gives the same for a parameter as `given` did."""
        try:
            return bool(self.given().get(name) == given.get(name))
        except InvalidRequestError:
            return False

    def clear_errors(self) -> None:
        """Take back what was said to be wrong."""
        self._wrong = {}
        self.refresh()

    def show_error(self, name: str | None, words: str) -> bool:
        """Say beside a control what is wrong with it, until it is changed. Return whether there is such a control."""
        if name == "name":
            self._say_of_variable(words)
        elif name in self.fields:
            if not PARAMETERS[name].often:
                self._more.selected_index = 0
            self._wrong[name] = words
            self.fields[name].say(words, wrong=True)
        return name == "name" or name in self.fields

    def _say_of_variable(self, words: str) -> None:
        self._variable_note.value = note(words, "wrong")

    # What applies

    def refresh(self) -> None:
        """Enable what applies and disable what does not, and say why."""
        # Limiting a control may change its value, which nobody has chosen: `_touched` would forget what was set aside.
        self._held = True
        try:
            values = self._others("")
            values |= values.pop("extra", None) or {}
            notes = value_notes(values)
            unfit = {"stream": reason} if (reason := not_streamed(values)) else {}
            for name, field in self.fields.items():
                field.offer(choices_of(field.parameter, str(values.get("model") or DEFAULT_MODEL)))
                self._refresh(name, field, notes.get(name, ""), unfit)
        finally:
            self._held = False
        self.interpolates.layout.display = "" if "{{" in self.controls["prompt"].value else "none"
        self.show_estimate()

    def show_estimate(self) -> None:
        """Show what the form's request may cost, and what has been spent by now."""
        try:
            # The estimate stands there before there is a prompt, which a request must have.
            params = ImageGenerateParams.of({**self.given(), "prompt": "a"})
        except GradientNotebookError:
            self._estimate.value = ""
        else:
            self._estimate.value = self._estimated(params)

    def _refresh(self, name: str, field: Field, advice: str, unfit: Mapping[str, str]) -> None:
        """Enable or disable one control; `unfit` has what the chosen model does not go with, and why."""
        others = self._others(name)
        if name in unfit:
            why = field.disable(unfit[name])
        else:
            why = field.limit(lambda value: _reason(_refusal(others, name, value)))
        needed = self.fields.get(field.parameter.only_with)
        # What another control has switched off can be switched on by this one.
        is_off = needed and not needed.control.disabled and not needed.control.value
        if needed and (is_off or needed.parameter.name in unfit):
            why = field.disable(f"only with {needed.parameter.label}")
        wrong = self._wrong.get(name) or self._mistake(name)
        field.say(wrong or why or advice, wrong=bool(wrong))  # at once: an alert that goes and comes is spoken again

    def _mistake(self, name: str) -> str:
        """Return what is wrong with what a control says by itself."""
        try:
            self._value(name)
        except InvalidRequestError as error:
            return error.summary
        return ""

    def _others(self, name: str) -> dict[str, Any]:
        """Return what other controls say, as far as it makes sense."""
        values = {}
        for other, field in self.fields.items():
            # What is disabled only because `name` is off would count as soon as `name` is on.
            applies = not field.control.disabled or field.parameter.only_with == name
            if other != name and applies:
                with suppress(InvalidRequestError):
                    values[other] = self._value(other)
        return values


def _refusal(others: Mapping[str, Any], name: str, value: Any) -> InvalidRequestError | None:
    """Return why a parameter cannot have a value while the others are as they are."""
    values = {**others, name: value}
    while rule := broken_rule(values):
        if rule.parameter == name:
            return rule.error(values)
        del values[rule.parameter]  # another's mistake
    return None


def _reason(refusal: InvalidRequestError | None) -> str:
    return refusal.reason if refusal else ""


def _button(words: str, action: str, tooltip: str, style: str = "") -> ipywidgets.Button:
    button = ipywidgets.Button(description=words, tooltip=tooltip, button_style=style)
    return button.add_class(f"gradient-form-{action}")
