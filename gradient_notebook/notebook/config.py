"""`%config ImageGen`: the session's fields as traits, each with its help. Both are made from the same declaration."""

from __future__ import annotations

from typing import Any

from traitlets import All, HasTraits, TraitError, observe
from traitlets import Any as AnyTrait
from traitlets.config import Configurable

from ..api.errors import InvalidSettingsError
from ..api.parameter import Parameter
from ..connect import replay_notice
from ..session import FIELDS, default_of, session


class Setting(AnyTrait):  # type: ignore[type-arg, unused-ignore]
    """A field of the session, checked by the session itself."""

    def __init__(self, parameter: Parameter) -> None:
        super().__init__(
            default_of(parameter.name), allow_none=True, help=f"{parameter.help} Allowed: {parameter.expected}."
        )

    def default(self, obj: Any = None) -> Any:  # noqa: ARG002 - traitlets' signature
        """Return what holds at this moment: it may come from the environment, or from `configure`."""
        return getattr(session, str(self.name))

    def validate(self, obj: HasTraits, value: Any) -> Any:  # noqa: ARG002 - traitlets' signature
        """Return the checked value, or refuse it with the session's own message."""
        try:
            return session.checked(str(self.name), value)
        except InvalidSettingsError as error:
            raise TraitError(error.summary) from None


_Traits: Any = type(
    "Session",  # as `%config ImageGen` shows it
    (Configurable,),
    {name: Setting(parameter).tag(config=True) for name, parameter in FIELDS.items()},
)


class ImageGen(_Traits):  # type: ignore[misc] # made from the declaration
    """Session defaults of gradient_notebook."""

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        session.update({name: getattr(self, name) for name in FIELDS})
        # After the update, which would only come back to where it is from.
        session.observe(self._session_changed)

    @observe(All)
    def _trait_changed(self, change: Any) -> None:
        # `All` includes traits that each Configurable has: `config` and `parent`.
        # What came from the session is there already: setting it again would tell every observer twice.
        if change["name"] in FIELDS and getattr(session, change["name"]) != change["new"]:
            setattr(session, change["name"], change["new"])
        if change["name"] == "replay" and change["new"]:
            print(f"gradient_notebook: {replay_notice()}")  # noqa: T201 - here, and not between a picture and its caption

    def _session_changed(self, name: str, value: Any) -> None:
        # Trait and session set each other: the second time nothing is new, and that ends it.
        if getattr(self, name) != value:
            setattr(self, name, value)

    def reset(self) -> None:
        """Leave the session as it is in a new process."""
        session.unobserve(self._session_changed)
        session.reset()
