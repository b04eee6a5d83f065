"""`%config ImageGen`: what holds for a session, with its help. The parameters come from the declaration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from traitlets import Any as AnyTrait
from traitlets import Bool, Float, HasTraits, Int, TraitError, Unicode, observe, validate
from traitlets.config import Configurable

from ..api.errors import GradientNotebookError, InvalidRequestError
from ..api.events import Usage
from ..api.params import PARAMETERS, Parameter
from ..jobs.concurrency import DEFAULT_CONCURRENCY, bound
from ..storage.archive import Archive, set_default

NOTEBOOK_DEFAULTS = {"stream": True, "partial_images": 2}
"""In a notebook somebody is watching."""
LIMITS = ("connect_timeout_s", "read_timeout_s", "max_retries", "max_wait_s")
_NOT_FOR_A_SESSION = ("prompt", "n", "extra")


class ParameterDefault(AnyTrait):  # type: ignore[type-arg, unused-ignore]
    """A session's default for a parameter, checked as everywhere; None leaves it to the service."""

    def __init__(self, parameter: Parameter) -> None:
        text = f"{parameter.help} Allowed: {parameter.expected}."
        super().__init__(NOTEBOOK_DEFAULTS.get(parameter.name), allow_none=True, help=text)
        self._parameter = parameter

    def validate(self, obj: HasTraits, value: Any) -> Any:  # noqa: ARG002 - traitlets' signature
        """Return the checked value, or refuse it with the declaration's own message."""
        try:
            return None if value is None else self._parameter.check(value)
        except InvalidRequestError as error:
            raise TraitError(error.what) from None


SESSION_PARAMETERS = {name: p for name, p in PARAMETERS.items() if name not in _NOT_FOR_A_SESSION}

Parameters: Any = type(
    "Parameters",
    (Configurable,),
    {name: ParameterDefault(parameter).tag(config=True) for name, parameter in SESSION_PARAMETERS.items()},
)


class ImageGen(Parameters):  # type: ignore[misc] # made from the declaration
    """Session defaults of gradient_notebook."""

    preview_px = Int(
        768, min=64, max=4096, help="Long edge of the pictures shown and saved in the notebook, pixels."
    ).tag(config=True)
    archive = Bool(True, help="Keep every finished image, and a record of what was asked for, on disk.").tag(
        config=True
    )
    archive_dir = Unicode("", help="Folder of the archive; empty for the system's own place.").tag(config=True)
    concurrency = Int(
        DEFAULT_CONCURRENCY, min=1, help="Requests under way at once, in all cells, panels and jobs of the kernel."
    ).tag(config=True)
    connect_timeout_s = Float(10.0, min=0.001, help="Time for reaching the service, in seconds.").tag(config=True)
    read_timeout_s = Float(300.0, min=0.001, help="Silence allowed within an answer, in seconds.").tag(config=True)
    max_retries = Int(
        4, min=0, help="How often a request that surely never reached the model is sent again; none that has ever is."
    ).tag(config=True)
    max_wait_s = Float(120.0, min=0, help="Waiting allowed before sending again, in all, in seconds.").tag(config=True)
    price_input_text_tokens = Float(
        None,
        allow_none=True,
        min=0,
        help="Your price of a million input text tokens; without both prices only tokens are shown.",
    ).tag(config=True)
    price_output_image_tokens = Float(
        None,
        allow_none=True,
        min=0,
        help="Your price of a million output image tokens; without both prices only tokens are shown.",
    ).tag(config=True)
    currency = Unicode("$", help="Sign of the currency of your prices.").tag(config=True)
    debug = Bool(False, help="Show whole tracebacks for mistakes too.").tag(config=True)

    @validate("archive_dir")
    def _checked_folder(self, proposal: Any) -> str:
        """Return the folder in full: it stays where it is when the session goes to another one."""
        try:
            return str(Path(proposal["value"]).expanduser().absolute()) if proposal["value"] else ""
        except RuntimeError as error:
            raise TraitError(f"archive_dir={proposal['value']!r}: {error}") from None

    def apply(self) -> None:
        """Hold for the whole kernel, where something does: also for `generate` and `submit`."""
        set_default(self.get_archive)
        bound(self.concurrency)

    @observe("concurrency")
    def _concurrency_changed(self, change: Any) -> None:
        bound(change["new"])

    @observe("debug")
    def _debug_changed(self, change: Any) -> None:
        GradientNotebookError.debug = change["new"]

    def defaults(self) -> dict[str, Any]:
        """Return the session's defaults of the parameters, as far as there are any."""
        values = {name: getattr(self, name) for name in SESSION_PARAMETERS}
        return {name: value for name, value in values.items() if value is not None}

    def limits(self) -> dict[str, Any]:
        """Return the timeouts and the bounds of retries, as keyword arguments of `Settings.discover`."""
        return {name: getattr(self, name) for name in LIMITS}

    def get_archive(self) -> Archive | None:
        """Return the archive, or None."""
        return Archive(Path(self.archive_dir) if self.archive_dir else None) if self.archive else None

    def cost(self, usage: Usage) -> str:
        """Return what a request's tokens cost at the session's prices; empty where they are not set."""
        return self.price(usage.output_tokens, usage.input_tokens_details.text_tokens or usage.input_tokens)

    def price(self, output_tokens: int, text_tokens: int = 0) -> str:
        """Return what output image tokens and input text tokens cost; empty where prices are not set."""
        per_text, per_image = self.price_input_text_tokens, self.price_output_image_tokens
        if per_text is None or per_image is None:
            return ""
        cost = (text_tokens * per_text + output_tokens * per_image) / 1e6
        return f"{self.currency}{cost:.2f}" if cost >= 0.01 else f"{self.currency}{cost:.2g}"


def session_config(shell: Any) -> ImageGen:
    """Return the session's `%config ImageGen`; without the extension, one of its own defaults."""
    found = (one for one in getattr(shell, "configurables", ()) if isinstance(one, ImageGen))
    return next(found, None) or ImageGen(parent=shell)


def reset() -> None:
    """Undo `ImageGen.apply`."""
    set_default()
    bound(DEFAULT_CONCURRENCY)
